//! Finished messages until they are taken, refused, or given up.
//!
//! In: parcels, answers, the time. Out: which parcel is to be tried now. Invariants: pure but for the jitter; one parcel
//! of a receiver is under way at a time; a parcel is tried for days, and what is refused or wrongly set up is kept.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use jiff::{SignedDuration, Timestamp};

use crate::deliver::{Answer, Parcel};
use crate::state::{Attempt, Mood, StoredParcel};

/// Wait before the second attempt; doubled before each further one.
const RETRY_FIRST: SignedDuration = SignedDuration::from_secs(5);
const RETRY_MAX: SignedDuration = SignedDuration::from_mins(15);
/// The same while the receiver is set up wrongly.
const STUCK_FIRST: SignedDuration = SignedDuration::from_mins(1);
const STUCK_MAX: SignedDuration = SignedDuration::from_hours(1);
/// After this time without an answer a message is given up: five days are what RFC 5321, 4.5.4.1 asks for at least.
const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Attempts in vain, one after the other, after which a receiver is taken to be away.
const AWAY_AFTER: u32 = 3;
/// Bytes of open messages that are kept in memory beside the database.
const BODIES_MAX: usize = 16 << 20;
/// Bytes of messages that could not be stored yet, beyond which nothing new is made.
const UNSAVED_MAX: usize = 64 << 20;

/// The open messages.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    entries: BTreeMap<i64, Entry>,
    next_id: i64,
    receivers: BTreeMap<String, Line>,
    jitter: RandomState,
    /// Messages that were given up since the start.
    n_dead: u64,
}

#[derive(Debug)]
struct Entry {
    row: StoredParcel,
    /// Its bytes, when they need not be read from the database.
    body: Option<Vec<u8>>,
    is_saved: bool,
}

/// One receiver.
#[derive(Debug, Default)]
struct Line {
    under_way: Option<i64>,
    n_in_vain: u32,
    last_error: Option<String>,
}

impl Outbox {
    /// Takes up what was stored.
    pub(super) fn new(stored: Vec<StoredParcel>, now: Timestamp) -> Self {
        let next_id = stored
            .iter()
            .map(|it| it.id)
            .max()
            .map_or(1, |it| it.saturating_add(1));
        let open = stored.into_iter().filter(|it| it.mood.is_open());
        let entries = open.map(|mut row| {
            // Whatever the clock did meanwhile: a start is a good time to try.
            row.next = row.next.min(now);
            let entry = Entry {
                row,
                body: None,
                is_saved: true,
            };
            (entry.row.id, entry)
        });
        Self {
            entries: entries.collect(),
            next_id,
            ..Self::default()
        }
    }

    /// Takes a finished message.
    pub(super) fn add(&mut self, parcel: Parcel, now: Timestamp) {
        let id = self.next_id;
        self.next_id = id.saturating_add(1);
        let row = StoredParcel {
            id,
            receiver: parcel.receiver.to_owned(),
            address: parcel.address,
            name: parcel.name,
            mood: Mood::Pending,
            made: now,
            next: now,
            n_attempts: 0,
            last: String::new(),
        };
        let entry = Entry {
            row,
            body: Some(parcel.body),
            is_saved: false,
        };
        self.entries.insert(id, entry);
    }

    /// Messages that are not stored yet, with their bytes.
    pub(super) fn unsaved(&self) -> impl Iterator<Item = (&StoredParcel, &[u8])> {
        let unsaved = self.entries.values().filter(|it| !it.is_saved);
        unsaved.filter_map(|it| Some((&it.row, it.body.as_deref()?)))
    }

    /// All that was unsaved is stored now.
    pub(super) fn saved(&mut self) {
        let mut n_bytes = 0_usize;
        for entry in self.entries.values_mut() {
            entry.is_saved = true;
            n_bytes = n_bytes.saturating_add(entry.body.as_ref().map_or(0, Vec::len));
            if n_bytes > BODIES_MAX {
                entry.body = None;
            }
        }
        self.entries.retain(|_, it| it.row.mood.is_open());
    }

    /// The database is new: what is known here is stored again, as far as its bytes are here.
    pub(super) fn save_again(&mut self) {
        for entry in self.entries.values_mut().filter(|it| it.body.is_some()) {
            entry.is_saved = false;
        }
    }

    /// Whether more could not be stored than is kept in memory.
    pub(super) fn is_full(&self) -> bool {
        let n_bytes: usize = self.unsaved().map(|(_, body)| body.len()).sum();
        n_bytes > UNSAVED_MAX
    }

    /// Open messages.
    pub(super) fn n_open(&self) -> usize {
        self.entries.values().filter(|it| it.row.mood.is_open()).count()
    }

    /// Messages that were given up since the start.
    pub(super) fn n_dead(&self) -> u64 {
        self.n_dead
    }

