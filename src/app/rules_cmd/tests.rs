//! Tests of what `gradwatch rules` prints.

use serde_json::{Value, json};

use super::{check, list, list_json, show, show_json, test};
use crate::exit::ExitStatus;
use crate::rules::test_checks::{CHECKS, SHIPPED};
use crate::rules::testfile::{Case, CaseOutcome, Harness};
use crate::rules::{RuleSet, Source, load};

fn shipped() -> RuleSet {
    load(
        &[Source::new("rules/shipped.toml", SHIPPED)],
        &RuleSet::default(),
        CHECKS,
    )
    .unwrap()
}

fn changed() -> RuleSet {
    let text = "disable = [\"leaning-layers\"]\n[[rule]]\nid = \"loud-loss\"\nlevel = 7\nremedy = [\"one\", \"two\"]\n";
    load(&[Source::new("team.toml", text)], &shipped(), CHECKS).unwrap()
}

/// What a command writes, with its status.
fn written<T>(command: impl FnOnce(&mut Vec<u8>) -> std::io::Result<T>) -> (T, String) {
    let mut out = Vec::new();
    let status = command(&mut out).unwrap();
    (status, String::from_utf8(out).unwrap())
}

#[test]
fn list_has_a_line_per_rule() {
    let ((), text) = written(|out| list(&changed(), Some(120), out));
    let words: Vec<Vec<&str>> = text.lines().map(|it| it.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["RULE", "CHECK", "SEVERITY", "QUANTITIES", "SUMMARY"]);
    assert_eq!(
        words[1],
        [
            "loud-loss",
            "test-level",
            "warning",
            "loss",
            "{quantity}",
            "is",
            "{value}"
        ]
    );
    assert_eq!(
        words[2],
        [
            "leaning-layers",
            "test-lean",
            "off",
            "grad_norm",
            "weight_norm",
            "leans"
        ]
    );
    assert!(text.ends_with("\n1 rules in force, 1 off\n"), "{text}");
}

#[test]
fn show_says_bounds_and_where_they_come_from() {
    let (status, text) = written(|out| show(&changed(), &shipped(), "loud-loss", out));
    assert_eq!(status, ExitStatus::Clean);
    for wanted in [
        "loud-loss\n",
        "  summary         {quantity} is {value}\n",
        "  origin          rules/shipped.toml:2, changed in team.toml:2\n",
        "  check           test-level (each series by itself)\n",
        "  for             1 of 1 points\n",
        "  remedy          1. one\n                  2. two\n",
        "  level = 7    (check's default 10, shipped rule 5; 0 to 100)\n      A bound",
        "  window = 20    (default; 0 to 1000)\n",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
    let (_, off) = written(|out| show(&changed(), &shipped(), "leaning-layers", out));
    assert!(off.starts_with("leaning-layers (off)\n"), "{off}");
}

#[test]
fn unknown_rules_are_refused_with_the_nearest() {
    let (status, text) = written(|out| show(&shipped(), &shipped(), "loud-los", out));
    assert_eq!(
        (status, text.as_str()),
        (
            ExitStatus::Usage,
            "unknown rule `loud-los`, did you mean `loud-loss`?\n"
        )
    );
    let (status, text) = written(|out| show_json(&shipped(), "\u{1b}[2J", out));
    assert_eq!(
        (status, text.as_str()),
        (ExitStatus::Usage, "unknown rule `\\u{1b}[2J`\n")
    );
}

#[test]
fn json_has_everything() {
    let ((), text) = written(|out| list_json(&changed(), out));
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["schema"], json!("gradwatch.rules/1"));
    assert_eq!(report["rules"][1]["enabled"], json!(false));
    let rule = &report["rules"][0];
    assert_eq!(rule["bounds"][0]["value"], json!(7.0));
    assert_eq!(rule["bounds"][0]["default"], json!(10.0));
    assert_eq!(rule["for"], json!([1, 1]));
    assert_eq!((&rule["kind"], &rule["layer"]), (&Value::Null, &Value::Null));
    let (_, one) = written(|out| show_json(&changed(), "loud-loss", out));
    assert_eq!(&serde_json::from_str::<Value>(&one).unwrap(), rule);
}

#[test]
fn check_counts_rules_or_names_problems() {
    let good = [
        Source::new("a.toml", "[[rule]]\nid = \"loud-loss\"\nlevel = 3\n"),
        Source::new("b.toml", ""),
    ];
    let (status, text) = written(|out| check(&good, &shipped(), CHECKS, false, out));
    assert_eq!(
        (status, text.as_str()),
        (ExitStatus::Clean, "1 rule in 2 files, no problems\n")
    );
    let bad = [Source::new("a.toml", "[[rule]]\nid = \"loud-loss\"\nlevle = 3\n")];
    let (status, text) = written(|out| check(&bad, &shipped(), CHECKS, false, out));
    assert_eq!(status, ExitStatus::Usage);
    let line =
        "a.toml:3:1: unknown key `levle` for the check `test-level`, did you mean `level`?\n1 problem\n";
    assert!(text.ends_with(line), "{text}");
    assert!(text.contains("3 | levle = 3"), "{text}");
}

/// An engine that finds nothing and whose rules all had something to look at.
struct Quiet;

impl Harness for Quiet {
    fn run(&self, _case: &Case) -> Result<CaseOutcome, String> {
        Ok(CaseOutcome::default())
    }
}

#[test]
fn test_reports_failures_and_rules_without_tests() {
    let run = |text: &str, must_cover: bool| {
        let sources = [Source::new("t.toml", text)];
        written(|out| test(&sources, &shipped(), &|_| must_cover, &Quiet, false, out))
    };
    let quiet = "[[test]]\nname = \"flat\"\nlines = [\"x\"]\nexpect = []\n";
    assert_eq!(
        run(quiet, false),
        (ExitStatus::Clean, "1 test in 1 file passed\n".to_owned())
    );
    let (status, text) = run(
        &format!("{quiet}[[test]]\nname = \"loud\"\nlines = [\"x\"]\nexpect = {{ rule = \"loud-loss\" }}\n"),
        true,
    );
    assert_eq!(status, ExitStatus::Findings);
    assert_eq!(
        text,
        "t.toml:5: test `loud` failed\n  `loud-loss` did not fire\nrule `leaning-layers`: no test makes it fire\n2 tests in 1 file: 1 failed, 1 test missing\n"
    );
    let (status, text) = run("[[test]]\n", true);
    assert_eq!(status, ExitStatus::Usage);
    assert!(text.contains("t.toml:1:1: missing key `name`"), "{text}");
}
