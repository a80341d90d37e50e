//! Every flag, once. The long help of a flag is its doc comment.
//!
//! In: the command line. Out: plain structs. Invariant: nothing is opened or looked up here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::model::{Quantity, Severity};

mod calibrate;
mod compare;
mod ensemble;
mod mail_test;
mod simulate;
mod state;
mod watch;

pub use calibrate::CalibrateArgs;
pub use compare::CompareArgs;
pub use ensemble::EnsembleArgs;
pub use mail_test::MailTestArgs;
pub use simulate::{PrintFormat, SimulateArgs};
pub use state::{AckArgs, SilenceArgs, StateArgs, StatusArgs, UnackArgs};
pub use watch::WatchArgs;

/// A watchdog for training runs that already exist.
///
/// Reads what a run already writes (TensorBoard event files, JSONL, CSV, `trainer_state.json`, text logs),
/// orders its layers by depth and judges it by rule files. It never writes into a run's directory.
#[derive(Debug, Parser)]
#[command(name = "gradwatch", version, about, long_about, arg_required_else_help = true, after_help = EXIT_STATUSES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_STATUSES: &str = "Exit status: 0 nothing at or above --fail-on; 1 findings at or above it; 2 usage, \
configuration or rule error; 3 nothing readable was found, or --strict and something could not be read.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge log directories: verdict per run, findings, report, exit status.
    Audit(AuditArgs),
    /// Follow runs while they are written and say each new alarm once.
    Watch(WatchArgs),
    /// What a daemon follows, which alarms stand, what waits to be sent, and what does not work.
    Status(StatusArgs),
    /// Take note of an alarm: no more reminders of it.
    Ack(AckArgs),
    /// Take an acknowledgement back.
    Unack(UnackArgs),
    /// Hear nothing of some runs or rules for a while.
    Silence(SilenceArgs),
    /// Send one real message through the mail server, and say what it answered at each step.
    MailTest(MailTestArgs),
    /// Show what is in logs: runs, formats, quantities, layers in depth order. No rules.
    Inspect(InspectArgs),
    /// The linear-chain reference simulator: print it, or write it as a run in any log format.
    Simulate(Box<SimulateArgs>),
    /// Thresholds for a stated false-alarm rate, from the simulator: writes a rule file.
    Calibrate(Box<CalibrateArgs>),
    /// Is this run distinguishable from its learning-rate-0 twin, or any baseline? Per layer and in the loss.
    Compare(CompareArgs),
    /// The rules in force: list, show, check, test.
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Print the manual page, or write one page per command.
    Man {
        /// Write the pages of all commands into this directory, which must be there.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print the shell completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A severity on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Any finding.
    Info,
    /// Warnings and critical findings.
    Warning,
    /// Critical findings only.
    Critical,
}

impl From<FailOn> for Severity {
    fn from(value: FailOn) -> Self {
        match value {
            FailOn::Info => Severity::Info,
            FailOn::Warning => Severity::Warning,
            FailOn::Critical => Severity::Critical,
        }
    }
}

/// Where the logs are, and how to read and print.
#[derive(Debug, Args)]
pub struct InputArgs {
    /// Log directories or files.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Text for people or JSON for programs.
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Runs read at the same time; 0 = one per core.
    #[arg(long, short, default_value_t = 0)]
    pub jobs: usize,
    /// Exit with status 3 when anything could not be read.
    #[arg(long)]
    pub strict: bool,
    /// When to colour.
    #[arg(long, value_enum, default_value = "auto")]
    pub color: ColorWhen,
}

/// `gradwatch audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Input and output.
    #[command(flatten)]
    pub input: InputArgs,
    /// The least severity that makes the exit status 1.
    #[arg(long, value_enum, default_value = "warning")]
    pub fail_on: FailOn,
    /// Rule files on top of the shipped rules; a rule with a shipped id overrides the keys it names.
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<PathBuf>,
    /// A run at learning rate 0 (or any other) that every run is compared with: its log directory or file.
    #[arg(long, value_name = "DIR")]
    pub baseline: Option<PathBuf>,
    /// Write one self-contained page with curves, heat maps and depth profiles of every run; it replaces the file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// `gradwatch inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Input and output.
    #[command(flatten)]
    pub input: InputArgs,
    /// Draw a quantity instead: a row of blocks per layer over the steps and its depth profile, as text. One of
    /// `grad_norm`, `weight_norm`, `activation_norm`, `update_norm`, `update_ratio`, `loss`, `learning_rate` ...
    #[arg(long, value_name = "QUANTITY", value_parser = quantity, conflicts_with = "format")]
    pub plot: Option<Quantity>,
    /// The step of the depth profile; the last one unless given.
    #[arg(long, value_name = "STEP", requires = "plot", allow_hyphen_values = true)]
    pub at: Option<i64>,
    /// Rule files whose `[[pattern]]` tables say how to read lines of your own.
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<PathBuf>,
    /// Try the `[[pattern]]` tables of a file on text logs instead: which lines they read and what, which lines they
    /// nearly read and why not. Exit status 3 when they read nothing.
    #[arg(long, value_name = "FILE", conflicts_with = "plot")]
    pub pattern: Vec<PathBuf>,
}

fn quantity(word: &str) -> Result<Quantity, String> {
    Quantity::from_word(word).ok_or_else(|| {
        let words: Vec<&str> = Quantity::ALL.iter().map(|it| it.as_str()).collect();
        format!("not a quantity; one of {}", words.join(", "))
    })
}

/// `gradwatch rules ...`.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// The rules in force, one per line.
    List {
        /// Rule files on top of the shipped rules.
        #[arg(long, value_name = "FILE")]
        rules: Vec<PathBuf>,
        /// Text or JSON.
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Everything about one rule: bounds, reasons, remedies.
    Show {
        /// The rule's id.
        id: String,
        /// Rule files on top of the shipped rules.
        #[arg(long, value_name = "FILE")]
        rules: Vec<PathBuf>,
        /// Text or JSON.
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Lint rule files: every problem with file, line and column. Without files: the shipped rules.
    Check {
        /// Rule files.
        files: Vec<PathBuf>,
    },
    /// Run rule tests. Without files: the shipped tests.
    Test {
        /// Test files.
        files: Vec<PathBuf>,
        /// Rule files on top of the shipped rules.
        #[arg(long, value_name = "FILE")]
        rules: Vec<PathBuf>,
    },
}
