//! Tests of the rule file format, on two checks made for them.

use std::path::Path;

use super::{RULE_FILE_BYTES_MAX, load};
use crate::model::{Family, Quantity, Severity, Split};
use crate::rules::golden::assert_golden;
use crate::rules::problem::{PROBLEMS_MAX, RuleProblem, Source, render};
use crate::rules::set::RuleSet;
use crate::rules::test_checks::{CHECKS, SHIPPED};

fn read(text: &str, base: &RuleSet) -> Result<RuleSet, Vec<RuleProblem>> {
    load(&[Source::new("team.toml", text)], base, CHECKS)
}

fn shipped() -> RuleSet {
    load(
        &[Source::new("rules/shipped.toml", SHIPPED)],
        &RuleSet::default(),
        CHECKS,
    )
    .unwrap()
}

/// The one-line forms of the problems of a text.
fn problems(text: &str) -> Vec<String> {
    read(text, &shipped())
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// The problem of a rule that is fine but for one line.
fn problem_of_line(line: &str) -> String {
    let text = format!(
        "[[rule]]\nid = \"mine\"\n{line}\ncheck = \"test-level\"\nquantity = \"loss\"\nseverity = \"info\"\nsummary = \"s\"\n"
    );
    let found = problems(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

#[test]
fn a_complete_rule_is_read_with_its_defaults() {
    let set = shipped();
    let rule = set.find("loud-loss").unwrap();
    assert_eq!(rule.check.name, "test-level");
    assert_eq!(rule.family, Family::Loss, "the check's family");
    assert_eq!(rule.quantities, [Quantity::Loss]);
    assert_eq!(rule.persistence, (1, 1));
    assert_eq!(rule.severity, Severity::Warning);
    assert_eq!(rule.params.get("level"), 5.0);
    assert_eq!(rule.params.get("window"), 20.0, "the check's default");
    assert_eq!(rule.origin, "rules/shipped.toml:2");
    assert!(rule.splits.is_empty() && rule.layer.is_none() && rule.kind.is_empty());
}

#[test]
fn every_key_is_read() {
    let set = read(
        r#"
[[rule]]
id = "all-keys"
check = "test-lean"
family = "custom"
kind = "left"
quantity = ["grad_norm", "update_norm"]
split = ["train", "eval"]
layer = 'blocks\.\d+'
role = "mlp"
tag = "^grad"
run = "gpt"
parameter = ["weight", "bias"]
for = "5 of 8"
severity = "info"
summary = "{kind} by {value}"
why = "why"
diagnosis = "look"
remedy = ["one", "two"]
false_positives = "never"
enabled = true
tilt = 0.25
"#,
        &RuleSet::default(),
    )
    .unwrap();
    let rule = &set.rules[0];
    assert_eq!((rule.family, rule.kind.as_str()), (Family::Custom, "left"));
    assert_eq!(rule.quantities, [Quantity::GradNorm, Quantity::UpdateNorm]);
    assert_eq!(rule.splits, [Split::Train, Split::Eval]);
    assert!(rule.layer.as_ref().unwrap().is_match("blocks.12.x"));
    assert!(rule.role.is_some() && rule.tag.is_some() && rule.run.is_some());
    assert_eq!(rule.parameter, ["weight", "bias"]);
    assert_eq!((rule.persistence, rule.severity), ((5, 8), Severity::Info));
    assert_eq!((rule.why.as_str(), rule.diagnosis.as_str()), ("why", "look"));
    assert_eq!(rule.remedy, ["one", "two"]);
    assert_eq!(rule.false_positives, "never");
    assert_eq!(rule.params.get("tilt"), 0.25);
}

#[test]
fn an_override_changes_only_what_it_names() {
    let set = read("[[rule]]\nid = \"loud-loss\"\nlevel = 7.5\nfor = 3\n", &shipped()).unwrap();
    let rule = set.find("loud-loss").unwrap();
    assert_eq!(rule.params.get("level"), 7.5);
    assert_eq!(rule.persistence, (3, 3));
    assert_eq!(
        (rule.summary.as_str(), rule.why.as_str()),
        ("{quantity} is {value}", "w")
    );
    assert_eq!(rule.origin, "rules/shipped.toml:2, changed in team.toml:1");
    let ids: Vec<&str> = set.rules.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["loud-loss", "leaning-layers"], "the order stays");
}

#[test]
fn later_files_override_earlier_ones() {
    let change = |level: u32| {
        Source::new(
            format!("{level}.toml"),
            format!("[[rule]]\nid = \"loud-loss\"\nlevel = {level}\n"),
        )
    };
    let set = load(&[change(6), change(9)], &shipped(), CHECKS).unwrap();
    assert_eq!(set.find("loud-loss").unwrap().params.get("level"), 9.0);
}

#[test]
fn rules_are_switched_off_and_on() {
    let off = read("disable = [\"loud-loss\"]\n", &shipped()).unwrap();
    assert!(!off.is_enabled("loud-loss") && off.find("loud-loss").is_some());
    assert_eq!(off.rules.len(), 1);
    let still_off = read("[[rule]]\nid = \"loud-loss\"\nlevel = 8\n", &off).unwrap();
    assert!(
        !still_off.is_enabled("loud-loss"),
        "a changed bound does not switch a rule on"
    );
    let on = read("[[rule]]\nid = \"loud-loss\"\nenabled = true\n", &still_off).unwrap();
    assert!(on.is_enabled("loud-loss"));
    assert_eq!(on.find("loud-loss").unwrap().params.get("level"), 8.0);
    let off_by_key = read("[[rule]]\nid = \"loud-loss\"\nenabled = false\n", &shipped()).unwrap();
    assert!(!off_by_key.is_enabled("loud-loss"));
}

#[test]
fn all_problems_come_at_once_in_order() {
    let found = problems(
        r#"disable = ["loud-los"]
rulez = 1

[[rule]]
id = "Not Kebab"
check = "test-levle"
quantity = ["loss", "grad_nrom"]
severity = "critcal"
summary = "{a"
levle = 3

[[rule]]
id = "second"
check = "test-level"
quantity = "loss"
severity = "info"
summary = "s"
levle = 3
"#,
    );
    assert_eq!(
        found,
        [
            "team.toml:1:12: unknown rule `loud-los`, did you mean `loud-loss`?",
            "team.toml:2:1: unknown key `rulez`, did you mean `rule`?",
            "team.toml:5:6: `Not Kebab` is not an id: lower-case words, digits and single hyphens",
            "team.toml:6:9: unknown check `test-levle`, did you mean `test-level`?",
            "team.toml:7:21: unknown quantity `grad_nrom`, did you mean `grad_norm`?",
            "team.toml:8:12: unknown severity `critcal`, did you mean `critical`?",
            "team.toml:9:11: `summary`: `{` without `}` after it",
            "team.toml:10:1: unknown key `levle`, did you mean `level`?",
            "team.toml:18:1: unknown key `levle` for the check `test-level`, did you mean `level`?",
        ]
    );
}

#[test]
fn bounds_are_held_to_their_range() {
    for (line, wanted) in [
        (
            "level = -1",
            "`level` is -1, allowed are 0 to 100, its default is 10",
        ),
        (
            "level = 100.5",
            "`level` is 100.5, allowed are 0 to 100, its default is 10",
        ),
        ("level = nan", "`level` is not a finite number"),
        ("level = -inf", "`level` is not a finite number"),
        ("level = 1e999", "`level` is not a finite number"),
        ("level = 99999999999999999999", "`level` is not a finite number"),
        ("level = \"5\"", "`level` must be a number, not a string"),
    ] {
        assert_eq!(problem_of_line(line), format!("team.toml:3:9: {wanted}"));
    }
    for fine in ["0", "100", "100.0", "1e2", "0x10"] {
        read(
            &format!("[[rule]]\nid = \"loud-loss\"\nlevel = {fine}\n"),
            &shipped(),
        )
        .unwrap();
    }
}

#[test]
fn persistence_has_three_spellings() {
    let persistence = |value: &str| {
        let text = format!("[[rule]]\nid = \"loud-loss\"\nfor = {value}\n");
        read(&text, &shipped())
            .unwrap()
            .find("loud-loss")
            .unwrap()
            .persistence
    };
    assert_eq!(persistence("1"), (1, 1));
    assert_eq!(persistence("\"5\""), (5, 5));
    assert_eq!(persistence("\"5 of 8\""), (5, 8));
    assert_eq!(persistence("64"), (64, 64));
    for bad in [
        "0",
        "-1",
        "65",
        "\"8 of 5\"",
        "\"5 of\"",
        "\"5/8\"",
        "\"5 of 8 x\"",
        "\"of 8\"",
        "1.5",
        "99999999999",
        "\"0 of 3\"",
    ] {
        let problem = problem_of_line(&format!("for = {bad}"));
        assert!(problem.starts_with("team.toml:3:7: `for` "), "{problem}");
    }
}

#[test]
fn values_of_wrong_types_are_named() {
    for (line, wanted) in [
        ("layer = 5", "3:9: `layer` must be a string, not an integer"),
        ("split = []", "3:9: `split` is empty"),
        ("why = \"  \"", "3:7: `why` is empty"),
        (
            "remedy = [\"a\", 2]",
            "3:16: `remedy` must be a string, not an integer",
        ),
        (
            "enabled = \"no\"",
            "3:11: `enabled` must be true or false, not a string",
        ),
        (
            "family = 2020-01-01",
            "3:10: `family` must be a string, not a date",
        ),
        ("kind = \"x\"", "3:8: the check `test-level` has no kinds"),
        (
            "pattern = \"x\"",
            "3:11: `pattern` is only for the check `log-pattern`",
        ),
        (
            "layer = \"(a\"",
            "3:9: bad regular expression in `layer`: unclosed group",
        ),
        (
            "disable = [\"loud-loss\"]",
            "3:1: unknown key `disable` for the check `test-level`",
        ),
    ] {
        assert_eq!(problem_of_line(line), format!("team.toml:{wanted}"));
    }
}

#[test]
fn checks_of_layers_refuse_quantities_without_layers() {
    let found = problems(
        "[[rule]]\nid = \"mine\"\ncheck = \"test-lean\"\nquantity = \"grad_norm_total\"\nseverity = \"info\"\nsummary = \"s\"\nkind = \"up\"\n",
    );
    assert_eq!(
        found,
        [
            "team.toml:4:12: the check `test-lean` compares layers, and `grad_norm_total` has none, known: `grad_norm`, `weight_norm`, `update_norm`, `activation_norm`, `update_ratio`",
            "team.toml:7:8: unknown kind `up`, known: `left`, `right`",
        ]
    );
}

#[test]
fn new_rules_must_be_complete() {
    assert_eq!(
        problems("[[rule]]\n"),
        [
            "team.toml:1:1: missing key `id`",
            "team.toml:1:1: missing key `check`",
            "team.toml:1:1: missing key `severity`",
            "team.toml:1:1: missing key `summary`",
        ]
    );
    let text = "\n[[rule]]\nid = \"mine\"\ncheck = \"log-pattern\"\nseverity = \"info\"\nsummary = \"s\"\n";
    assert_eq!(problems(text), ["team.toml:2:1: missing key `pattern`"]);
    let set = read(&format!("{text}pattern = \"OOM\"\n"), &shipped()).unwrap();
    assert_eq!(set.find("mine").unwrap().patterns.len(), 1);
}

#[test]
fn a_misspelt_override_is_explained() {
    let found = problems("[[rule]]\nid = \"loud-losss\"\nlevel = 3\n");
    assert_eq!(
        found[0],
        "team.toml:1:1: no rule `loud-losss` to change, did you mean `loud-loss`?"
    );
}

#[test]
fn ids_are_used_once() {
    let rule = "[[rule]]\nid = \"mine\"\ncheck = \"test-level\"\nquantity = \"loss\"\nseverity = \"info\"\nsummary = \"s\"\n";
    assert_eq!(
        problems(&format!("{rule}{rule}")),
        ["team.toml:8:6: duplicate id `mine`, first used in team.toml:2"]
    );
    let two = [Source::new("a.toml", rule), Source::new("b.toml", rule)];
    let found = load(&two, &shipped(), CHECKS).unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "b.toml:2:6: duplicate id `mine`, first used in a.toml:2"
    );
    let twice = "[[rule]]\nid = \"loud-loss\"\nlevel = 1\n[[rule]]\nid = \"loud-loss\"\nlevel = 2\n";
    assert_eq!(
        problems(twice),
        ["team.toml:5:6: duplicate id `loud-loss`, first used in team.toml:2"]
    );
}

#[test]
fn the_check_of_a_rule_cannot_change() {
    let found = problems("[[rule]]\nid = \"loud-loss\"\ncheck = \"test-lean\"\n");
    assert_eq!(
        found,
        ["team.toml:3:9: the check of an existing rule cannot change, give the new rule an id of its own"]
    );
    read(
        "[[rule]]\nid = \"loud-loss\"\ncheck = \"test-level\"\n",
        &shipped(),
    )
    .unwrap();
}

#[test]
fn all_syntax_errors_are_named() {
    let found = problems("[[rule]]\nid = \nlevel = = 3\n[[rule\n");
    assert!(found.len() >= 3, "{found:?}");
    assert!(found.iter().all(|it| it.contains(": not TOML: ")), "{found:?}");
    assert!(found[0].starts_with("team.toml:2:"), "{found:?}");
}

#[test]
fn one_problem_leaves_the_whole_set_as_it_was() {
    let good = Source::new("a.toml", "[[rule]]\nid = \"loud-loss\"\nlevel = 9\n");
    let bad = Source::new("b.toml", "[rule]\nid = \"x\"\n");
    let found = load(&[good, bad], &shipped(), CHECKS).unwrap_err();
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].to_string(),
        "b.toml:1:2: `rule` must be an array of tables, write `[[rule]]`"
    );
}

