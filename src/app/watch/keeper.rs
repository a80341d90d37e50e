//! What is stored when: the daemon's side of the state database.
//!
//! In: what has changed. Out: batches to the database, and what does not work as it should to the user. Invariants: what
//! could not be stored is kept, within bounds, and stored when it can be; nothing is said twice in a row.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::outbox::Outbox;
use super::screen::complain;
use crate::alert::{Changes, Desk, RunKey};
use crate::state::{Attempt, Batch, NewParcel, RunRow, StateError, Store, WaitingBulletin};

/// Time after the last change at which a copy of the database is kept, and the least time between two.
const QUIET: Duration = Duration::from_secs(5);
const COPY_EVERY: Duration = Duration::from_secs(60);
/// Waits between two attempts to store.
const STORE_AGAIN_FIRST: Duration = Duration::from_secs(1);
const STORE_AGAIN_MAX: Duration = Duration::from_secs(30);
/// The bytes of delivered messages are kept for this long.
const KEEP_DELIVERED: SignedDuration = SignedDuration::from_hours(3 * 24);
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// Attempts that wait to be stored; the oldest of more are not stored.
const ATTEMPTS_MAX: usize = 10_000;

/// What is to be stored, and where.
pub(super) struct Keeper {
    pub(super) store: Store,
    attempts: Vec<Attempt>,
    runs: BTreeMap<RunKey, RunRow>,
    changed_runs: BTreeSet<RunKey>,
    gone_runs: BTreeSet<RunKey>,
    notes: BTreeMap<&'static str, String>,
    changed_notes: BTreeSet<&'static str>,
    /// What does not work as it should, by part.
    degraded: BTreeMap<String, String>,
    /// When the database last changed, while no copy has it.
    uncopied: Option<Instant>,
    last_copy: Option<Instant>,
    next_store: Instant,
    store_again: Duration,
    /// The last attempt to store was in vain.
    is_failing: bool,
    last_forgetting: Option<Instant>,
}

impl Keeper {
    pub(super) fn new(store: Store, runs: Vec<RunRow>) -> Self {
        let now = Instant::now();
        Self {
            store,
            attempts: Vec::new(),
            runs: runs.into_iter().map(|it| (it.key.clone(), it)).collect(),
            changed_runs: BTreeSet::new(),
            gone_runs: BTreeSet::new(),
            notes: BTreeMap::new(),
            changed_notes: BTreeSet::new(),
            degraded: BTreeMap::new(),
            uncopied: Some(now),
            last_copy: None,
            next_store: now,
            store_again: STORE_AGAIN_FIRST,
            is_failing: false,
            last_forgetting: None,
        }
    }

    /// Says who stores.
    pub(super) fn introduce(&mut self, receivers: &[&str], now: Timestamp) {
        self.note("pid", std::process::id().to_string());
        self.note("version", env!("CARGO_PKG_VERSION").to_owned());
        self.note("started", now.to_string());
        self.name_receivers(receivers);
        self.note_degraded();
    }

    /// Says who is told. What did not work with others is no matter any more.
    pub(super) fn name_receivers(&mut self, receivers: &[&str]) {
        let before = self.notes.get("receivers").cloned().unwrap_or_default();
        for gone in before.split(' ').filter(|it| !receivers.contains(it)) {
            self.degraded.remove(gone);
            self.degraded.remove(&format!("{gone} (renewal)"));
        }
        self.note("receivers", receivers.join(" "));
        self.note_degraded();
    }

    fn note(&mut self, name: &'static str, value: String) {
        if self.notes.get(name) != Some(&value) {
            self.notes.insert(name, value);
            self.changed_notes.insert(name);
        }
    }

    /// Says what does not work as it should, once; none: it works again.
    pub(super) fn degrade(&mut self, part: &str, why: Option<String>) {
        let before = self.degraded.get(part);
        match why {
            Some(why) if before == Some(&why) => return,
            Some(why) => {
                say(&format!("{part}: {why}"));
                self.degraded.insert(part.to_owned(), why);
            }
            None if before.is_none() => return,
            None => {
                say(&format!("{part}: works again"));
                self.degraded.remove(part);
            }
        }
        self.note_degraded();
    }

    /// Whether anything does not work as it should.
    pub(super) fn is_degraded(&self) -> bool {
        !self.degraded.is_empty()
    }

    fn note_degraded(&mut self) {
        let lines: Vec<String> = self
            .degraded
            .iter()
            .map(|(part, why)| format!("{part}: {}", why.replace('\n', " ")))
            .collect();
        self.note("degraded", lines.join("\n"));
    }

    /// What came of an attempt to deliver.
    pub(super) fn attempted(&mut self, attempt: Option<Attempt>) {
        self.attempts.extend(attempt);
        let n_beyond = self.attempts.len().saturating_sub(ATTEMPTS_MAX);
        self.attempts.drain(..n_beyond);
    }

    /// The runs that are followed, all of them.
    pub(super) fn followed(&mut self, followed: Vec<RunRow>) {
        let met: BTreeSet<RunKey> = followed.iter().map(|it| it.key.clone()).collect();
        for row in followed {
            let known = self.runs.get(&row.key);
            if known.is_none_or(|it| (it.last_step, &it.files) != (row.last_step, &row.files)) {
                self.changed_runs.insert(row.key.clone());
                self.gone_runs.remove(&row.key);
                self.runs.insert(row.key.clone(), row);
            }
        }
        let gone: Vec<RunKey> = self.runs.keys().filter(|it| !met.contains(it)).cloned().collect();
        for key in gone {
            self.runs.remove(&key);
            self.changed_runs.remove(&key);
            self.gone_runs.insert(key);
        }
    }

