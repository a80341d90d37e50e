//! The layers of two runs: whether weights moved, whether gradients differ.
//!
//! In: two portraits. Out: one row per layer of the run. Invariant: a layer is compared with the layer of the
//! same path; what was not logged is `None`, never "no".

use std::collections::BTreeMap;

use crate::model::{Layer, Position, Quantity};
use crate::series::{LayerTrace, Portrait, Trace};
use crate::stats::mean_test;

/// Two-sided probability and effect from which a norm counts as different.
const P_MAX: f64 = 0.005;
const EFFECT_MIN: f64 = 0.01;

/// A norm of one layer beside the baseline's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormComparison {
    /// Geometric mean of run / baseline over the later half of the common steps.
    pub ratio: f64,
    /// Whether it differs beyond chance, by at least 1 %.
    pub differs: bool,
}

/// One layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerComparison {
    /// Its path.
    pub path: String,
    /// Its weight norm at the first and at the last logged step.
    pub weight: Option<(f64, f64)>,
    /// Largest update norm that was logged.
    pub update: Option<f64>,
    /// Whether its weights moved: by their norm beyond its digits, or by an update norm above 0.
    pub has_moved: Option<bool>,
    /// Whether the baseline's weights moved by their norm.
    pub baseline_has_moved: Option<bool>,
    /// Its gradient beside the baseline's.
    pub gradient: Option<NormComparison>,
    /// Its activation beside the baseline's.
    pub activation: Option<NormComparison>,
}

pub(super) fn compare(run: &Portrait, baseline: &Portrait) -> Vec<LayerComparison> {
    let mut layers: BTreeMap<&str, &Layer> = BTreeMap::new();
    for quantity in [
        Quantity::WeightNorm,
        Quantity::GradNorm,
        Quantity::UpdateNorm,
        Quantity::ActivationNorm,
    ] {
        layers.extend(run.of(quantity).map(|(path, it)| (path, &it.layer)));
    }
    let mut ordered: Vec<(&str, &Layer)> = layers.into_iter().collect();
    ordered.sort_by(|a, b| by_depth(a.1).cmp(&by_depth(b.1)));
    ordered
        .into_iter()
        .map(|(path, _)| row(path, run, baseline))
        .collect()
}

fn by_depth(layer: &Layer) -> (Position, &str, &[u32], &str) {
    (layer.position, layer.section.as_str(), &layer.depth, &layer.path)
}

fn row(path: &str, run: &Portrait, baseline: &Portrait) -> LayerComparison {
    let of = |portrait: &Portrait, quantity| portrait.layers.get(&quantity)?.get(path).cloned();
    let weight = of(run, Quantity::WeightNorm);
    let update = of(run, Quantity::UpdateNorm).and_then(|it| largest(&it.trace));
    let norm_moved = weight
        .as_ref()
        .filter(|it| it.trace.points().len() > 1)
        .map(|it| it.trace.has_moved());
    let has_moved = match (norm_moved, update) {
        (Some(true), _) => Some(true),
        (norm, Some(update)) => Some(update > 0.0 || norm == Some(true)),
        (norm, None) => norm,
    };
    let theirs = of(baseline, Quantity::WeightNorm).filter(|it| it.trace.points().len() > 1);
    LayerComparison {
        path: path.to_owned(),
        weight: weight.and_then(|it| Some((it.trace.first?.1, it.trace.last?.1))),
        update,
        has_moved,
        baseline_has_moved: theirs.map(|it| it.trace.has_moved()),
        gradient: norms(of(run, Quantity::GradNorm), of(baseline, Quantity::GradNorm)),
        activation: norms(
            of(run, Quantity::ActivationNorm),
            of(baseline, Quantity::ActivationNorm),
        ),
    }
}

/// The largest value; a NaN counts as larger than every number.
fn largest(trace: &Trace) -> Option<f64> {
    trace
        .points()
        .iter()
        .map(|(_, value)| *value)
        .max_by(f64::total_cmp)
}

fn norms(run: Option<LayerTrace>, baseline: Option<LayerTrace>) -> Option<NormComparison> {
    let pairs = run?.trace.pairs(&baseline?.trace);
    let late = pairs.get(pairs.len() / 2..)?;
    if late.is_empty() {
        return None;
    }
    let zeros = (
        late.iter().filter(|it| it.1 == 0.0).count(),
        late.iter().filter(|it| it.2 == 0.0).count(),
    );
    let logs: Vec<f64> = late
        .iter()
        .filter(|it| it.1 > 0.0 && it.2 > 0.0)
        .map(|it| (it.1 / it.2).ln())
        .collect();
    if logs.is_empty() {
        // All zeros on one side at least.
        return Some(NormComparison {
            ratio: if zeros.0 > 0 { 0.0 } else { f64::INFINITY },
            differs: zeros.0 != zeros.1,
        });
    }
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    let differs = mean_test(&logs).is_some_and(|test| test.p < P_MAX) && mean.abs() >= EFFECT_MIN;
    Some(NormComparison {
        ratio: mean.exp(),
        differs,
    })
}
