//! What files are read and judged by: the rules in force, and the user's own line patterns.
//!
//! In: a rule set. Out: a value that is passed to whoever reads. Invariant: cheap to copy; a slice of rules alone is
//! one without patterns.

use std::sync::LazyLock;

use crate::decode::OwnPatterns;
use crate::rules::Rule;

static NO_PATTERNS: LazyLock<OwnPatterns> = LazyLock::new(OwnPatterns::default);

/// Rules and patterns.
#[derive(Debug, Clone, Copy)]
pub struct InForce<'r> {
    /// The rules.
    pub rules: &'r [Rule],
    /// The user's own line patterns.
    pub patterns: &'r OwnPatterns,
}

impl<'r> InForce<'r> {
    /// Rules with patterns.
    #[must_use]
    pub fn new(rules: &'r [Rule], patterns: &'r OwnPatterns) -> Self {
        Self { rules, patterns }
    }
}

impl<'r> From<&'r [Rule]> for InForce<'r> {
    fn from(rules: &'r [Rule]) -> Self {
        Self::new(rules, &NO_PATTERNS)
    }
}

impl<'r> From<&'r Vec<Rule>> for InForce<'r> {
    fn from(rules: &'r Vec<Rule>) -> Self {
        rules.as_slice().into()
    }
}

impl<'r, const N: usize> From<&'r [Rule; N]> for InForce<'r> {
    fn from(rules: &'r [Rule; N]) -> Self {
        rules.as_slice().into()
    }
}
