//! The life of one alarm: it fires, ends, is over, comes back.
//!
//! In: what the journal of its run says, and the time. Out: its stage. Invariants: what flickers within the hold time
//! never ends; an alarm whose end was not told yet has not ended for those who were told.

use jiff::Timestamp;

use super::policy::{Policy, later, since};
use super::{News, Over};
use crate::model::{Finding, Severity};

/// Where an alarm is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It stands.
    Firing,
    /// It is over, but not for long enough to be believed.
    Ending {
        /// Why.
        over: Over,
        /// Since when.
        at: Timestamp,
    },
    /// It is over.
    Over {
        /// Why.
        over: Over,
        /// Since when.
        at: Timestamp,
    },
}

/// One alarm and what was told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Life {
    /// The finding as it stands, or as it last stood.
    pub finding: Finding,
    /// Another alarm of the run explains it.
    pub is_consequence: bool,
    /// When it was first heard of.
    pub since: Timestamp,
    /// Where it is.
    pub stage: Stage,
    /// The worst severity at which it was told since it began.
    pub told: Option<Severity>,
    /// Nothing more is to be told of it until it comes back.
    pub is_settled: bool,
    /// How often it came back soon after its end.
    pub n_flaps: u32,
}

impl Life {
    pub(super) fn begin(finding: &Finding, is_consequence: bool, now: Timestamp) -> Self {
        Self {
            finding: finding.clone(),
            is_consequence,
            since: now,
            stage: Stage::Firing,
            told: None,
            is_settled: false,
            n_flaps: 0,
        }
    }

    /// Whether it stands, as far as people are concerned.
    #[must_use]
    pub fn stands(&self) -> bool {
        !matches!(self.stage, Stage::Over { .. })
    }

    /// Why it is over, if it is.
    pub(super) fn end(&self) -> Option<Over> {
        match self.stage {
            Stage::Over { over, .. } => Some(over),
            Stage::Firing | Stage::Ending { .. } => None,
        }
    }

    /// It is heard of again.
    pub(super) fn hear(
        &mut self,
        news: News,
        finding: &Finding,
        is_consequence: bool,
        policy: &Policy,
        now: Timestamp,
    ) {
        match (news, self.stage) {
            // The finding stays as it last stood: what is superseded is only a note afterwards.
            (News::Resolved(over), Stage::Firing) => self.stage = Stage::Ending { over, at: now },
            (News::Resolved(_), _) => {}
            (News::Alarm | News::Worse, Stage::Over { at, .. }) if self.is_settled => {
                let n_flaps = if since(at, now) < policy.soon(self.n_flaps) {
                    self.n_flaps.saturating_add(1)
                } else {
                    0
                };
                *self = Self {
                    n_flaps,
                    ..Self::begin(finding, is_consequence, now)
                };
            }
            (News::Alarm | News::Worse, _) => {
                self.finding = finding.clone();
                self.is_consequence = is_consequence;
                self.stage = Stage::Firing;
            }
        }
    }

    /// Believes an end that has lasted; whether it did.
    pub(super) fn age(&mut self, policy: &Policy, now: Timestamp, is_last: bool) -> bool {
        match self.stage {
            Stage::Ending { over, at } if is_last || since(at, now) >= policy.hold(self.n_flaps) => {
                self.stage = Stage::Over { over, at: now };
                true
            }
            _ => false,
        }
    }

    /// When its first message is due.
    pub(super) fn due(&self, policy: &Policy) -> Option<Timestamp> {
        match self.stage {
            Stage::Firing => Some(later(self.since, policy.group_wait)),
            // One message says both that it was and that it is over.
            Stage::Ending { .. } => None,
            Stage::Over { at, .. } => Some(at),
        }
    }

    /// Moves every time by this much: the clock was set.
    pub(super) fn shift(&mut self, by: jiff::SignedDuration) {
        self.since = later(self.since, by);
        if let Stage::Ending { at, .. } | Stage::Over { at, .. } = &mut self.stage {
            *at = later(*at, by);
        }
    }
}
