//! The flags of `gradwatch compare`.
//!
//! In: the command line. Out: plain structs. Invariant: nothing is opened here.

use std::path::PathBuf;

use clap::Args;

use super::Format;

/// `gradwatch compare`: one run and its baseline.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUSES)]
pub struct CompareArgs {
    /// The run: a log directory or file with one run in it.
    pub run: PathBuf,
    /// What it is compared with: the same run with learning rate 0, or any other.
    pub baseline: PathBuf,
    /// Text for people or JSON (`gradwatch.compare/1`) for programs.
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Rule files on top of the shipped rules, by which the baseline itself is judged.
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<PathBuf>,
}

const EXIT_STATUSES: &str = "Exit status: 0 the run trains; 1 it does not, is worse than the baseline, or the trouble is in \
the baseline too; 2 usage, configuration or rule error; 3 nothing readable was found, or it cannot be told.";
