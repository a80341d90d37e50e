//! The flags of `gradwatch watch`.
//!
//! In: the command line. Out: [`WatchArgs`]. Invariant: a poll interval is at least a hundredth of a second and at most
//! an hour.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{ColorWhen, FailOn, Format, StateArgs};
use crate::config::SmtpAddress;

/// `gradwatch watch`.
///
/// Reads what is there, then what is new: lines, files, runs, as soon as the operating system hints at them and every
/// few seconds anyway. Each alarm (a finding that reaches `warning`) is said once on standard output, again when its
/// severity rises, and once when it is resolved. With a receiver (--mail-to, or one in the configuration) it is also
/// sent there, and what was sent is remembered over restarts. What cannot be read is said on standard error. SIGHUP reads the rules
/// again and judges all runs by them; rules with a problem leave the old ones in force. SIGTERM and SIGINT end it with
/// status 0 within five seconds.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Log directories or files; they need not exist yet. They may stand in the configuration instead.
    pub paths: Vec<PathBuf>,
    /// Rule files on top of the shipped rules; a rule with a shipped id overrides the keys it names.
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<PathBuf>,
    /// Look at the files from time to time only, and ask the operating system for no hints of changes. Not needed on
    /// network file systems: there hints are not trusted anyway.
    #[arg(long)]
    pub poll: bool,
    /// Time between two looks at the known files, hints or not.
    /// 2 unless the configuration says otherwise.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub poll_every: Option<Duration>,
    /// The configuration; unless given `gradwatch.toml` in this directory, in `gradwatch/` of the user's configuration
    /// directory, or in `/etc/gradwatch/`.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where what must not be forgotten is kept.
    #[command(flatten)]
    pub state: StateArgs,
    /// Send mail to this address. Can be given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub mail_to: Vec<String>,
    /// The mail server: `smtp://[USER@]HOST[:PORT]` (STARTTLS, required; none to this machine), or `smtps://...`. Unless
    /// given the server on this machine.
    #[arg(long, value_name = "URL", value_parser = SmtpAddress::new)]
    pub smtp: Option<SmtpAddress>,
    /// A file with the password of the mail server's user.
    #[arg(long, value_name = "FILE")]
    pub smtp_password_file: Option<PathBuf>,
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
