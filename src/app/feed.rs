//! The files of one stream, decoded and fed to an engine in the order of time.
//!
//! In: paths. Out: samples, lines and marks to the engine; a [`FileReport`] and problems per file. Invariants:
//! no file descriptor is held by a file that is not being read; memory does not grow with the files; several
//! files of one stream are merged by wall time.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::file_sink::{FileSink, KeptProblems, Target};
use super::order::{Begin, Order};
use crate::decode::{Decode, Opened, OwnPatterns, Sink, Tally, open_reading};
use crate::model::{Form, Mark, Problem, Sample, TextLine};
use crate::report::FileReport;
use crate::rules::Engine;
use crate::source::{BLOCK_BYTES, BlockReader};

/// Said of a text without numbers, when its run has none elsewhere either.
pub(super) const NOTHING_FOUND: &str =
    "no line with a step (or epoch) and a known metric was found in this text";

/// Bytes of all merged files together that are decoded ahead: a decoded point takes three times its text.
const AHEAD_BYTES: usize = 64 << 20;

/// Bytes of one merged file that are decoded ahead at least; less would read the same block again and again.
const AHEAD_BYTES_MIN: usize = 8 << 10;

/// What was read of the files of one stream.
#[derive(Debug, Default)]
pub struct Fed {
    /// One per file.
    pub files: Vec<FileReport>,
    /// What could not be read, and notes.
    pub problems: Vec<Problem>,
    /// How far the digits of the format are to be trusted, lower is better.
    pub precedence: u32,
}

/// Reads the files into the engine. `shown` turns a path into what people see, `tick` hears how many bytes were
/// read.
pub fn feed(
    files: &[PathBuf],
    patterns: &OwnPatterns,
    engine: &mut Engine<'_>,
    shown: &dyn Fn(&Path) -> String,
    tick: &dyn Fn(u64),
) -> Fed {
    let mut fed = Fed {
        precedence: u32::MAX,
        ..Fed::default()
    };
    let mut blocks = BlockReader::new();
    let mut readers: Vec<FileReader> = Vec::new();
    for path in files {
        match FileReader::open(&mut blocks, path, shown(path), patterns) {
            Ok(reader) => readers.push(reader),
            Err(refused) => {
                fed.problems.extend(refused.problem);
                fed.files.push(refused.report);
            }
        }
    }
    match readers.as_mut_slice() {
        [] => {}
        [only] => while only.read_into_engine(&mut blocks, engine, tick) {},
        many => merge(many, patterns, &mut blocks, engine, tick),
    }
    for reader in readers {
        fed.precedence = fed.precedence.min(precedence(reader.decoder.format()));
        fed.problems.extend(reader.problems.named(&reader.shown));
        fed.problems.extend(reader.nothing_note());
        fed.files.push(reader.report());
    }
    fed
}

/// Event files and W&B records hold binary numbers, structured text mostly all digits, console text few.
pub(super) fn precedence(format: &str) -> u32 {
    match format {
        "tfevents" => 0,
        "wandb" => 1,
        "trainer-state" | "json" | "mlflow" | "clearml" => 2,
        "jsonl" => 3,
        "csv" | "csv-long" | "tsv" => 4,
        _ => 5,
    }
}

/// One file being read.
struct FileReader {
    path: PathBuf,
    shown: String,
    decoder: Box<dyn Decode>,
    offset: u64,
    problems: KeptProblems,
    queue: VecDeque<Held>,
    is_done: bool,
}

/// A file that is not read, and why.
struct Refused {
    report: FileReport,
    problem: Option<Problem>,
}

impl FileReader {
    fn open(
        blocks: &mut BlockReader,
        path: &Path,
        shown: String,
        patterns: &OwnPatterns,
    ) -> Result<Self, Box<Refused>> {
        let refuse = |format: &str, what: Option<String>| {
            let (path, format) = (shown.clone(), format.to_owned());
            let problem = what.map(|what| Problem::path(path.clone(), what));
            Box::new(Refused {
                report: FileReport {
                    path,
                    format,
                    bytes: 0,
                    records: 0,
                    skipped: 0,
                    is_log: false,
                },
                problem,
            })
        };
        let unreadable = |problem: Problem| refuse("unreadable", Some(problem.what));
        blocks.start(path, 0).map_err(unreadable)?;
        let head = blocks
            .next_block()
            .map_err(unreadable)?
            .map_or(&[][..], |it| it.bytes);
        match open_reading(head, &path.to_string_lossy(), patterns) {
            Opened::Decoder(decoder) => Ok(Self {
                path: path.to_owned(),
                shown,
                decoder,
                offset: 0,
                problems: KeptProblems::default(),
                queue: VecDeque::new(),
                is_done: false,
            }),
            Opened::Compressed(how) => Err(refuse(
                how,
                Some(format!("compressed with {how}: decompress it to have it read")),
            )),
            Opened::NotALog(why) => Err(refuse(&format!("not a log ({why})"), None)),
            Opened::Empty => Err(refuse("empty", None)),
        }
    }

