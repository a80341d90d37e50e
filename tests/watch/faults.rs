//! The faults of a file system and of a daemon's life, one test each, with the result that is promised.
//!
//! In: files that are rotated, cut, overwritten, that come in bursts, that cannot be read; limits of the system; signals.
//! Out: a line per case, `fault N | promised | seen`. Invariant: every wait is for a condition, with a bound; what a
//! machine does not offer is said to be skipped, and with CI=true nothing that can be had is skipped.

mod clock;
mod content;
mod daemon;
mod model;
mod system;
mod telling;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

pub(crate) use crate::support::table::{seen, skip};

/// Whether a command can be run and succeeds.
pub(crate) fn works(program: &str, args: &[&str]) -> bool {
    let status = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|it| it.success())
}

/// The share of a core that a process uses while this time passes.
fn cpu_share(process: u32, time: Duration) -> f64 {
    // The clock ticks of proc(5): `getconf CLK_TCK` is 100 on every Linux that Rust runs on.
    const TICKS_PER_S: f64 = 100.0;
    let used = || -> f64 {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2);
        ticks.map(|it| it.parse::<f64>().unwrap()).sum::<f64>() / TICKS_PER_S
    };
    let (before, begun) = (used(), Instant::now());
    // Nobody sends: this is the time over which is measured.
    let (_keep, clock) = channel::<()>();
    let _ = clock.recv_timeout(time);
    (used() - before) / begun.elapsed().as_secs_f64()
}

/// A Debian package's program, installed where that is possible.
pub(crate) fn has_program(program: &str, packages: &[&str]) -> bool {
    let is_there = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|it| it.join(program).exists())
    };
    if !is_there() && Path::new("/usr/bin/apt-get").exists() && works("test", &["-w", "/var/lib/dpkg"]) {
        works("apt-get", &["update", "-qq"]);
        works(
            "apt-get",
            &[&["install", "-qq", "-y", "--no-install-recommends"], packages].concat(),
        );
    }
    is_there()
}
