//! New series: which rules look at them, and what they mean for the stream.
//!
//! In: the first sample of a tag. Out: a series with its checks, its place in a profile, its role among the facts.
//! Invariant: a series is bound once, by its tag alone, so that the order of tags does not matter.

use super::{
    AssemblerState, Circle, Engine, HashMap, ProfileBinding, Role, RuleMemory, SeriesBinding, SeriesState,
};
use crate::model::{Quantity, Sample, Slot, Split};
use crate::rules::Rule;
use crate::rules::check::Build;
use crate::rules::persistence::Persistence;
use crate::series::{Assembler, History, LossFacts, names_a_game};

impl Engine<'_> {
    pub(super) fn bind(&mut self, id: u32, sample: &Sample<'_>) {
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
        let concerned = self
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| {
                matches!(rule.check.build, Build::Series(_))
                    && rule.concerns_run(&self.run)
                    && rule.concerns_series(&info.tag, &info.meaning)
            })
            .map(|(index, _)| index)
            .collect();
        let hearers = self
            .stream_checks
            .iter()
            .enumerate()
            .filter(|(_, it)| self.rules[it.rule].concerns_series(&info.tag, &info.meaning))
            .map(|(index, _)| index)
            .collect();
        let (circle, place) = self.join_circle(concerned, hearers);
        let slot = self.slot_for(id, sample);
        self.series.push(SeriesState {
            circle,
            place,
            slot,
            role,
            is_interleaved: false,
            attempt: self.n_restarts,
        });
    }

    /// Takes a series into the circle of those that the same rules look at; the circle, and its place there.
    fn join_circle(&mut self, concerned: Vec<usize>, hearers: Vec<usize>) -> (u32, u32) {
        let rules = self.rules;
        let is_it = |it: &Circle| {
            it.hearers == hearers && it.bindings.iter().map(|it| it.rule).eq(concerned.iter().copied())
        };
        let index = self.circles.iter().position(is_it).unwrap_or(self.circles.len());
        if index == self.circles.len() {
            let bindings = concerned
                .into_iter()
                .filter_map(|rule| binding(rule, &rules[rule]));
            self.circles.push(Circle {
                bindings: bindings.collect(),
                hearers,
                n_series: 0,
            });
        }
        let circle = &mut self.circles[index];
        for binding in &mut circle.bindings {
            binding.checks.add();
            binding
                .persistence
                .extend(Persistence::if_any(rules[binding.rule].persistence));
        }
        circle.n_series += 1;
        (index as u32, circle.n_series - 1)
    }

    fn slot_for(&mut self, id: u32, sample: &Sample<'_>) -> Option<(u32, u32)> {
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
        Some((index as u32, self.assemblers[index].assembler.add_slot(slot)?))
    }

    pub(super) fn add_assembler(&mut self, key: (Quantity, Split)) -> usize {
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
}

fn binding(index: usize, rule: &Rule) -> Option<SeriesBinding> {
    let Build::Series(build) = rule.check.build else {
        return None;
    };
    Some(SeriesBinding {
        rule: index,
        checks: build(rule),
        persistence: Vec::new(),
    })
}
