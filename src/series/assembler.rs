//! Points of many layers to profiles: one quantity of one split at one step.
//!
//! In: values of layers as they come. Out: a [`Profile`] when the step moves on. Invariants: at most
//! [`LAYERS_MAX`] layers; a profile is closed once; the groups hold the layers in depth order.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::model::{DepthOrder, Group, Position, Profile, Quantity, Section, Slot, Split};

/// Layers of one quantity beyond which further ones are not part of profiles.
pub const LAYERS_MAX: usize = 16_384;

/// Collects one profile at a time.
#[derive(Debug, Clone)]
pub struct Assembler {
    quantity: Quantity,
    split: Split,
    slots: Vec<Slot>,
    groups: Vec<Group>,
    groups_are_stale: bool,
    current: Values,
    closed: Values,
}

#[derive(Debug, Default, Clone)]
struct Values {
    step: Option<i64>,
    wall_time: Option<f64>,
    by_slot: Vec<Option<f64>>,
}

impl Assembler {
    /// An assembler without layers.
    #[must_use]
    pub fn new(quantity: Quantity, split: Split) -> Self {
        Self {
            quantity,
            split,
            slots: Vec::new(),
            groups: Vec::new(),
            groups_are_stale: false,
            current: Values::default(),
            closed: Values::default(),
        }
    }

    /// The quantity and the split.
    #[must_use]
    pub fn key(&self) -> (Quantity, Split) {
        (self.quantity, self.split)
    }

    /// Adds a layer; `None` beyond [`LAYERS_MAX`].
    pub fn add_slot(&mut self, slot: Slot) -> Option<u32> {
        if self.slots.len() >= LAYERS_MAX {
            return None;
        }
        self.slots.push(slot);
        self.current.by_slot.push(None);
        self.closed.by_slot.push(None);
        self.groups_are_stale = true;
        Some(self.slots.len() as u32 - 1)
    }

    /// Gives room back that was kept for further layers.
    pub fn trim(&mut self) {
        self.slots.shrink_to_fit();
        self.current.by_slot.shrink_to_fit();
        self.closed.by_slot.shrink_to_fit();
    }

    /// Whether a value at `step` would close the profile that is being collected.
    #[must_use]
    pub fn would_close(&self, step: i64) -> bool {
        self.current.step.is_some_and(|current| current != step)
    }

    /// The step that is being collected.
    #[must_use]
    pub fn current_step(&self) -> Option<i64> {
        self.current.step
    }

    /// Takes a value. The caller closes first when [`Self::would_close`].
    pub fn put(&mut self, slot: u32, step: i64, wall_time: Option<f64>, value: f64) {
        self.current.step = Some(step);
        self.current.wall_time = wall_time.or(self.current.wall_time);
        if let Some(place) = self.current.by_slot.get_mut(slot as usize) {
            *place = Some(value);
        }
    }

    /// Closes the profile that is being collected; `None` when there is none.
    pub fn close(&mut self) -> Option<Profile<'_>> {
        self.current.step?;
        if self.groups_are_stale {
            self.groups = group_by_role(&self.slots);
            self.groups_are_stale = false;
        }
        std::mem::swap(&mut self.current, &mut self.closed);
        self.current.step = None;
        self.current.wall_time = None;
        self.current.by_slot.fill(None);
        self.latest()
    }

    /// Whether a restart at `step` supersedes what is being collected or was closed last. What is collected at
    /// `step` itself is already the new attempt's.
    #[must_use]
    pub fn is_superseded_by(&self, step: i64) -> bool {
        self.current.step.map_or_else(
            || self.closed.step.is_some_and(|it| it >= step),
            |current| current > step,
        )
    }

    /// Drops what is being collected and forgets the last closed profile when it is superseded.
    pub fn rewind(&mut self, step: i64) {
        if self.current.step.is_some_and(|it| it >= step) {
            self.current.step = None;
            self.current.by_slot.fill(None);
        }
        if self.closed.step.is_some_and(|it| it >= step) {
            self.closed.step = None;
        }
    }

    /// The last closed profile.
    #[must_use]
    pub fn latest(&self) -> Option<Profile<'_>> {
        let step = self.closed.step?;
        Some(Profile {
            quantity: self.quantity,
            split: self.split,
            step,
            wall_time: self.closed.wall_time,
            slots: &self.slots,
            values: &self.closed.by_slot,
            groups: &self.groups,
        })
    }

    /// The layers.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The groups of the layers known now, made anew.
    #[must_use]
    pub fn grouped(&self) -> Vec<Group> {
        group_by_role(&self.slots)
    }

    /// The groups of the layers known now.
    pub fn groups(&mut self) -> &[Group] {
        if self.groups_are_stale {
            self.groups = group_by_role(&self.slots);
            self.groups_are_stale = false;
        }
        &self.groups
    }
}