    /// Whether a receiver takes anything at present, as far as is known.
    pub(super) fn is_reachable(&self, receiver: &str) -> bool {
        let is_away = self
            .receivers
            .get(receiver)
            .is_some_and(|it| it.n_in_vain >= AWAY_AFTER);
        !is_away || !self.open_of(receiver).any(|_| true)
    }

    fn open_of<'a>(&'a self, receiver: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries
            .values()
            .filter(move |it| it.row.receiver == receiver && it.row.mood.is_open())
    }

    /// What is wrong with a receiver, after attempts in vain.
    pub(super) fn trouble(&self, receiver: &str) -> Option<&str> {
        self.receivers.get(receiver)?.last_error.as_deref()
    }

    /// The message of a receiver that is to be tried now; it is under way from now on. `is_safe`: only such that are
    /// stored.
    pub(super) fn take_due(&mut self, receiver: &str, now: Timestamp, is_safe: bool) -> Option<Due> {
        let line = self.receivers.get(receiver);
        if line.is_some_and(|it| it.under_way.is_some()) {
            return None;
        }
        let due = self
            .open_of(receiver)
            .filter(|it| it.row.next <= now && (it.is_saved || !is_safe))
            .min_by_key(|it| (it.row.n_attempts > 0, it.row.id))?;
        let due = Due {
            id: due.row.id,
            address: due.row.address.clone(),
            name: due.row.name.clone(),
            body: due.body.clone(),
        };
        self.receivers.entry(receiver.to_owned()).or_default().under_way = Some(due.id);
        Some(due)
    }

    /// Notes what came of an attempt; what is to be stored of it.
    pub(super) fn answered(
        &mut self,
        receiver: &str,
        id: i64,
        answer: Answer,
        now: Timestamp,
    ) -> Option<Attempt> {
        let line = self.receivers.entry(receiver.to_owned()).or_default();
        line.under_way = None;
        let entry = self.entries.get_mut(&id)?;
        let row = &mut entry.row;
        row.n_attempts = row.n_attempts.saturating_add(1);
        let jitter = self.jitter.hash_one((id, row.n_attempts));
        match answer {
            Answer::Taken(text) => {
                (line.n_in_vain, line.last_error) = (0, None);
                (row.mood, row.last) = (Mood::Delivered, text);
            }
            Answer::Refused(text) => {
                (line.n_in_vain, line.last_error) = (0, None);
                (row.mood, row.last) = (Mood::Dead, text);
            }
            Answer::Later(text) => {
                line.n_in_vain = line.n_in_vain.saturating_add(1);
                line.last_error = Some(text.clone());
                let is_hopeless = now.duration_since(row.made) > GIVE_UP_AFTER;
                row.mood = if is_hopeless { Mood::Dead } else { Mood::Pending };
                row.next = later(now, wait(RETRY_FIRST, RETRY_MAX, row.n_attempts, jitter));
                row.last = text;
            }
            Answer::Misconfigured(text) => {
                line.n_in_vain = line.n_in_vain.saturating_add(1);
                line.last_error = Some(text.clone());
                row.mood = Mood::Stuck;
                row.next = later(now, wait(STUCK_FIRST, STUCK_MAX, row.n_attempts, jitter));
                row.last = text;
            }
        }
        self.n_dead += u64::from(row.mood == Mood::Dead);
        let row = row.clone();
        // One that is not stored yet is stored as it is now, and then forgotten.
        if !row.mood.is_open() && entry.is_saved {
            self.entries.remove(&id);
        }
        Some(Attempt { row, at: now })
    }

    /// The bytes of a message are gone: it cannot be sent.
    pub(super) fn lost(&mut self, receiver: &str, id: i64, now: Timestamp) -> Option<Attempt> {
        let why = "its bytes are gone from the state database".to_owned();
        self.answered(receiver, id, Answer::Refused(why), now)
    }

    /// A message could not be read from the database: it is tried again soon.
    pub(super) fn put_back(&mut self, receiver: &str, id: i64, now: Timestamp) {
        if let Some(line) = self.receivers.get_mut(receiver) {
            line.under_way = None;
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.row.next = later(now, RETRY_FIRST);
        }
    }

    /// Something was set up anew: what waits for another attempt is tried now.
    pub(super) fn try_now(&mut self, now: Timestamp) {
        for entry in self.entries.values_mut() {
            entry.row.next = entry.row.next.min(now);
        }
    }

    /// The clock was set by this much.
    pub(super) fn shift(&mut self, by: SignedDuration) {
        for entry in self.entries.values_mut() {
            entry.row.next = later(entry.row.next, by);
        }
    }
}

