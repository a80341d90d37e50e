//! The shipped rules and their tests, part of the program.
//!
//! In: nothing. Out: the rule set that runs with no configuration. Invariant: the lists here are exactly the
//! files of `rules/` and `rules/tests/`, and they load without a problem (tested).

use std::sync::OnceLock;

use super::check::registry::CHECKS;
use super::{RuleProblem, RuleSet, Source, load};

/// Names and texts of files below `rules/`.
type Embedded = &'static [(&'static str, &'static str)];

macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path)))),*]
    };
}

/// The shipped rules, one family per file.
const RULE_FILES: Embedded = embedded![
    "rules/baseline.toml",
    "rules/dead.toml",
    "rules/depth.toml",
    "rules/growth.toml",
    "rules/integrity.toml",
    "rules/liveness.toml",
    "rules/loss.toml",
    "rules/lr.toml",
    "rules/nonfinite.toml",
    "rules/outlier.toml",
    "rules/overfit.toml",
    "rules/plateau.toml",
    "rules/precision.toml",
    "rules/sentences.toml",
    "rules/throughput.toml",
];

/// The tests of the shipped rules.
const TEST_FILES: Embedded = embedded![
    "rules/tests/baseline.toml",
    "rules/tests/dead.toml",
    "rules/tests/depth.toml",
    "rules/tests/growth.toml",
    "rules/tests/integrity.toml",
    "rules/tests/liveness.toml",
    "rules/tests/loss.toml",
    "rules/tests/lr.toml",
    "rules/tests/nonfinite.toml",
    "rules/tests/outlier.toml",
    "rules/tests/overfit.toml",
    "rules/tests/plateau.toml",
    "rules/tests/precision.toml",
    "rules/tests/sentences.toml",
    "rules/tests/throughput.toml",
];

/// The shipped rules.
#[must_use]
pub fn builtin() -> &'static RuleSet {
    static BUILTIN: OnceLock<RuleSet> = OnceLock::new();
    // A problem here is a fault of the build, which a test refuses; `rules check` still names it.
    BUILTIN.get_or_init(|| load_builtin().unwrap_or_default())
}

/// Loads the shipped rules anew.
///
/// # Errors
/// Their problems; a build that passed its tests has none.
pub fn load_builtin() -> Result<RuleSet, Vec<RuleProblem>> {
    load(&builtin_sources(), &RuleSet::default(), CHECKS)
}

/// The texts of the shipped rules.
#[must_use]
pub fn builtin_sources() -> Vec<Source> {
    sources(RULE_FILES)
}

/// The texts of the tests of the shipped rules.
#[must_use]
pub fn builtin_tests() -> Vec<Source> {
    sources(TEST_FILES)
}

fn sources(files: Embedded) -> Vec<Source> {
    files
        .iter()
        .map(|(name, text)| Source::new(*name, *text))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Embedded, RULE_FILES, TEST_FILES, builtin, builtin_sources, load_builtin};
    use crate::rules::check::registry::CHECKS;
    use crate::rules::testfile::{SampleHarness, parse_tests, run_tests};
    use crate::rules::validate::{KEYS, PERSISTENCE_MAX};
    use crate::rules::{Source, load, render};

    /// The TOML files of a directory of the project, by name.
    fn toml_files(directory: &str) -> Vec<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
        let mut names: Vec<String> = std::fs::read_dir(root)
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .filter(|it| Path::new(it).extension().is_some_and(|it| it == "toml"))
            .map(|it| format!("{directory}/{it}"))
            .collect();
        names.sort();
        names
    }

    fn names(files: Embedded) -> Vec<&'static str> {
        files.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn the_lists_are_the_directories() {
        assert_eq!(names(RULE_FILES), toml_files("rules"));
        assert_eq!(names(TEST_FILES), toml_files("rules/tests"));
    }

    #[test]
    fn the_shipped_rules_have_no_problems() {
        if let Err(problems) = load_builtin() {
            panic!("{}", render(&problems, &builtin_sources(), false));
        }
    }

    #[test]
    fn every_shipped_rule_has_all_its_words() {
        for rule in builtin().all() {
            let words = [&rule.summary, &rule.why, &rule.diagnosis, &rule.false_positives];
            assert!(
                words.iter().all(|it| !it.trim().is_empty()),
                "{} lacks words",
                rule.id
            );
            assert!(!rule.remedy.is_empty(), "{} has no remedy", rule.id);
        }
    }

    /// The blocks of a kind in `rules/README.md`.
    fn examples(kind: &str) -> Vec<Source> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/README.md");
        let text = std::fs::read_to_string(path).unwrap();
        let opening = format!("```{kind}\n");
        let blocks = text.split(opening.as_str()).skip(1);
        blocks
            .map(|it| Source::new("README.md", it.split("```").next().unwrap()))
            .collect()
    }

    #[test]
    fn the_examples_for_authors_are_right() {
        let files = examples("toml");
        assert_eq!(files.len(), 1);
        let set = load(&files, builtin(), CHECKS)
            .unwrap_or_else(|problems| panic!("{}", render(&problems, &files, false)));
        assert!(set.is_enabled("team-update-outlier") && !set.is_enabled("faint-layer"));
        let tests = examples("toml-test");
        assert_eq!(tests.len(), 1);
        let cases = parse_tests(&tests[0], builtin())
            .unwrap_or_else(|problems| panic!("{}", render(&problems, &tests, false)));
        let report = run_tests(
            &cases,
            builtin(),
            &[],
            &SampleHarness {
                rules: &builtin().rules,
            },
        );
        assert!(report.is_success(), "{:?}", report.failures);
        assert_eq!(report.n_tests, 2);
    }

    #[test]
    fn the_document_for_authors_names_every_key() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/README.md");
        let text = std::fs::read_to_string(path).unwrap();
        for key in KEYS {
            assert!(text.contains(&format!("`{key}`")), "{key}");
        }
        assert!(text.contains(&format!("at most {PERSISTENCE_MAX} points")));
    }
}
