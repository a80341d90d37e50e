//! The guarded fallback: any line that names a step and a known metric in pairs.
//!
//! In: a message that no entry of the table knows. Out: whether it is a record, with its step. Invariant:
//! source code, configuration dumps, tables of a tool and sampled text are no records: a line needs a step or
//! an epoch, a metric word, pairs from its first word on, and no sign that only code has.

use super::scan::Pairs;

/// A record as the fallback understands it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Record {
    /// The step.
    pub step: i64,
    /// Steps of the run, if the line tells.
    pub planned: Option<i64>,
    /// Whether the step is an epoch.
    pub counts_epochs: bool,
    /// Whether the line is about validation.
    pub is_validation: bool,
}

const STEP_KEYS: [&str; 15] = [
    "step",
    "steps",
    "global_step",
    "global step",
    "train_step",
    "train step",
    "training step",
    "iter",
    "iters",
    "iteration",
    "iterations",
    "it",
    "update",
    "num_updates",
    "n_iter",
];

const EPOCH_KEYS: [&str; 4] = ["epoch", "epochs", "ep", "train epoch"];

const BATCH_KEYS: [&str; 3] = ["batch", "batch_idx", "minibatch"];

/// Words of which a record must have one.
const METRICS: [&str; 14] = [
    "loss",
    "norm",
    "ppl",
    "perplexity",
    "acc",
    "accuracy",
    "nll",
    "reward",
    "xent",
    "entropy",
    "bpb",
    "bpc",
    "trl",
    "|w|",
];

/// Most words of a key; more are a sentence.
const KEY_WORDS_MAX: usize = 5;

/// Reads a message as a record.
pub(super) fn record(text: &str) -> Option<Record> {
    // A step has a digit, and most lines of other programs show before their first number that they are no record.
    if !text.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    // Pairs begin with the line, or behind a tag such as `[val]`.
    let first_from_max = if text.starts_with('[') { 12 } else { 2 };
    let (mut step, mut epoch, mut batch) = (None, None, None);
    let (mut has_metric, mut has_more) = (false, false);
    let (mut is_epoch_first, mut first_from) = (false, None);
    for pair in Pairs::beginning_within(text, first_from_max) {
        first_from.get_or_insert(pair.from);
        if is_prose(pair.key) {
            return None;
        }
        let is_integer = pair.number.value.fract() == 0.0 && pair.number.value >= 0.0;
        let place = (pair.number.value as i64, pair.total);
        match pair.key {
            key if is_integer && is_one_of(key, &STEP_KEYS) => step = step.or(Some(place)),
            key if is_one_of(key, &EPOCH_KEYS) => {
                is_epoch_first = is_epoch_first || step.is_none();
                epoch = epoch.or(is_integer.then_some(place));
            }
            key if is_integer && is_one_of(key, &BATCH_KEYS) => batch = batch.or(Some(place)),
            key if step.is_some() => has_metric = has_metric || has_metric_word(key),
            _ => has_more = true,
        }
    }
    // Looking for words is what costs: it waits for a line that has a place on an axis.
    if !has_metric && has_more && (step, epoch) != (None, None) {
        has_metric = Pairs::of(text).any(|it| has_metric_word(it.key));
    }
    if !has_metric || first_from.is_none_or(|at| at > first_from_max) || looks_like_code(text) {
        return None;
    }
    let (step, planned, counts_epochs) = axis(step, epoch, batch, is_epoch_first)?;
    Some(Record {
        step,
        planned,
        counts_epochs,
        is_validation: is_validation(text),
    })
}

/// Words that sentences have and keys do not (`val_loss improved from 0.5 to 0.4`).
const PROSE: [&str; 16] = [
    "from", "to", "of", "at", "is", "was", "the", "than", "for", "with", "and", "improved", "after", "by",
    "did", "saving",
];

fn is_prose(key: &str) -> bool {
    let mut n_words = 0;
    for word in key.split(' ') {
        n_words += 1;
        if is_one_of(word, &PROSE) {
            return true;
        }
    }
    n_words > KEY_WORDS_MAX
}

type Counter = Option<(i64, Option<i64>)>;

fn axis(
    step: Counter,
    epoch: Counter,
    batch: Counter,
    is_epoch_first: bool,
) -> Option<(i64, Option<i64>, bool)> {
    // `Epoch 2, step 5/100` counts the steps of the epoch, `step 5/100, epoch 2` those of the run.
    let within = step.filter(|(_, total)| total.is_some() && is_epoch_first);
    if let (Some((epoch, _)), Some((batch, Some(batches)))) = (epoch, within.or(batch)) {
        return Some((epoch.saturating_mul(batches).saturating_add(batch), None, false));
    }
    if let Some((step, planned)) = step {
        return Some((step, planned, false));
    }
    // Batches without their total have no place on a common axis.
    let (epoch, planned) = epoch.filter(|_| batch.is_none())?;
    Some((epoch, planned, true))
}

fn is_one_of(key: &str, words: &[&str]) -> bool {
    words.iter().any(|w| w.eq_ignore_ascii_case(key))
}

