//! What many followed files share: one buffer, and a bounded number of descriptors.
//!
//! In: files that may stay open. Out: [`Held`] files. Invariant: at most [`HELD_FILES_MAX`] are held at a time; a
//! file that is not held is found again by its path or its inode.

use std::fs::File;
use std::sync::Arc;

use super::POLL_BYTES_MAX;
use crate::source::read::BLOCK_BYTES;

/// Descriptors that are held between polls. Well below the usual limit of 1024 per process.
pub const HELD_FILES_MAX: usize = 128;

/// Shared by all files that one thread follows.
#[derive(Debug)]
pub struct TailPool {
    buffer: Vec<u8>,
    /// Held once by the pool and once by each held file.
    count: Arc<()>,
    held_max: usize,
    poll_bytes_max: u64,
    replay_max: Option<u64>,
}

/// An open file and its place in the count.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) file: File,
    _place: Arc<()>,
}

impl Default for TailPool {
    fn default() -> Self {
        Self::new(HELD_FILES_MAX)
    }
}

impl TailPool {
    /// A pool that holds `held_max` descriptors at most.
    #[must_use]
    pub fn new(held_max: usize) -> Self {
        Self::with_sizes(held_max, BLOCK_BYTES, POLL_BYTES_MAX)
    }

    /// A pool for files that hand on one block per poll.
    #[must_use]
    pub fn block_by_block() -> Self {
        Self::with_sizes(HELD_FILES_MAX, BLOCK_BYTES, BLOCK_BYTES as u64)
    }

    pub(super) fn with_sizes(held_max: usize, block_bytes: usize, poll_bytes_max: u64) -> Self {
        Self {
            buffer: vec![0; block_bytes],
            count: Arc::new(()),
            held_max,
            poll_bytes_max,
            replay_max: None,
        }
    }

    /// Of a larger file only about so many last bytes are to be read.
    pub fn set_replay_max(&mut self, bytes: u64) {
        self.replay_max = Some(bytes);
    }

    /// Bytes beyond which a file is to be begun in its middle.
    #[must_use]
    pub fn replay_max(&self) -> Option<u64> {
        self.replay_max
    }

    pub(super) fn poll_bytes_max(&self) -> u64 {
        self.poll_bytes_max
    }

    /// Descriptors that are held now.
    #[must_use]
    pub fn n_held(&self) -> usize {
        Arc::strong_count(&self.count) - 1
    }

    /// Keeps the file open if there is room, else closes it.
    pub(super) fn hold(&self, file: File) -> Option<Held> {
        (self.n_held() < self.held_max).then(|| Held {
            file,
            _place: Arc::clone(&self.count),
        })
    }

    /// The first bytes of the buffer, `n` or as many as there are.
    pub(super) fn buffer(&mut self, n: usize) -> &mut [u8] {
        let n = n.min(self.buffer.len());
        self.buffer.get_mut(..n).unwrap_or_default()
    }
}
