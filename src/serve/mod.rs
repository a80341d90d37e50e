//! What a running daemon shows: the report as a live page, metrics, and its state for programs.
//!
//! In: a [`Snapshot`] after each change, and the pictures of the runs that somebody looks at, both put on the
//! [`Board`] by the loop. Out: HTTP on one address. Invariants: the loop never waits for a reader: it puts finished
//! values on the board and goes on; nothing here writes or changes anything; every answer, connection and wait has a
//! bound; the only place that names axum and tokio.

mod answer;
mod api;
mod board;
mod guard;
mod listener;
mod metrics;
mod query;
mod server;
mod snapshot;

pub use board::{Board, Health, LOOKED_AT_FOR, RunView, VIEWS_MAX};
pub use guard::{Guard, GuardError, TOKEN_CHARS_MIN};
pub use listener::CONNECTIONS_MAX;
pub use metrics::RUN_LABELS_MAX;
pub use server::{Server, ServerError, Settings};
pub use snapshot::{RunRow, Said, Snapshot, Totals};
