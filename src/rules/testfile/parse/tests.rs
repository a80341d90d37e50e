//! Tests of the test file format.

use super::{POINTS_MAX, parse_tests};
use crate::model::{Quantity, Severity};
use crate::rules::load;
use crate::rules::problem::Source;
use crate::rules::set::RuleSet;
use crate::rules::test_checks::{CHECKS, SHIPPED};
use crate::rules::testfile::{Case, CaseLine, Event, Setting, StepRange};

fn rules() -> RuleSet {
    load(
        &[Source::new("rules/shipped.toml", SHIPPED)],
        &RuleSet::default(),
        CHECKS,
    )
    .unwrap()
}

fn cases(text: &str) -> Vec<Case> {
    parse_tests(&Source::new("t.toml", text), &rules()).unwrap_or_else(|it| panic!("{it:?}"))
}

fn problems(text: &str) -> Vec<String> {
    let found = parse_tests(&Source::new("t.toml", text), &rules()).unwrap_err();
    found.iter().map(ToString::to_string).collect()
}

/// `tag step value` of all samples, and lines, in order.
fn fed(case: &Case) -> Vec<String> {
    case.events()
        .into_iter()
        .map(|it| match it {
            Event::Sample { tag, point, .. } => format!("{tag} {} {}", point.step, point.value),
            Event::Line(line) => format!("> {}", line.text),
        })
        .collect()
}

#[test]
fn a_whole_test_is_read() {
    let all = cases(
        r#"
[[test]]
name = "everything"
series = [{ tag = "train/loss", values = "2.5+-0.5x2 nan", start = 10, every = 5 }]
lines = ["first", { text = "later", step = 15 }]
chain = { n = 12, w = 1.5, kind = "scalar", relu = true, widths = [1, 2.5] }
fixture = "logs/a"
seconds_per_step = 2
planned_steps = 100
finished = true
expect = [
    { rule = "loud-loss", severity = "critical", quantity = "loss", first_step = { at_least = 12, at_most = 20 } },
    { rule = "leaning-layers", kind = "left", layers = ["a", "b"], first_step = 7, forecast_step = { at_most = 3 } },
]
"#,
    );
    let case = &all[0];
    assert_eq!(
        (case.name.as_str(), case.origin.as_str()),
        ("everything", "t.toml:2")
    );
    assert_eq!(
        fed(case),
        [
            "> first",
            "train/loss 10 2.5",
            "train/loss 15 2",
            "> later",
            "train/loss 20 1.5",
            "train/loss 25 NaN"
        ]
    );
    assert_eq!(case.series[0].points[1].wall_time, Some(1.7e9 + 30.0));
    assert_eq!(
        case.lines[1],
        CaseLine {
            text: "later".to_owned(),
            step: Some(15)
        }
    );
    let chain = case.chain.as_ref().unwrap();
    assert_eq!(chain[0], ("n".to_owned(), Setting::Number(12.0)));
    assert_eq!(chain[4], ("widths".to_owned(), Setting::Numbers(vec![1.0, 2.5])));
    assert_eq!(case.fixture.as_deref(), Some("logs/a"));
    assert_eq!((case.planned_steps, case.is_finished), (Some(100), true));
    let [first, second] = case.expect.as_slice() else {
        panic!("two expectations")
    };
    assert_eq!(
        (first.severity, first.quantity),
        (Some(Severity::Critical), Some(Quantity::Loss))
    );
    assert_eq!(
        first.first_step,
        Some(StepRange {
            at_least: 12,
            at_most: 20
        })
    );
    assert_eq!(second.kind.as_deref(), Some("left"));
    assert_eq!(
        second.first_step,
        Some(StepRange {
            at_least: 7,
            at_most: 7
        })
    );
    assert_eq!(
        second.forecast_step,
        Some(StepRange {
            at_least: i64::MIN,
            at_most: 3
        })
    );
}

#[test]
fn a_profile_is_a_series_per_layer() {
    let all = cases(
        r#"
[[test]]
name = "profile"
profile = { quantity = "grad_norm", layers = "blocks.#.weight", n = 3, by_depth = "8*0.5", by_step = "1*10", steps = "0..5", every = 2 }
expect = []
"#,
    );
    assert_eq!(
        fed(&all[0]),
        [
            "grad_norm/blocks.0.weight 0 8",
            "grad_norm/blocks.1.weight 0 4",
            "grad_norm/blocks.2.weight 0 2",
            "grad_norm/blocks.0.weight 2 80",
            "grad_norm/blocks.1.weight 2 40",
            "grad_norm/blocks.2.weight 2 20",
            "grad_norm/blocks.0.weight 4 800",
            "grad_norm/blocks.1.weight 4 400",
            "grad_norm/blocks.2.weight 4 200",
        ]
    );
}

#[test]
fn profiles_take_lists_gaps_and_own_tags() {
    let all = cases(
        r#"
[[test]]
name = "profile"
profile = [
    { tag = "g/{layer}/norm", layers = ["in", "out"], by_depth = "1 _", by_step = "1 _ nan", steps = "0..3" },
    { tag = "g/{layer}/norm", layers = ["in", "out"], by_depth = "1~0.5", seed = 3, steps = "3..5" },
]
expect = []
"#,
    );
    let fed = fed(&all[0]);
    assert_eq!(&fed[..2], ["g/in/norm 0 1", "g/in/norm 2 NaN"]);
    assert_eq!(fed.len(), 6);
    assert_ne!(
        fed[2].rsplit(' ').next(),
        fed[4].rsplit(' ').next(),
        "each step has noise of its own"
    );
}

