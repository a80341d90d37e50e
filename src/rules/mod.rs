//! Points and profiles to findings. Pure: no I/O, no clock.

mod builtin;
pub mod check;
mod document;
mod fields;
mod file;
#[cfg(test)]
mod golden;
mod problem;
mod rule;
mod schema;
mod set;
mod suggest;
mod template;
#[cfg(test)]
mod test_checks;
pub mod testfile;
mod validate;

pub use builtin::{builtin, builtin_sources, builtin_tests, load_builtin};
pub use file::{RULE_FILE_BYTES_MAX, load};
pub use problem::{RuleProblem, Source, render};
pub use rule::{Params, Rule};
pub use schema::{schema, schema_text};
pub use set::RuleSet;
pub use template::{TemplateError, fill, placeholders};
pub use validate::PERSISTENCE_MAX;
