//! One event file that is being written, from its changes to samples.
//!
//! In: polls. Out: what the decoder finds, and what became of the file, to a [`FollowSink`]. Invariants: a decoder
//! sees the bytes of one generation only; zeros at the end of what is there are not taken for content: they are read
//! again once the file has changed, so that what is written over them is not lost.

use std::path::PathBuf;

use crate::decode::{Decode, EventDecoder, Sink, Tally};
use crate::model::Problem;
use crate::source::{Change, Polled, Tail, TailPool};

/// What became of a followed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileNews {
    /// It has another content, which is read from byte 0: what was read of it before is another attempt.
    Rewritten,
    /// Another file with the same content took its place; reading goes on.
    Continued,
    /// It is not there any more, or not yet.
    Gone,
    /// It is there again.
    Back,
}

/// Receives what a followed file gives.
pub trait FollowSink: Sink {
    /// What became of the file; comes between the samples before and after it.
    fn news(&mut self, news: FileNews);
}

/// Follows one event file.
#[derive(Debug)]
pub struct EventFollower {
    tail: Tail,
    decoder: EventDecoder,
}

impl EventFollower {
    /// Follows the file at `path` from its first byte; it need not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            tail: Tail::new(path),
            decoder: EventDecoder::new(),
        }
    }

    /// The file as far as it was read.
    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Records of the present generation.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.decoder.tally()
    }

    /// Reads what is new. After [`Polled::More`] it should be called again soon.
    pub fn poll(&mut self, pool: &mut TailPool, sink: &mut dyn FollowSink) -> Polled {
        let decoder = &mut self.decoder;
        let polled = self.tail.poll(pool, &mut |change| apply(change, decoder, sink));
        // Only what stands at the end can be written later; zeros that more bytes follow are the decoder's to judge.
        if polled != Polled::More && self.decoder.is_waiting_at_zeros() {
            self.tail.reread_from(self.decoder.rewind());
        }
        polled
    }

    /// Nobody will write any more: what is held back is all there is.
    pub fn finish(&mut self, sink: &mut dyn FollowSink) {
        self.decoder.finish(sink);
    }
}

fn apply(change: Change<'_>, decoder: &mut EventDecoder, sink: &mut dyn FollowSink) {
    match change {
        Change::Bytes { bytes, .. } => decoder.feed(bytes, sink),
        Change::Rewritten {
            read_bytes,
            unread_bytes,
        } => {
            decoder.finish(sink);
            *decoder = EventDecoder::new();
            sink.problem(rewritten(read_bytes, unread_bytes));
            sink.news(FileNews::Rewritten);
        }
        Change::Continued => sink.news(FileNews::Continued),
        Change::Gone => sink.news(FileNews::Gone),
        Change::Back => sink.news(FileNews::Back),
        Change::Failed(problem) => sink.problem(problem),
    }
}

fn rewritten(read_bytes: u64, unread_bytes: u64) -> Problem {
    let what = "rewritten: its content is another one and is read from the start";
    if unread_bytes == 0 {
        return Problem::note(0, what);
    }
    let what = format!("{what}, {unread_bytes} bytes of the old content were not read");
    Problem::lost(read_bytes, unread_bytes, what)
}
