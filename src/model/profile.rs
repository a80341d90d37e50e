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
    /// The values of one group by depth, with the true rank of each layer that was logged.
    pub fn by_depth<'g>(&'g self, group: &'g Group) -> impl Iterator<Item = (usize, f64)> + 'g {
        group.members.iter().enumerate().filter_map(|(rank, slot)| {
            self.values
                .get(*slot as usize)
                .copied()
                .flatten()
                .map(|v| (rank, v))
        })
    }
}
