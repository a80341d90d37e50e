//! Finds `key number` pairs in a line, whatever stands between key and number.
//!
//! In: the text of one line. Out: its numbers, each with the words before it. The scan is driven by the
//! numbers: `loss: 2.3`, `loss=2.3`, `loss 2.3`, `'loss': '2.3'` and `lm loss: 2.3E+00 |` are all the same.
//! Invariant: clocks, dates, versions, remarks in parentheses and words that start with a digit are no numbers.

use super::token::{Token, UNIT_BYTES_MAX, number_token, starts_like_a_number};
use crate::decode::number::Number;

/// A number of a line with its key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pair<'a> {
    /// The key as printed, trimmed of quotes and signs.
    pub key: &'a str,
    /// The value.
    pub number: Number,
    /// What stands behind a slash: the total in `5/ 100`.
    pub total: Option<i64>,
    /// A pair with a text value that stands before the key: `layer=h.0` in `layer=h.0 grad_norm=1`.
    pub label: Option<(&'a str, &'a str)>,
    /// Where the text of the key begins in the line.
    pub from: usize,
    /// Where the number begins.
    pub at: usize,
    /// Where it ends, with its unit and total.
    pub end: usize,
}

/// Longest key in bytes; what is longer is prose.
const KEY_BYTES_MAX: usize = 200;

/// Units that may stand between a number and the next key, apart from both by blanks.
const UNITS: [&str; 18] = [
    "s",
    "ms",
    "us",
    "sec",
    "secs",
    "seconds",
    "min",
    "h",
    "it/s",
    "s/it",
    "MB",
    "GB",
    "GiB",
    "MiB",
    "samples/s",
    "samples/sec",
    "tok/s",
    "tokens/s",
];

/// Iterator over the pairs of a line.
#[derive(Debug, Clone)]
pub(super) struct Pairs<'a> {
    text: &'a str,
    at: usize,
    /// Start of the text that may be the key of the next number.
    key_from: usize,
    /// Where the key of the first pair begins at the latest; when it has not, there is none.
    first_from_max: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Word,
    /// A part of a word that may be the start of a number.
    Start,
    Blank,
    Assign,
    /// Ends a pair.
    Reset,
    /// Decoration that belongs neither to key nor to value.
    Soft,
    Open,
}

const fn class_of(byte: u8) -> Class {
    match byte {
        b' ' | b'\t' => Class::Blank,
        b':' | b'=' => Class::Assign,
        b'|' | b',' | b';' | b']' | b')' | b'{' | b'}' => Class::Reset,
        b'"' | b'\'' | b'[' | b'<' | b'>' | b'`' => Class::Soft,
        b'(' => Class::Open,
        // Digits and signs; nan, inf, tensor(..), torch.tensor(..), array(..), DeviceArray(..), jnp.array(..).
        b'0'..=b'9' | b'-' | b'+' | b'.' | b'n' | b'N' | b'i' | b'I' | b't' | b'a' | b'A' | b'D' | b'j' => {
            Class::Start
        }
        _ => Class::Word,
    }
}

/// The class of every byte.
const CLASSES: [Class; 256] = {
    let mut classes = [Class::Word; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = class_of(byte as u8);
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> Class {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Word)
}

impl<'a> Pairs<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self::beginning_within(text, usize::MAX)
    }

    /// The pairs of a line whose first one begins within as many bytes; none when it begins later.
    pub(super) fn beginning_within(text: &'a str, first_from_max: usize) -> Self {
        Self {
            text,
            at: 0,
            key_from: 0,
            first_from_max,
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn reset(&mut self, at: usize) {
        self.at = at;
        self.key_from = at;
    }

    fn key_text(&self) -> &'a str {
        self.text.get(self.key_from..self.at).unwrap_or_default()
    }

    /// A remark behind a value is skipped, a parenthesis in a key belongs to the key.
    fn skip_parenthesis(&mut self) {
        let is_remark = self.key_text().trim_start().is_empty();
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let ends_key = self.key_text().trim_end().ends_with([':', '=']);
        match memchr::memchr(b')', rest) {
            Some(close) if is_remark => self.reset(self.at + close + 1),
            Some(close) if !ends_key => self.at += close + 1,
            _ => self.at += 1,
        }
    }

    fn token(&self) -> Token {
        let Some(rest) = self.text.as_bytes().get(self.at..) else {
            return Token::Word;
        };
        let unsigned = rest.strip_prefix(b"-").unwrap_or(rest);
        let is_letter = unsigned.first().is_some_and(u8::is_ascii_alphabetic);
        if is_letter && !(starts_like_a_number(unsigned) && self.may_be_a_word_for_a_number(rest)) {
            return Token::Word;
        }
        number_token(rest, self.at)
    }

    /// `nan` is a value behind a sign (`loss=nan`) or at the end of a cell (`loss nan, time ..`), but not in
    /// `number of nan iterations`.
    fn may_be_a_word_for_a_number(&self, rest: &[u8]) -> bool {
        let before = self.key_text().trim_end_matches([' ', '\t', '"', '\'', '[', '(']);
        if before.ends_with([':', '=']) {
            return true;
        }
        let word = rest
            .iter()
            .take_while(|b| b.is_ascii_alphabetic() || **b == b'-')
            .count();
        match rest.get(word..) {
            Some([] | [b',' | b'|' | b')' | b']' | b'\t', ..] | [b' ', b' ' | b'(' | b'|', ..]) => true,
            Some([b' ', tail @ ..]) => tail.iter().all(|b| *b == b' '),
            _ => false,
        }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        let bytes = self.text.as_bytes();
        loop {
            self.skip_plain(bytes);
            let byte = self.byte(self.at)?;
            if self.key_from > self.first_from_max {
                return None;
            }
            if class(byte) == Class::Open {
                self.skip_parenthesis();
            } else if byte == b'-' && is_dash(bytes, self.at) {
                self.reset(self.at + 1);
            } else if let Some(pair) = self.take_token() {
                let is_late = pair.from > self.first_from_max;
                self.first_from_max = usize::MAX;
                return (!is_late).then_some(pair);
            }
        }
    }
}

