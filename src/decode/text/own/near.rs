//! Why a line that a pattern should read is not matched.
//!
//! In: a regular expression and a line that it does not match. Out: the longest beginning of the expression that
//! does match, and where in the line it ends. Invariant: every beginning that is asked is a valid expression of its
//! own; an expression has at most `BEGINNINGS_MAX` of them.

use regex::Regex;

/// Beginnings of one expression that are tried.
const BEGINNINGS_MAX: usize = 256;

/// The beginnings of an expression, the longest first.
#[derive(Debug)]
pub struct Beginnings {
    expression: String,
    /// Bytes of the expression, and what they are by themselves.
    all: Vec<(usize, Regex)>,
}

/// How far an expression matches a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Near<'b, 'l> {
    /// The part of the expression that matches.
    pub matched: &'b str,
    /// The rest of the expression.
    pub wanted: &'b str,
    /// What the part matches in the line.
    pub found: &'l str,
    /// The rest of the line.
    pub rest: &'l str,
}

impl Near<'_, '_> {
    /// Whether so much matches that the line was probably meant: a whole group, or half of the expression.
    #[must_use]
    pub fn says_something(&self) -> bool {
        let has_group = self.matched.contains("(?<") || self.matched.contains("(?P<");
        has_group || self.matched.len() >= self.wanted.len()
    }
}

impl Beginnings {
    /// Finds the beginnings of an expression.
    #[must_use]
    pub fn of(expression: &str) -> Self {
        let ends = expression.char_indices().map(|(at, _)| at).rev();
        let beginning = |at: usize| {
            let text = expression.get(..at)?;
            // A choice that is cut behind its bar, or a group without content, matches everything.
            let says_something = !text.is_empty() && !text.ends_with(['|', '(', '^']);
            let regex = says_something.then(|| Regex::new(text).ok())??;
            (!regex.is_match("")).then_some((at, regex))
        };
        Self {
            expression: expression.to_owned(),
            all: ends.filter_map(beginning).take(BEGINNINGS_MAX).collect(),
        }
    }

    /// The longest beginning that matches, if any does.
    #[must_use]
    pub fn nearest<'l>(&self, line: &'l str) -> Option<Near<'_, 'l>> {
        self.all.iter().find_map(|(at, regex)| {
            let found = regex.find(line)?;
            Some(Near {
                matched: self.expression.get(..*at)?,
                wanted: self.expression.get(*at..)?,
                found: found.as_str(),
                rest: line.get(found.end()..)?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Beginnings;

    #[test]
    fn the_longest_beginning_that_matches_is_found() {
        let beginnings = Beginnings::of(r"^step (?<step>\d+) loss (?<loss>\S+)$");
        let near = beginnings.nearest("step 12 lost 0.5").unwrap();
        assert_eq!(
            (near.matched, near.wanted),
            (r"^step (?<step>\d+) los", r"s (?<loss>\S+)$")
        );
        assert_eq!((near.found, near.rest), ("step 12 los", "t 0.5"));
        assert_eq!(beginnings.nearest("epoch 3"), None);
    }

    #[test]
    fn beginnings_that_match_everything_are_none() {
        let beginnings = Beginnings::of(r"(?:a|b)*(?<step>\d+)");
        assert_eq!(beginnings.nearest("zzz"), None);
        let beginnings = Beginnings::of("a|b");
        assert_eq!(beginnings.nearest("zz"), None);
    }

    #[test]
    fn characters_are_not_cut() {
        let beginnings = Beginnings::of("pérdida=(?<loss>.+)x");
        assert_eq!(beginnings.nearest("pérdida=1").unwrap().rest, "");
    }
}
