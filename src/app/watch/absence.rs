//! Runs whose logs are gone: when nothing more is to be expected of them.
//!
//! In: whether a walk met the run, what it could not read, the time. Out: whether the run is given up. Invariant: only
//! the clock that goes forward counts, and what may only be out of reach is waited for a day.

use std::path::{Path, PathBuf};

use crate::model::Problem;

/// Seconds without its files after which a run is given up: longer than a clean-up that moves directories takes.
const GIVEN_UP_AFTER_S: f64 = 3600.0;

/// The same where something on the way to it cannot be read, or a root is empty: a file system that is not mounted, or
/// a right that was taken, may come back.
const OUT_OF_REACH_S: f64 = 24.0 * 3600.0;

/// How long a run has been away.
#[derive(Debug, Default)]
pub(super) struct Absence {
    /// The directory of its first file when it was last met; none for a run that this process never met.
    place: Option<PathBuf>,
    since_s: Option<f64>,
}

impl Absence {
    /// A walk met the run.
    pub(super) fn end(&mut self, file: Option<&Path>) {
        self.since_s = None;
        self.place = file.and_then(Path::parent).map(Path::to_owned);
    }

    /// A walk did not meet the run; whether it is given up.
    pub(super) fn goes_on(&mut self, now_s: f64, roots: &[PathBuf], problems: &[Problem]) -> bool {
        let since_s = *self.since_s.get_or_insert(now_s);
        let is_on_the_way = |it: &Problem| {
            let path = Path::new(&it.path);
            match &self.place {
                Some(place) => place.starts_with(path),
                None => roots.iter().any(|root| root.starts_with(path)),
            }
        };
        let patience_s = if problems.iter().any(is_on_the_way) {
            OUT_OF_REACH_S
        } else {
            GIVEN_UP_AFTER_S
        };
        now_s - since_s >= patience_s
    }
}

#[cfg(test)]
mod tests {
    use super::{Absence, GIVEN_UP_AFTER_S, OUT_OF_REACH_S};
    use crate::model::Problem;
    use std::path::{Path, PathBuf};

    #[test]
    fn a_run_is_given_up_after_an_hour_or_a_day_when_it_may_be_out_of_reach() {
        let roots = [PathBuf::from("/runs")];
        let elsewhere = [Problem::path("/runs/b", "permission denied")];
        let above = [Problem::path("/runs", "no such file or directory")];
        let mut absence = Absence::default();
        absence.end(Some(Path::new("/runs/a/metrics.jsonl")));
        assert!(!absence.goes_on(10.0, &roots, &elsewhere));
        assert!(!absence.goes_on(9.0 + GIVEN_UP_AFTER_S, &roots, &elsewhere));
        assert!(absence.goes_on(10.0 + GIVEN_UP_AFTER_S, &roots, &elsewhere));
        assert!(!absence.goes_on(9.0 + OUT_OF_REACH_S, &roots, &above));
        assert!(absence.goes_on(10.0 + OUT_OF_REACH_S, &roots, &above));
        absence.end(Some(Path::new("/runs/a/metrics.jsonl")));
        assert!(
            !absence.goes_on(20.0 + OUT_OF_REACH_S, &roots, &[]),
            "it was back"
        );
        // One that only the state database knows.
        let mut absence = Absence::default();
        assert!(!absence.goes_on(0.0, &roots, &above));
        assert!(!absence.goes_on(GIVEN_UP_AFTER_S, &roots, &above));
        assert!(absence.goes_on(GIVEN_UP_AFTER_S, &roots, &elsewhere));
    }
}
