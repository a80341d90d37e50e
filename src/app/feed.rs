//! The files of one stream, decoded and fed to an engine in the order of time.
//!
//! In: paths. Out: samples, lines and marks to the engine; a [`FileReport`] and problems per file. Invariants:
//! no file descriptor is held by a file that is not being read; memory does not grow with the files; several
//! event files are merged by wall time.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::decode::{Decode, Opened, Sink, open};
use crate::model::{Form, Mark, Problem, Sample, TextLine};
use crate::report::FileReport;
use crate::rules::Engine;
use crate::source::BlockReader;

/// Problems of one file that are listed; the rest is counted.
const PROBLEMS_MAX: usize = 100;

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

/// Reads the files into the engine. `shown` turns a path into what people see.
pub fn feed(files: &[PathBuf], engine: &mut Engine<'_>, shown: &dyn Fn(&Path) -> String, tick: &dyn Fn(u64)) -> Fed {
    let mut fed = Fed { precedence: u32::MAX, ..Fed::default() };
    let mut readers: Vec<FileReader> = Vec::new();
    for path in files {
        match FileReader::open(path, shown(path)) {
            Ok(reader) => readers.push(reader),
            Err((report, problem)) => {
                fed.problems.extend(problem);
                fed.files.extend(report);
            }
        }
    }
    match readers.as_mut_slice() {
        [] => {}
        [only] => only.read_all(engine, &mut fed.problems, tick),
        many => merge(many, engine, &mut fed.problems, tick),
    }
    for reader in readers {
        fed.precedence = fed.precedence.min(precedence(reader.decoder.format()));
        fed.problems.extend(reader.overflow_note());
        fed.files.push(reader.report());
    }
    fed
}

/// Event files and W&B records hold binary numbers, structured text mostly all digits, console text few.
fn precedence(format: &str) -> u32 {
    match format {
        "tfevents" => 0,
        "wandb" => 1,
        "trainer-state" | "json" => 2,
        "jsonl" => 3,
        "csv" | "csv-long" | "tsv" => 4,
        _ => 5,
    }
}

/// One file being read.
struct FileReader {
    path: PathBuf,
    shown: String,
    reader: BlockReader,
    decoder: Box<dyn Decode>,
    bytes: u64,
    problems_dropped: u64,
    problems_kept: usize,
    queue: VecDeque<Held>,
    is_done: bool,
}

type Refused = (Option<FileReport>, Option<Problem>);

impl FileReader {
    fn open(path: &Path, shown: String) -> Result<Self, Refused> {
        let reader = BlockReader::new(path);
        let mut reader = reader;
        let head = match reader.head() {
            Ok(head) => head,
            Err(problem) => {
                let report = FileReport { path: shown.clone(), format: "unreadable".to_owned(), bytes: 0, records: 0, skipped: 0, is_log: false };
                return Err((Some(report), Some(Problem { path: shown, ..problem })));
            }
        };
        let name = path.to_string_lossy();
        let refuse = |format: &str, problem: Option<String>| {
            let report = FileReport { path: shown.clone(), format: format.to_owned(), bytes: head.len() as u64, records: 0, skipped: 0, is_log: false };
            Err((Some(report), problem.map(|what| Problem::path(shown.clone(), what))))
        };
        match open(head, &name) {
            Opened::Decoder(decoder) => Ok(Self {
                path: path.to_owned(),
                shown,
                reader,
                decoder,
                bytes: 0,
                problems_dropped: 0,
                problems_kept: 0,
                queue: VecDeque::new(),
                is_done: false,
            }),
            Opened::Compressed(how) => refuse(how, Some(format!("compressed with {how}: decompress it to have it read"))),
            Opened::Later(what) => refuse(what, Some(format!("{what}: a format that is not read yet"))),
            Opened::NotALog(why) => refuse(&format!("not a log: {why}"), None),
            Opened::Empty => refuse("empty", None),
        }
    }

    fn read_all(&mut self, engine: &mut Engine<'_>, problems: &mut Vec<Problem>, tick: &dyn Fn(u64)) {
        while !self.is_done {
            let mut sink = EngineSink { engine, problems, path: &self.shown, kept: &mut self.problems_kept, dropped: &mut self.problems_dropped };
            match self.reader.next_block() {
                Ok(Some(block)) => {
                    self.bytes += block.len() as u64;
                    tick(block.len() as u64);
                    self.decoder.feed(block, &mut sink);
                }
                Ok(None) => {
                    self.decoder.finish(&mut sink);
                    self.is_done = true;
                }
                Err(problem) => {
                    self.decoder.finish(&mut sink);
                    problems.push(Problem { path: self.shown.clone(), ..problem });
                    self.is_done = true;
                }
            }
        }
    }

    /// Decodes until something is in the queue or the file is at its end.
    fn fill(&mut self, problems: &mut Vec<Problem>, tick: &dyn Fn(u64)) {
        while self.queue.is_empty() && !self.is_done {
            let mut sink = QueueSink { queue: &mut self.queue, problems, path: &self.shown, kept: &mut self.problems_kept, dropped: &mut self.problems_dropped };
            match self.reader.next_block() {
                Ok(Some(block)) => {
                    self.bytes += block.len() as u64;
                    tick(block.len() as u64);
                    self.decoder.feed(block, &mut sink);
                }
                Ok(None) => {
                    self.decoder.finish(&mut sink);
                    self.is_done = true;
                }
                Err(problem) => {
                    self.decoder.finish(&mut sink);
                    problems.push(Problem { path: self.shown.clone(), ..problem });
                    self.is_done = true;
                }
            }
        }
        // Other files are read next: this one gives its descriptor back.
        self.reader.release();
    }

