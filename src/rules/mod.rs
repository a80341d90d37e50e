//! Points and profiles to findings. Pure: no I/O, no clock.

pub mod check;
mod document;
mod fields;
mod file;
mod problem;
mod rule;
mod set;
mod suggest;
mod template;
#[cfg(test)]
mod test_checks;
mod validate;

pub use file::{RULE_FILE_BYTES_MAX, load};
pub use problem::{RuleProblem, Source, render};
pub use rule::{Params, Rule};
pub use set::RuleSet;
pub use template::{TemplateError, fill, placeholders};
pub use validate::PERSISTENCE_MAX;