impl<'a> Pairs<'a> {
    /// Goes on to the next byte that needs a thought: a parenthesis or what may be a number. This loop sees
    /// most bytes of a log, so it works on locals.
    fn skip_plain(&mut self, bytes: &[u8]) {
        let mut at = self.at;
        while let Some(byte) = bytes.get(at) {
            match class(*byte) {
                Class::Start | Class::Open => break,
                Class::Word => at += word_bytes(bytes, at),
                Class::Reset => {
                    at += 1;
                    self.key_from = at;
                    if at > self.first_from_max {
                        break;
                    }
                }
                Class::Blank | Class::Assign | Class::Soft => at += 1,
            }
        }
        self.at = at;
    }

    /// The number here with its key, if it is one and has one; else goes on behind it.
    fn take_token(&mut self) -> Option<Pair<'a>> {
        match self.token() {
            Token::Number { number, total, end } => {
                let (from, at) = (self.key_from, self.at);
                let key = key_of(self.key_text());
                self.reset(end);
                let (key, label) = key?;
                return Some(Pair {
                    key,
                    number,
                    total,
                    label,
                    from,
                    at,
                    end,
                });
            }
            Token::Noise => self.skip_noise(),
            Token::Word => self.at += word_bytes(self.text.as_bytes(), self.at),
        }
        None
    }

    fn skip_noise(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let len = rest
            .iter()
            .take_while(|b| !matches!(class(**b), Class::Blank | Class::Reset))
            .count();
        self.reset(self.at + len.max(1));
    }
}

/// Length of the word at `at`, at least one.
fn word_bytes(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let len = rest
        .iter()
        .position(|b| !matches!(class(*b), Class::Word | Class::Start));
    len.unwrap_or(rest.len()).max(1)
}

/// A dash between blanks separates cells (Keras).
fn is_dash(bytes: &[u8], at: usize) -> bool {
    bytes.get(at) == Some(&b'-')
        && matches!(bytes.get(at + 1), None | Some(b' '))
        && (at == 0 || bytes.get(at - 1) == Some(&b' '))
}

/// The key in the text between two numbers, and the text-valued pair before it.
fn key_of(raw: &str) -> Option<(&str, Option<(&str, &str)>)> {
    let bytes = raw.as_bytes();
    let is_soft = |byte: &u8| {
        matches!(
            class(*byte),
            Class::Blank | Class::Assign | Class::Soft | Class::Open
        ) || *byte == b'~'
    };
    let end = bytes.iter().rposition(|b| !is_soft(b))? + 1;
    let start = bytes
        .iter()
        .position(|b| !is_soft(b) && !matches!(*b, b'-' | b'*' | b'#' | b'+'))?;
    let key = raw.get(start..end)?;
    let (key, label) = match key.as_bytes().iter().rposition(|b| class(*b) == Class::Assign) {
        Some(at) if is_within_a_path(key, at) => (key, None),
        Some(at) => split_label(key, at),
        None => (key, None),
    };
    // A tab never stands in a name: what is before it ended another cell.
    let key = key.rsplit('\t').next().unwrap_or(key).trim_start();
    let key = without_unit(key);
    let is_key = key.len() <= KEY_BYTES_MAX && key.bytes().any(|b| b.is_ascii_alphabetic() || b >= 0x80);
    is_key.then_some((key, label))
}

/// `layers.0.weight:grad_l2` is one key: the colon stands between two words, behind a path with an index.
fn is_within_a_path(key: &str, at: usize) -> bool {
    let (head, tail) = (
        key.get(..at).unwrap_or_default(),
        key.get(at..).unwrap_or_default(),
    );
    let is_path =
        !head.contains(' ') && head.contains(['.', '/']) && head.bytes().any(|b| b.is_ascii_digit());
    is_path && tail.starts_with(':') && !tail.contains(' ') && tail.len() > 1
}

/// `layer=h.0 grad_norm` is a label and a key; `split: loss` is a key behind a heading.
fn split_label(key: &str, at: usize) -> (&str, Option<(&str, &str)>) {
    let name = key
        .get(..at)
        .unwrap_or_default()
        .trim_end_matches([' ', '"', '\'']);
    let name = name
        .rsplit([' ', '\t', ':', '=', '"', '\''])
        .next()
        .unwrap_or(name);
    let tail = key
        .get(at + 1..)
        .unwrap_or_default()
        .trim_start_matches([' ', '\t', '"', '\'']);
    match tail.split_once([' ', '\t']) {
        Some((value, rest)) if !rest.trim().is_empty() => {
            (rest.trim(), Some((name, value.trim_matches(['"', '\'', ',']))))
        }
        _ => (tail, None),
    }
}

fn without_unit(key: &str) -> &str {
    let Some(at) = memchr::memchr(b' ', key.as_bytes()).filter(|at| *at <= UNIT_BYTES_MAX) else {
        return key;
    };
    match key.split_at_checked(at) {
        Some((unit, rest)) if UNITS.contains(&unit) => rest.trim_start(),
        _ => key,
    }
}

#[cfg(test)]
mod tests;
