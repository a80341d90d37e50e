//! One layer that leaves its own past while its siblings stay: a corrupted weight, a broken checkpoint shard.
//!
//! In: profiles of weight or gradient norms. Out: `high` or `low` with the layers. Each layer is compared with
//! the median of its own recent norms, and that change with the changes of its siblings, so that a layer which
//! is large or small by design is never an outlier, nor is a change that all layers share.
//! Invariant: constant memory per layer; while a layer is out, its reference does not follow it.

use super::depth_view::{is_bias_group, is_expert};
use super::{Build, CheckInfo, Context, Judged, Judgement, Observation, ParamInfo, ProfileCheck};
use crate::model::{Family, Group, Profile, Quantity, Severity};
use crate::rules::Rule;
use crate::stats::{mad, median};

/// Declaration for rule files.
pub static INFO: CheckInfo = CheckInfo {
    name: "layer-outlier",
    family: Family::Outlier,
    kinds: &["high", "low"],
    params: PARAMS,
    doc: "ln(norm / median of the layer's last 8 norms), compared with the same change of its siblings by a \
          robust z. A weight that stays out is critical.",
    build: Build::Profile(build),
};

const PARAMS: &[ParamInfo] = &[
    ParamInfo {
        name: "factor",
        default: 5.0,
        min: 1.0,
        max: 1e300,
        doc: "Smallest change against the layer's own past, beyond that of its siblings. Weight norms of healthy \
              runs change by a few per cent from log to log; healthy gradient norms of one layer stay within 3x \
              of their median over three logs except at 1 % in a million steps of noisy runs (6x).",
    },
    ParamInfo {
        name: "z",
        default: 10.0,
        min: 0.0,
        max: 1e6,
        doc: "Smallest robust z among the changes of the siblings; their spread counts as at least 5 %.",
    },
    ParamInfo {
        name: "stays",
        default: 3.0,
        min: 1.0,
        max: 64.0,
        doc: "Consecutive profiles in which the layer must be out.",
    },
    ParamInfo {
        name: "siblings",
        default: 4.0,
        min: 3.0,
        max: 1e6,
        doc: "Layers of a group from which on they are compared.",
    },
];

/// Norms of its own past that a layer is compared with.
const PAST: usize = 8;
/// Norms from which the past is enough.
const PAST_MIN: usize = 6;
/// Profiles after which a new level is accepted as the past: a deliberate change is told once.
const ACCEPTED_AFTER: u8 = 32;
/// Spread of the siblings' changes counts as at least this (ln).
const SPREAD_MIN: f64 = 0.05;

fn build(rule: &Rule) -> Box<dyn ProfileCheck> {
    let get = |name| rule.params.get(name);
    Box::new(LayerOutlier {
        ln_factor: get("factor").ln(),
        z: get("z"),
        stays: get("stays") as u32,
        siblings: get("siblings") as usize,
        pasts: Vec::new(),
        changes: Vec::new(),
        scratch: Vec::new(),
    })
}

/// Recent `ln norm` of one layer, in 32 bits: there are thousands, and 1e-7 is nothing to a factor of five.
#[derive(Debug, Clone, Copy)]
struct Past {
    /// A ring.
    logs: [f32; PAST],
    /// The same by size, infinity where there are none yet: kept sorted, because every profile asks for the
    /// median of every layer.
    sorted: [f32; PAST],
    n: u8,
    next: u8,
    out_run: u8,
}

impl Default for Past {
    fn default() -> Self {
        Self {
            logs: [f32::INFINITY; PAST],
            sorted: [f32::INFINITY; PAST],
            n: 0,
            next: 0,
            out_run: 0,
        }
    }
}

impl Past {
    fn add(&mut self, log: f64) {
        let log = log as f32;
        let place = &mut self.logs[usize::from(self.next) % PAST];
        let oldest = std::mem::replace(place, log);
        self.next = (self.next + 1) % PAST as u8;
        self.n = (self.n + 1).min(PAST as u8);
        // Without branches, which would be mispredicted: out with the oldest, the larger ones move down ...
        for i in 0..PAST - 1 {
            self.sorted[i] = if self.sorted[i] < oldest {
                self.sorted[i]
            } else {
                self.sorted[i + 1]
            };
        }
        self.sorted[PAST - 1] = f32::INFINITY;
        // ... and in with the new one, the larger ones move up.
        let mut carried = log;
        for place in &mut self.sorted {
            let is_below = *place < carried;
            let (low, high) = if is_below {
                (*place, carried)
            } else {
                (carried, *place)
            };
            *place = low;
            carried = high;
        }
    }

