//! All runs under the paths given, followed.
//!
//! In: [`walk`](Watch::walk) and [`poll`](Watch::poll), whenever the caller thinks it is time, and what time it is.
//! Out: [`Notice`]s and [`Problem`]s. Invariants: no clock and no threads here, so a test decides what happens when;
//! nothing is said of a run before all that is there of it was read; a run in which nothing changed costs one `stat`
//! per file; what was said of a run outlives its files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::file::Pools;
use super::publish::{limits_for_messages, limits_for_pages};
use super::rest::{Now, last_change};
use super::round::Round;
use super::run::LiveRun;
use super::stream::{EngineParts, LiveStream};
use crate::alert::{Fingerprint, Journal, Notice};
use crate::app::InForce;
use crate::app::baseline::NamedBaseline;
use crate::model::{Finding, Problem};
use crate::report::AuditReport;
use crate::report::html::RankRecording;
use crate::series::record::{Limits, SharedRecorder};
use crate::source::{Directory, Discovery, Listings, Polled, RunFiles, StreamFiles, discover_again};

/// What a poll or a walk found.
#[derive(Debug, Default)]
pub struct Heard {
    /// What to say of alarms, run by run.
    pub notices: Vec<Notice>,
    /// What cannot be read.
    pub problems: Vec<Problem>,
}

/// Recorders of runs by their names, which go on listening.
#[derive(Debug, Default)]
pub struct RunRecorders(BTreeMap<String, Vec<(Option<u32>, SharedRecorder)>>);

impl RunRecorders {
    /// What was recorded of a run until now.
    #[must_use]
    pub fn recordings(&self, run: &str) -> Vec<RankRecording> {
        let recorders = self.0.get(run).into_iter().flatten();
        recorders.map(|(rank, it)| (*rank, it.copy())).collect()
    }
}

/// Follows all runs under some paths.
pub struct Watch<'r> {
    by: InForce<'r>,
    /// What runs are compared with.
    baseline: Option<NamedBaseline>,
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
    /// The runs that the last walk found.
    found: Vec<RunFiles>,
    now: Option<Now>,
    active_within_s: Option<f64>,
    /// Runs that are left unread because nothing was written for so long.
    n_dormant: usize,
    n_walks: u32,
    next_tick_s: Option<f64>,
    /// The revision of the hints that runs rely on; none when there are other runs.
    relied_on: Option<u64>,
    /// What each stream may keep of its pictures, where there are any.
    limits: Option<Limits>,
    /// How much of a stream is recorded when there are this many.
    limits_of: Option<fn(usize) -> Option<Limits>>,
}

/// Seconds between two judgements by the clock, a thirtieth of the shortest silence that the shipped rules speak of.
const TICK_EVERY_S: f64 = 30.0;

