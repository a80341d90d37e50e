//! Text from logs made safe to show in a terminal.
//!
//! In: any text. Out: the same text without control characters, so that a tag cannot move the cursor or
//! colour the screen. Invariant: the output has no character below U+0020, no DEL, no C1 control, no line or paragraph
//! separator, and nothing that turns the direction of text or is there without being seen.

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

/// Controls; the characters that turn the direction of text (UAX 9, table 4); separators of lines; and what has no
/// shape of its own, so that two names could look alike. Joiners stay: scripts and emoji need them.
fn is_unsafe(c: char) -> bool {
    const TURNING: [char; 3] = ['\u{61c}', '\u{200e}', '\u{200f}'];
    c.is_control()
        || TURNING.contains(&c)
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{ad}' | '\u{200b}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(printable("loss/\u{1b}[31mred"), "loss/\\u{1b}[31mred");
        assert_eq!(printable("a\u{202e}b\u{9b}c"), "a\\u{202e}b\\u{9b}c");
        assert_eq!(
            printable("a\u{61c}b\u{2029}c\u{feff}"),
            "a\\u{61c}b\\u{2029}c\\u{feff}"
        );
        for plain in ["Верлust/größe", "訓練/損失", "👩\u{200d}🔬/loss", "נורמה"] {
            assert!(matches!(printable(plain), Cow::Borrowed(_)), "{plain}");
        }
    }

    #[test]
    fn every_character_that_turns_text_is_shown() {
        // Bidi_Control=Yes of PropList.txt, Unicode 16.
        let turning = ['\u{61c}', '\u{200e}', '\u{200f}']
            .into_iter()
            .chain('\u{202a}'..='\u{202e}');
        for c in turning.chain('\u{2066}'..='\u{2069}') {
            assert!(!printable(&format!("a{c}b")).contains(c), "{c:?}");
        }
    }
}
