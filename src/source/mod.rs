//! Files to bytes. Knows files, not formats.
//!
//! In: the paths a user gave. Out: [`Discovery`], the runs found in them with their files in a stable order, and
//! [`BlockReader`], which reads one of these files at a time, or [`Tail`], which follows one that changes, and
//! [`ChangeHints`], which say where it is worth to look.
//! Invariants: nothing is ever written or locked; the number of files left open is bounded; what cannot be read is
//! a [`Problem`], and the rest is read.

mod change;
mod discover;
mod group;
mod identity;
mod listing;
mod names;
mod read;
mod tail;
mod trackers;
mod volume;
mod walk;

use std::path::PathBuf;

pub use change::{ChangeHints, Degraded, HINTED_FILES_MAX, Hints};
pub use discover::{discover, discover_again};
pub use identity::{FileId, Fingerprint, HEAD_BYTES_MAX, MARKER_BYTES};
pub use listing::Listings;
pub use read::{BLOCK_BYTES, Block, BlockReader};
pub use tail::{Change, Cursor, HELD_FILES_MAX, IDLE_POLLS_HELD, POLL_BYTES_MAX, Polled, Tail, TailPool};
pub use walk::{MAX_DEPTH, MAX_FILES};

use crate::model::Problem;

/// A run and the files it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFiles {
    /// Path of the run's directory relative to the root that was given, `.` for the root itself; with several
    /// roots the root as given stands before it. Parts are joined by `/`.
    pub name: String,
    /// The path that was given.
    pub root: PathBuf,
    /// Its streams, ordered by rank and path.
    pub streams: Vec<StreamFiles>,
}

/// Files that are read as one sequence of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamFiles {
    /// The rank that wrote it, where directory or file names tell several apart.
    pub rank: Option<u32>,
    /// One file, or all event files of a directory, or the files of one metric each that a tracker writes, by name.
    pub files: Vec<PathBuf>,
    /// Whether they are TensorBoard event files (by name).
    pub is_event_files: bool,
}

/// What was found in the paths given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Discovery {
    /// The runs, by root in the order given and then by name.
    pub runs: Vec<RunFiles>,
    /// Paths that could not be walked.
    pub problems: Vec<Problem>,
    /// Files seen, logs or not.
    pub n_files_seen: u64,
    /// Directories that were entered, by every path that leads there.
    pub directories: Vec<Directory>,
}

/// A directory that was entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// As it was reached.
    pub path: PathBuf,
    /// What it is, whatever its path.
    pub id: FileId,
}
