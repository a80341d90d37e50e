//! What one message to people is about.
//!
//! In: nothing. Out: the value that receivers word, each in its way. Invariant: it holds all that a message says, so
//! that the same bulletin always gives the same message.

use jiff::Timestamp;

use super::{Fingerprint, Over};
use crate::model::Finding;

/// Why a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// An alarm of the run is new.
    Firing,
    /// An alarm that was told before has become more severe.
    Worse,
    /// The alarms still stand, and were told long ago.
    Reminder,
    /// All that was told is over.
    Resolved,
}

/// How it is with an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It stands.
    Firing,
    /// It is over.
    Resolved(Over),
}

/// One alarm in a bulletin.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// Which.
    pub fingerprint: Fingerprint,
    /// The finding as it stands, or as it last stood.
    pub finding: Finding,
    /// When it was first heard of.
    pub since: Timestamp,
    /// How it is with it.
    pub standing: Standing,
}

/// What one message says: of one run, its root causes and what follows from them.
#[derive(Debug, Clone, PartialEq)]
pub struct Bulletin {
    /// Why.
    pub occasion: Occasion,
    /// The run.
    pub run: String,
    /// The directory under which the run was found, for people.
    pub root: String,
    /// Names the incident: all messages of it form one thread. Stable over restarts; letters, digits and `-` only.
    pub incident: String,
    /// The place of this message in its incident; 0 is the first.
    pub sequence: u32,
    /// When what it says was found; the message is dated so.
    pub at: Timestamp,
    /// Root causes, worst first.
    pub roots: Vec<Alarm>,
    /// Alarms that a root explains.
    pub consequences: Vec<Alarm>,
}

/// Why bulletins are told together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gathered {
    /// One message each would have been more than the cap on messages allows.
    Capped,
    /// What was told before was lost with the state database: some of it may have been told already.
    StateLost,
    /// The receiver could not be reached for a while.
    Unreachable,
}

/// Bulletins that are told together.
#[derive(Debug, Clone, PartialEq)]
pub struct Digest {
    /// Why.
    pub gathered: Gathered,
    /// Names the message. Stable over restarts; letters, digits and `-` only.
    pub name: String,
    /// When it was put together.
    pub at: Timestamp,
    /// What was held, oldest first; at most one of a run (the latest).
    pub bulletins: Vec<Bulletin>,
}
