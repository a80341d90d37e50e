//! Profiles for the tests of the depth checks.
//!
//! In: norms per layer. Out: rules with default bounds, profiles, contexts, and deterministic normal noise.
//! Invariant: a test states every number that it judges; nothing here depends on a clock or a global state.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Build, CheckInfo, Context, Judged, Judgement, Observation, ProfileCheck, Profiles};
use crate::model::{DepthOrder, Group, Layer, Position, Profile, Quantity, Section, Severity, Slot, Split};
use crate::rules::{Params, Rule, SharedBounds};
use crate::series::Facts;

/// The rule with a check's default bounds, some of them replaced.
pub(super) fn rule(info: &'static CheckInfo, bounds: &[(&'static str, f64)]) -> Rule {
    let value = |name: &str, default: f64| {
        bounds
            .iter()
            .find(|(it, _)| *it == name)
            .map_or(default, |(_, value)| *value)
    };
    Rule {
        id: info.name.to_owned(),
        check: info,
        family: info.family,
        kind: String::new(),
        quantities: Vec::new(),
        splits: Vec::new(),
        layer: None,
        role: None,
        parameter: Vec::new(),
        tag: None,
        run: None,
        patterns: Arc::default(),
        params: Params(
            info.params
                .iter()
                .map(|it| (it.name, value(it.name, it.default)))
                .collect(),
        ),
        persistence: (1, 1),
        severity: Severity::Warning,
        summary: String::new(),
        why: String::new(),
        diagnosis: String::new(),
        remedy: Vec::new(),
        false_positives: String::new(),
        origin: String::new(),
        bounds: SharedBounds::default(),
    }
}

/// The check that this rule builds.
pub(super) fn build(info: &'static CheckInfo, bounds: &[(&'static str, f64)]) -> Box<dyn ProfileCheck> {
    match info.build {
        Build::Profile(build) => build(&rule(info, bounds)),
        Build::Series(_) | Build::Stream(_) => panic!("not a profile check"),
    }
}

/// Layers and groups of a net, and the norms of one quantity.
#[derive(Debug, Clone)]
pub(super) struct Net {
    pub(super) quantity: Quantity,
    pub(super) slots: Vec<Slot>,
    pub(super) groups: Vec<Group>,
    pub(super) values: Vec<Option<f64>>,
}

impl Net {
    /// A net of one quantity without layers.
    pub(super) fn new(quantity: Quantity) -> Self {
        Self {
            quantity,
            slots: Vec::new(),
            groups: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Adds a group of layers with these norms, input first.
    pub(super) fn group(mut self, role: &str, parameter: &str, norms: &[f64]) -> Self {
        let first = self.slots.len() as u32;
        for (depth, norm) in (0..).zip(norms) {
            self.slots.push(Slot {
                layer: Arc::new(Layer {
                    path: format!("{}.{parameter}", role.replace('#', &format!("{depth}"))),
                    section: Section::None,
                    position: Position::Body,
                    depth: vec![depth],
                    role: role.to_owned(),
                    parameter: Some(parameter.to_owned()),
                }),
                n_elements: None,
                resolution: 0.0,
                is_estimate: false,
            });
            self.values.push(Some(*norm));
        }
        self.groups.push(Group {
            role: role.to_owned(),
            parameter: Some(parameter.to_owned()),
            order: DepthOrder::Named,
            members: (first..first + norms.len() as u32).collect(),
            experts: Vec::new(),
        });
        self
    }

    /// One group of weights.
    pub(super) fn weights(quantity: Quantity, norms: &[f64]) -> Self {
        Self::new(quantity).group("layers.#", "weight", norms)
    }

    /// With the number of elements of every layer.
    pub(super) fn elements(mut self, n_elements: f64) -> Self {
        for slot in &mut self.slots {
            slot.n_elements = Some(n_elements);
        }
        self
    }

    /// With numbers that were printed with this resolution.
    pub(super) fn resolution(mut self, resolution: f64) -> Self {
        for slot in &mut self.slots {
            slot.resolution = resolution;
        }
        self
    }

    /// The profile at `step`.
    pub(super) fn at(&self, step: i64) -> Profile<'_> {
        Profile {
            quantity: self.quantity,
            split: Split::Train,
            step,
            wall_time: None,
            slots: &self.slots,
            values: &self.values,
            groups: &self.groups,
        }
    }
}

/// What a stream is known to be, as the checks may ask for it.
#[derive(Default)]
pub(super) struct World {
    pub(super) facts: Facts,
    pub(super) latest: BTreeMap<&'static str, Net>,
}

impl World {
    /// With losses.
    pub(super) fn losses(mut self, losses: &[f64]) -> Self {
        for loss in losses {
            self.facts.loss.add(*loss);
        }
        self
    }

    /// With the last closed profile of another quantity.
    pub(super) fn latest(mut self, net: Net) -> Self {
        self.latest.insert(net.quantity.as_str(), net);
        self
    }

    /// Shows `net` at `step` to the check.
    pub(super) fn show(&self, check: &mut dyn ProfileCheck, net: &Net, step: i64) -> Vec<Judged> {
        let mut out = Vec::new();
        check.observe(
            &net.at(step),
            &Context {
                facts: &self.facts,
                profiles: self,
            },
            &mut out,
        );
        out
    }
}

impl Profiles for World {
    fn latest(&self, quantity: Quantity) -> Option<Profile<'_>> {
        self.latest.get(quantity.as_str()).map(|net| net.at(0))
    }
}

/// The observations among judgements.
pub(super) fn observations(judged: &[Judged]) -> Vec<&Observation> {
    judged
        .iter()
        .filter_map(|it| match &it.judgement {
            Judgement::Bad(observation) => Some(observation),
            Judgement::Good | Judgement::Healed(_) | Judgement::Abstain => None,
        })
        .collect()
}

/// The kinds that were observed.
pub(super) fn kinds(judged: &[Judged]) -> Vec<&'static str> {
    observations(judged).iter().map(|it| it.kind).collect()
}

/// Deterministic standard normal numbers: `SplitMix64` and the Box-Muller transform.
pub(super) struct Noise(u64);

impl Noise {
    /// A sequence of its own for each seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D)
    }

    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The next number.
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Norms of a geometric profile: `first * ratio^k`.
pub(super) fn geometric(first: f64, ratio: f64, n: usize) -> Vec<f64> {
    (0..n).map(|k| first * ratio.powi(k as i32)).collect()
}
