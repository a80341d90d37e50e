//! Finds `key number` pairs in a line, whatever stands between key and number.
//!
//! In: the text of one line. Out: its numbers, each with the words before it. The scan is driven by the
//! numbers: `loss: 2.3`, `loss=2.3`, `loss 2.3`, `'loss': '2.3'` and `lm loss: 2.3E+00 |` are all the same.
//! Invariant: clocks, dates, versions, remarks in parentheses and words that start with a digit are no numbers.

use crate::decode::number::{self, Number};

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
}

/// Longest key in bytes; what is longer is prose.
const KEY_BYTES_MAX: usize = 200;

/// Longest unit glued to a number (`samples/s`).
const UNIT_BYTES_MAX: usize = 10;

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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Word,
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

/// What a token that looks like a number turned out to be.
enum Token {
    Number {
        number: Number,
        total: Option<i64>,
        end: usize,
    },
    /// A clock, a date, a version: neither number nor key.
    Noise,
    /// A word that starts like a number.
    Word,
}

impl<'a> Pairs<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            key_from: 0,
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

    fn skip_word(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let len = rest.iter().take_while(|b| class(**b) == Class::Word).count();
        self.at += len.max(1);
    }

    fn token(&self) -> Token {
        let Some(rest) = self.text.as_bytes().get(self.at..) else {
            return Token::Word;
        };
        let is_letter = rest.first().is_some_and(u8::is_ascii_alphabetic)
            || (rest.first() == Some(&b'-') && rest.get(1).is_some_and(u8::is_ascii_alphabetic));
        if is_letter && !self.may_be_a_word_for_a_number(rest) {
            return Token::Word;
        }
        let Some(number) = number::with_suffix(rest) else {
            return Token::Word;
        };
        let (number, behind) = without_lost_exponent(number, rest);
        token_behind(number, behind, self.at)
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

/// `1.2345E` is a number whose exponent was cut off where two lines were glued together.
fn without_lost_exponent(number: Number, rest: &[u8]) -> (Number, &[u8]) {
    let cut = number.used.saturating_sub(1);
    let behind = rest.get(number.used..).unwrap_or_default();
    if rest.get(cut) == Some(&b'E') && cut > 0 {
        return (number, rest.get(cut..).unwrap_or_default());
    }
    (number, behind)
}

fn token_behind(number: Number, behind: &[u8], at: usize) -> Token {
    let end = at + number.used;
    let is_digit = |i: usize| behind.get(i).is_some_and(u8::is_ascii_digit);
    match behind.first() {
        None => Token::Number {
            number,
            total: None,
            end,
        },
        Some(b':' | b'.' | b'-' | b'/') if is_digit(1) && behind.first() != Some(&b'/') => Token::Noise,
        Some(b'-') if behind.get(1).is_some_and(u8::is_ascii_alphabetic) => Token::Word,
        Some(b'.' | b'_') => Token::Word,
        Some(b'/') => with_total(number, behind, end),
        Some(b'E' | b'e') if !behind.get(1).is_some_and(u8::is_ascii_alphabetic) => Token::Noise,
        Some(byte) if byte.is_ascii_alphanumeric() || *byte == b'%' => match unit_bytes(behind) {
            Some(len) => Token::Number {
                number,
                total: None,
                end: end + len,
            },
            None => Token::Word,
        },
        Some(_) => Token::Number {
            number,
            total: None,
            end,
        },
    }
}

/// `5/ 100` or `5/s`.
fn with_total(number: Number, behind: &[u8], end: usize) -> Token {
    let blanks = behind.iter().skip(1).take_while(|b| **b == b' ').count();
    let Some((total, used)) = behind.get(1 + blanks..).and_then(integer) else {
        return match unit_bytes(behind) {
            Some(len) => Token::Number {
                number,
                total: None,
                end: end + len,
            },
            None => Token::Word,
        };
    };
    let end = end + 1 + blanks + used;
    if matches!(behind.get(1 + blanks + used), Some(b'/' | b':'))
        && behind.get(2 + blanks + used).is_some_and(u8::is_ascii_digit)
    {
        return Token::Noise;
    }
    Token::Number {
        number,
        total: Some(total),
        end,
    }
}

/// Length of the unit at the start of `bytes`, if nothing but a unit is glued to the number.
fn unit_bytes(bytes: &[u8]) -> Option<usize> {
    let len = bytes
        .iter()
        .take_while(|b| b.is_ascii_alphabetic() || matches!(**b, b'%' | b'/') || **b >= 0x80)
        .count();
    let unit = bytes.get(..len)?;
    let is_open = matches!(bytes.get(len), Some(b'_' | b'.' | b'-' | b'0'..=b'9'));
    // `1.23iteration` are two lines that were glued together, `62.1TFLOPS` and `3.5samples/s` are units.
    let is_word = len > 4 && unit.first().is_some_and(u8::is_ascii_lowercase) && !unit.contains(&b'/');
    (len <= UNIT_BYTES_MAX && !is_open && !is_word).then_some(len)
}

/// The integer at the start of `bytes`, thousands separators allowed, with its length.
pub(super) fn integer(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut value: i64 = 0;
    let mut used = 0;
    while let Some(byte) = bytes.get(used) {
        match byte {
            b'0'..=b'9' => value = value.saturating_mul(10).saturating_add(i64::from(byte - b'0')),
            b',' if used > 0 && is_group(bytes.get(used + 1..)) => {}
            _ => break,
        }
        used += 1;
    }
    (used > 0).then_some((value, used))
}

fn is_group(bytes: Option<&[u8]>) -> bool {
    let digits = bytes.map_or(0, |b| b.iter().take_while(|b| b.is_ascii_digit()).count());
    digits == 3
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        let mut starts_token = true;
        while let Some(byte) = self.byte(self.at) {
            match class(byte) {
                Class::Blank | Class::Assign | Class::Soft => self.at += 1,
                Class::Reset => self.reset(self.at + 1),
                Class::Open => self.skip_parenthesis(),
                Class::Word if starts_token && is_dash(self.text.as_bytes(), self.at) => {
                    self.reset(self.at + 1)
                }
                Class::Word if starts_token && may_start_number(byte) => match self.token() {
                    Token::Number { number, total, end } => {
                        let from = self.key_from;
                        let pair = key_of(self.key_text()).map(|(key, label)| Pair {
                            key,
                            number,
                            total,
                            label,
                            from,
                        });
                        self.reset(end);
                        if pair.is_some() {
                            return pair;
                        }
                    }
                    Token::Noise => {
                        self.skip_noise();
                    }
                    Token::Word => self.skip_word(),
                },
                Class::Word => self.skip_word(),
            }
            starts_token = true;
        }
        None
    }
}

