//! Which of several training losses is the one that training minimises.
//!
//! In: tags of training losses in the order of first appearance. Out: the one that feeds
//! [`super::LossFacts`]. Invariant: a plainly named loss (`loss`, `train/loss`, `total loss`) wins over a
//! named part of it (`policy_gradient_loss`), and the first seen wins among equals.

/// Words that say where or how a loss was taken, not which one it is.
const NEUTRAL_WORDS: &[&str] = &[
    "train",
    "training",
    "trn",
    "step",
    "epoch",
    "batch",
    "avg",
    "average",
    "mean",
    "global",
    "running",
    "metrics",
    "total",
    "all",
    "sum",
    "lm",
    "model",
    "objective",
    "smoothed",
    "raw",
    "current",
    "reduced",
    "tr",
    "scalars",
];

/// How plainly a tag names the loss that is minimised: 0 plainly, 1 by its usual formula, 2 as a part.
#[must_use]
pub fn loss_rank(tag: &str) -> u8 {
    let lower = tag.to_ascii_lowercase();
    let is_neutral = |word: &&str| !word.is_empty() && !NEUTRAL_WORDS.contains(word);
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(is_neutral)
        .collect();
    match words.as_slice() {
        [] | ["loss" | "trl" | "losses" | "cost"] => 0,
        [
            "ce" | "nll" | "xent" | "crossentropyloss" | "crossentropy" | "mse" | "elbo",
            ..,
        ]
        | ["cross", "entropy", ..]
        | ["languagecrossentropy"] => 1,
        _ => 2,
    }
}

/// Remembers the training loss that is named most plainly so far.
#[derive(Debug, Default)]
pub struct PrimaryLoss {
    id: Option<(u32, u8)>,
}

impl PrimaryLoss {
    /// Meets a new training loss; true when it takes the place of another one (or is the first).
    pub fn meet(&mut self, id: u32, tag: &str) -> bool {
        let rank = loss_rank(tag);
        let is_better = self.id.is_none_or(|(_, best)| rank < best);
        if is_better {
            self.id = Some((id, rank));
        }
        is_better
    }

    /// Whether this series is the primary loss now.
    #[must_use]
    pub fn is_fed_by(&self, id: u32) -> bool {
        self.id.is_some_and(|(primary, _)| primary == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_win_over_parts() {
        for tag in [
            "loss",
            "train/loss",
            "Loss/train",
            "lm loss",
            "total_loss",
            "train_loss_step",
            "batch_loss",
            "trl",
        ] {
            assert_eq!(loss_rank(tag), 0, "{tag}");
        }
        assert_eq!(loss_rank("train/CrossEntropyLoss"), 1);
        for tag in [
            "Loss/G/loss",
            "train/policy_gradient_loss",
            "loss_rpn_cls",
            "value_loss",
        ] {
            assert_eq!(loss_rank(tag), 2, "{tag}");
        }
        let mut primary = PrimaryLoss::default();
        assert!(primary.meet(0, "value_loss") && primary.meet(1, "loss") && !primary.meet(2, "train/loss"));
        assert!(primary.is_fed_by(1));
    }
}
