//! One `[[rule]]` table to a [`Rule`].
//!
//! In: the table, the checks, and the rule of the same id that it changes, if there is one. Out: the rule,
//! or every problem of the table. Invariant: a rule comes out only when its table had no problem.

use std::sync::Arc;

use regex::Regex;

use super::check::{Build, CheckInfo};
use super::document::{Entry, Node, Span, Table, Value};
use super::fields::{advice, flag, integer, number, regex, text, texts, word, wrong_type};
use super::persistence::WINDOW_MAX;
use super::problem::Problems;
use super::suggest::nearest;
use super::template::placeholders;
use super::{Params, Rule, SharedBounds};
use crate::model::{Family, Quantity, Severity, Split};

/// The keys of every rule; a check's own bounds come beside them.
pub(crate) const KEYS: &[&str] = &[
    "id",
    "check",
    "family",
    "kind",
    "quantity",
    "split",
    "layer",
    "role",
    "tag",
    "run",
    "parameter",
    "pattern",
    "for",
    "severity",
    "summary",
    "why",
    "diagnosis",
    "remedy",
    "false_positives",
    "enabled",
];

/// The only check that reads lines of text by the rule's own patterns.
pub(crate) const LOG_PATTERN: &str = "log-pattern";

/// Largest window of `for`, in points.
pub const PERSISTENCE_MAX: u32 = WINDOW_MAX;

