//! Steps that go back: what a restart takes from an engine.
//!
//! In: the series and the step to which it went back. Out: an engine that has forgotten what was superseded.
//! Invariant: a series goes back for itself, as in TensorBoard; only a session's start takes all of them back.

use super::Engine;
use super::judge::is_of_assembler;

/// A series that went back so often, with so few points in between, has two writers that do not wait for each other:
/// no job is restarted eight times after three lines each. (If one is, its NaN is not to be forgotten either.)
const INTERLEAVED_MIN: u32 = 8;
const INTERLEAVED_POINTS: u64 = 3;

impl Engine<'_> {
    /// Whether a point at `step` replaces earlier ones of its series. One at the very step of the last one does
    /// when another series went back in between: a restart from just before it.
    pub(super) fn is_superseding(&self, id: u32, step: i64) -> bool {
        if self.series.get(id as usize).is_some_and(|it| it.is_interleaved) {
            return false;
        }
        let info = self.store.get(id);
        let is_of_older_attempt = || {
            self.facts.restart.is_some_and(|(to, _)| to <= step)
                && self
                    .series
                    .get(id as usize)
                    .is_some_and(|it| it.attempt < self.n_restarts)
        };
        info.points > 0 && (step < info.last_step || step == info.last_step && is_of_older_attempt())
    }

    pub(super) fn series_went_back(&mut self, id: u32, step: i64) {
        let info = self.store.get_mut(id);
        info.restarts += 1;
        if let Some(tap) = &mut self.tap {
            tap.rewind(id, step);
        }
        if self.primary_loss.is_fed_by(id) {
            self.loss_history.rewind(step);
        }
        self.restarts.went_back(info.last_step, step);
        let goes_back_and_forth =
            info.restarts >= INTERLEAVED_MIN && info.points <= INTERLEAVED_POINTS * u64::from(info.restarts);
        if goes_back_and_forth {
            self.restarts.are_several_writers();
            if let Some(tap) = &mut self.tap {
                tap.several_writers();
            }
        }
        self.facts.restart = Some((step, 0));
        if self.facts.nonfinite_since.is_some_and(|since| since >= step) {
            self.facts.nonfinite_since = None;
        }
        let Some(state) = self.series.get_mut(id as usize) else {
            return;
        };
        state.is_interleaved |= goes_back_and_forth;
        let (slot, place) = (state.slot, state.place as usize);
        let Some(circle) = self.circles.get_mut(state.circle as usize) else {
            return;
        };
        for binding in &mut circle.bindings {
            binding.checks.rewind(place, step);
            binding.forget(place);
        }
        let hearers = circle.hearers.clone();
        let rules: Vec<usize> = circle.bindings.iter().map(|it| it.rule).collect();
        self.book
            .rewind_subject(step, u64::from(id), |rule| rules.contains(&rule));
        if let Some((assembler, _)) = slot {
            self.rewind_profiles(assembler as usize, step);
        }
        self.rewind_stream_checks(step);
        self.supersede_stream_alarms(step, &hearers);
    }

    pub(super) fn rewind_all(&mut self, step: i64) {
        for id in 0..self.series.len() as u32 {
            if self.store.get(id).points > 0 && self.store.get(id).last_step >= step {
                self.series_went_back(id, step);
                // The tag itself may never come again: it now ends before the restart.
                self.store.get_mut(id).last_step = step.saturating_sub(1);
            }
        }
    }

    fn rewind_profiles(&mut self, index: usize, step: i64) {
        let Some(state) = self.assemblers.get_mut(index) else {
            return;
        };
        if !state.assembler.is_superseded_by(step) {
            return;
        }
        state.assembler.rewind(step);
        for binding in &mut state.checks {
            binding.check.rewind(step);
            binding.rules.iter_mut().for_each(|it| it.persistence.clear());
        }
        let checks = &state.checks;
        let is_served = |rule| checks.iter().any(|it| it.serves(rule));
        self.book
            .rewind(step, is_served, |subject| is_of_assembler(subject, index));
    }

    /// What these stream checks said of the attempt that ends here.
    fn supersede_stream_alarms(&mut self, step: i64, checks: &[usize]) {
        for index in checks {
            let Some(state) = self.stream_checks.get_mut(*index) else {
                continue;
            };
            state.persistence.clear();
            let concerned = state.rule;
            self.book.rewind(step, |rule| rule == concerned, |_| true);
        }
    }

    fn rewind_stream_checks(&mut self, step: i64) {
        for state in &mut self.stream_checks {
            state.check.rewind(step);
        }
    }
}
