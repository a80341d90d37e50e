//! Layers that have stopped learning: a gradient of exactly zero, or one far below that of all siblings.
//!
//! In: profiles of gradient norms. Out: `dead`, `frozen-or-dead` where the log cannot tell the two apart, and
//! `faint`. What is a death is read from the shape of the zeros: nothing flows through a dead layer, so in a
//! stack the zeros fill the input end. A lone zero between live layers is an idle expert, a frozen part or a
//! branch, and stays an `info`. Invariant: a printed zero proves nothing below the printed resolution, and
//! after a NaN nothing is said.

use super::depth_view::is_expert;
use super::{Build, CheckInfo, Context, Judged, Judgement, Observation, ParamInfo, ProfileCheck};
use crate::model::{Family, Group, Profile, Severity, Slot};
use crate::rules::Rule;
use crate::stats::{median, range};

/// Declaration for rule files.
pub static INFO: CheckInfo = CheckInfo {
    name: "dead-layer",
    family: Family::Dead,
    kinds: KINDS,
    params: PARAMS,
    doc: "A gradient norm that is exactly zero for several logs in a row, in a way that its own past makes \
          improbable, from the input end of a stack upward; or a norm a million times below the median of its \
          siblings, with a gap between. Critical when more than half of the layers are dead.",
    build: Build::Profile(build),
};

const KINDS: &[&str] = &["dead", "frozen-or-dead", "faint"];

const PARAMS: &[ParamInfo] = &[
    ParamInfo {
        name: "logs",
        default: 3.0,
        min: 1.0,
        max: 1e6,
        doc: "Consecutive profiles with an exact zero (as AllZero and UnchangedTensor of SageMaker Debugger do).",
    },
    ParamInfo {
        name: "chance",
        default: 1e-4,
        min: 0.0,
        max: 1.0,
        doc: "A run of zeros counts when a layer that was zero in this share of its past logs (Laplace's rule) \
              would show such a run less often than this: sparse embeddings and experts are zero at times.",
    },
    ParamInfo {
        name: "critical_share",
        default: 0.5,
        min: 0.0,
        max: 1.0,
        doc: "Share of dead layers above which the finding is critical.",
    },
    ParamInfo {
        name: "faint_ratio",
        default: 1e-6,
        min: 0.0,
        max: 1.0,
        doc: "Norm relative to the median of the siblings (early blocks of healthy nets differ by 20x at most).",
    },
    ParamInfo {
        name: "faint_logs",
        default: 10.0,
        min: 1.0,
        max: 1e6,
        doc: "Consecutive profiles with a faint norm.",
    },
];

/// Training losses after which a net whose gradients were all zero from the start is judged.
const LOSSES_MIN: u64 = 8;
/// A loss that fell by less than this share has not moved.
const LOSS_MOVED_SHARE: f64 = 0.03;
/// Profiles after which zeros at the input end beside a loss that has not moved are no longer called frozen.
const PATIENCE_LOGS: u32 = 20;
/// Profiles from which layers without any gradient so far are worth a line: rare tokens come late.
const UNDECIDED_LOGS: u64 = 10;
/// Logs with a gradient that make a life; with fewer, a run of zeros must last for `PATIENCE_LOGS`.
const LIVED_LOGS: u32 = 5;
/// Profiles after a NaN in which zeros that begin are its work: a `ReLU` turns NaN into zero in some frameworks.
const NEAR_NAN_LOGS: u64 = 3;
/// Fewest siblings with a gradient that make a median to compare with.
const FAINT_SIBLINGS_MIN: usize = 6;
/// A printed zero is a zero only beside numbers this many times the printed resolution.
const RESOLUTION_MARGIN: f64 = 1e3;
/// Vanishing is graded from layer to layer; a faint layer stands below a gap.
const FAINT_GAP: f64 = 1e3;

