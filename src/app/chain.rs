//! What `simulate` and `calibrate` share: the chain that the flags describe, and how either command can fail.
//!
//! In: flags. Out: a checked [`ChainSpec`], or one sentence. Invariant: a flag that contradicts another one, or that
//! would change nothing, is refused before anything is computed or written.

use std::io;
use std::path::PathBuf;

use crate::cli::EnsembleArgs;
use crate::simulate::{Activation, Block, ChainSpec, Init, NumberFormat, SimulateError, TRAINED_WEIGHTS_MAX};

/// Samples per step when none are named.
pub(super) const BATCH: usize = 4;

/// Why `simulate` or `calibrate` did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ChainFailure {
    /// A number, or the output directory.
    #[error(transparent)]
    Arguments(#[from] SimulateError),
    /// Flags that do not go together.
    #[error("{0}")]
    Contradiction(String),
    /// Standard output cannot be written.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
    /// A signal to stop.
    #[error("interrupted; nothing was left behind")]
    Interrupted,
    /// More weights than training can hold.
    #[error(
        "{0} weights are too many to train: at most {TRAINED_WEIGHTS_MAX}; without --steps and --out any width goes"
    )]
    TooManyWeights(usize),
    /// The logs hold nothing to calibrate from.
    #[error("nothing to calibrate from: {0}")]
    Logs(String),
    /// The rule file cannot be written.
    #[error("cannot write rule file `{}`: {source}; nothing was left there", .path.display())]
    RuleFile {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A flag, whether it was given, whether it has a use beside the others, and what to say when it has none.
pub(super) type Use = (&'static str, bool, bool, &'static str);

/// Refuses the first flag that was given and has no use.
pub(super) fn refuse_useless(uses: &[Use]) -> Result<(), ChainFailure> {
    match uses.iter().find(|(_, given, is_of_use, _)| *given && !is_of_use) {
        Some((flag, _, _, why)) => Err(ChainFailure::Contradiction(format!("{flag} {why}"))),
        None => Ok(()),
    }
}

/// The layers of a list of so many, where `--layers` says the same or nothing.
pub(super) fn listed_layers(layers: Option<usize>, listed: usize, what: &str) -> Result<usize, ChainFailure> {
    match layers {
        Some(layers) if layers != listed => Err(ChainFailure::Contradiction(format!(
            "--layers {layers} contradicts {what} of {listed} {}: leave out one of the two",
            if listed == 1 { "layer" } else { "layers" }
        ))),
        _ => Ok(listed),
    }
}

/// The matrix chain that the flags describe; `layers` and `width` where they say nothing.
pub(super) fn chain_spec(
    args: &EnsembleArgs,
    layers: usize,
    width: usize,
) -> Result<ChainSpec, ChainFailure> {
    let base = match args.width.as_slice() {
        [] => ChainSpec::uniform(args.layers.unwrap_or(layers), width),
        [width] => ChainSpec::uniform(args.layers.unwrap_or(layers), *width),
        widths => {
            listed_layers(args.layers, widths.len() - 1, "a --width")?;
            ChainSpec {
                widths: widths.to_vec(),
                ..ChainSpec::uniform(1, 1)
            }
        }
    };
    let spec = ChainSpec {
        block: args.block.unwrap_or(Block::Plain),
        init: args.init.unwrap_or(Init::Gaussian),
        gain: args.gain.unwrap_or(1.0),
        bias_sd: args.bias_sd.unwrap_or(0.0),
        activation: args.activation.unwrap_or(Activation::Linear),
        batch: args.batch.unwrap_or(BATCH),
        format: dtype(args),
        ..base
    };
    spec.check()?;
    Ok(spec)
}

/// The number format of the arithmetic.
pub(super) fn dtype(args: &EnsembleArgs) -> NumberFormat {
    args.dtype.unwrap_or(NumberFormat::Float64)
}