    fn median(&self) -> Option<f64> {
        let filled = self.sorted.get(..usize::from(self.n))?;
        if filled.len() < PAST_MIN {
            return None;
        }
        let upper = f64::from(*filled.get(filled.len() / 2)?);
        let lower = f64::from(*filled.get((filled.len() - 1) / 2)?);
        Some(0.5 * lower + 0.5 * upper)
    }
}

struct LayerOutlier {
    ln_factor: f64,
    z: f64,
    stays: u32,
    siblings: usize,
    /// Parallel to the slots of the profile.
    pasts: Vec<Past>,
    changes: Vec<(u32, f64, f64)>,
    scratch: Vec<f64>,
}

impl LayerOutlier {
    /// Slot, `ln norm` and change against its past of each layer of the group that can be judged.
    fn read_changes(&mut self, profile: &Profile<'_>, group: &Group) {
        self.changes.clear();
        for member in &group.members {
            let place = *member as usize;
            let norm = profile.values.get(place).copied().flatten().unwrap_or(0.0);
            let Some(past) = self.pasts.get_mut(place) else {
                continue;
            };
            if !(norm.is_finite() && norm > 0.0) {
                continue;
            }
            let log = norm.ln();
            match past.median() {
                Some(median) => self.changes.push((*member, log, log - median)),
                None => past.add(log),
            }
        }
    }

    /// Judges the layers in `changes`, updates their pasts, and pushes those that are out for long enough.
    fn judge_changes(&mut self, found: &mut Vec<(u32, f64)>) {
        if self
            .changes
            .iter()
            .all(|(_, _, change)| change.abs() < self.ln_factor)
        {
            // None is out whatever the others do; spares two medians in nearly every profile.
            for (member, log, _) in &self.changes {
                if let Some(past) = self.pasts.get_mut(*member as usize) {
                    past.out_run = 0;
                    past.add(*log);
                }
            }
            return;
        }
        self.scratch.clear();
        self.scratch
            .extend(self.changes.iter().map(|(_, _, change)| *change));
        let Some(center) = median(&mut self.scratch) else {
            return;
        };
        let all: Vec<f64> = self.changes.iter().map(|(_, _, change)| *change).collect();
        let spread = 1.4826 * mad(&all, center, &mut self.scratch).unwrap_or(0.0);
        let can_compare = self.changes.len() >= self.siblings;
        let bound = self.ln_factor.max(self.z * spread.max(SPREAD_MIN));
        for (member, log, change) in &self.changes {
            let Some(past) = self.pasts.get_mut(*member as usize) else {
                continue;
            };
            // Both against its siblings and against itself: when most layers fall, the one that stays is fine.
            let excess = change - center;
            let is_out = can_compare && excess.abs() >= bound && change.abs() >= self.ln_factor;
            if !is_out {
                past.out_run = 0;
                past.add(*log);
                continue;
            }
            past.out_run = past.out_run.saturating_add(1);
            if u32::from(past.out_run) >= self.stays {
                found.push((*member, excess));
            }
            if past.out_run >= ACCEPTED_AFTER {
                *past = Past::default();
            }
        }
    }

    fn observation(&self, profile: &Profile<'_>, found: &[(u32, f64)]) -> Option<Observation> {
        let worst = found
            .iter()
            .map(|(_, excess)| *excess)
            .max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
        let kind = if worst > 0.0 { "high" } else { "low" };
        let observation = Observation::new(kind, worst.abs().exp(), self.ln_factor.exp())
            .slots(found.iter().map(|(member, _)| *member).collect())
            .word("direction", if worst > 0.0 { "above" } else { "below" });
        // A weight norm that jumps within a log interval and stays is no step of any optimiser.
        let is_critical = profile.quantity == Quantity::WeightNorm && worst > 0.0;
        Some(if is_critical {
            observation.severity(Severity::Critical)
        } else {
            observation
        })
    }
}

impl ProfileCheck for LayerOutlier {
    fn observe(&mut self, profile: &Profile<'_>, _context: &Context<'_>, out: &mut Vec<Judged>) {
        if self.pasts.len() < profile.slots.len() {
            self.pasts.resize(profile.slots.len(), Past::default());
        }
        let mut found = Vec::new();
        for group in profile.groups {
            // Biases start at zero and grow one by one; experts wake one by one.
            if !is_bias_group(profile, group) && !is_expert(group) {
                self.read_changes(profile, group);
                self.judge_changes(&mut found);
            }
        }
        let judgement = self
            .observation(profile, &found)
            .map_or(Judgement::Good, Judgement::Bad);
        out.push(Judged {
            subject: 0,
            step: profile.step,
            judgement,
        });
    }

