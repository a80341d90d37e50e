//! A run in little, to be laid beside another one: its loss and, per layer, its norms.
//!
//! In: points with their meaning. Out: one bounded [`Trace`] per series. Invariants: memory is at most
//! [`LOSS_POINTS_MAX`] points of the loss and [`LAYER_POINTS_MAX`] for each of at most
//! [`LAYERS_MAX`] layers per quantity, whatever the length of the log; the training split alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::primary::loss_rank;
use super::{LAYERS_MAX, SeriesInfo, Tap, Trace};
use crate::model::{Family, Finding, Layer, Quantity, Severity, Split};

/// Points of the loss that are kept: 64 KiB.
pub const LOSS_POINTS_MAX: usize = 4_096;
/// Points of each layer's norm that are kept: 1 KiB, 8 MiB for 1,000 layers with eight series each.
pub const LAYER_POINTS_MAX: usize = 64;

/// One layer's series of one quantity.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerTrace {
    /// The layer.
    pub layer: Layer,
    /// Its points.
    pub trace: Trace,
}

/// The loss that training minimises.
#[derive(Debug, Clone, PartialEq)]
pub struct LossTrace {
    /// Its tag.
    pub tag: Arc<str>,
    /// Its points.
    pub trace: Trace,
    rank: u8,
}

/// A run in little.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Portrait {
    /// The most plainly named training loss.
    pub loss: Option<LossTrace>,
    /// Smallest and largest learning rate that was logged.
    pub learning_rate: Option<(f64, f64)>,
    /// Norms by quantity and layer path, at most [`LAYERS_MAX`] of each quantity.
    pub layers: BTreeMap<Quantity, BTreeMap<String, LayerTrace>>,
    /// The first and the last step.
    pub steps: Option<(i64, i64)>,
}

impl Portrait {
    /// Takes a point.
    pub fn add(&mut self, series: &SeriesInfo, step: i64, value: f64) {
        let meaning = &series.meaning;
        if !matches!(meaning.split, Split::Train | Split::Unknown) {
            return;
        }
        match (meaning.quantity, &meaning.layer) {
            (Quantity::Loss, _) => self.add_loss(series, step, value),
            (Quantity::LearningRate, _) => {
                let (low, high) = self.learning_rate.unwrap_or((value, value));
                self.learning_rate = Some((low.min(value), high.max(value)));
            }
            (quantity, Some(layer)) if quantity.is_per_layer() => {
                self.add_norm(quantity, layer, series, step, value);
            }
            _ => return,
        }
        let (first, last) = self.steps.unwrap_or((step, step));
        self.steps = Some((first.min(step), last.max(step)));
    }

    fn add_loss(&mut self, series: &SeriesInfo, step: i64, value: f64) {
        let rank = loss_rank(&series.tag);
        if self.loss.as_ref().is_none_or(|loss| rank < loss.rank) {
            let trace = Trace::new(LOSS_POINTS_MAX);
            self.loss = Some(LossTrace {
                tag: series.tag.clone(),
                trace,
                rank,
            });
        }
        if let Some(loss) = self.loss.as_mut().filter(|loss| loss.tag == series.tag) {
            loss.trace.add(step, value, series.resolution);
        }
    }

    fn add_norm(&mut self, quantity: Quantity, layer: &Layer, series: &SeriesInfo, step: i64, value: f64) {
        let layers = self.layers.entry(quantity).or_default();
        if let Some(known) = layers.get_mut(layer.path.as_str()) {
            known.trace.add(step, value, series.resolution);
        } else if layers.len() < LAYERS_MAX {
            let mut trace = Trace::new(LAYER_POINTS_MAX);
            trace.add(step, value, series.resolution);
            layers.insert(
                layer.path.clone(),
                LayerTrace {
                    layer: layer.clone(),
                    trace,
                },
            );
        }
    }

    /// A restart superseded everything after `step`.
    pub fn rewind(&mut self, step: i64) {
        if let Some(loss) = &mut self.loss {
            loss.trace.rewind(step);
        }
        self.layers
            .values_mut()
            .flat_map(BTreeMap::values_mut)
            .for_each(|it| it.trace.rewind(step));
    }

    /// Takes what this one lacks from another stream of the same run.
    pub fn join(&mut self, other: Self) {
        let is_plainer = |loss: &LossTrace| self.loss.as_ref().is_none_or(|own| loss.rank < own.rank);
        if other.loss.as_ref().is_some_and(is_plainer) {
            self.loss = other.loss;
        }
        self.learning_rate = self.learning_rate.or(other.learning_rate);
        for (quantity, layers) in other.layers {
            let own = self.layers.entry(quantity).or_default();
            for (path, trace) in layers {
                own.entry(path).or_insert(trace);
            }
        }
        let (own, others) = (self.steps, other.steps);
        self.steps = match (own, others) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
    }

    /// Whether there is anything to compare.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.loss.is_none() && self.layers.is_empty()
    }

    /// Whether the learning rate was 0 throughout; `None` when it was not logged.
    #[must_use]
    pub fn is_at_rate_zero(&self) -> Option<bool> {
        self.learning_rate.map(|(low, high)| low == 0.0 && high == 0.0)
    }

    /// The layers with a norm of this quantity.
    pub fn of(&self, quantity: Quantity) -> impl Iterator<Item = (&str, &LayerTrace)> {
        self.layers
            .get(&quantity)
            .into_iter()
            .flatten()
            .map(|(path, trace)| (path.as_str(), trace))
    }
}

/// Trouble that another run has by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// Family of the finding.
    pub family: Family,
    /// Its kind.
    pub kind: &'static str,
    /// The rule that found it.
    pub rule: String,
    /// What it said.
    pub message: String,
}

/// A run that others are compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// Its name as people see it.
    pub name: String,
    /// The run in little.
    pub portrait: Portrait,
    /// What is wrong with it.
    pub troubles: Vec<Trouble>,
}

impl Baseline {
    /// A run with these findings as a baseline. Its troubles are those that a learning rate of 0 tells apart.
    #[must_use]
    pub fn new(name: String, portrait: Portrait, findings: &[Finding]) -> Self {
        let is_trouble = |family| matches!(family, Family::Nonfinite | Family::Depth);
        let troubles = findings
            .iter()
            .filter(|it| is_trouble(it.family) && it.severity >= Severity::Warning && !it.is_superseded)
            .map(|it| Trouble {
                family: it.family,
                kind: it.kind,
                rule: it.rule.clone(),
                message: it.message.clone(),
            })
            .collect();
        Self {
            name,
            portrait,
            troubles,
        }
    }
}

/// Draws the portrait of the stream that it listens to.
#[derive(Debug, Clone, Default)]
pub struct PortraitTap(Arc<Mutex<Portrait>>);

impl PortraitTap {
    /// The portrait so far, which the tap loses.
    #[must_use]
    pub fn take(&self) -> Portrait {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tap for PortraitTap {
    fn point(&mut self, _id: u32, series: &SeriesInfo, step: i64, _wall_time: Option<f64>, value: f64) {
        let mut portrait = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        portrait.add(series, step, value);
    }
    fn rewind(&mut self, _id: u32, step: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rewind(step);
    }
}
