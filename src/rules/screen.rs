//! One search for the patterns of all rules, which tells the few lines of a log that any of them could hit.
//!
//! In: regular expressions. Out: whether a line matches one of them. Invariant: a line that matches is never
//! held back; where the expressions cannot be joined, none is.

use std::sync::{Arc, Mutex, PoisonError};

use regex::RegexSet;

/// Joined sets that are kept: compiling one takes milliseconds, and an audit has an engine for each run.
const KEPT_MAX: usize = 8;

static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

/// Patterns, and what they compiled to.
type Kept = (Vec<String>, Option<Arc<RegexSet>>);

/// Several patterns as one.
#[derive(Debug, Clone)]
pub(super) struct Screen(Option<Arc<RegexSet>>);

impl Screen {
    /// A screen that lets lines through that match one of `patterns`.
    pub(super) fn of(patterns: Vec<String>) -> Self {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, set)) = kept.iter().find(|(known, _)| *known == patterns) {
            return Self(set.clone());
        }
        let set = RegexSet::new(&patterns).ok().map(Arc::new);
        if kept.len() >= KEPT_MAX {
            kept.remove(0);
        }
        kept.push((patterns, set.clone()));
        Self(set)
    }

    /// Whether one of the patterns may match.
    pub(super) fn lets_through(&self, text: &str) -> bool {
        self.0
            .as_ref()
            .is_none_or(|set| !set.is_empty() && set.is_match(text))
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT_MAX, Screen};

    #[test]
    fn lets_through_what_any_pattern_matches() {
        for round in 0..2 {
            for n in 0..KEPT_MAX + 3 {
                let screen = Screen::of(vec![format!("error {n}$"), "^abort".to_owned()]);
                assert!(screen.lets_through(&format!("an error {n}")), "round {round}");
                assert!(screen.lets_through("aborted"));
                assert!(!screen.lets_through("an abort") && !screen.lets_through("error 99"));
            }
        }
        assert!(!Screen::of(Vec::new()).lets_through("anything"));
    }

    #[test]
    fn patterns_that_cannot_be_joined_hold_nothing_back() {
        assert!(Screen::of(vec!["(".to_owned()]).lets_through("anything"));
    }
}
