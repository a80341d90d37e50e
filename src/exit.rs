//! The exit statuses, once.
//!
//! In: nothing. Out: one documented number each. Invariant: the table in README says the same.

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Nothing at or above `--fail-on`.
    Clean = 0,
    /// Findings at or above `--fail-on`.
    Findings = 1,
    /// A usage, configuration or rule error.
    Usage = 2,
    /// Nothing readable was found, or `--strict` and something could not be read.
    Unreadable = 3,
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}
