//! Bytes to samples. Knows formats, not files.
//!
//! In: the bytes of one file, in pieces of any size. Out: calls on a [`Sink`]. Invariants: the calls do not
//! depend on where the bytes were split; a damaged record is skipped, counted and reported, the rest is read;
//! no declared length is trusted; memory does not grow with the file.

mod axis;
mod bulk;
pub mod clearml;
pub mod csv;
pub mod detect;
pub mod document;
mod encoding;
mod event;
pub mod event_write;
mod faults;
mod framer;
mod gap;
mod histogram;
pub mod json;
pub mod jsonl;
mod key;
pub mod line;
mod message;
pub mod mlflow;
pub mod number;
mod prefixed;
mod proto;
#[cfg(test)]
mod real_files;
#[cfg(test)]
pub(crate) mod record;
mod regroup;
mod row;
mod tensor;
pub mod text;
pub mod tfrecord;
mod transcode;
mod trouble;
pub mod unpack;
mod wall_time;
pub mod wandb;

use crate::model::{Mark, Problem, Sample, TextLine};

pub use detect::{HEAD_BYTES_MAX, Opened, open, open_reading};
pub use event::EventDecoder;
pub use text::own::OwnPatterns;

/// Receives what a decoder finds, in file order.
pub trait Sink {
    /// A named number.
    fn sample(&mut self, sample: &Sample<'_>);
    /// A line of text (text logs only).
    fn line(&mut self, line: &TextLine<'_>);
    /// A restart, a planned length, a missing field.
    fn mark(&mut self, mark: Mark<'_>);
    /// A part that could not be read, or a fact that deserves a line.
    fn problem(&mut self, problem: Problem);
}

/// How many records a decoder took and skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records (lines, events, rows) that were read.
    pub records: u64,
    /// Records that were skipped because they could not be read.
    pub skipped: u64,
}

/// What was given of a live file, all of whose bytes so far were fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// All that can be known of these bytes; what follows is joined to it.
    Whole,
    /// All of these bytes, but what follows may belong before it: then the file has to be read from its start.
    SoFar,
    /// These bytes have to be read from the start of the file again: what was given before was in a wrong order.
    Void,
}

/// A resumable decoder of one file.
pub trait Decode: Send {
    /// Takes the next bytes of the file. May hold back an unfinished record.
    fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink);
    /// The file is at its end and nobody will append: what is held back is all there is. An unfinished last
    /// line is read, an unfinished binary record is the normal state of a live file and is dropped silently.
    fn finish(&mut self, sink: &mut dyn Sink);
    /// All that is there, `fed` bytes, was fed, but the file is live. When bytes that are held back may still be
    /// overwritten (zeros, an unfinished binary record), forgets them and gives the offset from which to feed again
    /// once the file has changed.
    fn give_back(&mut self, _fed: u64) -> Option<u64> {
        None
    }
    /// All that is there was fed, but the file is live: gives what was held back to be put in order. What is fed
    /// after [`Settled::SoFar`] is not read.
    fn settle(&mut self, _sink: &mut dyn Sink) -> Settled {
        Settled::Whole
    }
    /// Nothing more is to be read for now: gives memory back that only speeds reading up.
    fn rest(&mut self) {}
    /// Records so far.
    fn tally(&self) -> Tally;
    /// Name of the format as far as it is known now, e.g. `tfevents`, `jsonl`, `text-megatron`.
    fn format(&self) -> &'static str;
}
