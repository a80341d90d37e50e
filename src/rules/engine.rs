//! The rules at work on one stream.
//!
//! In: samples, lines and marks in file order. Out: findings and the totals of every series. Invariants: pure
//! (no I/O, no clock), so a finished log and a followed one give the same findings; memory grows with the
//! number of series and rules, never with the length of the log.

use std::collections::HashMap;
use std::sync::Arc;

use super::book::{Book, Noted, Subject};
use super::check::{
    Build, Context, Judged, Judgement, Observation, Point, ProfileCheck, Profiles, SeriesCheck, StreamCheck, StreamEnd,
};
use super::persistence::Persistence;
use super::rule::Rule;
use crate::model::{Mark, Problem, Profile, Quantity, Sample, Slot, Split, TextLine};
use crate::series::{Assembler, Baseline, Facts, History, LossFacts, PrimaryLoss, Restarts, SeriesInfo, Store, Tap, evidence, layers_by_depth};

/// The rules at work on one stream.
pub struct Engine<'r> {
    rules: &'r [Rule],
    run: String,
    store: Store,
    facts: Facts,
    series: Vec<SeriesState>,
    assemblers: Vec<AssemblerState>,
    stream_checks: Vec<StreamState>,
    book: Book,
    restarts: Restarts,
    primary_loss: PrimaryLoss,
    loss_history: History,
    tap: Option<Box<dyn Tap>>,
    judged: Vec<Judged>,
    current_step: Option<i64>,
    current_wall_time: Option<f64>,
}

struct SeriesState {
    checks: Vec<SeriesBinding>,
    slot: Option<(usize, u32)>,
    /// Stream checks that want its points.
    heard_by: Vec<usize>,
    role: Role,
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

struct ProfileBinding {
    rule: usize,
    check: Box<dyn ProfileCheck>,
    persistence: HashMap<u32, Persistence>,
}

struct StreamState {
    rule: usize,
    check: Box<dyn StreamCheck>,
    persistence: HashMap<u32, Persistence>,
}

/// What an engine has found.
#[derive(Debug)]
pub struct Outcome {
    /// The findings, in no particular order.
    pub findings: Vec<Noted>,
    /// Every series.
    pub series: Vec<SeriesInfo>,
    /// What is known of the stream.
    pub facts: Facts,
    /// The training loss, bounded.
    pub loss_history: History,
    /// Restarts and limits that were reached.
    pub notes: Vec<Problem>,
    /// Ids of rules that no series or line of the stream could have fired.
    pub unmatched: Vec<String>,
    /// How the order of the layers is known.
    pub depth_order: crate::model::DepthOrder,
    /// Per-layer groups and layers in depth order, for `inspect`.
    pub layers: Vec<String>,
}

struct Latest<'a>(&'a [AssemblerState]);

