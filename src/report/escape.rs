//! Text from logs made safe to show in a terminal.
//!
//! In: any text. Out: the same text without control characters, so that a tag cannot move the cursor or
//! colour the screen. Invariant: the output has no character below U+0020, no DEL, no C1 control and no
//! bidirectional override.

use std::borrow::Cow;

/// The text with control characters replaced by a visible escape.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(printable("loss/\u{1b}[31mred"), "loss/\\u{1b}[31mred");
        assert_eq!(printable("a\u{202e}b\u{9b}c"), "a\\u{202e}b\\u{9b}c");
        assert!(matches!(printable("Верлust/größe"), Cow::Borrowed(_)));
    }
}
