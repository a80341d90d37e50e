//! Tests of the judgement over findings.

use super::{CaseOutcome, Harness, TestReport, run_tests};
use crate::model::{Family, Finding, Quantity, Severity};
use crate::rules::load;
use crate::rules::problem::Source;
use crate::rules::set::RuleSet;
use crate::rules::test_checks::{CHECKS, SHIPPED};
use crate::rules::testfile::{Case, parse_tests};

/// Answers every case with the same outcome.
struct Fixed(Result<CaseOutcome, String>);

impl Harness for Fixed {
    fn run(&self, _case: &Case) -> Result<CaseOutcome, String> {
        self.0.clone()
    }
}

fn finding(rule: &str, severity: Severity, first_step: i64) -> Finding {
    Finding {
        rule: rule.to_owned(),
        check: "test-lean",
        family: Family::Depth,
        kind: "left",
        severity,
        quantity: Quantity::GradNorm,
        tag: None,
        layers: vec!["a".to_owned()],
        rank: None,
        first_step: Some(first_step),
        last_step: Some(first_step),
        count: 1,
        value: None,
        bound: None,
        forecast_step: None,
        message: "leans".to_owned(),
        diagnosis: String::new(),
        remedy: Vec::new(),
        caused_by: None,
        is_superseded: false,
        has_healed: false,
    }
}

fn found(findings: Vec<Finding>) -> Fixed {
    Fixed(Ok(CaseOutcome {
        findings,
        unmatched: Vec::new(),
    }))
}

fn report(keys: &str, must_cover: &[&str], harness: &Fixed) -> TestReport {
    let rules = load(
        &[Source::new("rules/shipped.toml", SHIPPED)],
        &RuleSet::default(),
        CHECKS,
    )
    .unwrap();
    let text = format!("[[test]]\nname = \"t\"\nlines = [\"x\"]\n{keys}\n");
    let cases = parse_tests(&Source::new("t.toml", text), &rules).unwrap();
    run_tests(&cases, &rules, must_cover, harness)
}

/// What is wrong, of one test.
fn wrong(keys: &str, harness: &Fixed) -> Vec<String> {
    report(keys, &[], harness)
        .failures
        .into_iter()
        .flat_map(|it| it.what)
        .collect()
}

#[test]
fn a_met_expectation_passes() {
    let harness = found(vec![finding("leaning-layers", Severity::Critical, 12)]);
    for keys in [
        "expect = [{ rule = \"leaning-layers\" }]",
        "expect = [{ rule = \"leaning-layers\", kind = \"left\", severity = \"critical\", quantity = \"grad_norm\", layers = \"a\", first_step = 12 }]",
        "expect = [{ rule = \"leaning-layers\", first_step = { at_least = 12 } }]",
        "expect = [{ rule = \"leaning-layers\", first_step = { at_most = 12 } }]",
    ] {
        assert_eq!(wrong(keys, &harness), Vec::<String>::new(), "{keys}");
    }
}

#[test]
fn each_difference_is_named() {
    let harness = found(vec![finding("leaning-layers", Severity::Info, 12)]);
    for (expected, difference) in [
        ("kind = \"right\"", "kind is `left`, not `right`"),
        ("severity = \"critical\"", "severity is info, not critical"),
        ("quantity = \"loss\"", "quantity is grad_norm, not loss"),
        ("layers = [\"a\", \"b\"]", "layers is a, not a b"),
        ("first_step = 11", "first_step is 12, not 11"),
        (
            "first_step = { at_least = 13 }",
            "first_step is 12, not at least 13",
        ),
        (
            "first_step = { at_least = 1, at_most = 11 }",
            "first_step is 12, not 1 to 11",
        ),
        (
            "forecast_step = { at_most = 5 }",
            "forecast_step is not known, not at most 5",
        ),
    ] {
        let keys = format!("expect = [{{ rule = \"leaning-layers\", {expected} }}]");
        assert_eq!(
            wrong(&keys, &harness),
            [format!("`leaning-layers` fired, but {difference}")]
        );
    }
}

#[test]
fn what_does_not_fire_and_what_is_not_expected_fails() {
    let nothing = found(Vec::new());
    assert_eq!(
        wrong("expect = [{ rule = \"loud-loss\" }]", &nothing),
        ["`loud-loss` did not fire"]
    );
    let warned = found(vec![finding("leaning-layers", Severity::Warning, 3)]);
    assert_eq!(
        wrong("expect = []", &warned),
        ["unexpected warning: `leaning-layers` (left) at step 3: leans"]
    );
    let told = found(vec![finding("leaning-layers", Severity::Info, 3)]);
    assert!(wrong("expect = []", &told).is_empty(), "info is never unexpected");
    assert_eq!(
        wrong("quiet = \"leaning-layers\"", &told),
        ["not quiet: `leaning-layers` (left) at step 3: leans"]
    );
    let other_kind = "expect = [{ rule = \"leaning-layers\", kind = \"right\" }]";
    assert_eq!(
        wrong(other_kind, &warned).len(),
        2,
        "missing the one, surprised by the other"
    );
}

#[test]
fn consequences_of_what_is_expected_need_no_mention() {
    let mut consequence = finding("leaning-layers", Severity::Critical, 3);
    consequence.caused_by = Some("loud-loss".to_owned());
    let harness = found(vec![finding("loud-loss", Severity::Critical, 2), consequence]);
    assert!(wrong("expect = [{ rule = \"loud-loss\" }]", &harness).is_empty());
    assert_eq!(wrong("expect = []", &harness).len(), 2);
}

#[test]
fn a_rule_with_nothing_to_look_at_proves_nothing() {
    let blind = Fixed(Ok(CaseOutcome {
        findings: Vec::new(),
        unmatched: vec!["loud-loss".to_owned()],
    }));
    assert_eq!(
        wrong("quiet = \"loud-loss\"", &blind),
        ["`loud-loss` had nothing to look at: that it stayed quiet proves nothing"]
    );
    assert_eq!(
        wrong("expect = [{ rule = \"loud-loss\" }]", &blind),
        ["`loud-loss` did not fire: its selectors match nothing in this test"]
    );
    let covered = report("expect = []", &["loud-loss", "leaning-layers"], &blind);
    assert_eq!(covered.never_quiet, ["loud-loss"]);
}

#[test]
fn rules_without_tests_are_named() {
    let nothing = found(Vec::new());
    let both = ["loud-loss", "leaning-layers"];
    let quiet = report("expect = []", &both, &nothing);
    assert_eq!(quiet.never_fired, both);
    assert!(quiet.never_quiet.is_empty() && !quiet.is_success());
    let harness = found(vec![finding("leaning-layers", Severity::Critical, 12)]);
    let fires = report("expect = [{ rule = \"leaning-layers\" }]", &both, &harness);
    assert_eq!(
        (fires.never_fired, fires.never_quiet),
        (vec!["loud-loss".to_owned()], both.map(str::to_owned).to_vec())
    );
    let named = report(
        "expect = [{ rule = \"leaning-layers\" }]\nquiet = \"loud-loss\"",
        &both,
        &harness,
    );
    assert_eq!(named.never_quiet, ["leaning-layers"]);
}

#[test]
fn an_engine_that_refuses_fails_the_test() {
    let refusing = Fixed(Err("no such fixture".to_owned()));
    let report = report("expect = []", &[], &refusing);
    assert_eq!(report.failures[0].what, ["cannot run: no such fixture"]);
    assert_eq!(
        (
            report.failures[0].origin.as_str(),
            report.failures[0].test.as_str()
        ),
        ("t.toml:1", "t")
    );
    assert!(!report.is_success());
}
