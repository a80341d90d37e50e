//! Counts what goes wrong in one file, and reports it without flooding.
//!
//! In: faults as they are met. Out: [`Problem`]s. Invariant: of each kind the first [`N_REPORTED_MAX`] are
//! reported one by one, the others as one sum at the end; none is lost from the count.

use super::Sink;
use crate::model::Problem;

/// Faults of one kind that are reported one by one.
pub(crate) const N_REPORTED_MAX: u64 = 20;

/// A kind of fault in an event file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    PayloadChecksum,
    LostBytes,
    UnwrittenHole,
    LengthAboveLimit,
    TooLargeToParse,
    Undecodable,
    WallTime,
    TagNotUtf8,
    NoTag,
}

const N_FAULTS: usize = Fault::NoTag as usize + 1;

impl Fault {
    const ALL: [Fault; N_FAULTS] = [
        Fault::PayloadChecksum,
        Fault::LostBytes,
        Fault::UnwrittenHole,
        Fault::LengthAboveLimit,
        Fault::TooLargeToParse,
        Fault::Undecodable,
        Fault::WallTime,
        Fault::TagNotUtf8,
        Fault::NoTag,
    ];

    fn in_words(self) -> &'static str {
        match self {
            Fault::PayloadChecksum => "records with a bad payload checksum skipped",
            Fault::LostBytes => "parts skipped to the next valid record",
            Fault::UnwrittenHole => "holes of zero bytes: not yet written",
            Fault::LengthAboveLimit => "declared record lengths above the limit",
            Fault::TooLargeToParse => "records too large to parse skipped",
            Fault::Undecodable => "records that do not decode skipped",
            Fault::WallTime => "events with an unusable wall time",
            Fault::TagNotUtf8 => "tags that are not UTF-8",
            Fault::NoTag => "values without a tag",
        }
    }

    /// Whether the data is there all the same.
    fn is_note(self) -> bool {
        matches!(self, Fault::WallTime | Fault::TagNotUtf8)
    }
}

/// The faults of one file so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    counts: [u64; N_FAULTS],
    bytes: [u64; N_FAULTS],
}

impl Faults {
    /// Counts a fault in `bytes` bytes at `offset`, and reports it unless there were too many of its kind.
    pub(crate) fn report(
        &mut self,
        fault: Fault,
        offset: u64,
        bytes: u64,
        what: impl FnOnce() -> String,
        sink: &mut dyn Sink,
    ) {
        let count = &mut self.counts[fault as usize];
        *count += 1;
        if *count > N_REPORTED_MAX {
            let unreported = &mut self.bytes[fault as usize];
            *unreported = unreported.saturating_add(bytes);
        } else if fault.is_note() {
            sink.problem(Problem::note(offset, what()));
        } else {
            sink.problem(Problem::lost(offset, bytes, what()));
        }
    }

    /// Reports what was only counted, and counts anew.
    pub(crate) fn finish(&mut self, sink: &mut dyn Sink) {
        let totals = std::mem::take(self);
        for (fault, (count, bytes)) in Fault::ALL
            .into_iter()
            .zip(totals.counts.into_iter().zip(totals.bytes))
        {
            if count > N_REPORTED_MAX {
                sink.problem(Problem {
                    path: String::new(),
                    offset: None,
                    bytes: (!fault.is_note()).then_some(bytes),
                    what: format!("{} more {}", count - N_REPORTED_MAX, fault.in_words()),
                    is_note: fault.is_note(),
                });
            }
        }
    }
}
