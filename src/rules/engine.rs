//! The rules at work on one stream.
//!
//! In: samples, lines and marks in file order. Out: findings and the totals of every series. Invariants: pure
//! (no I/O, no clock), so a finished log and a followed one give the same findings; memory grows with the
//! number of series and rules, never with the length of the log.

use std::sync::Arc;

use foldhash::fast::FixedState;

use super::book::{Book, Subject};
use super::check::{
    Build, Context, Judged, Judgement, Observation, Point, ProfileCheck, Profiles, SeriesCheck, StreamCheck,
    StreamEnd,
};
use super::persistence::Persistence;
use super::rule::Rule;
use super::screen::Screen;
use crate::extract::names_a_game;
use crate::model::{Mark, Profile, Quantity, Sample, Slot, Split, TextLine};
use crate::series::{
    Assembler, Baseline, Facts, History, LossFacts, PrimaryLoss, Restarts, Store, Tap, evidence,
};

type HashMap<K, V> = std::collections::HashMap<K, V, FixedState>;

mod outcome;
mod rewind;

pub use outcome::Outcome;

/// The rules at work on one stream.
pub struct Engine<'r> {
    rules: &'r [Rule],
    run: String,
    store: Store,
    facts: Facts,
    series: Vec<SeriesState>,
    assemblers: Vec<AssemblerState>,
    stream_checks: Vec<StreamState>,
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
}