/// Walks of which one asks of every run whether it is still written.
const WALKS_PER_REST: u32 = 64;

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
    pub fn new(paths: &[PathBuf], by: impl Into<InForce<'r>>) -> Self {
        Self {
            by: by.into(),
            baseline: None,
            paths: paths.to_vec(),
            runs: BTreeMap::new(),
            homes: HashMap::new(),
            round: Round::default(),
            pools: Pools::default(),
            problems: Vec::new(),
            listings: Listings::default(),
            directories: Vec::new(),
            found: Vec::new(),
            now: None,
            active_within_s: None,
            n_dormant: 0,
            n_walks: 0,
            next_tick_s: None,
            relied_on: None,
            limits: None,
            limits_of: None,
        }
    }

    /// Compares every run with this one.
    #[must_use]
    pub fn with_baseline(mut self, baseline: Option<NamedBaseline>) -> Self {
        self.baseline = baseline;
        self
    }

    /// Keeps pictures of every run; `publish` says what they cost.
    #[must_use]
    pub fn with_pictures(mut self) -> Self {
        self.limits_of = Some(|n_streams| Some(limits_for_pages(n_streams)));
        self
    }

    /// Keeps what the pictures of messages need, unless pictures for pages are kept anyway; `publish` says what they
    /// cost.
    #[must_use]
    pub fn with_pictures_for_messages(mut self) -> Self {
        self.limits_of = self.limits_of.or(Some(limits_for_messages));
        self
    }

    /// What is recorded of each run, so that it can be looked at later.
    #[must_use]
    pub fn recorders(&self) -> RunRecorders {
        let of_run = |run: &LiveRun<'_>| run.streams.iter().filter_map(|(_, it)| it.recorder()).collect();
        let runs = self.runs.iter();
        RunRecorders(runs.map(|(name, run)| (name.clone(), of_run(run))).collect())
    }

    /// The runs, by name.
    pub(super) fn runs(&mut self) -> &mut BTreeMap<String, LiveRun<'r>> {
        &mut self.runs
    }

    /// Paths that could not be read at the last walk.
    pub(super) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Leaves runs unread in which nothing has changed for so many seconds, until something does. Needs to be
    /// [told the time](Self::tell_time).
    #[must_use]
    pub fn active_within(mut self, seconds: f64) -> Self {
        self.active_within_s = Some(seconds);
        self
    }

    /// Reads of files larger than this only about so many last bytes, and says so.
    #[must_use]
    pub fn replay_max(mut self, bytes: u64) -> Self {
        self.pools.set_replay_max(bytes);
        self
    }

    /// What time it is. A watch that was never told judges nothing by the clock.
    pub fn tell_time(&mut self, now: Now) {
        self.now = Some(now);
    }

    /// Runs whose directories all give trusted hints are looked at less often when nothing is written. `revision` is
    /// another number whenever another answer may be given.
    pub fn rely_on_hints(&mut self, revision: u64, is_covered: &dyn Fn(&Path) -> bool) {
        if self.relied_on.replace(revision) == Some(revision) {
            return;
        }
        for run in &self.found {
            let Some(live) = self.runs.get_mut(&run.name) else {
                continue;
            };
            let mut directories = run.streams.iter().flat_map(|it| &it.files).map(|it| it.parent());
            live.rest.is_hinted = directories.all(|it| it.is_some_and(is_covered));
        }
    }

    /// Whether a file belongs to a run that is left unread.
    #[must_use]
    pub fn is_dormant(&self, file: &Path) -> bool {
        let run = self.homes.get(file).and_then(|it| self.runs.get(it));
        self.homes.contains_key(file) && run.is_none_or(|it| it.streams.is_empty())
    }

    /// Runs that are left unread because nothing was written in them for so long.
    #[must_use]
    pub fn n_dormant(&self) -> usize {
        self.n_dormant
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
        let found = discover_again(&self.paths, &mut self.listings);
        let problems = found.map_or_else(Vec::new, |it| self.take_in(it));
        self.put_to_rest();
        Heard {
            notices: Vec::new(),
            problems,
        }
    }

    /// Takes in what a walk has found; the problems that are new.
    fn take_in(&mut self, found: Discovery) -> Vec<Problem> {
        self.directories = found.directories;
        let is_same = found.problems.is_empty() && self.problems.is_empty() && found.runs == self.found;
        if !is_same {
            self.take_stock(&found.runs, !found.problems.is_empty());
            self.relied_on = None;
            self.found = found.runs;
        }
        let is_news = |it: &&Problem| !self.problems.contains(*it);
        let news = found.problems.iter().filter(is_news).cloned().collect();
        self.problems = found.problems;
        news
    }

    /// Takes up what is new, and forgets what is gone.
    fn take_stock(&mut self, found: &[RunFiles], is_in_part: bool) {
        self.homes.clear();
        let mut before: HashMap<StreamKey, (String, LiveStream<'r>)> = HashMap::new();
        for (name, run) in &mut self.runs {
            before.extend(
                run.streams
                    .drain(..)
                    .map(|(key, stream)| (key, (name.clone(), stream))),
            );
        }
        let n_streams = found.iter().map(|it| it.streams.len()).sum();
        self.limits = self.limits_of.and_then(|it| it(n_streams));
        for run in found {
            self.take_up(run, &mut before);
        }
        for (key, (name, stream)) in before {
            // A directory that cannot be listed for a moment is no reason to forget what is in it.
            if let Some(run) = self
                .runs
                .get_mut(&name)
                .filter(|_| !stream.is_gone() && is_in_part)
            {
                run.streams.push((key, stream));
            }
        }
        self.forget_empty();
    }

    fn forget_empty(&mut self) {
        self.runs
            .retain(|_, run| !run.streams.is_empty() || !run.journal.is_empty());
    }

    /// Forgets the content of runs in which nothing was written for long, and takes up those in which something was.
    fn put_to_rest(&mut self) {
        let Some((now, seconds)) = self.now.zip(self.active_within_s) else {
            return;
        };
        self.n_walks = self.n_walks.wrapping_add(1);
        self.n_dormant = 0;
        let found = std::mem::take(&mut self.found);
        for run in &found {
            // Falling asleep is not urgent.
            let is_awake = self
                .runs
                .get(&run.name)
                .is_some_and(|it| !it.streams.is_empty() && it.was_read);
            if is_awake && !self.n_walks.is_multiple_of(WALKS_PER_REST) {
                continue;
            }
            let is_active = last_change(run).is_none_or(|it| it > now.unix_s - seconds);
            let is_read = self.runs.get(&run.name).is_some_and(|it| !it.streams.is_empty());
            if !is_active {
                self.n_dormant += 1;
                if let Some(live) = self.runs.get_mut(&run.name) {
                    live.streams.clear();
                    live.was_read = false;
                }
            } else if !is_read {
                self.take_up(run, &mut HashMap::new());
                self.relied_on = None;
            }
        }
        self.found = found;
        self.forget_empty();
    }

    fn take_up(&mut self, found: &RunFiles, before: &mut HashMap<StreamKey, (String, LiveStream<'r>)>) {
        let run = self
            .runs
            .entry(found.name.clone())
            .or_insert_with(|| LiveRun::new(&found.name, &found.root));
        run.root.clone_from(&found.root);
        run.baseline = self.baseline.as_ref().and_then(|it| it.beside(found)).cloned();
        for stream in &found.streams {
            let files = stream.files.iter().map(|it| (it.clone(), found.name.clone()));
            self.homes.extend(files);
            let key = key_of(stream);
            let known = before.remove(&key).filter(|(name, _)| *name == found.name);
            let live = if let Some((_, mut live)) = known {
                if live.add_files(stream) {
                    self.round.add(&found.name);
                }
                live
            } else {
                self.round.add(&found.name);
                let parts = EngineParts {
                    by: self.by,
                    run: found.name.clone(),
                    recorder: self.limits.map(SharedRecorder::new),
                    baseline: run.baseline.clone(),
                };
                LiveStream::new(stream, parts)
            };
            run.streams.push((key, live));
        }
    }

    /// Reads what is new in every file, and says what it means. After [`Polled::More`], [`go_on`](Self::go_on) should
    /// be called soon. `is_over` is asked between files.
    pub fn poll(&mut self, is_over: &dyn Fn() -> bool) -> (Polled, Heard) {
        for (name, run) in &mut self.runs {
            if run.rest.is_due() {
                self.round.add(name);
            } else {
                run.rest.was_left_out();
            }
        }
        let (polled, mut heard) = self.go_on(is_over);
        self.tick(&mut heard);
        (polled, heard)
    }

    /// Judges what only the clock tells.
    fn tick(&mut self, heard: &mut Heard) {
        let is_due = |it: &Now| self.next_tick_s.is_none_or(|then| then <= it.steady_s);
        let Some(now) = self.now.filter(is_due) else {
            return;
        };
        self.next_tick_s = Some(now.steady_s + TICK_EVERY_S);
        for run in self.runs.values_mut() {
            run.tick(now);
            heard.notices.extend(run.news());
        }
    }

    /// As [`poll`](Self::poll), for the runs of these files alone.
    pub fn poll_files(&mut self, files: &BTreeSet<PathBuf>, is_over: &dyn Fn() -> bool) -> (Polled, Heard) {
        let names: BTreeSet<&String> = files.iter().filter_map(|it| self.homes.get(it)).collect();
        let mut hinted = Round::default();
        for name in names {
            hinted.add(name);
        }
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
            run.rest.looked(of_run);
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
