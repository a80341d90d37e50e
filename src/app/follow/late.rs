//! Where to begin in a file that is too large to be read as a whole.
//!
//! In: the first bytes of the file, its size and the bytes that are to be read of it. Out: the offset of a line or
//! record to begin at, and a decoder that has learnt from the head what later parts build on (the columns of a table,
//! the types of tags, the planned length). Invariant: the decoder hands on nothing from the head but planned length and
//! kind of steps, so that no point is far from its neighbours.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::decode::{HEAD_BYTES_MAX, Opened, Sink, open};
use crate::model::{Mark, Problem, Sample, TextLine};

/// A line that is longer than this has no end that is worth to be looked for: it is not read either.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Bytes around the payload of a record of an event file, and before it.
const FRAME_BYTES: usize = 16;

/// Formats whose lines can be read without those before them.
const LINE_FORMATS: &[&str] = &["text", "jsonl", "csv", "csv-long", "tsv"];

/// A beginning in the middle of a file.
pub(super) struct LateStart {
    /// What the head showed.
    pub(super) opened: Opened,
    /// Bytes of the head that the decoder was fed.
    pub(super) fed: u64,
    /// Where to go on.
    pub(super) offset: u64,
}

impl LateStart {
    /// Finds where to begin so that about `bytes` bytes of the file's `size` are read; `None` when the format has to
    /// be read from its first byte.
    pub(super) fn find(path: &Path, size: u64, bytes: u64, sink: &mut dyn Sink) -> Option<Self> {
        let file = File::open(path).ok()?;
        let mut head = vec![0; HEAD_BYTES_MAX];
        file.read_exact_at(&mut head, 0).ok()?;
        let from = size.checked_sub(bytes)?;
        let mut opened = open(&head, &path.to_string_lossy());
        let Opened::Decoder(decoder) = &mut opened else {
            return None;
        };
        let (fed, offset) = match decoder.format() {
            // Its decoder finds the next record by itself.
            "tfevents" => (records_in(&head), from),
            name if LINE_FORMATS.contains(&name) && is_text(&head) => {
                (memchr::memrchr(b'\n', &head)? + 1, line_behind(&file, from)?)
            }
            _ => return None,
        };
        // Two starts in one place would read the head twice.
        (offset > HEAD_BYTES_MAX as u64).then_some(())?;
        decoder.feed(head.get(..fed)?, &mut Deaf { sink });
        let fed = fed as u64;
        Some(Self { opened, fed, offset })
    }

    /// What is said of it.
    pub(super) fn problem(&self) -> Problem {
        let bytes = self.offset - self.fed;
        Problem::lost(
            self.fed,
            bytes,
            format!(
                "larger than --replay-max: {bytes} bytes before byte {} are not read",
                self.offset
            ),
        )
    }
}

fn is_text(head: &[u8]) -> bool {
    match std::str::from_utf8(head) {
        Ok(_) => !head.contains(&0),
        Err(error) => error.error_len().is_none() && !head.contains(&0),
    }
}

/// Bytes of the whole records at the start.
fn records_in(head: &[u8]) -> usize {
    let mut end = 0_usize;
    while let Some(length) = head.get(end..).and_then(|it| it.first_chunk::<8>()) {
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let next = end.saturating_add(FRAME_BYTES).saturating_add(length);
        if next > head.len() {
            break;
        }
        end = next;
    }
    end
}

/// Offset of the first line that begins behind `from`.
fn line_behind(file: &File, from: u64) -> Option<u64> {
    let mut block = vec![0; LINE_BYTES_MAX];
    let n = file.read_at(&mut block, from).ok()?;
    let end = memchr::memchr(b'\n', block.get(..n)?)?;
    Some(from + end as u64 + 1)
}

/// Hears nothing of the head but what is true of the whole file.
struct Deaf<'s> {
    sink: &'s mut dyn Sink,
}

impl Sink for Deaf<'_> {
    fn sample(&mut self, _sample: &Sample<'_>) {}
    fn line(&mut self, _line: &TextLine<'_>) {}
    fn mark(&mut self, mark: Mark<'_>) {
        if let Mark::PlannedSteps(_) | Mark::OrdinalSteps | Mark::EpochSteps = mark {
            self.sink.mark(mark);
        }
    }
    fn problem(&mut self, _problem: Problem) {}
}

/// Tells where in the file things are to a sink that hears a decoder which was not fed all of it.
pub(super) struct Shifted<'s> {
    pub(super) sink: &'s mut dyn Sink,
    /// Bytes that the decoder was not fed.
    pub(super) by: u64,
    /// What the decoder finds damaged here is where it went on.
    pub(super) seam: u64,
}

impl Sink for Shifted<'_> {
    fn sample(&mut self, sample: &Sample<'_>) {
        self.sink.sample(&Sample {
            offset: sample.offset.saturating_add(self.by),
            ..*sample
        });
    }
    fn line(&mut self, line: &TextLine<'_>) {
        self.sink.line(&TextLine {
            offset: line.offset.saturating_add(self.by),
            ..*line
        });
    }
    fn mark(&mut self, mark: Mark<'_>) {
        self.sink.mark(mark);
    }
    fn problem(&mut self, problem: Problem) {
        if problem.offset == Some(self.seam) {
            return;
        }
        let offset = problem.offset.map(|it| it.saturating_add(self.by));
        self.sink.problem(Problem { offset, ..problem });
    }
}
