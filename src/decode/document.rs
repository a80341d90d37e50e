//! JSON documents: a file that is one value, or several pretty-printed ones.
//!
//! In: bytes. Out: samples, row by row. Invariants: the document is never held, only the row or scalar at hand
//! (up to [`UNIT_BYTES_MAX`]) and, for lists of values, at most [`VALUES_MAX`] numbers; after damage the rest of
//! the file is not guessed at.
//!
//! Shapes met: `trainer_state.json` of Hugging Face (`log_history` is a list of rows, `max_steps` stands behind
//! it), a list of rows, lists of values under keys (Keras `history.json`, Sacred `metrics.json` with `values`,
//! `steps` and `timestamps`), and the latest values only (`wandb-summary.json`, `DVCLive` `metrics.json`).

mod columns;
mod scan;

use std::collections::HashSet;

use foldhash::fast::RandomState;

use super::json::{Flattener, Hear, Scalar, is_media_type};
use super::row::Rows;
use super::trouble::Trouble;
use super::{Decode, Settled, Sink, Tally};
use crate::model::{Mark, Problem};
use columns::Columns;
use scan::{Scanner, Unit};

pub use columns::VALUES_MAX;
pub use scan::UNIT_BYTES_MAX;

/// Bytes of a document that are read; 4 million steps of a `trainer_state.json` with two numbers each.
pub const DOCUMENT_BYTES_MAX: u64 = 256 << 20;

/// Most histograms and media objects of a document that are known as such.
const OBJECTS_MAX: usize = 65_536;

/// Keys under which a list of objects is a list of rows.
const ROW_LISTS: [&str; 11] = [
    "",
    "log_history",
    "history",
    "logs",
    "log",
    "metrics",
    "records",
    "rows",
    "data",
    "train",
    "results",
];

/// Decoder of JSON documents.
#[derive(Debug)]
pub struct DocumentDecoder {
    scanner: Scanner,
    document: Document,
}

#[derive(Debug, Default)]
struct Document {
    flattener: Flattener,
    rows: Rows,
    /// Values that stand alone: the latest ones of a summary.
    latest: Rows,
    /// Where the root that is being read starts.
    root_offset: u64,
    n_rows_of_root: u64,
    columns: Columns,
    /// Paths of histograms and media objects of Weights & Biases, of which the members are no values.
    objects: HashSet<Box<str>, RandomState>,
    is_trainer_state: bool,
    has_left_out: bool,
    tally: Tally,
    trouble: Trouble,
}

impl Default for DocumentDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl DocumentDecoder {
    /// A decoder at the first byte of a file.
    #[must_use]
    pub fn new() -> Self {
        Self {
            scanner: Scanner::default(),
            document: Document {
                rows: Rows::of_any_order(),
                ..Document::default()
            },
        }
    }
}

impl Decode for DocumentDecoder {
    fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        let document = &mut self.document;
        self.scanner.feed(bytes, |unit| document.take(unit, sink));
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        let document = &mut self.document;
        self.scanner.finish(|unit| document.take(unit, sink));
        document.rows.finish(sink);
        document.trouble.finish(sink);
        let n_refused = document
            .rows
            .keys
            .n_refused()
            .saturating_add(document.latest.keys.n_refused());
        if n_refused > 0 {
            sink.problem(Problem::note(
                0,
                format!("{n_refused} values under too many or too long names left out"),
            ));
        }
    }

    fn settle(&mut self, sink: &mut dyn Sink) -> Settled {
        self.document.rows.settle(sink)
    }

    fn tally(&self) -> Tally {
        self.document.tally
    }

    fn format(&self) -> &'static str {
        if self.document.is_trainer_state {
            "trainer-state"
        } else {
            "json"
        }
    }
}

impl Document {
    fn take(&mut self, unit: Unit<'_>, sink: &mut dyn Sink) {
        match unit {
            Unit::RootStart { offset } => {
                self.root_offset = offset;
                self.n_rows_of_root = 0;
                self.latest.start();
                self.columns.clear();
                self.objects.clear();
            }
            Unit::Row { list, bytes, offset } => self.row(list, bytes, offset, sink),
            Unit::Element { list, bytes, .. } => self.element(list, bytes),
            Unit::Scalar { path, bytes, offset } => self.scalar(path, bytes, offset, sink),
            Unit::RootEnd => self.end_root(sink),
            Unit::Damage { offset, bytes, what } => {
                self.end_columns(sink);
                self.skip(offset, bytes, what, sink);
            }
        }
    }

