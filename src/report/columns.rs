//! Text as wide as a terminal shows it.
//!
//! In: text, and columns. Out: text that is padded, cut or broken to fit. Invariants: nothing is wider than asked for,
//! on terminals that join an emoji of several characters and on those that do not; a character is never halved.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns that a text takes: two for most characters of East Asia and emoji, none for what combines (UAX 11).
pub(super) fn columns(text: &str) -> usize {
    let apart: usize = text.chars().filter_map(UnicodeWidthChar::width).sum();
    // A variation selector makes a sign wider, joiners make a family narrower; terminals follow both or neither.
    apart.max(UnicodeWidthStr::width(text))
}

/// At most this many columns; what is cut ends in `…`.
pub(super) fn cut(text: &str, room: usize) -> String {
    if columns(text) <= room {
        return text.to_owned();
    }
    let mut ends = text.char_indices().map(|it| it.0).rev();
    let kept = ends.find_map(|it| text.get(..it).filter(|it| columns(it) < room));
    kept.map_or_else(String::new, |it| format!("{it}…"))
}

/// At most this many columns; what is cut begins with `…`: names of layers differ at their ends.
pub(super) fn cut_beginning(text: &str, room: usize) -> String {
    if columns(text) <= room {
        return text.to_owned();
    }
    let mut begins = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let kept = begins.find_map(|it| text.get(it..).filter(|it| columns(it) < room));
    kept.map_or_else(String::new, |it| format!("…{it}"))
}

/// With blanks behind it up to this many columns.
pub(super) fn padded(text: &str, room: usize) -> String {
    let blanks = room.saturating_sub(columns(text));
    format!("{text}{:blanks$}", "")
}

/// Lines of at most this many columns, broken at blanks; a word that is wider has a line of its own.
pub(super) fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wide_characters_take_two_columns() {
        for (text, wanted) in [
            ("run", 3),
            ("訓練", 4),
            ("e\u{301}", 1),
            ("🔥", 2),
            ("학습", 4),
            ("❤\u{fe0f}", 2),
        ] {
            assert_eq!(columns(text), wanted, "{text}");
        }
        assert_eq!(cut("訓練の記録", 6), "訓練…");
        assert_eq!(cut("訓練の記録", 10), "訓練の記録");
        assert_eq!(cut_beginning("訓練の記録", 6), "…記録");
        assert_eq!(padded("訓練", 6), "訓練  ");
        assert_eq!((cut("ab", 0), cut("ab", 1)), (String::new(), "…".to_owned()));
    }

    #[test]
    fn lines_are_broken_at_blanks() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable", 4), ["unbreakable"]);
        assert!(wrapped("", 4).is_empty());
    }

    proptest! {
        #[test]
        fn whatever_is_cut_fits(text in "\\PC{0,24}", room in 0_usize..30) {
            prop_assert!(columns(&cut(&text, room)) <= room);
            prop_assert!(columns(&cut_beginning(&text, room)) <= room);
            prop_assert!(columns(&padded(&text, room)) >= room);
        }
    }
}
