//! What the divergence check remembers of a loss: its start, its best, its noise, its usual rises.
//!
//! In: finite losses. Out: the levels and the noise that the bounds are made of. Invariant: constant size.

use super::{POINTS_MIN, SWING_SHARE};
use crate::model::Severity;
use crate::stats::bins::Bins;
use crate::stats::level::Stray;
use crate::stats::window::Window;

/// A loss "fell" when it lost a tenth of its start, and three standard deviations.
const FELL_SHARE: f64 = 0.1;
const FELL_NOISES: f64 = 3.0;
/// How long such a rise is remembered.
const RISE_MEMORY_POINTS: f64 = 1024.0;
/// The highest rise that is taken for nature: by 70 %, or half of the fall. Beyond it stood a spike, and
/// the next one is news again.
const HEALED_MAX_LN: f64 = 0.55;
const HEALED_MAX_SHARE: f64 = 0.5;
/// Points whose median is the initial loss: few, because the loss falls fastest at its start.
const START_POINTS: usize = 3;
/// Smoothing of the best loss, in points.
const SMOOTH: usize = 9;
/// Bins of the loss for the slow creep.
const BINS: usize = 32;
/// Alternations in a row: by chance (2/3)^24, 6e-5, before the swing must also grow.
const SWINGS: u32 = 24;
/// Of these, so many give the size at the start.
const FIRST_SWINGS: u32 = 8;
/// Growth of the swing over them, and its size in shares of the loss.
const SWING_GROWTH: f64 = 4.0;
/// How many improvements of the best loss are kept for a restart.
const TRAIL_MAX: usize = 16;

#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) n: u64,
    /// Whether a restart went back to a step of this series.
    pub(super) is_resumed: bool,
    pub(super) last_step: i64,
    pub(super) start: Window,
    pub(super) initial: Option<(i64, f64)>,
    /// Improvements of the best smoothed loss, with their steps; thinned.
    pub(super) best: Vec<(i64, f64)>,
    pub(super) last_five: Window,
    pub(super) smooth: Window,
    /// Medians of the two windows, taken once for each point.
    five_median: Option<f64>,
    smooth_median: Option<f64>,
    pub(super) lowest: f64,
    /// Of `ln loss`, or of the loss where it may be negative.
    pub(super) stray: Stray,
    /// The highest rise above the best since it last came back, and the highest that came back (fading).
    pub(super) rise_now: f64,
    pub(super) rise_healed: f64,
    /// Whether the loss ever fell, rather than wandered.
    pub(super) has_fallen: bool,
    pub(super) bad_points: u32,
    /// Points in bounds since the last that was not.
    pub(super) good_points: u32,
    pub(super) medians_before: [f64; 5],
    pub(super) said: Option<Severity>,
    pub(super) bins: Bins<BINS>,
    pub(super) creep: Option<(f64, f64)>,
    pub(super) swing: Swing,
}

/// Alternating differences in a row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Swing {
    pub(super) last: f64,
    pub(super) last_difference: f64,
    pub(super) count: u32,
    pub(super) first_size: f64,
    pub(super) size: f64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            n: 0,
            is_resumed: false,
            last_step: i64::MIN,
            start: Window::new(START_POINTS),
            initial: None,
            best: Vec::new(),
            last_five: Window::new(5),
            smooth: Window::new(SMOOTH),
            five_median: None,
            smooth_median: None,
            lowest: f64::INFINITY,
            stray: Stray::default(),
            rise_now: 0.0,
            rise_healed: 0.0,
            has_fallen: false,
            bad_points: 0,
            good_points: 0,
            medians_before: [f64::INFINITY; 5],
            said: None,
            bins: Bins::new(),
            creep: None,
            swing: Swing::default(),
        }
    }
}

impl State {
    /// Initial, best and present loss.
    pub(super) fn levels(&self) -> Option<(f64, f64, f64)> {
        let best = self.best.last()?.1;
        Some((self.initial?.1, best, self.five_median?))
    }

    /// How far above `level` that many standard deviations of noise lead. Noise is a share of the loss where losses
    /// are positive, so that the wide swings of the start do not blind the check to a rise from a small loss.
    pub(super) fn rise_by_noise(&self, level: f64, deviations: f64) -> f64 {
        let noise = deviations * self.stray.noise();
        if self.is_linear() {
            noise
        } else {
            level * noise.min(300.0).exp_m1()
        }
    }

