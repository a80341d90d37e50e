//! The flags of `gradwatch watch`.
//!
//! In: the command line. Out: [`WatchArgs`]. Invariant: a poll interval is at least a hundredth of a second and at most
//! an hour.

use std::net::SocketAddr;
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
    /// A run at learning rate 0 (or any other) that every run is compared with: its log directory or file. It is read at the
    /// start, and again on SIGHUP.
    #[arg(long, value_name = "DIR")]
    pub baseline: Option<PathBuf>,
    /// Look at the files from time to time only, and ask the operating system for no hints of changes. Not needed on
    /// network file systems: there hints are not trusted anyway.
    #[arg(long)]
    pub poll: bool,
    /// Time between two looks at the known files, hints or not.
    /// 2 unless the configuration says otherwise.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub poll_every: Option<Duration>,
    /// Leave runs unread in which nothing has changed for so long, until something does. With a unit: 30m, 24h, 7d.
    /// 24h unless the configuration says otherwise.
    #[arg(long, value_name = "TIME", value_parser = time_span)]
    pub active_within: Option<Duration>,
    /// Of a larger file read only about so many last bytes. With a unit: 512MiB, 8GiB. 8GiB unless the configuration says
    /// otherwise.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub replay_max: Option<u64>,
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

/// A number and a unit, both of them needed.
fn split_unit(text: &str) -> Option<(f64, &str)> {
    let at = text.find(|it: char| it.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(at);
    let number = number
        .trim()
        .parse()
        .ok()
        .filter(|it: &f64| it.is_finite() && *it > 0.0)?;
    Some((number, unit))
}

fn time_span(text: &str) -> Result<Duration, String> {
    let what = "not a time: a number above 0 and a unit (s, m, h, d), such as 24h";
    let (number, unit) = split_unit(text).ok_or(what)?;
    let unit_s = match unit {
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(what.to_owned()),
    };
    Duration::try_from_secs_f64(number * unit_s).map_err(|_| what.to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    let what = "not a size: a number above 0 and a unit (KiB, MiB, GiB, TiB), such as 8GiB";
    let (number, unit) = split_unit(text).ok_or(what)?;
    let shift = match unit {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(what.to_owned()),
    };
    Ok((number * (1_u64 << shift) as f64) as u64)
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

#[cfg(test)]
mod tests {
    use super::{size, time_span};
    use std::time::Duration;

    #[test]
    fn times_and_sizes_need_a_number_and_a_unit() {
        assert_eq!(time_span("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(time_span("1.5 m"), Ok(Duration::from_secs(90)));
        assert_eq!(size("8GiB"), Ok(8 << 30));
        assert_eq!(size("0.5MiB"), Ok(1 << 19));
        for wrong in ["", "24", "h", "-1h", "24x", "1e999d", "nan h"] {
            assert!(time_span(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "8", "GiB", "-1GiB", "8GB", "infGiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
