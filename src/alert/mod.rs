//! Findings over time to alarms: what is news, what is over.
//!
//! In: the findings of a run, again and again. Out: [`Notice`]s. Invariants: pure (no I/O, no clock); an alarm is said
//! once, again when it gets worse, and once when it is over.

mod bulletin;
mod case;
mod desk;
mod fingerprint;
mod gate;
mod journal;
mod life;
mod policy;
mod silence;

pub use bulletin::{Alarm, Bulletin, Digest, Gathered, Occasion, Standing};
pub use case::{Case, Incident, RunKey};
pub use desk::{Changes, Desk, Ledger, Outgoing, Reception, Sending};
pub use fingerprint::Fingerprint;
pub use journal::{Journal, News, Notice, Over, Remembered};
pub use life::{Life, Stage};
pub use policy::Policy;
pub use silence::{NamePattern, Silence};