    fn row(&mut self, list: &str, bytes: &[u8], offset: u64, sink: &mut dyn Sink) {
        self.is_trainer_state |= list == "log_history";
        if !ROW_LISTS.contains(&list) {
            return;
        }
        let rows = &mut self.rows;
        rows.start();
        if let Err(error) = self.flattener.flatten(bytes, rows) {
            return self.skip(offset, bytes.len() as u64, error.to_string(), sink);
        }
        rows.emit(offset, sink);
        self.n_rows_of_root = self.n_rows_of_root.saturating_add(1);
        self.tally.records = self.tally.records.saturating_add(1);
    }

    fn element(&mut self, list: &str, bytes: &[u8]) {
        let mut value = None;
        let read = self.flattener.flatten(bytes, &mut |_: &str, scalar: Scalar<'_>| {
            value = match scalar {
                Scalar::Number(number) => Some(number),
                Scalar::Text(text) => super::number::parse_all(text.as_bytes()),
                _ => None,
            };
        });
        if read.is_ok() {
            self.has_left_out |= !self.columns.push(list, value);
        }
    }

    fn scalar(&mut self, path: &str, bytes: &[u8], offset: u64, sink: &mut dyn Sink) {
        if let Some(object) = path.strip_suffix("/_type")
            && self.objects.len() < OBJECTS_MAX
            && is_object_type(bytes)
        {
            self.objects.insert(object.into());
        }
        let latest = &mut self.latest;
        let mut planned = None;
        let read = self.flattener.flatten(bytes, &mut |_: &str, scalar: Scalar<'_>| {
            if let (Scalar::Number(number), "max_steps") = (&scalar, path) {
                planned = super::axis::integer(number.value);
            }
            latest.scalar(path, scalar);
        });
        if let Err(error) = read {
            self.skip(offset, bytes.len() as u64, error.to_string(), sink);
        }
        if let Some(steps) = planned.filter(|steps| *steps > 0)
            && (self.is_trainer_state || self.n_rows_of_root > 0)
        {
            sink.mark(Mark::PlannedSteps(steps));
        }
    }

    /// The latest values are a row of their own only where the document has no rows or lists, and says a step
    /// or an epoch: a configuration does not.
    fn end_root(&mut self, sink: &mut dyn Sink) {
        self.leave_out_objects();
        let is_latest = self.n_rows_of_root == 0 && !self.is_trainer_state && !self.columns.is_log();
        self.end_columns(sink);
        if is_latest && self.latest.is_placed() && self.latest.emit(self.root_offset, sink) {
            self.tally.records = self.tally.records.saturating_add(1);
        }
        self.latest.start();
    }

    /// The members of an object may come before the word that says what it is.
    fn leave_out_objects(&mut self) {
        let objects = &self.objects;
        if objects.is_empty() {
            return;
        }
        let is_member = |path: &str| {
            path.match_indices('/')
                .any(|(at, _)| path.get(..at).is_some_and(|it| objects.contains(it)))
        };
        self.columns.remove_under(is_member);
        self.latest.remove_under(is_member);
    }

    fn end_columns(&mut self, sink: &mut dyn Sink) {
        let n_rows = self.columns.emit(self.root_offset, sink);
        self.tally.records = self.tally.records.saturating_add(n_rows);
        if std::mem::take(&mut self.has_left_out) {
            let what = format!("lists with more than {VALUES_MAX} values in all, the rest left out");
            self.trouble.lost(self.root_offset, 0, what, sink);
        }
    }

    fn skip(&mut self, offset: u64, bytes: u64, what: impl Into<String>, sink: &mut dyn Sink) {
        self.tally.skipped = self.tally.skipped.saturating_add(1);
        self.trouble.lost(offset, bytes, what, sink);
    }
}

/// Whether the text of `_type` names a histogram or a media object.
fn is_object_type(json: &[u8]) -> bool {
    let text = json.strip_prefix(b"\"").and_then(|it| it.strip_suffix(b"\""));
    text.is_some_and(|it| it == b"histogram" || is_media_type(it))
}

#[cfg(test)]
mod tests;
