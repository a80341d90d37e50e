//! The alarms of all runs: what is told to people, and when.
//!
//! In: notices, what people acknowledged and silenced, the time. Out: messages for each receiver, and what has changed,
//! to be stored with them. Invariants: pure; what reached a warning and is neither silenced nor acknowledged is told or
//! waits to be told; no more messages in an hour than the cap of a receiver says; a clock that is set back moves every
//! time with it, so that nothing comes twice or an hour late.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::case::{Case, Circumstances, Due, RunKey, Wishes};
use super::gate::{Gate, Passing};
use super::policy::{Policy, later, since};
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

/// One message and who is to get it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sending {
    /// The receiver, as it was named to the desk.
    pub receiver: String,
    /// The message.
    pub message: Outgoing,
}

/// A receiver, and what waits for it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reception {
    /// Its name.
    pub receiver: String,
    /// Whether the cap on messages is about it: it is for what people have to read.
    pub is_capped: bool,
    /// Bulletins that could not be sent before.
    pub held: Vec<Bulletin>,
}

/// What a desk must know again after a restart, beside its cases.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    /// Numbers the names of incidents and digests.
    pub serial: u64,
    /// When the messages of the last hour were made, for capped receivers.
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
    /// Receivers for which other bulletins wait than before.
    pub held_for: BTreeSet<String>,
}

