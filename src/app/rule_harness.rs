//! Rule tests on the real engine.
//!
//! In: a test case. Out: the findings that an audit of it would give. Invariant: the same engine and the same
//! joining as for real logs; nothing is made for tests alone.

use std::path::Path;

use super::pipeline::judge_run;
use crate::model::{Form, Sample, TextLine};
use crate::rules::check::StreamEnd;
use crate::rules::testfile::{Case, CaseOutcome, Event, Harness};
use crate::rules::{Engine, Rule, StreamOutcome, join};
use crate::source::discover;

/// Feeds cases to the engine.
pub struct EngineHarness<'r> {
    rules: &'r [Rule],
}

impl<'r> EngineHarness<'r> {
    /// With these rules in force.
    #[must_use]
    pub fn new(rules: &'r [Rule]) -> Self {
        Self { rules }
    }

    fn audit_fixture(&self, path: &str) -> Result<CaseOutcome, String> {
        let found = discover(&[Path::new(path).to_owned()]);
        let run = found
            .runs
            .first()
            .ok_or_else(|| format!("{path}: no log was found"))?;
        let report = judge_run(run, self.rules, &|_| None, &|_| ());
        Ok(CaseOutcome {
            findings: report.findings,
            unmatched: report.unmatched,
        })
    }
}

impl Harness for EngineHarness<'_> {
    fn run(&self, case: &Case) -> Result<CaseOutcome, String> {
        if let Some(path) = &case.fixture {
            return self.audit_fixture(path);
        }
        let mut engine = Engine::new(self.rules, ".");
        let mut records = 0;
        for event in case.events() {
            records += 1;
            match event {
                Event::Sample { tag, point } => engine.sample(&Sample {
                    tag,
                    step: point.step,
                    wall_time: point.wall_time,
                    value: point.value,
                    form: Form::EXACT,
                    offset: 0,
                }),
                Event::Line(line) => {
                    engine.line(&TextLine {
                        text: &line.text,
                        offset: 0,
                        number: records,
                        step: line.step,
                    });
                }
            }
        }
        let outcome = engine.finish(&StreamEnd {
            records,
            skipped: 0,
            bytes: 0,
        });
        let unmatched = outcome.unmatched.clone();
        let run = join(vec![StreamOutcome {
            rank: None,
            precedence: 0,
            outcome,
        }]);
        Ok(CaseOutcome {
            findings: run.findings,
            unmatched,
        })
    }
}
