//! Tells the lines that no reader of records can read, at about the speed of a search for a word.
//!
//! In: the text of a line, then its message. Out: what it may be. Invariant: a line that a reader would take, while none of
//! them waits for further lines, is not called dull; tests hold the readings of all fixtures with and without the screen
//! equal. One exception: a line without any of [`WORDS`] that has its counter (`it`, `ep`) not in front.
//!
//! Of the logs of large runs most lines are what libraries, launchers and schedulers say. Reading these for pairs of keys
//! and numbers costs ten times as much as this look: one vectorised search for all words at once.

use std::sync::LazyLock;

use aho_corasick::packed::{Config, MatchKind, Searcher};

/// Words of which a record has at least one, or a bar or a brace, or a [beginning](may_begin_a_record) of its own: they are
/// in the heads of [the table](super::table), in the names of norms, and in the keys without which
/// [`keyvalue`](super::keyvalue) takes no line. All have four bytes: with three the search is half as fast.
const WORDS: [&str; 28] = [
    "step",
    "Step",
    "STEP",
    "iter",
    "Iter",
    "ITER",
    "poch",
    "EPOCH",
    "loss",
    "Loss",
    "LOSS",
    "norm",
    "Norm",
    "NORM",
    "pdate",
    "PDATE",
    "eward",
    "REWARD",
    "ccuracy",
    "erplexity",
    "ntropy",
    "xent",
    "atch=",
    "kimg",
    "rain: ",
    "--------",
    "d_l2",
    "t_l2",
];

static SEARCHER: LazyLock<Option<Searcher>> = LazyLock::new(|| {
    let mut builder = Config::new().match_kind(MatchKind::LeftmostFirst).builder();
    builder.extend(WORDS).build()
});

/// Whether a line holds one of the words, a bar (`|W|`, a cell, a progress bar) or a brace (a dict). On a machine without
/// vector instructions every line may be a record.
pub(super) fn holds_a_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr2(b'|', b'{', bytes).is_some()
        || SEARCHER.as_ref().is_none_or(|it| it.find(bytes).is_some())
}

/// Whether a line may have a prefix: those of [`prefix`](super::prefix) begin so.
pub(super) fn may_have_a_prefix(text: &str) -> bool {
    let first = text.bytes().find(|b| !matches!(b, b' ' | b'\t'));
    matches!(
        first,
        Some(b'[' | b'(' | b'0'..=b'9' | b'I' | b'W' | b'E' | b'F' | b'D' | b'C' | b'T' | b'i' | b'r' | b'R')
    )
}

/// Whether a message without any of the words may be a record by its beginning: a number or a bracket (`[10/100] acc: 0.5`,
/// `250 train 2.94`), `s:250 tel:6.4`, `:::MLLOG`, a counter with a short name.
pub(super) fn may_begin_a_record(message: &str) -> bool {
    match message.as_bytes() {
        [b'0'..=b'9' | b'[' | b':' | b'-', ..] | [b's' | b'S', b':', ..] => true,
        [a, b, c, ..] if !c.is_ascii_alphabetic() => {
            matches!(
                [a.to_ascii_lowercase(), b.to_ascii_lowercase()],
                [b'i', b't'] | [b'e', b'p']
            )
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{SEARCHER, holds_a_word, may_begin_a_record, may_have_a_prefix};
    use crate::decode::text::prefix::strip;
    use crate::decode::text::table::TABLE;

    fn is_worth_a_look(line: &str) -> bool {
        holds_a_word(line) || may_begin_a_record(strip(line).text)
    }

    #[test]
    fn what_programs_say_besides_is_dull() {
        assert!(SEARCHER.is_some() || cfg!(not(any(target_arch = "x86_64", target_arch = "aarch64"))));
        for text in [
            "2024-05-01 12:00:00,123 INFO data.loader: shard s3://bucket/part-00071.zst opened by worker 3",
            "NCCL INFO Channel 05/0 : 5[5] -> 3[5] via P2P/CUMEM/read",
            "  File \"/opt/conda/lib/python3.11/site-packages/torch/nn/modules/module.py\", line 1518, in _call_impl",
            "the application was supplied with an account: 5",
            "epilogue 5",
        ] {
            assert!(!is_worth_a_look(text), "{text}");
        }
        assert!(
            ["it 5 acc 0.5", "[rank0]: Ep: 5 ppl 3.1", "s:250 tel:6.4"]
                .into_iter()
                .all(is_worth_a_look)
        );
    }

    #[test]
    fn every_head_and_every_sample_of_the_table_is_worth_a_look() {
        for entry in TABLE.iter() {
            for head in entry.heads {
                let parts = head.split('<').map(|it| it.split_once('>').unwrap_or(("5", it)));
                let line: String = parts
                    .map(|(hole, text)| {
                        if hole.is_empty() {
                            text.to_owned()
                        } else {
                            format!("5{text}")
                        }
                    })
                    .collect();
                let line = line
                    .strip_prefix('5')
                    .filter(|_| !head.starts_with('<'))
                    .unwrap_or(&line);
                assert!(is_worth_a_look(line), "{head}: {line}");
            }
            for (text, points) in entry.samples {
                assert!(points.is_empty() || text.lines().any(is_worth_a_look), "{text}");
            }
        }
    }

    #[test]
    fn a_line_with_a_prefix_may_have_one() {
        for line in [
            "[rank0]: x",
            "2024-05-01 12:00:00 x",
            "12:00:00 x",
            "INFO:root:x",
            "rank0: x",
            "(W pid=1) x",
            "3: x",
            "I1123 18:34:55.8 7 a.py:4] x",
        ] {
            assert!(
                strip(line).text.len() < line.len() && may_have_a_prefix(line),
                "{line}"
            );
        }
    }
}
