//! The only place that joins parts; one file per command.

pub mod calibrate;
pub mod simulate;

/// Parses the arguments, runs, and gives the exit status.
#[must_use]
pub fn main() -> std::process::ExitCode {
    crate::exit::ExitStatus::Clean.into()
}
