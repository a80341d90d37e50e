//! The flags of `gradwatch calibrate`.
//!
//! In: the command line. Out: plain structs. Invariant: nothing is opened or computed here.

use std::path::PathBuf;

use clap::Args;

use super::{EnsembleArgs, PrintFormat};

/// Arguments of `gradwatch calibrate`.
#[derive(Debug, Clone, Args)]
pub struct CalibrateArgs {
    /// The healthy networks.
    #[command(flatten)]
    pub ensemble: EnsembleArgs,

    /// Networks to simulate (default: 4000).
    #[arg(long)]
    pub repetitions: Option<u32>,

    /// False-alarm probability of a whole run (default: 0.001).
    #[arg(long, allow_hyphen_values = true)]
    pub false_alarm: Option<f64>,

    /// Logged points per run at which the rule looks (default: 1000).
    #[arg(long)]
    pub looks: Option<u64>,

    /// Seed (default: 0).
    #[arg(long)]
    pub seed: Option<u64>,

    /// Write the rule file here; it must not exist.
    #[arg(short, long)]
    pub out: Option<PathBuf>,

    /// Measure the shipped depth rules instead: false alarms and power over several ensembles and depths, at one
    /// profile and over whole runs, as the Markdown tables of docs/calibration.md. Takes --repetitions and --seed, and
    /// --layers for the rows of one depth.
    #[arg(long)]
    pub shipped: bool,

    /// Calibrate from the logs of healthy runs instead: these directories or files.
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub from: Vec<PathBuf>,

    /// How to print the result (default: text).
    #[arg(long, value_enum)]
    pub format: Option<PrintFormat>,
}

impl CalibrateArgs {
    /// Networks to simulate.
    #[must_use]
    pub fn repetitions(&self) -> u32 {
        self.repetitions.unwrap_or(4_000)
    }

    /// False-alarm probability of a whole run.
    #[must_use]
    pub fn false_alarm(&self) -> f64 {
        self.false_alarm.unwrap_or(1e-3)
    }

    /// Logged points per run.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.looks.unwrap_or(1_000)
    }

    /// Seed of everything that is drawn.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }

    /// How to print the result.
    #[must_use]
    pub fn format(&self) -> PrintFormat {
        self.format.unwrap_or(PrintFormat::Text)
    }
}
