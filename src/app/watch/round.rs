//! Which runs are looked at next.
//!
//! In: names of runs. Out: one after the other. Invariants: a run is in the round once; one that left something to be
//! read comes again after all others had their turn, so that a long replay starves none.

use std::collections::{HashSet, VecDeque};

/// A round over runs.
#[derive(Debug, Default)]
pub(super) struct Round {
    waiting: VecDeque<String>,
    names: HashSet<String>,
}

impl Round {
    /// Adds a run at the end, unless it waits already.
    pub(super) fn add(&mut self, name: &str) {
        if self.names.insert(name.to_owned()) {
            self.waiting.push_back(name.to_owned());
        }
    }

    /// The next run.
    pub(super) fn next(&mut self) -> Option<String> {
        let name = self.waiting.pop_front()?;
        self.names.remove(&name);
        Some(name)
    }

    /// Runs that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Round;

    #[test]
    fn a_run_waits_once_and_in_order() {
        let mut round = Round::default();
        for name in ["a", "b", "a", "c"] {
            round.add(name);
        }
        assert_eq!(round.len(), 3);
        assert_eq!(round.next().as_deref(), Some("a"));
        round.add("a");
        let rest: Vec<String> = std::iter::from_fn(|| round.next()).collect();
        assert_eq!(rest, ["b", "c", "a"]);
    }
}
