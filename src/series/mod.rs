//! Points to histories and profiles over depth.
//!
//! In: samples with their tags. Out: [`Store`] (which series there are and what they mean), [`Assembler`]
//! (layers of one step side by side), [`Facts`] (what is known of the stream now). Invariant: memory grows
//! with the number of series, never with the length of the log.

mod assembler;
mod depth;
mod facts;
mod history;
mod info;
mod portrait;
mod primary;
pub mod record;
mod restart;
mod store;
mod tap;
mod trace;

pub use crate::extract::names_a_game;
pub use assembler::{Assembler, LAYERS_MAX};
pub use depth::{evidence, layers_by_depth};
pub use facts::{Facts, LossFacts};
pub use history::{BINS_MAX, Bin, History};
pub use info::SeriesInfo;
pub use portrait::{
    Baseline, LAYER_POINTS_MAX, LOSS_POINTS_MAX, LayerTrace, LossTrace, Portrait, PortraitTap, Trouble,
};
pub use primary::{PrimaryLoss, loss_rank};
pub use restart::Restarts;
pub use store::{SERIES_MAX, Store};
pub use tap::Tap;
pub use trace::Trace;
