//! A row of a table to its cells.
//!
//! In: the bytes of one row and the delimiter. Out: numbers, parsed in the same pass that finds their end, and
//! texts without quotes. Invariant: nothing is allocated but for a text with doubled quotes.

use std::borrow::Cow;

use memchr::memchr;

use crate::decode::number::{Number, parse_plain};

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    /// A number and nothing else.
    Number(Number),
    /// Anything else, the empty cell included.
    Text(Cow<'a, [u8]>),
}

impl Cell<'_> {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Cell::Text(text) if text.trim_ascii().is_empty())
    }
}

/// The cells of a row from left to right.
#[derive(Debug)]
pub(super) struct Cells<'a> {
    rest: &'a [u8],
    delimiter: u8,
    is_over: bool,
}

impl<'a> Cells<'a> {
    pub(super) fn new(row: &'a [u8], delimiter: u8) -> Self {
        Self {
            rest: row,
            delimiter,
            is_over: false,
        }
    }

    /// Whether no cell follows.
    pub(super) fn is_at_end(&self) -> bool {
        self.is_over
    }

    /// The next cell, if it is a plain number; else nothing is taken.
    #[inline]
    pub(super) fn next_number(&mut self) -> Option<Number> {
        if !matches!(self.rest.first(), Some(b'0'..=b'9' | b'-' | b'.')) || self.is_over {
            return None;
        }
        let number = parse_plain(self.rest)?;
        self.leave(number.used).then_some(number)
    }

    /// The next cell.
    pub(super) fn next_cell(&mut self) -> Option<Cell<'a>> {
        if self.is_over {
            return None;
        }
        match self.rest.first() {
            Some(b'0'..=b'9' | b'-' | b'.') => {
                if let Some(number) = self.next_number() {
                    return Some(Cell::Number(number));
                }
            }
            Some(b' ') => {
                // A padded number; a padded text falls through with its blanks.
                let n_blanks = self.rest.iter().take_while(|b| **b == b' ').count();
                if let Some(number) = parse_plain(self.rest.get(n_blanks..).unwrap_or_default())
                    && self.leave(n_blanks + number.used)
                {
                    return Some(Cell::Number(number));
                }
                if self.rest.get(n_blanks) == Some(&b'"') {
                    self.rest = self.rest.get(n_blanks..).unwrap_or_default();
                    return Some(self.quoted());
                }
            }
            Some(b'"') => return Some(self.quoted()),
            _ => {}
        }
        let end = memchr(self.delimiter, self.rest).unwrap_or(self.rest.len());
        let text = self.rest.get(..end).unwrap_or_default();
        self.leave(end);
        Some(Cell::Text(Cow::Borrowed(text)))
    }

    /// Moves behind the delimiter at `end`; false when something else stands there.
    #[inline]
    fn leave(&mut self, end: usize) -> bool {
        let rest = self.rest.get(end..).unwrap_or_default();
        match rest.split_first() {
            None => self.is_over = true,
            Some((first, behind)) if *first == self.delimiter => self.rest = behind,
            Some(_) => return false,
        }
        true
    }

    /// A cell that starts with a quote; doubled quotes stand for one (RFC 4180).
    fn quoted(&mut self) -> Cell<'a> {
        let inner = self.rest.get(1..).unwrap_or_default();
        let mut text: Cow<'a, [u8]> = Cow::Borrowed(&[]);
        let mut start = 0;
        loop {
            let behind = inner.get(start..).unwrap_or_default();
            let end = memchr(b'"', behind).unwrap_or(behind.len());
            let piece = behind.get(..end).unwrap_or_default();
            if text.is_empty() {
                text = Cow::Borrowed(piece);
            } else {
                text.to_mut().extend_from_slice(piece);
            }
            start += end + 1;
            if inner.get(start) != Some(&b'"') {
                break;
            }
            text.to_mut().push(b'"');
            start += 1;
        }
        let behind = inner.get(start..).unwrap_or_default();
        let end = memchr(self.delimiter, behind).unwrap_or(behind.len());
        self.rest = behind;
        self.leave(end);
        Cell::Text(text)
    }
}

/// Whether a quoted cell goes on behind the row. A quote inside an unquoted cell opens nothing.
pub(super) fn has_open_quote(row: &[u8]) -> bool {
    let n_quotes = memchr::memchr_iter(b'"', row).count();
    n_quotes % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::{Cell, Cells, has_open_quote};

    fn split(row: &str, delimiter: u8) -> Vec<String> {
        let mut cells = Cells::new(row.as_bytes(), delimiter);
        let mut all = Vec::new();
        while let Some(cell) = cells.next_cell() {
            all.push(match cell {
                Cell::Number(n) => format!("{}", n.value),
                Cell::Text(text) => format!("<{}>", String::from_utf8_lossy(&text)),
            });
        }
        all
    }

    #[test]
    fn numbers_and_texts_are_told_apart() {
        assert_eq!(
            split("1,-2.5e3,,nan,1.5x,0:12", b','),
            ["1", "-2500", "<>", "<nan>", "<1.5x>", "<0:12>"]
        );
        assert_eq!(split("  1.5,  x,\t2", b','), ["1.5", "<  x>", "<\t2>"]);
        assert_eq!(split("", b','), ["<>"]);
        assert_eq!(split("1,", b','), ["1", "<>"]);
        assert_eq!(split("1\t2\t\t3", b'\t'), ["1", "2", "<>", "3"]);
    }

    #[test]
    fn quotes_hide_delimiters() {
        assert_eq!(
            split(r#""a,b",2,"c""d" ,"1.5""#, b','),
            ["<a,b>", "2", "<c\"d>", "<1.5>"]
        );
        assert_eq!(split(r#" "a,b",3"#, b','), ["<a,b>", "3"]);
        assert_eq!(split(r#""open,1"#, b','), ["<open,1>"]);
        assert_eq!(split(r#""""#, b','), ["<>"]);
        assert!(has_open_quote(b"\"a"));
        assert!(!has_open_quote(b"\"a\"\"b\""));
    }
}
