//! `gradwatch rules list | show | check | test`: what the rules are, and whether they are right.
//!
//! In: rule sets and sources that were read already. Out: text or JSON on the writer that is given.
//! Invariant: nothing is opened here; an answer that is a refusal is [`ExitStatus::Usage`] or, for tests that
//! failed, [`ExitStatus::Findings`], never an error.

use std::fmt::Write as _;
use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::own_patterns::load_proven;
use crate::exit::ExitStatus;
use crate::report::printable;
use crate::rules::check::{Build, CheckInfo};
use crate::rules::testfile::{Case, Harness, TestReport, parse_tests, run_tests};
use crate::rules::{Rule, RuleProblem, RuleSet, Source, render};

/// The rules in force, one per line; those that are off behind them, marked. Lines are wrapped to `width`
/// where there is one (a terminal).
///
/// # Errors
/// When the output cannot be written.
pub fn list(set: &RuleSet, width: Option<u16>, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    match width {
        Some(width) => table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width.max(60)),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table.set_header(["RULE", "CHECK", "SEVERITY", "QUANTITIES", "SUMMARY"]);
    for rule in set.all() {
        let severity = if set.is_enabled(&rule.id) {
            rule.severity.as_str()
        } else {
            "off"
        };
        table.add_row([
            rule.id.as_str(),
            rule.check.name,
            severity,
            &quantities(rule, " "),
            &printable(&rule.summary),
        ]);
    }
    // Cells are padded on both sides; nobody needs the blanks at the ends of lines.
    for line in table.lines() {
        writeln!(out, "{}", line.strip_prefix(' ').unwrap_or(&line).trim_end())?;
    }
    writeln!(
        out,
        "\n{} rules in force, {} off",
        set.rules.len(),
        set.disabled.len()
    )
}

/// The rules as JSON: an array of the objects that `show` prints.
///
/// # Errors
/// When the output cannot be written.
pub fn list_json(set: &RuleSet, out: &mut dyn Write) -> io::Result<()> {
    let rules: Vec<Value> = set.all().map(|it| rule_json(it, set)).collect();
    let report = json!({ "schema": "gradwatch.rules/1", "rules": rules });
    writeln!(out, "{report:#}")
}

/// Everything about one rule. An unknown id is said on `out`, with the nearest known one.
///
/// # Errors
/// When the output cannot be written.
pub fn show(set: &RuleSet, shipped: &RuleSet, id: &str, out: &mut dyn Write) -> io::Result<ExitStatus> {
    match set.find(id) {
        Some(rule) => {
            out.write_all(description(rule, set, shipped).as_bytes())?;
            Ok(ExitStatus::Clean)
        }
        None => unknown(set, id, out),
    }
}

/// [`show`] as JSON.
///
/// # Errors
/// When the output cannot be written.
pub fn show_json(set: &RuleSet, id: &str, out: &mut dyn Write) -> io::Result<ExitStatus> {
    match set.find(id) {
        Some(rule) => {
            writeln!(out, "{:#}", rule_json(rule, set))?;
            Ok(ExitStatus::Clean)
        }
        None => unknown(set, id, out),
    }
}

