//! One file that is being written, from its changes to samples, whatever its format.
//!
//! In: polls. Out: what the decoder finds, and what became of the file, to a [`FollowSink`]. Invariants: a decoder
//! sees the bytes of one generation only; an unfinished line or record at the end of what is there is held back, and
//! what may still be overwritten is read again once the file has changed, so that nothing that is written over it is
//! lost (a checksum of which some bytes are still zeros is taken for damage; when it is completed, the file counts as
//! rewritten and is read again as a whole); a file that is larger than the pool says is begun in its middle, at a line
//! or record, and that is said; the format is the one that the file's first 64 KiB show, as for a file
//! that is read at once: while they grow it is looked at again, and when it turns out to be another one the file is
//! read from its start.

mod late;
#[cfg(test)]
mod late_tests;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::decode::{Decode, HEAD_BYTES_MAX, Opened, OwnPatterns, Settled, Sink, Tally, open_reading};
use crate::model::Problem;
use crate::source::{Change, Polled, Tail, TailPool};

use late::{LateStart, Shifted};

/// What became of a followed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileNews {
    /// It has another content, which is read from byte 0: what was read of it before is another attempt.
    Rewritten,
    /// Its format turned out to be another one: it is read again from byte 0, and what was read of it before is void.
    Recognised,
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
    /// The file cannot be read now. Said once; it is looked at again, more rarely.
    fn failed(&mut self, problem: Problem) {
        self.problem(problem);
    }
    /// This part of the file is not read: it was gone before it could be, or the file is too large.
    fn passed_over(&mut self, problem: Problem) {
        self.problem(problem);
    }
}

/// Follows one file.
pub struct Follower {
    tail: Tail,
    reader: Reader,
}

/// What the file was recognised as, and its decoder if there is one.
struct Reader {
    path: String,
    patterns: OwnPatterns,
    opened: Opened,
    /// Name of the answer; two answers with one name mean the same decoder.
    name: &'static str,
    /// Bytes of the head that the format was recognised by.
    head_bytes: u64,
    /// Bytes that were given in an order that only these bytes have: what follows may belong before them.
    settled_bytes: Option<u64>,
    /// Bytes that the decoder was not fed, and how many it was fed before them.
    skipped: Option<(u64, u64)>,
}

