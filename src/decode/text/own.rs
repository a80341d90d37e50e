//! Lines that a user's own patterns read.
//!
//! In: patterns from rule files, and lines. Out: what stands in the named groups. Invariants: a pattern is asked
//! before every known format, so that nobody else reads its lines; a group that is empty or a word for "not measured"
//! has no value, one that is no number is a failure that names the group; the regex engine is linear in the line.

pub mod near;
pub mod trial;

use std::sync::Arc;

use regex::{Captures, Regex};

use super::emit::{Emitter, Place};
use crate::decode::Sink;
use crate::decode::number::{Number, unquoted, with_suffix};
use crate::model::{LinePattern, Problem, Quantity};

/// Patterns that are in force together, at most; every line is tried against each.
pub const PATTERNS_MAX: usize = 64;

/// Name of the format of lines that own patterns read.
pub(super) const NAME: &str = "text-own-pattern";

/// A user's patterns, compiled once and shared by all files.
#[derive(Debug, Clone, Default)]
pub struct OwnPatterns(Arc<[OwnPattern]>);

/// One pattern.
#[derive(Debug)]
pub struct OwnPattern {
    /// Its name.
    pub name: String,
    regex: Regex,
    groups: Vec<(usize, Group)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Group {
    Step,
    Epoch,
    Layer,
    Name,
    /// With the tag of its quantity, where the pattern names one.
    Value(Option<&'static str>),
    Quantity(&'static str),
}

impl Group {
    fn of(name: &str, quantity: Option<Quantity>) -> Option<Self> {
        Some(match name {
            "step" => Group::Step,
            "epoch" => Group::Epoch,
            "layer" => Group::Layer,
            "name" => Group::Name,
            "value" => Group::Value(quantity.map(Quantity::as_str)),
            _ => Group::Quantity(Quantity::from_word(name)?.as_str()),
        })
    }
}

/// What a pattern read in a line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading<'l> {
    /// The step.
    pub step: Option<i64>,
    /// The epoch.
    pub epoch: Option<i64>,
    /// The layer, as printed.
    pub layer: Option<&'l str>,
    /// Name of the value, as printed.
    pub name: Option<&'l str>,
    /// The numbers.
    pub values: Vec<OwnValue>,
}

/// A number that a group held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OwnValue {
    /// The group.
    pub group: &'static str,
    /// The tag under which it is handed on; none where [`Reading::name`] is it.
    pub tag: Option<&'static str>,
    /// What the group held.
    pub number: Number,
}

/// A group that matched what it cannot mean.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("group `{group}` is {text:?}, which is no {wanted}")]
pub struct BadGroup {
    /// The group.
    pub group: String,
    /// What it matched.
    pub text: String,
    /// What it should be.
    pub wanted: &'static str,
}

impl OwnPatterns {
    /// Compiles patterns.
    ///
    /// # Errors
    /// A sentence about the first that is no regular expression, or when there are more than [`PATTERNS_MAX`].
    pub fn new(patterns: &[LinePattern]) -> Result<Self, String> {
        if patterns.len() > PATTERNS_MAX {
            return Err(format!(
                "{} patterns, at most {PATTERNS_MAX} are read",
                patterns.len()
            ));
        }
        let compiled: Result<Vec<OwnPattern>, String> = patterns.iter().map(OwnPattern::new).collect();
        Ok(Self(compiled?.into()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns, in the order in which lines are tried.
    pub fn iter(&self) -> impl Iterator<Item = &OwnPattern> {
        self.0.iter()
    }

    /// The first pattern that matches the line, and what it read.
    #[must_use]
    pub fn read<'p, 'l>(&'p self, line: &'l str) -> Option<(&'p OwnPattern, Result<Reading<'l>, BadGroup>)> {
        self.iter()
            .find_map(|it| it.read(line).map(|reading| (it, reading)))
    }

    /// Whether any of these lines is one of theirs.
    pub(crate) fn know_any(&self, lines: &[&[u8]]) -> bool {
        let is_known = |line: &&[u8]| std::str::from_utf8(line).is_ok_and(|it| self.read(it).is_some());
        !self.is_empty() && lines.iter().any(is_known)
    }
}

impl OwnPattern {
    fn new(pattern: &LinePattern) -> Result<Self, String> {
        let regex = Regex::new(&pattern.regex).map_err(|error| format!("{}: {error}", pattern.name))?;
        let group = |(at, name): (usize, Option<&str>)| Some((at, Group::of(name?, pattern.quantity)?));
        let groups = regex.capture_names().enumerate().filter_map(group).collect();
        Ok(Self {
            name: pattern.name.clone(),
            regex,
            groups,
        })
    }

    /// What the line says; `None` when the pattern does not match it.
    #[must_use]
    pub fn read<'l>(&self, line: &'l str) -> Option<Result<Reading<'l>, BadGroup>> {
        let captures = self.regex.captures(line)?;
        Some(self.reading(&captures))
    }

    fn reading<'l>(&self, captures: &Captures<'l>) -> Result<Reading<'l>, BadGroup> {
        let mut reading = Reading::default();
        for (at, group) in &self.groups {
            let Some(text) = captures.get(*at).map(|it| it.as_str().trim()) else {
                continue;
            };
            if is_missing(text) {
                continue;
            }
            match group {
                Group::Layer => reading.layer = Some(text),
                Group::Name => reading.name = Some(text),
                Group::Step => reading.step = Some(self.integer(*at, text)?),
                Group::Epoch => reading.epoch = Some(self.integer(*at, text)?),
                Group::Value(tag) => reading.values.push(OwnValue {
                    group: "value",
                    tag: *tag,
                    number: self.number(*at, text)?,
                }),
                Group::Quantity(tag) => reading.values.push(OwnValue {
                    group: tag,
                    tag: Some(tag),
                    number: self.number(*at, text)?,
                }),
            }
        }
        Ok(reading)
    }

