//! The rules at work on one stream.
//!
//! In: samples, lines and marks in file order. Out: findings and the totals of every series. Invariants: pure
//! (no I/O, no clock), so a finished log and a followed one give the same findings; memory grows with the
//! number of series and rules, never with the length of the log.

use std::sync::Arc;

use foldhash::fast::FixedState;

use super::book::Book;
use super::check::{
    Build, Context, Judged, Judgement, ProfileCheck, Profiles, Pulse, SeriesChecks, StreamCheck, StreamEnd,
};
use super::persistence::Persistence;
use super::rule::Rule;
use super::screen::Screen;
use crate::model::{Mark, Profile, Quantity, Sample, Split, TextLine};
use crate::series::{Assembler, Baseline, Facts, History, PrimaryLoss, Restarts, Store, Tap};

type HashMap<K, V> = std::collections::HashMap<K, V, FixedState>;

mod bind;
mod judge;
mod outcome;
mod ranks;
mod rewind;

pub use outcome::Outcome;
use ranks::{Hearer, Ranks};

/// The rules at work on one stream.
pub struct Engine<'r> {
    rules: &'r [Rule],
    run: String,
    store: Store,
    facts: Facts,
    series: Vec<SeriesState>,
    assemblers: Vec<AssemblerState>,
    stream_checks: Vec<StreamState>,
    circles: Vec<Circle>,
    /// Made at the first line of text.
    line_screen: Option<Screen>,
    book: Book,
    restarts: Restarts,
    primary_loss: PrimaryLoss,
    loss_history: History,
    tap: Option<Box<dyn Tap>>,
    judged: Vec<Judged>,
    current_step: Option<i64>,
    current_wall_time: Option<f64>,
    n_lines: u64,
    /// Times that any series went back.
    n_restarts: u64,
    ranks: Ranks<'r>,
}

struct SeriesState {
    /// The circle of rules that look at it, and its place there.
    circle: u32,
    place: u32,
    slot: Option<(u32, u32)>,
    role: Role,
    /// Its steps go back and forth: several writers, and no restart.
    is_interleaved: bool,
    /// How often any series had gone back when its last point came.
    attempt: u64,
}

/// What a series means for the facts of the stream.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Loss,
    LearningRate,
    LossScale,
    None,
}

/// Series that the same rules look at, and what these rules make of them. There are few circles for many series.
struct Circle {
    bindings: Vec<SeriesBinding>,
    /// Stream checks that want the points.
    hearers: Vec<usize>,
    n_series: u32,
}

struct SeriesBinding {
    rule: usize,
    checks: Box<dyn SeriesChecks>,
    /// By the place of the series; empty where the rule fires at the first bad point.
    persistence: Vec<Persistence>,
}

impl SeriesBinding {
    /// Takes whether a point was bad; whether the rule fires now.
    fn note(&mut self, place: usize, is_bad: bool) -> bool {
        self.persistence
            .get_mut(place)
            .map_or(is_bad, |it| it.push(is_bad))
    }

    fn forget(&mut self, place: usize) {
        if let Some(persistence) = self.persistence.get_mut(place) {
            persistence.clear();
        }
    }
}

struct AssemblerState {
    assembler: Assembler,
    checks: Vec<ProfileBinding>,
}

/// One check and the rules that it serves: rules that differ in their kind or words alone share it.
struct ProfileBinding {
    rules: Vec<RuleMemory>,
    check: Box<dyn ProfileCheck>,
}

struct RuleMemory {
    rule: usize,
    persistence: HashMap<u32, Persistence>,
}

struct StreamState {
    rule: usize,
    /// Lines that the screen holds back are nothing to it.
    is_screened: bool,
    check: Box<dyn StreamCheck>,
    persistence: HashMap<u32, Persistence>,
}

struct Latest<'a>(&'a [AssemblerState]);

impl Profiles for Latest<'_> {
    fn latest(&self, quantity: Quantity) -> Option<Profile<'_>> {
        let is_it =
            |it: &&AssemblerState| it.assembler.key().0 == quantity && is_training(it.assembler.key().1);
        self.0.iter().find(is_it)?.assembler.latest()
    }
}

fn is_training(split: Split) -> bool {
    matches!(split, Split::Train | Split::Unknown)
}

