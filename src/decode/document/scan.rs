//! Cuts a JSON document into rows and scalars as its bytes arrive.
//!
//! In: bytes in pieces of any size. Out: objects in lists (rows), scalars in lists (elements) and scalars under
//! keys, each with its key path. Invariants: only the unit at hand is held, up to [`UNIT_BYTES_MAX`]; nesting is
//! bounded; after damage nothing more is handed out.

use super::DOCUMENT_BYTES_MAX;
use crate::decode::encoding::{Encoding, MARK_BYTES_MAX, detect};
use crate::decode::json::DEPTH_MAX;

/// Longest row or scalar that is read.
pub const UNIT_BYTES_MAX: usize = 1 << 20;

/// A part of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit<'a> {
    /// A value at the top starts.
    RootStart { offset: u64 },
    /// An object in the list under `list`.
    Row {
        list: &'a str,
        bytes: &'a [u8],
        offset: u64,
    },
    /// A scalar in the list under `list`.
    Element { list: &'a str, bytes: &'a [u8] },
    /// A scalar under `path`.
    Scalar {
        path: &'a str,
        bytes: &'a [u8],
        offset: u64,
    },
    /// The value at the top is complete.
    RootEnd,
    /// From here on the document makes no sense.
    Damage {
        offset: u64,
        bytes: u64,
        what: &'static str,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    is_list: bool,
    /// Length of the path without this frame's key.
    path_bytes: usize,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mode {
    /// Between values: blanks, brackets, commas.
    #[default]
    Between,
    /// In the text of a key.
    Key,
    /// Behind a key, before its value.
    Colon,
    /// In a number or word.
    Word,
    /// In a text.
    Text,
    /// In an object of a list; `depth` of open brackets.
    Row { depth: usize, is_text: bool },
    /// After damage or behind the last byte that is read.
    Dead,
}

/// The incremental cutter.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    mode: Mode,
    is_escaped: bool,
    stack: Vec<Frame>,
    path: String,
    unit: Vec<u8>,
    unit_offset: u64,
    unit_bytes: u64,
    offset: u64,
    head: Vec<u8>,
    is_behind_mark: bool,
}

