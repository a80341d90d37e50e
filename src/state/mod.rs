//! What the daemon must not forget, in one database.
//!
//! In: alarms with their life, finished messages and what became of them, what people acknowledged and silenced. Out: all
//! of it again after any end. Invariants: what a call has stored is on the disk; what was damaged is kept aside and
//! said; nothing here is a secret.

mod batch;
mod database;
mod error;
mod place;
mod record;
mod store;

pub use batch::{
    Attempt, Batch, Memory, Mood, NewParcel, RunRow, StoredAck, StoredParcel, StoredSilence, WaitingBulletin,
};
pub use error::StateError;
pub use place::{daemon_of, default_dir};
pub use record::{RecordError, Words};
pub use store::{Beside, Opening, Store, Wishes};
