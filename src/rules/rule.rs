//! A rule as the engine uses it: validated, with every bound filled in.
//!
//! In: nothing (the file parser makes it). Out: the value. Invariant: `params` holds exactly the parameters
//! that the check declares, each finite and within its range.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use regex::Regex;

use super::check::CheckInfo;
use crate::model::{Family, Group, Meaning, Profile, Quantity, Severity, Slot, Split};

/// The bounds of one rule, in the order in which its check declares them.
#[derive(Debug, Clone, PartialEq)]
pub struct Params(pub Vec<(&'static str, f64)>);

impl Params {
    /// The value of a declared parameter.
    ///
    /// # Panics
    /// When the check asks for a parameter that it does not declare: a bug of the check, shown by its first
    /// test.
    #[must_use]
    pub fn get(&self, name: &str) -> f64 {
        self.0.iter().find(|(it, _)| *it == name).map_or_else(
            || panic!("parameter `{name}` is not declared by its check"),
            |(_, value)| *value,
        )
    }
}

/// One rule of the set in force.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Permanent name.
    pub id: String,
    /// The detector.
    pub check: &'static CheckInfo,
    /// Family of its findings.
    pub family: Family,
    /// Only this kind of the check's observations; empty = all.
    pub kind: String,
    /// The quantities it looks at.
    pub quantities: Vec<Quantity>,
    /// Only series of these splits; empty = training and unknown.
    pub splits: Vec<Split>,
    /// Only layers whose path matches.
    pub layer: Option<Regex>,
    /// Only layers whose role matches.
    pub role: Option<Regex>,
    /// Only layers with one of these parameters.
    pub parameter: Vec<String>,
    /// Only series whose tag matches.
    pub tag: Option<Regex>,
    /// Only runs whose name matches.
    pub run: Option<Regex>,
    /// Lines that mean trouble (`log-pattern` only). Shared: a compiled expression has memory of its own for searches, and
    /// every run that is followed has all rules.
    pub patterns: Arc<[Regex]>,
    /// The detector's bounds.
    pub params: Params,
    /// Fires when `bad` of the last `of` points were bad.
    pub persistence: (u32, u32),
    /// How urgent; a check may raise or lower it for one observation.
    pub severity: Severity,
    /// One sentence with `{placeholders}`.
    pub summary: String,
    /// Why this matters.
    pub why: String,
    /// What to plot or compare.
    pub diagnosis: String,
    /// What to do, most promising first.
    pub remedy: Vec<String>,
    /// When it is wrong.
    pub false_positives: String,
    /// Where it was read from, e.g. `rules/depth.toml:12`, for `rules show`.
    pub origin: String,
    /// What the checks of all series share.
    pub bounds: SharedBounds,
}

/// The bounds of a rule as its check needs them, made at first use and shared by all series.
///
/// A copy of a rule makes them anew: it is copied to be changed.
#[derive(Debug, Default)]
pub struct SharedBounds(OnceLock<Arc<dyn Any + Send + Sync>>);

impl Clone for SharedBounds {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Rule {
    /// The bounds as `make` reads them from the rule, made once.
    #[must_use]
    pub fn shared<B: Any + Send + Sync>(&self, make: impl Fn(&Self) -> B) -> Arc<B> {
        let kept = self.bounds.0.get_or_init(|| Arc::new(make(self)));
        let of_this_check = Arc::clone(kept).downcast::<B>();
        of_this_check.unwrap_or_else(|_| Arc::new(make(self)))
    }

    /// Whether it looks at runs with this name.
    #[must_use]
    pub fn concerns_run(&self, run: &str) -> bool {
        self.run.as_ref().is_none_or(|it| it.is_match(run))
    }

    /// Whether it looks at this quantity of this split.
    #[must_use]
    pub fn concerns_quantity(&self, quantity: Quantity, split: Split) -> bool {
        // An evaluation loss says its split in its quantity.
        let is_split = match self.splits.as_slice() {
            [] => quantity == Quantity::EvalLoss || matches!(split, Split::Train | Split::Unknown),
            splits => splits.contains(&split),
        };
        is_split && self.quantities.contains(&quantity)
    }

    /// Whether it looks at this series.
    #[must_use]
    pub fn concerns_series(&self, tag: &str, meaning: &Meaning) -> bool {
        if !self.concerns_quantity(meaning.quantity, meaning.split) {
            return false;
        }
        if self.tag.as_ref().is_some_and(|it| !it.is_match(tag)) {
            return false;
        }
        match &meaning.layer {
            Some(layer) => {
                self.layer.as_ref().is_none_or(|it| it.is_match(&layer.path))
                    && self.role.as_ref().is_none_or(|it| it.is_match(&layer.role))
                    && self.wants_parameter(layer.parameter.as_deref())
            }
            None => self.layer.is_none() && self.role.is_none() && self.parameter.is_empty(),
        }
    }

    /// Whether its check, built for `other`, would judge profiles in the very same way: they differ at most in
    /// the kind they want, in persistence and in words.
    #[must_use]
    pub fn is_judged_alike(&self, other: &Self) -> bool {
        let text = |regex: &Option<Regex>| regex.as_ref().map(|it| it.as_str().to_owned());
        std::ptr::eq(self.check, other.check)
            && self.params == other.params
            && self.severity == other.severity
            && self.parameter == other.parameter
            && text(&self.layer) == text(&other.layer)
            && text(&self.role) == text(&other.role)
    }

    /// Whether what it finds in a smoothed series was larger, and began earlier, in the single steps.
    #[must_use]
    pub fn is_blurred_by_smoothing(&self) -> bool {
        matches!(self.family, Family::Loss | Family::Spike)
    }

    /// Whether it wants observations of this kind.
    #[must_use]
    pub fn wants_kind(&self, kind: &str) -> bool {
        self.kind.is_empty() || self.kind == kind
    }

    /// The groups of a profile that its `layer`, `role` and `parameter` leave; `None` when it has none of
    /// these and so takes all.
    #[must_use]
    pub fn filter_groups(&self, profile: &Profile<'_>) -> Option<Vec<Group>> {
        if self.layer.is_none() && self.role.is_none() && self.parameter.is_empty() {
            return None;
        }
        let wants = |slot: Option<&Slot>| {
            slot.is_some_and(|slot| self.layer.as_ref().is_none_or(|it| it.is_match(&slot.layer.path)))
        };
        let wanted = |group: &&Group| {
            self.role.as_ref().is_none_or(|it| it.is_match(&group.role))
                && self.wants_parameter(group.parameter.as_deref())
        };
        Some(
            profile
                .groups
                .iter()
                .filter(wanted)
                .map(|group| {
                    let members = group.members.iter().copied();
                    let members = members
                        .filter(|it| wants(profile.slots.get(*it as usize)))
                        .collect();
                    let experts = group.experts.iter().copied();
                    let experts = experts
                        .filter(|(_, it)| wants(profile.slots.get(*it as usize)))
                        .collect();
                    Group {
                        members,
                        experts,
                        ..group.clone()
                    }
                })
                .collect(),
        )
    }

    fn wants_parameter(&self, parameter: Option<&str>) -> bool {
        self.parameter.is_empty() || self.parameter.iter().any(|it| Some(it.as_str()) == parameter)
    }
}
