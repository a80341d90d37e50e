//! The comparison in words.
//!
//! In: the comparison so far. Out: a sentence, notes, remedies. Invariant: "learning rate 0" is said only of a
//! baseline whose log shows it.

use super::loss::{self, Course};
use super::{Comparison, LossComparison, PAIRS_MIN, Standing, Way};
use crate::series::{Baseline, Portrait};

/// Names of layers that are listed before the rest is counted.
const NAMES_MAX: usize = 3;

pub(super) fn sentence(run: &Portrait, baseline: &Baseline, it: &Comparison) -> String {
    let other = other(it.baseline_rate_is_zero);
    let head = match it.standing {
        Standing::Training => "training".to_owned(),
        Standing::NotTraining => "not training".to_owned(),
        Standing::Worse => format!("worse than {other}"),
        Standing::TroubleToo => match it.baseline_rate_is_zero {
            Some(true) => "the trouble is there at learning rate 0 too".to_owned(),
            _ => "the trouble is there in the baseline too".to_owned(),
        },
        Standing::Undecided => "cannot tell".to_owned(),
    };
    let mut parts = vec![match &it.loss {
        Some(loss) => loss_words(loss, other),
        None => no_loss_words(run, &baseline.portrait),
    }];
    if let Some((_, value)) = run
        .loss
        .as_ref()
        .and_then(|loss| loss.trace.last)
        .filter(|last| !last.1.is_finite())
    {
        let since = run.loss.as_ref().and_then(|loss| loss.trace.nonfinite_since);
        parts.insert(
            0,
            format!(
                "its loss ends as {value}{}",
                since.map_or_else(String::new, |step| format!(" (since step {step})"))
            ),
        );
    }
    if it.standing == Standing::TroubleToo {
        parts.push(trouble_words(baseline, it.baseline_rate_is_zero));
    }
    if it.standing == Standing::Undecided && it.loss.is_some() {
        parts.extend(course_words(&baseline.portrait));
    }
    if it.standing != Standing::Training {
        parts.extend(moved_words(it));
    }
    format!("{head}: {}", parts.join("; "))
}

fn other(rate_is_zero: Option<bool>) -> &'static str {
    if rate_is_zero == Some(true) {
        "learning rate 0"
    } else {
        "the baseline"
    }
}

fn loss_words(loss: &LossComparison, other: &str) -> String {
    let (from, to) = loss.steps;
    let place = match loss.way {
        Way::Paired => format!("over the last {} common steps ({from} to {to})", loss.points),
        Way::Separate => format!("in its later half (steps {from} to {to}) against all of the baseline"),
    };
    let (difference, error) = (loss.test.mean, loss.test.standard_error);
    let side = if difference < 0.0 { "below" } else { "above" };
    if loss.is_better() || loss.is_worse() {
        format!(
            "{place} the loss is {:.3} {side} that of {other} ({:.3} against {:.3}, {:.1} %)",
            difference.abs(),
            loss.run,
            loss.baseline,
            100.0 * loss.relative.abs()
        )
    } else {
        format!(
            "{place} the loss cannot be told from that of {other} ({:.3} against {:.3}; difference {difference:+.2e} +- \
             {error:.1e}, {:.1} independent points)",
            loss.run, loss.baseline, loss.test.effective
        )
    }
}

fn no_loss_words(run: &Portrait, baseline: &Portrait) -> String {
    match (&run.loss, &baseline.loss) {
        (None, _) => "the run logs no training loss".to_owned(),
        (_, None) => "the baseline logs no training loss".to_owned(),
        (Some(_), Some(_)) => {
            format!("the losses have fewer than {PAIRS_MIN} finite steps in common")
        }
    }
}

/// Why being like this baseline says nothing.
fn course_words(baseline: &Portrait) -> Option<String> {
    let why = match loss::course_of(baseline)? {
        Course::Falls => {
            "the loss of the baseline falls itself, so that a run which is like it may well train"
        }
        Course::TooShort => "the baseline is too short to show whether its loss falls",
        Course::Flat => return None,
    };
    Some(format!(
        "{why}; train once with learning rate 0 and compare with that"
    ))
}

fn trouble_words(baseline: &Baseline, rate_is_zero: Option<bool>) -> String {
    let what = match baseline.troubles.first() {
        Some(trouble) => format!("the baseline itself shows it: {}", trouble.message),
        None => "the loss of the baseline itself is not finite".to_owned(),
    };
    match rate_is_zero {
        Some(true) => format!(
            "{what}; so it is not the learning rate but the initialisation, the architecture or the data"
        ),
        _ => what,
    }
}

/// How many layers moved, where it is known.
fn moved_words(it: &Comparison) -> Option<String> {
    let known: Vec<bool> = it.layers.iter().filter_map(|layer| layer.has_moved).collect();
    let moved = known.iter().filter(|moved| **moved).count();
    (!known.is_empty()).then(|| format!("the weights of {moved} of {} layers have moved", known.len()))
}