    fn number(&self, at: usize, text: &str) -> Result<Number, BadGroup> {
        number_of(text).ok_or_else(|| self.bad(at, text, "number"))
    }

    fn integer(&self, at: usize, text: &str) -> Result<i64, BadGroup> {
        number_of(text)
            .and_then(|it| crate::decode::axis::integer(it.value))
            .ok_or_else(|| self.bad(at, text, "whole number"))
    }

    fn bad(&self, at: usize, text: &str, wanted: &'static str) -> BadGroup {
        let name = self.regex.capture_names().nth(at).flatten().unwrap_or_default();
        BadGroup {
            group: name.to_owned(),
            text: text.to_owned(),
            wanted,
        }
    }
}

/// All of the text as a number: `0.5`, `41,957`, `1.2K`, `25.6%`, `'nan'`.
fn number_of(text: &str) -> Option<Number> {
    let inner = unquoted(text.as_bytes()).trim_ascii();
    let number = with_suffix(inner)?;
    let rest = inner.get(number.used..)?;
    (rest.is_empty() || rest == b"%").then_some(number)
}

fn is_missing(text: &str) -> bool {
    const WORDS: [&str; 6] = ["na", "n/a", "null", "none", "-", "--"];
    text.is_empty() || WORDS.iter().any(|it| it.eq_ignore_ascii_case(text))
}

impl Reading<'_> {
    /// Hands the values on. How many there were, or why they have no place.
    pub(super) fn emit(
        &self,
        emitter: &mut Emitter,
        place: Place,
        sink: &mut dyn Sink,
    ) -> Result<u64, &'static str> {
        if self.step.is_none() && self.epoch.is_some() {
            emitter.epoch_steps(sink);
        }
        let Some(step) = self.step.or(self.epoch).or(emitter.last_step) else {
            return if self.values.is_empty() {
                Ok(0)
            } else {
                Err("no step was read before it")
            };
        };
        emitter.last_step = Some(step);
        let numbered;
        let layer = match self.layer {
            Some(number) if number.bytes().all(|b| b.is_ascii_digit()) => {
                numbered = format!("layers.{number}");
                Some(numbered.as_str())
            }
            layer => layer,
        };
        for OwnValue { tag, number, .. } in &self.values {
            match (tag.or(self.name), layer) {
                (Some(tag), Some(layer)) => emitter.layer_point(sink, (tag, layer), step, *number, place),
                (Some(tag), None) => emitter.point(sink, tag, step, *number, place),
                (None, _) => return Err("its value has no name"),
            }
        }
        Ok(self.values.len() as u64)
    }
}

/// What to say of a line that a pattern matched and could not read.
pub(super) fn problem(pattern: &OwnPattern, why: &str, (offset, bytes): (u64, u64)) -> Problem {
    Problem::lost(offset, bytes, format!("pattern `{}`: {why}", pattern.name))
}

#[cfg(test)]
mod tests;
