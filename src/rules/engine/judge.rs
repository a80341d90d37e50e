//! Points, profiles, marks and lines to judgements, judgements to the book.
//!
//! In: what the checks say. Out: alarms and healed alarms in the book. Invariant: an alarm is booked only when it has
//! lasted as long as its rule asks, counted per subject.

use super::{Engine, HashMap, Latest, ProfileBinding, StreamState};
use crate::model::{Profile, Quantity, Sample};
use crate::rules::book::{Book, SMOOTHED, Subject};
use crate::rules::check::{Context, Judged, Judgement, Observation, Point, StreamCheck};
use crate::rules::persistence::Persistence;
use crate::rules::rule::Rule;
use crate::series::evidence;

impl Engine<'_> {
    pub(super) fn judge_point(&mut self, id: u32, sample: &Sample<'_>) {
        let Some(state) = self.series.get(id as usize) else {
            return;
        };
        let (index, place) = (state.circle as usize, state.place as usize);
        let circle = &mut self.circles[index];
        if circle.bindings.is_empty() && circle.hearers.is_empty() {
            return;
        }
        let point = &Point::new(
            sample.step,
            sample.wall_time,
            sample.value,
            sample.form.resolution(),
        );
        let mut bindings = std::mem::take(&mut circle.bindings);
        let hearers = std::mem::take(&mut circle.hearers);
        for binding in &mut bindings {
            let context = Context {
                facts: &self.facts,
                profiles: &Latest(&self.assemblers),
            };
            match binding.checks.observe(place, point, &context) {
                Judgement::Abstain => {}
                Judgement::Good => {
                    binding.note(place, false);
                }
                Judgement::Healed(severity) => {
                    binding.forget(place);
                    self.book.heal(binding.rule, u64::from(id), severity);
                }
                Judgement::Bad(seen) => {
                    if binding.note(place, true) {
                        self.series_alarm(binding.rule, id, point.step, seen);
                    }
                }
            }
        }
        for &index in &hearers {
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
        let circle = &mut self.circles[index];
        (circle.bindings, circle.hearers) = (bindings, hearers);
    }

    pub(super) fn series_alarm(&mut self, rule: usize, id: u32, step: i64, mut seen: Observation) {
        if !self.rules[rule].wants_kind(seen.kind) {
            return;
        }
        let info = self.store.get(id);
        let layer = info.meaning.layer.as_ref();
        let tag = if layer.is_none() { Some(&*info.tag) } else { None };
        let layers = layer.map(|it| (id, it.path.as_str())).into_iter().collect();
        if let Some(smoothing) = info
            .smoothing
            .filter(|_| self.rules[rule].is_blurred_by_smoothing())
        {
            seen = seen.word(SMOOTHED, smoothing.as_str());
        }
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

    pub(super) fn collect(&mut self, id: u32, sample: &Sample<'_>) {
        if self.rules.is_empty() {
            return;
        }
        let Some((index, slot)) = self.series[id as usize].slot else {
            return;
        };
        let index = index as usize;
        if self.assemblers[index].assembler.would_close(sample.step) {
            self.close_profile(index);
        }
        self.assemblers[index]
            .assembler
            .put(slot, sample.step, sample.wall_time, sample.value);
    }

    pub(super) fn close_profile(&mut self, index: usize) {
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

    pub(super) fn ask_stream_checks(
        &mut self,
        ask: impl Fn(&mut dyn StreamCheck, &Context<'_>, &mut Vec<Judged>),
    ) {
        self.ask_some_stream_checks(|_| true, ask);
    }

    pub(super) fn ask_some_stream_checks(
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

    pub(super) fn take_stream_judgements(&mut self, index: usize, judged: &mut Vec<Judged>) {
        if judged.is_empty() {
            return;
        }
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
    pub(super) fn serves(&self, rule: usize) -> bool {
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

pub(super) fn is_of_assembler(subject: u64, assembler: usize) -> bool {
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
