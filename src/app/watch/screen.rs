//! The table of runs on a terminal, below what was said.
//!
//! In: the runs, after each turn of the loop, and texts that are to be said. Out: one write of text and escapes. Invariants:
//! a screen never shows half a table: what is said and the table below it go out together; the lines above the table
//! stay where they are; nothing is written while nothing changed.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::core::Watch;
use super::publish::Rows;
use crate::report::{LiveRow, TextStyle, live_table};

/// Time between two tables; what is said goes out at once.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// A terminal that does not say how large it is.
const DEFAULT_SIZE: (u16, u16) = (80, 24);

/// No wrapping while the table is drawn: a line that is wider than it counts (wide characters) is cut, not broken. The
/// mode 2026 lets terminals that know it show the whole change at once.
const BEGIN: &str = "\x1b[?2026h\x1b[?7l";
const END: &str = "\x1b[?7h\x1b[?2026l";

/// The table on a terminal.
pub(super) struct Screen {
    rows: Rows,
    style: TextStyle,
    table: Vec<String>,
    drawn_at: Option<Instant>,
}

impl Screen {
    /// A screen, when standard output is a terminal that can move its cursor.
    pub(super) fn open(style: TextStyle) -> Option<Self> {
        let is_dumb = std::env::var_os("TERM").is_none_or(|it| it == "dumb" || it.is_empty());
        (io::stdout().is_terminal() && !is_dumb).then(|| Self {
            rows: Rows::default(),
            style,
            table: Vec::new(),
            drawn_at: None,
        })
    }

    /// Draws the table anew when it changed.
    pub(super) fn draw(&mut self, watch: &mut Watch<'_>) -> io::Result<()> {
        if self.drawn_at.is_some_and(|it| it.elapsed() < DRAW_EVERY) {
            return Ok(());
        }
        self.drawn_at = Some(Instant::now());
        self.rows.refresh(watch);
        let now = Timestamp::now();
        let rows = self.rows.all().map(|row| LiveRow {
            summary: &row.summary,
            // A clock that is ahead makes no run younger than new.
            age: row
                .changed_at
                .map(|it| now.duration_since(it).try_into().unwrap_or_default()),
        });
        let (columns, lines) = size();
        let table = live_table(rows.collect(), columns.into(), usize::from(lines / 2), self.style);
        if table == self.table {
            return Ok(());
        }
        let text = replaced(self.table.len(), b"", &table);
        self.table = table;
        write(&text)
    }

    /// Says something above the table.
    pub(super) fn say(&mut self, text: &[u8]) -> io::Result<()> {
        write(&replaced(self.table.len(), text, &self.table))
    }

    /// Takes the table away, so that something else can be written; the next [`draw`](Self::draw) brings it back.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        let text = replaced(self.table.len(), b"", &[]);
        (self.table, self.drawn_at) = (Vec::new(), None);
        write(&text)
    }
}

/// What takes a table of `n_lines` away and puts a text and another table in its place.
fn replaced(n_lines: usize, said: &[u8], table: &[String]) -> Vec<u8> {
    let mut text = BEGIN.as_bytes().to_vec();
    if n_lines > 0 {
        text.extend(format!("\x1b[{n_lines}F").bytes());
    }
    if said.is_empty() {
        // Line by line, so that nothing is blank for a moment.
        for line in table {
            text.extend(format!("{line}\x1b[K\n").bytes());
        }
        text.extend(b"\x1b[J");
    } else {
        text.extend(b"\x1b[J\x1b[?7h");
        text.extend(said);
        text.extend(b"\x1b[?7l");
        for line in table {
            text.extend(format!("{line}\n").bytes());
        }
    }
    text.extend(END.bytes());
    text
}

fn size() -> (u16, u16) {
    terminal_size::terminal_size().map_or(DEFAULT_SIZE, |(columns, lines)| (columns.0, lines.0))
}

fn write(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}