fn build(rule: &Rule) -> Box<dyn ProfileCheck> {
    let get = |name| rule.params.get(name);
    Box::new(DeadLayer {
        logs: get("logs") as u32,
        ln_chance: get("chance").max(f64::MIN_POSITIVE).ln(),
        critical_share: get("critical_share"),
        faint_ratio: get("faint_ratio"),
        faint_logs: get("faint_logs") as u32,
        lives: Vec::new(),
        n_profiles: 0,
        nonfinite_since: None,
        nonfinite_profile: None,
        has_zero_runs: false,
        has_faint_runs: false,
        scratch: Vec::new(),
    })
}

/// What is remembered of one layer.
#[derive(Debug, Clone, Copy, Default)]
struct Life {
    logs: u32,
    zeros: u32,
    zero_run: u32,
    faint_run: u32,
    /// The present run of zeros began beside a NaN: poison, not death.
    is_poisoned: bool,
    /// Largest norm so far.
    peak: f64,
}

impl Life {
    fn add(&mut self, norm: f64, is_near_nan: bool) {
        self.logs = self.logs.saturating_add(1);
        if norm == 0.0 {
            self.is_poisoned |= is_near_nan && self.zero_run == 0;
            self.zeros = self.zeros.saturating_add(1);
            self.zero_run = self.zero_run.saturating_add(1);
        } else {
            self.zero_run = 0;
            self.is_poisoned = false;
            self.peak = self.peak.max(norm);
        }
    }

    fn has_lived(&self) -> bool {
        self.peak > 0.0
    }

    /// Too short a life before the present run of zeros to tell a death from a rare use.
    fn is_young(&self) -> bool {
        let lived = self.logs.saturating_sub(self.zeros);
        lived < LIVED_LOGS && self.zero_run < PATIENCE_LOGS
    }

    /// `ln` of the chance of the present run of zeros for a layer that is zero as often as this one was before.
    fn ln_chance(&self) -> f64 {
        let run = self.zero_run;
        let before = f64::from(self.logs.saturating_sub(run));
        let zeros_before = f64::from(self.zeros.saturating_sub(run));
        f64::from(run) * ((zeros_before + 1.0) / (before + 2.0)).ln()
    }
}

struct DeadLayer {
    logs: u32,
    ln_chance: f64,
    critical_share: f64,
    faint_ratio: f64,
    faint_logs: u32,
    /// Parallel to the slots of the profile.
    lives: Vec<Life>,
    n_profiles: u64,
    /// First step with a NaN as known so far, and the number of the profile that learnt of it.
    nonfinite_since: Option<i64>,
    nonfinite_profile: Option<u64>,
    /// Whether any layer is in a run of zeros now.
    has_zero_runs: bool,
    /// Whether any layer may be in a run of faint norms.
    has_faint_runs: bool,
    scratch: Vec<f64>,
}

/// The slots of one profile, sorted by what they show.
#[derive(Debug, Default)]
struct Survey {
    n_judged: usize,
    n_alive: usize,
    died: Vec<u32>,
    never_lived: Vec<u32>,
    lone: Vec<u32>,
    faint: Vec<u32>,
}

impl DeadLayer {
    fn remember(&mut self, profile: &Profile<'_>, context: &Context<'_>) {
        self.n_profiles += 1;
        if context.facts.nonfinite_since != self.nonfinite_since {
            self.nonfinite_since = context.facts.nonfinite_since;
            self.nonfinite_profile = self.nonfinite_since.map(|_| self.n_profiles);
        }
        let is_near_nan = self
            .nonfinite_profile
            .is_some_and(|it| self.n_profiles - it < NEAR_NAN_LOGS);
        if self.lives.len() < profile.slots.len() {
            self.lives.resize(profile.slots.len(), Life::default());
        }
        self.has_zero_runs = false;
        for (life, norm) in self.lives.iter_mut().zip(profile.values) {
            if let Some(norm) = norm {
                life.add(*norm, is_near_nan);
            }
            self.has_zero_runs |= life.zero_run > 0;
        }
    }

