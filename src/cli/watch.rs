//! The flags of `gradwatch watch`.
//!
//! In: the command line. Out: [`WatchArgs`]. Invariant: a poll interval is at least a hundredth of a second and at most
//! an hour.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{ColorWhen, FailOn, Format};

/// `gradwatch watch`.
///
/// Reads what is there, then looks every few seconds for what is new: lines, files, runs. Each alarm (a finding that
/// reaches `warning`) is said once on standard output, again when its severity rises, and once when it is resolved.
/// What cannot be read is said on standard error. SIGTERM and SIGINT end it with status 0.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Log directories or files; they need not exist yet.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Rule files on top of the shipped rules; a rule with a shipped id overrides the keys it names.
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<PathBuf>,
    /// Time between two looks at the known files.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub poll: Duration,
    /// Answer HTTP on this address (`127.0.0.1:9911`): the report as a live page, /metrics, /healthz, /api/v1/runs and
    /// /api/v1/alerts. Keeps pictures of the runs in memory, 0.1 to 12 MB each.
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "once")]
    pub listen: Option<SocketAddr>,
    /// Answer only who knows the word in this file. Needed for an address that other machines can reach.
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub listen_token_file: Option<PathBuf>,
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
