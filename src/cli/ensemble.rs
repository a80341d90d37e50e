//! The flags that say what random matrix chains are made of: for `simulate` and `calibrate`.
//!
//! In: the command line. Out: plain values, `None` where nothing was said. Invariant: what was said can be told from
//! a default, so that a flag that would change nothing can be refused.

use clap::Args;

use crate::simulate::{Activation, Block, Init, NumberFormat};

/// Depth, widths, initialisation, activation, batch, number format.
#[derive(Debug, Clone, Default, Args)]
pub struct EnsembleArgs {
    /// Number of layers (default: as many as are listed, else 50 in `simulate` and 32 in `calibrate`).
    #[arg(short = 'n', long)]
    pub layers: Option<usize>,

    /// Matrix chain: one width for all layers, or the input's and every layer's separated by commas (default: a
    /// scalar chain in `simulate`, 64 in `calibrate`).
    #[arg(long, value_delimiter = ',')]
    pub width: Vec<usize>,

    /// Matrix chain: what is around the weights: plain, pre-norm (the residual stream of transformers). Default:
    /// plain.
    #[arg(long)]
    pub block: Option<Block>,

    /// Matrix chain: how weights are drawn: gaussian, he, orthogonal (default: gaussian).
    #[arg(long)]
    pub init: Option<Init>,

    /// Matrix chain: gain of the initialisation (default: 1, which keeps the mean square).
    #[arg(long, allow_hyphen_values = true)]
    pub gain: Option<f64>,

    /// Matrix chain: standard deviation of the biases (default: 0).
    #[arg(long, allow_hyphen_values = true)]
    pub bias_sd: Option<f64>,

    /// Matrix chain: linear, relu, tanh, sigmoid, gelu (default: linear).
    #[arg(long)]
    pub activation: Option<Activation>,

    /// Samples per step (default: 4).
    #[arg(long)]
    pub batch: Option<usize>,

    /// Number format of the arithmetic: float16, bfloat16, float32, float64 (default).
    #[arg(long)]
    pub dtype: Option<NumberFormat>,
}

impl EnsembleArgs {
    /// The flags that only a matrix chain has, and whether each was given.
    #[must_use]
    pub fn matrix_flags(&self) -> [(&'static str, bool); 5] {
        [
            ("--block", self.block.is_some()),
            ("--init", self.init.is_some()),
            ("--gain", self.gain.is_some()),
            ("--bias-sd", self.bias_sd.is_some()),
            ("--activation", self.activation.is_some()),
        ]
    }

    /// All flags, and whether each was given.
    #[must_use]
    pub fn flags(&self) -> [(&'static str, bool); 9] {
        let [block, init, gain, bias_sd, activation] = self.matrix_flags();
        [
            ("--layers", self.layers.is_some()),
            ("--width", !self.width.is_empty()),
            block,
            init,
            gain,
            bias_sd,
            activation,
            ("--batch", self.batch.is_some()),
            ("--dtype", self.dtype.is_some()),
        ]
    }
}