    fn survey(&mut self, profile: &Profile<'_>) -> Survey {
        let mut survey = Survey::default();
        let groups = || profile.groups.iter().filter(|group| !is_expert(group));
        groups().for_each(|group| self.mark_faint(profile, group, &mut survey));
        if !self.has_zero_runs && survey.faint.is_empty() {
            // All is well, and nobody asks how many layers were judged.
            return survey;
        }
        for group in groups() {
            let mut typical = None;
            let mut is_input_end = true;
            for member in &group.members {
                let place = *member as usize;
                let (Some(&life), Some(slot)) = (self.lives.get(place), profile.slots.get(place)) else {
                    continue;
                };
                if life.logs == 0 || life.is_poisoned {
                    continue;
                }
                survey.n_judged += 1;
                if life.zero_run == 0 {
                    survey.n_alive += 1;
                    is_input_end = false;
                    continue;
                }
                let is_long = life.zero_run >= self.logs;
                if is_long
                    && proves_zero(
                        slot,
                        &life,
                        *typical.get_or_insert_with(|| self.typical_peak(group)),
                    )
                {
                    self.file(*member, &life, is_input_end, &mut survey);
                } else {
                    is_input_end = false;
                }
            }
        }
        survey
    }

    fn file(&self, member: u32, life: &Life, is_input_end: bool, survey: &mut Survey) {
        if !life.has_lived() {
            survey.never_lived.push(member);
        } else if life.ln_chance() > self.ln_chance || life.is_young() {
            survey.n_alive += 1;
        } else if is_input_end {
            survey.died.push(member);
        } else {
            survey.lone.push(member);
        }
    }

    fn typical_peak(&mut self, group: &Group) -> f64 {
        self.scratch.clear();
        let peaks = group
            .members
            .iter()
            .filter_map(|member| self.lives.get(*member as usize))
            .map(|it| it.peak);
        self.scratch.extend(peaks);
        median(&mut self.scratch).unwrap_or(0.0)
    }

    fn mark_faint(&mut self, profile: &Profile<'_>, group: &Group, survey: &mut Survey) {
        let norms = || {
            profile
                .by_depth(group)
                .map(|(_, norm)| norm)
                .filter(|norm| *norm > 0.0)
        };
        if norms().nth(FAINT_SIBLINGS_MIN - 1).is_none() {
            return;
        }
        let (low, high) = range(norms());
        // The median is at most the largest: spares it in nearly every profile.
        if low >= self.faint_ratio * high && !self.has_faint_runs {
            return;
        }
        self.has_faint_runs = true;
        self.scratch.clear();
        self.scratch.extend(norms());
        let bound = self.faint_ratio * median(&mut self.scratch).unwrap_or(0.0);
        let (mut largest_faint, mut next) = (0.0_f64, f64::INFINITY);
        for norm in &self.scratch {
            if *norm < bound {
                largest_faint = largest_faint.max(*norm);
            } else {
                next = next.min(*norm);
            }
        }
        let has_gap = largest_faint * FAINT_GAP < next;
        for member in &group.members {
            let place = *member as usize;
            let norm = profile.values.get(place).copied().flatten().unwrap_or(0.0);
            let Some(life) = self.lives.get_mut(place) else {
                continue;
            };
            let is_faint = has_gap && norm > 0.0 && norm < bound;
            life.faint_run = if is_faint {
                life.faint_run.saturating_add(1)
            } else {
                0
            };
            if life.faint_run >= self.faint_logs {
                survey.faint.push(*member);
            }
        }
    }

    /// Layers with a past that are zero from the input end upward, or a net that never had a gradient at all.
    fn dead(&self, survey: &Survey, context: &Context<'_>) -> Option<Observation> {
        let all_from_start = survey.n_alive == 0 && survey.never_lived.len() >= 2 && survey.died.is_empty();
        if all_from_start {
            return is_stuck(context).then(|| self.observation("dead", &survey.never_lived, survey, true));
        }
        if !survey.died.is_empty() {
            // A live net in which layers die keeps those that never lived in the count of the dead.
            let n_dead = survey.died.len() + survey.lone.len() + survey.never_lived.len();
            if keeps_its_gain(context) {
                return None;
            }
            let is_most = n_dead as f64 > self.critical_share * survey.n_judged as f64;
            return Some(self.observation("dead", &survey.died, survey, is_most));
        }
        let is_many = survey.never_lived.len() * 4 >= survey.n_judged && !survey.never_lived.is_empty();
        let is_late = self.n_profiles >= u64::from(PATIENCE_LOGS) && is_stuck(context);
        (is_many && is_late).then(|| self.observation("dead", &survey.never_lived, survey, false))
    }

