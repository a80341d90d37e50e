//! Training that has become slower.
//!
//! In: a throughput (larger is faster) or the time of a step. Out: bad while a block of points is slower than the usual
//! block by more than blocks usually differ. Invariants: constant memory; what is slow is not learnt as usual until it has
//! lasted as long as what it is compared with; a number that only goes up (elapsed time, a running mean) is not judged.
//!
//! A block is 20 points, its speed their median: checkpoints, evaluations and single hiccups do not move it. The usual
//! speed is the median of the last 25 blocks, 500 points. Large jobs are steady within 1.5 % (BLOOM-176B), a machine that
//! is shared is not: there the bound follows the spread of the blocks.

use std::sync::Arc;

use super::{Build, CheckInfo, Context, Judgement, Observation, ParamInfo, Point, SeriesCheck, each};
use crate::model::{Family, Severity};
use crate::rules::Rule;
use crate::stats::change::median_and_scale;
use crate::stats::window::{Window, upper_median};

/// The check.
pub static INFO: CheckInfo = CheckInfo {
    name: "throughput",
    family: Family::Throughput,
    kinds: &[],
    params: &[
        ParamInfo {
            name: "ratio",
            default: 1.3,
            min: 1.0,
            max: 1e9,
            doc: "how many times slower than usual; twenty times the spread of a steady job",
        },
        ParamInfo {
            name: "spreads",
            default: 6.0,
            min: 0.0,
            max: 1e6,
            doc: "and so many robust standard deviations of the usual blocks: normal blocks reach it in 1 of 1e9, those of \
                  a shared machine with its heavy tails in few of 1e4",
        },
        ParamInfo {
            name: "blocks",
            default: 5.0,
            min: 3.0,
            max: 25.0,
            doc: "usual blocks of 20 points before anything is judged: a spread of fewer is not known",
        },
        ParamInfo {
            name: "larger_is_slower",
            default: 0.0,
            min: 0.0,
            max: 1.0,
            doc: "1 for a time per step, 0 for a rate",
        },
    ],
    doc: "The median of each 20 points against the median of the 25 blocks of 20 points before, beyond their spread.",
    build: Build::Series(|rule| each(Throughput::new(rule))),
};

/// Points of a block.
const BLOCK_POINTS: usize = 20;
/// Blocks that are usual.
const USUAL_BLOCKS: usize = 25;
/// Slow blocks in a row after which slow is usual, and a faster time does not make it undone: as long as what was usual.
const ACCEPTED_BLOCKS: u32 = USUAL_BLOCKS as u32;
/// Slow blocks that are a passing trouble when the speed comes back: 100 points.
const PASSING_BLOCKS: u32 = 5;
/// A number of which so large a share of the steps goes up does not measure a speed.
const RISING_SHARE: f64 = 0.95;

struct Bounds {
    ln_ratio: f64,
    spreads: f64,
    blocks: usize,
    larger_is_slower: bool,
}

#[derive(Clone)]
struct Throughput {
    bounds: Arc<Bounds>,
    /// `ln` of the time per step up to a constant.
    block: Vec<f32>,
    usual: Window,
    last: f64,
    n: u32,
    n_rises: u32,
    slow_blocks: u32,
}

impl Throughput {
    fn new(rule: &Rule) -> Self {
        Self {
            bounds: rule.shared(|rule| Bounds {
                ln_ratio: rule.params.get("ratio").ln(),
                spreads: rule.params.get("spreads"),
                blocks: rule.params.get("blocks") as usize,
                larger_is_slower: rule.params.get("larger_is_slower") >= 0.5,
            }),
            block: Vec::new(),
            usual: Window::new(USUAL_BLOCKS),
            last: f64::NAN,
            n: 0,
            n_rises: 0,
            slow_blocks: 0,
        }
    }

    fn only_rises(&self) -> bool {
        f64::from(self.n_rises) >= RISING_SHARE * f64::from(self.n.saturating_sub(1))
    }

    /// The `ln` time of a full block, if it is full now.
    fn add(&mut self, value: f64, ln: f64) -> Option<f64> {
        self.n = self.n.saturating_add(1);
        self.n_rises = self.n_rises.saturating_add(u32::from(value > self.last));
        self.last = value;
        let ln_time = if self.bounds.larger_is_slower { ln } else { -ln };
        self.block.push(ln_time as f32);
        if self.block.len() < BLOCK_POINTS {
            return None;
        }
        let mut values: Vec<f64> = self.block.drain(..).map(f64::from).collect();
        upper_median(&mut values)
    }

    fn judge(&mut self, now: f64, point: &Point) -> Judgement {
        let Some((usual, scale)) = median_and_scale(self.usual.values()).filter(|_| self.may_judge()) else {
            self.usual.push(now);
            return Judgement::Abstain;
        };
        let slower = now - usual;
        if slower < self.bounds.ln_ratio.max(self.bounds.spreads * scale) {
            self.usual.push(now);
            let slow_blocks = std::mem::take(&mut self.slow_blocks);
            return if (1..=PASSING_BLOCKS).contains(&slow_blocks) {
                Judgement::Healed(Severity::Info)
            } else {
                Judgement::Good
            };
        }
        self.slow_blocks += 1;
        if self.slow_blocks >= ACCEPTED_BLOCKS {
            self.usual.clear();
            self.slow_blocks = 0;
        }
        let speed = |ln_time: f64| {
            if self.bounds.larger_is_slower {
                ln_time
            } else {
                -ln_time
            }
            .exp()
        };
        Judgement::Bad(
            Observation::new("", point.value, speed(usual + self.bounds.ln_ratio))
                .word("times", format!("{:.1}", slower.exp()))
                .word("now", format!("{:.4}", speed(now)))
                .word("usual", format!("{:.4}", speed(usual))),
        )
    }