    /// Wall time of the next point; marks belong to the point that follows them.
    fn next_time(&self) -> Option<f64> {
        let time = |held: &Held| match held {
            Held::Sample { wall_time, .. } => Some(wall_time.unwrap_or(f64::NEG_INFINITY)),
            Held::Mark(_) => None,
        };
        self.queue.iter().find_map(time).or((!self.queue.is_empty()).then_some(f64::NEG_INFINITY))
    }

    fn overflow_note(&self) -> Option<Problem> {
        (self.problems_dropped > 0).then(|| {
            Problem::path(self.shown.clone(), format!("{} further problems of this file are not listed", self.problems_dropped))
        })
    }

    fn report(&self) -> FileReport {
        let tally = self.decoder.tally();
        FileReport {
            path: self.shown.clone(),
            format: self.decoder.format().to_owned(),
            bytes: self.bytes,
            records: tally.records,
            skipped: tally.skipped,
            is_log: tally.records > 0 || self.path.to_string_lossy().contains("tfevents"),
        }
    }
}

/// Merges files by wall time; of equal times the file that was named first goes first.
fn merge(files: &mut [FileReader], engine: &mut Engine<'_>, problems: &mut Vec<Problem>, tick: &dyn Fn(u64)) {
    loop {
        let mut next: Option<(usize, f64)> = None;
        let mut second = f64::INFINITY;
        for (index, file) in files.iter_mut().enumerate() {
            file.fill(problems, tick);
            let Some(time) = file.next_time() else { continue };
            match next {
                Some((_, best)) if time >= best => second = second.min(time),
                Some((_, best)) => {
                    second = second.min(best);
                    next = Some((index, time));
                }
                None => next = Some((index, time)),
            }
        }
        let Some((index, _)) = next else { return };
        let file = &mut files[index];
        loop {
            if let Some(held) = file.queue.pop_front() {
                held.give(engine);
            }
            if file.queue.is_empty() {
                file.fill(problems, tick);
            }
            match file.next_time() {
                Some(time) if time <= second => {}
                _ => break,
            }
        }
    }
}

/// An item that waits for its turn.
enum Held {
    Sample { tag: Box<str>, step: i64, wall_time: Option<f64>, value: f64, form: Form, offset: u64 },
    Mark(HeldMark),
}

enum HeldMark {
    SessionStart(i64),
    PlannedSteps(i64),
    OrdinalSteps,
    EpochSteps,
    Finished,
}

impl Held {
    fn give(self, engine: &mut Engine<'_>) {
        match self {
            Held::Sample { tag, step, wall_time, value, form, offset } => {
                engine.sample(&Sample { tag: &tag, step, wall_time, value, form, offset });
            }
            Held::Mark(HeldMark::SessionStart(step)) => engine.mark(Mark::SessionStart { step }),
            Held::Mark(HeldMark::PlannedSteps(steps)) => engine.mark(Mark::PlannedSteps(steps)),
            Held::Mark(HeldMark::OrdinalSteps) => engine.mark(Mark::OrdinalSteps),
            Held::Mark(HeldMark::EpochSteps) => engine.mark(Mark::EpochSteps),
            Held::Mark(HeldMark::Finished) => engine.mark(Mark::Finished),
        }
    }
}

fn keep_problem(problem: Problem, path: &str, problems: &mut Vec<Problem>, kept: &mut usize, dropped: &mut u64) {
    if *kept < PROBLEMS_MAX {
        *kept += 1;
        problems.push(Problem { path: path.to_owned(), ..problem });
    } else {
        *dropped += 1;
    }
}

struct EngineSink<'s, 'r> {
    engine: &'s mut Engine<'r>,
    problems: &'s mut Vec<Problem>,
    path: &'s str,
    kept: &'s mut usize,
    dropped: &'s mut u64,
}

impl Sink for EngineSink<'_, '_> {
    fn sample(&mut self, sample: &Sample<'_>) {
        self.engine.sample(sample);
    }
    fn line(&mut self, line: &TextLine<'_>) {
        self.engine.line(line);
    }
    fn mark(&mut self, mark: Mark<'_>) {
        self.engine.mark(mark);
    }
    fn problem(&mut self, problem: Problem) {
        keep_problem(problem, self.path, self.problems, self.kept, self.dropped);
    }
}

struct QueueSink<'s> {
    queue: &'s mut VecDeque<Held>,
    problems: &'s mut Vec<Problem>,
    path: &'s str,
    kept: &'s mut usize,
    dropped: &'s mut u64,
}

impl Sink for QueueSink<'_> {
    fn sample(&mut self, sample: &Sample<'_>) {
        let Sample { tag, step, wall_time, value, form, offset } = *sample;
        self.queue.push_back(Held::Sample { tag: tag.into(), step, wall_time, value, form, offset });
    }
    fn line(&mut self, _line: &TextLine<'_>) {}
    fn mark(&mut self, mark: Mark<'_>) {
        let held = match mark {
            Mark::SessionStart { step } => HeldMark::SessionStart(step),
            Mark::PlannedSteps(steps) => HeldMark::PlannedSteps(steps),
            Mark::OrdinalSteps => HeldMark::OrdinalSteps,
            Mark::EpochSteps => HeldMark::EpochSteps,
            Mark::Finished => HeldMark::Finished,
            // Only text has fields that can be missing, and text files are never merged.
            Mark::FieldMissing { .. } => return,
        };
        self.queue.push_back(Held::Mark(held));
    }
    fn problem(&mut self, problem: Problem) {
        keep_problem(problem, self.path, self.problems, self.kept, self.dropped);
    }
}
