//! The flags of `gradwatch simulate`.
//!
//! In: the command line. Out: plain structs. Invariant: nothing is opened or computed here.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::EnsembleArgs;
use crate::simulate::LogFormat;

/// Arguments of `gradwatch simulate`.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// Depth and, for a matrix chain, what it is made of.
    #[command(flatten)]
    pub ensemble: EnsembleArgs,

    /// Scalar chain: weight of every layer, or one per layer separated by commas (default: 0.8).
    #[arg(short = 'w', long, value_delimiter = ',', allow_hyphen_values = true)]
    pub weight: Vec<f64>,

    /// Scalar chain: bias of every layer, or one per layer separated by commas (default: 0).
    #[arg(short = 'b', long, value_delimiter = ',', allow_hyphen_values = true)]
    pub bias: Vec<f64>,

    /// Scalar chain: its input (default: 1).
    #[arg(short = 'x', long, allow_hyphen_values = true)]
    pub input: Option<f64>,

    /// Scalar chain: gradients of the loss (y - TARGET)^2 / 2 instead of the output y; the target of a scalar chain that is
    /// trained or written (default: 1 with --steps; without, a random multiple of each sample's input).
    #[arg(short = 't', long, allow_hyphen_values = true)]
    pub target: Option<f64>,

    /// Seed of weights and batches.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Train for this many steps; the last one is printed, or all are written with --out. A scalar chain sees
    /// its input and target at every step, a matrix chain a fresh batch.
    #[arg(long)]
    pub steps: Option<u32>,

    /// Without --steps, --out writes this many looks at the untrained network: learning rate 0 unless
    /// --learning-rate says otherwise, a fresh batch each time (inputs N(0, 1), times --input in a scalar chain).
    /// Enough for every rule that wants several points (default: 40).
    #[arg(long)]
    pub looks: Option<u32>,

    /// Learning rate; 0 computes everything and changes nothing. Default: 0.01 with --steps, else 0.
    #[arg(long, allow_hyphen_values = true)]
    pub learning_rate: Option<f64>,

    /// Momentum (default: 0).
    #[arg(long, allow_hyphen_values = true)]
    pub momentum: Option<f64>,

    /// Weight decay (L2) (default: 0).
    #[arg(long, allow_hyphen_values = true)]
    pub weight_decay: Option<f64>,

    /// Clip the total gradient norm to this.
    #[arg(long, allow_hyphen_values = true)]
    pub clip: Option<f64>,

    /// Keep the biases as they are.
    #[arg(long)]
    pub freeze_biases: bool,

    /// Step, counted from 0, at which the batch is multiplied by --bad-factor.
    #[arg(long)]
    pub bad_step: Option<u32>,

    /// Factor of the bad batch; nan breaks it (default: 1000).
    #[arg(long, allow_hyphen_values = true)]
    pub bad_factor: Option<f64>,

    /// Write the run into this directory, which must be new or empty.
    #[arg(short, long)]
    pub out: Option<PathBuf>,

    /// Log format of --out: tensorboard (default), jsonl, csv, csv-long, text, megatron.
    #[arg(long = "as")]
    pub log_format: Option<LogFormat>,

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
