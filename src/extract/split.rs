//! The data that a number was measured on, and the name without its namespace.
//!
//! In: a tag. Out: the split, and the tag without prefixes such as `train/`, `optim/`, `ray/tune/`. Invariant:
//! only whole words count, so that `latest` is not a test and `evaluate` in a layer path is not an evaluation.

use crate::model::{Meaning, Split};

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

/// The split that the name of a run tells: its last component is a word for one (`fold_1/validation`), or such a word
/// behind that of a metric (`Loss_val`, as `add_scalars` names its directories). A run called `my_test` is no test set.
#[must_use]
pub fn split_of_run(run: &str) -> Split {
    const METRICS: &[&str] = &[
        "loss", "losses", "accuracy", "acc", "error", "metrics", "epoch", "eval",
    ];
    let last = run.trim_end_matches('/').rsplit('/').next().unwrap_or(run);
    let mut all = words(last);
    let (Some(first), second) = (all.next(), all.next()) else {
        return Split::Unknown;
    };
    let is_metric = METRICS.iter().any(|it| it.eq_ignore_ascii_case(first));
    let word = match second {
        None => first,
        Some(second) if is_metric && all.next().is_none() => second,
        Some(_) => return Split::Unknown,
    };
    split_of_word(word).unwrap_or(Split::Unknown)
}

/// Whether a tag tells of players with losses of their own: in adversarial training one rises when the other falls, and the
/// losses of a policy or of a value function go with the rewards. None of them has to fall.
#[must_use]
pub fn names_a_game(tag: &str) -> bool {
    const PLAYERS: &[&str] = &[
        "discriminator",
        "generator",
        "critic",
        "actor",
        "policy",
        "adversarial",
        "adv",
        "gan",
        "wgan",
        "netd",
        "netg",
    ];
    let mut is_loss = false;
    for word in words(tag) {
        if PLAYERS.iter().any(|it| it.eq_ignore_ascii_case(word)) {
            return true;
        }
        is_loss |= ["loss", "losses", "err", "errd", "errg"]
            .iter()
            .any(|it| it.eq_ignore_ascii_case(word));
    }
    // `loss_3d` is no discriminator's.
    let mut parts = tag.split(|c: char| !c.is_ascii_alphanumeric());
    is_loss && parts.any(|part| matches!(part, "D" | "G" | "d" | "g" | "disc" | "gen"))
}

/// A meaning with the split that its surroundings tell.
#[must_use]
pub fn on_split(meaning: Meaning, split: Split) -> Meaning {
    let quantity = if meaning.quantity == meaning.kind.quantity(meaning.split) {
        meaning.kind.quantity(split)
    } else {
        meaning.quantity
    };
    Meaning {
        quantity,
        split,
        ..meaning
    }
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
    use super::{names_a_game, on_split, split_of, split_of_run, without_namespace};
    use crate::extract::understand;
    use crate::model::{Quantity, Split};

    #[test]
    fn players_are_told_by_whole_words() {
        for tag in [
            "loss_D",
            "G_loss",
            "train/policy_loss",
            "discriminator.layers.0/grad_norm",
            "losses/gen",
            "actor/loss",
        ] {
            assert!(names_a_game(tag), "{tag}");
        }
        for tag in [
            "loss",
            "generation_loss",
            "train/loss",
            "grad_norm/g.0",
            "gen/len",
            "advance_loss",
            "loss_3d",
        ] {
            assert!(!names_a_game(tag), "{tag}");
        }
    }

    #[test]
    fn a_directory_tells_the_split_of_tags_that_do_not() {
        for (run, split) in [
            ("fold_1/validation", Split::Eval),
            ("train", Split::Train),
            ("logs/eval", Split::Eval),
            ("Loss_val", Split::Eval),
            ("loss_train", Split::Train),
            ("my_test", Split::Unknown),
            ("test_of_warmup", Split::Unknown),
            (".", Split::Unknown),
            ("", Split::Unknown),
        ] {
            assert_eq!(split_of_run(run), split, "{run}");
        }
        let meaning = on_split(understand("epoch_loss"), Split::Eval);
        assert_eq!(
            (meaning.quantity, meaning.split),
            (Quantity::EvalLoss, Split::Eval)
        );
    }

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