pub(super) fn notes(run: &Portrait, baseline: &Baseline, it: &Comparison) -> Vec<String> {
    let mut notes = rate_notes(run, &baseline.portrait);
    notes.extend(step_notes(run, &baseline.portrait, it));
    notes.extend(layer_notes(it));
    if it.standing == Standing::Training {
        notes.extend(
            baseline
                .troubles
                .iter()
                .map(|trouble| format!("the baseline by itself: {}", trouble.message)),
        );
    }
    notes
}

fn rate_notes(run: &Portrait, baseline: &Portrait) -> Vec<String> {
    let mut notes = Vec::new();
    match baseline.learning_rate {
        None => notes.push(
            "the baseline does not log its learning rate: whether it is 0 is not known, and trouble in it proves nothing about the learning rate"
                .to_owned(),
        ),
        Some((0.0, 0.0)) => {}
        Some((low, high)) => notes.push(format!(
            "the learning rate of the baseline is not 0 ({low:e} to {high:e}): trouble in it may come from its learning rate"
        )),
    }
    if run.is_at_rate_zero() == Some(true) {
        notes.push("the learning rate of the run itself is 0".to_owned());
    }
    notes
}

fn step_notes(run: &Portrait, baseline: &Portrait, it: &Comparison) -> Vec<String> {
    let mut notes = Vec::new();
    let (Some(own), Some(theirs)) = (&run.loss, &baseline.loss) else {
        return notes;
    };
    let pairs = own.trace.pairs(&theirs.trace);
    let (Some((run_first, run_last)), Some((base_first, base_last))) = (run.steps, baseline.steps) else {
        return notes;
    };
    if pairs.is_empty() {
        notes.push(format!(
            "no step in common: the run has {run_first} to {run_last}, the baseline {base_first} to {base_last}"
        ));
    } else if it.loss.is_some_and(|loss| loss.way == Way::Separate) {
        notes.push(format!(
            "the baseline ends at step {base_last}, the run at {run_last}"
        ));
    } else if base_last < run_last && it.loss.is_some() {
        notes.push(format!(
            "what the run does after step {base_last}, the baseline's last, is not compared"
        ));
    }
    if let Some((step, a, b)) = pairs
        .first()
        .filter(|(_, a, b)| (a - b).abs() > 1e-3 * a.abs().max(b.abs()))
    {
        let advice = if it.starts_alike == Some(false) {
            "they are hardly the same network on the same data"
        } else {
            "with the same seed and data the comparison sees more"
        };
        notes.push(format!(
            "the runs do not start alike (loss {a:.4} and {b:.4} at step {step}): {advice}"
        ));
    }
    notes
}

fn layer_notes(it: &Comparison) -> Vec<String> {
    let mut notes = Vec::new();
    if it.baseline_rate_is_zero == Some(true) {
        let moving: Vec<&str> = it
            .layers
            .iter()
            .filter(|layer| layer.baseline_has_moved == Some(true))
            .map(|layer| layer.path.as_str())
            .collect();
        if !moving.is_empty() {
            notes.push(format!("weights of the baseline move at learning rate 0 ({}): a fault of the logging, or weight decay beside the learning rate", names(&moving)));
        }
    }
    let still: Vec<&str> = it
        .layers
        .iter()
        .filter(|layer| layer.has_moved == Some(false))
        .map(|layer| layer.path.as_str())
        .collect();
    if !still.is_empty() && it.standing == Standing::Training {
        notes.push(format!("weights that have not moved: {}", names(&still)));
    }
    notes
}

fn names(all: &[&str]) -> String {
    let shown = all.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

pub(super) fn remedy(standing: Standing, rate_is_zero: Option<bool>) -> Vec<String> {
    let lines: &[&str] = match (standing, rate_is_zero) {
        (Standing::Training | Standing::Undecided, _) => &[],
        (Standing::NotTraining, _) => &[
            "Tune the learning rate: three times more, three times less",
            "Look whether the optimiser holds all parameters, and at the gradient norms per layer for vanishing gradients",
            "Change the architecture: skip connections, normalisation, other activations, fewer layers",
            "Rarely: change the initialisation",
        ],
        (Standing::Worse, rate) if rate != Some(true) => &[
            "Compare how the two runs differ: learning rate, schedule, data, seed",
            "Reduce the learning rate",
            "Train once with learning rate 0 and compare with that",
        ],
        (Standing::Worse, _) => &[
            "Reduce the learning rate: the same network is better when it is not trained at all",
            "Clip the gradient norm, lengthen the warm-up",
            "Look at the data and at the sign of the loss",
        ],
        (Standing::TroubleToo, Some(true)) => &[
            "Leave the learning rate alone: the trouble is there without it",
            "Change the initialisation so that the gain per layer is 1 (He for ReLU, Xavier for tanh)",
            "Change the architecture: normalisation layers, residual connections, fewer layers",
            "Look at the scale of the inputs and for NaN in the data",
        ],
        (Standing::TroubleToo, _) => &[
            "Train once with learning rate 0 and compare with that: it tells the learning rate from the initialisation",
            "Reduce the learning rate",
            "Change the initialisation or the architecture",
        ],
    };
    lines.iter().map(|line| (*line).to_owned()).collect()
}