    /// Decodes one block into the engine; false at the end.
    fn read_into_engine(
        &mut self,
        blocks: &mut BlockReader,
        engine: &mut Engine<'_>,
        tick: &dyn Fn(u64),
    ) -> bool {
        let mut sink = FileSink {
            target: &mut EngineTarget { engine },
            heard: &mut self.problems,
        };
        self.is_done = !read_block(
            blocks,
            BLOCK_BYTES,
            &self.path,
            &mut self.offset,
            self.decoder.as_mut(),
            &mut sink,
            tick,
        );
        !self.is_done
    }

    /// Decodes until something is in the queue or the file is at its end.
    fn fill(&mut self, blocks: &mut BlockReader, limit: usize, tick: &dyn Fn(u64)) {
        while self.queue.is_empty() && !self.is_done {
            let mut sink = FileSink {
                target: &mut self.queue,
                heard: &mut self.problems,
            };
            self.is_done = !read_block(
                blocks,
                limit,
                &self.path,
                &mut self.offset,
                self.decoder.as_mut(),
                &mut sink,
                tick,
            );
        }
    }

    /// Why a file that could be read gave nothing.
    fn nothing_note(&self) -> Option<Problem> {
        let is_silent =
            self.decoder.tally() == Tally::default() && self.offset > 0 && self.decoder.format() == "text";
        is_silent.then(|| Problem {
            is_note: true,
            ..Problem::path(self.shown.clone(), NOTHING_FOUND)
        })
    }

    fn report(&self) -> FileReport {
        let tally = self.decoder.tally();
        FileReport {
            path: self.shown.clone(),
            format: self.decoder.format().to_owned(),
            bytes: self.offset,
            records: tally.records,
            skipped: tally.skipped,
            is_log: tally.records > 0 || self.path.to_string_lossy().contains("tfevents"),
        }
    }
}

/// Reads the block at `offset` and decodes it; at the end of the file lets the decoder finish and says false.
/// A reader that stood in another file turns to this one.
///
/// At most `limit` bytes are decoded.
fn read_block(
    blocks: &mut BlockReader,
    limit: usize,
    path: &Path,
    offset: &mut u64,
    decoder: &mut dyn Decode,
    sink: &mut dyn Sink,
    tick: &dyn Fn(u64),
) -> bool {
    let turned = if blocks.position() == Some((path, *offset)) {
        Ok(())
    } else {
        blocks.start(path, *offset)
    };
    match turned.and_then(|()| blocks.next_block()) {
        Ok(Some(block)) => {
            let bytes = block.bytes.get(..limit).unwrap_or(block.bytes);
            *offset += bytes.len() as u64;
            tick(bytes.len() as u64);
            decoder.feed(bytes, sink);
            true
        }
        Ok(None) => {
            decoder.finish(sink);
            false
        }
        Err(problem) => {
            decoder.finish(sink);
            sink.problem(problem);
            false
        }
    }
}

/// Merges files in the order that [`Order`] says. Files are decoded only from the time on at which they are
/// needed, so that a run of a thousand restarts is not held in memory at once.
fn merge(
    files: &mut [FileReader],
    patterns: &OwnPatterns,
    blocks: &mut BlockReader,
    engine: &mut Engine<'_>,
    tick: &dyn Fn(u64),
) {
    let limit = (AHEAD_BYTES / files.len().max(1)).clamp(AHEAD_BYTES_MIN, BLOCK_BYTES);
    let mut order = Order::default();
    for (index, file) in files.iter_mut().enumerate() {
        order.wait(index, file.peek_begin(patterns, blocks, limit));
    }
    let mut head = |files: &mut [FileReader], index: usize| {
        files[index].fill(blocks, limit, tick);
        next_time(&files[index].queue)
    };
    while let Some((index, until)) = order.next(&mut |index| head(files, index)) {
        give_until(&mut files[index].queue, until, engine);
    }
}

impl FileReader {
    /// Looks at the first block and goes back to the start.
    fn peek_begin(&mut self, patterns: &OwnPatterns, blocks: &mut BlockReader, limit: usize) -> Begin {
        let Ok(mut peek) = FileReader::open(blocks, &self.path, self.shown.clone(), patterns) else {
            return Begin::UNKNOWN;
        };
        peek.fill(blocks, limit, &|_| ());
        begin_of(&peek.queue)
    }
}

