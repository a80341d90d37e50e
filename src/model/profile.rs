//! One quantity at one step over all layers, ordered by depth.
//!
//! In: nothing. Out: borrowed views that the profile checks read. Invariant: `values` is parallel to `slots`;
//! `None` is a layer that was not logged at this step, NaN is a layer that was NaN.

use std::sync::Arc;

use super::quantity::words;
use super::{Layer, Quantity, Split};

words! {
    /// How the order of layers by depth is known.
    DepthOrder {
        Named = "named",
        FirstSeen = "first-seen",
        Unknown = "unknown",
    }
}

/// One layer's place in a profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// The layer.
    pub layer: Arc<Layer>,
    /// Number of elements where the log tells it (histograms).
    pub n_elements: Option<f64>,
    /// Smallest step of the printed decimals, 0 when not limited.
    pub resolution: f64,
    /// Whether its values are estimates.
    pub is_estimate: bool,
}

/// Layers that may be compared with each other: one section, role and parameter, in depth order.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The role, e.g. `blocks.#.mlp.fc1`; for layers without an index a common name.
    pub role: String,
    /// The parameter, `weight`, `bias` ...
    pub parameter: Option<String>,
    /// How the order is known.
    pub order: DepthOrder,
    /// Indices into the profile's slots, from the input to the output. Embeddings and heads are left out.
    pub members: Vec<u32>,
    /// A member and a further expert beside it (width, not depth), both as indices into the slots, in the order of the
    /// members' indices.
    pub experts: Vec<(u32, u32)>,
}

/// One quantity of one split at one step.
#[derive(Debug, Clone, Copy)]
pub struct Profile<'a> {
    /// The quantity.
    pub quantity: Quantity,
    /// The split.
    pub split: Split,
    /// The step.
    pub step: i64,
    /// Unix seconds of the last value.
    pub wall_time: Option<f64>,
    /// All layers of the quantity, in the order of first appearance.
    pub slots: &'a [Slot],
    /// The values, parallel to `slots`; `None` = not logged at this step.
    pub values: &'a [Option<f64>],
    /// The groups of comparable layers.
    pub groups: &'a [Group],
}

impl Profile<'_> {
    /// The values of one group by depth, with the true rank of each layer that was logged. Of the experts of a layer the
    /// median stands for it.
    pub fn by_depth<'g>(&'g self, group: &'g Group) -> impl Iterator<Item = (usize, f64)> + 'g {
        group.members.iter().enumerate().filter_map(|(rank, slot)| {
            let value = if group.experts.is_empty() {
                self.value(*slot)
            } else {
                self.median_expert(group, *slot)
            };
            value.map(|it| (rank, it))
        })
    }

    fn value(&self, slot: u32) -> Option<f64> {
        self.values.get(slot as usize).copied().flatten()
    }

    /// The (upper) median of the experts that had something to do: an idle one has a gradient of zero, a NaN is found in
    /// its own series. When none is usable, what the first one shows.
    fn median_expert(&self, group: &Group, member: u32) -> Option<f64> {
        let start = group.experts.partition_point(|(of, _)| *of < member);
        let others = group
            .experts
            .iter()
            .skip(start)
            .take_while(|(of, _)| *of == member);
        let all = std::iter::once(member).chain(others.map(|(_, expert)| *expert));
        let mut logged = all.filter_map(|slot| self.value(slot)).peekable();
        let first = logged.peek().copied();
        let mut usable: Vec<f64> = logged.filter(|it| it.is_finite() && *it > 0.0).collect();
        usable.sort_by(f64::total_cmp);
        usable.get(usable.len() / 2).copied().or(first)
    }
}
