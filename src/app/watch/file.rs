//! One followed file of a stream: what it gave that waits for its turn, and what is to be said of it.
//!
//! In: polls. Out: points to an engine. Invariant: at most one block of a file that is merged with others waits in
//! memory.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use crate::app::feed::{Held, begin_of, give_until, next_time};
use crate::app::file_sink::{FileSink, Hears, KeptProblems, Target};
use crate::app::follow::{FileNews, FollowSink, Follower};
use crate::app::order::Begin;
use crate::decode::{Opened, OwnPatterns, Sink};
use crate::model::{Mark, Problem, Sample, TextLine};
use crate::report::FileReport;
use crate::rules::Engine;
use crate::serve::Totals;
use crate::source::{Cursor, Polled, TailPool};

/// What the files of one thread share.
#[derive(Debug)]
pub(super) struct Pools {
    /// For files that are read by themselves.
    alone: TailPool,
    /// For files that are merged: one block at a time, because what is decoded waits in memory.
    merged: TailPool,
}

impl Default for Pools {
    fn default() -> Self {
        Self {
            alone: TailPool::default(),
            merged: TailPool::block_by_block(),
        }
    }
}

impl Pools {
    pub(super) fn set_replay_max(&mut self, bytes: u64) {
        self.alone.set_replay_max(bytes);
        self.merged.set_replay_max(bytes);
    }
}

/// Makes an engine that has seen nothing.
pub(super) type Fresh<'f, 'r> = dyn Fn() -> Engine<'r> + 'f;

/// One followed file.
pub(super) struct LiveFile {
    path: PathBuf,
    patterns: OwnPatterns,
    follower: Follower,
    queue: VecDeque<Held>,
    heard: Heard,
    begin: Option<Begin>,
    /// Size at which its beginning was last looked for in vain.
    size_without_begin: Option<u64>,
    /// The latest wall time that was given to the engine.
    given: Option<f64>,
    is_at_end: bool,
}

/// What a file said beside its points.
#[derive(Debug, Default)]
struct Heard {
    problems: KeptProblems,
    /// Why it cannot be read: not yet passed on, and the last one.
    failures: Vec<Problem>,
    last_failure: Option<String>,
    /// What is not read of a file, large or cut off: not yet passed on.
    passed_over: Vec<Problem>,
    /// What it gave before in this poll is void.
    is_reset: bool,
}

impl LiveFile {
    pub(super) fn new(path: &Path, patterns: &OwnPatterns) -> Self {
        Self {
            path: path.to_owned(),
            patterns: patterns.clone(),
            follower: Follower::reading(path, patterns.clone()),
            queue: VecDeque::new(),
            heard: Heard::default(),
            begin: None,
            size_without_begin: None,
            given: None,
            is_at_end: false,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes read.
    pub(super) fn bytes(&self) -> u64 {
        self.follower.tail().offset()
    }

    /// How far it was read.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        let tail = self.follower.tail();
        tail.cursor_at(tail.offset())
    }

    pub(super) fn format(&self) -> Option<&'static str> {
        match self.follower.opened() {
            Opened::Decoder(decoder) => Some(decoder.format()),
            _ => None,
        }
    }

    pub(super) fn begin(&self) -> Option<Begin> {
        self.begin
    }

    /// The latest wall time that was given.
    pub(super) fn given(&self) -> Option<f64> {
        self.given
    }

    pub(super) fn take_reset(&mut self) -> bool {
        std::mem::take(&mut self.heard.is_reset)
    }

    pub(super) fn take_failures(&mut self) -> Vec<Problem> {
        let named = |it: Problem| Problem {
            path: self.path.to_string_lossy().into_owned(),
            ..it
        };
        let passed_over = std::mem::take(&mut self.heard.passed_over).into_iter().map(named);
        std::mem::take(&mut self.heard.failures)
            .into_iter()
            .chain(passed_over)
            .collect()
    }

    /// Forgets what was read; what was said stays said.
    pub(super) fn begin_anew(&mut self) {
        let (failures, last_failure) = (self.take_failures(), self.heard.last_failure.take());
        let heard = Heard {
            failures,
            last_failure,
            ..Heard::default()
        };
        *self = Self {
            heard,
            ..Self::new(&self.path, &self.patterns)
        };
    }

