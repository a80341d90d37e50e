//! Training text logs of all frameworks, by a table of line templates.
//!
//! In: the bytes of a text file. Out: points, lines for rules that look at words, marks. A new format is an
//! entry in `table`, not a new parser; what is more than a line (blocks, tables, dicts, bars) has a file of its
//! own, and `keyvalue` reads what nobody knows, with guards. Invariant: the calls do not depend on where the
//! bytes were split; what is held back (the last state of a bar, a dict without its step) is bounded.

mod bar;
mod block;
mod emit;
mod escape;
mod keyvalue;
mod layout;
mod norm;
pub mod own;
mod prefix;
mod python_dict;
mod reader;
mod scan;
mod screen;
mod table;
mod template;
mod token;

use self::own::OwnPatterns;
use self::reader::Reader;
use super::line::LineFramer;
use super::{Decode, Sink, Tally};

/// Reads the text log of any framework.
#[derive(Debug, Default)]
pub struct TextDecoder {
    framer: LineFramer,
    reader: Reader,
}

impl TextDecoder {
    /// A decoder at the first byte of a file.
    #[must_use]
    pub fn new() -> Self {
        Self {
            framer: LineFramer::ending_at_returns(),
            reader: Reader::default(),
        }
    }

    /// A decoder that reads every line by its entry in the table.
    #[cfg(test)]
    fn without_layouts() -> Self {
        let mut decoder = Self::new();
        decoder.reader.learn_no_layouts();
        decoder
    }

    /// A decoder that shows every line to every reader.
    #[cfg(test)]
    fn without_screen() -> Self {
        let mut decoder = Self::new();
        decoder.reader.shows_all = true;
        decoder
    }

    /// A decoder that asks a user's patterns before the known formats.
    #[must_use]
    pub fn with_patterns(patterns: OwnPatterns) -> Self {
        Self {
            reader: Reader::with_patterns(patterns),
            ..Self::new()
        }
    }
}

impl Decode for TextDecoder {
    fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        let Self { framer, reader } = self;
        framer.feed(bytes, |line| reader.line(&line, sink));
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        let Self { framer, reader } = self;
        framer.finish(|line| reader.line(&line, sink));
        reader.finish(sink);
    }

    fn rest(&mut self) {
        self.framer.rest();
    }

    fn tally(&self) -> Tally {
        self.reader.tally()
    }

    fn format(&self) -> &'static str {
        self.reader.format()
    }
}

#[cfg(test)]
mod tests;
