//! One group of a profile as the depth checks read it, and stable numbers for groups.
//!
//! In: a profile and one of its groups. Out: ranks and `ln norm` of the usable layers, and how many were not
//! usable and why. Invariant: no epsilon is ever added to a norm. `ln(x + 1e-12)` turns 8 frozen layers of 24
//! healthy ones into a slope of 4.65x per layer; what has no logarithm is counted and left out.

use crate::model::{Group, Profile, Section};
use crate::stats::{median, median_log, range};

/// Smallest normal number of float32 (and bfloat16). A norm below it is made of rounding.
pub(super) const F32_NORMAL_MIN: f64 = 1.175_494_350_822_287_5e-38;

/// Smallest normal number of float16. Rounding to nearest never takes a product with a factor above 1/2 from a subnormal
/// to zero: it sticks (at 0.8 per layer at 2^-23), and every layer from there on has the same norm.
const F16_NORMAL_MIN: f64 = 6.103_515_625e-5;
/// Neighbours with the same norm to the last bit that make a floor.
const FLOOR_LAYERS_MIN: usize = 3;

/// The end at which the numbers left the format.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LostEnd {
    /// At the input, else at the output.
    pub(super) is_input: bool,
    /// As infinity or NaN, else as zero or subnormal.
    pub(super) is_overflow: bool,
}

/// The usable layers of one group, by depth. Buffers are kept between profiles.
#[derive(Debug, Default)]
pub(super) struct DepthView {
    /// True rank of each usable layer, counted from 0 at the input.
    pub(super) ranks: Vec<f64>,
    /// `ln norm` of each usable layer; empty until [`Self::take_logs`].
    pub(super) logs: Vec<f64>,
    /// The norms of the usable layers.
    norms: Vec<f64>,
    /// Layers of the group, logged or not.
    pub(super) n_layers: usize,
    /// Layers that were NaN or infinite.
    pub(super) n_nonfinite: usize,
    /// Where the numbers left the format, when that is one unbroken run of layers at one end.
    pub(super) lost_end: Option<LostEnd>,
    /// Layers that were zero, smaller than any normal float32, or stuck at the floor of float16.
    pub(super) n_underflow: usize,
}

impl DepthView {
    /// Reads `group` of `profile`.
    pub(super) fn read(&mut self, profile: &Profile<'_>, group: &Group) {
        self.ranks.clear();
        self.logs.clear();
        self.norms.clear();
        self.n_layers = group.members.len();
        self.n_nonfinite = 0;
        self.n_underflow = 0;
        let (mut lost_before, mut lost_after) = (0, 0);
        for (rank, norm) in profile.by_depth(group) {
            if norm.is_finite() && norm >= F32_NORMAL_MIN {
                self.ranks.push(rank as f64);
                self.norms.push(norm);
                // What was lost between usable layers is at neither end.
                lost_before += if self.norms.len() > 1 { lost_after } else { 0 };
                lost_after = 0;
                continue;
            }
            self.n_nonfinite += usize::from(!norm.is_finite());
            self.n_underflow += usize::from(norm.is_finite());
            if self.norms.is_empty() {
                lost_before += 1;
            } else {
                lost_after += 1;
            }
        }
        let (floor_before, floor_after) = self.drop_floor();
        self.lost_end = self.find_lost_end(lost_before + floor_before, lost_after + floor_after);
    }

    /// Leaves out the layers at one end that share the smallest norm of all below float16's normal numbers; gives how
    /// many there were at the input and at the output.
    fn drop_floor(&mut self) -> (usize, usize) {
        let (Some(first), Some(last)) = (self.norms.first(), self.norms.last()) else {
            return (0, 0);
        };
        let floor = first.min(*last);
        if floor >= F16_NORMAL_MIN || self.norms.len() <= FLOOR_LAYERS_MIN {
            return (0, 0);
        }
        let is_input = *first == floor;
        let is_stuck = |norm: &&f64| **norm == floor;
        let n_stuck = if is_input {
            self.norms.iter().take_while(is_stuck).count()
        } else {
            self.norms.iter().rev().take_while(is_stuck).count()
        };
        let n_at_floor = self.norms.iter().filter(|norm| **norm <= floor).count();
        if n_stuck < FLOOR_LAYERS_MIN || n_at_floor > n_stuck || n_stuck == self.norms.len() {
            return (0, 0);
        }
        self.n_underflow += n_stuck;
        if is_input {
            self.norms.drain(..n_stuck);
            self.ranks.drain(..n_stuck);
            (n_stuck, 0)
        } else {
            self.norms.truncate(self.norms.len() - n_stuck);
            self.ranks.truncate(self.norms.len());
            (0, n_stuck)
        }
    }

    fn find_lost_end(&self, before: usize, after: usize) -> Option<LostEnd> {
        let n_lost = self.n_nonfinite + self.n_underflow;
        // Lost layers between usable ones were added to those before, which then do not start the group.
        let first = self.ranks.first().copied().unwrap_or(0.0) as usize;
        let is_prefix = before == n_lost && before == first;
        let is_one_kind = self.n_nonfinite == 0 || self.n_underflow == 0;
        let is_one_end = n_lost > 0 && is_one_kind && (is_prefix || after == n_lost);
        is_one_end.then_some(LostEnd {
            is_input: is_prefix,
            is_overflow: self.n_nonfinite > 0,
        })
    }

