//! Typed reading of the values of a rule file.
//!
//! In: a value of the tree, and the name of its key for messages. Out: the typed value, or `None` after a
//! problem was noted. Invariant: `None` never comes without a problem.

use regex::Regex;

use super::document::{Node, Span, Value};
use super::problem::Problems;
use super::suggest::nearest;

/// A string, which may not be empty.
pub(crate) fn text(key: &str, node: &Node, problems: &mut Problems<'_>) -> Option<String> {
    match &node.value {
        Value::Text(text) if text.trim().is_empty() => {
            problems.add(&node.span, format!("`{key}` is empty"));
            None
        }
        Value::Text(text) => Some(text.clone()),
        other => wrong_type(key, "a string", other, &node.span, problems),
    }
}

/// A string or a list of strings, with the place of each; the list may not be empty. Items that are not
/// strings are noted and left out, so that the others are still judged.
pub(crate) fn texts(key: &str, node: &Node, problems: &mut Problems<'_>) -> Option<Vec<(String, Span)>> {
    let Value::Array(items) = &node.value else {
        if matches!(node.value, Value::Text(_)) {
            return text(key, node, problems).map(|it| vec![(it, node.span.clone())]);
        }
        return wrong_type(
            key,
            "a string or a list of strings",
            &node.value,
            &node.span,
            problems,
        );
    };
    if items.is_empty() {
        problems.add(&node.span, format!("`{key}` is empty"));
        return None;
    }
    let good = items
        .iter()
        .filter_map(|it| Some((text(key, it, problems)?, it.span.clone())));
    Some(good.collect())
}

/// A boolean.
pub(crate) fn flag(key: &str, node: &Node, problems: &mut Problems<'_>) -> Option<bool> {
    match &node.value {
        Value::Flag(flag) => Some(*flag),
        other => wrong_type(key, "true or false", other, &node.span, problems),
    }
}

/// A finite number.
pub(crate) fn number(key: &str, node: &Node, problems: &mut Problems<'_>) -> Option<f64> {
    match &node.value {
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) if number.is_finite() => Some(*number),
        Value::Float(_) | Value::Oversized => {
            problems.add(&node.span, format!("`{key}` is not a finite number"));
            None
        }
        other => wrong_type(key, "a number", other, &node.span, problems),
    }
}

/// A whole number.
pub(crate) fn integer(key: &str, node: &Node, problems: &mut Problems<'_>) -> Option<i64> {
    match &node.value {
        Value::Integer(number) => Some(*number),
        other => wrong_type(key, "a whole number", other, &node.span, problems),
    }
}

/// A regular expression.
pub(crate) fn regex(key: &str, text: &str, span: &Span, problems: &mut Problems<'_>) -> Option<Regex> {
    match Regex::new(text) {
        Ok(regex) => Some(regex),
        Err(error) => {
            problems.add(
                span,
                format!("bad regular expression in `{key}`: {}", reason(&error)),
            );
            None
        }
    }
}

/// The last line of the crate's message, which draws the pattern in lines of its own before it.
fn reason(error: &regex::Error) -> String {
    let shown = error.to_string();
    let last = shown.lines().last().unwrap_or("not readable").trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// A word of a closed vocabulary.
pub(crate) fn word<T: Copy>(
    what: &str,
    text: &str,
    span: &Span,
    known: &[(&str, T)],
    problems: &mut Problems<'_>,
) -> Option<T> {
    let found = known.iter().find(|(it, _)| *it == text).map(|(_, value)| *value);
    if found.is_none() {
        let names: Vec<&str> = known.iter().map(|(it, _)| *it).collect();
        problems.add_hinted(span, format!("unknown {what} `{text}`"), advice(text, &names));
    }
    found
}

/// "did you mean", or the vocabulary where it is short enough to be read.
pub(crate) fn advice(text: &str, known: &[&str]) -> Option<String> {
    const LISTED_MAX: usize = 20;
    if let Some(near) = nearest(text, known.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let list = || {
        known
            .iter()
            .map(|it| format!("`{it}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    (1..=LISTED_MAX)
        .contains(&known.len())
        .then(|| format!("known: {}", list()))
}

/// Notes that a value has another type than its key asks for.
pub(crate) fn wrong_type<T>(
    key: &str,
    wanted: &str,
    got: &Value,
    span: &Span,
    problems: &mut Problems<'_>,
) -> Option<T> {
    problems.add(span, format!("`{key}` must be {wanted}, not {}", got.type_name()));
    None
}