impl<'r> Engine<'r> {
    /// An engine for one stream of the run with this name.
    #[must_use]
    pub fn new(rules: &'r [Rule], run: &str) -> Self {
        let mut engine = Self {
            rules,
            run: run.to_owned(),
            store: Store::for_run(run),
            facts: Facts::default(),
            series: Vec::new(),
            assemblers: Vec::new(),
            stream_checks: Vec::new(),
            circles: Vec::new(),
            line_screen: None,
            book: Book::default(),
            restarts: Restarts::default(),
            primary_loss: PrimaryLoss::default(),
            loss_history: History::default(),
            tap: None,
            judged: Vec::new(),
            current_step: None,
            current_wall_time: None,
            n_lines: 0,
            n_restarts: 0,
            ranks: Ranks::default(),
        };
        for (index, rule) in rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.concerns_run(run))
        {
            if let Build::Stream(build) = rule.check.build {
                let check = build(rule);
                let is_screened = check.line_patterns().is_some();
                engine.stream_checks.push(StreamState {
                    rule: index,
                    is_screened,
                    check,
                    persistence: HashMap::default(),
                });
            }
        }
        engine
    }

    /// Lets `tap` hear every point.
    #[must_use]
    pub fn with_tap(mut self, tap: Box<dyn Tap>) -> Self {
        self.tap = Some(tap);
        self
    }

    /// Compares the stream with this run.
    #[must_use]
    pub fn with_baseline(mut self, baseline: Arc<Baseline>) -> Self {
        self.facts.baseline = Some(baseline);
        self
    }

    /// Takes a sample.
    pub fn sample(&mut self, sample: &Sample<'_>) {
        if self.ranks.is_asked() {
            match self.hearer() {
                Hearer::Home => {}
                Hearer::Other(index) => {
                    if let Some(other) = self.ranks.get_mut(index) {
                        other.sample(sample);
                    }
                    return;
                }
                Hearer::Nobody => return self.store.pass_over(),
            }
        }
        let Some((id, is_new)) = self.store.id(sample.tag, &sample.form) else {
            return;
        };
        if is_new {
            self.bind(id, sample);
        }
        if self.is_superseding(id, sample.step) {
            // The last step of the attempt that ends here is complete, and the checks see it before they forget it.
            if self.current_step.is_some_and(|current| current > sample.step) {
                self.close_step();
            }
            self.n_restarts += u64::from(sample.step < self.store.get(id).last_step);
            self.series_went_back(id, sample.step);
        }
        if let Some(state) = self.series.get_mut(id as usize) {
            state.attempt = self.n_restarts;
        }
        self.store
            .get_mut(id)
            .add(sample.step, sample.value, &sample.form);
        if let Some(tap) = &mut self.tap {
            tap.point(
                id,
                self.store.get(id),
                sample.step,
                sample.wall_time,
                sample.value,
            );
        }
        self.move_on(sample.step, sample.wall_time);
        self.learn(id, sample);
        self.judge_point(id, sample);
        self.collect(id, sample);
    }

    /// Takes a line of text.
    pub fn line(&mut self, line: &TextLine<'_>) {
        self.n_lines += 1;
        let stream_checks = &self.stream_checks;
        let screen = self.line_screen.get_or_insert_with(|| {
            Screen::of(
                stream_checks
                    .iter()
                    .filter_map(|it| it.check.line_patterns())
                    .flatten()
                    .collect(),
            )
        });
        let is_let_through = screen.lets_through(line.text);
        self.ask_some_stream_checks(
            |it| is_let_through || !it.is_screened,
            |check, context, out| check.line(line, context, out),
        );
    }

    /// Takes a mark.
    pub fn mark(&mut self, mark: Mark<'_>) {
        if self.pass_on(mark) {
            return;
        }
        match mark {
            Mark::SessionStart { step } => {
                if self.facts.last_step.is_some_and(|last| step <= last) {
                    self.close_step();
                    self.n_restarts += 1;
                    self.rewind_all(step);
                }
            }
            Mark::PlannedSteps(steps) => self.facts.planned_steps = Some(steps),
            Mark::OrdinalSteps => self.facts.steps_are_ordinal = true,
            Mark::EpochSteps => self.facts.steps_are_epochs = true,
            Mark::FieldMissing { step, .. } => self.move_on(step, None),
            Mark::Smoothed { tag, by } => {
                if let Some(id) = self.store.find(tag) {
                    self.store.get_mut(id).smoothing = Some(by);
                }
            }
            Mark::Finished | Mark::Rank(_) => {}
        }
        self.ask_stream_checks(|check, context, out| check.mark(&mark, context, out));
    }

    /// Nothing more comes for now: gives room back that was kept for further series.
    pub fn rest(&mut self) {
        if self.series.len() < self.series.capacity() {
            self.series.shrink_to_fit();
            self.store.trim();
            for binding in self.circles.iter_mut().flat_map(|it| &mut it.bindings) {
                binding.checks.trim();
                binding.persistence.shrink_to_fit();
            }
            self.assemblers.iter_mut().for_each(|it| it.assembler.trim());
        }
        self.ranks.rest();
    }

    /// Time has passed, in a run that is followed.
    pub fn tick(&mut self, pulse: &Pulse) {
        self.ask_some_stream_checks(
            |it| it.check.hears_clock(),
            |check, context, out| check.tick(pulse, context, out),
        );
    }

    /// The log is complete: judges what can be judged only now, and gives the findings.
    #[must_use]
    pub fn finish(mut self, end: &StreamEnd) -> Outcome {
        for index in 0..self.assemblers.len() {
            self.close_profile(index);
        }
        self.close_step();
        for id in 0..self.series.len() as u32 {
            self.finish_series(id);
        }
        self.ask_stream_checks(|check, context, out| check.finish(end, context, out));
        let ranks = std::mem::take(&mut self.ranks);
        let home = ranks.home();
        // What could not be read is told once, of the file.
        let others = ranks.outcomes(|it| it.finish(&StreamEnd { skipped: 0, ..*end }));
        Outcome {
            home_rank: home,
            others,
            ..self.outcome()
        }
    }

    /// What was found so far in a log that goes on. Nothing is judged that can be judged only at the end, and the
    /// engine stays as it is.
    pub fn findings_now(&mut self) -> Outcome {
        Outcome {
            home_rank: self.ranks.home(),
            others: self.ranks.outcomes_now(),
            ..self.outcome()
        }
    }

    /// Grows when [`findings_now`](Self::findings_now) gives more than further points of known trouble.
    #[must_use]
    pub fn revision(&self) -> u64 {
        let of_ranks: u64 = self.ranks.engines().map(Self::revision).sum();
        self.book.revision() + self.series.len() as u64 + of_ranks
    }

    /// The furthest step that was reached (a row, where the log has no steps).
    #[must_use]
    pub fn last_step(&self) -> Option<i64> {
        let own = self.current_step.or(self.facts.last_step);
        self.ranks.engines().map(Self::last_step).fold(own, Option::max)
    }

    /// What is known of the stream so far.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The course of the training loss so far.
    #[must_use]
    pub fn loss_history(&self) -> &History {
        &self.loss_history
    }

    fn finish_series(&mut self, id: u32) {
        let last_step = self.store.get(id).last_step;
        let Some(state) = self.series.get(id as usize) else {
            return;
        };
        let (circle, place) = (state.circle as usize, state.place as usize);
        let mut bindings = std::mem::take(&mut self.circles[circle].bindings);
        for binding in &mut bindings {
            let context = Context {
                facts: &self.facts,
                profiles: &Latest(&self.assemblers),
            };
            match binding.checks.finish(place, &context) {
                Judgement::Bad(seen) => self.series_alarm(binding.rule, id, last_step, seen),
                Judgement::Healed(severity) => self.book.heal(binding.rule, u64::from(id), severity),
                Judgement::Abstain | Judgement::Good => {}
            }
        }
        self.circles[circle].bindings = bindings;
    }

    fn move_on(&mut self, step: i64, wall_time: Option<f64>) {
        if self.current_step != Some(step) {
            self.close_step();
            self.current_step = Some(step);
            self.facts.first_step = Some(self.facts.first_step.map_or(step, |first| first.min(step)));
            self.facts.last_step = Some(self.facts.last_step.map_or(step, |last| last.max(step)));
        }
        if wall_time.is_some() {
            self.current_wall_time = wall_time;
        }
    }

    fn close_step(&mut self) {
        let Some(closed) = self.current_step.take() else {
            return;
        };
        let closed_at = self.current_wall_time;
        self.facts.n_steps += 1;
        if let Some((_, since)) = &mut self.facts.restart {
            *since += 1;
        }
        self.ask_stream_checks(|check, context, out| check.step_closed(closed, closed_at, context, out));
    }

    fn learn(&mut self, id: u32, sample: &Sample<'_>) {
        let role = self.series[id as usize].role;
        match role {
            Role::None => {}
            Role::Loss => {
                if self.primary_loss.is_fed_by(id) {
                    self.facts.loss.add(sample.value);
                    self.loss_history.add(sample.step, sample.value);
                }
            }
            Role::LearningRate => {
                self.facts.learning_rate = Some(sample.value);
                let largest = self.facts.learning_rate_max.unwrap_or(sample.value);
                self.facts.learning_rate_max = Some(largest.max(sample.value));
            }
            Role::LossScale => self.facts.loss_scale = Some(sample.value),
        }
        if !sample.value.is_finite() && self.store.get(id).meaning.quantity.is_watched_for_nan() {
            self.facts.nonfinite_since.get_or_insert(sample.step);
        }
    }
}

#[cfg(test)]
mod tests;
