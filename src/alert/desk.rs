//! The alarms of all runs: what is told to people, and when.
//!
//! In: notices, what people acknowledged and silenced, the time. Out: bulletins, alone or gathered in a digest, and which
//! runs have changed, to be stored with them. Invariants: pure; what reached a warning and is neither silenced nor
//! acknowledged is told or waits to be told; no more messages in an hour than the cap says; a clock that is set
//! back moves every time with it, so that nothing comes twice or an hour late.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::case::{Case, Circumstances, Due, RunKey, Wishes};
use super::policy::{Cap, Policy, later, since};
use super::{Bulletin, Digest, Fingerprint, Gathered, Notice, Occasion, Remembered, Silence};
use crate::model::{Finding, Severity};

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// About one run.
    One(Bulletin),
    /// About several.
    Many(Digest),
}

/// What a desk must know again after a restart, beside its cases.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    /// Numbers the names of incidents and digests.
    pub serial: u64,
    /// When the messages of the last hour were made.
    pub stamps: Vec<Timestamp>,
    /// What was told before is lost, wholly or in part; the alarms that are found again are not told one by one.
    pub is_recovering: bool,
}

/// What has changed since the last time, to be stored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Runs of which something changed.
    pub runs: BTreeSet<RunKey>,
    /// Acknowledgements that are over, because their alarm is.
    pub acks_over: BTreeSet<Fingerprint>,
}

/// The alarms of all runs.
#[derive(Debug)]
pub struct Desk {
    policy: Policy,
    cases: BTreeMap<RunKey, Case>,
    wishes: Wishes,
    cap: Cap,
    serial: u64,
    recovery: Option<Recovery>,
    now: Timestamp,
    changes: Changes,
}

/// A state that was lost is being found again.
#[derive(Debug, Clone, Copy, Default)]
struct Recovery {
    /// When all that is in the logs had been read.
    caught_up: Option<Timestamp>,
}

impl Desk {
    /// A desk that takes up what was stored.
    #[must_use]
    pub fn new(policy: Policy, ledger: Ledger, cases: BTreeMap<RunKey, Case>, now: Timestamp) -> Self {
        let mut desk = Self {
            policy,
            cases,
            wishes: Wishes::default(),
            cap: Cap::of(ledger.stamps),
            serial: ledger.serial,
            recovery: ledger.is_recovering.then(Recovery::default),
            now,
            changes: Changes::default(),
        };
        // The clock was set back while nobody looked: what lies ahead of it was now at the latest.
        let latest = desk.latest();
        if latest > now {
            desk.shift(now.duration_since(latest));
        }
        desk
    }

