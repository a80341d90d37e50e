//! The engine behind rule tests whose input stands in the test file itself.
//!
//! In: a case of series, profiles and lines. Out: what an audit of such a log finds. Invariant: chains and
//! fixtures are refused, never left out: they need a simulator and decoders, which rules may not use.

use std::sync::Arc;

use super::case::{Case, Event};
use super::run::{CaseOutcome, Harness};
use crate::model::{Form, Mark, Sample, TextLine};
use crate::rules::check::StreamEnd;
use crate::rules::run::{StreamOutcome, join};
use crate::rules::{Engine, Rule, exonerate};
use crate::series::{Baseline, PortraitTap};

/// Name of the run in a test: it must not say anything, because names tell splits and games.
const RUN: &str = ".";

/// Feeds cases of samples and lines to the engine.
#[derive(Debug, Clone, Copy)]
pub struct SampleHarness<'r> {
    /// The rules under test.
    pub rules: &'r [Rule],
}

impl Harness for SampleHarness<'_> {
    fn run(&self, case: &Case) -> Result<CaseOutcome, String> {
        let needs_more = |it: &Case| it.chain.is_some() || it.fixture.is_some();
        if needs_more(case) || case.baseline.as_deref().is_some_and(needs_more) {
            return Err("`chain` and `fixture` need a simulator and decoders".to_owned());
        }
        let Some(other) = &case.baseline else {
            return Ok(judge(case, Engine::new(self.rules, RUN)));
        };
        let tap = PortraitTap::default();
        let by_itself = judge(
            other,
            Engine::new(self.rules, RUN).with_tap(Box::new(tap.clone())),
        );
        let baseline = Arc::new(Baseline::new(other.name.clone(), tap.take(), &by_itself.findings));
        let engine = Engine::new(self.rules, RUN).with_baseline(Arc::clone(&baseline));
        let mut outcome = judge(case, engine);
        exonerate(&mut outcome.findings, &baseline);
        Ok(outcome)
    }
}

fn judge(case: &Case, mut engine: Engine<'_>) -> CaseOutcome {
    if let Some(steps) = case.planned_steps {
        engine.mark(Mark::PlannedSteps(steps));
    }
    feed(case, &mut engine);
    if case.is_finished {
        engine.mark(Mark::Finished);
    }
    let outcome = engine.finish(&StreamEnd {
        records: case.events().len() as u64,
        skipped: case.n_unreadable,
        ..StreamEnd::default()
    });
    let unmatched = outcome.unmatched.clone();
    let run = join(vec![StreamOutcome {
        rank: None,
        precedence: 0,
        outcome,
    }]);
    CaseOutcome {
        findings: run.findings,
        unmatched,
    }
}

fn feed(case: &Case, engine: &mut Engine<'_>) {
    let mut last_step = None;
    let mut number = 0;
    for event in case.events() {
        match event {
            Event::Sample {
                tag,
                point,
                resolution,
            } => {
                last_step = Some(point.step);
                engine.sample(&Sample {
                    tag,
                    step: point.step,
                    wall_time: point.wall_time,
                    value: point.value,
                    form: Form::Number { resolution },
                    offset: 0,
                });
            }
            Event::Line(line) => {
                number += 1;
                engine.line(&TextLine {
                    text: &line.text,
                    offset: 0,
                    number,
                    step: last_step,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SampleHarness;
    use crate::rules::testfile::{parse_tests, run_tests};
    use crate::rules::{RuleSet, Source, builtin, render};

    fn failures(text: &str, rules: &RuleSet) -> Vec<String> {
        let source = Source::new("t.toml", text);
        let cases = parse_tests(&source, rules)
            .unwrap_or_else(|it| panic!("{}", render(&it, std::slice::from_ref(&source), false)));
        let report = run_tests(&cases, rules, &[], &SampleHarness { rules: &rules.rules });
        report.failures.into_iter().flat_map(|it| it.what).collect()
    }

    /// 12 biases whose gradients halve toward the output: a factor of 2 per layer is an explosion toward the
    /// input; the same norms at every layer are none.
    #[test]
    fn a_profile_reaches_the_shipped_rules() {
        let test = |by_depth: &str, expect: &str| {
            format!(
                "[[test]]\nname = \"t\"\nprofile = {{ quantity = \"grad_norm\", layers = \"blocks.#.fc.bias\", n = 12, by_depth = \"{by_depth}\", steps = \"0..20\" }}\n{expect}\n"
            )
        };
        let fires = "expect = [{ rule = \"exploding-gradients\", kind = \"exploding\", first_step = { at_most = 10 } }]";
        let failed = failures(&test("2048*0.5", fires), builtin());
        assert!(
            !failed
                .iter()
                .any(|it| it.contains("did not fire") || it.contains("fired, but")),
            "{failed:?}"
        );
        assert_eq!(
            failures(&test("1", "quiet = \"exploding-gradients\""), builtin()),
            Vec::<String>::new()
        );
    }

    #[test]
    fn chains_and_fixtures_are_refused() {
        let text = "[[test]]\nname = \"t\"\nchain = { n = 3 }\nexpect = []\n";
        let failed = failures(text, &RuleSet::default());
        assert_eq!(
            failed,
            ["cannot run: `chain` and `fixture` need a simulator and decoders"]
        );
    }
}
