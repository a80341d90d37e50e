//! Cuts a byte stream into `TFRecords` and survives damage.
//!
//! In: the bytes of a file, in pieces of any size. Out: calls on a [`Visit`]: whole records with valid
//! checksums, and the gaps between them. Invariant: the calls depend on the bytes, not on how they were split;
//! at most [`HELD_BYTES_MAX`] and one block are held, whatever lengths the file declares.
//!
//! Decisions that need bytes not yet there (is the record behind a damaged one intact?) wait for them.

use super::gap::{Cause, Gap, Search, next_header};
use super::tfrecord::{
    FOOTER_BYTES, FRAME_BYTES, HEADER_BYTES, Header, HeaderReader, mask, masked_crc, split_record,
};

/// Longest record that is held to be parsed; longer ones are checked and passed over in a stream.
pub(crate) const HELD_BYTES_MAX: u64 = 16 << 20;
/// Records above this are asked about with [`Visit::is_bulk`] before they are held.
pub(crate) const BULK_BYTES_MIN: u64 = 64 << 10;
/// How much of a large record's payload is shown to [`Visit::is_bulk`].
pub(crate) const PREFIX_BYTES: usize = 4096;
/// Bytes taken at a time while searching for the next valid record.
const SEARCH_BYTES: usize = 64 << 10;
/// Payload bytes that may be checked in vain while searching, before the search moves by whole records:
/// keeps the work linear on files made of valid headers only.
const SEARCH_BUDGET: u64 = 1 << 30;

/// Receives what is found, in file order.
pub(crate) trait Visit {
    /// A record with valid checksums.
    fn record(&mut self, offset: u64, payload: &[u8]);
    /// Whether a record of `length` payload bytes that begins with `prefix` need not be held in memory.
    fn is_bulk(&mut self, prefix: &[u8], length: u64) -> bool;
    /// A record with valid checksums was passed over; `is_bulk` tells why: no interest, or too long to hold.
    fn passed_over(&mut self, offset: u64, bytes: u64, is_bulk: bool);
    /// Bytes that are not a valid record.
    fn gap(&mut self, gap: &Gap);
}

#[derive(Debug)]
enum State {
    Records,
    Passing(Passing),
    Searching(Search),
}

/// A record that is checked without being held.
#[derive(Debug, Clone, Copy)]
struct Passing {
    start: u64,
    length: u64,
    left: u64,
    crc: u32,
    is_bulk: bool,
}

enum Step {
    /// So many bytes are done with, go on.
    Used(usize),
    /// So many bytes are done with; nothing can be decided before so many bytes are there behind them.
    Wait { used: usize, want: usize },
}

/// Where in the search a record was found.
enum Found {
    Valid(usize),
    /// A header whose record is not complete yet, and its size.
    Incomplete(usize, usize),
    /// None; so many bytes need not be looked at again.
    Nothing(usize),
}

/// Cuts a byte stream into records.
#[derive(Debug)]
pub(crate) struct Framer {
    /// File offset of the first byte that is not done with.
    position: u64,
    /// Bytes that are not done with, carried over to the next call.
    held: Vec<u8>,
    /// How many bytes must be held before anything can be decided.
    want: usize,
    state: State,
    headers: HeaderReader,
    search_budget: u64,
}

impl Framer {
    pub(crate) fn new() -> Self {
        Self {
            position: 0,
            held: Vec::new(),
            want: HEADER_BYTES,
            state: State::Records,
            headers: HeaderReader::new(),
            search_budget: SEARCH_BUDGET,
        }
    }

