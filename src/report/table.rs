//! Tables for people: as wide as they need to be, and no wider than the terminal.
//!
//! In: a header and rows of text. Out: lines. Invariants: no word is broken while there are columns that can be left out;
//! nothing is cut when the output is not a terminal.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};

use super::columns::{columns, cut_beginning};
use super::text::{TextStyle, word};
use crate::model::Verdict;

/// Columns around each cell.
const PADDING: usize = 2;
/// Columns that a cut column keeps at least.
const CUT_MIN: usize = 10;

impl TextStyle {
    /// A table that leaves out columns on a narrow terminal, in the order of `first_to_go`, and then shows only the ends
    /// of the texts of column `cut`.
    pub(super) fn fitting_table(
        self,
        header: &[&str],
        mut rows: Vec<Vec<String>>,
        first_to_go: &[usize],
        cut: usize,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let Some(room) = self.width.map(usize::from) else {
            return self.table(header, &rows, out);
        };
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|it| it.get(column));
            let widest = cells.map(|it| columns(it)).max().unwrap_or_default();
            widest.max(header.get(column).map_or(0, |it| columns(it)))
        };
        let widths: Vec<usize> = (0..header.len()).map(width).collect();
        let mut kept: Vec<usize> = (0..header.len()).collect();
        let total = |kept: &[usize]| -> usize {
            let cells = kept.iter().filter_map(|it| widths.get(*it));
            cells.map(|it| it + PADDING).sum()
        };
        for column in first_to_go {
            if total(&kept) > room {
                kept.retain(|it| it != column);
            }
        }
        let too_wide = total(&kept).saturating_sub(room);
        let cut_to = widths
            .get(cut)
            .map_or(0, |it| it.saturating_sub(too_wide).max(CUT_MIN));
        for row in &mut rows {
            let cells = kept.iter().filter_map(|at| {
                let cell = row.get(*at)?;
                Some(if *at == cut {
                    cut_beginning(cell, cut_to)
                } else {
                    cell.clone()
                })
            });
            *row = cells.collect();
        }
        let header: Vec<&str> = kept.iter().filter_map(|it| header.get(*it).copied()).collect();
        self.table(&header, &rows, out)
    }

    pub(super) fn table(self, header: &[&str], rows: &[Vec<String>], out: &mut dyn Write) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        match self.width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic);
                table.set_width(width.max(40));
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        table.set_header(header.iter().map(std::string::ToString::to_string));
        for row in rows {
            table.add_row(row.clone());
        }
        for line in table.lines() {
            writeln!(out, " {}", self.paint_verdict(line.trim_end()))?;
        }
        Ok(())
    }

    /// Colours the verdict that a line of the overview begins with. Done after the table was laid out, so that
    /// escapes do not count as width.
    fn paint_verdict(self, line: &str) -> String {
        let verdicts = [
            Verdict::Critical,
            Verdict::Warning,
            Verdict::Healthy,
            Verdict::NoData,
        ];
        let found = verdicts
            .into_iter()
            .find_map(|it| Some((it, line.strip_prefix(' ')?.strip_prefix(word(it))?)));
        match found.filter(|_| self.is_colored) {
            Some((verdict, rest)) => format!(" {}{rest}", self.verdict(verdict)),
            None => line.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(width: Option<u16>) -> Vec<String> {
        let style = TextStyle {
            is_colored: false,
            width,
        };
        let row = ["critical", "a/long/name/of/a/run", "0..299", "what is wrong"].map(str::to_owned);
        let mut out = Vec::new();
        let header = ["verdict", "run", "steps", "what"];
        style
            .fitting_table(&header, vec![row.to_vec()], &[2], 1, &mut out)
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(|it| it.trim().to_owned()).collect()
    }

    #[test]
    fn columns_go_before_words_are_broken() {
        let all = "critical  a/long/name/of/a/run  0..299  what is wrong";
        assert_eq!(lines(None)[1], all);
        assert_eq!(lines(Some(80))[1], all);
        assert_eq!(
            lines(Some(54))[1],
            "critical  a/long/name/of/a/run  what is wrong"
        );
        assert_eq!(lines(Some(42))[1], "critical  …/name/of/a/run  what is wrong");
        assert_eq!(lines(Some(80)).len(), 2);
    }
}
