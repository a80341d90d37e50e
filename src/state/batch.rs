//! What goes into the state database and what comes out of it.
//!
//! In: nothing. Out: plain values. Invariant: nothing here is a secret.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::{RecordError, time};
use crate::alert::{Bulletin, Case, Fingerprint, Ledger, RunKey, Silence};
use crate::model::Severity;

/// How it is with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It is to be sent.
    Pending,
    /// The receiver is set up wrongly; it is kept and tried now and then.
    Stuck,
    /// It was taken.
    Delivered,
    /// It was refused, or too many days were in vain.
    Dead,
}

impl Mood {
    const ALL: [Self; 4] = [Self::Pending, Self::Stuck, Self::Delivered, Self::Dead];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Stuck => "stuck",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    /// The mood with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == word)
    }

    /// Whether it is to be tried again.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Stuck)
    }
}

/// A message with an address, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredParcel {
    /// Its number.
    pub id: i64,
    /// Which receiver takes it.
    pub receiver: String,
    /// The address within the receiver.
    pub address: String,
    /// What it is known by.
    pub name: String,
    /// How it is with it.
    pub mood: Mood,
    /// When it was made.
    pub made: Timestamp,
    /// When it is to be tried next.
    pub next: Timestamp,
    /// How often it was tried.
    pub n_attempts: u32,
    /// What was answered last.
    pub last: String,
}

/// A message that is to be stored.
#[derive(Debug)]
pub struct NewParcel<'a> {
    /// What is known of it.
    pub row: &'a StoredParcel,
    /// Its bytes.
    pub body: &'a [u8],
}

/// An attempt to deliver a message, and how it is with the message since.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The message since.
    pub row: StoredParcel,
    /// When.
    pub at: Timestamp,
}

/// A bulletin for a receiver that cannot be reached.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingBulletin {
    /// Which receiver.
    pub receiver: String,
    /// The latest of its run.
    pub bulletin: Bulletin,
}

/// Somebody takes care of an alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAck {
    /// Which alarm.
    pub fingerprint: Fingerprint,
    /// How bad it was then.
    pub severity: Severity,
    /// When.
    pub at: Timestamp,
    /// Why, in their words.
    pub comment: String,
}

/// A silence that is to be stored.
#[derive(Debug)]
pub struct StoredSilence<'a> {
    /// The pattern on the run.
    pub run: &'a str,
    /// The pattern on the rule.
    pub rule: Option<&'a str>,
    /// When it ends.
    pub until: Timestamp,
    /// Why.
    pub comment: &'a str,
}

/// A run that is followed, for `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Which.
    pub key: RunKey,
    /// Its furthest step.
    pub last_step: Option<i64>,
    /// When something new was last read of it, as far as this daemon has seen.
    pub heard: Option<Timestamp>,
    /// How far its files were read, in the words of those who read them.
    pub files: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct RunText {
    last_step: Option<i64>,
    heard: Option<String>,
    #[serde(default)]
    files: Vec<String>,
}

impl RunRow {
    pub(super) fn text(&self) -> Result<String, RecordError> {
        Ok(serde_json::to_string(&RunText {
            last_step: self.last_step,
            heard: self.heard.map(|it| it.to_string()),
            files: self.files.clone(),
        })?)
    }

    pub(super) fn of(key: RunKey, text: &str) -> Result<Self, RecordError> {
        let read: RunText = serde_json::from_str(text)?;
        Ok(Self {
            key,
            last_step: read.last_step,
            heard: read.heard.as_deref().map(time).transpose()?,
            files: read.files,
        })
    }
}

/// Changes that are stored together.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// What the desk must know beside its cases.
    pub ledger: Ledger,
    /// The alarms of runs; none: forget them.
    pub cases: Vec<(RunKey, Option<&'a Case>)>,
    /// Messages that are new.
    pub new_parcels: Vec<NewParcel<'a>>,
    /// What came of attempts.
    pub attempts: Vec<Attempt>,
    /// Bulletins for receivers that cannot be reached; the latest of a run replaces the one before.
    pub waiting: Vec<WaitingBulletin>,
    /// Receivers for which nothing of before waits any more.
    pub no_longer_waiting: Vec<String>,
    /// Acknowledgements that are over.
    pub acks_over: BTreeSet<Fingerprint>,
    /// Runs of which something was read.
    pub runs: Vec<RunRow>,
    /// Runs that are gone.
    pub runs_gone: Vec<RunKey>,
    /// Short facts by name.
    pub notes: Vec<(&'static str, String)>,
    /// The bytes of what was delivered before this time are forgotten.
    pub forget_before: Option<Timestamp>,
}

/// Everything that was stored.
#[derive(Debug, Default)]
pub struct Memory {
    /// What the desk must know beside its cases.
    pub ledger: Ledger,
    /// The alarms of runs.
    pub cases: BTreeMap<RunKey, Case>,
    /// All messages that are remembered.
    pub parcels: Vec<StoredParcel>,
    /// Bulletins for receivers that could not be reached.
    pub waiting: Vec<WaitingBulletin>,
    /// Acknowledgements.
    pub acks: Vec<StoredAck>,
    /// Silences.
    pub silences: Vec<Silence>,
    /// Runs.
    pub runs: Vec<RunRow>,
    /// Short facts by name.
    pub notes: BTreeMap<String, String>,
}