#[test]
fn a_step_that_goes_back_starts_an_attempt() {
    let all = cases(
        r#"
[[test]]
name = "restart"
series = [
    { tag = "a", values = "1 2 3 4", steps = "0+1x2 1", times = "0 10 _ 30" },
    { tag = "b", values = "5 6", start = 1 },
]
quiet = ["loud-loss"]
"#,
    );
    assert_eq!(
        fed(&all[0]),
        ["a 0 1", "a 1 2", "b 1 5", "a 2 3", "b 2 6", "a 1 4"]
    );
    let times: Vec<_> = all[0].series[0].points.iter().map(|it| it.wall_time).collect();
    assert_eq!(times, [Some(1.7e9), Some(1.7e9 + 10.0), None, Some(1.7e9 + 30.0)]);
}

#[test]
fn all_problems_come_at_once() {
    let found = problems(
        r#"
[[test]]
nam = "x"
series = [{ tag = "a", values = "1+1" }, { tagg = "b", values = "1 2", steps = "1" , every = 0 }]
expect = [{ rule = "loud-los" }, { kind = "x" }, { rule = "leaning-layers", kind = "up", first_step = {} }]
quiet = ["nobody"]

[[test]]
name = "empty"

[[test]]
name = "profile"
profile = { quantity = "loss", layers = "blocks", n = 3, by_depth = "1 2", steps = "5..5" }
expect = 3
"#,
    );
    assert_eq!(
        found,
        [
            "t.toml:2:1: missing key `name`",
            "t.toml:3:1: unknown key `nam`, did you mean `name`?",
            "t.toml:4:34: `values`: `1+1` does not say how many: `1+1x50`",
            "t.toml:4:42: missing key `tag`",
            "t.toml:4:44: unknown key `tagg`, did you mean `tag`?",
            "t.toml:4:94: `every` is less than 1",
            "t.toml:5:20: rule `loud-los` does not exist, did you mean `loud-loss`?",
            "t.toml:5:34: missing key `rule`",
            "t.toml:5:84: unknown kind `up`, known: `left`, `right`",
            "t.toml:5:103: `first_step` is an empty range",
            "t.toml:6:10: rule `nobody` does not exist",
            "t.toml:8:1: a test needs `series`, `profile`, `lines`, `chain` or `fixture`",
            "t.toml:8:1: a test needs `expect` (`[]` = nothing may be found) or `quiet`",
            "t.toml:13:24: unknown quantity `loss`, known: `grad_norm`, `weight_norm`, `update_norm`, `activation_norm`, `update_ratio`",
            "t.toml:13:41: `layers` has no `#` for the number of the layer",
            "t.toml:13:84: `5..5` is not a range of steps like `0..40`",
            "t.toml:14:10: `expect` must be a table, not an integer",
        ]
    );
}

#[test]
fn rules_that_are_off_cannot_be_expected() {
    let off = load(
        &[Source::new("off.toml", "disable = [\"loud-loss\"]")],
        &rules(),
        CHECKS,
    )
    .unwrap();
    let source = Source::new(
        "t.toml",
        "[[test]]\nname = \"a\"\nlines = [\"x\"]\nquiet = \"loud-loss\"\n",
    );
    let found = parse_tests(&source, &off).unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "t.toml:4:9: rule `loud-loss` is switched off"
    );
}

#[test]
fn sizes_are_limited() {
    let profile = |n: usize, steps: i64| {
        format!(
            "[[test]]\nname = \"p\"\nexpect = []\nprofile = {{ quantity = \"grad_norm\", layers = \"b.#\", n = {n}, by_depth = \"1\", steps = \"0..{steps}\" }}\n"
        )
    };
    assert_eq!(cases(&profile(10, 100))[0].events().len(), 1000);
    let too_many = format!("more than {POINTS_MAX} points");
    assert!(problems(&profile(2000, 1001))[0].contains(&too_many));
    assert!(problems(&profile(1, i64::MAX))[0].contains("steps"));
    assert!(problems(&profile(3_000_000, 1))[0].contains("`n` is not"));
    let series = "{ tag = \"a\", values = \"1x1000000\" }";
    let three = format!("[[test]]\nname = \"s\"\nexpect = []\nseries = [{series}, {series}, {series}]\n");
    assert!(problems(&three)[0].contains(&too_many));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(\\[\\[test\\]\\]\n)?(series|profile|expect|lines|chain|name) = [a-z\\[\\]=\"{}#,. 0-9-]{0,80}") {
        let _ = parse_tests(&Source::new("t.toml", text), &rules());
    }
}

#[test]
fn a_log_may_be_damaged_and_print_few_digits() {
    let read = |keys: &str| {
        let text = format!("[[test]]\nname = \"t\"\n{keys}\nexpect = []\n");
        parse_tests(&Source::new("t.toml", text), &RuleSet::default())
    };
    let cases = read("unreadable = 7\nseries = { tag = \"loss\", values = \"1.2345 0.0004\", decimals = 3 }")
        .unwrap();
    let series = &cases[0].series[0];
    let values: Vec<f64> = series.points.iter().map(|it| (it.value * 1e3).round()).collect();
    assert_eq!((cases[0].n_unreadable, values), (7, vec![1235.0, 0.0]));
    assert!((series.resolution - 1e-3).abs() < 1e-15);
    for bad in [
        "unreadable = -1\nlines = [\"x\"]",
        "series = { tag = \"a\", values = \"1\", decimals = 16 }",
    ] {
        assert_eq!(read(bad).unwrap_err().len(), 1, "{bad}");
    }
}
