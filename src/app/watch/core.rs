//! All runs under the paths given, followed.
//!
//! In: [`walk`](Watch::walk) and [`poll`](Watch::poll), whenever the caller thinks it is time. Out: [`Notice`]s and
//! [`Problem`]s. Invariants: no clock and no threads here, so a test decides what happens when; nothing is said of a
//! run before all that is there of it was read; a run in which nothing changed costs one `stat` per file; what was
//! said of a run outlives its files.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use super::file::Pools;
use super::publish::limits_of;
use super::run::LiveRun;
use super::stream::LiveStream;
use crate::alert::Notice;
use crate::model::Problem;
use crate::report::AuditReport;
use crate::rules::Rule;
use crate::series::record::{Limits, SharedRecorder};
use crate::source::{Polled, RunFiles, StreamFiles, discover};

/// What a poll or a walk found.
#[derive(Debug, Default)]
pub struct Heard {
    /// What to say of alarms, run by run.
    pub notices: Vec<Notice>,
    /// What cannot be read.
    pub problems: Vec<Problem>,
}

/// Follows all runs under some paths.
pub struct Watch<'r> {
    rules: &'r [Rule],
    paths: Vec<PathBuf>,
    runs: BTreeMap<String, LiveRun<'r>>,
    pools: Pools,
    problems: Vec<Problem>,
    is_recorded: bool,
}

/// What stays the same of a stream when files are added: its rank and its file, or the directory of its event files.
pub(super) type StreamKey = (Option<u32>, PathBuf, bool);

fn key_of(stream: &StreamFiles) -> StreamKey {
    let first = stream.files.first().cloned().unwrap_or_default();
    let place = if stream.is_event_files {
        first.parent().map_or_else(PathBuf::new, PathBuf::from)
    } else {
        first
    };
    (stream.rank, place, stream.is_event_files)
}

impl<'r> Watch<'r> {
    /// Follows what is under these paths; nothing is read yet.
    #[must_use]
    pub fn new(paths: &[PathBuf], rules: &'r [Rule]) -> Self {
        Self {
            rules,
            paths: paths.to_vec(),
            runs: BTreeMap::new(),
            pools: Pools::default(),
            problems: Vec::new(),
            is_recorded: false,
        }
    }

    /// Keeps pictures of every run; `publish` says what they cost.
    #[must_use]
    pub fn with_pictures(mut self) -> Self {
        self.is_recorded = true;
        self
    }

    /// The runs, by name.
    pub(super) fn runs(&mut self) -> &mut BTreeMap<String, LiveRun<'r>> {
        &mut self.runs
    }

    /// Paths that could not be read at the last walk.
    pub(super) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Looks for runs and files that are new, and forgets those that are gone.
    pub fn walk(&mut self) -> Heard {
        let found = discover(&self.paths);
        let mut before: HashMap<StreamKey, (String, LiveStream<'r>)> = HashMap::new();
        for (name, run) in &mut self.runs {
            before.extend(
                run.streams
                    .drain(..)
                    .map(|(key, stream)| (key, (name.clone(), stream))),
            );
        }
        let n_streams = found.runs.iter().map(|it| it.streams.len()).sum();
        let limits = self.is_recorded.then(|| limits_of(n_streams));
        for run in &found.runs {
            self.take_up(run, &mut before, limits);
        }
        for (key, (name, stream)) in before {
            // A directory that cannot be listed for a moment is no reason to forget what is in it.
            if let Some(run) = self
                .runs
                .get_mut(&name)
                .filter(|_| !stream.is_gone() && !found.problems.is_empty())
            {
                run.streams.push((key, stream));
            }
        }
        self.runs
            .retain(|_, run| !run.streams.is_empty() || !run.journal.is_empty());
        let problems = found
            .problems
            .iter()
            .filter(|it| self.is_news(it))
            .cloned()
            .collect();
        self.problems = found.problems;
        Heard {
            notices: Vec::new(),
            problems,
        }
    }

    fn is_news(&self, problem: &Problem) -> bool {
        !self.problems.contains(problem)
    }

    fn take_up(
        &mut self,
        found: &RunFiles,
        before: &mut HashMap<StreamKey, (String, LiveStream<'r>)>,
        limits: Option<Limits>,
    ) {
        let run = self
            .runs
            .entry(found.name.clone())
            .or_insert_with(|| LiveRun::new(&found.name, &found.root));
        for stream in &found.streams {
            let key = key_of(stream);
            let known = before.remove(&key).filter(|(name, _)| *name == found.name);
            let live = match known {
                Some((_, mut live)) => {
                    live.add_files(stream);
                    live
                }
                None => LiveStream::new(stream, &found.name, self.rules, limits.map(SharedRecorder::new)),
            };
            run.streams.push((key, live));
        }
    }

    /// Reads what is new in every file, and says what it means. After [`Polled::More`] it should be called again
    /// soon. `is_over` is asked between files.
    pub fn poll(&mut self, is_over: &dyn Fn() -> bool) -> (Polled, Heard) {
        let (mut polled, mut heard) = (Polled::Idle, Heard::default());
        for run in self.runs.values_mut() {
            if is_over() {
                break;
            }
            let of_run = run.poll(&mut self.pools, is_over);
            polled = match (polled, of_run) {
                (Polled::More, _) | (_, Polled::More) => Polled::More,
                (Polled::Read, _) | (_, Polled::Read) => Polled::Read,
                _ => Polled::Idle,
            };
            heard.notices.extend(run.news());
            heard.problems.extend(run.take_failures());
        }
        (polled, heard)
    }

    /// Nobody will write any more: the report that `audit` gives, and what it has in alarms that were not said yet.
    #[must_use]
    pub fn finish(mut self) -> (AuditReport, Vec<Notice>) {
        let mut notices = Vec::new();
        let mut report = AuditReport {
            runs: Vec::new(),
            problems: self.problems,
        };
        for run in self.runs.into_values() {
            let (of_run, said) = run.finish(&mut self.pools);
            report.runs.push(of_run);
            notices.extend(said);
        }
        (report, notices)
    }
}
