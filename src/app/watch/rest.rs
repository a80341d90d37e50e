//! How often a run is looked at, and which runs are not read at all.
//!
//! In: what time it is, what hints cover, what a look found. Out: whether a run is due. Invariants: a run that was
//! written within [`BUSY_POLLS`] polls ([`BUSY_POLLS_UNHINTED`] where no hints can be trusted) is due at every poll; one
//! without hints at every second until [`SLOW_POLLS_UNHINTED`]; every other one at every [`RESTED_POLLS`]th, so that a
//! lost hint costs ten seconds at two seconds a poll.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::source::{Polled, RunFiles};

/// Polls after news at which a run is looked at however good its hints are.
const BUSY_POLLS: u32 = 5;

/// The same for a run without hints: half a minute at two seconds a poll, ...
const BUSY_POLLS_UNHINTED: u32 = 15;

/// ... and those after which it has been quiet for five minutes.
const SLOW_POLLS_UNHINTED: u32 = 150;

/// Polls of which a rested run takes part in one.
const RESTED_POLLS: u32 = 5;

/// What time it is, by the clocks of whoever calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Now {
    /// Seconds since 1970, by a clock that may jump.
    pub unix_s: f64,
    /// Seconds since some moment, by a clock that only goes forward.
    pub steady_s: f64,
}

/// Whether a run is looked at.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// Its files are where hints are trusted.
    pub(super) is_hinted: bool,
    n_idle: u32,
}

impl Rest {
    /// Asked once per poll.
    pub(super) fn is_due(&self) -> bool {
        let (busy, slow) = if self.is_hinted {
            (BUSY_POLLS, 0)
        } else {
            (BUSY_POLLS_UNHINTED, SLOW_POLLS_UNHINTED)
        };
        let one_of = match self.n_idle {
            n if n < busy => 1,
            n if n < slow => 2,
            _ => RESTED_POLLS,
        };
        self.n_idle.is_multiple_of(one_of)
    }

    /// It was not looked at.
    pub(super) fn was_left_out(&mut self) {
        self.n_idle = self.n_idle.saturating_add(1);
    }

    pub(super) fn looked(&mut self, polled: Polled) {
        self.n_idle = match polled {
            Polled::Idle => self.n_idle.saturating_add(1),
            Polled::Read | Polled::More => 0,
        };
    }
}

/// The last time, in seconds since 1970, at which one of the files changed in content, name or rights. `None` when none
/// can be looked at.
pub(super) fn last_change(run: &RunFiles) -> Option<f64> {
    let files = run.streams.iter().flat_map(|it| &it.files);
    files.filter_map(|it| changed_at(it)).reduce(f64::max)
}

/// Content, or what `rsync -t` and `mv` leave: a file whose content is old and that came today is news.
pub(super) fn changed_at(path: &Path) -> Option<f64> {
    let metadata = fs::metadata(path).ok()?;
    let seconds = |whole: i64, nanos: i64| whole as f64 + nanos as f64 * 1e-9;
    let modified = seconds(metadata.mtime(), metadata.mtime_nsec());
    Some(modified.max(seconds(metadata.ctime(), metadata.ctime_nsec())))
}

#[cfg(test)]
mod tests {
    use super::{BUSY_POLLS, BUSY_POLLS_UNHINTED, RESTED_POLLS, Rest, SLOW_POLLS_UNHINTED};
    use crate::source::Polled;

    fn n_looks(rest: &mut Rest, n_polls: u32) -> u32 {
        let mut n = 0;
        for _ in 0..n_polls {
            if rest.is_due() {
                n += 1;
                rest.looked(Polled::Idle);
            } else {
                rest.was_left_out();
            }
        }
        n
    }

    #[test]
    fn a_run_rests_when_nothing_is_written_and_sooner_with_hints() {
        let mut rest = Rest::default();
        assert_eq!(n_looks(&mut rest, BUSY_POLLS_UNHINTED), BUSY_POLLS_UNHINTED);
        let slow = SLOW_POLLS_UNHINTED - BUSY_POLLS_UNHINTED;
        assert_eq!(n_looks(&mut rest, slow), slow / 2);
        assert_eq!(n_looks(&mut rest, 10 * RESTED_POLLS), 10);
        rest.is_hinted = true;
        rest.looked(Polled::Read);
        assert_eq!(n_looks(&mut rest, BUSY_POLLS), BUSY_POLLS);
        assert_eq!(n_looks(&mut rest, 10 * RESTED_POLLS), 10);
        rest.looked(Polled::Read);
        assert_eq!(n_looks(&mut rest, BUSY_POLLS), BUSY_POLLS);
    }
}
