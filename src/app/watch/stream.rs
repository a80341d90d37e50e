//! The files of one stream, followed, and the engine that judges them.
//!
//! In: polls. Out: what the engine has found. Invariants: an engine never sees points of two generations of a file:
//! when a file is rewritten, the stream begins anew with a fresh engine; several files are merged in the order that
//! `audit` reads them in, and when one delivers out of that order the stream is read again from the files, once it
//! has grown by a quarter (so that reading again costs a constant factor) or ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{LiveFile, Pools};
use super::rest::changed_at;
use crate::app::InForce;
use crate::app::feed::{Fed, precedence};
use crate::app::order::{Begin, Order};
use crate::app::pipeline::end_of;
use crate::model::Problem;
use crate::report::html::RankRecording;
use crate::rules::check::Pulse;
use crate::rules::{Engine, Outcome, StreamOutcome};
use crate::series::Baseline;
use crate::series::record::SharedRecorder;
use crate::source::{Polled, StreamFiles};

/// Turns that the files of one stream take in one poll, so that no stream starves another.
const TURNS_PER_POLL: usize = 4_096;

/// What an engine is made of.
pub(super) struct EngineParts<'r> {
    /// What it judges by.
    pub(super) by: InForce<'r>,
    /// The run.
    pub(super) run: String,
    /// Hears the points.
    pub(super) recorder: Option<SharedRecorder>,
    /// The run that this one is compared with.
    pub(super) baseline: Option<Arc<Baseline>>,
}

impl<'r> EngineParts<'r> {
    /// An engine that has seen nothing, and its listener.
    fn fresh(&self) -> Engine<'r> {
        let mut engine = Engine::new(self.by.rules, &self.run);
        if let Some(baseline) = &self.baseline {
            engine = engine.with_baseline(Arc::clone(baseline));
        }
        match &self.recorder {
            Some(recorder) => engine.with_tap(recorder.listen_anew()),
            None => engine,
        }
    }
}

/// A followed stream.
pub(super) struct LiveStream<'r> {
    parts: EngineParts<'r>,
    rank: Option<u32>,
    files: Vec<LiveFile>,
    engine: Engine<'r>,
    order: Order,
    /// The files are between two ends: not all that was there when the pass began was read.
    is_in_pass: bool,
    /// A file delivered something that belongs before what another one had delivered.
    is_disordered: bool,
    /// Bytes of all files when what was there had been read for the first time.
    begun_bytes: Option<u64>,
    /// Grows with every fresh engine.
    generation: u64,
    /// What the last poll left to be done.
    polled: Polled,
    is_final: bool,
}

impl<'r> LiveStream<'r> {
    /// A stream of which nothing was read.
    pub(super) fn new(stream: &StreamFiles, parts: EngineParts<'r>) -> Self {
        let patterns = parts.by.patterns;
        Self {
            rank: stream.rank,
            files: stream
                .files
                .iter()
                .map(|it| LiveFile::new(it, patterns))
                .collect(),
            engine: parts.fresh(),
            parts,
            order: Order::default(),
            is_in_pass: false,
            is_disordered: false,
            begun_bytes: None,
            generation: 0,
            polled: Polled::More,
            is_final: false,
        }
    }

    /// Takes up files that were found since; true when there are any.
    pub(super) fn add_files(&mut self, stream: &StreamFiles) -> bool {
        let is_new = |path: &&PathBuf| !self.files.iter().any(|it| it.path() == path.as_path());
        let new: Vec<LiveFile> = stream
            .files
            .iter()
            .filter(is_new)
            .map(|it| LiveFile::new(it, self.parts.by.patterns))
            .collect();
        if new.is_empty() {
            return false;
        }
        let was_one = self.files.len() == 1;
        self.files.extend(new);
        self.polled = Polled::More;
        // Equal times go by name, and a file that was read alone has no place in the order.
        if was_one || !self.files.is_sorted_by(|a, b| a.path() <= b.path()) {
            self.files.sort_by(|a, b| a.path().cmp(b.path()));
            self.begin_anew();
        }
        true
    }

    /// Reads what is new.
    pub(super) fn poll(&mut self, pools: &mut Pools) -> Polled {
        let polled = match self.files.as_mut_slice() {
            [only] => {
                let parts = &self.parts;
                let polled = only.read_alone(&mut self.engine, &|| parts.fresh(), pools);
                self.generation += u64::from(only.take_reset());
                polled
            }
            _ => self.poll_merged(pools),
        };
        if polled == Polled::Read {
            self.engine.rest();
        }
        self.polled = polled;
        polled
    }

    fn poll_merged(&mut self, pools: &mut Pools) -> Polled {
        if !self.is_in_pass {
            self.begin_pass(pools);
        }
        let mut polled = Polled::Idle;
        for _ in 0..TURNS_PER_POLL {
            let (files, order) = (&mut self.files, &mut self.order);
            let next = order.next(&mut |index| files.get_mut(index)?.head(pools));
            if self.files.iter_mut().any(LiveFile::take_reset) {
                self.begin_anew();
                return Polled::More;
            }
            let Some((index, until)) = next else {
                self.is_in_pass = false;
                self.begun_bytes = self.begun_bytes.or(Some(self.bytes()));
                return polled;
            };
            let Some(file) = self.files.get_mut(index) else {
                break;
            };
            file.give_until(until, &mut self.engine);
            polled = Polled::Read;
        }
        Polled::More
    }