impl Scanner {
    /// Takes the next bytes; calls back for every unit that is complete now.
    pub(super) fn feed(&mut self, bytes: &[u8], mut on_unit: impl FnMut(Unit<'_>)) {
        if self.is_behind_mark {
            self.scan(bytes, &mut on_unit);
            return;
        }
        let n_new = MARK_BYTES_MAX.saturating_sub(self.head.len()).min(bytes.len());
        let (new, rest) = bytes.split_at(n_new);
        self.head.extend_from_slice(new);
        if let Some((encoding, mark_bytes)) = detect(&self.head) {
            self.open(encoding, mark_bytes, &mut on_unit);
            self.scan(rest, &mut on_unit);
        }
    }

    /// The file is at its end.
    pub(super) fn finish(&mut self, mut on_unit: impl FnMut(Unit<'_>)) {
        if !self.is_behind_mark {
            self.open(Encoding::Utf8, 0, &mut on_unit);
        }
        if self.mode == Mode::Word && self.stack.is_empty() {
            self.end_unit(&mut on_unit);
        }
        if self.mode != Mode::Dead && (self.mode != Mode::Between || !self.stack.is_empty()) {
            self.die("document ends before it is complete", &mut on_unit);
        }
    }

    fn open(&mut self, encoding: Encoding, mark_bytes: usize, on_unit: &mut impl FnMut(Unit<'_>)) {
        self.is_behind_mark = true;
        let head = std::mem::take(&mut self.head);
        if encoding == Encoding::Utf8 {
            self.offset = mark_bytes as u64;
            self.scan(head.get(mark_bytes..).unwrap_or_default(), on_unit);
        } else {
            self.die("a JSON document in UTF-16 is not read", on_unit);
        }
    }

    fn scan(&mut self, bytes: &[u8], on_unit: &mut impl FnMut(Unit<'_>)) {
        let mut rest = bytes;
        while let Some((byte, behind)) = rest.split_first() {
            if let Mode::Row { .. } = self.mode
                && let n_plain @ 1.. = self.plain_bytes(rest)
            {
                let (plain, special) = rest.split_at(n_plain);
                self.hold(plain);
                self.offset = self.offset.saturating_add(n_plain as u64);
                rest = special;
                continue;
            }
            match self.mode {
                Mode::Dead => return,
                Mode::Between => self.between(*byte, on_unit),
                Mode::Colon => self.colon(*byte, on_unit),
                Mode::Key | Mode::Text => self.text(*byte, on_unit),
                Mode::Word => self.word(*byte, on_unit),
                Mode::Row { depth, is_text } => self.row(*byte, depth, is_text, on_unit),
            }
            rest = behind;
            self.offset = self.offset.saturating_add(1);
            if self.offset > DOCUMENT_BYTES_MAX {
                self.die("document is longer than 256 MiB, the rest is not read", on_unit);
            }
        }
    }

    /// How many bytes of a row follow that neither open nor close anything.
    fn plain_bytes(&self, bytes: &[u8]) -> usize {
        if self.is_escaped {
            return 0;
        }
        let is_special = |b: &u8| matches!(b, b'"' | b'\\' | b'{' | b'}' | b'[' | b']');
        bytes.iter().position(is_special).unwrap_or(bytes.len())
    }

    fn die(&mut self, what: &'static str, on_unit: &mut impl FnMut(Unit<'_>)) {
        if self.mode != Mode::Dead {
            self.mode = Mode::Dead;
            let offset = self.offset;
            on_unit(Unit::Damage {
                offset,
                bytes: 0,
                what,
            });
        }
    }

    fn between(&mut self, byte: u8, on_unit: &mut impl FnMut(Unit<'_>)) {
        let in_list = self.stack.last().is_some_and(|frame| frame.is_list);
        let in_object = !in_list && !self.stack.is_empty();
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b',' if !self.stack.is_empty() => {}
            b'}' if in_object => self.close(on_unit),
            b']' if in_list => self.close(on_unit),
            b'"' if in_object => self.start_unit(Mode::Key),
            _ if in_object => self.die("expected a key", on_unit),
            _ => self.value(byte, in_list, on_unit),
        }
    }

    fn colon(&mut self, byte: u8, on_unit: &mut impl FnMut(Unit<'_>)) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b':' => {}
            _ => self.value(byte, false, on_unit),
        }
    }

    /// The first byte of a value.
    fn value(&mut self, byte: u8, in_list: bool, on_unit: &mut impl FnMut(Unit<'_>)) {
        if self.stack.is_empty() {
            self.path.clear();
            on_unit(Unit::RootStart { offset: self.offset });
        }
        match byte {
            b'{' if in_list => {
                self.start_unit(Mode::Row {
                    depth: 1,
                    is_text: false,
                });
                self.hold(&[byte]);
            }
            b'{' | b'[' if self.stack.len() >= DEPTH_MAX => self.die("nesting too deep", on_unit),
            b'{' | b'[' => {
                let path_bytes = self.path.len();
                self.stack.push(Frame {
                    is_list: byte == b'[',
                    path_bytes,
                });
                self.mode = Mode::Between;
            }
            b'"' => {
                self.start_unit(Mode::Text);
                self.hold(&[byte]);
            }
            b'}' | b']' | b',' | b':' => self.die("expected a value", on_unit),
            _ => {
                self.start_unit(Mode::Word);
                self.hold(&[byte]);
            }
        }
    }

    fn start_unit(&mut self, mode: Mode) {
        self.mode = mode;
        self.unit.clear();
        self.unit_bytes = 0;
        self.unit_offset = self.offset;
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.unit_bytes = self.unit_bytes.saturating_add(bytes.len() as u64);
        let room = UNIT_BYTES_MAX.saturating_sub(self.unit.len());
        self.unit.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn text(&mut self, byte: u8, on_unit: &mut impl FnMut(Unit<'_>)) {
        let is_end = byte == b'"' && !self.is_escaped;
        self.is_escaped = byte == b'\\' && !self.is_escaped;
        if self.mode == Mode::Text {
            self.hold(&[byte]);
            if is_end {
                self.end_unit(on_unit);
            }
        } else if is_end {
            self.enter_key(on_unit);
        } else {
            self.hold(&[byte]);
        }
    }

    /// A key is complete: the path goes one deeper, until its value is complete.
    fn enter_key(&mut self, on_unit: &mut impl FnMut(Unit<'_>)) {
        self.mode = Mode::Colon;
        if self.path.len().saturating_add(self.unit.len()) > UNIT_BYTES_MAX {
            return self.die("key too long", on_unit);
        }
        if !self.path.is_empty() {
            self.path.push('/');
        }
        self.path.push_str(&String::from_utf8_lossy(&self.unit));
    }

    fn word(&mut self, byte: u8, on_unit: &mut impl FnMut(Unit<'_>)) {
        match byte {
            b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n' => {
                self.end_unit(on_unit);
                if self.mode == Mode::Between {
                    self.between(byte, on_unit);
                }
            }
            b'{' | b'[' | b'"' | b':' => self.die("unexpected character in a number", on_unit),
            _ => self.hold(&[byte]),
        }
    }

    fn row(&mut self, byte: u8, depth: usize, is_text: bool, on_unit: &mut impl FnMut(Unit<'_>)) {
        self.hold(&[byte]);
        let is_quote = byte == b'"' && !self.is_escaped;
        self.is_escaped = is_text && byte == b'\\' && !self.is_escaped;
        let depth = match byte {
            b'{' | b'[' if !is_text => depth.saturating_add(1),
            b'}' | b']' if !is_text => depth.saturating_sub(1),
            _ => depth,
        };
        self.mode = Mode::Row {
            depth,
            is_text: is_text ^ is_quote,
        };
        if depth == 0 {
            self.end_unit(on_unit);
        }
    }

    /// The unit at hand is complete.
    fn end_unit(&mut self, on_unit: &mut impl FnMut(Unit<'_>)) {
        let is_row = matches!(self.mode, Mode::Row { .. });
        let in_list = self.stack.last().is_some_and(|frame| frame.is_list);
        let (bytes, offset) = (self.unit.as_slice(), self.unit_offset);
        self.mode = Mode::Between;
        if self.unit_bytes > bytes.len() as u64 {
            let what = "row or text longer than 1 MiB";
            on_unit(Unit::Damage {
                offset,
                bytes: self.unit_bytes,
                what,
            });
        } else if is_row {
            on_unit(Unit::Row {
                list: &self.path,
                bytes,
                offset,
            });
        } else if in_list {
            on_unit(Unit::Element {
                list: &self.path,
                bytes,
            });
        } else {
            on_unit(Unit::Scalar {
                path: &self.path,
                bytes,
                offset,
            });
        }
        self.leave_value(on_unit);
    }

    /// A list or an object is complete.
    fn close(&mut self, on_unit: &mut impl FnMut(Unit<'_>)) {
        if let Some(frame) = self.stack.pop() {
            self.path.truncate(frame.path_bytes);
        }
        self.leave_value(on_unit);
    }

    /// A value is complete: its key leaves the path, and with the last one the document is complete.
    fn leave_value(&mut self, on_unit: &mut impl FnMut(Unit<'_>)) {
        match self.stack.last() {
            None => on_unit(Unit::RootEnd),
            Some(frame) if !frame.is_list => self.path.truncate(frame.path_bytes),
            Some(_) => {}
        }
    }
}
