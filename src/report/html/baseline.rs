//! The run that others are compared with, as the page reads it.
//!
//! In: a baseline. Out: one JSON text: its loss, and its layers over a few steps. Invariant: at most
//! [`LOSS_POINTS`] points of the loss and [`CELLS_MAX`] cells, whatever the baseline.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::quads::Scale;
use crate::model::Quantity;
use crate::report::json::number;
use crate::series::{Baseline, LayerTrace, Trace};

/// Points of the loss.
const LOSS_POINTS: usize = 512;
/// Cells of all layers; 4 bytes each.
const CELLS_MAX: usize = 260_000;
/// Steps at which layers are shown.
const STEPS_MAX: usize = 64;

pub(super) fn baseline(baseline: &Baseline) -> Value {
    let portrait = &baseline.portrait;
    let n_layers: usize = portrait.layers.values().map(BTreeMap::len).sum();
    let n_steps = (CELLS_MAX / n_layers.max(1)).clamp(1, STEPS_MAX);
    json!({
        "name": baseline.name,
        "loss": portrait.loss.as_ref().map(|it| loss(&it.tag, &it.trace)),
        "grids": portrait.layers.keys().map(|it| grid(*it, &portrait.of(*it).collect::<Vec<_>>(), n_steps)).collect::<Vec<_>>(),
    })
}

fn loss(tag: &str, trace: &Trace) -> Value {
    let points = trace.points();
    let every = points.len().div_ceil(LOSS_POINTS).max(1);
    // The last one is worth more than an even distance.
    let is_shown = |index: usize| index.is_multiple_of(every) || index + 1 == points.len();
    let shown = || points.iter().enumerate().filter(|(index, _)| is_shown(*index));
    json!({
        "tag": tag,
        "steps": shown().map(|(_, it)| it.0).collect::<Vec<_>>(),
        "values": shown().map(|(_, it)| number(it.1)).collect::<Vec<_>>(),
    })
}

/// Layers by steps: traces of one run keep the same steps, because what is kept depends on the step alone.
fn grid(quantity: Quantity, layers: &[(&str, &LayerTrace)], n_steps: usize) -> Value {
    let steps: BTreeSet<i64> = layers
        .iter()
        .flat_map(|(_, it)| it.trace.points())
        .map(|it| it.0)
        .collect();
    let every = steps.len().div_ceil(n_steps).max(1);
    let steps: Vec<i64> = steps.into_iter().step_by(every).collect();
    let values = || layers.iter().flat_map(|(_, it)| it.trace.points()).map(|it| it.1);
    let scale = Scale::of(values());
    let mut cells = String::with_capacity(4 * layers.len() * steps.len());
    for (_, layer) in layers {
        for step in &steps {
            scale.write(value_at(&layer.trace, *step), &mut cells);
        }
    }
    json!({
        "quantity": quantity.as_str(),
        "steps": steps,
        "layers": layers.iter().map(|it| it.0).collect::<Vec<_>>(),
        "scale": scale.json(),
        "cells": cells,
    })
}

fn value_at(trace: &Trace, step: i64) -> Option<f64> {
    let at = trace.points().binary_search_by_key(&step, |it| it.0).ok()?;
    trace.points().get(at).map(|it| it.1)
}

#[cfg(test)]
mod tests {
    use super::super::quads::read;
    use super::baseline;
    use crate::extract::understand;
    use crate::series::{Baseline, Portrait, SeriesInfo};

    #[test]
    fn layers_come_back_at_their_steps() {
        let series = |tag: &str| SeriesInfo::new(tag, understand(tag));
        let mut portrait = Portrait::default();
        for step in 0..1_000 {
            portrait.add(
                &series("train/loss"),
                step,
                if step == 7 { f64::NAN } else { 2.0 },
            );
            for layer in 0..20 {
                let tag = format!("grad_norm/blocks.{layer}.weight");
                portrait.add(&series(&tag), step, f64::from(layer + 1) + 0.001 * step as f64);
            }
        }
        let page = baseline(&Baseline::new("twin".to_owned(), portrait, &[]));
        assert_eq!(page["name"], "twin");
        let grid = &page["grids"][0];
        let steps = grid["steps"].as_array().unwrap();
        assert!((8..=64).contains(&steps.len()), "{}", steps.len());
        let cells = read(grid["cells"].as_str().unwrap(), &grid["scale"]);
        assert_eq!(cells.len(), 20 * steps.len());
        for (row, layer) in grid["layers"].as_array().unwrap().iter().enumerate() {
            let depth: f64 = layer
                .as_str()
                .unwrap()
                .split('.')
                .nth(1)
                .unwrap()
                .parse()
                .unwrap();
            for (column, step) in steps.iter().enumerate() {
                let wanted = depth + 1.0 + 0.001 * step.as_f64().unwrap();
                let found = cells[row * steps.len() + column].unwrap();
                assert!((found / wanted - 1.0).abs() < 1e-5, "{layer} at {step}: {found}");
            }
        }
        let loss = page["loss"]["values"].as_array().unwrap();
        assert!(loss.len() <= 513 && loss.iter().filter(|it| **it == 2.0).count() > 100);
    }
}
