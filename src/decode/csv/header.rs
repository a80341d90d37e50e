//! The header of a table.
//!
//! In: rows that may be headers. Out: the delimiter and the keys of the columns. Invariant: a row with a number
//! in it is never taken for a header.

use super::split::{Cell, Cells};
use crate::decode::key::{Keys, Role};
use crate::decode::number::parse_all;

/// Delimiters in the order in which they are preferred when a header has equally many of them.
const DELIMITERS: [u8; 4] = [b'\t', b',', b';', b'|'];

/// The columns of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    pub(super) delimiter: u8,
    /// The key of each column, `None` where the key table refused the name.
    pub(super) columns: Vec<Option<u32>>,
}

impl Header {
    /// The header of a table that starts with `row`, and whether the row names the columns. A first row of
    /// numbers takes its names from the comment before it, if that has as many, else from their places.
    pub(super) fn first(row: &[u8], comment: &[u8], keys: &mut Keys) -> (Self, bool) {
        let delimiter = sniff(row);
        let names = names(row, delimiter);
        if names.iter().any(|name| !is_value(name)) {
            return (Self::of(delimiter, &names, keys), true);
        }
        let commented = self::names(comment, sniff(comment));
        let names = if commented.len() == names.len() && commented.iter().all(|name| !is_value(name)) {
            commented
        } else {
            (1..=names.len()).map(|place| format!("column_{place}")).collect()
        };
        (Self::of(delimiter, &names, keys), false)
    }

    /// The header that takes over from this one, when `row` is one: no number in it, and columns that are known.
    pub(super) fn successor(&self, row: &[u8], keys: &mut Keys) -> Option<Self> {
        // Most rows start with a number, and none of these is a header.
        if matches!(row.first()?, b'0'..=b'9' | b'-' | b'.') || row.first() == Some(&self.delimiter) {
            return None;
        }
        let names = names(row, self.delimiter);
        if names.iter().any(|name| is_value(name) || name.is_empty()) {
            return None;
        }
        let is_known = |name: &String| {
            let id = keys.intern(name);
            let is_column = id.is_some() && self.columns.contains(&id);
            is_column
                || id
                    .and_then(|id| keys.get(id))
                    .is_some_and(|key| is_axis(key.role))
        };
        let n_known = names.iter().map(is_known).filter(|known| *known).count();
        (n_known > 0 && n_known * 2 >= names.len().min(self.columns.len()))
            .then(|| Self::of(self.delimiter, &names, keys))
    }

    fn of(delimiter: u8, names: &[String], keys: &mut Keys) -> Self {
        keys.start_row();
        Self {
            delimiter,
            columns: names.iter().map(|name| keys.intern(name)).collect(),
        }
    }

    pub(super) fn n_columns(&self) -> usize {
        self.columns.len()
    }

    /// Whether a column says where rows stand.
    pub(super) fn has_axis(&self, keys: &Keys) -> bool {
        let role = |column: &Option<u32>| column.and_then(|id| keys.get(id)).map(|key| key.role);
        self.columns.iter().filter_map(role).any(is_axis)
    }

    /// Where `;` separates cells, the comma is free to be the decimal sign.
    pub(super) fn has_decimal_comma(&self) -> bool {
        self.delimiter == b';'
    }
}

fn is_axis(role: Role) -> bool {
    matches!(role, Role::Step(_) | Role::Epoch | Role::Time(_))
}

fn names(row: &[u8], delimiter: u8) -> Vec<String> {
    let mut cells = Cells::new(row, delimiter);
    let mut all = Vec::new();
    while let Some(cell) = cells.next_cell() {
        all.push(match cell {
            Cell::Number(number) => number.value.to_string(),
            Cell::Text(text) => String::from_utf8_lossy(text.trim_ascii()).into_owned(),
        });
    }
    all
}

/// The delimiter that occurs most often outside quotes, a comma when there is none. Bars around a name, as in
/// `step,|grad|/fc1`, separate nothing: the first of them follows another delimiter, and as many close it.
pub(in crate::decode) fn sniff(row: &[u8]) -> u8 {
    let mut counts = [0_usize; 4];
    let (mut is_quoted, mut is_opening, mut n_open_bars) = (false, false, 0_usize);
    for &byte in row {
        is_quoted ^= byte == b'"';
        let is_bar = byte == b'|';
        if is_bar && is_opening {
            n_open_bars += 1;
        } else if is_bar && n_open_bars > 0 {
            n_open_bars -= 1;
        } else if !is_quoted
            && let Some(at) = DELIMITERS.iter().position(|d| *d == byte)
            && let Some(count) = counts.get_mut(at)
        {
            *count += 1;
        }
        is_opening = matches!(byte, b',' | b';' | b'\t') || is_bar && is_opening;
    }
    let best = counts
        .iter()
        .zip(DELIMITERS)
        .rev()
        .max_by_key(|(count, _)| **count);
    best.filter(|(count, _)| **count > 0)
        .map_or(b',', |(_, delimiter)| delimiter)
}

/// Whether a cell is a value rather than a name.
fn is_value(name: &str) -> bool {
    parse_all(name.as_bytes()).is_some() || (!name.is_empty() && is_missing(name.as_bytes()))
}

/// Words for a value that was not measured.
pub(super) fn is_missing(text: &[u8]) -> bool {
    const WORDS: [&[u8]; 6] = [b"na", b"n/a", b"null", b"none", b"-", b"--"];
    text.is_empty() || WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::{Header, is_missing, sniff};
    use crate::decode::key::Keys;

    #[test]
    fn the_delimiter_is_the_most_frequent_one() {
        assert_eq!(sniff(b"step,loss,lr"), b',');
        assert_eq!(sniff(b"step\tloss"), b'\t');
        assert_eq!(sniff(b"step;loss,mean;lr"), b';');
        assert_eq!(sniff(b"step|\"a,b,c\"|lr"), b'|');
        assert_eq!(sniff(b"loss"), b',');
        assert_eq!(sniff(b"step,|grad|/fc1,||w||/fc1"), b',');
        assert_eq!(sniff(b"step|a,b|c|d"), b'|');
    }

    #[test]
    fn nan_is_a_value_and_na_is_missing() {
        assert!(!is_missing(b"nan"));
        for text in ["", "NA", "N/A", "n/a", "null", "None", "-"] {
            assert!(is_missing(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_later_header_must_know_columns() {
        let mut keys = Keys::default();
        let (header, is_named) = Header::first(b"epoch,step,loss", b"", &mut keys);
        assert!(is_named);
        assert_eq!(
            header.successor(b"epoch,step,loss", &mut keys),
            Some(header.clone())
        );
        assert!(header.successor(b"epoch,step,loss,val_loss", &mut keys).is_some());
        for row in ["1,2,3", ",,0.5", "nan,NA,1", "a,b,c", "note: x"] {
            assert_eq!(header.successor(row.as_bytes(), &mut keys), None, "{row}");
        }
    }
}