/// What a table says, key by key; what it does not say is `None` and stays as it was.
#[derive(Debug, Default)]
struct Changes {
    family: Option<Family>,
    kind: Option<String>,
    quantities: Option<Vec<Quantity>>,
    splits: Option<Vec<Split>>,
    layer: Option<Regex>,
    role: Option<Regex>,
    tag: Option<Regex>,
    run: Option<Regex>,
    parameter: Option<Vec<String>>,
    patterns: Option<Vec<Regex>>,
    persistence: Option<(u32, u32)>,
    severity: Option<Severity>,
    summary: Option<String>,
    why: Option<String>,
    diagnosis: Option<String>,
    remedy: Option<Vec<String>>,
    false_positives: Option<String>,
    enabled: Option<bool>,
    params: Vec<(&'static str, f64)>,
}

/// Reads one table. The flag beside the rule is `enabled`, where the table has it.
pub(crate) fn read_rule(
    table: &Table,
    header: &Span,
    id: &str,
    base: Option<&Rule>,
    registry: &[&'static CheckInfo],
    problems: &mut Problems<'_>,
) -> Option<(Rule, Option<bool>)> {
    let n_before = problems.len();
    let check = read_check(table, base, registry, problems);
    let mut changes = Changes::default();
    for entry in &table.entries {
        read_entry(entry, check, registry, &mut changes, problems);
    }
    if base.is_none() {
        report_missing(table, header, check, problems);
    }
    if let Some(check) = check {
        check_fits(table, check, &changes, problems);
    }
    let check = check.filter(|_| problems.len() == n_before)?;
    let origin = match base {
        None => problems.origin(header),
        Some(base) => format!("{}, changed in {}", base.origin, problems.origin(header)),
    };
    let enabled = changes.enabled;
    let start = base.cloned().unwrap_or_else(|| blank(id, check));
    Some((changes.onto(start, origin), enabled))
}

/// The check of the table, or of the rule that it changes.
fn read_check(
    table: &Table,
    base: Option<&Rule>,
    registry: &[&'static CheckInfo],
    problems: &mut Problems<'_>,
) -> Option<&'static CheckInfo> {
    let inherited = base.map(|it| it.check);
    let Some(node) = table.get("check") else {
        return inherited;
    };
    let known: Vec<_> = registry.iter().map(|it| (it.name, *it)).collect();
    let name = text("check", node, problems)?;
    let named = word("check", &name, &node.span, &known, problems)?;
    if inherited.is_some_and(|it| it.name != named.name) {
        problems.add_hinted(
            &node.span,
            "the check of an existing rule cannot change",
            Some("give the new rule an id of its own".to_owned()),
        );
        return None;
    }
    Some(named)
}

/// Reads the value of one key into `changes`; `id` and `check` are read elsewhere.
fn read_entry(
    entry: &Entry,
    check: Option<&'static CheckInfo>,
    registry: &[&'static CheckInfo],
    changes: &mut Changes,
    problems: &mut Problems<'_>,
) {
    let key = entry.key.as_str();
    let node = &entry.node;
    match key {
        "id" | "check" => {}
        "family" => {
            changes.family = one_word("family", node, &vocabulary(Family::ALL, Family::as_str), problems);
        }
        "severity" => {
            changes.severity = one_word(
                "severity",
                node,
                &vocabulary(Severity::ALL, Severity::as_str),
                problems,
            );
        }
        "quantity" => {
            changes.quantities = words(key, node, &vocabulary(Quantity::ALL, Quantity::as_str), problems);
        }
        "split" => changes.splits = words(key, node, &vocabulary(Split::ALL, Split::as_str), problems),
        "kind" => changes.kind = read_kind(node, check, problems),
        "layer" => changes.layer = one_regex(key, node, problems),
        "role" => changes.role = one_regex(key, node, problems),
        "tag" => changes.tag = one_regex(key, node, problems),
        "run" => changes.run = one_regex(key, node, problems),
        "parameter" => changes.parameter = texts(key, node, problems).map(without_spans),
        "pattern" => changes.patterns = regexes(key, node, problems),
        "for" => changes.persistence = read_persistence(node, problems),
        "summary" => changes.summary = read_summary(node, problems),
        "why" => changes.why = text(key, node, problems),
        "diagnosis" => changes.diagnosis = text(key, node, problems),
        "remedy" => changes.remedy = texts(key, node, problems).map(without_spans),
        "false_positives" => changes.false_positives = text(key, node, problems),
        "enabled" => changes.enabled = flag(key, node, problems),
        _ => changes
            .params
            .extend(read_param(entry, check, registry, problems)),
    }
}

fn vocabulary<T: Copy>(all: &'static [T], name: fn(T) -> &'static str) -> Vec<(&'static str, T)> {
    all.iter().map(|it| (name(*it), *it)).collect()
}

fn without_spans(items: Vec<(String, Span)>) -> Vec<String> {
    items.into_iter().map(|(text, _)| text).collect()
}

fn one_word<T: Copy>(what: &str, node: &Node, known: &[(&str, T)], problems: &mut Problems<'_>) -> Option<T> {
    let name = text(what, node, problems)?;
    word(what, &name, &node.span, known, problems)
}

fn words<T: Copy>(
    what: &str,
    node: &Node,
    known: &[(&str, T)],
    problems: &mut Problems<'_>,
) -> Option<Vec<T>> {
    let read: Vec<Option<T>> = texts(what, node, problems)?
        .iter()
        .map(|(name, span)| word(what, name, span, known, problems))
        .collect();
    read.into_iter().collect()
}

fn one_regex(key: &str, node: &Node, problems: &mut Problems<'_>) -> Option<Regex> {
    let pattern = text(key, node, problems)?;
    regex(key, &pattern, &node.span, problems)
}

fn regexes(key: &str, node: &Node, problems: &mut Problems<'_>) -> Option<Vec<Regex>> {
    let read: Vec<Option<Regex>> = texts(key, node, problems)?
        .iter()
        .map(|(pattern, span)| regex(key, pattern, span, problems))
        .collect();
    read.into_iter().collect()
}

fn read_kind(node: &Node, check: Option<&'static CheckInfo>, problems: &mut Problems<'_>) -> Option<String> {
    let name = text("kind", node, problems)?;
    let Some(check) = check else {
        return Some(name);
    };
    if check.kinds.is_empty() {
        problems.add(&node.span, format!("the check `{}` has no kinds", check.name));
        return None;
    }
    let known: Vec<_> = check.kinds.iter().map(|it| (*it, *it)).collect();
    word("kind", &name, &node.span, &known, problems).map(str::to_owned)
}

/// `5`, `"5"` (five in a row) or `"5 of 8"`.
fn read_persistence(node: &Node, problems: &mut Problems<'_>) -> Option<(u32, u32)> {
    let parsed = match &node.value {
        Value::Integer(_) => integer("for", node, problems)
            .and_then(|it| u32::try_from(it).ok())
            .map(|it| (it, it)),
        Value::Text(text) => parse_persistence(text),
        other => {
            return wrong_type(
                "for",
                "a number of points or \"5 of 8\"",
                other,
                &node.span,
                problems,
            );
        }
    };
    let Some((bad, of)) = parsed else {
        problems.add_hinted(
            &node.span,
            "`for` is not a number of points",
            Some("write `5` for five in a row, or `\"5 of 8\"`".to_owned()),
        );
        return None;
    };
    if bad == 0 || bad > of || of > PERSISTENCE_MAX {
        problems.add(
            &node.span,
            format!("`for` asks for {bad} of {of} points: both must be 1 to {PERSISTENCE_MAX}, the first not larger"),
        );
        return None;
    }
    Some((bad, of))
}

fn parse_persistence(text: &str) -> Option<(u32, u32)> {
    let mut words = text.split_whitespace();
    let bad = words.next()?.parse().ok()?;
    match (words.next(), words.next(), words.next()) {
        (None, _, _) => Some((bad, bad)),
        (Some("of"), Some(of), None) => Some((bad, of.parse().ok()?)),
        _ => None,
    }
}

fn read_summary(node: &Node, problems: &mut Problems<'_>) -> Option<String> {
    let summary = text("summary", node, problems)?;
    match placeholders(&summary) {
        Ok(_) => Some(summary),
        Err(error) => {
            problems.add(&node.span, format!("`summary`: {}", error.what));
            None
        }
    }
}

/// A key that is not one of [`KEYS`]: a bound of the check, or a mistake.
fn read_param(
    entry: &Entry,
    check: Option<&'static CheckInfo>,
    registry: &[&'static CheckInfo],
    problems: &mut Problems<'_>,
) -> Option<(&'static str, f64)> {
    let key = entry.key.as_str();
    let Some(check) = check else {
        // The check is a problem of its own; only what no check knows is one more.
        let mut params = registry.iter().flat_map(|it| it.params).map(|it| it.name);
        if !params.any(|it| it == key) {
            unknown_key(
                entry,
                "",
                KEYS.iter().copied().chain(all_params(registry)),
                problems,
            );
        }
        return None;
    };
    let Some(param) = check.params.iter().find(|it| it.name == key) else {
        let known = KEYS.iter().copied().chain(check.params.iter().map(|it| it.name));
        unknown_key(
            entry,
            &format!(" for the check `{}`", check.name),
            known,
            problems,
        );
        return None;
    };
    let value = number(key, &entry.node, problems)?;
    if value < param.min || value > param.max {
        problems.add_hinted(
            &entry.node.span,
            format!("`{key}` is {value}, allowed are {} to {}", param.min, param.max),
            Some(format!("its default is {}", param.default)),
        );
        return None;
    }
    Some((param.name, value))
}

fn all_params(registry: &[&'static CheckInfo]) -> impl Iterator<Item = &'static str> {
    registry.iter().flat_map(|it| it.params).map(|it| it.name)
}

fn unknown_key<'a>(
    entry: &Entry,
    context: &str,
    known: impl Iterator<Item = &'a str>,
    problems: &mut Problems<'_>,
) {
    let hint = nearest(&entry.key, known).map(|it| format!("did you mean `{it}`?"));
    problems.add_hinted(
        &entry.key_span,
        format!("unknown key `{}`{context}", entry.key),
        hint,
    );
}

/// A rule with a new id must say what it is.
fn report_missing(table: &Table, header: &Span, check: Option<&CheckInfo>, problems: &mut Problems<'_>) {
    let mut wanted = vec!["check", "severity", "summary"];
    // A check of a whole stream may look at lines and marks alone.
    if check.is_some_and(|it| !matches!(it.build, Build::Stream(_))) {
        wanted.push("quantity");
    }
    if check.is_some_and(|it| it.name == LOG_PATTERN) {
        wanted.push("pattern");
    }
    for key in wanted.into_iter().filter(|it| table.get(it).is_none()) {
        problems.add(header, format!("missing key `{key}`"));
    }
}

/// What is right by itself but not for this check.
fn check_fits(table: &Table, check: &CheckInfo, changes: &Changes, problems: &mut Problems<'_>) {
    if let (Build::Profile(_), Some(quantities), Some(node)) =
        (check.build, &changes.quantities, table.get("quantity"))
    {
        for quantity in quantities.iter().filter(|it| !may_have_layers(**it)) {
            let per_layer: Vec<&str> = Quantity::ALL
                .iter()
                .filter(|it| it.is_per_layer())
                .map(|it| it.as_str())
                .collect();
            problems.add_hinted(
                &node.span,
                format!(
                    "the check `{}` compares layers, and `{quantity}` has none",
                    check.name
                ),
                advice(quantity.as_str(), &per_layer),
            );
        }
    }
    if let Some(node) = table.get("pattern").filter(|_| check.name != LOG_PATTERN) {
        problems.add(
            &node.span,
            format!("`pattern` is only for the check `{LOG_PATTERN}`"),
        );
    }
}

fn may_have_layers(quantity: Quantity) -> bool {
    quantity.is_per_layer() || matches!(quantity, Quantity::ZeroFraction | Quantity::Other)
}

fn blank(id: &str, check: &'static CheckInfo) -> Rule {
    Rule {
        id: id.to_owned(),
        check,
        family: check.family,
        kind: String::new(),
        quantities: Vec::new(),
        splits: Vec::new(),
        layer: None,
        role: None,
        parameter: Vec::new(),
        tag: None,
        run: None,
        patterns: Arc::default(),
        params: Params(check.params.iter().map(|it| (it.name, it.default)).collect()),
        persistence: (1, 1),
        severity: Severity::Warning,
        summary: String::new(),
        why: String::new(),
        diagnosis: String::new(),
        remedy: Vec::new(),
        false_positives: String::new(),
        origin: String::new(),
        bounds: SharedBounds::default(),
    }
}

impl Changes {
    /// The rule with everything changed that the table names.
    fn onto(self, base: Rule, origin: String) -> Rule {
        let mut params = base.params;
        for (name, value) in self.params {
            if let Some(place) = params.0.iter_mut().find(|(it, _)| *it == name) {
                place.1 = value;
            }
        }
        Rule {
            id: base.id,
            check: base.check,
            family: self.family.unwrap_or(base.family),
            kind: self.kind.unwrap_or(base.kind),
            quantities: self.quantities.unwrap_or(base.quantities),
            splits: self.splits.unwrap_or(base.splits),
            layer: self.layer.or(base.layer),
            role: self.role.or(base.role),
            parameter: self.parameter.unwrap_or(base.parameter),
            tag: self.tag.or(base.tag),
            run: self.run.or(base.run),
            patterns: self.patterns.map_or(base.patterns, Arc::from),
            params,
            persistence: self.persistence.unwrap_or(base.persistence),
            severity: self.severity.unwrap_or(base.severity),
            summary: self.summary.unwrap_or(base.summary),
            why: self.why.unwrap_or(base.why),
            diagnosis: self.diagnosis.unwrap_or(base.diagnosis),
            remedy: self.remedy.unwrap_or(base.remedy),
            false_positives: self.false_positives.unwrap_or(base.false_positives),
            origin,
            bounds: SharedBounds::default(),
        }
    }
}
