//! A line format that a user describes.
//!
//! In: a rule file. Out: what the reader of text logs needs. Invariant: plain words; whoever matches lines compiles
//! the expression.

use super::Quantity;

/// A regular expression for lines of a text log. Its named groups say what stands where: `step`, `epoch`, `layer`,
/// a quantity (`loss`, `grad_norm` ...), or `value` with [`quantity`](Self::quantity) or a group `name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinePattern {
    /// Permanent name, for messages.
    pub name: String,
    /// The expression; it may match anywhere in the line unless it is anchored.
    pub regex: String,
    /// What the group `value` is.
    pub quantity: Option<Quantity>,
}

impl LinePattern {
    /// Names that a group may have beside the quantities.
    pub const PLACES: [&'static str; 5] = ["step", "epoch", "layer", "name", "value"];
}