impl Follower {
    /// Follows the file at `path` from its first byte; it need not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::reading(path, OwnPatterns::default())
    }

    /// As [`Self::new`], with a user's own line patterns.
    #[must_use]
    pub fn reading(path: impl Into<PathBuf>, patterns: OwnPatterns) -> Self {
        let tail = Tail::new(path);
        let path = tail.path().to_string_lossy().into_owned();
        let reader = Reader {
            path,
            patterns,
            opened: Opened::Empty,
            name: "",
            head_bytes: 0,
            settled_bytes: None,
            skipped: None,
        };
        Self { tail, reader }
    }

    /// The file as far as it was read.
    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// What the file is.
    #[must_use]
    pub fn opened(&self) -> &Opened {
        &self.reader.opened
    }

    /// Records of the present generation.
    #[must_use]
    pub fn tally(&self) -> Tally {
        match &self.reader.opened {
            Opened::Decoder(decoder) => decoder.tally(),
            _ => Tally::default(),
        }
    }

    /// Reads what is new. After [`Polled::More`] it should be called again soon.
    pub fn poll(&mut self, pool: &mut TailPool, sink: &mut dyn FollowSink) -> Polled {
        if self.is_refused() {
            return Polled::Idle;
        }
        if self.tail.file_id().is_none()
            && let Some(bytes) = pool.replay_max()
        {
            self.skip_to_the_last(bytes, sink);
        }
        let reader = &mut self.reader;
        let polled = self.tail.poll(pool, &mut |change| reader.take(change, sink));
        if polled == Polled::Idle {
            return polled;
        }
        if polled != Polled::More && matches!(self.reader.opened, Opened::Empty) {
            // Zeros or blank lines say nothing yet, and may be overwritten.
            self.reader.head_bytes = 0;
            self.tail.reread_from(0);
            return polled;
        }
        if self.reader.is_worth_another_look(self.tail.offset()) {
            self.look_again(sink);
        }
        // Only what stands at the end can be written later; what more bytes follow is the decoder's to judge.
        let n_skipped = self.reader.n_skipped();
        if polled != Polled::More
            && let Opened::Decoder(decoder) = &mut self.reader.opened
            && let Some(offset) = decoder.give_back(self.tail.offset() - n_skipped)
        {
            self.tail.reread_from(offset + n_skipped);
        }
        if polled != Polled::More {
            self.settle(sink);
            if let Some(decoder) = self.reader.decoder() {
                decoder.rest();
            }
        }
        polled
    }

    /// Gives what is held back to be put in order. A table sorted by layer is read again as a whole once it has grown
    /// by a quarter, so that reading again costs a constant factor.
    fn settle(&mut self, sink: &mut dyn FollowSink) {
        let fed = self.tail.offset();
        // The first part of a file that is read late is not there to be put in order.
        if self.reader.skipped.is_some() {
            return;
        }
        let Some(decoder) = self.reader.decoder() else {
            return;
        };
        let is_due = match decoder.settle(sink) {
            Settled::Whole => return,
            Settled::SoFar => {
                let settled = *self.reader.settled_bytes.get_or_insert(fed);
                fed > settled + settled / 4
            }
            Settled::Void => true,
        };
        if is_due && self.read_again(sink) {
            self.reader.settled_bytes = Some(fed);
            if let Some(decoder) = self.reader.decoder() {
                decoder.settle(sink);
            }
        }
    }

    /// Feeds all that was read of the file to a fresh decoder.
    fn read_again(&mut self, sink: &mut dyn FollowSink) -> bool {
        let fed = self.tail.offset();
        let Some(head) = read_head(self.tail.path(), fed) else {
            return false;
        };
        self.reader.name = "";
        self.reader.recognise(&head);
        sink.news(FileNews::Recognised);
        if let Some(decoder) = self.reader.decoder() {
            feed_again(self.tail.path(), fed, decoder, sink);
        }
        true
    }

    /// Passes over all but the last bytes of a file that has more.
    fn skip_to_the_last(&mut self, bytes: u64, sink: &mut dyn FollowSink) {
        let path = self.tail.path();
        let size = fs::metadata(path).map_or(0, |it| it.len());
        if size <= bytes {
            return;
        }
        let Some(start) = LateStart::find(path, size, bytes, sink) else {
            return;
        };
        if self.tail.start_at(start.offset) {
            sink.passed_over(start.problem());
            self.reader.begin_late(start);
        }
    }

    /// Whether the file is surely no log that can be read. It is read again when it has become shorter.
    fn is_refused(&self) -> bool {
        let is_final = self.reader.head_bytes >= HEAD_BYTES_MAX as u64;
        let is_shorter = || fs::metadata(self.tail.path()).is_ok_and(|it| it.len() < self.tail.offset());
        is_final && !matches!(self.reader.opened, Opened::Decoder(_)) && !is_shorter()
    }

    /// Recognises the file by all that is there of its head now.
    fn look_again(&mut self, sink: &mut dyn FollowSink) {
        let fed = self.tail.offset();
        let Some(head) = read_head(self.tail.path(), fed) else {
            return;
        };
        let had_decoder = self.reader.decoder().is_some();
        if !self.reader.recognise(&head) {
            return;
        }
        if had_decoder {
            sink.news(FileNews::Recognised);
        }
        if let Some(decoder) = self.reader.decoder() {
            feed_again(self.tail.path(), fed, decoder, sink);
        }
    }

    /// Nobody will write any more: what is held back is all there is.
    pub fn finish(&mut self, sink: &mut dyn FollowSink) {
        if self.tail.offset() > self.reader.head_bytes && self.reader.head_bytes < HEAD_BYTES_MAX as u64 {
            self.look_again(sink);
        }
        if self.reader.settled_bytes.take().is_some() {
            self.read_again(sink);
        }
        self.reader.finish(sink);
    }
}

impl Reader {
    fn begin_late(&mut self, start: LateStart) {
        self.name = name_of(&start.opened);
        self.opened = start.opened;
        self.head_bytes = HEAD_BYTES_MAX as u64;
        self.skipped = Some((start.offset - start.fed, start.fed));
    }

    fn n_skipped(&self) -> u64 {
        self.skipped.map_or(0, |(bytes, _)| bytes)
    }