struct SeriesState {
    checks: Vec<SeriesBinding>,
    slot: Option<(usize, u32)>,
    /// Stream checks that want its points.
    heard_by: Vec<usize>,
    role: Role,
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

struct SeriesBinding {
    rule: usize,
    check: Box<dyn SeriesCheck>,
    persistence: Persistence,
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
        let point = Point {
            step: sample.step,
            wall_time: sample.wall_time,
            value: sample.value,
            resolution: sample.form.resolution(),
        };
        self.judge_point(id, &point);
        self.collect(id, &point);
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
            Mark::Finished => {}
        }
        self.ask_stream_checks(|check, context, out| check.mark(&mark, context, out));
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
        self.outcome()
    }

    fn finish_series(&mut self, id: u32) {
        let last_step = self.store.get(id).last_step;
        let Some(state) = self.series.get_mut(id as usize) else {
            return;
        };
        let mut checks = std::mem::take(&mut state.checks);
        for binding in &mut checks {
            let context = Context {
                facts: &self.facts,
                profiles: &Latest(&self.assemblers),
            };
            match binding.check.finish(&context) {
                Judgement::Bad(seen) => self.series_alarm(binding.rule, id, last_step, seen),
                Judgement::Healed(severity) => self.book.heal(binding.rule, u64::from(id), severity),
                Judgement::Abstain | Judgement::Good => {}
            }
        }
        if let Some(state) = self.series.get_mut(id as usize) {
            state.checks = checks;
        }
    }

    // --- binding -----------------------------------------------------------------------------------------

    fn bind(&mut self, id: u32, sample: &Sample<'_>) {
        let info = self.store.get(id);
        let quantity = info.meaning.quantity;
        self.facts.is_game |= names_a_game(&info.tag);
        let role = match quantity {
            Quantity::Loss => {
                if self.primary_loss.meet(id, &info.tag) {
                    self.facts.loss = LossFacts::default();
                    self.loss_history = History::default();
                }
                Role::Loss
            }
            Quantity::LearningRate => Role::LearningRate,
            Quantity::LossScale => Role::LossScale,
            _ => Role::None,
        };
        let checks = self
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| {
                rule.concerns_run(&self.run) && rule.concerns_series(&info.tag, &info.meaning)
            })
            .filter_map(|(index, rule)| match rule.check.build {
                Build::Series(build) => Some(SeriesBinding {
                    rule: index,
                    check: build(rule),
                    persistence: Persistence::new(rule.persistence),
                }),
                Build::Profile(_) | Build::Stream(_) => None,
            })
            .collect();
        let heard_by = self
            .stream_checks
            .iter()
            .enumerate()
            .filter(|(_, it)| self.rules[it.rule].concerns_series(&info.tag, &info.meaning))
            .map(|(index, _)| index)
            .collect();
        let slot = self.slot_for(id, sample);
        self.series.push(SeriesState {
            checks,
            slot,
            heard_by,
            role,
            attempt: self.n_restarts,
        });
    }

    fn slot_for(&mut self, id: u32, sample: &Sample<'_>) -> Option<(usize, u32)> {
        let meaning = &self.store.get(id).meaning;
        let layer = meaning.layer.clone()?;
        if !meaning.quantity.is_per_layer() {
            return None;
        }
        let key = (meaning.quantity, meaning.split);
        let index = match self.assemblers.iter().position(|it| it.assembler.key() == key) {
            Some(index) => index,
            None => self.add_assembler(key),
        };
        let slot = Slot {
            layer,
            n_elements: sample.form.n_elements(),
            resolution: sample.form.resolution(),
            is_estimate: sample.form.is_estimate(),
        };
        Some((index, self.assemblers[index].assembler.add_slot(slot)?))
    }

    fn add_assembler(&mut self, key: (Quantity, Split)) -> usize {
        let mut checks: Vec<ProfileBinding> = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let Build::Profile(build) = rule.check.build else {
                continue;
            };
            if !rule.concerns_run(&self.run) || !rule.concerns_quantity(key.0, key.1) {
                continue;
            }
            let memory = RuleMemory {
                rule: index,
                persistence: HashMap::default(),
            };
            let is_alike = |it: &&mut ProfileBinding| {
                it.rules
                    .first()
                    .is_some_and(|first| self.rules[first.rule].is_judged_alike(rule))
            };
            match checks.iter_mut().find(is_alike) {
                Some(binding) => binding.rules.push(memory),
                None => checks.push(ProfileBinding {
                    rules: vec![memory],
                    check: build(rule),
                }),
            }
        }
        self.assemblers.push(AssemblerState {
            assembler: Assembler::new(key.0, key.1),
            checks,
        });
        self.assemblers.len() - 1
    }

    // --- time --------------------------------------------------------------------------------------------

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

    // --- judging -----------------------------------------------------------------------------------------

    fn judge_point(&mut self, id: u32, point: &Point) {
        let Some(state) = self.series.get_mut(id as usize) else {
            return;
        };
        let mut checks = std::mem::take(&mut state.checks);
        let heard_by = std::mem::take(&mut state.heard_by);
        for binding in &mut checks {
            let context = Context {
                facts: &self.facts,
                profiles: &Latest(&self.assemblers),
            };
            match binding.check.observe(point, &context) {
                Judgement::Abstain => {}
                Judgement::Good => {
                    binding.persistence.push(false);
                }
                Judgement::Healed(severity) => {
                    binding.persistence.clear();
                    self.book.heal(binding.rule, u64::from(id), severity);
                }
                Judgement::Bad(seen) => {
                    if binding.persistence.push(true) {
                        self.series_alarm(binding.rule, id, point.step, seen);
                    }
                }
            }
        }
        for &index in &heard_by {
            let mut judged = std::mem::take(&mut self.judged);
            let context = Context {
                facts: &self.facts,
                profiles: &Latest(&self.assemblers),
            };
            self.stream_checks[index]
                .check
                .sample(self.store.get(id), point, &context, &mut judged);
            self.take_stream_judgements(index, &mut judged);
            self.judged = judged;
        }
        if let Some(state) = self.series.get_mut(id as usize) {
            state.checks = checks;
            state.heard_by = heard_by;
        }
    }

    fn series_alarm(&mut self, rule: usize, id: u32, step: i64, seen: Observation) {
        if !self.rules[rule].wants_kind(seen.kind) {
            return;
        }
        let info = self.store.get(id);
        let layer = info.meaning.layer.as_ref();
        let tag = if layer.is_none() {
            Some(info.tag.as_str())
        } else {
            None
        };
        let layers = layer.map(|it| (id, it.path.as_str())).into_iter().collect();
        let subject = Subject {
            id: u64::from(id),
            quantity: info.meaning.quantity,
            tag,
            layers,
            evidence: Vec::new(),
        };
        self.book
            .alarm(rule, self.rules[rule].severity, step, &subject, seen);
    }

    fn collect(&mut self, id: u32, point: &Point) {
        if self.rules.is_empty() {
            return;
        }
        let Some((index, slot)) = self.series[id as usize].slot else {
            return;
        };
        if self.assemblers[index].assembler.would_close(point.step) {
            self.close_profile(index);
        }
        self.assemblers[index]
            .assembler
            .put(slot, point.step, point.wall_time, point.value);
    }

    fn close_profile(&mut self, index: usize) {
        let mut checks = std::mem::take(&mut self.assemblers[index].checks);
        if self.assemblers[index].assembler.close().is_none() {
            self.assemblers[index].checks = checks;
            return;
        }
        let mut judged = std::mem::take(&mut self.judged);
        let context = Context {
            facts: &self.facts,
            profiles: &Latest(&self.assemblers),
        };
        if let Some(profile) = self.assemblers[index].assembler.latest() {
            for ProfileBinding { rules, check } in &mut checks {
                let Some(first) = rules.first() else { continue };
                judged.clear();
                match self.rules[first.rule].filter_groups(&profile) {
                    Some(groups) => check.observe(
                        &Profile {
                            groups: &groups,
                            ..profile
                        },
                        &context,
                        &mut judged,
                    ),
                    None => check.observe(&profile, &context, &mut judged),
                }
                for memory in rules {
                    let rule = (memory.rule, &self.rules[memory.rule]);
                    take_profile_judgements(
                        rule,
                        &mut memory.persistence,
                        &judged,
                        index,
                        &profile,
                        &mut self.book,
                    );
                }
            }
        }
        judged.clear();
        self.judged = judged;
        self.assemblers[index].checks = checks;
    }

    fn ask_stream_checks(&mut self, ask: impl Fn(&mut dyn StreamCheck, &Context<'_>, &mut Vec<Judged>)) {
        self.ask_some_stream_checks(|_| true, ask);
    }

    fn ask_some_stream_checks(
        &mut self,
        is_asked: impl Fn(&StreamState) -> bool,
        ask: impl Fn(&mut dyn StreamCheck, &Context<'_>, &mut Vec<Judged>),
    ) {
        let mut judged = std::mem::take(&mut self.judged);
        for index in 0..self.stream_checks.len() {
            if !is_asked(&self.stream_checks[index]) {
                continue;
            }
            judged.clear();
            let context = Context {
                facts: &self.facts,
                profiles: &Latest(&self.assemblers),
            };
            ask(self.stream_checks[index].check.as_mut(), &context, &mut judged);
            self.take_stream_judgements(index, &mut judged);
        }
        self.judged = judged;
    }

    fn take_stream_judgements(&mut self, index: usize, judged: &mut Vec<Judged>) {
        let state = &mut self.stream_checks[index];
        let rule = &self.rules[state.rule];
        for Judged {
            subject,
            step,
            judgement,
        } in judged.drain(..)
        {
            let persistence = state
                .persistence
                .entry(subject)
                .or_insert_with(|| Persistence::new(rule.persistence));
            match judgement {
                Judgement::Abstain => {}
                Judgement::Good => {
                    persistence.push(false);
                }
                Judgement::Healed(severity) => self.book.heal(state.rule, u64::from(subject), severity),
                Judgement::Bad(seen) => {
                    if persistence.push(true) && rule.wants_kind(seen.kind) {
                        let quantity = rule.quantities.first().copied().unwrap_or(Quantity::Other);
                        let subject = Subject {
                            id: u64::from(subject),
                            quantity,
                            tag: None,
                            layers: Vec::new(),
                            evidence: Vec::new(),
                        };
                        self.book.alarm(state.rule, rule.severity, step, &subject, seen);
                    }
                }
            }
        }
    }
}

impl ProfileBinding {
    fn serves(&self, rule: usize) -> bool {
        self.rules.iter().any(|it| it.rule == rule)
    }
}

/// Counts what a check said of a profile for one of its rules, and notes the alarms.
fn take_profile_judgements(
    (index, rule): (usize, &Rule),
    persistence: &mut HashMap<u32, Persistence>,
    judged: &[Judged],
    assembler: usize,
    profile: &Profile<'_>,
    book: &mut Book,
) {
    for Judged {
        subject,
        step,
        judgement,
    } in judged
    {
        let id = subject_id(assembler, *subject);
        let persistence = persistence
            .entry(*subject)
            .or_insert_with(|| Persistence::new(rule.persistence));
        match judgement {
            Judgement::Abstain => {}
            Judgement::Good => {
                persistence.push(false);
            }
            Judgement::Healed(severity) => book.heal(index, id, *severity),
            Judgement::Bad(seen) => {
                if persistence.push(true) && rule.wants_kind(seen.kind) {
                    let subject = profile_subject(id, profile, seen);
                    book.alarm(index, rule.severity, *step, &subject, seen.clone());
                }
            }
        }
    }
}

/// Subjects of profile checks are numbered per assembler.
fn subject_id(assembler: usize, subject: u32) -> u64 {
    ((assembler as u64 + 1) << 32) | u64::from(subject)
}

fn is_of_assembler(subject: u64, assembler: usize) -> bool {
    subject >> 32 == assembler as u64 + 1
}

fn profile_subject<'p>(id: u64, profile: &'p Profile<'_>, seen: &Observation) -> Subject<'p> {
    let layers: Vec<(u32, &str)> = seen
        .slots
        .iter()
        .filter_map(|slot| {
            profile
                .slots
                .get(*slot as usize)
                .map(|it| (*slot, it.layer.path.as_str()))
        })
        .collect();
    let evidence = evidence(profile, &seen.slots);
    Subject {
        id,
        quantity: profile.quantity,
        tag: None,
        layers: in_order(layers),
        evidence,
    }
}

/// The check lists layers by depth: the position in its list orders them in the finding.
fn in_order(layers: Vec<(u32, &str)>) -> Vec<(u32, &str)> {
    (0_u32..)
        .zip(layers)
        .map(|(order, (_, name))| (order, name))
        .collect()
}

#[cfg(test)]
mod tests;
