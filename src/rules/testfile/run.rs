//! Runs rule tests and judges what the rules found.
//!
//! In: cases, and an engine behind [`Harness`]. Out: what failed, in words, and the rules without tests.
//! Invariant: a rule counts as tested only when one test made it fire and in another it looked at something
//! and stayed quiet.

use std::collections::HashSet;

use super::case::{Case, Expectation, StepRange};
use crate::model::{Finding, Severity};
use crate::rules::RuleSet;

/// The engine that a case is fed to, with the rules under test.
pub trait Harness {
    /// Audits the case's input.
    ///
    /// # Errors
    /// Why the case cannot be run (an unknown setting of the chain, an unreadable fixture).
    fn run(&self, case: &Case) -> Result<CaseOutcome, String>;
}

/// What an audit of a case gave.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CaseOutcome {
    /// All findings.
    pub findings: Vec<Finding>,
    /// Ids of rules whose selectors matched nothing in the case's input.
    pub unmatched: Vec<String>,
}

/// A test that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `file:line` of the test.
    pub origin: String,
    /// Name of the test.
    pub test: String,
    /// Everything that is wrong.
    pub what: Vec<String>,
}

/// How the tests went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TestReport {
    /// Tests that were run.
    pub n_tests: usize,
    /// Those that failed.
    pub failures: Vec<Failure>,
    /// Rules that no test makes fire.
    pub never_fired: Vec<String>,
    /// Rules that no test shows quiet.
    pub never_quiet: Vec<String>,
}

impl TestReport {
    /// Whether all is well.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.failures.is_empty() && self.never_fired.is_empty() && self.never_quiet.is_empty()
    }
}

/// Runs all cases. Each rule of `must_cover` has to fire in one test and to stay quiet in another.
pub fn run_tests(cases: &[Case], rules: &RuleSet, must_cover: &[&str], harness: &dyn Harness) -> TestReport {
    let mut report = TestReport {
        n_tests: cases.len(),
        ..TestReport::default()
    };
    let mut fired: HashSet<&str> = HashSet::new();
    let mut quiet: HashSet<&str> = HashSet::new();
    for case in cases {
        let what = match harness.run(case) {
            Err(error) => vec![format!("cannot run: {error}")],
            Ok(outcome) => {
                fired.extend(case.expect.iter().map(|it| it.rule.as_str()));
                quiet.extend(quiet_rules(case, &outcome, rules));
                judge(case, &outcome)
            }
        };
        if !what.is_empty() {
            report.failures.push(Failure {
                origin: case.origin.clone(),
                test: case.name.clone(),
                what,
            });
        }
    }
    let lacking = |seen: &HashSet<&str>| {
        must_cover
            .iter()
            .filter(|it| !seen.contains(*it))
            .map(|it| (*it).to_owned())
            .collect()
    };
    report.never_fired = lacking(&fired);
    report.never_quiet = lacking(&quiet);
    report
}

/// Rules that this case shows quiet: named so, or all that looked at something where nothing is expected.
fn quiet_rules<'r>(case: &Case, outcome: &CaseOutcome, rules: &'r RuleSet) -> Vec<&'r str> {
    let ids = rules.rules.iter().map(|it| it.id.as_str());
    ids.filter(|id| case.expect.is_empty() || case.quiet.iter().any(|it| it == id))
        .filter(|id| !outcome.unmatched.iter().any(|it| it == id))
        .filter(|id| !outcome.findings.iter().any(|it| it.rule == *id))
        .collect()
}

/// Everything that is wrong with the findings of a case.
fn judge(case: &Case, outcome: &CaseOutcome) -> Vec<String> {
    let mut wrong: Vec<String> = case.expect.iter().filter_map(|it| missing(it, outcome)).collect();
    wrong.extend(
        outcome
            .findings
            .iter()
            .filter(|it| is_unexpected(case, it))
            .map(|it| format!("unexpected {}: {}", it.severity, described(it))),
    );
    for id in &case.quiet {
        if let Some(finding) = outcome.findings.iter().find(|it| it.rule == *id) {
            wrong.push(format!("not quiet: {}", described(finding)));
        } else if outcome.unmatched.contains(id) {
            wrong.push(format!(
                "`{id}` had nothing to look at: that it stayed quiet proves nothing"
            ));
        }
    }
    wrong
}

/// What is missing for an expectation to be met, if anything.
fn missing(expected: &Expectation, outcome: &CaseOutcome) -> Option<String> {
    let of_rule: Vec<&Finding> = outcome
        .findings
        .iter()
        .filter(|it| it.rule == expected.rule)
        .collect();
    if of_rule.is_empty() {
        let why = if outcome.unmatched.contains(&expected.rule) {
            ": its selectors match nothing in this test"
        } else {
            ""
        };
        return Some(format!("`{}` did not fire{why}", expected.rule));
    }
    // The finding that comes nearest tells most.
    let nearest = of_rule
        .iter()
        .map(|it| differences(expected, it))
        .min_by_key(Vec::len)?;
    (!nearest.is_empty()).then(|| format!("`{}` fired, but {}", expected.rule, nearest.join("; ")))
}

fn differences(expected: &Expectation, found: &Finding) -> Vec<String> {
    let mut different = Vec::new();
    let mut differ = |what: &str, wanted: String, got: String| {
        if wanted != got {
            different.push(format!("{what} is {got}, not {wanted}"));
        }
    };
    if let Some(kind) = &expected.kind {
        differ("kind", format!("`{kind}`"), format!("`{}`", found.kind));
    }
    if let Some(severity) = expected.severity {
        differ("severity", severity.to_string(), found.severity.to_string());
    }
    if let Some(quantity) = expected.quantity {
        differ("quantity", quantity.to_string(), found.quantity.to_string());
    }
    if let Some(layers) = &expected.layers {
        differ("layers", layers.join(" "), found.layers.join(" "));
    }
    for (what, range, step) in [
        ("first_step", expected.first_step, found.first_step),
        ("forecast_step", expected.forecast_step, found.forecast_step),
    ] {
        if let Some(range) = range.filter(|range| !step.is_some_and(|it| range.contains(it))) {
            differ(
                what,
                shown_range(range),
                step.map_or_else(|| "not known".to_owned(), |it| it.to_string()),
            );
        }
    }
    different
}

fn shown_range(range: StepRange) -> String {
    match (range.at_least, range.at_most) {
        (from, to) if from == to => from.to_string(),
        (from, i64::MAX) => format!("at least {from}"),
        (i64::MIN, to) => format!("at most {to}"),
        (from, to) => format!("{from} to {to}"),
    }
}

/// A finding that somebody would be told of, that no expectation names, and that is not listed as the
/// consequence of one that is named.
fn is_unexpected(case: &Case, finding: &Finding) -> bool {
    let names = |rule: &str, kind: &str| {
        case.expect
            .iter()
            .any(|it| it.rule == rule && it.kind.as_deref().is_none_or(|it| it == kind))
    };
    let is_explained = finding
        .caused_by
        .as_ref()
        .is_some_and(|cause| case.expect.iter().any(|it| it.rule == *cause));
    finding.severity >= Severity::Warning && !names(&finding.rule, finding.kind) && !is_explained
}

fn described(finding: &Finding) -> String {
    let kind = if finding.kind.is_empty() {
        String::new()
    } else {
        format!(" ({})", finding.kind)
    };
    let step = finding
        .first_step
        .map_or_else(String::new, |it| format!(" at step {it}"));
    format!("`{}`{kind}{step}: {}", finding.rule, finding.message)
}

#[cfg(test)]
mod tests;
