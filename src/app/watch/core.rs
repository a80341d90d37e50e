//! All runs under the paths given, followed.
//!
//! In: [`walk`](Watch::walk) and [`poll`](Watch::poll), whenever the caller thinks it is time, and what time it is.
//! Out: [`Notice`]s and [`Problem`]s. Invariants: no clock and no threads here, so a test decides what happens when;
//! nothing is said of a run before all that is there of it was read; a run in which nothing changed costs one `stat`
//! per file; what was said of a run outlives its files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::file::Pools;
use super::round::Round;
use super::run::LiveRun;
use super::stream::LiveStream;
use crate::alert::{Fingerprint, Journal, Notice};
use crate::model::{Finding, Problem};
use crate::report::AuditReport;
use crate::rules::Rule;
use crate::source::{Directory, Listings, Polled, RunFiles, StreamFiles, discover_again};

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
    /// Which run a file belongs to.
    homes: HashMap<PathBuf, String>,
    /// Runs that are to be looked at.
    round: Round,
    pools: Pools,
    problems: Vec<Problem>,
    listings: Listings,
    directories: Vec<Directory>,
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
            homes: HashMap::new(),
            round: Round::default(),
            pools: Pools::default(),
            problems: Vec::new(),
            listings: Listings::default(),
            directories: Vec::new(),
        }
    }

    /// Remembers what was said of runs before: see [`into_journals`](Self::into_journals).
    #[must_use]
    pub fn with_journals(mut self, journals: BTreeMap<String, Journal>) -> Self {
        let remembered = journals.into_iter().map(|(name, journal)| {
            let run = LiveRun {
                journal,
                ..LiveRun::new(&name, Path::new(""))
            };
            (name, run)
        });
        self.runs.extend(remembered);
        self
    }

    /// What was said of every run: all that outlives a watch. One with other rules that gets it judges the logs anew
    /// and says what differs.
    #[must_use]
    pub fn into_journals(self) -> BTreeMap<String, Journal> {
        let known = self.runs.into_iter().filter(|(_, run)| !run.journal.is_empty());
        known.map(|(name, run)| (name, run.journal)).collect()
    }

    /// Runs of which files are followed: name, path under which they were found, furthest step.
    pub fn followed(&self) -> impl Iterator<Item = (&str, &Path, Option<i64>)> {
        let followed = self.runs.iter().filter(|(_, it)| !it.streams.is_empty());
        followed.map(|(name, it)| (name.as_str(), it.root.as_path(), it.last_step()))
    }

    /// The path under which a run was found.
    #[must_use]
    pub fn root_of(&self, run: &str) -> Option<&Path> {
        self.runs.get(run).map(|it| it.root.as_path())
    }

    /// The findings of the alarms of a run that stand, as they are now.
    pub fn standing(&self, run: &str) -> impl Iterator<Item = (Fingerprint, &Finding)> {
        self.runs
            .get(run)
            .into_iter()
            .flat_map(|it| it.journal.standing())
    }

    /// Runs of which files are followed.
    #[must_use]
    pub fn n_runs(&self) -> usize {
        self.runs.values().filter(|it| !it.streams.is_empty()).count()
    }

    /// The directories that the last walk entered.
    #[must_use]
    pub fn directories(&self) -> &[Directory] {
        &self.directories
    }

    /// Looks for runs and files that are new, and forgets those that are gone. New ones are looked at by the next
    /// [`go_on`](Self::go_on).
    pub fn walk(&mut self) -> Heard {
        let mut found = discover_again(&self.paths, &mut self.listings);
        self.directories = std::mem::take(&mut found.directories);
        self.homes.clear();
        let mut before: HashMap<StreamKey, (String, LiveStream<'r>)> = HashMap::new();
        for (name, run) in &mut self.runs {
            before.extend(
                run.streams
                    .drain(..)
                    .map(|(key, stream)| (key, (name.clone(), stream))),
            );
        }
        for run in &found.runs {
            self.take_up(run, &mut before);
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

    fn take_up(&mut self, found: &RunFiles, before: &mut HashMap<StreamKey, (String, LiveStream<'r>)>) {
        let run = self
            .runs
            .entry(found.name.clone())
            .or_insert_with(|| LiveRun::new(&found.name, &found.root));
        run.root.clone_from(&found.root);
        for stream in &found.streams {
            let files = stream.files.iter().map(|it| (it.clone(), found.name.clone()));
            self.homes.extend(files);
            let key = key_of(stream);
            let known = before.remove(&key).filter(|(name, _)| *name == found.name);
            let live = match known {
                Some((_, mut live)) => {
                    if live.add_files(stream) {
                        self.round.add(&found.name);
                    }
                    live
                }
                None => {
                    self.round.add(&found.name);
                    LiveStream::new(stream, &found.name, self.rules)
                }
            };
            run.streams.push((key, live));
        }
    }

    /// Reads what is new in every file, and says what it means. After [`Polled::More`], [`go_on`](Self::go_on) should
    /// be called soon. `is_over` is asked between files.
    pub fn poll(&mut self, is_over: &dyn Fn() -> bool) -> (Polled, Heard) {
        for name in self.runs.keys() {
            self.round.add(name);
        }
        self.go_on(is_over)
    }

    /// As [`poll`](Self::poll), for the runs of these files alone.
    pub fn poll_files(&mut self, files: &BTreeSet<PathBuf>, is_over: &dyn Fn() -> bool) -> (Polled, Heard) {
        let names: BTreeSet<&String> = files.iter().filter_map(|it| self.homes.get(it)).collect();
        let mut hinted = Round::default();
        names.into_iter().for_each(|it| hinted.add(it));
        let done = self.look(&mut hinted, is_over);
        while let Some(name) = hinted.next() {
            self.round.add(&name);
        }
        done
    }

    /// As [`poll`](Self::poll), for the runs of which something was left.
    pub fn go_on(&mut self, is_over: &dyn Fn() -> bool) -> (Polled, Heard) {
        let mut round = std::mem::take(&mut self.round);
        let done = self.look(&mut round, is_over);
        while let Some(name) = self.round.next() {
            round.add(&name);
        }
        self.round = round;
        done
    }

    /// Gives each run of the round one turn; those that leave something go into the round of the watch.
    fn look(&mut self, round: &mut Round, is_over: &dyn Fn() -> bool) -> (Polled, Heard) {
        let (mut polled, mut heard) = (Polled::Idle, Heard::default());
        while let Some(name) = round.next() {
            if is_over() {
                round.add(&name);
                return (Polled::More, heard);
            }
            let Some(run) = self.runs.get_mut(&name) else {
                continue;
            };
            let of_run = run.poll(&mut self.pools, is_over);
            if of_run == Polled::More {
                self.round.add(&name);
            }
            polled = match (polled, of_run) {
                (Polled::More, _) | (_, Polled::More) => Polled::More,
                (Polled::Read, _) | (_, Polled::Read) => Polled::Read,
                _ => Polled::Idle,
            };
            heard.notices.extend(run.news());
            heard.problems.extend(run.take_failures());
        }
        if self.round.len() > 0 {
            polled = Polled::More;
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