    fn undecided(&self, survey: &Survey) -> Option<Observation> {
        if self.n_profiles < UNDECIDED_LOGS {
            return None;
        }
        let mut slots = survey.never_lived.clone();
        slots.extend(&survey.died);
        slots.extend(&survey.lone);
        slots.sort_unstable();
        (!slots.is_empty()).then(|| {
            self.observation("frozen-or-dead", &slots, survey, false)
                .severity(Severity::Info)
        })
    }

    fn observation(
        &self,
        kind: &'static str,
        slots: &[u32],
        survey: &Survey,
        is_critical: bool,
    ) -> Observation {
        let share = slots.len() as f64 / survey.n_judged.max(1) as f64;
        let observation = Observation::new(kind, share, self.critical_share)
            .slots(slots.to_vec())
            .word("dead", slots.len().to_string())
            .word("judged", survey.n_judged.to_string());
        if is_critical {
            observation.severity(Severity::Critical)
        } else {
            observation
        }
    }
}

impl ProfileCheck for DeadLayer {
    fn observe(&mut self, profile: &Profile<'_>, context: &Context<'_>, out: &mut Vec<Judged>) {
        let is_poisoned = profile.values.iter().flatten().any(|norm| !norm.is_finite());
        if is_poisoned {
            self.rewind(profile.step);
            out.push(Judged {
                subject: 0,
                step: profile.step,
                judgement: Judgement::Abstain,
            });
            return;
        }
        self.remember(profile, context);
        let survey = self.survey(profile);
        let dead = self.dead(&survey, context);
        let undecided = if dead.is_some() {
            None
        } else {
            self.undecided(&survey)
        };
        let faint =
            (!survey.faint.is_empty()).then(|| self.observation("faint", &survey.faint, &survey, false));
        for (subject, observation) in (0..).zip([dead, undecided, faint]) {
            let judgement = observation.map_or(Judgement::Good, Judgement::Bad);
            out.push(Judged {
                subject,
                step: profile.step,
                judgement,
            });
        }
    }

    fn rewind(&mut self, _step: i64) {
        for life in &mut self.lives {
            life.zero_run = 0;
            life.faint_run = 0;
        }
        self.has_faint_runs = false;
    }
}

/// A zero that was printed with few decimals is only known to be small.
fn proves_zero(slot: &Slot, life: &Life, typical_peak: f64) -> bool {
    let witness = if life.has_lived() { life.peak } else { typical_peak };
    slot.resolution == 0.0 || witness >= RESOLUTION_MARGIN * slot.resolution
}

/// The loss still has more than half of what it had gained. Nothing of the input passes a dead layer, so the
/// output is constant and the loss goes back to where it began; layers that are frozen on purpose cost nothing.
fn keeps_its_gain(context: &Context<'_>) -> bool {
    let loss = &context.facts.loss;
    let (Some(initial), Some(best), Some(current)) = (loss.initial, loss.best, loss.current) else {
        return false;
    };
    // A hinge loss of exactly zero has no gradient left, whenever it got there.
    current == 0.0 || loss.fell_share() > LOSS_MOVED_SHARE && initial - current > 0.5 * (initial - best)
}

/// The loss is known and has not moved since the start.
fn is_stuck(context: &Context<'_>) -> bool {
    context.facts.loss.n >= LOSSES_MIN && context.facts.loss.fell_share() < LOSS_MOVED_SHARE
}

#[cfg(test)]
mod tests;
