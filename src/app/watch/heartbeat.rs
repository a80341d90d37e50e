//! When a run was last heard of.
//!
//! In: its bytes and its furthest step at every tick, and what time it is. Out: a [`Pulse`]. Invariant: only the clock
//! that goes forward counts, so that a jump of the other one is no silence; the other one only tells the age of what was
//! there before the first tick.

use super::rest::Now;
use crate::rules::check::Pulse;

/// What was heard of a run.
#[derive(Debug, Default)]
pub(super) struct Heartbeat {
    heard: Option<Heard>,
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    bytes: u64,
    step: Option<i64>,
    grown_s: f64,
    advanced_s: f64,
}

impl Heartbeat {
    /// Takes note of how far the run has come. `last_change_s` is the time since 1970 at which its files last changed; it
    /// is asked for at the first tick.
    pub(super) fn tick(
        &mut self,
        now: Now,
        bytes: u64,
        step: Option<i64>,
        last_change_s: &dyn Fn() -> Option<f64>,
    ) -> Pulse {
        let now_s = now.steady_s;
        let heard = self.heard.get_or_insert_with(|| {
            let age_s = last_change_s().map_or(0.0, |it| (now.unix_s - it).max(0.0));
            Heard {
                bytes,
                step,
                grown_s: now_s - age_s,
                advanced_s: now_s - age_s,
            }
        });
        if heard.bytes != bytes {
            (heard.bytes, heard.grown_s) = (bytes, now_s);
        }
        if heard.step != step {
            (heard.step, heard.advanced_s) = (step, now_s);
        }
        Pulse {
            now_s,
            grown_s: heard.grown_s,
            advanced_s: heard.advanced_s,
        }
    }
}
