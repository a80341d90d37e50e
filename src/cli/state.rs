//! The flags of `gradwatch status`, `ack`, `unack` and `silence`.
//!
//! In: the command line. Out: plain structs. Invariant: a silence has an end.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Format;
use crate::config::duration;

/// Where the state of a daemon is.
#[derive(Debug, Clone, Args)]
pub struct StateArgs {
    /// The state directory; unless given `$STATE_DIRECTORY`, `$XDG_STATE_HOME/gradwatch` or `~/.local/state/gradwatch`.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// `gradwatch status`.
///
/// Works beside a daemon and without one.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Where the state is.
    #[command(flatten)]
    pub state: StateArgs,
    /// Text for people or JSON for programs.
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// `gradwatch ack`.
///
/// Nobody is reminded of an acknowledged alarm until it gets worse, or is over and comes back. A daemon that runs takes
/// note at once.
#[derive(Debug, Args)]
pub struct AckArgs {
    /// An alarm (the first digits of its number are enough), an incident, or a run.
    #[arg(value_name = "ALERT")]
    pub alert: String,
    /// A word for others.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub comment: String,
    /// Where the state is.
    #[command(flatten)]
    pub state: StateArgs,
}

/// `gradwatch unack`.
#[derive(Debug, Args)]
pub struct UnackArgs {
    /// An alarm (the first digits of its number are enough), an incident, or a run.
    #[arg(value_name = "ALERT")]
    pub alert: String,
    /// Where the state is.
    #[command(flatten)]
    pub state: StateArgs,
}

/// `gradwatch silence`.
///
/// What is silenced is watched and recorded, and nobody is told. What still stands at the end of the silence is told
/// then.
#[derive(Debug, Args)]
pub struct SilenceArgs {
    /// Runs, by name: `*` stands for anything, `?` for one character; with slashes around it a regular expression.
    #[arg(value_name = "PATTERN", required_unless_present_any = ["list", "remove"], requires = "time")]
    pub pattern: Option<String>,
    /// For how long: `30m`, `2h`, `1d`.
    #[arg(long = "for", id = "time", value_name = "TIME", value_parser = time)]
    pub time: Option<Duration>,
    /// Only rules of this name; a pattern as well.
    #[arg(long, value_name = "RULE", requires = "pattern")]
    pub rule: Option<String>,
    /// A word for others.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub comment: String,
    /// Show the silences.
    #[arg(long, conflicts_with_all = ["pattern", "remove"])]
    pub list: bool,
    /// End a silence, by its number.
    #[arg(long, value_name = "NUMBER", conflicts_with = "pattern")]
    pub remove: Option<i64>,
    /// Where the state is.
    #[command(flatten)]
    pub state: StateArgs,
}

fn time(text: &str) -> Result<Duration, String> {
    const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
    match duration(text) {
        Some(time) if !time.is_zero() && time <= YEAR => Ok(time),
        Some(_) => Err("must be more than nothing and at most a year".to_owned()),
        None => Err("not a time: write `30m`, `2h` or `1d`".to_owned()),
    }
}