    /// Lets the decoder work, with offsets as they are in the file.
    fn decode(&mut self, sink: &mut dyn Sink, work: impl FnOnce(&mut dyn Decode, &mut dyn Sink)) {
        let skipped = self.skipped;
        let Some(decoder) = self.decoder() else {
            return;
        };
        match skipped {
            None => work(decoder, sink),
            Some((by, seam)) => work(decoder, &mut Shifted { sink, by, seam }),
        }
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        self.decode(sink, |decoder, sink| decoder.finish(sink));
    }

    fn decoder(&mut self) -> Option<&mut dyn Decode> {
        match &mut self.opened {
            Opened::Decoder(decoder) => Some(decoder.as_mut()),
            _ => None,
        }
    }

    fn take(&mut self, change: Change<'_>, sink: &mut dyn FollowSink) {
        match change {
            Change::Bytes { offset, bytes } => {
                if offset == 0 && self.head_bytes == 0 {
                    self.recognise(bytes.get(..HEAD_BYTES_MAX).unwrap_or(bytes));
                }
                self.decode(sink, |decoder, sink| decoder.feed(bytes, sink));
            }
            Change::Rewritten {
                read_bytes,
                unread_bytes,
            } => {
                self.finish(sink);
                (self.opened, self.name, self.head_bytes, self.skipped) = (Opened::Empty, "", 0, None);
                self.settled_bytes = None;
                let problem = rewritten(read_bytes, unread_bytes);
                if unread_bytes > 0 {
                    sink.passed_over(problem);
                } else {
                    sink.problem(problem);
                }
                sink.news(FileNews::Rewritten);
            }
            Change::Continued => sink.news(FileNews::Continued),
            Change::Gone => sink.news(FileNews::Gone),
            Change::Back => sink.news(FileNews::Back),
            Change::Failed(problem) => sink.failed(problem),
        }
    }

    /// Recognises the file by its first bytes; true when the answer is another one than before.
    fn recognise(&mut self, head: &[u8]) -> bool {
        self.head_bytes = head.len() as u64;
        let opened = open_reading(head, &self.path, &self.patterns);
        let name = name_of(&opened);
        let is_other = name != self.name;
        if is_other {
            (self.opened, self.name) = (opened, name);
        }
        is_other
    }

    /// Whether enough has come since the format was recognised. An eighth more each time: the looks together cost no
    /// more than nine times the last one.
    fn is_worth_another_look(&self, fed: u64) -> bool {
        let is_final = self.head_bytes >= HEAD_BYTES_MAX as u64 || self.name == "tfevents";
        !is_final && fed > self.head_bytes + self.head_bytes / 8
    }
}

/// Of a decoder that was fed nothing yet: later its format may be known better.
fn name_of(opened: &Opened) -> &'static str {
    match opened {
        Opened::Decoder(decoder) => decoder.format(),
        Opened::Compressed(name) | Opened::NotALog(name) => name,
        Opened::Empty => "",
    }
}

/// The first bytes of the file, of those that were read. When it changed in between, the next poll finds out.
fn read_head(path: &Path, fed: u64) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let file = File::open(path).ok()?;
    file.take(fed.min(HEAD_BYTES_MAX as u64))
        .read_to_end(&mut head)
        .ok()?;
    Some(head)
}

/// Feeds what was read of the file to its new decoder.
fn feed_again(path: &Path, fed: u64, decoder: &mut dyn Decode, sink: &mut dyn FollowSink) {
    let Ok(file) = File::open(path) else { return };
    let mut file = file.take(fed);
    let mut block = vec![0; HEAD_BYTES_MAX];
    while let Ok(n @ 1..) = file.read(&mut block) {
        decoder.feed(block.get(..n).unwrap_or_default(), sink);
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
    use super::{FileNews, FollowSink, Follower};
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

    fn look(follower: &mut Follower, pool: &mut TailPool, heard: &mut Heard) {
        while follower.poll(pool, heard) == Polled::More {}
    }

    #[test]
    fn a_file_that_grows_byte_by_byte_gives_each_point_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.out.tfevents.1");
        let (mut pool, mut heard) = (TailPool::default(), Heard::default());
        let mut follower = Follower::new(&path);
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
            let mut follower = Follower::new(&path);
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
            let mut follower = Follower::new(&path);
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
