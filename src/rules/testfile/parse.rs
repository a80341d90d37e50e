//! `[[test]]` tables to cases.
//!
//! In: a source and the rules that its expectations may name. Out: cases with their values expanded, or every
//! problem of the file. Invariant: nothing is allocated before its size was checked against [`POINTS_MAX`].

use super::case::{Case, CaseLine, CaseSeries, Expectation, Setting, StepRange};
use super::feed::{read_profile, read_series};
use crate::model::{Quantity, Severity};
use crate::rules::document::{Entry, Node, Span, Table, Value, parse};
use crate::rules::fields::{advice, flag, integer, number, text, texts, word, wrong_type};
use crate::rules::problem::{Problems, RuleProblem, Source};
use crate::rules::suggest::nearest;
use crate::rules::{Rule, RuleSet};

/// Most points of one test.
pub const POINTS_MAX: usize = 2_000_000;

const TEST_KEYS: &[&str] = &[
    "name",
    "series",
    "profile",
    "lines",
    "chain",
    "fixture",
    "seconds_per_step",
    "planned_steps",
    "finished",
    "unreadable",
    "baseline",
    "expect",
    "quiet",
];
const BASELINE_KEYS: &[&str] = &["series", "profile", "chain"];
const EXPECT_KEYS: &[&str] = &[
    "rule",
    "kind",
    "severity",
    "quantity",
    "layers",
    "first_step",
    "forecast_step",
];

/// Reads a test file.
///
/// # Errors
/// Every problem, in the order of the text; an expectation that names an unknown rule is one.
pub fn parse_tests(source: &Source, rules: &RuleSet) -> Result<Vec<Case>, Vec<RuleProblem>> {
    let mut problems = Problems::new(source);
    let mut cases = Vec::new();
    match parse(&source.text) {
        Ok(table) => {
            for (test, header) in tests(&table, &mut problems) {
                cases.push(read_case(test, header, rules, &mut problems));
            }
        }
        Err(errors) => {
            for error in errors {
                problems.add(&error.span, format!("not TOML: {}", error.message));
            }
        }
    }
    if problems.len() == 0 {
        Ok(cases)
    } else {
        Err(problems.into_sorted())
    }
}

fn tests<'t>(table: &'t Table, problems: &mut Problems<'_>) -> Vec<(&'t Table, &'t Span)> {
    check_keys(table, &["test"], problems);
    table
        .get("test")
        .map_or_else(Vec::new, |node| tables("test", node, problems))
}

/// The tables of an array of tables, or the one table where only one is given.
pub(super) fn tables<'t>(
    key: &str,
    node: &'t Node,
    problems: &mut Problems<'_>,
) -> Vec<(&'t Table, &'t Span)> {
    let items = match &node.value {
        Value::Array(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    items
        .iter()
        .filter_map(|item| match &item.value {
            Value::Table(table) => Some((table, &item.span)),
            other => wrong_type(key, "a table", other, &item.span, problems),
        })
        .collect()
}

/// Notes keys that are not known.
pub(super) fn check_keys(table: &Table, known: &[&str], problems: &mut Problems<'_>) {
    for Entry { key, key_span, .. } in &table.entries {
        if !known.contains(&key.as_str()) {
            problems.add_hinted(key_span, format!("unknown key `{key}`"), advice(key, known));
        }
    }
}

/// What a table says; with problems it is not used.
fn read_case(table: &Table, header: &Span, rules: &RuleSet, problems: &mut Problems<'_>) -> Case {
    check_keys(table, TEST_KEYS, problems);
    let name = required(table, "name", header, problems).and_then(|it| text("name", it, problems));
    let seconds = table
        .get("seconds_per_step")
        .and_then(|it| number("seconds_per_step", it, problems));
    let mut case = Case {
        name: name.unwrap_or_default(),
        origin: problems.origin(header),
        series: read_feeds(table, header, seconds, problems),
        lines: table
            .get("lines")
            .map_or_else(Vec::new, |it| read_lines(it, problems)),
        chain: table.get("chain").and_then(|it| read_chain(it, problems)),
        fixture: table.get("fixture").and_then(|it| text("fixture", it, problems)),
        planned_steps: table
            .get("planned_steps")
            .and_then(|it| integer("planned_steps", it, problems)),
        is_finished: table
            .get("finished")
            .and_then(|it| flag("finished", it, problems))
            == Some(true),
        baseline: table
            .get("baseline")
            .and_then(|it| read_baseline(it, seconds, problems))
            .map(Box::new),
        n_unreadable: table
            .get("unreadable")
            .map_or(0, |it| read_count("unreadable", it, problems)),
        expect: Vec::new(),
        quiet: table
            .get("quiet")
            .map_or_else(Vec::new, |it| read_quiet(it, rules, problems)),
    };
    if !["series", "profile", "lines", "chain", "fixture"]
        .iter()
        .any(|it| table.get(it).is_some())
    {
        problems.add(
            header,
            "a test needs `series`, `profile`, `lines`, `chain` or `fixture`",
        );
    }
    match table.get("expect") {
        Some(node) => {
            let tables = tables("expect", node, problems);
            case.expect = tables
                .iter()
                .filter_map(|it| read_expectation(it, rules, problems))
                .collect();
        }
        None if table.get("quiet").is_none() => {
            problems.add(
                header,
                "a test needs `expect` (`[]` = nothing may be found) or `quiet`",
            );
        }
        None => {}
    }
    case
}

/// The value of a key that must be there.
pub(super) fn required<'t>(
    table: &'t Table,
    key: &str,
    header: &Span,
    problems: &mut Problems<'_>,
) -> Option<&'t Node> {
    let node = table.get(key);
    if node.is_none() {
        problems.add(header, format!("missing key `{key}`"));
    }
    node
}

