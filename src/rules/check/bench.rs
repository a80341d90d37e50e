//! For tests of checks: rules with default bounds, runs of made-up points, and noise.
//!
//! In: values. Out: what a check said of each. Invariant: the stream facts are kept as the series part keeps them, so that a
//! check sees what it sees in an audit.

use std::sync::Arc;

use super::{Build, CheckInfo, Context, Judgement, Point, Profiles, SeriesChecks};
use crate::model::{Profile, Quantity, Severity};
use crate::rules::{Params, Rule, SharedBounds};
use crate::series::Facts;

pub(crate) struct NoProfiles;

impl Profiles for NoProfiles {
    fn latest(&self, _quantity: Quantity) -> Option<Profile<'_>> {
        None
    }
}

/// A rule with the check's default bounds but for `changed`.
pub(crate) fn rule(check: &'static CheckInfo, quantity: Quantity, changed: &[(&str, f64)]) -> Rule {
    for (name, _) in changed {
        assert!(check.params.iter().any(|p| p.name == *name), "{name}");
    }
    let value = |p: &super::ParamInfo| {
        changed
            .iter()
            .find(|(name, _)| *name == p.name)
            .map_or(p.default, |it| it.1)
    };
    Rule {
        id: "under-test".to_owned(),
        check,
        family: check.family,
        kind: String::new(),
        quantities: vec![quantity],
        splits: Vec::new(),
        layer: None,
        role: None,
        parameter: Vec::new(),
        tag: None,
        run: None,
        patterns: Arc::default(),
        params: Params(check.params.iter().map(|p| (p.name, value(p))).collect()),
        persistence: (1, 1),
        severity: Severity::Critical,
        summary: String::new(),
        why: String::new(),
        diagnosis: String::new(),
        remedy: Vec::new(),
        false_positives: String::new(),
        origin: String::new(),
        bounds: SharedBounds::default(),
    }
}

/// One series under one check, with the facts of its stream.
pub(crate) struct Bench {
    pub(crate) check: Box<dyn SeriesChecks>,
    pub(crate) facts: Facts,
    pub(crate) said: Vec<(i64, Judgement)>,
    is_loss: bool,
    step: i64,
}

impl Bench {
    pub(crate) fn new(check: &'static CheckInfo, quantity: Quantity, changed: &[(&str, f64)]) -> Self {
        Self::with_severity(check, quantity, changed, Severity::Critical)
    }

    pub(crate) fn with_severity(
        check: &'static CheckInfo,
        quantity: Quantity,
        changed: &[(&str, f64)],
        severity: Severity,
    ) -> Self {
        let mut rule = rule(check, quantity, changed);
        rule.severity = severity;
        let Build::Series(build) = check.build else {
            panic!("not a series check");
        };
        Self {
            check: {
                let mut checks = build(&rule);
                checks.add();
                checks
            },
            facts: Facts {
                first_step: Some(0),
                ..Facts::default()
            },
            said: Vec::new(),
            is_loss: quantity == Quantity::Loss,
            step: 0,
        }
    }

    /// The next point, one step on.
    pub(crate) fn push(&mut self, value: f64) -> Judgement {
        let point = Point::new(self.step, None, value, 0.0);
        if self.is_loss {
            self.facts.loss.add(value);
        }
        self.facts.last_step = Some(self.step);
        self.facts.n_steps += 1;
        let context = Context {
            facts: &self.facts,
            profiles: &NoProfiles,
        };
        let judgement = self.check.observe(0, &point, &context);
        self.said.push((self.step, judgement.clone()));
        self.step += 1;
        judgement
    }

    /// A point with a loss beside it.
    pub(crate) fn push_beside_loss(&mut self, value: f64, loss: f64) -> Judgement {
        self.facts.loss.add(loss);
        self.push(value)
    }

    pub(crate) fn push_all(&mut self, values: impl IntoIterator<Item = f64>) -> &mut Self {
        for value in values {
            self.push(value);
        }
        self
    }

    /// The step of the next point.
    pub(crate) fn set_step(&mut self, step: i64) {
        self.step = step;
    }

    pub(crate) fn rewind(&mut self, step: i64) {
        self.check.rewind(0, step);
        self.step = step;
    }

    pub(crate) fn finish(&mut self) -> Judgement {
        let context = Context {
            facts: &self.facts,
            profiles: &NoProfiles,
        };
        let judgement = self.check.finish(0, &context);
        self.said.push((self.step, judgement.clone()));
        judgement
    }

    /// The severity of the finding in the end, as the engine keeps it.
    pub(crate) fn severity(&self) -> Option<Severity> {
        let (mut settled, mut open) = (None, None);
        for (_, judgement) in &self.said {
            match judgement {
                Judgement::Bad(seen) => open = open.max(Some(seen.severity.unwrap_or(Severity::Critical))),
                Judgement::Healed(most) => {
                    settled = settled.max(open.take().map(|it: Severity| it.min(*most)));
                }
                Judgement::Good | Judgement::Abstain => {}
            }
        }
        settled.max(open)
    }

    /// The first step with an observation of at least this severity.
    pub(crate) fn first(&self, severity: Severity) -> Option<i64> {
        self.said.iter().find_map(|(step, judgement)| match judgement {
            Judgement::Bad(seen) if seen.severity.unwrap_or(Severity::Critical) >= severity => Some(*step),
            _ => None,
        })
    }
}

/// A small generator of noise; the normal is a sum of twelve.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    /// Splitmix64 (Steele, Lea, Flood 2014), the upper 53 bits.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    /// Student t with 4 degrees of freedom: heavy tails as gradient norms have them.
    pub(crate) fn heavy(&mut self) -> f64 {
        let chi: f64 = (0..4).map(|_| self.normal().powi(2)).sum();
        self.normal() / (chi / 4.0).sqrt()
    }
}
