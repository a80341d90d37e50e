//! "Did you mean": the known word nearest to a misspelt one.
//!
//! In: a word and the vocabulary. Out: the nearest word, if it is near enough to be a slip. Invariant: the
//! answer depends on the words alone, not on their order: ties go to the alphabetically first.

/// Longest word that is compared: nobody misspells a word of this length by a few letters, and the cost of
/// the comparison is the product of the lengths.
const WORD_CHARS_MAX: usize = 64;

/// The word of `known` that `word` was probably meant to be: at most a third of its letters differ.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let n_chars = word.chars().count();
    if n_chars > WORD_CHARS_MAX {
        return None;
    }
    let slack = (n_chars / 3).max(1);
    known
        .into_iter()
        .filter(|it| it.chars().count() <= WORD_CHARS_MAX)
        .map(|it| (edit_distance(&folded(word), &folded(it)), it))
        .filter(|(distance, _)| *distance <= slack)
        .min()
        .map(|(_, it)| it)
}

/// Case and the choice of separator are not spelling mistakes.
fn folded(word: &str) -> Vec<char> {
    word.chars()
        .map(|it| {
            if matches!(it, '-' | ' ' | '.') {
                '_'
            } else {
                it.to_ascii_lowercase()
            }
        })
        .collect()
}

/// Damerau-Levenshtein distance (optimal string alignment): insertions, deletions, replacements, and swaps
/// of neighbours, each at cost 1.
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(from != to);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{edit_distance, nearest};

    fn distance(a: &str, b: &str) -> usize {
        edit_distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
    }

    #[test]
    fn distances_of_known_pairs() {
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("grad_nrom", "grad_norm"), 1, "a swap is one slip");
        assert_eq!(distance("flaw", "lawn"), 2);
    }

    #[test]
    fn finds_slips_and_refuses_strangers() {
        let known = ["grad_norm", "grad_norm_total", "loss", "eval_loss"];
        assert_eq!(nearest("grad_nrom", known), Some("grad_norm"));
        assert_eq!(nearest("grad-norm", known), Some("grad_norm"));
        assert_eq!(nearest("Loss", known), Some("loss"));
        assert_eq!(nearest("los", known), Some("loss"));
        assert_eq!(nearest("temperature", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), known), None);
    }
}
