//! What an engine has found, so far or once its log is complete.
//!
//! In: the engine. Out: findings, series, notes, and the rules that had nothing to look at. Invariant: nothing is
//! judged here.

use super::{Engine, StreamState};
use crate::model::{DepthOrder, Problem};
use crate::rules::Rule;
use crate::rules::book::Noted;
use crate::rules::check::Build;
use crate::series::{Facts, History, SERIES_MAX, SeriesInfo, layers_by_depth};

/// What an engine has found.
#[derive(Debug)]
pub struct Outcome {
    /// The findings, in no particular order.
    pub findings: Vec<Noted>,
    /// Every series.
    pub series: Vec<SeriesInfo>,
    /// What is known of the stream.
    pub facts: Facts,
    /// The training loss, bounded.
    pub loss_history: History,
    /// Restarts and limits that were reached.
    pub notes: Vec<Problem>,
    /// Ids of rules that no series or line of the stream could have fired.
    pub unmatched: Vec<String>,
    /// How the order of the layers is known.
    pub depth_order: DepthOrder,
    /// Per-layer groups and layers in depth order, for `inspect`.
    pub layers: Vec<String>,
    /// The rank of all this, when several ranks wrote into one file.
    pub home_rank: Option<u32>,
    /// What was found of the other ranks that wrote into the file.
    pub others: Vec<(u32, Outcome)>,
}

impl Engine<'_> {
    pub(super) fn outcome(&mut self) -> Outcome {
        let matched = |index: usize, rule: &Rule| match rule.check.build {
            Build::Series(_) => self
                .circles
                .iter()
                .any(|it| it.bindings.iter().any(|binding| binding.rule == index)),
            Build::Profile(_) => self
                .assemblers
                .iter()
                .any(|it| it.checks.iter().any(|b| b.serves(index))),
            Build::Stream(_) => {
                let is_fed = |it: &StreamState| it.rule != index || it.check.has_data();
                self.has_heard(index, rule) && self.stream_checks.iter().all(is_fed)
            }
        };
        let seen_by_rule: Vec<bool> = self
            .rules
            .iter()
            .enumerate()
            .map(|(i, rule)| matched(i, rule))
            .collect();
        let unmatched = self
            .rules
            .iter()
            .zip(seen_by_rule)
            .filter(|(_, seen)| !seen)
            .map(|(rule, _)| rule.id.clone())
            .collect();
        let mut notes = self.restarts.notes();
        notes.extend(self.stuck_step());
        if self.store.overflow() > 0 {
            notes.push(Problem::note(
                0,
                format!(
                    "more than {} series: {} values of further series were not judged",
                    SERIES_MAX,
                    self.store.overflow()
                ),
            ));
        }
        if self.book.overflow() > 0 {
            notes.push(Problem::note(
                0,
                format!("{} further alarms were not kept", self.book.overflow()),
            ));
        }
        let (depth_order, layers) = layers_by_depth(self.assemblers.iter_mut().map(|it| &mut it.assembler));
        Outcome {
            findings: self.book.findings(self.rules, self.facts.steps_are_ordinal),
            series: self.store.all().to_vec(),
            facts: self.facts.clone(),
            loss_history: self.loss_history.clone(),
            notes,
            unmatched,
            depth_order,
            layers,
            home_rank: None,
            others: Vec::new(),
        }
    }

    /// Whether a stream rule had anything of what it listens for.
    fn has_heard(&self, rule: usize, declared: &Rule) -> bool {
        if !declared.patterns.is_empty() {
            return self.n_lines > 0;
        }
        let Some(listener) = self.stream_checks.iter().position(|it| it.rule == rule) else {
            return false;
        };
        declared.quantities.is_empty() || self.circles.iter().any(|it| it.hearers.contains(&listener))
    }

    /// A writer that forgot the step logs every point at the same one.
    fn stuck_step(&self) -> Option<Problem> {
        const POINTS_MIN: u64 = 5;
        let is_stuck =
            |it: &&SeriesInfo| it.points >= POINTS_MIN && it.first_step == it.last_step && it.restarts == 0;
        let series = self.store.all().iter().find(is_stuck)?;
        let (points, tag, step) = (series.points, &series.tag, series.last_step);
        Some(Problem::note(
            0,
            format!("step never advances: {points} points of `{tag}` all at step {step}"),
        ))
    }
}
