//! New series: which rules look at them, and what they mean for the stream.
//!
//! In: the first sample of a tag. Out: a series with its checks, its place in a profile, its role among the facts.
//! Invariant: a series is bound once, by its tag alone, so that the order of tags does not matter.

use super::{AssemblerState, Engine, HashMap, ProfileBinding, Role, RuleMemory, SeriesBinding, SeriesState};
use crate::model::{Quantity, Sample, Slot, Split};
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
                    persistence: Persistence::if_any(rule.persistence).map(Box::new),
                }),
                Build::Profile(_) | Build::Stream(_) => None,
            })
            .collect();
        let hearers = self
            .stream_checks
            .iter()
            .enumerate()
            .filter(|(_, it)| self.rules[it.rule].concerns_series(&info.tag, &info.meaning))
            .map(|(index, _)| index)
            .collect();
        let circle = self.circle_of(hearers);
        let slot = self.slot_for(id, sample);
        self.series.push(SeriesState {
            checks,
            slot,
            circle,
            role,
            is_interleaved: false,
            attempt: self.n_restarts,
        });
    }

    fn circle_of(&mut self, hearers: Box<[usize]>) -> u32 {
        let known = self.circles.iter().position(|it| *it == hearers);
        let circle = known.unwrap_or(self.circles.len());
        if known.is_none() {
            self.circles.push(hearers);
        }
        circle as u32
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