/// Whether a key speaks of a known metric: one of the words stands in it as a word of its own.
pub(super) fn has_metric_word(key: &str) -> bool {
    METRICS.iter().any(|word| holds_word(key, word))
}

fn holds_word(key: &str, word: &str) -> bool {
    let (key, word) = (key.as_bytes(), word.as_bytes());
    let is_letter = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphabetic);
    key.windows(word.len()).enumerate().any(|(at, window)| {
        window.eq_ignore_ascii_case(word)
            && !at
                .checked_sub(1)
                .is_some_and(|before| is_letter(key.get(before)) && !is_compound(word))
            && !is_letter(key.get(at + word.len()))
    })
}

/// `CrossEntropyLoss`, `gnorm` and `lm_loss` hold the word at their end; `smacc` does not.
fn is_compound(word: &[u8]) -> bool {
    matches!(word, b"loss" | b"norm" | b"accuracy" | b"entropy")
}

fn is_validation(text: &str) -> bool {
    let text = text.trim_start_matches(['[', '(', '*', ' ']);
    ["val ", "val]", "val:", "val,", "val|", "valid", "eval", "test"]
        .iter()
        .any(|word| {
            text.get(..word.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(word))
        })
}

/// Signs that a line of numbers does not have.
fn looks_like_code(text: &str) -> bool {
    let bytes = text.as_bytes();
    if matches!(bytes.first(), Some(b'#' | b'/' | b'>' | b'<' | b'@') | None) {
        return true;
    }
    let is_name = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let mut before = b' ';
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        let after = tail.first().copied().unwrap_or(b' ');
        let is_sign = match byte {
            b'{' | b'}' | b';' | b'"' | b'\'' | b'\\' | b'$' | b'!' => true,
            // `==`, `+=`
            b'=' => after == b'=' || before == b'+',
            // `->`
            b'>' => before == b'-',
            // ` # a comment`
            b'#' => before == b' ' && after == b' ',
            // `range(n)`, `item()`, but not `48.87GiB(51.44%)`
            b'(' => is_name(before) && (is_name(after) || after == b')'),
            _ => false,
        };
        if is_sign {
            return true;
        }
        before = *byte;
        rest = tail;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{has_metric_word, record};

    fn step(text: &str) -> Option<i64> {
        record(text).map(|r| r.step)
    }

    #[test]
    fn records_of_hand_written_loops_are_found() {
        assert_eq!(step("step=0 loss=2.42466 lr=0.03"), Some(0));
        assert_eq!(step("[step 00012] loss: 8.25852 | lr: 1.00e-03"), Some(12));
        assert_eq!(step("loss = 0.5, step = 100 (3.2 sec)"), Some(100));
        assert_eq!(step("Iter 20: train loss 3.1, val loss 3.2"), Some(20));
        assert_eq!(step("Epoch 2/10, step 5/100, loss: 0.3"), Some(205));
        assert_eq!(step("epoch 3 | batch 20/50 | loss 0.3 | acc 0.5"), Some(170));
        assert_eq!(step("Train Epoch 1 Iter 20/100 Loss 0.5"), Some(120));
        assert_eq!(step("step 20/100 | epoch: 1 | loss: 0.5"), Some(20));
        assert_eq!(step("step=4 layer=h.0 weight_norm=9.9 grad_norm=1.1"), Some(4));
        let epoch = record("Epoch: 7 train_loss: 0.5 val_loss: 0.6").unwrap();
        assert!(epoch.counts_epochs && epoch.step == 7);
        let planned = record("step 5/100 | loss 3.0").unwrap();
        assert_eq!((planned.step, planned.planned), (5, Some(100)));
        assert!(record("[val] step 5 loss 3.0").unwrap().is_validation);
    }

    #[test]
    fn code_config_and_prose_are_no_records() {
        for text in [
            "print(f\"step:{step} loss:{loss}\")",
            "def train(step=0, loss=0.0):",
            "for step in range(100): loss = 0.5",
            "if step == 10 and loss == 0.0: pass",
            "lr_decay_iters: 100, loss_scale: 1",
            "max_steps: 100",
            "| N/A   30C    P0   112W / 700W |      7MiB / 81559MiB |      0%      Default |",
            "At the end of step 100 the loss had come down to a value of about 3.5",
            "loss: 0.5",
            "step 5 of the recipe: stir for 3 minutes",
            "self.loss = 0.0 # step 3",
        ] {
            assert_eq!(step(text), None, "{text}");
        }
    }

    #[test]
    fn metric_words_stand_on_their_own() {
        for key in [
            "loss",
            "lm loss",
            "train_loss",
            "CrossEntropyLoss",
            "gnorm",
            "val_acc",
            "Acc@1",
            "loss_q0",
        ] {
            assert!(has_metric_word(key), "{key}");
        }
        for key in ["lossy", "normal", "accumulate", "global batch size", "place"] {
            assert!(!has_metric_word(key), "{key}");
        }
    }
}
