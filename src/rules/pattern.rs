//! `[[pattern]]` tables: line formats of a user's own, with an example that proves them.
//!
//! In: a table with its places. Out: a [`PatternDef`], or every mistake. Invariant: a pattern that is in force compiles,
//! has only groups that mean something, and has an example line with its expected reading.

use regex::Regex;

use super::document::{Node, Span, Table, Value};
use super::fields::{advice, regex, text, word, wrong_type};
use super::problem::{Problems, RuleProblem, Source};
use crate::model::{LinePattern, Quantity};

/// The keys of a pattern.
pub(crate) const KEYS: [(&str, &str); 5] = [
    ("name", "Permanent name, lower-case words with hyphens."),
    (
        "regex",
        "Matches a line. Named groups: step, epoch, layer, a quantity (loss, grad_norm ...), or value with `quantity` or a group name.",
    ),
    ("quantity", "What the group `value` is."),
    ("example", "A line as it is printed."),
    (
        "reads",
        "What the groups hold in the example: `{ step = 10, loss = 2.5 }`.",
    ),
];

/// Longest expression, in bytes: what is longer is no line format.
const REGEX_BYTES_MAX: usize = 4096;

/// What a group holds in the example.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// Step, epoch or a value; NaN is one.
    Number(f64),
    /// Layer or name.
    Text(String),
}

/// What a reader found in a line: group by group, or why it could not.
pub type ReadExample<'a> = dyn Fn(&LinePattern, &str) -> Result<Vec<(String, Expected)>, String> + 'a;

/// A pattern with the example that proves it.
#[derive(Debug, Clone)]
pub struct PatternDef {
    /// The pattern.
    pub pattern: LinePattern,
    /// A line as it is printed.
    pub example: String,
    /// Where it is defined, `file:line`.
    pub origin: String,
    reads: Vec<(String, Expected, Span)>,
    file: String,
    example_span: Span,
}

impl PatternDef {
    /// What is wrong with the example, by the reader that logs will have.
    pub(crate) fn check_example(&self, source: &Source, read: &ReadExample<'_>) -> Vec<RuleProblem> {
        let mut problems = Problems::new(source);
        match read(&self.pattern, &self.example) {
            Err(why) => problems.add(&self.example_span, why),
            Ok(found) => self.compare(&found, &mut problems),
        }
        problems.into_sorted()
    }

    fn compare(&self, found: &[(String, Expected)], problems: &mut Problems<'_>) {
        for (group, expected, span) in &self.reads {
            match found.iter().find(|(it, _)| it == group) {
                Some((_, it)) if is_same(it, expected) => {}
                Some((_, it)) => problems.add(
                    span,
                    format!(
                        "`{group}` reads {} in the example, not {}",
                        shown(it),
                        shown(expected)
                    ),
                ),
                None => problems.add(span, format!("`{group}` reads nothing in the example")),
            }
        }
        for (group, value) in found {
            if !self.reads.iter().any(|(it, _, _)| it == group) {
                let what = format!(
                    "`{group}` reads {} in the example: say so in `reads`",
                    shown(value)
                );
                problems.add(&self.example_span, what);
            }
        }
    }

    /// Name of the source that defines it.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }
}

fn is_same(a: &Expected, b: &Expected) -> bool {
    match (a, b) {
        (Expected::Number(a), Expected::Number(b)) => {
            a.total_cmp(b).is_eq() || a == b || a.is_nan() && b.is_nan()
        }
        (a, b) => a == b,
    }
}

fn shown(value: &Expected) -> String {
    match value {
        Expected::Number(number) => format!("{number}"),
        Expected::Text(text) => format!("{text:?}"),
    }
}

