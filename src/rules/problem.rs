//! A mistake in a rule file, with its place, and how it is shown.
//!
//! In: a span of a source text and words. Out: one line (`rules/team.toml:14:9: unknown quantity ...`) or a
//! block with the lines of the source. Invariant: `line` and `column` count from 1, columns in characters.

use std::fmt;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::document::Span;

/// The text of a rule file or rule test file, with the name under which problems are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Path as the user gave it.
    pub name: String,
    /// The text.
    pub text: String,
}

impl Source {
    /// A named text.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }
}

/// A mistake in a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleProblem {
    /// Name of the source.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The bytes concerned.
    pub span: Span,
    /// What is wrong, a lowercase fragment without full stop.
    pub message: String,
    /// How to mend it, where known: follows the message after a comma.
    pub hint: Option<String>,
}

impl fmt::Display for RuleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, ", {hint}"))
    }
}

/// Line and column, from 1, of a byte of `text`; the end of the text for offsets beyond it.
pub(crate) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..char_boundary(text, offset)];
    let line_start = before.rfind('\n').map_or(0, |it| it + 1);
    let line = before.bytes().filter(|it| *it == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

/// The last start of a character at or before `offset`, the end of the text for offsets beyond it.
fn char_boundary(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len()))
        .rev()
        .find(|it| text.is_char_boundary(*it))
        .unwrap_or(0)
}

/// Problems of one source that are kept: a foreign file may have one per line, and nobody reads more.
pub(crate) const PROBLEMS_MAX: usize = 1000;

/// Gathers the problems of one source.
#[derive(Debug)]
pub(crate) struct Problems<'s> {
    source: &'s Source,
    found: Vec<RuleProblem>,
    n_beyond: usize,
}

impl<'s> Problems<'s> {
    pub(crate) fn new(source: &'s Source) -> Self {
        Self {
            source,
            found: Vec::new(),
            n_beyond: 0,
        }
    }

    /// A problem without advice.
    pub(crate) fn add(&mut self, span: &Span, message: impl Into<String>) {
        self.add_hinted(span, message, None);
    }

    /// A problem with advice, where there is some.
    pub(crate) fn add_hinted(&mut self, span: &Span, message: impl Into<String>, hint: Option<String>) {
        if self.found.len() >= PROBLEMS_MAX {
            self.n_beyond += 1;
            return;
        }
        let problem = self.at(span, message.into(), hint);
        self.found.push(problem);
    }

    fn at(&self, span: &Span, message: String, hint: Option<String>) -> RuleProblem {
        let (line, column) = position(&self.source.text, span.start);
        RuleProblem {
            file: self.source.name.clone(),
            line,
            column,
            span: span.clone(),
            message,
            hint,
        }
    }

    /// `file:line` of a place, for origins.
    pub(crate) fn origin(&self, span: &Span) -> String {
        format!(
            "{}:{}",
            self.source.name,
            position(&self.source.text, span.start).0
        )
    }

    /// Name of the text.
    pub(crate) fn source_name(&self) -> &str {
        &self.source.name
    }

    /// How many so far.
    pub(crate) fn len(&self) -> usize {
        self.found.len() + self.n_beyond
    }

    /// All that were kept, in the order of the text, and how many were not.
    pub(crate) fn into_sorted(mut self) -> Vec<RuleProblem> {
        self.found.sort_by_key(|it| (it.span.start, it.span.end));
        if self.n_beyond > 0 {
            let end = self.source.text.len();
            let rest = self.at(
                &(end..end),
                format!("{} further problems are not listed", self.n_beyond),
                None,
            );
            self.found.push(rest);
        }
        self.found
    }
}

/// Shows problems as blocks with the lines of the source concerned; `styled` adds colours.
#[must_use]
pub fn render(problems: &[RuleProblem], sources: &[Source], styled: bool) -> String {
    let renderer = if styled {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut out = String::new();
    for problem in problems {
        match sources.iter().find(|it| it.name == problem.file) {
            Some(source) => out.push_str(&renderer.render(&[block(problem, source)])),
            None => out.push_str(&problem.to_string()),
        }
        out.push_str("\n\n");
    }
    out
}

fn block<'a>(problem: &'a RuleProblem, source: &'a Source) -> annotate_snippets::Group<'a> {
    // The renderer slices the text at the ends of the span.
    let end = char_boundary(&source.text, problem.span.end);
    let start = char_boundary(&source.text, problem.span.start.min(end));
    let annotation = AnnotationKind::Primary
        .span(start..end)
        .label(problem.hint.as_deref());
    Level::ERROR.primary_title(problem.message.as_str()).element(
        Snippet::source(source.text.as_str())
            .path(problem.file.as_str())
            .annotation(annotation),
    )
}

#[cfg(test)]
mod tests {
    use super::{Problems, Source, position, render};

    #[test]
    fn positions_count_characters_from_one() {
        let text = "a = 1\nä = \"ü\" # x\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 5), (1, 6));
        assert_eq!(position(text, 6), (2, 1));
        assert_eq!(position(text, 8), (2, 2), "two bytes of ä are one column");
        assert_eq!(position(text, 7), (2, 1), "inside a character: its start");
        assert_eq!(position(text, 9_999), (3, 1));
        assert_eq!(position("", 5), (1, 1));
    }

    #[test]
    fn shows_one_line_and_a_block() {
        let source = Source::new("team.toml", "x = 1\nquantity = \"grad_nrom\"\n");
        let mut problems = Problems::new(&source);
        problems.add_hinted(
            &(17..28),
            "unknown quantity `grad_nrom`",
            Some("did you mean `grad_norm`?".to_owned()),
        );
        let found = problems.into_sorted();
        assert_eq!(
            found[0].to_string(),
            "team.toml:2:12: unknown quantity `grad_nrom`, did you mean `grad_norm`?"
        );
        let block = render(&found, &[source], false);
        assert!(block.contains("team.toml:2:12"), "{block}");
        assert!(block.contains("^^^^^^^^^^^ did you mean `grad_norm`?"), "{block}");
        assert_eq!(render(&found, &[], false).trim_end(), found[0].to_string());
    }

    #[test]
    fn renders_any_span_of_any_text() {
        for text in ["", "\n", "ä", "a\r\nb", "\u{0}\t"] {
            for start in 0..=text.len() + 2 {
                for end in start..=text.len() + 2 {
                    let source = Source::new("t", text);
                    let mut problems = Problems::new(&source);
                    problems.add(&(start..end), "m");
                    let shown = render(&problems.into_sorted(), &[source], false);
                    assert!(shown.contains('m'), "{text:?} {start}..{end}");
                }
            }
        }
    }
}