/// A message that is to be tried.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) id: i64,
    pub(super) address: String,
    pub(super) name: String,
    pub(super) body: Option<Vec<u8>>,
}

/// A wait that doubles with each attempt, a quarter more or less, so that many do not come back at once.
fn wait(first: SignedDuration, max: SignedDuration, n_attempts: u32, jitter: u64) -> SignedDuration {
    const DOUBLINGS_MAX: u32 = 16;
    let whole = first
        .saturating_mul(1 << n_attempts.saturating_sub(1).min(DOUBLINGS_MAX))
        .min(max);
    let per_mille = 750 + i32::try_from(jitter % 501).unwrap_or(250);
    whole.saturating_mul(per_mille) / 1000
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{Outbox, RETRY_MAX};
    use crate::deliver::{Answer, Parcel};
    use crate::state::Mood;

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn parcel(name: &str) -> Parcel {
        Parcel {
            receiver: "mail",
            address: "me".to_owned(),
            name: name.to_owned(),
            body: name.as_bytes().to_vec(),
        }
    }

    fn outbox(names: &[&str]) -> Outbox {
        let mut outbox = Outbox::new(Vec::new(), now());
        for name in names {
            outbox.add(parcel(name), now());
        }
        outbox.saved();
        outbox
    }

    #[test]
    fn attempts_back_off_for_days_and_then_the_message_is_kept_as_dead() {
        let mut outbox = outbox(&["a"]);
        let (mut time, mut n_attempts, mut longest) = (now(), 0, SignedDuration::ZERO);
        let last = loop {
            let due = outbox.take_due("mail", time, true).unwrap();
            assert!(outbox.take_due("mail", time, true).is_none(), "one at a time");
            n_attempts += 1;
            let attempt = outbox
                .answered("mail", due.id, Answer::Later("451".to_owned()), time)
                .unwrap();
            if attempt.row.mood == Mood::Dead {
                break attempt;
            }
            let wait = attempt.row.next.duration_since(time);
            longest = longest.max(wait);
            assert!(wait >= SignedDuration::from_secs(3), "{wait}");
            assert!(outbox.take_due("mail", time, true).is_none());
            time = attempt.row.next;
        };
        assert!(time.duration_since(now()) >= SignedDuration::from_hours(5 * 24));
        assert!(longest <= RETRY_MAX * 5 / 4, "{longest}");
        assert!((600..1400).contains(&n_attempts), "{n_attempts} attempts");
        assert_eq!((last.row.last.as_str(), outbox.n_open()), ("451", 0));
    }

    #[test]
    fn a_refused_message_does_not_keep_others_and_a_wrong_set_up_keeps_all() {
        let mut outbox = outbox(&["a", "b"]);
        let first = outbox.take_due("mail", now(), true).unwrap();
        let refused = outbox
            .answered("mail", first.id, Answer::Refused("550".to_owned()), now())
            .unwrap();
        assert_eq!(refused.row.mood, Mood::Dead);
        let second = outbox.take_due("mail", now(), true).unwrap();
        assert_eq!(second.name, "b");
        let stuck = outbox
            .answered("mail", second.id, Answer::Misconfigured("535".to_owned()), now())
            .unwrap();
        assert_eq!(stuck.row.mood, Mood::Stuck);
        assert_eq!((outbox.n_open(), outbox.trouble("mail")), (1, Some("535")));
    }

    #[test]
    fn a_receiver_is_away_after_some_attempts_in_vain_until_one_is_taken() {
        let mut outbox = outbox(&["a"]);
        let mut time = now();
        for is_reachable in [true, true, false] {
            let due = outbox.take_due("mail", time, true).unwrap();
            let attempt = outbox
                .answered("mail", due.id, Answer::Later("refused".to_owned()), time)
                .unwrap();
            assert_eq!(outbox.is_reachable("mail"), is_reachable);
            time = attempt.row.next;
        }
        assert!(outbox.is_reachable("webhook"));
        let due = outbox.take_due("mail", time, true).unwrap();
        outbox.answered("mail", due.id, Answer::Taken(String::new()), time);
        assert!(outbox.is_reachable("mail"));
    }

    #[test]
    fn what_is_not_stored_is_sent_only_when_it_cannot_be() {
        let mut outbox = Outbox::new(Vec::new(), now());
        outbox.add(parcel("a"), now());
        assert!(outbox.take_due("mail", now(), true).is_none());
        let due = outbox.take_due("mail", now(), false).unwrap();
        outbox.answered("mail", due.id, Answer::Taken(String::new()), now());
        let unsaved: Vec<Mood> = outbox.unsaved().map(|(row, _)| row.mood).collect();
        assert_eq!(unsaved, [Mood::Delivered], "that it was sent is stored later");
        outbox.saved();
        assert_eq!(outbox.unsaved().count(), 0);
    }
}
