//! Takes colours and cursor movements out of a text.
//!
//! In: text with ANSI sequences. Out: the text a terminal would show. Invariant: a sequence that is not closed
//! takes the rest of the piece with it and nothing else.

/// Copies a text without its ANSI sequences.
pub(super) fn without_escapes(text: &str, clean: &mut String) {
    let mut pieces = text.split('\x1b');
    clean.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        clean.push_str(behind_sequence(piece));
    }
}

/// What follows the sequence that an escape character began: CSI (`[0;31m`), OSC (to BEL), or one letter.
fn behind_sequence(piece: &str) -> &str {
    if let Some(csi) = piece.strip_prefix('[') {
        let end = csi.find(|c: char| ('@'..='~').contains(&c));
        return end.and_then(|at| csi.get(at + 1..)).unwrap_or_default();
    }
    if piece.starts_with(']') {
        return piece.split_once('\x07').map_or("", |(_, rest)| rest);
    }
    let mut chars = piece.chars();
    chars.next();
    chars.as_str()
}

#[cfg(test)]
mod tests {
    use super::without_escapes;

    #[test]
    fn sequences_go_and_text_stays() {
        for (text, shown) in [
            (
                "\x1b[31mstep: 20\x1b[0m  \x1b[38;2;180;60;0mloss",
                "step: 20  loss",
            ),
            ("\x1b]0;title\x07loss \x1bMx", "loss x"),
            ("loss\x1b[", "loss"),
            ("plain", "plain"),
        ] {
            let mut clean = String::new();
            without_escapes(text, &mut clean);
            assert_eq!(clean, shown);
        }
    }
}