    /// Finds the place of files that were not read yet, and takes up those that were at their end.
    fn begin_pass(&mut self, pools: &mut Pools) {
        if self.is_disordered && self.begun_bytes.is_none_or(|it| self.bytes() > it + it / 4) {
            self.begin_anew();
        }
        self.is_in_pass = true;
        self.files.iter_mut().for_each(LiveFile::begin_pass);
        for index in 0..self.files.len() {
            let Some(file) = self.files.get_mut(index) else {
                continue;
            };
            if let Some(begin) = file.begin() {
                if let Some(time) = file.head(pools) {
                    self.is_disordered |= self.comes_too_late(index, begin, time);
                    self.order.resume(index);
                }
            } else if let Some(begin) = file.find_begin(self.is_final, pools) {
                self.is_disordered |= self.comes_too_late(index, begin, begin.time);
                self.order.wait(index, begin);
            }
        }
    }

    /// Whether another file already gave what belongs behind an item of this file at `time`.
    fn comes_too_late(&self, index: usize, begin: Begin, time: f64) -> bool {
        (0..).zip(&self.files).any(|(other, file)| {
            let Some((its, given)) = file.begin().zip(file.given()).filter(|_| other != index) else {
                return false;
            };
            // A session start waits for whatever began before it, however late that goes on.
            let is_later_attempt = its.is_session && its.time >= begin.time;
            let is_later_itself = begin.is_session && its.time <= begin.time;
            is_later_attempt || !is_later_itself && (time, index) < (given, other)
        })
    }

    /// Bytes read of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(LiveFile::bytes).sum()
    }

    /// Reads everything again, with a fresh engine.
    fn begin_anew(&mut self) {
        self.files.iter_mut().for_each(LiveFile::begin_anew);
        self.engine = self.parts.fresh();
        self.order = Order::default();
        (self.is_in_pass, self.is_disordered, self.begun_bytes) = (false, false, None);
        self.generation += 1;
    }

    /// Whether all that is there was read.
    pub(super) fn is_caught_up(&self) -> bool {
        self.polled != Polled::More
    }

    /// Another value when there may be other findings.
    pub(super) fn mark(&self) -> (u64, u64) {
        (self.generation, self.engine.revision())
    }

    /// The furthest step.
    pub(super) fn last_step(&self) -> Option<i64> {
        self.engine.last_step()
    }

    /// When one of its files last changed, in seconds since 1970.
    pub(super) fn last_change(&self) -> Option<f64> {
        let changes = self.files.iter().filter_map(|it| changed_at(it.path()));
        changes.reduce(f64::max)
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, pulse: &Pulse) {
        self.engine.tick(pulse);
    }

    /// Why files cannot be read, each said once.
    pub(super) fn take_failures(&mut self) -> Vec<Problem> {
        self.files.iter_mut().flat_map(LiveFile::take_failures).collect()
    }

    /// Whether none of its files is there any more.
    pub(super) fn is_gone(&self) -> bool {
        self.files.iter().all(|it| !it.path().exists())
    }

    /// What was found so far.
    pub(super) fn outcome_now(&mut self) -> StreamOutcome {
        let formats = self.files.iter().filter_map(LiveFile::format);
        let precedence = formats.map(precedence).min().unwrap_or(u32::MAX);
        StreamOutcome {
            rank: self.rank,
            precedence,
            outcome: self.engine.findings_now(),
        }
    }

    /// Nobody will write any more: what was read of the files, and what was found in them.
    pub(super) fn finish(
        mut self,
        pools: &mut Pools,
        shown: &dyn Fn(&Path) -> String,
    ) -> (Option<u32>, Fed, Outcome) {
        self.is_final = true;
        while self.poll(pools) == Polled::More {}
        if self.is_disordered {
            self.begin_anew();
            while self.poll(pools) == Polled::More {}
        }
        if let [only] = self.files.as_mut_slice() {
            let parts = &self.parts;
            only.finish_alone(&mut self.engine, &|| parts.fresh());
        } else {
            self.finish_merged();
        }
        let fed = self.fed(shown);
        let outcome = self.engine.finish(&end_of(&fed));
        (self.rank, fed, outcome)
    }

    /// What was read of the files so far, and what was found in them.
    pub(super) fn report_now(&mut self, shown: &dyn Fn(&Path) -> String) -> (Option<u32>, Fed, Outcome) {
        (self.rank, self.fed(shown), self.engine.findings_now())
    }

    fn fed(&self, shown: &dyn Fn(&Path) -> String) -> Fed {
        let mut fed = Fed {
            precedence: u32::MAX,
            ..Fed::default()
        };
        for file in &self.files {
            fed.precedence = fed.precedence.min(file.format().map_or(u32::MAX, precedence));
            let (report, problems) = file.report(&shown(file.path()));
            fed.files.push(report);
            fed.problems.extend(problems);
        }
        fed
    }

    /// Its pictures so far, with its rank.
    pub(super) fn recording(&self) -> Option<RankRecording> {
        Some((self.rank, self.parts.recorder.as_ref()?.copy()))
    }

    /// What listens to it, with its rank.
    pub(super) fn recorder(&self) -> Option<(Option<u32>, SharedRecorder)> {
        Some((self.rank, self.parts.recorder.clone()?))
    }

    pub(super) fn rank(&self) -> Option<u32> {
        self.rank
    }

    pub(super) fn files(&self) -> &[LiveFile] {
        &self.files
    }

    pub(super) fn engine(&self) -> &Engine<'r> {
        &self.engine
    }

    /// Gives what the ends of the files still held.
    fn finish_merged(&mut self) {
        for index in 0..self.files.len() {
            let Some(file) = self.files.get_mut(index) else {
                continue;
            };
            file.finish_merged();
            self.order.resume(index);
        }
        let files = &mut self.files;
        while let Some((index, until)) = self.order.next(&mut |index| files.get(index)?.next_time()) {
            if let Some(file) = files.get_mut(index) {
                file.give_until(until, &mut self.engine);
            }
        }
    }
}
