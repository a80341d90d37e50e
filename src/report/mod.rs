//! Findings to bytes: what people read and what programs read.
//!
//! In: the outcome of runs, and notices of alarms. Out: text, JSON and a page. Invariant: every format is made from the same
//! [`AuditReport`]; text from logs is escaped where it is shown.

mod columns;
mod escape;
pub mod html;
mod inspect;
mod json;
mod layers;
mod live_table;
mod notice;
mod paragraph;
pub mod plot;
mod profile_rows;
mod run;
mod spark;
mod summary;
mod table;
mod text;

// What is told of numbers is told in the same words everywhere.
pub use crate::rules::words::{number, thousands};
pub use escape::printable;
pub use inspect::{write_inspect_json, write_inspect_text};
pub use json::{finding as finding_json, number as number_json, problem as problem_json, write_audit_json};
pub(crate) use layers::quantity_words;
pub use layers::{LayerPicture, PictureLine, PictureRow};
pub use live_table::{LiveRow, live_table};
pub(crate) use notice::{reason, why_over};
pub use notice::{write_notices_json, write_notices_text};
pub use run::{AuditReport, FileReport, LossSpan, RunReport};
pub use spark::{sparkline, sparkline_log};
pub use summary::{RunSummary, SPARK_POINTS, WorstFinding, serious, spark};
pub use text::{TextStyle, write_audit_text};
