//! The flags of `gradwatch watch`.
//!
//! In: the command line. Out: [`WatchArgs`]. Invariant: a poll interval is at least a hundredth of a second and at most
//! an hour.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{ColorWhen, FailOn, Format};

/// `gradwatch watch`.
///
/// Reads what is there, then what is new: lines, files, runs, as soon as the operating system hints at them and every
/// few seconds anyway. Each alarm (a finding that reaches `warning`) is said once on standard output, again when its
/// severity rises, and once when it is resolved. What cannot be read is said on standard error. SIGHUP reads the rules
/// again and judges all runs by them; rules with a problem leave the old ones in force. SIGTERM and SIGINT end it with
/// status 0 within five seconds.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Log directories or files; they need not exist yet.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Rule files on top of the shipped rules; a rule with a shipped id overrides the keys it names.
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<PathBuf>,
    /// Look at the files from time to time only, and ask the operating system for no hints of changes. Not needed on
    /// network file systems: there hints are not trusted anyway.
    #[arg(long)]
    pub poll: bool,
    /// Time between two looks at the known files, hints or not.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub poll_every: Duration,
    /// Read what is there, say its alarms, and end with the exit status of `audit`.
    #[arg(long)]
    pub once: bool,
    /// With --once: the least severity that makes the exit status 1.
    #[arg(long, value_enum, default_value = "warning", requires = "once")]
    pub fail_on: FailOn,
    /// Text for people, or one JSON object per line for programs.
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// When to colour.
    #[arg(long, value_enum, default_value = "auto")]
    pub color: ColorWhen,
}

fn seconds(text: &str) -> Result<Duration, String> {
    const BOUNDS: std::ops::RangeInclusive<f64> = 0.01..=3600.0;
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if !BOUNDS.contains(&seconds) {
        return Err(format!(
            "must be between {} and {} seconds",
            BOUNDS.start(),
            BOUNDS.end()
        ));
    }
    Ok(Duration::from_secs_f64(seconds))
}
