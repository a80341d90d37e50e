//! The `{placeholders}` of a rule's summary.
//!
//! In: the summary. Out: its placeholders, or the byte at which its braces do not balance; and the summary
//! filled in. Invariant: a summary that was accepted by [`placeholders`] can always be filled.

use std::ops::Range;

/// Braces that are not a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// The byte of the summary.
    pub at: usize,
    /// What is wrong.
    pub what: String,
}

/// The words in braces, in their order; `{{` and `}}` stand for the braces themselves.
///
/// # Errors
/// A brace without its partner, or a placeholder that is not one word of letters, digits and underscores.
pub fn placeholders(summary: &str) -> Result<Vec<&str>, TemplateError> {
    Ok(pieces(summary)?
        .into_iter()
        .filter_map(|it| match it {
            Piece::Word(word) => Some(word),
            Piece::Text(_) => None,
        })
        .collect())
}

/// The summary with each placeholder replaced by `word`'s answer; one that has none stays as it is, so that
/// the reader sees that something is missing.
#[must_use]
pub fn fill(summary: &str, word: impl Fn(&str) -> Option<String>) -> String {
    let Ok(pieces) = pieces(summary) else {
        return summary.to_owned();
    };
    pieces
        .into_iter()
        .map(|it| match it {
            Piece::Text(text) => text.to_owned(),
            Piece::Word(name) => word(name).unwrap_or_else(|| format!("{{{name}}}")),
        })
        .collect()
}

enum Piece<'a> {
    Text(&'a str),
    Word(&'a str),
}

fn pieces(summary: &str) -> Result<Vec<Piece<'_>>, TemplateError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = summary.get(at..).filter(|it| !it.is_empty()) {
        let Some(brace) = rest.find(['{', '}']) else {
            found.push(Piece::Text(rest));
            break;
        };
        found.push(Piece::Text(&rest[..brace]));
        let from_brace = &rest[brace..];
        if from_brace.starts_with("{{") || from_brace.starts_with("}}") {
            found.push(Piece::Text(&from_brace[..1]));
            at += brace + 2;
            continue;
        }
        let inside = word_range(from_brace).map_err(|what| TemplateError { at: at + brace, what })?;
        at += brace + inside.end + 1;
        found.push(Piece::Word(&from_brace[inside]));
    }
    Ok(found)
}

/// The word of a placeholder that starts with the first byte of `text`, which is a brace.
fn word_range(text: &str) -> Result<Range<usize>, String> {
    if text.starts_with('}') {
        return Err("`}` without `{` before it".to_owned());
    }
    let Some(end) = text.find('}') else {
        return Err("`{` without `}` after it".to_owned());
    };
    let word = &text[1..end];
    let is_word = word.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_')
        && word.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_');
    if is_word {
        Ok(1..end)
    } else {
        Err(format!(
            "`{{{word}}}` is not a placeholder: one word of letters and underscores"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{fill, placeholders};

    #[test]
    fn finds_the_words() {
        assert_eq!(placeholders("no words"), Ok(vec![]));
        assert_eq!(placeholders("{a} is {value_2}"), Ok(vec!["a", "value_2"]));
        assert_eq!(placeholders("a set {{{x}}}"), Ok(vec!["x"]));
        assert_eq!(placeholders(""), Ok(vec![]));
    }

    #[test]
    fn refuses_what_does_not_balance() {
        for (summary, at) in [
            ("a {b", 2),
            ("a} b", 1),
            ("{}", 0),
            ("ä {a b}", 3),
            ("{a{b}}", 0),
            ("{1}", 0),
            ("{ratio:.2}", 0),
            ("{{}", 2),
        ] {
            assert_eq!(placeholders(summary).unwrap_err().at, at, "{summary}");
        }
    }

    #[test]
    fn fills_what_is_known() {
        let word = |name: &str| (name == "value").then(|| "3".to_owned());
        assert_eq!(fill("{value} of {bound} {{x}}", word), "3 of {bound} {x}");
        assert_eq!(fill("broken {", word), "broken {");
    }
}
