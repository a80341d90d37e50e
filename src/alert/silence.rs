//! Silences: what people do not want to hear of for a while.
//!
//! In: a pattern on the run and perhaps on the rule, and a time. Out: whether it covers an alarm. Invariants: a silence
//! suppresses messages, never the record; it ends by itself.

use std::fmt;

use jiff::Timestamp;
use regex::{Regex, RegexBuilder};

/// A pattern on a name: with slashes around it a regular expression that is searched for, else a text in which `*`
/// stands for anything and `?` for one character, and which is all of the name.
#[derive(Debug, Clone)]
pub struct NamePattern {
    text: String,
    regex: Regex,
}

/// Compiled patterns stay below this many bytes, so that a silence cannot fill the memory.
const REGEX_BYTES_MAX: usize = 1 << 20;

impl NamePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When what stands between slashes is no regular expression; the text says why.
    pub fn new(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('/').and_then(|it| it.strip_suffix('/'));
        let source = inner.map_or_else(|| glob_source(text), str::to_owned);
        RegexBuilder::new(&source)
            .size_limit(REGEX_BYTES_MAX)
            .build()
            .map(|regex| Self {
                text: text.to_owned(),
                regex,
            })
            .map_err(|error| {
                let shown = error.to_string();
                let last = shown.lines().last().unwrap_or_default().trim();
                format!("`{text}`: {}", last.strip_prefix("error: ").unwrap_or(last))
            })
    }

    /// Whether it covers this name.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        self.regex.is_match(name)
    }
}

fn glob_source(text: &str) -> String {
    let mut source = String::from("(?s)^");
    for it in text.chars() {
        match it {
            '*' => source.push_str(".*"),
            '?' => source.push('.'),
            _ => source.push_str(&regex::escape(it.encode_utf8(&mut [0; 4]))),
        }
    }
    source + "$"
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for NamePattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// What is not to be told until a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Silence {
    /// Names it.
    pub id: i64,
    /// Runs that it covers.
    pub run: NamePattern,
    /// Rules that it covers; none: all.
    pub rule: Option<NamePattern>,
    /// When it ends.
    pub until: Timestamp,
    /// Why, in the words of who made it.
    pub comment: String,
}

impl Silence {
    /// Whether it covers an alarm now.
    #[must_use]
    pub fn covers(&self, run: &str, rule: &str, now: Timestamp) -> bool {
        now < self.until && self.run.covers(run) && self.rule.as_ref().is_none_or(|it| it.covers(rule))
    }
}

#[cfg(test)]
mod tests {
    use super::NamePattern;

    #[test]
    fn a_glob_is_all_of_the_name_and_a_regex_is_searched_for() {
        let covers = |pattern: &str, name: &str| NamePattern::new(pattern).unwrap().covers(name);
        assert!(covers("sweep/*", "sweep/a/b"));
        assert!(!covers("sweep/*", "my/sweep/a"));
        assert!(covers("run.?", "run.7"));
        assert!(!covers("run.?", "runs7"));
        assert!(covers("*", "."));
        assert!(covers("/lr=1e-[34]/", "sweep/lr=1e-4/seed0"));
        assert!(!covers("/^lr/", "sweep/lr"));
        assert!(covers("a(b", "a(b"), "only slashes make a regular expression");
        let bad = NamePattern::new("/a(b/").unwrap_err();
        assert!(
            bad.starts_with("`/a(b/`: ") && bad.contains("unclosed group"),
            "{bad}"
        );
    }
}