    fn rewind(&mut self, _step: i64) {
        // The weights go back to those of a checkpoint: everything is learnt again.
        self.pasts.fill(Past::default());
    }
}

#[cfg(test)]
mod tests {
    use super::INFO;
    use crate::model::{Quantity, Severity};
    use crate::rules::check::profile_fixture::{Net, Noise, World, build, kinds, observations};

    fn weights(norms: &[f64]) -> Net {
        Net::weights(Quantity::WeightNorm, norms)
    }

    fn jumped(factor: f64) -> Net {
        weights(&[8.0, 9.0, 9.5 * factor, 9.0, 300.0, 8.0])
    }

    #[test]
    fn a_weight_that_jumps_and_stays_is_critical_at_the_third_profile() {
        let mut check = build(&INFO, &[]);
        let world = World::default();
        for step in 0..10 {
            assert!(kinds(&world.show(check.as_mut(), &jumped(1.0), step)).is_empty());
        }
        for step in 10..12 {
            assert!(kinds(&world.show(check.as_mut(), &jumped(60.0), step)).is_empty());
        }
        let judged = world.show(check.as_mut(), &jumped(60.0), 12);
        let found = observations(&judged)[0];
        assert_eq!(
            (found.kind, found.severity, found.slots.as_slice()),
            ("high", Some(Severity::Critical), [2].as_slice())
        );
        assert!((found.value - 60.0).abs() < 1e-4);
        // Restored: good at once.
        assert!(kinds(&world.show(check.as_mut(), &jumped(1.0), 13)).is_empty());
    }

    #[test]
    fn bounds_nan_and_short_pasts() {
        let world = World::default();
        let after = |times: i64, net: &Net| {
            let mut check = build(&INFO, &[]);
            for step in 0..times {
                world.show(check.as_mut(), &jumped(1.0), step);
            }
            (0..3)
                .map(|step| kinds(&world.show(check.as_mut(), net, times + step)).len())
                .sum::<usize>()
        };
        assert_eq!(after(10, &jumped(4.9)), 0);
        assert_eq!(after(10, &jumped(5.1)), 1);
        assert_eq!(after(10, &jumped(1.0 / 5.1)), 1);
        assert_eq!(after(5, &jumped(60.0)), 0, "five norms are no past");
        assert_eq!(after(10, &jumped(f64::NAN)), 0);
        assert_eq!(after(10, &jumped(0.0)), 0);
    }

    #[test]
    fn changes_that_all_layers_share_are_no_outlier() {
        let world = World::default();
        let mut check = build(&INFO, &[]);
        for step in 0..60 {
            let shared = if step < 30 { 1.0 } else { 50.0 };
            let net = weights(&[8.0, 9.0, 9.5, 9.0, 300.0, 8.0].map(|norm| norm * shared));
            assert!(
                kinds(&world.show(check.as_mut(), &net, step)).is_empty(),
                "step {step}"
            );
        }
    }

    #[test]
    fn an_accepted_new_level_is_told_only_for_a_while() {
        let world = World::default();
        let mut check = build(&INFO, &[]);
        let mut n_bad = 0;
        for step in 0..200 {
            let net = if step < 20 { jumped(1.0) } else { jumped(60.0) };
            n_bad += kinds(&world.show(check.as_mut(), &net, step)).len();
        }
        assert_eq!(n_bad, 30);
        check.rewind(100);
        assert!(kinds(&world.show(check.as_mut(), &jumped(1.0), 100)).is_empty());
    }

    #[test]
    fn healthy_gradient_noise_is_quiet() {
        // 200 runs of 200 profiles, 12 layers, independent noise of sd .22 (ln) per layer on a common noise of
        // sd .5: no alarm in 480 000 layer profiles.
        let world = World::default();
        for seed in 0..200 {
            let mut noise = Noise::new(seed);
            let mut check = build(&INFO, &[]);
            for step in 0..200 {
                let common = 0.5 * noise.normal();
                let norms: Vec<f64> = (0..12).map(|_| (common + 0.22 * noise.normal()).exp()).collect();
                let net = Net::weights(Quantity::GradNorm, &norms);
                assert!(
                    kinds(&world.show(check.as_mut(), &net, step)).is_empty(),
                    "seed {seed} step {step}"
                );
            }
        }
    }
}