    /// Whether nothing can be stored at present.
    pub(super) fn is_failing(&self) -> bool {
        self.is_failing
    }

    /// Notices a database that was taken away.
    pub(super) fn look_for_database(&mut self) {
        if self.store.is_replaced() {
            self.degrade(
                "state",
                Some("the database was taken away; a new one is made".to_owned()),
            );
            // A change, so that it is made at once.
            self.changed_notes.extend(self.notes.keys());
        }
    }

    fn has_news(&self, changes: &Changes, outbox: &Outbox) -> bool {
        *changes != Changes::default()
            || !self.attempts.is_empty()
            || !self.changed_runs.is_empty()
            || !self.gone_runs.is_empty()
            || !self.changed_notes.is_empty()
            || outbox.unsaved().next().is_some()
    }

    /// Stores what has changed, if something has.
    pub(super) fn store(&mut self, desk: &mut Desk, outbox: &mut Outbox, now: Timestamp) {
        let mut changes = desk.take_changes();
        if !self.has_news(&changes, outbox) || Instant::now() < self.next_store {
            desk.put_back(changes);
            return;
        }
        let is_forgetting = self.last_forgetting.is_none_or(|it| it.elapsed() > FORGET_EVERY);
        let forget_before = is_forgetting.then(|| now.saturating_sub(KEEP_DELIVERED).unwrap_or(now));
        let mut batch = self.batch(&changes, desk, outbox);
        batch.forget_before = forget_before;
        let mut stored = self.store.commit(&batch);
        drop(batch);
        if matches!(stored, Err(StateError::Blank)) {
            self.store.take_blank();
            self.all_again(&mut changes, desk, outbox);
            let batch = self.batch(&changes, desk, outbox);
            stored = self.store.commit(&batch);
        }
        match stored {
            Ok(()) => {
                self.stored(outbox);
                if is_forgetting {
                    self.last_forgetting = Some(Instant::now());
                }
            }
            Err(error) => {
                if error.is_loss() {
                    let kept = self.store.give_up(&error);
                    say(&format!("state: {kept}"));
                    self.all_again(&mut changes, desk, outbox);
                }
                desk.put_back(changes);
                self.not_stored(&error);
            }
        }
    }

    fn batch<'b>(&self, changes: &Changes, desk: &'b Desk, outbox: &'b Outbox) -> Batch<'b> {
        let unsaved = outbox.unsaved().map(|(row, body)| NewParcel { row, body });
        let held = |receiver: &String| -> Vec<WaitingBulletin> {
            let held = desk.held(receiver).cloned();
            held.map(|bulletin| WaitingBulletin {
                receiver: receiver.clone(),
                bulletin,
            })
            .collect()
        };
        Batch {
            ledger: desk.ledger(),
            cases: changes
                .runs
                .iter()
                .map(|it| (it.clone(), desk.case(it)))
                .collect(),
            new_parcels: unsaved.collect(),
            attempts: self.attempts.clone(),
            waiting: changes.held_for.iter().flat_map(held).collect(),
            no_longer_waiting: changes.held_for.iter().cloned().collect(),
            acks_over: changes.acks_over.clone(),
            runs: self
                .changed_runs
                .iter()
                .filter_map(|it| self.runs.get(it).cloned())
                .collect(),
            runs_gone: self.gone_runs.iter().cloned().collect(),
            notes: self
                .changed_notes
                .iter()
                .filter_map(|it| Some((*it, self.notes.get(it)?.clone())))
                .collect(),
            forget_before: None,
        }
    }

    /// The database is new: all that is known is to be stored.
    fn all_again(&mut self, changes: &mut Changes, desk: &Desk, outbox: &mut Outbox) {
        changes.runs.extend(desk.cases().map(|(key, _)| key.clone()));
        changes.held_for.extend(desk.receivers().map(str::to_owned));
        outbox.save_again();
        self.changed_runs.extend(self.runs.keys().cloned());
        self.changed_notes.extend(self.notes.keys());
    }

    fn stored(&mut self, outbox: &mut Outbox) {
        self.attempts.clear();
        self.changed_runs.clear();
        self.gone_runs.clear();
        self.changed_notes.clear();
        outbox.saved();
        self.is_failing = false;
        self.uncopied = Some(Instant::now());
        self.store_again = STORE_AGAIN_FIRST;
        self.degrade("state", None);
    }

    fn not_stored(&mut self, error: &StateError) {
        self.is_failing = true;
        self.next_store = Instant::now() + self.store_again;
        self.store_again = (self.store_again * 2).min(STORE_AGAIN_MAX);
        let why = format!("nothing can be stored ({error}); watching and sending go on");
        self.degrade("state", Some(why));
    }

    /// Keeps a copy of the database after a quiet moment.
    pub(super) fn keep_copy(&mut self) {
        let is_quiet = self.uncopied.is_some_and(|it| it.elapsed() >= QUIET);
        let is_time = self.last_copy.is_none_or(|it| it.elapsed() >= COPY_EVERY);
        if is_quiet && is_time && !self.is_failing {
            self.copy();
        }
    }

    fn copy(&mut self) {
        self.last_copy = Some(Instant::now());
        match self.store.keep_copy() {
            Ok(()) => {
                self.uncopied = None;
                self.degrade("copy of the state", None);
            }
            Err(error) => self.degrade("copy of the state", Some(error.to_string())),
        }
    }

    /// Ends in order.
    pub(super) fn close(mut self) {
        if self.uncopied.is_some() && !self.is_failing {
            self.copy();
        }
        if let Err(error) = self.store.close() {
            say(&format!("state: {error}"));
        }
    }
}

fn say(text: &str) {
    complain(text);
}