    /// Whether a line of this slope runs into the end where the numbers left the format.
    pub(super) fn leads_out(&self, slope: f64) -> bool {
        self.lost_end
            .is_some_and(|end| (slope > 0.0) == (end.is_overflow != end.is_input))
    }

    /// Fills `logs`: most profiles are judged by their range and need only two logarithms.
    pub(super) fn take_logs(&mut self) {
        self.logs.clear();
        self.logs.extend(self.norms.iter().map(|norm| norm.ln()));
    }

    /// True rank and norm of the usable layers.
    pub(super) fn by_rank(&self) -> impl Iterator<Item = (f64, f64)> {
        self.ranks.iter().copied().zip(self.norms.iter().copied())
    }

    /// Number of usable layers.
    pub(super) fn n_usable(&self) -> usize {
        self.norms.len()
    }

    /// Distance between the largest and the smallest `ln norm`; 0 when nothing is usable.
    pub(super) fn log_range(&self) -> f64 {
        if self.norms.is_empty() {
            return 0.0;
        }
        let (low, high) = range(self.norms.iter().copied());
        (high.ln() - low.ln()).max(0.0)
    }

    /// Median `ln norm`.
    pub(super) fn median_log(&self, scratch: &mut Vec<f64>) -> Option<f64> {
        scratch.clear();
        scratch.extend_from_slice(&self.norms);
        median_log(scratch)
    }
}

/// Width of the layers of a group where the log tells their number of elements: the root of a kernel's, the
/// number itself of a bias; the median over the group. `None` when fewer than half are known.
pub(super) fn median_width(profile: &Profile<'_>, group: &Group, scratch: &mut Vec<f64>) -> Option<f64> {
    scratch.clear();
    for slot in group
        .members
        .iter()
        .filter_map(|member| profile.slots.get(*member as usize))
    {
        if let Some(n) = slot.n_elements.filter(|n| n.is_finite() && *n >= 1.0) {
            scratch.push(if slot.layer.is_bias() { n } else { n.sqrt() });
        }
    }
    if scratch.len() * 2 < group.members.len() {
        return None;
    }
    median(scratch)
}

/// Section of a group: that of its first layer.
fn section_of(profile: &Profile<'_>, group: &Group) -> Section {
    group
        .members
        .first()
        .and_then(|member| profile.slots.get(*member as usize))
        .map_or(Section::None, |slot| slot.layer.section)
}

/// Whether the group holds bias gradients, the clean probe of depth.
pub(super) fn is_bias_group(profile: &Profile<'_>, group: &Group) -> bool {
    group
        .members
        .first()
        .and_then(|member| profile.slots.get(*member as usize))
        .is_some_and(|slot| slot.layer.is_bias())
}

/// The group of the same role and section that holds bias gradients, or the one that does not.
pub(super) fn sibling_of<'a>(profile: &Profile<'a>, group: &Group, wants_biases: bool) -> Option<&'a Group> {
    let section = section_of(profile, group);
    profile.groups.iter().find(|other| {
        other.role == group.role
            && section_of(profile, other) == section
            && is_bias_group(profile, other) == wants_biases
    })
}

/// The slots of all groups: what a judgement on the net as a whole is about.
pub(super) fn all_slots(profile: &Profile<'_>) -> Vec<u32> {
    let members = profile.groups.iter().flat_map(|group| &group.members);
    members.copied().collect()
}

/// Experts are width, not depth, and idle ones have no gradient.
pub(super) fn is_expert(group: &Group) -> bool {
    const WORD: &[u8] = b"expert";
    group
        .role
        .as_bytes()
        .windows(WORD.len())
        .any(|part| part.eq_ignore_ascii_case(WORD))
}

#[derive(Debug, PartialEq)]
struct GroupKey {
    quantity: crate::model::Quantity,
    section: Section,
    role: String,
    parameter: Option<String>,
}

/// Numbers for groups that stay the same when new layers appear and the list of groups is built anew.
#[derive(Debug, Default)]
pub(super) struct Subjects {
    keys: Vec<GroupKey>,
}

impl Subjects {
    /// The number of `group`, from 0 in the order of first sight. `place` is its place among the groups of the
    /// profile, where it is looked for first: the list hardly ever changes.
    pub(super) fn number(&mut self, profile: &Profile<'_>, group: &Group, place: usize) -> u32 {
        let section = section_of(profile, group);
        let is_it = |key: &GroupKey| {
            key.quantity == profile.quantity
                && key.section == section
                && key.role == group.role
                && key.parameter == group.parameter
        };
        let known = match self.keys.get(place) {
            Some(key) if is_it(key) => Some(place),
            _ => self.keys.iter().position(is_it),
        };
        let number = known.unwrap_or_else(|| {
            self.keys.push(GroupKey {
                quantity: profile.quantity,
                section,
                role: group.role.clone(),
                parameter: group.parameter.clone(),
            });
            self.keys.len() - 1
        });
        u32::try_from(number).unwrap_or(u32::MAX)
    }
}