/// `series` and `profile`, while their points stay within the limit.
fn read_feeds(
    table: &Table,
    header: &Span,
    seconds_per_step: Option<f64>,
    problems: &mut Problems<'_>,
) -> Vec<CaseSeries> {
    let mut all: Vec<CaseSeries> = Vec::new();
    let mut n_points: usize = 0;
    for key in ["series", "profile"] {
        let Some(node) = table.get(key) else { continue };
        for (feed, span) in tables(key, node, problems) {
            let read = if key == "series" {
                read_series(feed, span, seconds_per_step, problems)
                    .into_iter()
                    .collect()
            } else {
                read_profile(feed, span, seconds_per_step, problems).unwrap_or_default()
            };
            n_points = n_points.saturating_add(read.iter().map(|it| it.points.len()).sum());
            if n_points > POINTS_MAX {
                problems.add(header, format!("more than {POINTS_MAX} points in one test"));
                return all;
            }
            all.extend(read);
        }
    }
    all
}

/// Another run of the same kind, for rules that compare.
fn read_baseline(node: &Node, seconds_per_step: Option<f64>, problems: &mut Problems<'_>) -> Option<Case> {
    let Value::Table(table) = &node.value else {
        return wrong_type("baseline", "a table", &node.value, &node.span, problems);
    };
    check_keys(table, BASELINE_KEYS, problems);
    if table.entries.is_empty() {
        problems.add(&node.span, "`baseline` needs `series`, `profile` or `chain`");
    }
    Some(Case {
        name: "the baseline".to_owned(),
        series: read_feeds(table, &node.span, seconds_per_step, problems),
        chain: table.get("chain").and_then(|it| read_chain(it, problems)),
        ..Case::default()
    })
}

/// Strings, or tables of `text` and `step`.
fn read_lines(node: &Node, problems: &mut Problems<'_>) -> Vec<CaseLine> {
    let Value::Array(items) = &node.value else {
        return wrong_type("lines", "a list", &node.value, &node.span, problems).unwrap_or_default();
    };
    items
        .iter()
        .filter_map(|item| match &item.value {
            Value::Text(text) => Some(CaseLine {
                text: text.clone(),
                step: None,
            }),
            Value::Table(table) => {
                check_keys(table, &["text", "step"], problems);
                let line = required(table, "text", &item.span, problems)?;
                let step = table.get("step").and_then(|it| integer("step", it, problems));
                Some(CaseLine {
                    text: text("text", line, problems)?,
                    step,
                })
            }
            other => wrong_type("lines", "a list of strings", other, &item.span, problems),
        })
        .collect()
}

fn read_chain(node: &Node, problems: &mut Problems<'_>) -> Option<Vec<(String, Setting)>> {
    let Value::Table(table) = &node.value else {
        return wrong_type("chain", "a table", &node.value, &node.span, problems);
    };
    let read: Vec<_> = table
        .entries
        .iter()
        .map(|it| Some((it.key.clone(), read_setting(&it.key, &it.node, problems)?)))
        .collect();
    read.into_iter().collect()
}

