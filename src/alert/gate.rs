//! What stands between the bulletins and one receiver: the cap on messages, and a receiver that cannot be reached.
//!
//! In: bulletins that are to go, the time. Out: messages that may go now, alone or gathered. Invariants: a bulletin is
//! let through or held, never dropped; what is held of a run is one bulletin, which says all that those before it
//! would have said; in any hour no more messages go than the cap says.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::policy::Cap;
use super::{Alarm, Bulletin, Fingerprint, Gathered, Occasion, Over, RunKey, Standing};

/// One receiver's door.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate {
    /// Messages in any hour; none: as many as there are.
    per_hour: Option<u32>,
    cap: Cap,
    held: BTreeMap<RunKey, Bulletin>,
    /// The receiver could not be reached when something was to go.
    was_unreachable: bool,
    /// What is held is not what was stored.
    is_changed: bool,
}

/// What may go now.
#[derive(Debug, PartialEq)]
pub(super) enum Passing {
    Nothing,
    Alone(Vec<Bulletin>),
    Together(Gathered, Vec<Bulletin>),
}

impl Gate {
    pub(super) fn new(
        per_hour: Option<u32>,
        stamps: &[Timestamp],
        held: impl IntoIterator<Item = Bulletin>,
    ) -> Self {
        let mut gate = Self {
            per_hour,
            cap: Cap::of(stamps.iter().copied()),
            ..Self::default()
        };
        held.into_iter().for_each(|it| gate.put(it));
        // How long it has waited says that something was in the way.
        gate.was_unreachable = !gate.held.is_empty();
        gate.is_changed = false;
        gate
    }

    pub(super) fn set_per_hour(&mut self, per_hour: u32) {
        if let Some(it) = &mut self.per_hour {
            *it = per_hour;
        }
    }

    pub(super) fn is_capped(&self) -> bool {
        self.per_hour.is_some()
    }

    pub(super) fn stamps(&self) -> impl Iterator<Item = Timestamp> {
        self.cap.stamps()
    }

    pub(super) fn held(&self) -> impl Iterator<Item = &Bulletin> {
        self.held.values()
    }

    pub(super) fn put(&mut self, mut bulletin: Bulletin) {
        let key = RunKey {
            root: bulletin.root.clone(),
            run: bulletin.run.clone(),
        };
        if let Some(before) = self.held.remove(&key) {
            take_over(&mut bulletin, before);
        }
        self.held.insert(key, bulletin);
        self.is_changed = true;
    }

    /// Room for a message that cannot be held; whether there is.
    pub(super) fn take_room(&mut self, now: Timestamp) -> bool {
        let has_room = self.room(now) > 0;
        if has_room {
            self.cap.take(now);
        }
        has_room
    }

    pub(super) fn room(&mut self, now: Timestamp) -> usize {
        self.per_hour.map_or(usize::MAX, |it| self.cap.free(it, now))
    }

    /// What may go now. `end_of` says whether an alarm of a run is over, and why.
    pub(super) fn open(
        &mut self,
        now: Timestamp,
        is_reachable: bool,
        end_of: &dyn Fn(&RunKey, Fingerprint) -> Option<Over>,
    ) -> Passing {
        if self.held.is_empty() {
            self.was_unreachable = false;
            return Passing::Nothing;
        }
        let room = self.room(now);
        self.was_unreachable |= !is_reachable;
        if !is_reachable || room == 0 {
            return Passing::Nothing;
        }
        // Half of what is left may go as single messages: a burst is one message, and leaves room for what comes.
        let n_alone = if self.was_unreachable {
            1
        } else {
            (room / 2).max(1)
        };
        let gathered = if self.was_unreachable {
            Gathered::Unreachable
        } else {
            Gathered::Capped
        };
        let held = std::mem::take(&mut self.held).into_iter();
        let mut passing: Vec<Bulletin> = held
            .map(|(key, mut bulletin)| {
                bring_up_to_date(&mut bulletin, &|it| end_of(&key, it));
                bulletin
            })
            .collect();
        passing.sort_by_key(|it| it.at);
        self.was_unreachable = false;
        self.is_changed = true;
        if passing.len() > n_alone {
            self.cap.take(now);
            return Passing::Together(gathered, passing);
        }
        for _ in &passing {
            self.cap.take(now);
        }
        Passing::Alone(passing)
    }

    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    pub(super) fn shift(&mut self, by: SignedDuration) {
        self.cap.shift(by);
    }
}

/// A later bulletin of a run says what the one before it would have said: alarms that it does not know any more, too.
fn take_over(later: &mut Bulletin, before: Bulletin) {
    let known: BTreeSet<Fingerprint> = later
        .roots
        .iter()
        .chain(&later.consequences)
        .map(|it| it.fingerprint)
        .collect();
    let is_unknown = |it: &Alarm| !known.contains(&it.fingerprint);
    later.roots.extend(before.roots.into_iter().filter(is_unknown));
    later
        .consequences
        .extend(before.consequences.into_iter().filter(is_unknown));
}

/// What ended without a message of its own while the bulletin was held (somebody had silenced it) is over in it too,
/// and an end is said to be one only when nothing of it stands.
fn bring_up_to_date(bulletin: &mut Bulletin, end_of: &dyn Fn(Fingerprint) -> Option<Over>) {
    let mut stands = false;
    for alarm in bulletin.roots.iter_mut().chain(&mut bulletin.consequences) {
        if alarm.standing == Standing::Firing {
            alarm.standing = end_of(alarm.fingerprint).map_or(Standing::Firing, Standing::Resolved);
        }
        stands |= alarm.standing == Standing::Firing;
    }
    bulletin.occasion = match bulletin.occasion {
        Occasion::Resolved if stands => Occasion::Firing,
        _ if !stands => Occasion::Resolved,
        it => it,
    };
}
