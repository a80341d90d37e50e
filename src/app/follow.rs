//! One event file that is being written, from its changes to samples.
//!
//! In: polls. Out: what the decoder finds, and what became of the file, to a [`FollowSink`]. Invariants: a decoder
//! sees the bytes of one generation only; an unfinished record, or zeros, at the end of what is there are not taken
//! for content: they are read again once the file has changed, so that what is written over them is not lost. (A
//! checksum of which some bytes are still zeros is taken for damage; when it is completed, the file counts as
//! rewritten and is read again as a whole.)

use std::path::PathBuf;

use crate::decode::{Decode, EventDecoder, Sink, Tally};
use crate::model::Problem;
use crate::source::{Change, Polled, Tail, TailPool};

/// An unfinished record up to this size is read again when the file has changed; a longer one, which holds no zeros
/// that wait to be written, is kept.
const REREAD_BYTES_MAX: u64 = 64 << 10;

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
        // Only what stands at the end can be written later; what more bytes follow is the decoder's to judge.
        if polled != Polled::More && self.may_be_overwritten() {
            self.tail.reread_from(self.decoder.rewind());
        }
        polled
    }

    /// Whether what the decoder holds back may get other bytes: zeros, or a record of which some pages were not
    /// written yet.
    fn may_be_overwritten(&self) -> bool {
        let is_short = |start| self.tail.offset().saturating_sub(start) <= REREAD_BYTES_MAX;
        self.decoder.is_waiting_at_zeros() || self.decoder.resume_offset().is_some_and(is_short)
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

#[cfg(test)]
mod tests {
    use super::{EventFollower, FileNews, FollowSink};
    use crate::decode::Sink;
    use crate::decode::event_write::{file_of, scalar_event, version_event};
    use crate::model::{Mark, Problem, Sample, TextLine};
    use crate::source::{Polled, TailPool};
    use std::fs::{self, File, OpenOptions};
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    #[derive(Default)]
    struct Heard {
        steps: Vec<i64>,
        problems: Vec<String>,
        news: Vec<FileNews>,
    }

    impl Sink for Heard {
        fn sample(&mut self, sample: &Sample<'_>) {
            self.steps.push(sample.step);
        }
        fn line(&mut self, _line: &TextLine<'_>) {}
        fn mark(&mut self, _mark: Mark<'_>) {}
        fn problem(&mut self, problem: Problem) {
            self.problems.push(problem.to_string());
        }
    }

    impl FollowSink for Heard {
        fn news(&mut self, news: FileNews) {
            if news == FileNews::Rewritten {
                self.steps.clear();
            }
            self.news.push(news);
        }
    }

    fn event_file(tag: &str, n_steps: i64) -> Vec<u8> {
        let points = (0..n_steps).map(|step| scalar_event(1e9, step, tag, 1.0));
        file_of(
            &std::iter::once(version_event(1e9))
                .chain(points)
                .collect::<Vec<_>>(),
        )
    }

    fn look(follower: &mut EventFollower, pool: &mut TailPool, heard: &mut Heard) {
        while follower.poll(pool, heard) == Polled::More {}
    }

    #[test]
    fn a_file_that_grows_byte_by_byte_gives_each_point_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.out.tfevents.1");
        let (mut pool, mut heard) = (TailPool::default(), Heard::default());
        let mut follower = EventFollower::new(&path);
        let mut file = File::create(&path).unwrap();
        for byte in event_file("loss", 20) {
            file.write_all(&[byte]).unwrap();
            look(&mut follower, &mut pool, &mut heard);
        }
        assert_eq!(heard.steps, (0..20).collect::<Vec<i64>>());
        assert_eq!((heard.problems.len(), heard.news.len()), (0, 0));
    }

    #[test]
    fn a_preallocated_file_that_is_filled_in_pieces_of_any_size_gives_each_point_once() {
        let bytes = event_file("loss", 20);
        let ends: Vec<usize> = (0..=20).map(|n| event_file("loss", n).len()).collect();
        for (piece, held_max) in [
            (1, 8),
            (2, 0),
            (3, 8),
            (7, 0),
            (11, 8),
            (47, 0),
            (48, 8),
            (500, 8),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("events.out.tfevents.1");
            let (mut pool, mut heard) = (TailPool::new(held_max), Heard::default());
            let mut follower = EventFollower::new(&path);
            fs::write(&path, vec![0; bytes.len() + 300]).unwrap();
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            look(&mut follower, &mut pool, &mut heard);
            for (n, part) in bytes.chunks(piece).enumerate() {
                file.write_all_at(part, (n * piece) as u64).unwrap();
                look(&mut follower, &mut pool, &mut heard);
            }
            assert_eq!(heard.steps, (0..20).collect::<Vec<i64>>(), "pieces of {piece}");
            // Only a cut inside the four bytes of a payload's checksum looks like damage.
            let cuts_checksum = |end: usize| ends.iter().any(|it| (it - 3..*it).contains(&end));
            let n_torn = (1..=bytes.len() / piece)
                .filter(|n| cuts_checksum(n * piece))
                .count();
            assert_eq!(
                heard.problems.is_empty(),
                n_torn == 0,
                "pieces of {piece}: {:?}",
                heard.problems
            );
        }
    }

    #[test]
    fn an_unfinished_record_is_never_glued_to_a_new_generation() {
        let (old, new) = (event_file("old", 5), event_file("new", 9));
        for cut in 1..40 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("events.out.tfevents.1");
            let (mut pool, mut heard) = (TailPool::default(), Heard::default());
            let mut follower = EventFollower::new(&path);
            fs::write(&path, &old[..old.len() - cut]).unwrap();
            look(&mut follower, &mut pool, &mut heard);
            fs::write(&path, &new).unwrap();
            look(&mut follower, &mut pool, &mut heard);
            assert_eq!(heard.news, [FileNews::Rewritten]);
            assert_eq!(heard.problems.len(), 1, "{:?}", heard.problems);
            assert_eq!(heard.steps, (0..9).collect::<Vec<i64>>(), "{cut}");
            assert_eq!(follower.tally().records, 10);
        }
    }
}
