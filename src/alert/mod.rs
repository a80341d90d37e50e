//! Findings over time to alarms: what is news, what is over.
//!
//! In: the findings of a run, again and again. Out: [`Notice`]s. Invariants: pure (no I/O, no clock); an alarm is said
//! once, again when it gets worse, and once when it is over.

mod bulletin;
mod fingerprint;
mod journal;

pub use bulletin::{Alarm, Bulletin, Digest, Gathered, Occasion, Standing};
pub use fingerprint::Fingerprint;
pub use journal::{Journal, News, Notice, Over};
