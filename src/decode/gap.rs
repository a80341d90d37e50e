//! What stands between two valid records: the search for the next one, and the gap it leaves.
//!
//! In: the bytes that the search passes. Out: a [`Gap`] with its cause and range. Invariant: zeros where a record
//! or its checksum should be are told from damage, as they may be written later.

use super::tfrecord::{FOOTER_BYTES, HEADER_BYTES};

/// Bytes that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    pub(crate) cause: Cause,
    /// No valid record follows.
    pub(crate) is_last: bool,
    /// It is exactly one record: the framing is intact.
    pub(crate) is_one_record: bool,
    /// Nothing but zeros.
    pub(crate) is_blank: bool,
}

/// What was wrong at the start of a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    Zeros,
    LengthChecksum,
    PayloadChecksum,
    TooLong(u64),
    /// The record seemed to reach past the end of the file, yet valid records stand in it.
    Unfinished,
}

/// The search for the next valid record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Search {
    pub(crate) start: u64,
    pub(crate) cause: Cause,
    /// End of the damaged record as far as its header tells.
    pub(crate) record_end: u64,
    /// End of the last non-zero byte that was passed.
    pub(crate) nonzero_end: u64,
}

impl Search {
    /// Whether nothing but zeros stands where the record's checksum should: the rest was never written.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.nonzero_end.saturating_add(FOOTER_BYTES as u64) <= self.record_end
    }

    pub(crate) fn gap_until(&self, end: u64, is_last: bool) -> Gap {
        Gap {
            offset: self.start,
            bytes: end.saturating_sub(self.start),
            cause: self.cause,
            is_last,
            is_one_record: self.cause == Cause::PayloadChecksum && end == self.record_end,
            is_blank: self.nonzero_end == self.start,
        }
    }

    /// Takes note of `bytes` at `position`, which the search leaves behind.
    pub(crate) fn pass(&mut self, position: u64, bytes: &[u8]) {
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            self.nonzero_end = position + last as u64 + 1;
        }
    }
}

/// The next place from `at` on where a header can stand: the upper half of the length is zero, the header is not.
pub(crate) fn next_header(bytes: &[u8], at: usize) -> Option<usize> {
    let windows = bytes.get(at..)?.windows(HEADER_BYTES);
    let found = windows
        .into_iter()
        .position(|window| matches!(window, [_, _, _, _, 0, 0, 0, 0, a, b, c, d] if (a | b | c | d) != 0));
    found.map(|found| at + found)
}
