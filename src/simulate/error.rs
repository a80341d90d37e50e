//! What can be wrong with a simulation's arguments or its output directory.
//!
//! In: nothing. Out: one sentence per fact, to be printed after `cannot simulate: `. Invariant: the sentence
//! names the value that was given and what would be accepted.

use std::path::PathBuf;

/// Why a simulation cannot be built or written.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A chain has no layers.
    #[error("a chain needs at least 1 layer")]
    NoLayers,
    /// More layers than the stated limit.
    #[error("{given} layers are more than the {max} that fit in memory")]
    TooManyLayers {
        /// Layers asked for.
        given: usize,
        /// The limit.
        max: usize,
    },
    /// A number that must be finite is not.
    #[error("{what} must be a finite number, not {value}")]
    NotFinite {
        /// Which number, e.g. `weight 3`.
        what: String,
        /// What was given.
        value: f64,
    },
    /// A number is outside its range.
    #[error("{what} must be {allowed}, not {value}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// The range in words.
        allowed: &'static str,
        /// What was given.
        value: f64,
    },
    /// Listed weights and biases do not pair up.
    #[error("{weights} weights do not go with {biases} biases: list as many of each")]
    UnequalLists {
        /// Number of weights.
        weights: usize,
        /// Number of biases.
        biases: usize,
    },
    /// The layers do not chain.
    #[error("layer {layer} takes {takes} inputs but is given {given}")]
    WidthsDoNotChain {
        /// The layer, from 1 at the input.
        layer: usize,
        /// Inputs that the layer takes.
        takes: usize,
        /// Outputs of the layer below.
        given: usize,
    },
    /// A residual block whose output does not fit its input.
    #[error("residual block {layer} takes {m_in} numbers and adds {m_out}: give all layers one width")]
    ResidualWidths {
        /// The block, from 1 at the input.
        layer: usize,
        /// Its inputs.
        m_in: usize,
        /// Its outputs.
        m_out: usize,
    },
    /// Explicit weights were asked for a kind of layer that only the shortcut knows.
    #[error("pre-norm blocks are simulated at initialisation only: train plain layers")]
    BlockNotTrained,
    /// A width, a batch or a bias list of the wrong or of zero size.
    #[error("{what} is {given}, expected {expected}")]
    WrongSize {
        /// What was measured.
        what: &'static str,
        /// Its size.
        given: usize,
        /// What it should be.
        expected: String,
    },
    /// The output directory holds something already.
    #[error("output directory `{}` is not empty: name a new or an empty one", .0.display())]
    NotEmpty(PathBuf),
    /// The output cannot be written; nothing was left behind.
    #[error("cannot write `{}`: {source}; nothing was left there", .path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Passes finite numbers, refuses the rest by name.
pub(crate) fn finite(what: impl Into<String>, value: f64) -> Result<f64, SimulateError> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(SimulateError::NotFinite {
            what: what.into(),
            value,
        })
    }
}
