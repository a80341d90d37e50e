//! How often to look at a file that cannot be read.
//!
//! In: failures and successes. Out: whether to sit out a poll, whether to say what is wrong. Invariant: at most
//! [`SKIPPED_POLLS_MAX`] polls in a row are sat out, so that a repaired file is read within ten seconds when polled
//! every two.

/// Polls that are sat out after many failures.
pub(super) const SKIPPED_POLLS_MAX: u32 = 4;

#[derive(Debug, Default)]
pub(super) struct BackOff {
    n_failures: u32,
    n_to_skip: u32,
    said: Option<String>,
}

impl BackOff {
    /// Counts a poll; true when it is to be sat out.
    pub(super) fn is_waiting(&mut self) -> bool {
        let is_waiting = self.n_to_skip > 0;
        self.n_to_skip = self.n_to_skip.saturating_sub(1);
        is_waiting
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Notes a failure; true when it was not said before.
    pub(super) fn failed(&mut self, what: &str) -> bool {
        self.n_to_skip = self.n_failures.min(SKIPPED_POLLS_MAX);
        self.n_failures = self.n_failures.saturating_add(1);
        let is_news = self.said.as_deref() != Some(what);
        self.said = Some(what.to_owned());
        is_news
    }
}
