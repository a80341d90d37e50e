//! One line after the other: cleaned, stripped of its prefix, handed to who can read it.
//!
//! In: framed lines. Out: calls on the sink. Invariants: the entry that read the last line is asked first; a
//! line is read by one reader only; the text is validated once and borrowed, in the steady state nothing is
//! allocated.

use super::bar::{self, Bars};
use super::block::{self, Block, Boxed, Columns, Epochs};
use super::emit::{Emitter, Naming, Place};
use super::escape::without_escapes;
use super::keyvalue;
use super::layout::{Fit, Layouts};
use super::norm::{self, Name};
use super::own::{self, OwnPatterns};
use super::prefix::{self, Message};
use super::python_dict::{self, Dict, Dicts};
use super::screen;
use super::template::match_head;
use crate::decode::line::{RawLine, segments};
use crate::decode::{Sink, Tally};
use crate::model::{Mark, TextLine};

mod known;

/// Name of the format that the guarded fallback reads.
const KEYVALUE_NAME: &str = "text-keyvalue";

/// State of the reading of one file.
#[derive(Debug, Default)]
pub(super) struct Reader {
    emitter: Emitter,
    /// The entry that read the last record.
    sticky: usize,
    /// Records by format name.
    counts: Vec<(&'static str, u64)>,
    last_name: Option<&'static str>,
    skipped: u64,
    records: u64,
    bars: Bars,
    dicts: Dicts,
    block: Block,
    boxed: Boxed,
    columns: Columns,
    epochs: Epochs,
    /// The rank that the last line named.
    rank: Option<u32>,
    /// Per entry, the tag that every line of the kind carries.
    must_tags: Vec<(usize, String)>,
    clean: String,
    own: OwnPatterns,
    pub(super) layouts: Layouts,
    /// The message at hand is the whole line.
    is_whole_line: bool,
    /// No line is held back from the readers.
    pub(super) shows_all: bool,
}

impl Reader {
    pub(super) fn with_patterns(own: OwnPatterns) -> Self {
        Self {
            own,
            ..Self::default()
        }
    }

    #[cfg(test)]
    pub(super) fn learn_no_layouts(&mut self) {
        self.layouts = Layouts::never();
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            records: self.records,
            skipped: self.skipped,
        }
    }

