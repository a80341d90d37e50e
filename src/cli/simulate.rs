//! The flags of `gradwatch simulate`.
//!
//! In: the command line. Out: plain structs. Invariant: nothing is opened or computed here.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::simulate::{Activation, Block, Init, LogFormat, NumberFormat};

/// Arguments of `gradwatch simulate`.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// Number of layers.
    #[arg(short = 'n', long, default_value_t = 50)]
    pub layers: usize,

    /// Weight of every layer of the scalar chain, or one per layer separated by commas.
    #[arg(
        short = 'w',
        long,
        value_delimiter = ',',
        allow_hyphen_values = true,
        default_value = "0.8"
    )]
    pub weight: Vec<f64>,

    /// Bias of every layer of the scalar chain, or one per layer separated by commas.
    #[arg(
        short = 'b',
        long,
        value_delimiter = ',',
        allow_hyphen_values = true,
        default_value = "0"
    )]
    pub bias: Vec<f64>,

    /// Input of the scalar chain.
    #[arg(short = 'x', long, allow_hyphen_values = true, default_value_t = 1.0)]
    pub input: f64,

    /// Gradients of the loss (y - TARGET)^2 / 2 instead of the output y; the target of a scalar chain that is
    /// trained or written (default: 1 with --steps; without, a random multiple of each sample's input).
    #[arg(short = 't', long, allow_hyphen_values = true)]
    pub target: Option<f64>,

    /// Matrix chain: one width for all layers, or the input's and every layer's separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub width: Vec<usize>,

    /// Matrix chain: what is around the weights: plain, pre-norm (the residual stream of transformers).
    #[arg(long, default_value = "plain")]
    pub block: Block,

    /// Matrix chain: how weights are drawn: gaussian, he, orthogonal.
    #[arg(long, default_value = "gaussian")]
    pub init: Init,

    /// Matrix chain: gain of the initialisation; 1 keeps the mean square.
    #[arg(long, allow_hyphen_values = true, default_value_t = 1.0)]
    pub gain: f64,

    /// Matrix chain: standard deviation of the biases.
    #[arg(long, allow_hyphen_values = true, default_value_t = 0.0)]
    pub bias_sd: f64,

    /// Matrix chain: linear, relu, tanh, sigmoid, gelu.
    #[arg(long, default_value = "linear")]
    pub activation: Activation,

    /// Matrix chain: samples per step.
    #[arg(long, default_value_t = 4)]
    pub batch: usize,

    /// Number format of the arithmetic: float16, bfloat16, float32, float64.
    #[arg(long, default_value = "float64")]
    pub dtype: NumberFormat,

    /// Seed of weights and batches.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Train for this many steps; the last one is printed, or all are written with --out. A scalar chain sees
    /// its input and target at every step, a matrix chain a fresh batch.
    #[arg(long)]
    pub steps: Option<u32>,

    /// Without --steps, --out writes this many looks at the untrained network: learning rate 0 unless
    /// --learning-rate says otherwise, a fresh batch each time (inputs N(0, 1), times --input in a scalar chain).
    /// Enough for every rule that wants several points.
    #[arg(long, default_value_t = 40, conflicts_with = "steps")]
    pub looks: u32,

    /// Learning rate; 0 computes everything and changes nothing. Default: 0.01 with --steps, else 0.
    #[arg(long, allow_hyphen_values = true)]
    pub learning_rate: Option<f64>,

    /// Momentum.
    #[arg(long, allow_hyphen_values = true, default_value_t = 0.0)]
    pub momentum: f64,

    /// Weight decay (L2).
    #[arg(long, allow_hyphen_values = true, default_value_t = 0.0)]
    pub weight_decay: f64,

    /// Clip the total gradient norm to this.
    #[arg(long, allow_hyphen_values = true)]
    pub clip: Option<f64>,

    /// Keep the biases as they are.
    #[arg(long)]
    pub freeze_biases: bool,

    /// Step at which the batch is multiplied by --bad-factor.
    #[arg(long)]
    pub bad_step: Option<u32>,

    /// Factor of the bad batch; nan breaks it.
    #[arg(long, allow_hyphen_values = true, default_value_t = 1e3)]
    pub bad_factor: f64,

    /// Write the run into this directory, which must be new or empty.
    #[arg(short, long)]
    pub out: Option<PathBuf>,

    /// Log format of --out: tensorboard, jsonl, csv, csv-long, text, megatron.
    #[arg(long = "as", default_value = "tensorboard")]
    pub log_format: LogFormat,

    /// How to print the layers.
    #[arg(long, value_enum, default_value_t = PrintFormat::Text)]
    pub format: PrintFormat,
}

/// How layers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrintFormat {
    /// A table for people.
    Text,
    /// One JSON object, schema `gradwatch.simulate/1`.
    Json,
}
