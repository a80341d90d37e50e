//! Ranks that write into one file, line by line.
//!
//! In: the rank that a line names. Out: the engine that hears it. Invariant: every rank has an engine of its own, so
//! that two ranks that are not at the same step do not look like a restart, and the NaN of one is not replaced by the
//! numbers of another.

use super::{Engine, Outcome};
use crate::model::Mark;

/// Ranks of one file beyond which further ones are only counted. A node has 8, a large job prints a few of its ranks.
const RANKS_MAX: usize = 256;

/// The ranks of one file.
#[derive(Default)]
pub(super) struct Ranks<'r> {
    /// The rank that the line just read names.
    named: Option<u32>,
    /// The first rank that gave a point: it is this engine's own, as is what names none.
    home: Option<u32>,
    others: Vec<(u32, Engine<'r>)>,
    last: usize,
}

/// Who hears a point.
pub(super) enum Hearer {
    Home,
    Other(usize),
    Nobody,
}

impl<'r> Ranks<'r> {
    /// The rank that was named has to say something.
    pub(super) fn hearer(&mut self, make: impl FnOnce() -> Engine<'r>) -> Hearer {
        let Some(named) = self.named else {
            return Hearer::Home;
        };
        if *self.home.get_or_insert(named) == named {
            return Hearer::Home;
        }
        if self.others.get(self.last).is_some_and(|it| it.0 == named) {
            return Hearer::Other(self.last);
        }
        match self.others.iter().position(|it| it.0 == named) {
            Some(at) => self.last = at,
            None if self.others.len() >= RANKS_MAX => return Hearer::Nobody,
            None => {
                self.last = self.others.len();
                self.others.push((named, make()));
            }
        }
        Hearer::Other(self.last)
    }

    pub(super) fn rest(&mut self) {
        self.others.iter_mut().for_each(|(_, engine)| engine.rest());
    }

    /// Whether any line has named a rank.
    pub(super) fn is_asked(&self) -> bool {
        self.named.is_some()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Engine<'r>> {
        self.others.get_mut(index).map(|it| &mut it.1)
    }

    pub(super) fn name(&mut self, rank: Option<u32>) {
        self.named = rank;
    }

    /// The rank of this engine, when there are others.
    pub(super) fn home(&self) -> Option<u32> {
        self.home.filter(|_| !self.others.is_empty())
    }

    pub(super) fn engines(&self) -> impl Iterator<Item = &Engine<'r>> {
        self.others.iter().map(|it| &it.1)
    }

    pub(super) fn engines_mut(&mut self) -> impl Iterator<Item = &mut Engine<'r>> {
        self.others.iter_mut().map(|it| &mut it.1)
    }

    /// What each of the others has found.
    pub(super) fn outcomes(self, finish: impl Fn(Engine<'r>) -> Outcome) -> Vec<(u32, Outcome)> {
        self.others
            .into_iter()
            .map(|(rank, engine)| (rank, finish(engine)))
            .collect()
    }

    /// What each of the others has found so far.
    pub(super) fn outcomes_now(&mut self) -> Vec<(u32, Outcome)> {
        self.others
            .iter_mut()
            .map(|(rank, engine)| (*rank, engine.findings_now()))
            .collect()
    }
}

impl Engine<'_> {
    /// Who hears the next point.
    pub(super) fn hearer(&mut self) -> Hearer {
        let (rules, run, facts) = (self.rules, &self.run, &self.facts);
        self.ranks.hearer(|| {
            let mut engine = Engine::new(rules, run);
            // What the log says of itself holds for all ranks.
            engine.facts.planned_steps = facts.planned_steps;
            engine.facts.steps_are_ordinal = facts.steps_are_ordinal;
            engine.facts.steps_are_epochs = facts.steps_are_epochs;
            engine.facts.baseline.clone_from(&facts.baseline);
            engine
        })
    }

    /// Hands on a mark that is not for this engine alone; true when it is not for it at all.
    pub(super) fn pass_on(&mut self, mark: Mark<'_>) -> bool {
        match mark {
            Mark::Rank(rank) => {
                self.ranks.name(rank);
                true
            }
            Mark::FieldMissing { .. } | Mark::Smoothed { .. } if self.ranks.is_asked() => match self.hearer()
            {
                Hearer::Home => false,
                Hearer::Other(index) => {
                    if let Some(other) = self.ranks.get_mut(index) {
                        other.mark(mark);
                    }
                    true
                }
                Hearer::Nobody => true,
            },
            _ => {
                self.ranks.engines_mut().for_each(|it| it.mark(mark));
                false
            }
        }
    }
}
