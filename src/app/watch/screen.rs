//! The table of runs on a terminal, below what was said.
//!
//! In: the runs, after each turn of the loop, and texts that are to be said. Out: one write of text and escapes. Invariants:
//! a screen never shows half a table: what is said and the table below it go out together; the lines above the table
//! stay where they are; nothing is written while nothing changed.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::core::Watch;
use super::publish::Rows;
use crate::report::{LiveRow, TextStyle, live_table, printable};

/// Time between two tables; what is said goes out at once.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// A terminal that does not say how large it is.
const DEFAULT_SIZE: (u16, u16) = (80, 24);

/// No wrapping while the table is drawn: a line that is wider than it counts (wide characters) is cut, not broken. The
/// mode 2026 lets terminals that know it show the whole change at once.
const BEGIN: &str = "\x1b[?2026h\x1b[?7l";
const END: &str = "\x1b[?7h\x1b[?2026l";

/// Lines of the table that stand on the terminal now. A process has one terminal, and whoever writes to it has to
/// know.
static STANDING: AtomicUsize = AtomicUsize::new(0);

/// Says something on standard error; a table steps aside for it.
pub(super) fn complain(text: &str) {
    let n_lines = STANDING.swap(0, Ordering::Relaxed);
    if n_lines > 0 {
        // A terminal that is gone shows nothing either way.
        let _ = write(&replaced(n_lines, b"", &[]));
    }
    for line in text.lines() {
        // Nobody may be listening any more; following goes on.
        let _ = writeln!(io::stderr(), "gradwatch: {}", printable(line));
    }
}

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
        let n_standing = STANDING.load(Ordering::Relaxed);
        let has_stepped_aside = n_standing < self.table.len();
        if !has_stepped_aside && self.drawn_at.is_some_and(|it| it.elapsed() < DRAW_EVERY) {
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
        if table == self.table && !has_stepped_aside {
            return Ok(());
        }
        self.table = table;
        self.put(n_standing, b"")
    }

    /// Says something above the table.
    pub(super) fn say(&mut self, text: &[u8]) -> io::Result<()> {
        self.put(STANDING.load(Ordering::Relaxed), text)
    }

    fn put(&self, n_standing: usize, text: &[u8]) -> io::Result<()> {
        STANDING.store(self.table.len(), Ordering::Relaxed);
        write(&replaced(n_standing, text, &self.table))
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
