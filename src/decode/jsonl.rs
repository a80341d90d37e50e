//! JSON lines: one object per line.
//!
//! In: bytes. Out: a sample per number, its tag the key path joined with `/`. Invariants: the calls do not
//! depend on the splits; a line that is no object is skipped, counted and reported; memory is bounded by the
//! longest line and the key table.
//!
//! Shapes met: Levanter's `json_logger`, detectron2 and mmengine metrics, `RLlib` results, LLaMA-Factory logs,
//! W&B exports, `StyleGAN` statistics, and what people write by hand.

use super::json::Flattener;
use super::line::{LineFramer, RawLine};
use super::row::Rows;
use super::trouble::Trouble;
use super::{Decode, Settled, Sink, Tally};
use crate::model::Problem;

/// Decoder of JSON lines.
#[derive(Debug)]
pub struct JsonlDecoder {
    framer: LineFramer,
    lines: Lines,
}

#[derive(Debug, Default)]
struct Lines {
    flattener: Flattener,
    rows: Rows,
    tally: Tally,
    trouble: Trouble,
}

impl Default for JsonlDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl JsonlDecoder {
    /// A decoder at the first byte of a file.
    #[must_use]
    pub fn new() -> Self {
        Self {
            framer: LineFramer::default(),
            lines: Lines {
                rows: Rows::of_any_order(),
                ..Lines::default()
            },
        }
    }
}

impl Decode for JsonlDecoder {
    fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        let lines = &mut self.lines;
        self.framer.feed(bytes, |line| lines.take(&line, sink));
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        let lines = &mut self.lines;
        self.framer.finish(|line| lines.take(&line, sink));
        lines.rows.finish(sink);
        lines.trouble.finish(sink);
        let n_refused = lines.rows.keys.n_refused();
        if n_refused > 0 {
            sink.problem(Problem::note(
                0,
                format!("{n_refused} values under too many or too long names left out"),
            ));
        }
    }

    fn settle(&mut self, sink: &mut dyn Sink) -> Settled {
        self.lines.rows.settle(sink)
    }

    fn rest(&mut self) {
        self.framer.rest();
        self.lines.flattener.rest();
        self.lines.rows.rest();
    }

    fn tally(&self) -> Tally {
        self.lines.tally
    }

    fn format(&self) -> &'static str {
        "jsonl"
    }
}

impl Lines {
    fn take(&mut self, line: &RawLine<'_>, sink: &mut dyn Sink) {
        if let Some(bytes) = line.overlong {
            let what = line.problem().map(|p| p.what).unwrap_or_default();
            return self.skip(line.offset, bytes, what, sink);
        }
        // NUL bytes are holes that a crash or a network file system left in the file.
        let text = line.bytes.trim_ascii();
        let text = match text.iter().position(|b| *b != 0) {
            Some(start) => text.get(start..).unwrap_or_default().trim_ascii(),
            None => return,
        };
        if text.first() != Some(&b'{') {
            return self.skip(
                line.offset,
                line.bytes.len() as u64,
                "line is not a JSON object".into(),
                sink,
            );
        }
        self.take_objects(text, line, sink);
    }

    /// Reads the object of a line, and those glued to it by two writers of one file.
    fn take_objects(&mut self, text: &[u8], line: &RawLine<'_>, sink: &mut dyn Sink) {
        let mut rest = text;
        while !rest.is_empty() {
            let rows = &mut self.rows;
            rows.start();
            match self.flattener.flatten(rest, rows) {
                Ok(used) => {
                    rows.emit(line.offset, sink);
                    self.tally.records = self.tally.records.saturating_add(1);
                    rest = rest.get(used..).unwrap_or_default();
                }
                Err(error) => {
                    let place = text.len().saturating_sub(rest.len()).saturating_add(error.offset);
                    let what = format!("line {}: {} at byte {place} of the line", line.number, error.what);
                    return self.skip(line.offset, line.bytes.len() as u64, what, sink);
                }
            }
        }
    }

    fn skip(&mut self, offset: u64, bytes: u64, what: String, sink: &mut dyn Sink) {
        self.tally.skipped = self.tally.skipped.saturating_add(1);
        self.trouble.lost(offset, bytes, what, sink);
    }
}

#[cfg(test)]
mod tests;