/// The alarms of all runs.
#[derive(Debug)]
pub struct Desk {
    policy: Policy,
    cases: BTreeMap<RunKey, Case>,
    wishes: Wishes,
    gates: BTreeMap<String, Gate>,
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
    pub fn new(
        policy: Policy,
        ledger: &Ledger,
        cases: BTreeMap<RunKey, Case>,
        receptions: Vec<Reception>,
        now: Timestamp,
    ) -> Self {
        let per_hour = policy.messages_per_hour;
        let gate = |it: Reception| {
            let gate = Gate::new(it.is_capped.then_some(per_hour), &ledger.stamps, it.held);
            (it.receiver, gate)
        };
        let gates = receptions.into_iter().map(gate).collect();
        let mut desk = Self {
            policy,
            cases,
            wishes: Wishes::default(),
            gates,
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
        let capped = self.gates.values().find(|it| it.is_capped());
        Ledger {
            serial: self.serial,
            stamps: capped.into_iter().flat_map(Gate::stamps).collect(),
            is_recovering: self.recovery.is_some(),
        }
    }

    /// The receivers.
    pub fn receivers(&self) -> impl Iterator<Item = &str> {
        self.gates.keys().map(String::as_str)
    }

    /// What waits for a receiver.
    pub fn held(&self, receiver: &str) -> impl Iterator<Item = &Bulletin> {
        self.gates.get(receiver).into_iter().flat_map(Gate::held)
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
        let per_hour = policy.messages_per_hour;
        self.gates.values_mut().for_each(|it| it.set_per_hour(per_hour));
        self.policy = policy;
    }

    /// Other receivers from now on, each with whether the cap on messages is about it. What waited for one that is not
    /// named any more is forgotten; a new one is told what comes from now on.
    pub fn set_receivers<'n>(&mut self, receivers: impl Iterator<Item = (&'n str, bool)>) {
        let stamps = self.ledger().stamps;
        let per_hour = self.policy.messages_per_hour;
        let mut before = std::mem::take(&mut self.gates);
        for (receiver, is_capped) in receivers {
            let new = || Gate::new(is_capped.then_some(per_hour), &stamps, Vec::new());
            let gate = before.remove(receiver).unwrap_or_else(new);
            self.gates.insert(receiver.to_owned(), gate);
        }
        self.changes.held_for.extend(before.into_keys());
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

    /// Nothing more will be heard of a run: what stands is over.
    pub fn give_up(&mut self, key: &RunKey, now: Timestamp) {
        self.set_clock(now);
        let Some(case) = self.cases.get_mut(key) else {
            return;
        };
        case.give_up(&self.policy, now);
        self.changes.runs.insert(key.clone());
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

    /// The messages that are due now. `is_reachable` says whether a receiver takes anything at present.
    pub fn tick(&mut self, now: Timestamp, is_reachable: &dyn Fn(&str) -> bool) -> Vec<Sending> {
        self.tick_as(now, is_reachable, false)
    }

    /// The messages of all that is known, without waiting for what belongs to it: nobody will write any more.
    pub fn flush(&mut self, now: Timestamp, is_reachable: &dyn Fn(&str) -> bool) -> Vec<Sending> {
        self.caught_up(later(now, SignedDuration::ZERO - self.policy.group_wait));
        self.tick_as(now, is_reachable, true)
    }

    fn tick_as(
        &mut self,
        now: Timestamp,
        is_reachable: &dyn Fn(&str) -> bool,
        is_last: bool,
    ) -> Vec<Sending> {
        self.set_clock(now);
        self.age(is_last);
        let due = self.due(is_last);
        if self.recovery.is_some() {
            return self.tell_recovered(&due, is_last);
        }
        for (key, it) in due.iter().filter(|(_, it)| it.at <= now) {
            if let Some(bulletin) = self.tell(key, it.occasion, is_last) {
                self.gates.values_mut().for_each(|it| it.put(bulletin.clone()));
            }
        }
        self.open_gates(is_reachable)
    }

    fn open_gates(&mut self, is_reachable: &dyn Fn(&str) -> bool) -> Vec<Sending> {
        let mut sendings = Vec::new();
        let cases = &self.cases;
        let end_of = |key: &RunKey, it: Fingerprint| cases.get(key)?.lives.get(&it)?.end();
        for (receiver, gate) in &mut self.gates {
            let messages: Vec<Outgoing> = match gate.open(self.now, is_reachable(receiver), &end_of) {
                Passing::Nothing => Vec::new(),
                Passing::Alone(bulletins) => bulletins.into_iter().map(Outgoing::One).collect(),
                Passing::Together(gathered, bulletins) => {
                    vec![digest(&mut self.serial, self.now, gathered, bulletins)]
                }
            };
            if gate.take_changed() {
                self.changes.held_for.insert(receiver.clone());
            }
            sendings.extend(messages.into_iter().map(|message| Sending {
                receiver: receiver.clone(),
                message,
            }));
        }
        sendings
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
            format!("{first}-{:x}-{serial}", now.as_second())
        };
        let bulletin = case.tell(key, occasion, &around, &mut name);
        self.changes.runs.insert(key.clone());
        bulletin
    }

    /// After a loss: what is found in the logs comes together, in one message, when all has been read.
    fn tell_recovered(&mut self, due: &[(RunKey, Due)], is_last: bool) -> Vec<Sending> {
        let Some(caught_up) = self.recovery.and_then(|it| it.caught_up) else {
            return Vec::new();
        };
        let now = self.now;
        let has_room = self.gates.values_mut().all(|it| it.room(now) > 0);
        if since(caught_up, now) < self.policy.group_wait || !has_room {
            return Vec::new();
        }
        self.recovery = None;
        let is_found = |(_, it): &&(RunKey, Due)| it.occasion != Occasion::Reminder || it.at <= now;
        let bulletins: Vec<Bulletin> = due
            .iter()
            .filter(is_found)
            .filter_map(|(key, it)| self.tell(key, it.occasion, is_last))
            .collect();
        if bulletins.is_empty() {
            return Vec::new();
        }
        let message = digest(&mut self.serial, now, Gathered::StateLost, bulletins);
        let receivers = self.gates.iter_mut().filter_map(|(receiver, gate)| {
            gate.take_room(now).then(|| Sending {
                receiver: receiver.clone(),
                message: message.clone(),
            })
        });
        receivers.collect()
    }

    /// What was told of each run and stands, for receivers that have to hear of it again and again. These bulletins
    /// are no messages: they change nothing, and their names are not used.
    #[must_use]
    pub fn standing(&self) -> Vec<Bulletin> {
        let around = Circumstances {
            policy: &self.policy,
            wishes: &self.wishes,
            now: self.now,
            is_last: false,
        };
        let standing = self
            .cases
            .iter()
            .map(|(key, case)| case.as_it_stands(key, &around));
        standing.flatten().collect()
    }

    /// Whether time alone can lead to a message.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        let is_held = self.gates.values().any(|it| it.held().next().is_some());
        self.recovery.is_some() || is_held || self.cases.values().any(Case::is_open)
    }

    /// What has changed since this was last asked.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Changes that could not be stored: they are given again.
    pub fn put_back(&mut self, changes: Changes) {
        self.changes.runs.extend(changes.runs);
        self.changes.acks_over.extend(changes.acks_over);
        self.changes.held_for.extend(changes.held_for);
    }

    /// The clock was set by this much: what waits goes on to wait for as long as it would have.
    pub fn shift(&mut self, by: SignedDuration) {
        self.now = later(self.now, by);
        self.gates.values_mut().for_each(|it| it.shift(by));
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
        let stamps = self.gates.values().flat_map(Gate::stamps);
        let times = heard.map(|it| it.since).chain(told).chain(stamps);
        times.max().unwrap_or(self.now)
    }
}

fn digest(serial: &mut u64, now: Timestamp, gathered: Gathered, bulletins: Vec<Bulletin>) -> Outgoing {
    *serial += 1;
    Outgoing::Many(Digest {
        gathered,
        // The time keeps names apart when the number was lost.
        name: format!("digest-{:x}-{serial}", now.as_second()),
        at: now,
        bulletins,
    })
}

#[cfg(test)]
mod tests;