/// How a file begins, by the items of its first block.
pub(super) fn begin_of(queue: &VecDeque<Held>) -> Begin {
    let is_session = matches!(queue.front(), Some(Held::Mark(HeldMark::SessionStart(_))));
    Begin {
        time: next_time(queue).unwrap_or(f64::NEG_INFINITY),
        is_session,
    }
}

/// Wall time of the next point; marks belong to the point that follows them.
pub(super) fn next_time(queue: &VecDeque<Held>) -> Option<f64> {
    queue
        .iter()
        .find_map(Held::wall_time)
        .or((!queue.is_empty()).then_some(f64::NEG_INFINITY))
}

/// Gives what is in the queue up to this wall time, at least one item; the latest wall time that was given.
pub(super) fn give_until(queue: &mut VecDeque<Held>, until: f64, engine: &mut Engine<'_>) -> Option<f64> {
    let mut latest = None;
    while let Some(held) = queue.pop_front() {
        latest = held.wall_time().into_iter().chain(latest).reduce(f64::max);
        held.give(engine);
        if next_time(queue).is_none_or(|time| time > until) {
            break;
        }
    }
    latest
}

/// An item that waits for its turn.
pub(super) enum Held {
    Sample {
        tag: Box<str>,
        step: i64,
        wall_time: Option<f64>,
        value: f64,
        form: Form,
        offset: u64,
    },
    Mark(HeldMark),
}

pub(super) enum HeldMark {
    SessionStart(i64),
    PlannedSteps(i64),
    OrdinalSteps,
    EpochSteps,
    Finished,
}

impl Held {
    /// Wall time of a point, or its step where it has none: before every time since 1970, and in order among its like.
    pub(super) fn wall_time(&self) -> Option<f64> {
        match self {
            Held::Sample { wall_time, step, .. } => Some(wall_time.unwrap_or(*step as f64)),
            Held::Mark(_) => None,
        }
    }

    fn give(self, engine: &mut Engine<'_>) {
        match self {
            Held::Sample {
                tag,
                step,
                wall_time,
                value,
                form,
                offset,
            } => {
                engine.sample(&Sample {
                    tag: &tag,
                    step,
                    wall_time,
                    value,
                    form,
                    offset,
                });
            }
            Held::Mark(HeldMark::SessionStart(step)) => engine.mark(Mark::SessionStart { step }),
            Held::Mark(HeldMark::PlannedSteps(steps)) => engine.mark(Mark::PlannedSteps(steps)),
            Held::Mark(HeldMark::OrdinalSteps) => engine.mark(Mark::OrdinalSteps),
            Held::Mark(HeldMark::EpochSteps) => engine.mark(Mark::EpochSteps),
            Held::Mark(HeldMark::Finished) => engine.mark(Mark::Finished),
        }
    }
}

struct EngineTarget<'e, 'r> {
    engine: &'e mut Engine<'r>,
}

impl Target for EngineTarget<'_, '_> {
    fn sample(&mut self, sample: &Sample<'_>) {
        self.engine.sample(sample);
    }
    fn line(&mut self, line: &TextLine<'_>) {
        self.engine.line(line);
    }
    fn mark(&mut self, mark: Mark<'_>) {
        self.engine.mark(mark);
    }
}

impl Target for VecDeque<Held> {
    fn sample(&mut self, sample: &Sample<'_>) {
        let Sample {
            tag,
            step,
            wall_time,
            value,
            form,
            offset,
        } = *sample;
        self.push_back(Held::Sample {
            tag: tag.into(),
            step,
            wall_time,
            value,
            form,
            offset,
        });
    }
    // Only event files and files of one metric are merged, and these have neither lines nor fields that can be missing.
    fn line(&mut self, _line: &TextLine<'_>) {}
    fn mark(&mut self, mark: Mark<'_>) {
        self.push_back(Held::Mark(match mark {
            Mark::SessionStart { step } => HeldMark::SessionStart(step),
            Mark::PlannedSteps(steps) => HeldMark::PlannedSteps(steps),
            Mark::OrdinalSteps => HeldMark::OrdinalSteps,
            Mark::EpochSteps => HeldMark::EpochSteps,
            Mark::Finished => HeldMark::Finished,
            // Nothing that is merged holds lines of several ranks, or of programs that smooth.
            Mark::FieldMissing { .. } | Mark::Smoothed { .. } | Mark::Rank(_) => return,
        }));
    }
}