    /// What must be stored beside the cases.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        Ledger {
            serial: self.serial,
            stamps: self.cap.stamps().collect(),
            is_recovering: self.recovery.is_some(),
        }
    }

    /// The alarms of a run.
    #[must_use]
    pub fn case(&self, key: &RunKey) -> Option<&Case> {
        self.cases.get(key)
    }

    /// All runs with alarms.
    pub fn cases(&self) -> impl Iterator<Item = (&RunKey, &Case)> {
        self.cases.iter()
    }

    /// What the journal of each run should know.
    pub fn remembered(&self) -> impl Iterator<Item = (&RunKey, Vec<Remembered>)> {
        self.cases.iter().map(|(key, case)| (key, case.remembered()))
    }

    /// What people said since.
    pub fn set_wishes(&mut self, acks: BTreeMap<Fingerprint, Severity>, silences: Vec<Silence>) {
        self.wishes = Wishes { acks, silences };
    }

    /// Other rules of telling, from now on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Takes notices of the runs below a root.
    pub fn hear(&mut self, root: &str, notices: &[Notice], now: Timestamp) {
        self.set_clock(now);
        for notice in notices {
            let key = RunKey {
                root: root.to_owned(),
                run: notice.run.clone(),
            };
            let case = self.cases.entry(key.clone()).or_default();
            case.hear(notice, &self.policy, now);
            self.changes.runs.insert(key);
        }
    }

    /// The findings of a run as they are now, so that a repetition says how it stands.
    pub fn refresh<'f>(&mut self, key: &RunKey, findings: impl Iterator<Item = (Fingerprint, &'f Finding)>) {
        let Some(case) = self.cases.get_mut(key) else {
            return;
        };
        for (fingerprint, finding) in findings {
            if let Some(life) = case.lives.get_mut(&fingerprint).filter(|it| it.stands()) {
                life.finding.clone_from(finding);
            }
        }
    }

    /// All that is in the logs has been read for the first time.
    pub fn caught_up(&mut self, now: Timestamp) {
        if let Some(recovery) = &mut self.recovery {
            recovery.caught_up = recovery.caught_up.or(Some(now));
        }
    }

    /// The messages that are due now.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Outgoing> {
        self.tick_as(now, false)
    }

    /// The messages of all that is known, without waiting for what belongs to it: nobody will write any more.
    pub fn flush(&mut self, now: Timestamp) -> Vec<Outgoing> {
        self.caught_up(later(now, SignedDuration::ZERO - self.policy.group_wait));
        self.tick_as(now, true)
    }

    fn tick_as(&mut self, now: Timestamp, is_last: bool) -> Vec<Outgoing> {
        self.set_clock(now);
        self.age(is_last);
        let due = self.due(is_last);
        if self.recovery.is_some() {
            return self.tell_recovered(&due, is_last).into_iter().collect();
        }
        let due: Vec<(RunKey, Due)> = due.into_iter().filter(|(_, it)| it.at <= now).collect();
        let free = self.cap.free(self.policy.messages_per_hour, now);
        if due.is_empty() || free == 0 {
            return Vec::new();
        }
        // Half of what is left may go as single messages: a burst is one message, and leaves room for what comes.
        if due.len() > (free / 2).max(1) {
            return self.digest(&due, Gathered::Capped, is_last).into_iter().collect();
        }
        let told: Vec<Outgoing> = due
            .iter()
            .filter_map(|(key, it)| self.tell(key, it.occasion, is_last))
            .map(Outgoing::One)
            .collect();
        told.iter().for_each(|_| self.cap.take(now));
        told
    }

    /// Lets time pass for every run.
    fn age(&mut self, is_last: bool) {
        let around = Circumstances {
            policy: &self.policy,
            wishes: &self.wishes,
            now: self.now,
            is_last,
        };
        let mut over = Vec::new();
        for (key, case) in self.cases.iter_mut().filter(|(_, it)| it.is_open()) {
            let (ended, is_changed) = case.age(&key.run, &around);
            over.extend(ended);
            if is_changed {
                self.changes.runs.insert(key.clone());
            }
        }
        for fingerprint in over {
            if self.wishes.acks.remove(&fingerprint).is_some() {
                self.changes.acks_over.insert(fingerprint);
            }
        }
    }

    /// Runs with something to tell now or later, worst first, then oldest.
    fn due(&self, is_last: bool) -> Vec<(RunKey, Due)> {
        let around = Circumstances {
            policy: &self.policy,
            wishes: &self.wishes,
            now: self.now,
            is_last,
        };
        let mut due: Vec<(RunKey, Due)> = self
            .cases
            .iter()
            .filter(|(_, it)| it.is_open())
            .filter_map(|(key, case)| Some((key.clone(), case.due(&key.run, &around)?)))
            .collect();
        due.sort_by_key(|(_, it)| (std::cmp::Reverse(it.severity), it.at));
        due
    }

    fn tell(&mut self, key: &RunKey, occasion: Occasion, is_last: bool) -> Option<Bulletin> {
        let case = self.cases.get_mut(key)?;
        let around = Circumstances {
            policy: &self.policy,
            wishes: &self.wishes,
            now: self.now,
            is_last,
        };
        let (serial, now) = (&mut self.serial, self.now);
        let mut name = |first: Fingerprint| {
            *serial += 1;
            // The time keeps names apart when the number was lost.
            format!("{first}-{:x}-{serial}", now.as_second())
        };
        let bulletin = case.tell(key, occasion, &around, &mut name);
        self.changes.runs.insert(key.clone());
        bulletin
    }

    fn digest(&mut self, due: &[(RunKey, Due)], gathered: Gathered, is_last: bool) -> Option<Outgoing> {
        let mut bulletins: Vec<(Timestamp, Bulletin)> = due
            .iter()
            .filter_map(|(key, it)| Some((it.at, self.tell(key, it.occasion, is_last)?)))
            .collect();
        if bulletins.is_empty() {
            return None;
        }
        bulletins.sort_by_key(|(at, _)| *at);
        self.serial += 1;
        self.cap.take(self.now);
        Some(Outgoing::Many(Digest {
            gathered,
            name: format!("digest-{:x}-{}", self.now.as_second(), self.serial),
            at: self.now,
            bulletins: bulletins.into_iter().map(|(_, it)| it).collect(),
        }))
    }

    /// After a loss: what is found in the logs comes together, in one message, when all has been read.
    fn tell_recovered(&mut self, due: &[(RunKey, Due)], is_last: bool) -> Option<Outgoing> {
        let caught_up = self.recovery?.caught_up?;
        let is_time = since(caught_up, self.now) >= self.policy.group_wait;
        if !is_time || self.cap.free(self.policy.messages_per_hour, self.now) == 0 {
            return None;
        }
        let is_found = |(_, it): &&(RunKey, Due)| it.occasion != Occasion::Reminder || it.at <= self.now;
        let found: Vec<(RunKey, Due)> = due.iter().filter(is_found).cloned().collect();
        self.recovery = None;
        self.digest(&found, Gathered::StateLost, is_last)
    }

    /// Whether time alone can lead to a message.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.recovery.is_some() || self.cases.values().any(Case::is_open)
    }

    /// What has changed since this was last asked.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Changes that could not be stored: they are given again.
    pub fn put_back(&mut self, changes: Changes) {
        self.changes.runs.extend(changes.runs);
        self.changes.acks_over.extend(changes.acks_over);
    }

    /// The clock was set by this much: what waits goes on to wait for as long as it would have.
    pub fn shift(&mut self, by: SignedDuration) {
        self.now = later(self.now, by);
        self.cap.shift(by);
        self.cases.values_mut().for_each(|it| it.shift(by));
        if let Some(at) = self.recovery.as_mut().and_then(|it| it.caught_up.as_mut()) {
            *at = later(*at, by);
        }
        let open = self.cases.iter().filter(|(_, it)| it.is_open());
        self.changes.runs.extend(open.map(|(key, _)| key.clone()));
    }

    fn set_clock(&mut self, now: Timestamp) {
        if now < self.now {
            self.shift(now.duration_since(self.now));
        }
        self.now = now;
    }

    /// The latest time that is known of.
    fn latest(&self) -> Timestamp {
        let told = self
            .cases
            .values()
            .filter_map(|it| it.incident.as_ref())
            .map(|it| it.told_at);
        let heard = self.cases.values().flat_map(|it| it.lives.values());
        let times = heard.map(|it| it.since).chain(told).chain(self.cap.stamps());
        times.max().unwrap_or(self.now)
    }
}

#[cfg(test)]
mod tests;
