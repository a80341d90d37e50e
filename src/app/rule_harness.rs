//! Rule tests on the real engine.
//!
//! In: a test case. Out: the findings that an audit of it would give. Invariant: the same engine and the same
//! joining as for real logs; nothing is made for tests alone.

use std::path::{Path, PathBuf};

use super::chain_case::simulate_case;
use super::pipeline::judge_run;
use crate::rules::Rule;
use crate::rules::testfile::{Case, CaseOutcome, Harness, SampleHarness};
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

    fn audit_fixture(&self, path: &Path) -> Result<CaseOutcome, String> {
        let found = discover(&[path.to_owned()]);
        let [run] = found.runs.as_slice() else {
            return Err(format!(
                "fixture {}: {} runs instead of one",
                path.display(),
                found.runs.len()
            ));
        };
        let report = judge_run(run, self.rules, &|_| None, &|_| ());
        Ok(CaseOutcome {
            findings: report.findings,
            unmatched: report.unmatched,
        })
    }
}

impl Harness for EngineHarness<'_> {
    fn run(&self, case: &Case) -> Result<CaseOutcome, String> {
        let samples = SampleHarness { rules: self.rules };
        if let Some(path) = &case.fixture {
            return self.audit_fixture(&fixture_path(&case.origin, path));
        }
        let mut case = with_simulated(case)?;
        if let Some(baseline) = &mut case.baseline {
            **baseline = with_simulated(baseline)?;
        }
        samples.run(&case)
    }
}

/// The case with the series of its chain instead of the chain.
fn with_simulated(case: &Case) -> Result<Case, String> {
    let mut series = match &case.chain {
        Some(settings) => simulate_case(settings)?,
        None => Vec::new(),
    };
    series.extend_from_slice(&case.series);
    Ok(Case {
        chain: None,
        series,
        ..case.clone()
    })
}

/// Beside the test file where it is there, else from the working directory.
fn fixture_path(origin: &str, path: &str) -> PathBuf {
    let file = origin.rsplit_once(':').map_or(origin, |(file, _)| file);
    let beside = Path::new(file).parent().unwrap_or(Path::new("")).join(path);
    if beside.exists() {
        beside
    } else {
        PathBuf::from(path)
    }
}

/// Whether a test file cannot show the rule: a baseline is a second run, and silence takes a clock. Both are shown by tests
/// of their own.
#[must_use]
pub fn needs_more_than_a_log(rule: &Rule) -> bool {
    matches!(rule.check.name, "baseline" | "silence")
}

#[cfg(test)]
mod tests {
    use super::{EngineHarness, needs_more_than_a_log};
    use crate::rules::testfile::{Case, TestReport, parse_tests, run_tests};
    use crate::rules::{Source, builtin, builtin_tests, render};

    fn cases(sources: &[Source]) -> Vec<Case> {
        let read = |source: &Source| {
            parse_tests(source, builtin())
                .unwrap_or_else(|it| panic!("{}", render(&it, std::slice::from_ref(source), false)))
        };
        sources.iter().flat_map(read).collect()
    }

    fn report(sources: &[Source]) -> TestReport {
        let tested = builtin().all().filter(|it| !needs_more_than_a_log(it));
        let ids: Vec<&str> = tested.map(|it| it.id.as_str()).collect();
        run_tests(
            &cases(sources),
            builtin(),
            &ids,
            &EngineHarness::new(&builtin().rules),
        )
    }

    #[test]
    fn the_shipped_rules_pass_their_tests_and_none_is_without() {
        let report = report(&builtin_tests());
        assert!(report.is_success(), "{report:#?}");
    }

    #[test]
    fn a_rule_that_loses_its_tests_is_named() {
        let mut sources = builtin_tests();
        sources.retain(|it| !it.name.ends_with("outlier.toml"));
        let report = report(&sources);
        assert_eq!(report.never_fired, ["weight-outlier", "gradient-outlier"]);
    }

    #[test]
    fn a_fixture_is_found_beside_the_test_file() {
        let dir = tempfile::tempdir().unwrap();
        let row = |it: i32| {
            let loss = if it < 30 { "2.0" } else { "NaN" };
            format!("{{\"step\": {it}, \"loss\": {loss}}}\n")
        };
        let lines = (0..40).map(row).collect::<Vec<_>>().concat();
        std::fs::write(dir.path().join("run.jsonl"), lines).unwrap();
        let text = "[[test]]\nname = \"t\"\nfixture = \"run.jsonl\"\nexpect = [{ rule = \"non-finite-loss\", first_step = 30 }]\n[[test]]\nname = \"u\"\nfixture = \"no such file\"\nexpect = []\n";
        let source = Source::new(dir.path().join("t.toml").to_string_lossy(), text);
        let report = run_tests(
            &cases(&[source]),
            builtin(),
            &[],
            &EngineHarness::new(&builtin().rules),
        );
        let failures: Vec<&str> = report
            .failures
            .iter()
            .flat_map(|it| &it.what)
            .map(String::as_str)
            .collect();
        assert_eq!(
            failures,
            ["cannot run: fixture no such file: 0 runs instead of one"]
        );
    }
}