    fn may_judge(&self) -> bool {
        self.usual.len() >= self.bounds.blocks && !self.only_rises()
    }
}

impl SeriesCheck for Throughput {
    fn observe(&mut self, point: &Point, _context: &Context<'_>) -> Judgement {
        // nanoGPT prints -100 for a utilisation that it does not know yet.
        if !(point.value > 0.0 && point.value.is_finite()) {
            return Judgement::Abstain;
        }
        match self.add(point.value, point.ln) {
            Some(now) => self.judge(now, point),
            None => Judgement::Abstain,
        }
    }

    fn rewind(&mut self, _step: i64) {
        // Another start may be on another machine.
        self.block.clear();
        self.usual.clear();
        self.last = f64::NAN;
        self.n = 0;
        self.n_rises = 0;
        self.slow_blocks = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::INFO;
    use crate::model::{Quantity, Severity};
    use crate::rules::check::Judgement;
    use crate::rules::check::bench::{Bench, Noise};

    fn times() -> Bench {
        let rising = [("larger_is_slower", 1.0)];
        Bench::with_severity(&INFO, Quantity::StepTime, &rising, Severity::Warning)
    }

    fn steady(seed: u64, level: f64, n: usize) -> Vec<f64> {
        let mut noise = Noise(seed);
        (0..n).map(|_| level * (0.015 * noise.normal()).exp()).collect()
    }

    #[test]
    fn a_job_that_becomes_slower_is_told_within_two_blocks() {
        let mut bench = times();
        bench
            .push_all(steady(1, 105.0, 310))
            .push_all(steady(2, 160.0, 100));
        assert!((310..350).contains(&bench.first(Severity::Warning).unwrap_or(0)));
        let mut rate = Bench::with_severity(&INFO, Quantity::Throughput, &[], Severity::Warning);
        rate.push_all(steady(1, 4_000.0, 310))
            .push_all(steady(2, 2_500.0, 100));
        assert_eq!(rate.first(Severity::Warning), bench.first(Severity::Warning));
        // A fifth slower, or faster, is not.
        for factor in [1.2, 0.5] {
            let mut bench = times();
            bench
                .push_all(steady(1, 105.0, 310))
                .push_all(steady(2, factor * 105.0, 200));
            assert_eq!(bench.severity(), None);
        }
    }

    #[test]
    fn checkpoints_and_evaluations_are_no_slowness() {
        let mut bench = times();
        for (i, time) in steady(3, 1.0, 2_000).into_iter().enumerate() {
            bench.push(if i % 50 < 8 { 30.0 } else { time });
        }
        assert_eq!(bench.severity(), None);
    }

    #[test]
    fn a_shared_machine_is_judged_by_its_own_spread() {
        let mut alarms = 0;
        for seed in 0..100 {
            let (mut noise, mut load) = (Noise(seed), 0.0);
            let mut bench = times();
            for _ in 0..2_000 {
                load = 0.98 * load + 0.06 * noise.normal();
                bench.push((load + 0.2 * noise.heavy()).exp());
            }
            // The rule asks for two blocks in a row.
            let blocks = || bench.said.iter().filter(|it| it.1 != Judgement::Abstain);
            let is_bad = |it: &&(i64, Judgement)| matches!(it.1, Judgement::Bad(_));
            alarms += u32::from(
                blocks()
                    .zip(blocks().skip(1))
                    .any(|(a, b)| is_bad(&a) && is_bad(&b)),
            );
        }
        assert!(alarms <= 2, "{alarms} of 100");
    }

    #[test]
    fn what_passes_is_a_note_and_what_stays_becomes_usual() {
        let mut bench = times();
        bench
            .push_all(steady(1, 1.0, 300))
            .push_all(steady(2, 3.0, 60))
            .push_all(steady(3, 1.0, 60));
        assert_eq!(bench.severity(), Some(Severity::Info));
        let mut bench = times();
        bench
            .push_all(steady(1, 1.0, 300))
            .push_all(steady(2, 3.0, 2_000));
        let last = bench.said.iter().rev().find(|it| it.1 != Judgement::Abstain);
        assert_eq!(last.map(|it| it.1.clone()), Some(Judgement::Good));
        assert!(bench.severity() >= Some(Severity::Warning), "it was told");
    }

    #[test]
    fn elapsed_time_unknown_values_and_short_logs_are_not_judged() {
        let mut elapsed = times();
        elapsed.push_all((1..1_000).map(f64::from));
        assert_eq!(elapsed.severity(), None);
        let mut short = times();
        short.push_all(steady(1, 1.0, 70)).push_all(steady(2, 3.0, 30));
        assert_eq!(short.severity(), None);
        let mut unknown = times();
        unknown
            .push_all([-100.0, 0.0, f64::NAN])
            .push_all(steady(1, 1.0, 200));
        assert_eq!(unknown.severity(), None);
        let mut restarted = times();
        restarted.push_all(steady(1, 1.0, 300));
        restarted.rewind(200);
        restarted.push_all(steady(2, 3.0, 200));
        assert_eq!(restarted.severity(), None);
    }
}