    /// Takes the next bytes.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], visit: &mut impl Visit) {
        while !self.held.is_empty() {
            let Some((taken, rest)) = bytes.split_at_checked(self.top_up_bytes().min(bytes.len())) else {
                return;
            };
            if taken.is_empty() {
                return;
            }
            bytes = rest;
            self.held.extend_from_slice(taken);
            if self.held.len() < self.want {
                return;
            }
            let mut held = std::mem::take(&mut self.held);
            let used = self.run(&held, visit, false);
            held.drain(..used);
            held.shrink_to(SEARCH_BYTES.max(held.len()));
            self.held = held;
        }
        let used = self.run(bytes, visit, false);
        self.held.extend_from_slice(bytes.get(used..).unwrap_or_default());
    }

    /// Nothing will follow: judges what is held.
    pub(crate) fn finish(&mut self, visit: &mut impl Visit) {
        let mut held = std::mem::take(&mut self.held);
        let used = self.run(&held, visit, true);
        held.drain(..used);
        self.held = held;
    }

    /// First byte that is not done with: the start of an unfinished record or of a gap that is still open.
    pub(crate) fn resume_offset(&self) -> Option<u64> {
        match &self.state {
            State::Searching(search) => Some(search.start),
            State::Passing(passing) => Some(passing.start),
            State::Records if self.held.is_empty() => None,
            State::Records => Some(self.position),
        }
    }

    /// Forgets what is held, so that the bytes from the returned offset on can be fed again.
    pub(crate) fn rewind(&mut self) -> u64 {
        self.position = self.resume_offset().unwrap_or(self.position);
        self.held.clear();
        self.want = HEADER_BYTES;
        self.state = State::Records;
        self.position
    }

    /// Whether all bytes from the open record's checksum on are zero so far.
    pub(crate) fn is_waiting_at_zeros(&self) -> bool {
        match &self.state {
            State::Searching(search) => {
                let mut search = *search;
                search.pass(self.position, &self.held);
                search.is_unwritten()
            }
            State::Records => self.holds_record_without_checksum(),
            State::Passing(_) => false,
        }
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.held.capacity()
    }

    fn holds_record_without_checksum(&self) -> bool {
        let Some(length) = self.held.first_chunk::<8>() else {
            return false;
        };
        let record_end = usize::try_from(u64::from_le_bytes(*length))
            .ok()
            .and_then(|length| length.checked_add(HEADER_BYTES));
        match record_end.and_then(|end| self.held.get(end..)) {
            Some(behind) => behind.len() >= FOOTER_BYTES && behind.iter().all(|byte| *byte == 0),
            None => false,
        }
    }

    fn top_up_bytes(&self) -> usize {
        let wanted = self.want.saturating_sub(self.held.len()).max(1);
        match self.state {
            State::Searching(_) => wanted.max(SEARCH_BYTES),
            State::Records | State::Passing(_) => wanted,
        }
    }

    /// Works through `bytes`, which begin at `self.position`, and returns how many are done with.
    fn run(&mut self, bytes: &[u8], visit: &mut impl Visit, is_end: bool) -> usize {
        let mut done = 0;
        loop {
            let rest = bytes.get(done..).unwrap_or_default();
            let step = match self.state {
                State::Records => self.take_record(rest, visit, is_end),
                State::Passing(passing) => self.pass_over(passing, rest, visit),
                State::Searching(search) => self.search(search, rest, visit, is_end),
            };
            let (Step::Used(used) | Step::Wait { used, .. }) = step;
            done += used;
            self.position += used as u64;
            if let Step::Wait { want, .. } = step {
                self.want = want;
                return done;
            }
        }
    }

    #[inline]
    fn take_record(&mut self, rest: &[u8], visit: &mut impl Visit, is_end: bool) -> Step {
        let Some(header) = rest.first_chunk::<HEADER_BYTES>() else {
            return self.wait_for_record(rest, HEADER_BYTES, is_end);
        };
        let length = match self.headers.read(header) {
            Header::Length(length) if length <= BULK_BYTES_MIN => length,
            Header::Length(length) => match self.judge_large(rest, length, visit, is_end) {
                Some(step) => return step,
                None => length,
            },
            Header::TooLong(length) => return self.start_search(Cause::TooLong(length), 0),
            Header::Zeros => return self.start_search(Cause::Zeros, HEADER_BYTES),
            Header::Bad => return self.start_search(Cause::LengthChecksum, HEADER_BYTES),
        };
        let record_bytes = length as usize + FRAME_BYTES;
        match split_record(rest, length as usize) {
            Some((payload, stored)) if masked_crc(payload) == stored => {
                visit.record(self.position, payload);
                Step::Used(record_bytes)
            }
            Some((_, stored)) => self.judge_damaged(rest, record_bytes, stored, visit, is_end),
            None => self.wait_for_record(rest, record_bytes, is_end),
        }
    }

    fn wait_for_record(&mut self, rest: &[u8], want: usize, is_end: bool) -> Step {
        if is_end && !rest.is_empty() {
            return self.start_search(Cause::Unfinished, 0);
        }
        Step::Wait { used: 0, want }
    }

    /// A large record is held only when it is worth it; `None` says so.
    fn judge_large(
        &mut self,
        rest: &[u8],
        length: u64,
        visit: &mut impl Visit,
        is_end: bool,
    ) -> Option<Step> {
        let Some(prefix) = rest.get(HEADER_BYTES..HEADER_BYTES + PREFIX_BYTES) else {
            return Some(self.wait_for_record(rest, HEADER_BYTES + PREFIX_BYTES, is_end));
        };
        let is_bulk = visit.is_bulk(prefix, length);
        if !is_bulk && length <= HELD_BYTES_MAX {
            return None;
        }
        self.state = State::Passing(Passing {
            start: self.position,
            length,
            left: length,
            crc: 0,
            is_bulk,
        });
        Some(Step::Used(HEADER_BYTES))
    }

    fn pass_over(&mut self, mut passing: Passing, rest: &[u8], visit: &mut impl Visit) -> Step {
        if passing.left > 0 {
            let bytes = usize::try_from(passing.left)
                .unwrap_or(usize::MAX)
                .min(rest.len());
            let Some(part) = rest.get(..bytes).filter(|part| !part.is_empty()) else {
                return Step::Wait { used: 0, want: 1 };
            };
            passing.crc = crc32c::crc32c_append(passing.crc, part);
            passing.left -= bytes as u64;
            self.state = State::Passing(passing);
            return Step::Used(bytes);
        }
        let Some(stored) = rest.first_chunk::<FOOTER_BYTES>() else {
            return Step::Wait {
                used: 0,
                want: FOOTER_BYTES,
            };
        };
        self.state = State::Records;
        let bytes = passing.length + FRAME_BYTES as u64;
        if mask(passing.crc) == u32::from_le_bytes(*stored) {
            visit.passed_over(passing.start, bytes, passing.is_bulk);
        } else {
            visit.gap(&Gap {
                offset: passing.start,
                bytes,
                cause: Cause::PayloadChecksum,
                is_last: false,
                is_one_record: true,
                is_blank: false,
            });
        }
        Step::Used(FOOTER_BYTES)
    }

    /// The payload's checksum does not hold. If a record follows where the length says, only this one is lost;
    /// if not, bytes are missing or too many, and valid records may stand inside what it seems to span.
    fn judge_damaged(
        &mut self,
        rest: &[u8],
        record_bytes: usize,
        stored: u32,
        visit: &mut impl Visit,
        is_end: bool,
    ) -> Step {
        let behind = rest
            .get(record_bytes..)
            .and_then(|behind| behind.first_chunk::<HEADER_BYTES>());
        let is_framed = match behind.map(|header| self.headers.read(header)) {
            Some(Header::Length(_)) => true,
            Some(Header::Zeros) => stored != 0,
            Some(_) => false,
            None if is_end => false,
            None => {
                return Step::Wait {
                    used: 0,
                    want: record_bytes + HEADER_BYTES,
                };
            }
        };
        if !is_framed {
            return self.start_search(Cause::PayloadChecksum, record_bytes);
        }
        visit.gap(&Gap {
            offset: self.position,
            bytes: record_bytes as u64,
            cause: Cause::PayloadChecksum,
            is_last: false,
            is_one_record: true,
            is_blank: false,
        });
        Step::Used(record_bytes)
    }

    fn start_search(&mut self, cause: Cause, record_bytes: usize) -> Step {
        self.state = State::Searching(Search {
            start: self.position,
            cause,
            record_end: self.position + record_bytes as u64,
            nonzero_end: self.position,
        });
        Step::Used(0)
    }

    fn search(&mut self, mut search: Search, rest: &[u8], visit: &mut impl Visit, is_end: bool) -> Step {
        let (used, want, is_over) = match self.find_record(search.start, rest, is_end) {
            Found::Valid(at) => (at, 0, true),
            Found::Incomplete(at, record_bytes) => (at, record_bytes, is_end),
            Found::Nothing(_) if is_end => (rest.len(), 0, true),
            Found::Nothing(searched) => (searched, rest.len() - searched + 1, false),
        };
        search.pass(self.position, rest.get(..used).unwrap_or_default());
        if !is_over {
            self.state = State::Searching(search);
            return Step::Wait { used, want };
        }
        let is_last = want > 0 || used == rest.len();
        let is_normal_tail = is_last && (search.cause == Cause::Unfinished || search.is_unwritten());
        if is_normal_tail {
            self.state = State::Searching(search);
            return Step::Wait { used, want };
        }
        self.state = State::Records;
        visit.gap(&search.gap_until(self.position + used as u64, is_last));
        if is_last {
            Step::Wait { used, want }
        } else {
            Step::Used(used)
        }
    }

    /// The first valid record in `rest`, not counting one at `start`, which is known to be damaged.
    fn find_record(&mut self, start: u64, rest: &[u8], is_end: bool) -> Found {
        let mut at = usize::from(self.position == start);
        let mut first_incomplete = None;
        while let Some(candidate) = next_header(rest, at) {
            at = candidate;
            let tail = rest.get(at..).unwrap_or_default();
            let header = tail
                .first_chunk::<HEADER_BYTES>()
                .map(|header| self.headers.read(header));
            let Some(Header::Length(length)) = header else {
                at += 1;
                continue;
            };
            if length > HELD_BYTES_MAX {
                return Found::Valid(at);
            }
            let record_bytes = length as usize + FRAME_BYTES;
            match split_record(tail, length as usize) {
                Some((payload, stored)) if masked_crc(payload) == stored => return Found::Valid(at),
                Some(_) => at += self.move_past_damaged(record_bytes),
                None if is_end => {
                    first_incomplete = first_incomplete.or(Some((at, record_bytes)));
                    at += 1;
                }
                None => return Found::Incomplete(at, record_bytes),
            }
        }
        match first_incomplete {
            Some((at, record_bytes)) => Found::Incomplete(at, record_bytes),
            // A header may begin in the last bytes.
            None => Found::Nothing(
                at.max(rest.len().saturating_sub(HEADER_BYTES - 1))
                    .min(rest.len()),
            ),
        }
    }

    fn move_past_damaged(&mut self, record_bytes: usize) -> usize {
        self.search_budget = self.search_budget.saturating_sub(record_bytes as u64);
        if self.search_budget > 0 { 1 } else { record_bytes }
    }
}

#[cfg(test)]
mod tests;