    pub(super) fn read_alone<'r>(
        &mut self,
        engine: &mut Engine<'r>,
        fresh: &Fresh<'_, 'r>,
        pools: &mut Pools,
    ) -> Polled {
        let target = &mut OneEngine { engine, fresh };
        let polled = self.follower.poll(
            &mut pools.alone,
            &mut FileSink {
                target,
                heard: &mut self.heard,
            },
        );
        self.heard.note(polled);
        polled
    }

    pub(super) fn finish_alone<'r>(&mut self, engine: &mut Engine<'r>, fresh: &Fresh<'_, 'r>) {
        let target = &mut OneEngine { engine, fresh };
        self.follower.finish(&mut FileSink {
            target,
            heard: &mut self.heard,
        });
    }

    /// There may be more to read than when it was last read to its end.
    pub(super) fn begin_pass(&mut self) {
        self.is_at_end = false;
    }

    /// Wall time of the next item, which is read if need be; `None` at the end of what is there.
    pub(super) fn head(&mut self, pools: &mut Pools) -> Option<f64> {
        while self.queue.is_empty() && !self.is_at_end {
            let mut sink = FileSink {
                target: &mut self.queue,
                heard: &mut self.heard,
            };
            let polled = self.follower.poll(&mut pools.merged, &mut sink);
            self.heard.note(polled);
            self.is_at_end = polled != Polled::More;
        }
        self.next_time()
    }

    /// Wall time of the next item that was read.
    pub(super) fn next_time(&self) -> Option<f64> {
        next_time(&self.queue)
    }

    /// Looks for the first point. While there is none the file has no place among others, unless `is_final`.
    pub(super) fn find_begin(&mut self, is_final: bool, pools: &mut Pools) -> Option<Begin> {
        let size = fs::metadata(&self.path).ok().map(|it| it.len());
        if !is_final && (size.is_none() || size == self.size_without_begin) {
            return None;
        }
        let mut peek = Self::new(&self.path, &self.patterns);
        peek.head(pools);
        let has_point = peek.queue.iter().any(|it| matches!(it, Held::Sample { .. }));
        self.begin = (has_point || !peek.is_at_end || is_final).then(|| begin_of(&peek.queue));
        self.size_without_begin = size.filter(|_| self.begin.is_none());
        if self.heard.last_failure.is_none() {
            self.heard.failures.extend(peek.take_failures());
            self.heard.last_failure = peek.heard.last_failure;
        }
        self.begin
    }

    /// Gives what was read up to this wall time, at least one item.
    pub(super) fn give_until(&mut self, until: f64, engine: &mut Engine<'_>) {
        let latest = give_until(&mut self.queue, until, engine);
        self.given = self.given.into_iter().chain(latest).reduce(f64::max);
    }

    pub(super) fn finish_merged(&mut self) {
        self.follower.finish(&mut FileSink {
            target: &mut self.queue,
            heard: &mut self.heard,
        });
    }

    /// What was read of it, in numbers.
    pub(super) fn totals(&self) -> Totals {
        let tally = self.follower.tally();
        Totals {
            files: 1,
            bytes: self.follower.tail().offset(),
            records: tally.records,
            skipped: tally.skipped,
            problems: self.heard.problems.count() + u64::from(self.heard.last_failure.is_some()),
        }
    }

    /// What was read of it, as `audit` reports it.
    pub(super) fn report(&self, shown: &str) -> (FileReport, Vec<Problem>) {
        let mut problems: Vec<Problem> = self.heard.problems.named(shown).collect();
        let (format, refusal) = match self.follower.opened() {
            _ if self.heard.last_failure.is_some() => {
                ("unreadable".to_owned(), self.heard.last_failure.clone())
            }
            Opened::Decoder(decoder) => (decoder.format().to_owned(), None),
            Opened::Compressed(how) => (
                (*how).to_owned(),
                Some(format!("compressed with {how}: decompress it to have it read")),
            ),
            Opened::NotALog(why) => (format!("not a log ({why})"), None),
            Opened::Empty => ("empty".to_owned(), None),
        };
        problems.extend(refusal.map(|what| Problem::path(shown, what)));
        let is_read = matches!(self.follower.opened(), Opened::Decoder(_));
        let tally = self.follower.tally();
        let report = FileReport {
            path: shown.to_owned(),
            format,
            bytes: if is_read { self.follower.tail().offset() } else { 0 },
            records: tally.records,
            skipped: tally.skipped,
            is_log: is_read && (tally.records > 0 || self.path.to_string_lossy().contains("tfevents")),
        };
        (report, problems)
    }
}

impl Heard {
    /// A file that was read fails anew when it fails again.
    fn note(&mut self, polled: Polled) {
        if polled != Polled::Idle {
            self.last_failure = None;
        }
    }
}

/// A place for points that can be emptied when they turn out to be void.
trait Restart: Target {
    fn restart(&mut self);
}

struct OneEngine<'e, 'f, 'r> {
    engine: &'e mut Engine<'r>,
    fresh: &'e Fresh<'f, 'r>,
}

impl Target for OneEngine<'_, '_, '_> {
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

impl Restart for OneEngine<'_, '_, '_> {
    fn restart(&mut self) {
        *self.engine = (self.fresh)();
    }
}

impl Restart for VecDeque<Held> {
    fn restart(&mut self) {
        self.clear();
    }
}

impl Hears for Heard {
    fn problem(&mut self, problem: Problem) {
        self.problems.problem(problem);
    }
}

impl<T: Restart> FollowSink for FileSink<'_, T, Heard> {
    fn news(&mut self, news: FileNews) {
        if matches!(news, FileNews::Rewritten | FileNews::Recognised) {
            self.target.restart();
            self.heard.is_reset = true;
        }
        if news == FileNews::Recognised {
            // What the wrong decoder could not read is no fault of the file.
            self.heard.problems = KeptProblems::default();
        }
    }

    fn passed_over(&mut self, problem: Problem) {
        self.heard.passed_over.push(problem.clone());
        self.problem(problem);
    }

    fn failed(&mut self, problem: Problem) {
        if self.heard.last_failure.as_deref() != Some(&problem.what) {
            self.heard.last_failure = Some(problem.what.clone());
            self.heard.failures.push(problem);
        }
    }
}
