//! How often a run is looked at, and which runs are not read at all.
//!
//! In: what time it is, what hints cover, what a look found. Out: whether a run is due. Invariants: a run that was
//! written within [`BUSY_POLLS`] polls, or for which no hints can be trusted, is due at every poll; every other one at
//! every [`RESTED_POLLS`]th, so that a lost hint costs ten seconds at two seconds a poll.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::source::{Polled, RunFiles};

/// Polls after news at which a run is looked at however good its hints are.
const BUSY_POLLS: u32 = 5;

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
        !self.is_hinted || self.n_idle < BUSY_POLLS || self.n_idle.is_multiple_of(RESTED_POLLS)
    }

    /// It was not looked at.
    pub(super) fn was_left_out(&mut self) {
        self.n_idle = self.n_idle.saturating_add(1);
    }

    pub(super) fn looked(&mut self, polled: Polled) {
        self.n_idle = match polled {
            Polled::Idle => self.n_idle.saturating_add(1),
            // Runs that were read at one time do not rest in step.
            Polled::Read | Polled::More => 0,
        };
    }
}

/// The last time, in seconds since 1970, at which one of the files changed in content, name or rights. `None` when none
/// can be looked at.
pub(super) fn last_change(run: &RunFiles) -> Option<f64> {
    let files = run.streams.iter().flat_map(|it| &it.files);
    files.filter_map(changed_at).reduce(f64::max)
}

/// Content, or what `rsync -t` and `mv` leave: a file whose content is old and that came today is news.
fn changed_at(path: &PathBuf) -> Option<f64> {
    let metadata = fs::metadata(path).ok()?;
    let seconds = |whole: i64, nanos: i64| whole as f64 + nanos as f64 * 1e-9;
    let modified = seconds(metadata.mtime(), metadata.mtime_nsec());
    Some(modified.max(seconds(metadata.ctime(), metadata.ctime_nsec())))
}

#[cfg(test)]
mod tests {
    use super::{BUSY_POLLS, RESTED_POLLS, Rest};
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
    fn a_run_with_hints_rests_when_nothing_is_written_and_no_other_does() {
        let mut rest = Rest::default();
        assert_eq!(n_looks(&mut rest, 100), 100);
        rest.is_hinted = true;
        rest.looked(Polled::Read);
        assert_eq!(n_looks(&mut rest, BUSY_POLLS), BUSY_POLLS);
        assert_eq!(n_looks(&mut rest, 10 * RESTED_POLLS), 10);
        rest.looked(Polled::Read);
        assert_eq!(n_looks(&mut rest, BUSY_POLLS), BUSY_POLLS);
    }
}