fn read_setting(key: &str, node: &Node, problems: &mut Problems<'_>) -> Option<Setting> {
    match &node.value {
        Value::Text(text) => Some(Setting::Text(text.clone())),
        Value::Flag(flag) => Some(Setting::Flag(*flag)),
        Value::Array(items) => {
            let read: Vec<_> = items.iter().map(|it| number(key, it, problems)).collect();
            read.into_iter().collect::<Option<_>>().map(Setting::Numbers)
        }
        _ => number(key, node, problems).map(Setting::Number),
    }
}

fn read_quiet(node: &Node, rules: &RuleSet, problems: &mut Problems<'_>) -> Vec<String> {
    let named = texts("quiet", node, problems).unwrap_or_default();
    named
        .into_iter()
        .filter_map(|(id, span)| find_rule(&id, &span, rules, problems).map(|it| it.id.clone()))
        .collect()
}

fn find_rule<'r>(id: &str, span: &Span, rules: &'r RuleSet, problems: &mut Problems<'_>) -> Option<&'r Rule> {
    let found = rules.find(id).filter(|it| rules.is_enabled(&it.id));
    if found.is_none() {
        let what = if rules.find(id).is_some() {
            "is switched off"
        } else {
            "does not exist"
        };
        let hint = nearest(id, rules.rules.iter().map(|it| it.id.as_str()));
        problems.add_hinted(
            span,
            format!("rule `{id}` {what}"),
            hint.map(|it| format!("did you mean `{it}`?")),
        );
    }
    found
}

fn read_expectation(
    (table, header): &(&Table, &Span),
    rules: &RuleSet,
    problems: &mut Problems<'_>,
) -> Option<Expectation> {
    check_keys(table, EXPECT_KEYS, problems);
    let node = required(table, "rule", header, problems)?;
    let id = text("rule", node, problems)?;
    let rule = find_rule(&id, &node.span, rules, problems)?;
    let mut one_of = |key: &str, known: &[&'static str]| -> Option<&'static str> {
        let node = table.get(key)?;
        let name = text(key, node, problems)?;
        let known: Vec<_> = known.iter().map(|it| (*it, *it)).collect();
        word(key, &name, &node.span, &known, problems)
    };
    let names = |all: &[Quantity]| all.iter().map(|it| it.as_str()).collect::<Vec<_>>();
    let severities: Vec<_> = Severity::ALL.iter().map(|it| it.as_str()).collect();
    Some(Expectation {
        kind: one_of("kind", rule.check.kinds).map(str::to_owned),
        severity: one_of("severity", &severities).and_then(Severity::from_word),
        quantity: one_of("quantity", &names(Quantity::ALL)).and_then(Quantity::from_word),
        layers: table
            .get("layers")
            .and_then(|it| texts("layers", it, problems))
            .map(|it| it.into_iter().map(|(layer, _)| layer).collect()),
        first_step: table
            .get("first_step")
            .and_then(|it| read_range("first_step", it, problems)),
        forecast_step: table
            .get("forecast_step")
            .and_then(|it| read_range("forecast_step", it, problems)),
        rule: id,
    })
}

/// A whole number from 0 up; 0 beside a problem.
fn read_count(key: &str, node: &Node, problems: &mut Problems<'_>) -> u64 {
    let Some(number) = integer(key, node, problems) else {
        return 0;
    };
    u64::try_from(number).unwrap_or_else(|_| {
        problems.add(&node.span, format!("`{key}` is less than 0"));
        0
    })
}

/// A step, or `{ at_least, at_most }`.
fn read_range(key: &str, node: &Node, problems: &mut Problems<'_>) -> Option<StepRange> {
    let Value::Table(table) = &node.value else {
        let step = integer(key, node, problems)?;
        return Some(StepRange {
            at_least: step,
            at_most: step,
        });
    };
    check_keys(table, &["at_least", "at_most"], problems);
    let mut end = |name: &str, open: i64| {
        table
            .get(name)
            .map_or(Some(open), |it| integer(name, it, problems))
    };
    let range = StepRange {
        at_least: end("at_least", i64::MIN)?,
        at_most: end("at_most", i64::MAX)?,
    };
    if table.entries.is_empty() || range.at_least > range.at_most {
        problems.add(&node.span, format!("`{key}` is an empty range"));
        return None;
    }
    Some(range)
}

#[cfg(test)]
mod tests;
