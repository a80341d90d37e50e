//! Tables: CSV, TSV and their relatives with `;` or `|`.
//!
//! In: bytes. Out: a sample per numeric cell, its tag the trimmed column name. Invariants: the calls do not
//! depend on the splits; an empty cell and `NA`, `N/A`, `null`, `None` are missing, never NaN; a row with a
//! wrong number of cells is skipped, counted and reported; memory is bounded by the longest row.
//!
//! Shapes met: Lightning (sparse rows), Keras `CSVLogger`, Stable-Baselines3 progress and monitor files (a
//! first line `#{json}`), ultralytics (padded headers), `RLlib` (quoted lists), `DVCLive`, `step,name,value`. A
//! header may be repeated or change in the middle of a file.

mod header;
mod split;

use super::key::Keys;
use super::line::{LINE_BYTES_MAX, LineFramer, RawLine};
use super::number::{Number, parse_all, parse_plain};
use super::row::Rows;
use super::trouble::Trouble;
use super::{Decode, Settled, Sink, Tally};
use crate::model::Problem;
use header::{Header, is_missing};
use split::{Cell, Cells, has_open_quote};

/// Lines that a quoted cell may span before the quote is taken for damage.
const QUOTED_LINES_MAX: usize = 64;

/// Decoder of tables.
#[derive(Debug)]
pub struct CsvDecoder {
    framer: LineFramer,
    table: Table,
}

#[derive(Debug, Default)]
struct Table {
    header: Option<Header>,
    /// A comment that may be the header of a table of numbers (`# step loss`).
    comment: Vec<u8>,
    rows: Rows,
    tally: Tally,
    trouble: Trouble,
    open: OpenRow,
}

/// A row with a quoted cell that goes on in the next line.
#[derive(Debug, Default)]
struct OpenRow {
    text: Vec<u8>,
    offset: u64,
    number: u64,
    n_lines: usize,
}

impl Default for CsvDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl CsvDecoder {
    /// A decoder at the first byte of a file.
    #[must_use]
    pub fn new() -> Self {
        Self {
            framer: LineFramer::default(),
            table: Table {
                rows: Rows::of_any_order(),
                ..Table::default()
            },
        }
    }
}

impl Decode for CsvDecoder {
    fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        let table = &mut self.table;
        self.framer.feed(bytes, |line| table.line(&line, sink));
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        let table = &mut self.table;
        self.framer.finish(|line| table.line(&line, sink));
        table.give_up_quote(sink);
        table.rows.finish(sink);
        table.trouble.finish(sink);
        let n_refused = table.rows.keys.n_refused();
        if n_refused > 0 {
            sink.problem(Problem::note(
                0,
                format!("{n_refused} columns with too many or too long names left out"),
            ));
        }
    }

    fn settle(&mut self, sink: &mut dyn Sink) -> Settled {
        self.table.rows.settle(sink)
    }

    fn rest(&mut self) {
        self.framer.rest();
        self.table.rows.keys.rest();
    }

    fn tally(&self) -> Tally {
        self.table.tally
    }

    fn format(&self) -> &'static str {
        match &self.table.header {
            Some(_) if self.table.rows.is_long() => "csv-long",
            Some(header) if header.delimiter == b'\t' => "tsv",
            _ => "csv",
        }
    }
}

impl Table {
    fn line(&mut self, line: &RawLine<'_>, sink: &mut dyn Sink) {
        if let Some(problem) = line.problem() {
            self.give_up_quote(sink);
            return self.skip(line.offset, problem.bytes.unwrap_or_default(), problem.what, sink);
        }
        if self.open.n_lines > 0 {
            return self.go_on_with_quote(line, sink);
        }
        if has_open_quote(line.bytes) {
            self.open.text.extend_from_slice(line.bytes);
            (self.open.offset, self.open.number, self.open.n_lines) = (line.offset, line.number, 1);
            return;
        }
        self.row(line.bytes, line.offset, line.number, sink);
    }