/// Lints rule files over a set: every problem of every file, or how many rules they have.
///
/// # Errors
/// When the output cannot be written.
pub fn check(
    sources: &[Source],
    base: &RuleSet,
    registry: &[&'static CheckInfo],
    styled: bool,
    out: &mut dyn Write,
) -> io::Result<ExitStatus> {
    match load_proven(sources, base, registry) {
        Ok(set) => {
            let n_rules = set.all().filter(|it| is_from(it, sources)).count();
            let patterns = match set.patterns.len() {
                0 => String::new(),
                n => format!(", {}", counted(n, "pattern")),
            };
            writeln!(
                out,
                "{}{patterns} in {}, no problems",
                counted(n_rules, "rule"),
                counted(sources.len(), "file")
            )?;
            Ok(ExitStatus::Clean)
        }
        Err(problems) => {
            write_problems(&problems, sources, styled, out)?;
            Ok(ExitStatus::Usage)
        }
    }
}

/// Runs test files. Each rule that `must_cover` picks has to fire in one test and to stay quiet in another.
///
/// # Errors
/// When the output cannot be written.
pub fn test(
    sources: &[Source],
    set: &RuleSet,
    must_cover: &dyn Fn(&Rule) -> bool,
    harness: &dyn Harness,
    styled: bool,
    out: &mut dyn Write,
) -> io::Result<ExitStatus> {
    let mut cases: Vec<Case> = Vec::new();
    let mut problems: Vec<RuleProblem> = Vec::new();
    for source in sources {
        match parse_tests(source, set) {
            Ok(more) => cases.extend(more),
            Err(more) => problems.extend(more),
        }
    }
    if !problems.is_empty() {
        write_problems(&problems, sources, styled, out)?;
        return Ok(ExitStatus::Usage);
    }
    let covered: Vec<&str> = set
        .rules
        .iter()
        .filter(|it| must_cover(it))
        .map(|it| it.id.as_str())
        .collect();
    let report = run_tests(&cases, set, &covered, harness);
    write_test_report(&report, sources.len(), out)?;
    Ok(if report.is_success() {
        ExitStatus::Clean
    } else {
        ExitStatus::Findings
    })
}

fn write_test_report(report: &TestReport, n_files: usize, out: &mut dyn Write) -> io::Result<()> {
    for failure in &report.failures {
        writeln!(
            out,
            "{}: test `{}` failed",
            failure.origin,
            printable(&failure.test)
        )?;
        for what in &failure.what {
            writeln!(out, "  {}", printable(what))?;
        }
    }
    for id in &report.never_fired {
        writeln!(out, "rule `{id}`: no test makes it fire")?;
    }
    for id in &report.never_quiet {
        writeln!(
            out,
            "rule `{id}`: no test shows it quiet on numbers that it looks at"
        )?;
    }
    let tests = counted(report.n_tests, "test");
    let files = counted(n_files, "file");
    if report.is_success() {
        return writeln!(out, "{tests} in {files} passed");
    }
    let n_lacking = report.never_fired.len() + report.never_quiet.len();
    let failed = report.failures.len();
    writeln!(
        out,
        "{tests} in {files}: {failed} failed, {} missing",
        counted(n_lacking, "test")
    )
}

fn write_problems(
    problems: &[RuleProblem],
    sources: &[Source],
    styled: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    out.write_all(render(problems, sources, styled).as_bytes())?;
    for problem in problems {
        writeln!(out, "{problem}")?;
    }
    writeln!(out, "{}", counted(problems.len(), "problem"))
}

fn unknown(set: &RuleSet, id: &str, out: &mut dyn Write) -> io::Result<ExitStatus> {
    let near = set
        .nearest(id)
        .map_or_else(String::new, |it| format!(", did you mean `{it}`?"));
    writeln!(out, "unknown rule `{}`{near}", printable(id))?;
    Ok(ExitStatus::Usage)
}

/// Whether one of these sources defines or changes the rule.
fn is_from(rule: &Rule, sources: &[Source]) -> bool {
    sources.iter().any(|source| {
        rule.origin
            .split(", changed in ")
            .any(|it| is_place_in(it, &source.name))
    })
}

fn is_place_in(place: &str, name: &str) -> bool {
    place.rsplit_once(':').is_some_and(|(file, _)| file == name)
}

fn counted(n: usize, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}

fn quantities(rule: &Rule, separator: &str) -> String {
    rule.quantities
        .iter()
        .map(|it| it.as_str())
        .collect::<Vec<_>>()
        .join(separator)
}

/// What the rule looks at, as keys of a rule file.
fn selectors(rule: &Rule) -> Vec<(&'static str, String)> {
    let regex = |it: &Option<regex::Regex>| it.as_ref().map_or_else(String::new, ToString::to_string);
    let splits = rule
        .splits
        .iter()
        .map(|it| it.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let patterns = rule
        .patterns
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n");
    let all = [
        ("kind", rule.kind.clone()),
        ("quantity", quantities(rule, ", ")),
        ("split", splits),
        ("layer", regex(&rule.layer)),
        ("role", regex(&rule.role)),
        ("parameter", rule.parameter.join(", ")),
        ("tag", regex(&rule.tag)),
        ("run", regex(&rule.run)),
        ("pattern", patterns),
    ];
    all.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

fn looks_at(check: &CheckInfo) -> &'static str {
    match check.build {
        Build::Series(_) => "each series by itself",
        Build::Profile(_) => "all layers at one step",
        Build::Stream(_) => "a whole log",
    }
}

/// The text of `show`.
fn description(rule: &Rule, set: &RuleSet, shipped: &RuleSet) -> String {
    let (bad, of) = rule.persistence;
    let state = if set.is_enabled(&rule.id) { "" } else { " (off)" };
    let mut text = format!("{}{state}\n", rule.id);
    let mut line = |key: &str, value: &str| {
        for (at, part) in value.lines().enumerate() {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "  {:<16}{}",
                if at == 0 { key } else { "" },
                printable(part)
            );
        }
    };
    line("summary", &rule.summary);
    line("severity", rule.severity.as_str());
    line("family", rule.family.as_str());
    line("origin", &rule.origin);
    line(
        "check",
        &format!("{} ({})", rule.check.name, looks_at(rule.check)),
    );
    line("", rule.check.doc);
    for (key, value) in selectors(rule) {
        line(key, &value);
    }
    line("for", &format!("{bad} of {of} points"));
    line("why", &rule.why);
    line("diagnosis", &rule.diagnosis);
    for (at, remedy) in rule.remedy.iter().enumerate() {
        line(
            if at == 0 { "remedy" } else { "" },
            &format!("{}. {remedy}", at + 1),
        );
    }
    line("false positives", &rule.false_positives);
    text.push_str(&bounds(rule, shipped.find(&rule.id)));
    text
}

/// The bounds in force, each with its default, its range and its reason.
fn bounds(rule: &Rule, shipped: Option<&Rule>) -> String {
    let mut text = String::new();
    for param in rule.check.params {
        let value = rule.params.get(param.name);
        let mut notes = Vec::new();
        if value != param.default {
            notes.push(format!("check's default {}", param.default));
        }
        if let Some(was) = shipped
            .map(|it| it.params.get(param.name))
            .filter(|it| *it != value)
        {
            notes.push(format!("shipped rule {was}"));
        }
        let notes = if notes.is_empty() {
            "default".to_owned()
        } else {
            notes.join(", ")
        };
        let _ = writeln!(
            text,
            "\n  {} = {value}    ({notes}; {} to {})",
            param.name, param.min, param.max
        );
        let _ = writeln!(text, "      {}", param.doc);
    }
    text
}

fn rule_json(rule: &Rule, set: &RuleSet) -> Value {
    let params: Vec<Value> = rule
        .check
        .params
        .iter()
        .map(|it| {
            json!({ "name": it.name, "value": rule.params.get(it.name), "default": it.default, "min": it.min,
                "max": it.max, "doc": it.doc })
        })
        .collect();
    let regex = |it: &Option<regex::Regex>| it.as_ref().map(ToString::to_string);
    json!({
        "id": rule.id,
        "enabled": set.is_enabled(&rule.id),
        "check": rule.check.name,
        "check_doc": rule.check.doc,
        "family": rule.family.as_str(),
        "kind": Some(&rule.kind).filter(|it| !it.is_empty()),
        "severity": rule.severity.as_str(),
        "quantities": rule.quantities.iter().map(|it| it.as_str()).collect::<Vec<_>>(),
        "splits": rule.splits.iter().map(|it| it.as_str()).collect::<Vec<_>>(),
        "layer": regex(&rule.layer),
        "role": regex(&rule.role),
        "parameters": rule.parameter,
        "tag": regex(&rule.tag),
        "run": regex(&rule.run),
        "patterns": rule.patterns.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "for": [rule.persistence.0, rule.persistence.1],
        "bounds": params,
        "summary": rule.summary,
        "why": rule.why,
        "diagnosis": rule.diagnosis,
        "remedy": rule.remedy,
        "false_positives": rule.false_positives,
        "origin": rule.origin,
    })
}

#[cfg(test)]
mod tests;
