//! The layers of a stream in the order of depth, for people.
//!
//! In: assemblers. Out: layer names from the input to the output, and how their order is known. Invariant:
//! embeddings come first, heads last; a layer that was logged under several quantities is listed once.

use std::collections::HashSet;

use super::Assembler;
use crate::model::{DepthOrder, Position, Profile, Slot};

/// The layers of all quantities in depth order, and how that order is known.
pub fn layers_by_depth<'a>(assemblers: impl Iterator<Item = &'a mut Assembler>) -> (DepthOrder, Vec<String>) {
    let mut slots: Vec<Slot> = Vec::new();
    let mut seen = HashSet::new();
    let mut order = DepthOrder::Unknown;
    for assembler in assemblers {
        for group in assembler.groups().iter().filter(|it| it.members.len() > 1) {
            order = better(order, group.order);
        }
        slots.extend(
            assembler
                .slots()
                .iter()
                .filter(|it| seen.insert(it.layer.path.clone()))
                .cloned(),
        );
    }
    // A stable sort: layers of equal depth stay in the order in which the writer listed them.
    slots.sort_by(|a, b| place(a).cmp(&place(b)));
    (order, slots.into_iter().map(|it| it.layer.path.clone()).collect())
}

fn place(slot: &Slot) -> (Position, &[u32]) {
    (slot.layer.position, slot.layer.depth.as_slice())
}

fn better(a: DepthOrder, b: DepthOrder) -> DepthOrder {
    match (a, b) {
        (DepthOrder::Named, _) | (_, DepthOrder::Named) => DepthOrder::Named,
        (DepthOrder::FirstSeen, _) | (_, DepthOrder::FirstSeen) => DepthOrder::FirstSeen,
        _ => DepthOrder::Unknown,
    }
}

/// Layer names and values of these slots of a profile, in the order given.
#[must_use]
pub fn evidence(profile: &Profile<'_>, slots: &[u32]) -> Vec<(String, f64)> {
    slots
        .iter()
        .filter_map(|slot| {
            let name = profile.slots.get(*slot as usize)?.layer.path.clone();
            let value = profile.values.get(*slot as usize).copied().flatten()?;
            Some((name, value))
        })
        .collect()
}