impl Profiles for Latest<'_> {
    fn latest(&self, quantity: Quantity) -> Option<Profile<'_>> {
        let is_it = |it: &&AssemblerState| it.assembler.key().0 == quantity && is_training(it.assembler.key().1);
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
            store: Store::default(),
            facts: Facts::default(),
            series: Vec::new(),
            assemblers: Vec::new(),
            stream_checks: Vec::new(),
            book: Book::default(),
            restarts: Restarts::default(),
            primary_loss: PrimaryLoss::default(),
            loss_history: History::default(),
            tap: None,
            judged: Vec::new(),
            current_step: None,
            current_wall_time: None,
        };
        for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.concerns_run(run)) {
            if let Build::Stream(build) = rule.check.build {
                engine.stream_checks.push(StreamState { rule: index, check: build(rule), persistence: HashMap::new() });
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
        let Some((id, is_new)) = self.store.id(sample.tag, sample.form) else { return };
        if is_new {
            self.bind(id, sample);
        }
        let info = self.store.get_mut(id);
        if info.points > 0 && sample.step < info.last_step {
            self.series_went_back(id, sample.step);
        }
        self.store.get_mut(id).add(sample.step, sample.value, sample.form);
        if let Some(tap) = &mut self.tap {
            tap.point(id, self.store.get(id), sample.step, sample.wall_time, sample.value);
        }
        self.move_on(sample.step, sample.wall_time);
        self.learn(id, sample);
        let point =
            Point { step: sample.step, wall_time: sample.wall_time, value: sample.value, resolution: sample.form.resolution() };
        self.judge_point(id, &point);
        self.collect(id, &point);
    }

    /// Takes a line of text.
    pub fn line(&mut self, line: &TextLine<'_>) {
        self.ask_stream_checks(|check, context, out| check.line(line, context, out));
    }

    /// Takes a mark.
    pub fn mark(&mut self, mark: Mark<'_>) {
        match mark {
            Mark::SessionStart { step } => {
                if self.facts.last_step.is_some_and(|last| step <= last) {
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
    pub fn finish(mut self, end: &StreamEnd) -> Outcome {
        for index in 0..self.assemblers.len() {
            self.close_profile(index);
        }
        if let Some(step) = self.current_step {
            let wall_time = self.current_wall_time;
            self.ask_stream_checks(|check, context, out| check.step_closed(step, wall_time, context, out));
        }
        for id in 0..self.series.len() as u32 {
            self.finish_series(id);
        }
        self.ask_stream_checks(|check, context, out| check.finish(end, context, out));
        self.outcome()
    }

    fn finish_series(&mut self, id: u32) {
        let last_step = self.store.get(id).last_step;
        let Some(state) = self.series.get_mut(id as usize) else { return };
        let mut checks = std::mem::take(&mut state.checks);
        for binding in &mut checks {
            let context = Context { facts: &self.facts, profiles: &Latest(&self.assemblers) };
            match binding.check.finish(&context) {
                Judgement::Bad(seen) => self.series_alarm(binding.rule, id, last_step, seen),
                Judgement::Healed(severity) => self.book.heal(binding.rule, u64::from(id), severity),
                Judgement::Abstain | Judgement::Good => {}
            }
        }
    }

    fn outcome(mut self) -> Outcome {
        let matched = |index: usize, rule: &Rule| match rule.check.build {
            Build::Series(_) => self.series.iter().any(|it| it.checks.iter().any(|binding| binding.rule == index)),
            Build::Profile(_) => self.assemblers.iter().any(|it| it.checks.iter().any(|b| b.rule == index)),
            Build::Stream(_) => !self.stream_checks.iter().any(|it| it.rule == index && !it.check.has_data()),
        };
        let seen_by_rule: Vec<bool> = self.rules.iter().enumerate().map(|(i, rule)| matched(i, rule)).collect();
        let unmatched =
            self.rules.iter().zip(seen_by_rule).filter(|(_, seen)| !seen).map(|(rule, _)| rule.id.clone()).collect();
        let mut notes = self.restarts.notes();
        notes.extend(self.store.stuck_step());
        if self.store.overflow() > 0 {
            notes.push(Problem::note(0, format!(
                "more than {} series: {} values of further series were not judged",
                crate::series::SERIES_MAX, self.store.overflow()
            )));
        }
        if self.book.overflow() > 0 {
            notes.push(Problem::note(0, format!("{} further alarms were not kept", self.book.overflow())));
        }
        let (depth_order, layers) = layers_by_depth(self.assemblers.iter_mut().map(|it| &mut it.assembler));
        Outcome {
            findings: self.book.findings(self.rules, self.facts.steps_are_ordinal),
            series: self.store.into_series(),
            facts: self.facts,
            loss_history: self.loss_history,
            notes,
            unmatched,
            depth_order,
            layers,
        }
    }

    // --- binding -----------------------------------------------------------------------------------------

    fn bind(&mut self, id: u32, sample: &Sample<'_>) {
        let info = self.store.get(id);
        let quantity = info.meaning.quantity;
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
            .filter(|(_, rule)| rule.concerns_run(&self.run) && rule.concerns_series(&info.tag, &info.meaning))
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
        self.series.push(SeriesState { checks, slot, heard_by, role });
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
        let checks = self
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.concerns_run(&self.run) && rule.concerns_quantity(key.0, key.1))
            .filter_map(|(index, rule)| match rule.check.build {
                Build::Profile(build) => {
                    Some(ProfileBinding { rule: index, check: build(rule), persistence: HashMap::new() })
                }
                Build::Series(_) | Build::Stream(_) => None,
            })
            .collect();
        self.assemblers.push(AssemblerState { assembler: Assembler::new(key.0, key.1), checks });
        self.assemblers.len() - 1
    }

    // --- time --------------------------------------------------------------------------------------------

    fn move_on(&mut self, step: i64, wall_time: Option<f64>) {
        if self.current_step != Some(step) {
            if let Some(closed) = self.current_step.replace(step) {
                let closed_at = self.current_wall_time;
                self.facts.n_steps += 1;
                if let Some((_, since)) = &mut self.facts.restart {
                    *since += 1;
                }
                self.ask_stream_checks(|check, context, out| check.step_closed(closed, closed_at, context, out));
            }
            self.facts.first_step.get_or_insert(step);
            self.facts.last_step = Some(self.facts.last_step.map_or(step, |last| last.max(step)));
        }
        if wall_time.is_some() {
            self.current_wall_time = wall_time;
        }
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

    fn series_went_back(&mut self, id: u32, step: i64) {
        let info = self.store.get_mut(id);
        info.restarts += 1;
        if let Some(tap) = &mut self.tap {
            tap.rewind(id, step);
        }
        if self.primary_loss.is_fed_by(id) {
            self.loss_history.rewind(step);
        }
        self.restarts.went_back(info.last_step, step);
        self.facts.restart = Some((step, 0));
        if self.facts.nonfinite_since.is_some_and(|since| since >= step) {
            self.facts.nonfinite_since = None;
        }
        let Some(state) = self.series.get_mut(id as usize) else { return };
        for binding in &mut state.checks {
            binding.check.rewind(step);
            binding.persistence.clear();
        }
        let rules: Vec<usize> = state.checks.iter().map(|it| it.rule).collect();
        self.book.rewind(step, |rule, subject| subject == u64::from(id) && rules.contains(&rule));
        if let Some((assembler, _)) = state.slot {
            self.rewind_profiles(assembler, step);
        }
        self.rewind_stream_checks(step);
    }

    fn rewind_all(&mut self, step: i64) {
        for id in 0..self.series.len() as u32 {
            if self.store.get(id).points > 0 && self.store.get(id).last_step >= step {
                self.series_went_back(id, step);
                // The tag itself may never come again: it now ends before the restart.
                self.store.get_mut(id).last_step = step.saturating_sub(1);
            }
        }
    }

    fn rewind_profiles(&mut self, index: usize, step: i64) {
        let Some(state) = self.assemblers.get_mut(index) else { return };
        if !state.assembler.is_superseded_by(step) {
            return;
        }
        state.assembler.rewind(step);
        for binding in &mut state.checks {
            binding.check.rewind(step);
            binding.persistence.clear();
        }
        let rules: Vec<usize> = state.checks.iter().map(|it| it.rule).collect();
        self.book.rewind(step, |rule, _| rules.contains(&rule));
    }

    fn rewind_stream_checks(&mut self, step: i64) {
        for state in &mut self.stream_checks {
            state.check.rewind(step);
        }
    }

    // --- judging -----------------------------------------------------------------------------------------

    fn judge_point(&mut self, id: u32, point: &Point) {
        let Some(state) = self.series.get_mut(id as usize) else { return };
        let mut checks = std::mem::take(&mut state.checks);
        let heard_by = std::mem::take(&mut state.heard_by);
        for binding in &mut checks {
            let context = Context { facts: &self.facts, profiles: &Latest(&self.assemblers) };
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
            let context = Context { facts: &self.facts, profiles: &Latest(&self.assemblers) };
            self.stream_checks[index].check.sample(self.store.get(id), point, &context, &mut judged);
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
        let tag = if layer.is_none() { Some(info.tag.as_str()) } else { None };
        let layers = layer.map(|it| (id, it.path.as_str())).into_iter().collect();
        let subject =
            Subject { id: u64::from(id), quantity: info.meaning.quantity, tag, layers, evidence: Vec::new() };
        self.book.alarm(rule, self.rules[rule].severity, step, &subject, seen);
    }

    fn collect(&mut self, id: u32, point: &Point) {
        let Some((index, slot)) = self.series[id as usize].slot else { return };
        if self.assemblers[index].assembler.would_close(point.step) {
            self.close_profile(index);
        }
        self.assemblers[index].assembler.put(slot, point.step, point.wall_time, point.value);
    }

    fn close_profile(&mut self, index: usize) {
        let mut checks = std::mem::take(&mut self.assemblers[index].checks);
        if self.assemblers[index].assembler.close().is_none() {
            self.assemblers[index].checks = checks;
            return;
        }
        let mut judged = std::mem::take(&mut self.judged);
        let context = Context { facts: &self.facts, profiles: &Latest(&self.assemblers) };
        if let Some(profile) = self.assemblers[index].assembler.latest() {
            for binding in &mut checks {
                let rule = &self.rules[binding.rule];
                judged.clear();
                match rule.filter_groups(&profile) {
                    Some(groups) => {
                        let view = Profile { groups: &groups, ..profile };
                        binding.check.observe(&view, &context, &mut judged);
                    }
                    None => binding.check.observe(&profile, &context, &mut judged),
                }
                for Judged { subject, step, judgement } in judged.drain(..) {
                    let id = subject_id(index, subject);
                    let persistence =
                        binding.persistence.entry(subject).or_insert_with(|| Persistence::new(rule.persistence));
                    match judgement {
                        Judgement::Abstain => {}
                        Judgement::Good => {
                            persistence.push(false);
                        }
                        Judgement::Healed(severity) => self.book.heal(binding.rule, id, severity),
                        Judgement::Bad(seen) => {
                            if persistence.push(true) && rule.wants_kind(seen.kind) {
                                let subject = profile_subject(id, &profile, &seen);
                                self.book.alarm(binding.rule, rule.severity, step, &subject, seen);
                            }
                        }
                    }
                }
            }
        }
        self.judged = judged;
        self.assemblers[index].checks = checks;
    }

    fn ask_stream_checks(&mut self, ask: impl Fn(&mut dyn StreamCheck, &Context<'_>, &mut Vec<Judged>)) {
        let mut judged = std::mem::take(&mut self.judged);
        for index in 0..self.stream_checks.len() {
            judged.clear();
            let context = Context { facts: &self.facts, profiles: &Latest(&self.assemblers) };
            ask(self.stream_checks[index].check.as_mut(), &context, &mut judged);
            self.take_stream_judgements(index, &mut judged);
        }
        self.judged = judged;
    }

    fn take_stream_judgements(&mut self, index: usize, judged: &mut Vec<Judged>) {
        let state = &mut self.stream_checks[index];
        let rule = &self.rules[state.rule];
        for Judged { subject, step, judgement } in judged.drain(..) {
            let persistence = state.persistence.entry(subject).or_insert_with(|| Persistence::new(rule.persistence));
            match judgement {
                Judgement::Abstain => {}
                Judgement::Good => {
                    persistence.push(false);
                }
                Judgement::Healed(severity) => self.book.heal(state.rule, u64::from(subject), severity),
                Judgement::Bad(seen) => {
                    if persistence.push(true) && rule.wants_kind(seen.kind) {
                        let quantity = rule.quantities.first().copied().unwrap_or(Quantity::Other);
                        let subject =
                            Subject { id: u64::from(subject), quantity, tag: None, layers: Vec::new(), evidence: Vec::new() };
                        self.book.alarm(state.rule, rule.severity, step, &subject, seen);
                    }
                }
            }
        }
    }
}

/// Subjects of profile checks are numbered per assembler.
fn subject_id(assembler: usize, subject: u32) -> u64 {
    ((assembler as u64 + 1) << 32) | u64::from(subject)
}

fn profile_subject<'p>(id: u64, profile: &'p Profile<'_>, seen: &Observation) -> Subject<'p> {
    let layers: Vec<(u32, &str)> = seen
        .slots
        .iter()
        .filter_map(|slot| profile.slots.get(*slot as usize).map(|it| (*slot, it.layer.path.as_str())))
        .collect();
    let evidence = evidence(profile, &seen.slots);
    Subject { id, quantity: profile.quantity, tag: None, layers: in_order(layers), evidence }
}

/// The check lists layers by depth: the position in its list orders them in the finding.
fn in_order(layers: Vec<(u32, &str)>) -> Vec<(u32, &str)> {
    (0_u32..).zip(layers).map(|(order, (_, name))| (order, name)).collect()
}
