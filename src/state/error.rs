//! What can go wrong with the state directory.
//!
//! In: nothing. Out: one error, sorted by what is to be done about it. Invariant: no text of it holds anything from a
//! configuration but paths.

use std::path::PathBuf;

/// What went wrong with the state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another daemon has it.
    #[error("{path} is in use by another gradwatch (process {pid})", path = .path.display())]
    InUse {
        /// The state directory.
        path: PathBuf,
        /// Who has it, as far as it said.
        pid: String,
    },
    /// Made by a newer version of the program.
    #[error("written by a newer gradwatch (format {found}, this one knows {known})")]
    Newer {
        /// The version found.
        found: i64,
        /// The version that is known here.
        known: i64,
    },
    /// It does not hold what was written.
    #[error("damaged: {0}")]
    Damaged(String),
    /// A new database was made in place of the one that was used; nothing is in it yet.
    #[error("a new database was made")]
    Blank,
    /// It cannot be written or read now; later it may be.
    #[error("{0}")]
    Unavailable(String),
}

impl StateError {
    /// Whether the file is of no use as it is.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Newer { .. })
    }
}