    pub(super) fn format(&self) -> &'static str {
        // The first of equals: `max_by_key` takes the last.
        let best = self.counts.iter().rev().max_by_key(|(_, n)| *n);
        best.map_or("text", |(name, _)| name)
    }

    pub(super) fn line(&mut self, line: &RawLine<'_>, sink: &mut dyn Sink) {
        if let Some(problem) = line.problem() {
            self.skipped = self.skipped.saturating_add(1);
            sink.problem(problem);
            return;
        }
        for segment in segments(line.bytes) {
            self.segment(segment, line, sink);
        }
    }

    pub(super) fn finish(&mut self, sink: &mut dyn Sink) {
        let n_points = self.dicts.resolve(&mut self.emitter, sink);
        self.count(python_dict::NAME, n_points);
        let n_points = self.epochs.settle(&mut self.emitter, sink);
        self.count(block::EPOCHS_NAME, n_points);
        let n_points = self.bars.settle(&mut self.emitter, sink);
        self.count(bar::NAME, n_points);
    }

    fn count(&mut self, name: &'static str, n_points: u64) {
        if n_points == 0 {
            return;
        }
        self.records = self.records.saturating_add(1);
        self.last_name = Some(name);
        match self.counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, n)) => *n = n.saturating_add(1),
            None => self.counts.push((name, 1)),
        }
    }

    /// A further line of the record that was read last.
    fn count_more(&mut self, n_points: u64) {
        self.count(self.last_name.unwrap_or("text-block"), n_points);
    }

    fn segment(&mut self, bytes: &[u8], line: &RawLine<'_>, sink: &mut dyn Sink) {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return self.coloured(&String::from_utf8_lossy(bytes), line, sink);
        };
        // A layout holds no escapes: a line that fits has none.
        if self.known_layout(text.trim_end(), line, sink) {
            return;
        }
        if memchr::memchr(b'\x1b', bytes).is_some() {
            return self.coloured(text, line, sink);
        }
        self.text(text, line, sink);
    }

    fn coloured(&mut self, text: &str, line: &RawLine<'_>, sink: &mut dyn Sink) {
        let mut clean = std::mem::take(&mut self.clean);
        clean.clear();
        without_escapes(text, &mut clean);
        if !self.known_layout(clean.trim_end(), line, sink) {
            self.text(&clean, line, sink);
        }
        self.clean = clean;
    }

    /// Reads a line without a prefix whose layout is known.
    fn known_layout(&mut self, text: &str, line: &RawLine<'_>, sink: &mut dyn Sink) -> bool {
        if !self.own.is_empty() || !self.is_between_records() {
            return false;
        }
        let Some(fit) = self.layouts.fit(text, true) else {
            return false;
        };
        self.whole_line(text, fit, line, sink);
        true
    }

    fn text(&mut self, text: &str, line: &RawLine<'_>, sink: &mut dyn Sink) {
        let shown = text.trim_end();
        if !self.own.is_empty() {
            if self.own_line(shown, line, sink) {
                return;
            }
            if self.is_between_records()
                && let Some(fit) = self.layouts.fit(shown, true)
            {
                return self.whole_line(shown, fit, line, sink);
            }
        }
        if shown.is_empty() {
            return;
        }
        if self.waits_for_nothing() && !screen::holds_a_word(shown) {
            return self.dull(shown, line, sink);
        }
        if memchr::memchr(b'%', text.as_bytes()).is_some()
            && let Some(bar) = bar::parse(text)
        {
            return self.bar(&bar, line.offset, sink);
        }
        self.stripped(&prefix::strip(text), shown, line, sink);
    }

    /// A line that is a record only if its message begins like one.
    fn dull(&mut self, shown: &str, line: &RawLine<'_>, sink: &mut dyn Sink) {
        let has_prefix = screen::may_have_a_prefix(shown);
        if !has_prefix && !screen::may_begin_a_record(shown.trim_start()) {
            return self.told(shown, None, line, sink);
        }
        let message = prefix::strip(shown);
        if screen::may_begin_a_record(message.text) {
            return self.stripped(&message, shown, line, sink);
        }
        self.told(shown, message.rank, line, sink);
    }

    /// A line without its prefix.
    fn stripped(&mut self, message: &Message<'_>, shown: &str, line: &RawLine<'_>, sink: &mut dyn Sink) {
        self.told(shown, message.rank, line, sink);
        if message.text.is_empty() {
            return;
        }
        let place = Place {
            offset: line.offset,
            wall_time: message.wall_time,
        };
        let n_points = self.dicts.resolve(&mut self.emitter, sink);
        self.count(python_dict::NAME, n_points);
        self.is_whole_line = message.text.len() == shown.len();
        self.message(message, place, sink);
    }

    /// Tells a line of text and who wrote it.
    fn told(&mut self, text: &str, rank: Option<u32>, line: &RawLine<'_>, sink: &mut dyn Sink) {
        self.written_by(rank, sink);
        sink.line(&TextLine {
            text,
            offset: line.offset,
            number: line.number,
            step: self.emitter.last_step,
        });
    }

    /// Whether no reader wants the next line for what it read before.
    fn waits_for_nothing(&self) -> bool {
        !self.shows_all
            && self.is_between_records()
            && !self.dicts.is_open()
            && !self.epochs.is_counting()
            && !self.boxed.is_open()
            && !self.block.is_open()
            && !self.columns.is_known()
    }

    /// The rank that wrote the line at hand; said when it is another one than before.
    fn written_by(&mut self, rank: Option<u32>, sink: &mut dyn Sink) {
        if rank != self.rank {
            self.rank = rank;
            sink.mark(Mark::Rank(rank));
        }
    }

    /// Whether no record over several lines waits for its end.
    fn is_between_records(&self) -> bool {
        self.dicts.is_idle() && self.epochs.is_idle()
    }

    /// A line without a prefix whose layout is known.
    fn whole_line(&mut self, text: &str, fit: Fit, line: &RawLine<'_>, sink: &mut dyn Sink) {
        let place = Place {
            offset: line.offset,
            wall_time: None,
        };
        self.told(text, None, line, sink);
        self.fitting(fit, place, sink);
        self.bars.wrote(text, self.emitter.last_step);
    }

    /// A line that one of the user's patterns matches; nobody else reads it.
    fn own_line(&mut self, text: &str, line: &RawLine<'_>, sink: &mut dyn Sink) -> bool {
        let patterns = self.own.clone();
        let Some((pattern, reading)) = patterns.read(text) else {
            return false;
        };
        let message = prefix::strip(text);
        let place = Place {
            offset: line.offset,
            wall_time: message.wall_time,
        };
        self.told(text, message.rank, line, sink);
        let why = match reading {
            Ok(reading) => reading
                .emit(&mut self.emitter, place, sink)
                .map_err(str::to_owned),
            Err(bad) => Err(bad.to_string()),
        };
        match why {
            Ok(n_points) => self.count(own::NAME, n_points),
            Err(why) => {
                self.skipped = self.skipped.saturating_add(1);
                sink.problem(own::problem(pattern, &why, (line.offset, text.len() as u64)));
            }
        }
        true
    }

    fn bar(&mut self, bar: &bar::Bar<'_>, offset: u64, sink: &mut dyn Sink) {
        let place = Place {
            offset,
            wall_time: None,
        };
        let n_points = self.dicts.bar(bar, &mut self.emitter, sink);
        self.count(python_dict::NAME, n_points);
        if Some(bar.done) == bar.total
            && let Some(n_points) = self.columns.row(bar.desc, place, &mut self.emitter, sink)
        {
            return self.count(block::COLUMNS_NAME, n_points);
        }
        let n_points = self.bars.draw(bar, place, &mut self.emitter, sink);
        self.count(bar::NAME, n_points);
    }

    /// Asks the readers one after the other, those that know their lines for sure first.
    fn message(&mut self, message: &Message<'_>, place: Place, sink: &mut dyn Sink) {
        let before = self.records;
        let is_read = self.epoch(message.text, place, sink)
            || self.known(message, place, sink)
            || self.structured(message, place, sink)
            || self.any_record(message.text, place, sink);
        if is_read && self.records > before {
            self.bars.wrote(message.text, self.emitter.last_step);
        }
    }

    fn epoch(&mut self, text: &str, place: Place, sink: &mut dyn Sink) -> bool {
        if let Some(head) = match_head("epoch <epoch>/<planned><$>", text)
            && let Some(epoch) = head.epoch
        {
            let n_points = self.epochs.begin(epoch, head.planned, &mut self.emitter, sink);
            self.count(block::EPOCHS_NAME, n_points);
            return true;
        }
        if self.epochs.bar(text, place) {
            return true;
        }
        let n_points = self.epochs.settle(&mut self.emitter, sink);
        self.count(block::EPOCHS_NAME, n_points);
        false
    }

    /// Dicts, boxed tables, tables with a header, blocks, layer lines.
    fn structured(&mut self, message: &Message<'_>, place: Place, sink: &mut dyn Sink) -> bool {
        let text = message.text;
        if let Dict::Taken(n_points) = self.dicts.line(text, place, &mut self.emitter, sink) {
            self.count(python_dict::NAME, n_points);
            return true;
        }
        if let Some(n_points) = self.boxed.line(text, place, &mut self.emitter, sink) {
            self.count(block::BOXED_NAME, n_points);
            return true;
        }
        if self.columns.header(text) {
            return true;
        }
        if let Some(n_points) = self.columns.row(text, place, &mut self.emitter, sink) {
            self.count(block::COLUMNS_NAME, n_points);
            return true;
        }
        if !message.is_indented {
            let taken = self
                .block
                .line(text, false, place.offset, &mut self.emitter, sink);
            if let Some(n_points) = taken {
                self.count_more(n_points);
                return true;
            }
        }
        if text.starts_with("[after training is done]") {
            self.emitter.finished(sink);
            return true;
        }
        self.layer(message, self.emitter.last_step, place, sink)
    }

    /// A line with the norms of one layer.
    fn layer(&mut self, message: &Message<'_>, step: Option<i64>, place: Place, sink: &mut dyn Sink) -> bool {
        let Some((step, line)) = step.zip(norm::layer_line(message.text, message.is_indented)) else {
            return false;
        };
        let numbered;
        let layer = match line.name {
            Name::Path(path) => path,
            Name::Number(number) => {
                numbered = format!("layers.{number}");
                &numbered
            }
        };
        let mut n_points = 0;
        for (kind, number) in line.norms.into_iter().flatten() {
            self.emitter.layer_point(sink, (kind, layer), step, number, place);
            n_points += 1;
        }
        self.count_more(n_points);
        true
    }

    /// The guarded fallback.
    fn any_record(&mut self, text: &str, place: Place, sink: &mut dyn Sink) -> bool {
        let Some(record) = keyvalue::record(text) else {
            return false;
        };
        self.emitter.planned(sink, record.planned);
        if record.counts_epochs && !record.is_validation {
            self.emitter.epoch_steps(sink);
        }
        let prefix = if record.is_validation { "val/" } else { "" };
        let naming = Naming {
            prefix,
            ..Naming::default()
        };
        let taken = self.emitter.fields(sink, text, record.step, &naming, None, place);
        self.count(KEYVALUE_NAME, taken.n_points);
        true
    }
}
