//! A stream in miniature for the tests of the checks of whole streams.
//!
//! In: steps, lines, marks. Out: what the check says. Invariant: facts move on before the check is asked, as the
//! engine does it.

use super::{
    Build, CheckInfo, Context, Judged, Judgement, Observation, Profiles, Pulse, StreamCheck, StreamEnd,
};
use crate::model::{Mark, Profile, Quantity, TextLine};
use crate::rules::Rule;
use crate::series::Facts;

struct NoProfiles;

impl Profiles for NoProfiles {
    fn latest(&self, _: Quantity) -> Option<Profile<'_>> {
        None
    }
}

/// A check with the facts of its stream.
pub(super) struct Stream {
    check: Box<dyn StreamCheck>,
    pub(super) facts: Facts,
    pub(super) out: Vec<Judged>,
    n_lines: u64,
}

impl Stream {
    pub(super) fn of(info: &'static CheckInfo, rule: &Rule) -> Self {
        let Build::Stream(build) = info.build else {
            panic!("not a check of streams")
        };
        Self {
            check: build(rule),
            facts: Facts::default(),
            out: Vec::new(),
            n_lines: 0,
        }
    }

    fn ask(&mut self, ask: impl FnOnce(&mut dyn StreamCheck, &Context<'_>, &mut Vec<Judged>)) {
        let context = Context {
            facts: &self.facts,
            profiles: &NoProfiles,
        };
        ask(self.check.as_mut(), &context, &mut self.out);
    }

    pub(super) fn step(&mut self, step: i64, wall_time: Option<f64>) {
        self.facts.last_step = Some(self.facts.last_step.map_or(step, |it| it.max(step)));
        self.ask(|check, context, out| check.step_closed(step, wall_time, context, out));
    }

    pub(super) fn line(&mut self, text: &str) {
        self.n_lines += 1;
        let line = TextLine {
            text,
            offset: 0,
            number: self.n_lines,
            step: self.facts.last_step,
        };
        self.ask(|check, context, out| check.line(&line, context, out));
    }

    pub(super) fn tick(&mut self, pulse: &Pulse) {
        self.ask(|check, context, out| check.tick(pulse, context, out));
    }

    pub(super) fn mark(&mut self, mark: Mark<'_>) {
        self.ask(|check, context, out| check.mark(&mark, context, out));
    }

    pub(super) fn rewind(&mut self, step: i64) {
        self.check.rewind(step);
    }

    pub(super) fn finish(&mut self, end: &StreamEnd) {
        self.ask(|check, context, out| check.finish(end, context, out));
    }

    pub(super) fn n_healed(&self) -> usize {
        let is_healed = |it: &&Judged| matches!(it.judgement, Judgement::Healed(_));
        self.out.iter().filter(is_healed).count()
    }

    /// What was bad so far, with the step.
    pub(super) fn bad(&self) -> Vec<(i64, &Observation)> {
        self.out
            .iter()
            .filter_map(|it| match &it.judgement {
                Judgement::Bad(seen) => Some((it.step, seen)),
                _ => None,
            })
            .collect()
    }
}