    pub(super) fn is_linear(&self) -> bool {
        self.lowest <= 0.0
    }

    /// The first value at or below zero makes the scale linear: what was learnt of the noise is void.
    fn note_lowest(&mut self, value: f64) {
        let was_linear = self.is_linear();
        self.lowest = self.lowest.min(value);
        if self.is_linear() != was_linear {
            self.stray = Stray::default();
            (self.rise_now, self.rise_healed) = (0.0, 0.0);
        }
    }

    pub(super) fn add(&mut self, step: i64, value: f64) {
        self.n += 1;
        self.last_step = step;
        self.note_lowest(value);
        if self.bad_points == 0 {
            self.learn_noise(value);
        }
        self.medians_before.rotate_left(1);
        if let (Some(slot), Some(median)) = (self.medians_before.last_mut(), self.five_median) {
            *slot = median;
        }
        self.last_five.push(value);
        self.smooth.push(value);
        self.five_median = self.last_five.median();
        self.smooth_median = self.smooth.median();
        if self.initial.is_none() {
            self.note_start(step, value);
        } else {
            self.note_best(step);
            self.note_rise();
        }
        self.swing.add(value);
    }

    fn learn_noise(&mut self, value: f64) {
        let Some(usual) = self.smooth_median.filter(|_| self.smooth.len() >= 3) else {
            return;
        };
        let deviation = if self.is_linear() {
            value - usual
        } else {
            (value / usual).ln()
        };
        self.stray.learn(deviation);
    }

    /// Rises that came back by themselves are this run's nature (slow noise, restarts of the schedule): only a
    /// higher one is news.
    fn note_rise(&mut self) {
        let Some((initial, best, now)) = self.levels() else {
            return;
        };
        let (rise, most) = if self.is_linear() {
            (now - best, HEALED_MAX_SHARE * (initial - best))
        } else {
            ((now / best).ln(), HEALED_MAX_LN)
        };
        self.rise_healed *= 1.0 - 1.0 / RISE_MEMORY_POINTS;
        self.rise_now = self.rise_now.max(rise);
        if rise <= 0.33 * self.rise_now {
            self.rise_healed = self.rise_healed.max(self.rise_now.min(most));
            self.rise_now = rise.max(0.0);
        }
    }

    /// The initial loss: the median of the first three, or the first when that is lower (a run that explodes
    /// from its first step).
    fn note_start(&mut self, step: i64, value: f64) {
        self.start.push(value);
        if self.start.len() == START_POINTS {
            let first = self.start.values().first().copied();
            if let (Some(median), Some(first)) = (self.start.median(), first) {
                let initial = if first > 0.0 && median > 2.0 * first {
                    first
                } else {
                    median
                };
                self.initial = Some((step, initial));
                self.best.push((step, initial));
            }
        }
    }

    /// The best loss, smoothed so that the luck of single batches does not count.
    fn note_best(&mut self, step: i64) {
        let (Some(now), Some(best)) = (self.smooth_median, self.best.last().copied()) else {
            return;
        };
        if now >= best.1 {
            return;
        }
        if self.best.len() >= TRAIL_MAX {
            let mut index = 0;
            self.best.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        self.best.push((step, now));
        let fall = self.initial.map_or(0.0, |it| it.1 - now);
        let is_fall = fall >= FELL_SHARE * (now + fall).abs() && fall >= self.rise_by_noise(now, FELL_NOISES);
        self.has_fallen |= is_fall && self.n >= POINTS_MIN;
    }
}

impl Swing {
    pub(super) fn add(&mut self, value: f64) {
        let difference = value - self.last;
        let alternates = difference * self.last_difference < 0.0;
        self.size = if alternates {
            0.75 * self.size + 0.25 * difference.abs()
        } else {
            difference.abs()
        };
        self.count = if alternates {
            self.count.saturating_add(1)
        } else {
            0
        };
        if self.count == FIRST_SWINGS {
            self.first_size = self.size;
        }
        self.last = value;
        self.last_difference = difference;
    }

    pub(super) fn is_growing(&self, scale: f64) -> bool {
        self.count >= SWINGS && self.size > SWING_GROWTH * self.first_size && self.size > SWING_SHARE * scale
    }
}