    fn go_on_with_quote(&mut self, line: &RawLine<'_>, sink: &mut dyn Sink) {
        self.open.text.push(b'\n');
        self.open.text.extend_from_slice(line.bytes);
        self.open.n_lines += 1;
        if !has_open_quote(&self.open.text) {
            let open = std::mem::take(&mut self.open);
            self.row(&open.text, open.offset, open.number, sink);
        } else if self.open.n_lines >= QUOTED_LINES_MAX || self.open.text.len() > LINE_BYTES_MAX {
            self.give_up_quote(sink);
        }
    }

    /// A quote that never ends is damage of the line it is in; the lines behind it are read on their own.
    fn give_up_quote(&mut self, sink: &mut dyn Sink) {
        let open = std::mem::take(&mut self.open);
        let mut offset = open.offset;
        let mut lines = open.text.split(|b| *b == b'\n').zip(open.number..);
        if open.n_lines > 0
            && let Some((damaged, number)) = lines.next()
        {
            let bytes = damaged.len() as u64;
            self.skip(offset, bytes, format!("line {number}: quote does not end"), sink);
            offset = offset.saturating_add(bytes).saturating_add(1);
            for (line, number) in lines {
                self.row(line, offset, number, sink);
                offset = offset.saturating_add(line.len() as u64).saturating_add(1);
            }
        }
    }

    fn row(&mut self, text: &[u8], offset: u64, number: u64, sink: &mut dyn Sink) {
        let text = trimmed(text);
        if text.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        if let Some(comment) = text.trim_ascii_start().strip_prefix(b"#") {
            self.comment(comment);
            return;
        }
        if self.takes_header(text) {
            return;
        }
        let Some(header) = &self.header else {
            return;
        };
        self.rows.start();
        let n_cells = fill(&mut self.rows, header, text);
        if n_cells == header.n_columns() {
            self.rows.emit(offset, sink);
            self.tally.records = self.tally.records.saturating_add(1);
        } else {
            let what = format!(
                "line {number}: {n_cells} cells where the header has {}",
                header.n_columns()
            );
            self.skip(offset, text.len() as u64, what, sink);
        }
    }

    fn comment(&mut self, comment: &[u8]) {
        let comment = comment.trim_ascii();
        if self.header.is_none() && comment.first() != Some(&b'{') && comment.len() <= LINE_BYTES_MAX {
            self.comment.clear();
            self.comment.extend_from_slice(comment);
        }
    }

    /// Whether the row is a header: the first row, or a later one that names columns.
    fn takes_header(&mut self, text: &[u8]) -> bool {
        let Some(known) = &self.header else {
            let (header, is_named) = Header::first(text, &self.comment, &mut self.rows.keys);
            self.header = Some(header);
            return is_named;
        };
        let Some(header) = known.successor(text, &mut self.rows.keys) else {
            return false;
        };
        self.header = Some(header);
        true
    }

    fn skip(&mut self, offset: u64, bytes: u64, what: String, sink: &mut dyn Sink) {
        self.tally.skipped = self.tally.skipped.saturating_add(1);
        self.trouble.lost(offset, bytes, what, sink);
    }
}

