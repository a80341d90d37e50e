//! A part of the input that could not be read.
//!
//! In: nothing. Out: one sentence with path and place. Invariant: a problem never stops the reading of the
//! rest; it is counted and shown.

use std::fmt;

/// A part of the input that could not be read, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file or directory; empty while a decoder, which does not know it, holds the problem.
    pub path: String,
    /// First byte of the part.
    pub offset: Option<u64>,
    /// Length of the part in bytes, where known.
    pub bytes: Option<u64>,
    /// What is wrong with it, a lowercase fragment without full stop.
    pub what: String,
    /// True for facts that deserve a line but do not mean lost data (a restart, an estimated norm).
    pub is_note: bool,
}

impl Problem {
    /// Input that was lost.
    #[must_use]
    pub fn lost(offset: u64, bytes: u64, what: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            offset: Some(offset),
            bytes: Some(bytes),
            what: what.into(),
            is_note: false,
        }
    }

    /// A fact about the input that deserves a line.
    #[must_use]
    pub fn note(offset: u64, what: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            offset: Some(offset),
            bytes: None,
            what: what.into(),
            is_note: true,
        }
    }

    /// A file or directory that could not be read at all.
    #[must_use]
    pub fn path(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            offset: None,
            bytes: None,
            what: what.into(),
            is_note: false,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        if let Some(offset) = self.offset {
            write!(f, "byte {offset}: ")?;
        }
        f.write_str(&self.what)
    }
}