/// Reads one table.
pub(crate) fn read_pattern(table: &Table, header: &Span, problems: &mut Problems<'_>) -> Option<PatternDef> {
    let n_before = problems.len();
    for entry in &table.entries {
        let known = KEYS.map(|(key, _)| key);
        if !known.contains(&entry.key.as_str()) {
            let what = format!("unknown key `{}` in a pattern", entry.key);
            problems.add_hinted(&entry.key_span, what, advice(&entry.key, &known));
        }
    }
    let name = required("name", table, header, problems).and_then(|it| text("name", it, problems));
    let quantity = table.get("quantity").and_then(|it| read_quantity(it, problems));
    let regex_node = required("regex", table, header, problems);
    let expression = regex_node.and_then(|it| text("regex", it, problems));
    let compiled = regex_node
        .zip(expression.as_deref())
        .and_then(|(node, it)| compile(it, node, problems));
    if let Some((node, compiled)) = regex_node.zip(compiled.as_ref()) {
        check_groups(compiled, node, quantity, problems);
    }
    let example_node = required("example", table, header, problems);
    let example = example_node.and_then(|it| text("example", it, problems));
    let reads =
        required("reads", table, header, problems).and_then(|it| read_reads(it, compiled.as_ref(), problems));
    if problems.len() > n_before {
        return None;
    }
    Some(PatternDef {
        pattern: LinePattern {
            name: name?,
            regex: expression?,
            quantity,
        },
        example: example?,
        origin: problems.origin(header),
        reads: reads?,
        file: problems.source_name().to_owned(),
        example_span: example_node?.span.clone(),
    })
}

fn required<'t>(key: &str, table: &'t Table, header: &Span, problems: &mut Problems<'_>) -> Option<&'t Node> {
    let found = table.get(key);
    if found.is_none() {
        problems.add(header, format!("missing key `{key}`"));
    }
    found
}

fn read_quantity(node: &Node, problems: &mut Problems<'_>) -> Option<Quantity> {
    let known: Vec<_> = Quantity::ALL.iter().map(|it| (it.as_str(), *it)).collect();
    let name = text("quantity", node, problems)?;
    word("quantity", &name, &node.span, &known, problems)
}

fn compile(expression: &str, node: &Node, problems: &mut Problems<'_>) -> Option<Regex> {
    if expression.len() > REGEX_BYTES_MAX {
        problems.add(
            &node.span,
            format!("`regex` is longer than {REGEX_BYTES_MAX} bytes"),
        );
        return None;
    }
    regex("regex", expression, &node.span, problems)
}

fn check_groups(regex: &Regex, node: &Node, quantity: Option<Quantity>, problems: &mut Problems<'_>) {
    let names: Vec<&str> = regex.capture_names().flatten().collect();
    let known: Vec<&str> = LinePattern::PLACES
        .into_iter()
        .chain(Quantity::ALL.iter().map(|it| it.as_str()))
        .collect();
    for name in names.iter().filter(|it| !known.contains(it)) {
        let hint = advice(name, &known).unwrap_or_else(|| {
            format!(
                "known: {}, or a quantity such as `loss`, `grad_norm`",
                LinePattern::PLACES.join(", ")
            )
        });
        problems.add_hinted(&node.span, format!("unknown group `{name}`"), Some(hint));
    }
    if names.is_empty() {
        let what = "`regex` has no named group";
        problems.add_hinted(&node.span, what, Some("write `(?<step>\\d+)`".to_owned()));
    }
    let has = |name: &str| names.contains(&name);
    if has("value") && quantity.is_none() && !has("name") {
        let hint = "add `quantity = \"grad_norm\"`, or a group `name`".to_owned();
        problems.add_hinted(&node.span, "nothing says what the group `value` is", Some(hint));
    }
    if quantity.is_some() && !has("value") {
        problems.add(
            &node.span,
            "`quantity` is given, but `regex` has no group `value`",
        );
    }
}

fn read_reads(
    node: &Node,
    regex: Option<&Regex>,
    problems: &mut Problems<'_>,
) -> Option<Vec<(String, Expected, Span)>> {
    let Value::Table(table) = &node.value else {
        return wrong_type(
            "reads",
            "a table such as `{ step = 10, loss = 2.5 }`",
            &node.value,
            &node.span,
            problems,
        );
    };
    let mut reads = Vec::new();
    for entry in &table.entries {
        let expected = match &entry.node.value {
            Value::Integer(number) => Expected::Number(*number as f64),
            Value::Float(number) => Expected::Number(*number),
            Value::Text(text) => Expected::Text(text.clone()),
            other => wrong_type(
                &entry.key,
                "a number or a string",
                other,
                &entry.node.span,
                problems,
            )?,
        };
        if let Some(regex) = regex {
            let groups: Vec<&str> = regex.capture_names().flatten().collect();
            if !groups.contains(&entry.key.as_str()) {
                let what = format!("`regex` has no group `{}`", entry.key);
                problems.add_hinted(&entry.key_span, what, advice(&entry.key, &groups));
            }
        }
        reads.push((entry.key.clone(), expected, entry.node.span.clone()));
    }
    Some(reads)
}
