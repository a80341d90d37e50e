//! Tag to meaning: quantity, layer, depth.
//!
//! In: the name under which a run logged a number (`optim/grad/module.blocks.8.att_proj.weight.norm`). Out: a
//! [`Meaning`](crate::model::Meaning): kind, quantity, split, layer with its depth index, role and parameter. Invariant: a pure function
//! of the tag, so the caller may cache it; a name that is not understood is `Other`, never a guess that a rule
//! would act upon.

mod guard;
mod histogram;
mod known;
mod layer;
mod patterns;
mod split;
mod tag;

pub use histogram::understand_histogram;
pub use known::{Known, known, known_histogram};
pub use layer::parse_layer;
pub use split::{names_a_game, on_split, split_of_run};
pub use tag::understand;

/// A pattern of the tables as it is compiled: without regard to case, and with `\w` and `\d` of ASCII alone, which
/// take a tenth of the time to compile. Time that a run over a small file would notice.
fn compiled_form(pattern: &str) -> String {
    format!(
        "(?i){}",
        pattern.replace(r"\w", "[0-9A-Za-z_]").replace(r"\d", "[0-9]")
    )
}
