//! Points and profiles to findings. Pure: no I/O, no clock.
//!
//! In: samples, lines and marks of one stream, and rule files as text. Out: findings, and every problem of a
//! rule file. Invariant: the same log gives the same findings whether it is read at once or followed byte by
//! byte.

mod book;
mod builtin;
mod causes;
pub mod check;
mod document;
mod engine;
mod exonerate;
mod fields;
mod file;
#[cfg(test)]
mod golden;
mod pattern;
mod persistence;
mod problem;
mod rule;
mod run;
mod schema;
mod screen;
mod set;
mod suggest;
mod template;
#[cfg(test)]
pub(crate) mod test_checks;
pub mod testfile;
mod validate;
pub mod words;

pub use book::Noted;
pub use builtin::{builtin, builtin_sources, builtin_tests, load_builtin};
pub use engine::{Engine, Outcome};
pub use exonerate::exonerate;
pub use file::{RULE_FILE_BYTES_MAX, load};
pub use pattern::{Expected, PatternDef, ReadExample};
pub use persistence::Persistence;
pub use problem::{RuleProblem, Source, render};
pub use rule::{Params, Rule, SharedBounds};
pub use run::{Evidence, RunOutcome, StreamOutcome, join};
pub use schema::{schema, schema_text};
pub use set::RuleSet;
pub use template::{TemplateError, fill, placeholders};
pub use validate::PERSISTENCE_MAX;

// What reads rule files reads the configuration, too: the same problems in the same words.
pub(crate) use document::{Node, Span, Table, Value, parse as parse_toml};
pub(crate) use fields::{advice, flag, integer, text, texts, word, wrong_type};
pub(crate) use problem::Problems;