/// Layers by section, role and parameter, each group in depth order.
fn group_by_role(slots: &[Slot]) -> Vec<Group> {
    let mut groups: BTreeMap<(Section, String, Option<String>), Vec<u32>> = BTreeMap::new();
    let mut unnumbered: BTreeMap<(Section, Option<String>), Vec<u32>> = BTreeMap::new();
    for (index, slot) in (0_u32..).zip(slots) {
        let layer = &slot.layer;
        if layer.position != Position::Body {
            continue;
        }
        let parameter = layer.parameter.clone();
        if !layer.depth.is_empty() {
            groups
                .entry((layer.section, layer.role.clone(), parameter))
                .or_default()
                .push(index);
        } else if !layer.role.contains('#') {
            unnumbered
                .entry((layer.section, parameter))
                .or_default()
                .push(index);
        }
    }
    let mut out: Vec<Group> = groups
        .into_iter()
        .map(|((_, role, parameter), members)| {
            let (members, experts) = by_depth(members, slots);
            Group {
                role,
                parameter,
                order: DepthOrder::Named,
                members,
                experts,
            }
        })
        .collect();
    out.extend(
        unnumbered
            .into_iter()
            .filter(|(_, members)| members.len() > 1)
            .map(|((_, parameter), members)| {
                let order = order_of_names(&members, slots);
                Group {
                    role: "(names without numbers)".to_owned(),
                    parameter,
                    order,
                    members,
                    experts: Vec::new(),
                }
            }),
    );
    out
}

/// The layers of a group in the order of depth, and with which of them the further experts go.
fn by_depth(mut all: Vec<u32>, slots: &[Slot]) -> (Vec<u32>, Vec<(u32, u32)>) {
    let layer = |index: u32| slots.get(index as usize).map(|slot| &slot.layer);
    let depth = |index: u32| layer(index).map(|it| it.depth.as_slice());
    all.sort_by(|a, b| depth(*a).cmp(&depth(*b)));
    let (mut members, mut experts): (Vec<u32>, Vec<(u32, u32)>) = (Vec::new(), Vec::new());
    for index in all {
        let same = members
            .last()
            .copied()
            .filter(|last| depth(*last) == depth(index));
        let Some(member) = same else {
            members.push(index);
            continue;
        };
        // Else the same layer under two tags (`a/norm`, `a/l2`): the first one stands for it.
        let is_expert = layer(index)
            .zip(layer(member))
            .is_some_and(|(a, b)| a.path != b.path && a.role.contains("expert"));
        if is_expert {
            experts.push((member, index));
        }
    }
    experts.sort_unstable();
    (members, experts)
}