impl Pairs<'_> {
    fn skip_noise(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let len = rest
            .iter()
            .take_while(|b| !matches!(class(**b), Class::Blank | Class::Reset))
            .count();
        self.reset(self.at + len.max(1));
    }
}

fn may_start_number(byte: u8) -> bool {
    matches!(
        byte,
        b'0'..=b'9' | b'-' | b'+' | b'.' | b'n' | b'N' | b'i' | b'I' | b't' | b'a' | b'A' | b'D' | b'j'
    )
}

/// A dash between blanks separates cells (Keras).
fn is_dash(bytes: &[u8], at: usize) -> bool {
    bytes.get(at) == Some(&b'-')
        && matches!(bytes.get(at + 1), None | Some(b' '))
        && (at == 0 || bytes.get(at - 1) == Some(&b' '))
}

/// The key in the text between two numbers, and the text-valued pair before it.
fn key_of(raw: &str) -> Option<(&str, Option<(&str, &str)>)> {
    let is_soft = |c: char| {
        matches!(
            c,
            ' ' | '\t' | ':' | '=' | '"' | '\'' | '[' | '(' | '<' | '>' | '`' | '~'
        )
    };
    let key = raw
        .trim_end_matches(is_soft)
        .trim_start_matches(|c: char| is_soft(c) || matches!(c, '-' | '*' | '#' | '+'));
    let (key, label) = match key.rfind([':', '=']) {
        Some(at) => split_label(key, at),
        None => (key, None),
    };
    let key = without_unit(key);
    let is_key = key.len() <= KEY_BYTES_MAX && key.bytes().any(|b| b.is_ascii_alphabetic() || b >= 0x80);
    is_key.then_some((key, label))
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
    match key.split_once(' ') {
        Some((unit, rest)) if UNITS.contains(&unit) => rest.trim_start(),
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use super::{Pairs, integer};

    fn pairs(text: &str) -> Vec<(String, f64)> {
        Pairs::of(text)
            .map(|p| (p.key.to_owned(), p.number.value))
            .collect()
    }

    fn shown(text: &str) -> String {
        let all: Vec<String> = pairs(text).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        all.join(" ; ")
    }

    #[test]
    fn reads_every_way_to_write_a_pair() {
        assert_eq!(
            shown("loss: 2.5 | lr=1e-3, acc 0.5"),
            "loss=2.5 ; lr=0.001 ; acc=0.5"
        );
        assert_eq!(shown("{'loss': '1.25', \"lr\": 2}"), "loss=1.25 ; lr=2");
        assert_eq!(
            shown("elapsed time per iteration (ms): 9.0 | lm loss: 4.607821E+00 | x"),
            "elapsed time per iteration (ms)=9 ; lm loss=4.607821"
        );
        assert_eq!(
            shown("loss 6.1551 BPC, time 44.04ms, mfu -100.00%"),
            "loss=6.1551 ; time=44.04 ; mfu=-100"
        );
        assert_eq!(
            shown("step: 20  loss: 11.8  memory: 48.87GiB(51.44%)  tps: 4,376"),
            "step=20 ; loss=11.8 ; memory=48.87 ; tps=4376"
        );
        assert_eq!(shown("optim/LR (group 0)=3e-4"), "optim/LR (group 0)=0.0003");
        assert_eq!(shown("tokens: 16.88K | loss 1"), "tokens=16880 ; loss=1");
    }

    #[test]
    fn non_finite_words_are_values_only_where_a_value_stands() {
        assert_eq!(shown("loss nan, time 5.78ms"), "loss=NaN ; time=5.78");
        assert_eq!(
            shown("number of nan iterations:   0 |"),
            "number of nan iterations=0"
        );
        assert_eq!(shown("step_avg:nanms x:-inf"), "step_avg=NaN ; x=-inf");
        assert_eq!(shown("loss nan (+nanz)| norm inf (-)"), "loss=NaN ; norm=inf");
        assert_eq!(shown("infos: info 3"), "info=3");
    }

    #[test]
    fn clocks_dates_versions_and_remarks_are_no_numbers() {
        assert_eq!(shown("eta: 0:10:00  iter: 19"), "iter=19");
        assert_eq!(
            shown("date 2023-06-05 v 1.2.3 loss 6.1 (+0.10z)| norm 0.9"),
            "loss=6.1 ; norm=0.9"
        );
        assert_eq!(shown("7b-model loss 3"), "7b-model loss=3");
        assert_eq!(shown("val: n/a | loss: 2"), "loss=2");
    }

    #[test]
    fn a_total_and_a_label_are_kept_apart() {
        let pair = Pairs::of("iteration      100/  159576 |").next().unwrap();
        assert_eq!((pair.number.value, pair.total), (100.0, Some(159_576)));
        let all: Vec<_> = Pairs::of("layer=layers.0 weight_norm=9.9 grad_norm=1.1").collect();
        assert_eq!(all[0].label, Some(("layer", "layers.0")));
        assert_eq!((all[0].key, all[1].key), ("weight_norm", "grad_norm"));
    }

    #[test]
    fn numbers_cut_by_a_glued_line_are_dropped() {
        assert_eq!(shown("lm loss: 1.2345E[Rank 0] x"), "");
        assert!(!shown("lm loss: 1.23iteration 20/ 100").contains("lm loss"));
    }

    #[test]
    fn integers_take_thousands_and_never_overflow() {
        assert_eq!(integer(b"1,234,567 x"), Some((1_234_567, 9)));
        assert_eq!(integer(b"1,23"), Some((1, 1)));
        assert_eq!(integer(b"99999999999999999999999"), Some((i64::MAX, 23)));
        assert_eq!(integer(b"x"), None);
    }
}
