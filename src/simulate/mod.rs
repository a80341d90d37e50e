//! The linear chain: the reference behind every threshold.
//!
//! In: depth, weights or widths, an initialisation, a learning rate, a seed. Out: activations, gradients and
//! norms per layer, exact or as a number format would show them, and runs written in log formats.
//! Invariants: the same seed gives the same numbers on every machine with the same `libm`; layers count from
//! 1 at the input; a bad argument is an error, never a panic and never a guess.

mod activation;
mod dense;
mod ensemble;
mod error;
mod linalg;
mod lyapunov;
mod rng;
mod round;
mod scalar;
mod scaled;
mod shortcut;
mod spec;
mod train;
mod writer;

pub use activation::Activation;
pub use dense::{DenseLayer, LayerNorms, LayerPass, MatrixChain};
pub use ensemble::{Channel, DepthTrend, Network, Tick, simulate_ensemble, simulate_pairs};
pub use error::SimulateError;
pub use linalg::Matrix;
pub use lyapunov::{LogGain, critical_gain, log_gain};
pub use rng::Rng;
pub use round::NumberFormat;
pub use scalar::{Fate, LAYERS_MAX, LossPass, Regime, RoundedLayer, ScalarChain, ScalarLayer, fate};
pub use scaled::Scaled;
pub use shortcut::{simulate_norms, simulate_steps};
pub use spec::{Block, ChainSpec, Init, MATRIX_LAYERS_MAX, WIDTH_MAX};
pub use train::{BadBatch, Batches, LayerRecord, Sgd, StepRecord, TRAINED_WEIGHTS_MAX, Trainer, width_one};
pub use writer::{LogFormat, Row, RunWriter, START_TIME, as_logged, row_of};