/// Whether lines without blank ones among them are the beginning of a table: a header of names, and rows with
/// as many cells, numbers among them. Without rows, or with a single column, only where a table `is_expected`.
/// The last line need not fit unless it `is_ended`.
pub(super) fn looks_like_a_table(lines: &[&[u8]], is_ended: bool, is_expected: bool) -> bool {
    let mut lines = lines
        .iter()
        .copied()
        .map(trimmed)
        .skip_while(|line| line.starts_with(b"#"));
    // Colours hold semicolons enough for many columns.
    let Some(first) = lines.next().filter(|it| memchr::memchr(b'\x1b', it).is_none()) else {
        return false;
    };
    let mut keys = Keys::default();
    let (header, is_named) = Header::first(first, b"", &mut keys);
    let has_columns = header.n_columns() > 1 && !first.starts_with(b"|");
    if !is_named || !(has_columns || is_expected && header.n_columns() == 1) {
        return false;
    }
    let (mut n_rows, mut n_fitting) = (0_usize, 0_usize);
    let mut lines = lines.peekable();
    while let Some(line) = lines.next() {
        let is_fitting = is_row(line, &header);
        let is_unfinished = lines.peek().is_none() && !is_ended;
        n_rows += usize::from(is_fitting || !is_unfinished);
        n_fitting += usize::from(is_fitting);
    }
    if n_rows == 0 {
        is_expected && header.has_axis(&keys)
    } else {
        n_fitting * 5 >= n_rows * 4
    }
}

fn is_row(line: &[u8], header: &Header) -> bool {
    let mut cells = Cells::new(line, header.delimiter);
    let (mut n_cells, mut n_numbers) = (0, 0);
    while let Some(cell) = cells.next_cell() {
        n_cells += usize::from(!(n_cells == header.n_columns() && cells.is_at_end() && cell.is_empty()));
        let is_number = match cell {
            Cell::Number(_) => true,
            Cell::Text(text) => parse_all(&text).is_some(),
        };
        n_numbers += usize::from(is_number);
    }
    n_cells == header.n_columns() && n_numbers > 0
}

/// The row without blanks and carriage returns at its end (tabs stay, they may be empty cells) and without the
/// NUL bytes at its start that a crash or a network file system left.
fn trimmed(row: &[u8]) -> &[u8] {
    let start = row.iter().position(|b| *b != 0).unwrap_or(row.len());
    let end = row
        .iter()
        .rposition(|b| !matches!(b, b' ' | b'\r' | b'\n'))
        .map_or(0, |last| last + 1);
    row.get(start..end).unwrap_or_default()
}

/// Adds the cells of a row; returns how many there are. One empty cell more than columns is a delimiter at
/// the end of the line and does not count.
fn fill(rows: &mut Rows, header: &Header, text: &[u8]) -> usize {
    let mut n_cells = 0;
    let mut cells = Cells::new(text, header.delimiter);
    for column in &header.columns {
        // Rows are numbers for the most part; the first cell that is none leaves the way.
        let Some(number) = cells.next_number() else {
            break;
        };
        n_cells += 1;
        if let Some(key) = *column {
            rows.add_number(key, &number);
        }
    }
    while let Some(cell) = cells.next_cell() {
        let is_end = n_cells == header.n_columns() && cells.is_at_end() && cell.is_empty();
        n_cells += usize::from(!is_end);
        let Some(Some(key)) = header.columns.get(n_cells.wrapping_sub(1)).copied() else {
            continue;
        };
        match cell {
            Cell::Number(number) => rows.add_number(key, &number),
            Cell::Text(text) => fill_text(rows, key, &text, header.has_decimal_comma()),
        }
    }
    n_cells
}

fn fill_text(rows: &mut Rows, key: u32, text: &[u8], has_decimal_comma: bool) {
    let text = text.trim_ascii();
    if is_missing(text) {
        return;
    }
    let number = if has_decimal_comma {
        with_decimal_comma(text)
    } else {
        None
    };
    match number {
        Some(number) => rows.add_number(key, &number),
        None => rows.word(key, &String::from_utf8_lossy(text)),
    }
}

/// `0,25` as it is printed where the comma is the decimal sign.
fn with_decimal_comma(text: &[u8]) -> Option<Number> {
    let mut plain = [0; 64];
    let plain = plain.get_mut(..text.len())?;
    plain.copy_from_slice(text);
    let comma = memchr::memchr(b',', text)?;
    *plain.get_mut(comma)? = b'.';
    let number = parse_plain(plain)?;
    (number.used == text.len())
        .then_some(number)
        .or_else(|| parse_all(text))
}

#[cfg(test)]
mod tests;
