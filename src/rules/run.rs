//! The streams of one run to one judgement.
//!
//! In: the outcome of every stream (files and ranks) of a run. Out: one list of findings and one of series.
//! Invariants: the same number found in two files of a run is one series, judged where it was logged with most
//! digits; the order in which streams were read does not matter.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::book::Noted;
use super::causes::explain;
use super::engine::Outcome;
use crate::model::{Family, Finding, Quantity, Severity, Split};
use crate::series::{SeriesInfo, loss_rank};

/// One stream's outcome and where it stands among the streams of its run.
#[derive(Debug)]
pub struct StreamOutcome {
    /// The rank that wrote it.
    pub rank: Option<u32>,
    /// How far its digits are to be trusted, lower is better (event files 0 ... text).
    pub precedence: u32,
    /// What the engine found.
    pub outcome: Outcome,
}

impl StreamOutcome {
    /// The stream of each rank by itself, where several wrote into one file.
    #[must_use]
    pub fn by_rank(mut self) -> Vec<StreamOutcome> {
        let precedence = self.precedence;
        let others = std::mem::take(&mut self.outcome.others);
        self.rank = self.rank.or(self.outcome.home_rank);
        let of_rank = |(rank, outcome)| StreamOutcome {
            rank: Some(rank),
            precedence,
            outcome,
        };
        std::iter::once(self)
            .chain(others.into_iter().map(of_rank))
            .collect()
    }
}

