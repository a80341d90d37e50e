//! The flags of `gradwatch calibrate`.
//!
//! In: the command line. Out: plain structs. Invariant: nothing is opened or computed here.

use std::path::PathBuf;

use clap::Args;

use super::PrintFormat;
use crate::simulate::{Activation, Block, Init, NumberFormat};

/// Arguments of `gradwatch calibrate`.
#[derive(Debug, Clone, Args)]
pub struct CalibrateArgs {
    /// Number of layers.
    #[arg(short = 'n', long, default_value_t = 32)]
    pub layers: usize,

    /// One width for all layers, or the input's and every layer's separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "64")]
    pub width: Vec<usize>,

    /// What is around the weights of a layer: plain, pre-norm (the residual stream of transformers).
    #[arg(long, default_value = "plain")]
    pub block: Block,

    /// How weights are drawn: gaussian, he, orthogonal.
    #[arg(long, default_value = "gaussian")]
    pub init: Init,

    /// Gain of the healthy initialisation.
    #[arg(long, allow_hyphen_values = true, default_value_t = 1.0)]
    pub gain: f64,

    /// Standard deviation of the biases.
    #[arg(long, allow_hyphen_values = true, default_value_t = 0.0)]
    pub bias_sd: f64,

    /// linear, relu, tanh, sigmoid, gelu.
    #[arg(long, default_value = "linear")]
    pub activation: Activation,

    /// Samples per step.
    #[arg(long, default_value_t = 4)]
    pub batch: usize,

    /// Number format of activations and gradients: float16, bfloat16, float32, float64.
    #[arg(long, default_value = "float64")]
    pub dtype: NumberFormat,

    /// Networks to simulate.
    #[arg(long, default_value_t = 4_000)]
    pub repetitions: u32,

    /// False-alarm probability of a whole run.
    #[arg(long, default_value_t = 1e-3)]
    pub false_alarm: f64,

    /// Logged points per run at which the rule looks.
    #[arg(long, default_value_t = 1_000)]
    pub looks: u64,

    /// Seed.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Write the rule file here; it must not exist.
    #[arg(short, long)]
    pub out: Option<PathBuf>,

    /// Measure the shipped depth rule instead: false alarms and power over four ensembles, two widths and five
    /// depths, as the Markdown table of docs/calibration.md. Takes --repetitions and --seed.
    #[arg(long, conflicts_with_all = ["out", "from"])]
    pub shipped: bool,

    /// Calibrate from the logs of healthy runs instead: these directories or files.
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub from: Vec<PathBuf>,

    /// How to print the result.
    #[arg(long, value_enum, default_value_t = PrintFormat::Text)]
    pub format: PrintFormat,
}