#[test]
fn empty_files_and_huge_files() {
    assert_eq!(read("", &shipped()).unwrap().rules.len(), 2);
    assert_eq!(read("# only words\n", &shipped()).unwrap().rules.len(), 2);
    let text = "#".repeat(RULE_FILE_BYTES_MAX);
    assert!(read(&text, &shipped()).is_ok());
    assert_eq!(
        problems(&format!("{text}#")),
        ["team.toml:1:1: larger than 4194304 bytes: not a rule file"]
    );
}

#[test]
fn foreign_files_stay_bounded() {
    let found = problems(&"x = 1\n".repeat(3000));
    assert!(found.len() <= PROBLEMS_MAX + 1, "{}", found.len());
    let keys = (0..PROBLEMS_MAX + 5)
        .map(|it| format!("key{it} = 1\n"))
        .collect::<Vec<_>>()
        .concat();
    let found = problems(&keys);
    assert_eq!(found.len(), PROBLEMS_MAX + 1);
    assert_eq!(
        found[PROBLEMS_MAX],
        "team.toml:1006:1: 5 further problems are not listed"
    );
}

#[test]
fn deep_nesting_is_refused() {
    for open in ["[", "{a="] {
        let found = problems(&format!("rule = {}", open.repeat(100_000)));
        assert!(found.iter().all(|it| it.contains("not TOML")), "{found:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[a-z\\[\\]=\"'{}#,. \n0-9é-]{0,200}") {
        let _ = read(&text, &shipped());
    }

    /// A shipped file with a piece cut out or put in: every problem lies inside the file.
    #[test]
    fn damaged_files_have_problems_inside(at in 0..400_usize, cut in 0..40_usize, put in "[a-z=\"\n\\[{]{0,4}") {
        let start = at.min(SHIPPED.len());
        let end = (start + cut).min(SHIPPED.len());
        let text = format!("{}{put}{}", &SHIPPED[..start], &SHIPPED[end..]);
        if let Err(problems) = read(&text, &RuleSet::default()) {
            for problem in problems {
                proptest::prop_assert!(problem.line <= text.lines().count() + 1);
                proptest::prop_assert!(problem.span.end <= text.len());
            }
        }
    }
}

/// What a user sees of each file with mistakes: one line per problem, then the blocks.
#[test]
fn files_with_mistakes_are_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/rules");
    let mut n_files = 0;
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path
            .file_name()
            .and_then(|it| it.to_str())
            .and_then(|it| it.strip_suffix(".bad.toml"))
        else {
            continue;
        };
        let source = Source::new(
            format!("{name}.bad.toml"),
            std::fs::read_to_string(&path).unwrap(),
        );
        let found = load(std::slice::from_ref(&source), &shipped(), CHECKS).unwrap_err();
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        let shown = format!(
            "{}\n\n{}\n",
            lines.join("\n"),
            render(&found, &[source], false).trim_end()
        );
        assert_golden(&format!("fixtures/rules/{name}.expected.txt"), &shown);
        n_files += 1;
    }
    assert!(n_files >= 10, "{n_files}");
}