/// Profiles at the alarm, by rule id, kind and quantity: layer and value by depth.
pub type Evidence = HashMap<(String, &'static str, Quantity), Vec<(String, f64)>>;

/// A run's findings and series.
#[derive(Debug, Default)]
pub struct RunOutcome {
    /// The findings, root causes first.
    pub findings: Vec<Finding>,
    /// Profiles at the alarm, by rule id, kind and quantity: layer and value by depth.
    pub evidence: Evidence,
    /// Each series once, with its rank.
    pub series: Vec<(Option<u32>, SeriesInfo)>,
}

/// What makes two series the same number: rank, quantity, split, and the layer or the name.
type Measure = (Option<u32>, Quantity, Split, String);

fn measure(rank: Option<u32>, info: &SeriesInfo) -> Measure {
    let meaning = &info.meaning;
    let split = if meaning.split == Split::Unknown {
        Split::Train
    } else {
        meaning.split
    };
    let name = match (&meaning.layer, meaning.quantity) {
        (Some(layer), _) => format!(
            "{}/{}",
            layer.path,
            layer.parameter.as_deref().unwrap_or_default()
        ),
        (None, Quantity::Loss) if loss_rank(&info.tag) == 0 => "loss".to_owned(),
        (
            None,
            Quantity::LearningRate
            | Quantity::GradNormTotal
            | Quantity::WeightNormTotal
            | Quantity::LossScale,
        ) => String::new(),
        (None, _) => info
            .tag
            .rsplit('/')
            .next()
            .unwrap_or(&info.tag)
            .to_ascii_lowercase(),
    };
    (rank, meaning.quantity, split, name)
}

/// Joins the streams of one run.
#[must_use]
pub fn join(streams: Vec<StreamOutcome>) -> RunOutcome {
    let mut streams: Vec<StreamOutcome> = streams.into_iter().flat_map(StreamOutcome::by_rank).collect();
    streams.sort_by_key(|it| (it.rank, it.precedence));
    let mut out = RunOutcome::default();
    let mut owned: HashMap<Measure, i64> = HashMap::new();
    let mut findings: Vec<(usize, Finding)> = Vec::new();
    let reach = furthest_steps(&streams);
    for (index, stream) in streams.into_iter().enumerate() {
        let rank = stream.rank;
        let own: HashSet<Measure> = stream.outcome.series.iter().map(|it| measure(rank, it)).collect();
        let primary = primary_losses(&stream.outcome.series);
        let last_step = stream.outcome.facts.last_step;
        let facts = &stream.outcome.facts;
        let has_own_axis = facts.steps_are_ordinal || facts.steps_are_epochs;
        let reached = reach_of_measures(rank, &stream.outcome.series, has_own_axis);
        for Noted {
            mut finding,
            evidence,
        } in stream.outcome.findings
        {
            let is_known = is_judged_elsewhere(&finding, &own, &owned)
                && !is_news(index, &finding, &own, &owned, &findings);
            if is_known || is_outrun(&finding, rank, last_step, &reach) {
                continue;
            }
            if is_part_of_a_loss(&finding, primary.as_ref()) {
                finding.severity = Severity::Info;
            }
            finding.rank = rank;
            out.evidence
                .entry((finding.rule.clone(), finding.kind, finding.quantity))
                .or_insert(evidence);
            add(&mut findings, index, finding);
        }
        for info in stream.outcome.series {
            if !owned.contains_key(&measure(rank, &info)) || own_is_distinct(&info) {
                out.series.push((rank, info));
            }
        }
        for (measure, last) in reached {
            let furthest = owned.entry(measure).or_insert(last);
            *furthest = last.max(*furthest);
        }
    }
    out.findings = findings.into_iter().map(|(_, finding)| finding).collect();
    explain(&mut out.findings);
    out
}

/// Series without a recognised quantity are told apart by their full tag.
fn own_is_distinct(info: &SeriesInfo) -> bool {
    info.meaning.quantity == Quantity::Other
}

/// The last step that each rank reached in any of its files.
fn furthest_steps(streams: &[StreamOutcome]) -> HashMap<Option<u32>, i64> {
    let mut reach = HashMap::new();
    for stream in streams
        .iter()
        .filter(|it| !it.outcome.facts.steps_are_ordinal && !it.outcome.facts.steps_are_epochs)
    {
        if let Some(last) = stream.outcome.facts.last_step {
            let furthest = reach.entry(stream.rank).or_insert(last);
            *furthest = last.max(*furthest);
        }
    }
    reach
}

/// The last step of each measure of one stream; no step lies beyond those of an axis of its own (rows, epochs).
fn reach_of_measures(rank: Option<u32>, series: &[SeriesInfo], has_own_axis: bool) -> Vec<(Measure, i64)> {
    let reach = |it: &SeriesInfo| if has_own_axis { i64::MAX } else { it.last_step };
    series.iter().map(|it| (measure(rank, it), reach(it))).collect()
}

/// A file that ends early says nothing when another file of the run goes on.
fn is_outrun(
    finding: &Finding,
    rank: Option<u32>,
    last: Option<i64>,
    reach: &HashMap<Option<u32>, i64>,
) -> bool {
    finding.kind == "unfinished"
        && reach
            .get(&rank)
            .zip(last)
            .is_some_and(|(furthest, last)| *furthest > last)
}

/// Everything that the finding is about was already judged in a better file of the same run.
fn is_judged_elsewhere(finding: &Finding, own: &HashSet<Measure>, owned: &HashMap<Measure, i64>) -> bool {
    if owned.is_empty()
        || matches!(finding.family, Family::Liveness | Family::Integrity)
        || finding.check == "log-pattern"
    {
        return false;
    }
    let mut concerned = own.iter().filter(|it| it.1 == finding.quantity).peekable();
    concerned.peek().is_some() && concerned.all(|it| owned.contains_key(it))
}

/// NaN is NaN in a file of few digits too: it is told unless the better file saw one itself. That one may have been
/// cut off before (writers of event files flush every two minutes), or leave non-finite values out.
fn is_news(
    stream: usize,
    finding: &Finding,
    own: &HashSet<Measure>,
    owned: &HashMap<Measure, i64>,
    known: &[(usize, Finding)],
) -> bool {
    let of_other_files = |(from, it): &(usize, Finding)| {
        *from != stream && it.family == Family::Nonfinite && it.quantity == finding.quantity
    };
    let is_beyond = || {
        let mut reaches = own
            .iter()
            .filter(|it| it.1 == finding.quantity)
            .filter_map(|it| owned.get(it));
        finding
            .first_step
            .is_some_and(|step| reaches.all(|reach| *reach < step))
    };
    finding.family == Family::Nonfinite && (!known.iter().any(of_other_files) || is_beyond())
}

/// The plainly named training losses; empty when none is plain but several are there (GAN, actor and critic).
fn primary_losses(series: &[SeriesInfo]) -> Option<HashSet<Arc<str>>> {
    let losses: Vec<&SeriesInfo> = series
        .iter()
        .filter(|it| it.meaning.quantity == Quantity::Loss)
        .collect();
    let best = losses.iter().map(|it| loss_rank(&it.tag)).min()?;
    if losses.len() == 1 {
        return None;
    }
    let named = |it: &&&SeriesInfo| best < 2 && loss_rank(&it.tag) == best;
    Some(losses.iter().filter(named).map(|it| it.tag.clone()).collect())
}

/// The parts of a loss may rise while the whole falls, and adversarial losses rise by design.
fn is_part_of_a_loss(finding: &Finding, primary: Option<&HashSet<Arc<str>>>) -> bool {
    let may_rise = matches!(finding.family, Family::Loss | Family::Spike | Family::Plateau);
    may_rise
        && finding.quantity == Quantity::Loss
        && primary.is_some_and(|it| finding.tag.as_ref().is_some_and(|tag| !it.contains(tag.as_str())))
}

/// Takes a finding in, or lets it strengthen the one that says the same of another rank or file. Two findings of
/// one stream are two episodes and stay apart.
fn add(findings: &mut Vec<(usize, Finding)>, stream: usize, finding: Finding) {
    let same = |(from, it): &&mut (usize, Finding)| {
        *from != stream
            && it.rule == finding.rule
            && it.kind == finding.kind
            && it.quantity == finding.quantity
            && same_tag(it, &finding)
    };
    let Some((_, known)) = findings.iter_mut().find(same) else {
        findings.push((stream, finding));
        return;
    };
    let is_earlier = match (finding.first_step, known.first_step) {
        (Some(a), Some(b)) => a < b,
        _ => false,
    };
    if finding.severity > known.severity
        || (finding.severity == known.severity && is_earlier && finding.rank != known.rank)
    {
        known.message.clone_from(&finding.message);
        known.value = finding.value;
        known.bound = finding.bound;
    }
    if known.rank != finding.rank {
        known.rank = None;
    }
    known.severity = known.severity.max(finding.severity);
    known.first_step = earliest(known.first_step, finding.first_step);
    known.last_step = known.last_step.max(finding.last_step);
    known.count += finding.count;
    known.is_superseded &= finding.is_superseded;
    known.has_healed &= finding.has_healed;
    let listed: HashSet<String> = known.layers.iter().cloned().collect();
    known
        .layers
        .extend(finding.layers.into_iter().filter(|it| !listed.contains(it)));
}

fn same_tag(a: &Finding, b: &Finding) -> bool {
    a.tag == b.tag || a.rank == b.rank && a.quantity != Quantity::Other && loss_like(a) && loss_like(b)
}

fn loss_like(finding: &Finding) -> bool {
    finding.tag.as_deref().is_some_and(|tag| loss_rank(tag) == 0) || finding.quantity != Quantity::Loss
}

fn earliest(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
