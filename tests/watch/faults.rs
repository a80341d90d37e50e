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

use std::path::Path;
use std::process::{Command, Stdio};

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
