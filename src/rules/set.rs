//! The rules in force.
//!
//! In: loaded rules. Out: access by id. Invariant: no two rules of a set, on or off, share an id.

use super::Rule;
use super::pattern::{PatternDef, ReadExample};
use super::problem::{RuleProblem, Source};
use super::suggest::nearest;

/// Rules that are in force, and those that were switched off.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// In force, shipped rules first, then the user's in the order of their files.
    pub rules: Vec<Rule>,
    /// Switched off by `enabled = false` or `disable`, kept so that a later file can switch them on.
    pub disabled: Vec<Rule>,
    /// The user's own line formats, in the order of their files.
    pub patterns: Vec<PatternDef>,
}

impl RuleSet {
    /// The rule with this id, on or off.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Rule> {
        self.all().find(|it| it.id == id)
    }

    /// Whether the rule with this id is in force.
    #[must_use]
    pub fn is_enabled(&self, id: &str) -> bool {
        self.rules.iter().any(|it| it.id == id)
    }

    /// The id that a misspelt one was probably meant to be.
    #[must_use]
    pub fn nearest(&self, id: &str) -> Option<&str> {
        nearest(id, self.all().map(|it| it.id.as_str()))
    }

    /// All rules, those in force first.
    pub fn all(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().chain(&self.disabled)
    }

    /// What is wrong with the examples of patterns, by the reader that logs will have.
    #[must_use]
    pub fn check_examples(&self, sources: &[Source], read: &ReadExample<'_>) -> Vec<RuleProblem> {
        let check = |it: &PatternDef| {
            let source = sources.iter().find(|source| source.name == it.file())?;
            Some(it.check_example(source, read))
        };
        self.patterns.iter().filter_map(check).flatten().collect()
    }

    /// Puts a rule in the place of the one with its id, or at the end.
    pub(crate) fn put(&mut self, rule: Rule, is_enabled: bool) {
        let (into, other) = if is_enabled {
            (&mut self.rules, &mut self.disabled)
        } else {
            (&mut self.disabled, &mut self.rules)
        };
        other.retain(|it| it.id != rule.id);
        match into.iter_mut().find(|it| it.id == rule.id) {
            Some(place) => *place = rule,
            None => into.push(rule),
        }
    }

    /// Switches a rule off; false when there is none with this id.
    pub(crate) fn disable(&mut self, id: &str) -> bool {
        let Some(at) = self.rules.iter().position(|it| it.id == id) else {
            return self.disabled.iter().any(|it| it.id == id);
        };
        let rule = self.rules.remove(at);
        self.disabled.push(rule);
        true
    }
}
