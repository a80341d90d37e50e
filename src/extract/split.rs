//! The data that a number was measured on, and the name without its namespace.
//!
//! In: a tag. Out: the split, and the tag without prefixes such as `train/`, `optim/`, `ray/tune/`. Invariant:
//! only whole words count, so that `latest` is not a test and `evaluate` in a layer path is not an evaluation.

use crate::model::Split;

/// Prefixes that say where a number was logged, not what it is; each is followed by `/` or a blank.
const NAMESPACES: &[&str] = &[
    "train",
    "training",
    "eval",
    "evaluation",
    "valid",
    "validation",
    "val",
    "dev",
    "test",
    "optim",
    "optimizer",
    "opt",
    "debug",
    "stats",
    "model_stats",
    "monitor",
    "monitoring",
    "ray/tune",
    "info",
    "tune",
    "trainer",
    "learner",
    "learning",
    "diagnostics",
    "metrics",
    "samples",
    "charts",
    "log",
    "logs",
    "global",
    "perf",
    "performance",
    "scalars",
    "training_metrics",
    "training_stats",
    "misc",
];

/// The tag without its namespace prefixes, repeatedly.
pub(super) fn without_namespace(tag: &str) -> &str {
    let mut rest = tag;
    while let Some(shorter) = NAMESPACES.iter().find_map(|it| strip_word(rest, it)) {
        rest = shorter;
    }
    rest
}

/// Whether a word is a namespace and therefore no layer.
pub(super) fn is_namespace(word: &str) -> bool {
    NAMESPACES.iter().any(|it| it.eq_ignore_ascii_case(word))
}

fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    let rest = text.get(word.len()..)?;
    if !head.eq_ignore_ascii_case(word) {
        return None;
    }
    rest.strip_prefix(['/', ' ']).filter(|it| !it.is_empty())
}

fn split_of_word(word: &str) -> Option<Split> {
    match word.to_ascii_lowercase().as_str() {
        // `tel` is the test loss of llm.c, printed for the validation set.
        "eval" | "evaluation" | "val" | "valid" | "validation" | "dev" | "heldout" | "holdout" | "tel"
        | "valloss" | "validloss" | "validationloss" | "evalloss" => Some(Split::Eval),
        "test" | "testing" | "testloss" => Some(Split::Test),
        "train" | "training" | "trn" | "trl" | "trainloss" => Some(Split::Train),
        _ => None,
    }
}

/// The split of a number of the whole model: any of its words may tell it (`loss/val`, `val_loss`, `valLoss`).
/// An evaluation word outweighs a training word: `train/val_loss` is an evaluation.
pub(super) fn split_of(tag: &str) -> Split {
    let mut split = Split::Unknown;
    for found in words(tag).filter_map(split_of_word) {
        split = match (split, found) {
            (Split::Eval, _) | (_, Split::Eval) => Split::Eval,
            (Split::Test, _) | (_, Split::Test) => Split::Test,
            _ => Split::Train,
        };
    }
    split
}

/// The words of a tag: parted at everything that is not a letter, and where a capital follows a small letter.
fn words(tag: &str) -> impl Iterator<Item = &str> {
    tag.split(|c: char| !c.is_ascii_alphabetic())
        .flat_map(split_camel)
}

fn split_camel(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let bytes = rest.as_bytes();
        let cut = (1..bytes.len())
            .find(|at| bytes[*at].is_ascii_uppercase() && bytes[at - 1].is_ascii_lowercase())
            .unwrap_or(bytes.len());
        let (head, tail) = rest.split_at(cut);
        rest = tail;
        Some(head)
    })
}

#[cfg(test)]
mod tests {
    use super::{split_of, without_namespace};
    use crate::model::Split;

    #[test]
    fn prefixes_fall_repeatedly_and_only_as_whole_words() {
        assert_eq!(
            without_namespace("ray/tune/info/learner/grad_gnorm"),
            "grad_gnorm"
        );
        assert_eq!(without_namespace("Train l2_norm/grad/x"), "l2_norm/grad/x");
        assert_eq!(without_namespace("trainable/x"), "trainable/x");
        assert_eq!(without_namespace("train/"), "train/");
        assert_eq!(without_namespace("é/train"), "é/train");
    }

    #[test]
    fn an_evaluation_word_outweighs_a_training_word() {
        for (tag, split) in [
            ("train/val_loss", Split::Eval),
            ("valLoss", Split::Eval),
            ("loss/val", Split::Eval),
            ("evaluation_loss_vs_iterations", Split::Eval),
            ("test loss", Split::Test),
            ("loss/train/total", Split::Train),
            ("latest_loss", Split::Unknown),
            ("loss", Split::Unknown),
        ] {
            assert_eq!(split_of(tag), split, "{tag}");
        }
    }
}
