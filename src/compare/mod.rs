//! Two runs to one judgement: does this one train, or can it not be told from learning rate 0?
//!
//! In: a run in little ([`Portrait`]) and a [`Baseline`]. Out: a [`Comparison`]: verdict, loss, layers, notes,
//! remedies. Invariants: a run that equals its baseline is never `training`, and `not-training` only where the
//! baseline does not train either; trouble that the baseline has too is never blamed on the learning rate unless the
//! baseline trained as well.

mod layers;
mod loss;
#[cfg(test)]
mod tests;
mod words;

pub use layers::{LayerComparison, NormComparison};
pub use loss::{EFFECT_MIN, LossComparison, PAIRS_MIN, Way};

use crate::series::{Baseline, Portrait, Trouble};

/// What the comparison says of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its loss is below the baseline's.
    Training,
    /// Its loss cannot be told from that of a baseline that does not train: by its learning rate, its weights, or a
    /// loss that is flat.
    NotTraining,
    /// Its loss is above the baseline's, or has become NaN or infinite where the baseline's has not.
    Worse,
    /// It is no better than the baseline, and the baseline has trouble of its own.
    TroubleToo,
    /// Too little in common to tell, or no different from a baseline that may train.
    Undecided,
}

impl Standing {
    /// The word in JSON and in the kinds of findings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::NotTraining => "not-training",
            Self::Worse => "worse",
            Self::TroubleToo => "trouble-too",
            Self::Undecided => "undecided",
        }
    }
}

/// Two runs, compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The judgement.
    pub standing: Standing,
    /// Whether the baseline's learning rate is 0; `None` when it was not logged.
    pub baseline_rate_is_zero: Option<bool>,
    /// The losses; `None` when too few points are common.
    pub loss: Option<LossComparison>,
    /// Whether the losses are of one size at the first common step; `None` without one.
    pub starts_alike: Option<bool>,
    /// The layers, input side first where the names tell it.
    pub layers: Vec<LayerComparison>,
    /// What is wrong with the baseline itself.
    pub troubles: Vec<Trouble>,
    /// What limits the comparison.
    pub notes: Vec<String>,
    /// The judgement in a sentence.
    pub sentence: String,
    /// What to do, most promising first.
    pub remedy: Vec<String>,
}

/// Compares.
#[must_use]
pub fn compare(run: &Portrait, baseline: &Baseline) -> Comparison {
    let rate_is_zero = baseline.portrait.is_at_rate_zero();
    let loss = loss::compare(run, &baseline.portrait, rate_is_zero == Some(true));
    let layers = layers::compare(run, &baseline.portrait);
    let standing = standing(run, baseline, loss.as_ref(), &layers);
    let mut comparison = Comparison {
        standing,
        baseline_rate_is_zero: rate_is_zero,
        loss,
        starts_alike: loss::start_alike(run, &baseline.portrait),
        layers,
        troubles: baseline.troubles.clone(),
        notes: Vec::new(),
        sentence: String::new(),
        remedy: words::remedy(standing, rate_is_zero),
    };
    comparison.notes = words::notes(run, baseline, &comparison);
    comparison.sentence = words::sentence(run, baseline, &comparison);
    comparison
}

fn standing(
    run: &Portrait,
    baseline: &Baseline,
    loss: Option<&LossComparison>,
    layers: &[LayerComparison],
) -> Standing {
    let is_better = !ends_broken(run) && loss.is_some_and(LossComparison::is_better);
    let has_trouble = !baseline.troubles.is_empty() || ends_broken(&baseline.portrait);
    let has_frozen = || {
        layers.iter().any(|it| it.has_moved.is_some()) && !layers.iter().any(|it| it.has_moved == Some(true))
    };
    match loss {
        _ if is_better => Standing::Training,
        _ if ends_broken(run) && !has_trouble => Standing::Worse,
        Some(_) | None
            if has_trouble && (loss.is_some() || ends_broken(run) || ends_broken(&baseline.portrait)) =>
        {
            Standing::TroubleToo
        }
        Some(loss) if loss.is_worse() => Standing::Worse,
        Some(_) if has_frozen() || is_at_rest(&baseline.portrait, layers) => Standing::NotTraining,
        Some(_) => Standing::Undecided,
        None if has_frozen() => Standing::NotTraining,
        None => Standing::Undecided,
    }
}

/// Whether the baseline does not train: by the learning rate of its log, by weights that stay where they are, or by a
/// loss that is flat.
fn is_at_rest(baseline: &Portrait, layers: &[LayerComparison]) -> bool {
    let rate_is_zero = baseline.is_at_rate_zero();
    let moves: Vec<bool> = layers.iter().filter_map(|it| it.baseline_has_moved).collect();
    let is_frozen = rate_is_zero.is_none() && !moves.is_empty() && !moves.contains(&true);
    rate_is_zero == Some(true) || is_frozen || loss::course_of(baseline) == Some(loss::Course::Flat)
}

/// Whether the last loss is NaN or infinite.
fn ends_broken(run: &Portrait) -> bool {
    run.loss
        .as_ref()
        .and_then(|loss| loss.trace.last)
        .is_some_and(|(_, value)| !value.is_finite())
}