/// A writer's loop lists layers from the input to the output; a sorted format lists them by name. When the
/// order of appearance is the sorted order the log cannot tell which it was.
fn order_of_names(members: &[u32], slots: &[Slot]) -> DepthOrder {
    let name = |index: &u32| {
        slots
            .get(*index as usize)
            .map_or("", |slot| slot.layer.path.as_str())
    };
    let is_sorted = members.windows(2).all(|pair| match pair {
        [a, b] => name(a).cmp(name(b)) != Ordering::Greater,
        _ => true,
    });
    if is_sorted {
        DepthOrder::Unknown
    } else {
        DepthOrder::FirstSeen
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Layer;

    fn slot(path: &str, depth: &[u32], role: &str) -> Slot {
        let layer = Layer {
            path: path.to_owned(),
            section: Section::None,
            position: Position::Body,
            depth: depth.to_vec(),
            role: role.to_owned(),
            parameter: Some("weight".to_owned()),
        };
        Slot {
            layer: Arc::new(layer),
            n_elements: None,
            resolution: 0.0,
            is_estimate: false,
        }
    }

    #[test]
    fn a_profile_closes_when_the_step_moves_on() {
        let mut assembler = Assembler::new(Quantity::GradNorm, Split::Train);
        for depth in [10, 2, 1] {
            assembler.add_slot(slot(&format!("h.{depth}"), &[depth], "h.#"));
        }
        for (slot, value) in [(0, 10.0), (1, 2.0), (2, 1.0)] {
            assert!(!assembler.would_close(5));
            assembler.put(slot, 5, None, value);
        }
        assert!(assembler.would_close(6));
        let profile = assembler.close().unwrap();
        let values: Vec<_> = profile.by_depth(&profile.groups[0]).collect();
        assert_eq!(values, [(0, 1.0), (1, 2.0), (2, 10.0)]);
        assert!(assembler.close().is_none(), "a profile is closed once");
    }

    #[test]
    fn of_experts_the_median_stands_for_the_layer() {
        let mut assembler = Assembler::new(Quantity::GradNorm, Split::Train);
        for depth in 0..3 {
            for expert in 0..4 {
                let path = format!("h.{depth}.experts.{expert}.w1");
                assembler.add_slot(slot(&path, &[depth], "h.#.experts.#.w1"));
            }
        }
        // One busy expert, an idle one, a broken one; a layer all of whose experts are idle; one that logs only the last.
        let norms = [1.0, 0.0, f64::NAN, 9.0, 0.0, 0.0, 0.0, 0.0];
        for (index, norm) in (0..).zip(norms) {
            assembler.put(index, 1, None, norm);
        }
        assembler.put(11, 1, None, 5.0);
        let profile = assembler.close().unwrap();
        let values: Vec<_> = profile.by_depth(&profile.groups[0]).collect();
        assert_eq!(values, [(0, 9.0), (1, 0.0), (2, 5.0)]);
        assert_eq!(profile.groups[0].members, [0, 4, 8]);
    }

    #[test]
    fn missing_layers_keep_their_rank() {
        let mut assembler = Assembler::new(Quantity::GradNorm, Split::Train);
        for depth in 0..4 {
            assembler.add_slot(slot(&format!("h.{depth}"), &[depth], "h.#"));
        }
        assembler.put(3, 1, None, 7.0);
        assembler.put(1, 1, None, f64::NAN);
        let profile = assembler.close().unwrap();
        let ranks: Vec<_> = profile
            .by_depth(&profile.groups[0])
            .map(|(rank, _)| rank)
            .collect();
        assert_eq!(ranks, [1, 3]);
    }

    #[test]
    fn names_without_numbers_are_ordered_by_appearance_unless_sorted() {
        let mut assembler = Assembler::new(Quantity::GradNorm, Split::Train);
        for name in ["stem", "conv_a", "head_b"] {
            assembler.add_slot(slot(name, &[], name));
        }
        assert_eq!(assembler.groups()[0].order, DepthOrder::FirstSeen);
        let mut sorted = Assembler::new(Quantity::GradNorm, Split::Train);
        for name in ["a", "b", "c"] {
            sorted.add_slot(slot(name, &[], name));
        }
        assert_eq!(sorted.groups()[0].order, DepthOrder::Unknown);
    }
}
