//! Bytes to lines, resumable at any byte.
//!
//! In: the bytes of a text file in pieces of any size. Out: each line once, with its place in the file.
//! Invariants: the lines do not depend on where the bytes were split; at most [`LINE_BYTES_MAX`] bytes are
//! held; a longer line is dropped and told, and the line behind it is intact; whole lines are borrowed.

use memchr::{memchr, memchr2, memrchr};

use super::encoding::{Encoding, MARK_BYTES_MAX, Utf16Reader, detect};
use crate::model::Problem;

/// Longest line in bytes that is read. The longest real metric lines (66 matrices, 5 statistics each) have
/// 30 kB; a dumped configuration or an embedded picture may have more and holds no series.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// One line as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawLine<'a> {
    /// The bytes without `\n` or `\r\n`; empty when the line was too long. UTF-16 arrives as UTF-8.
    pub bytes: &'a [u8],
    /// Byte offset of the line in the file as it is on disk.
    pub offset: u64,
    /// Line number, from 1.
    pub number: u64,
    /// Total bytes of a line that was longer than [`LINE_BYTES_MAX`] and therefore dropped.
    pub overlong: Option<u64>,
}

impl RawLine<'_> {
    /// What to report about a line that was dropped.
    #[must_use]
    pub fn problem(&self) -> Option<Problem> {
        let bytes = self.overlong?;
        let what = format!("line {} is longer than {LINE_BYTES_MAX} bytes", self.number);
        Some(Problem::lost(self.offset, bytes, what))
    }
}

/// Cuts bytes into lines; holds the unfinished last line between calls.
#[derive(Debug, Default)]
pub struct LineFramer {
    encoding: State,
    /// The unfinished line, or nothing once it is known to be too long.
    carry: Vec<u8>,
    /// Bytes of the unfinished line on disk, dropped ones included.
    line_bytes: u64,
    is_overlong: bool,
    /// Whether a carriage return ends a line too, so that a progress bar that is drawn over itself for hours
    /// is read as it is drawn.
    ends_at_returns: bool,
    /// Offset of the unfinished line.
    line_offset: u64,
    /// Lines that are finished.
    n_lines: u64,
}

#[derive(Debug)]
enum State {
    /// Too few bytes to tell a byte order mark; at most two are held.
    Undecided(Vec<u8>),
    Utf8,
    Utf16(Utf16Reader),
}

impl Default for State {
    fn default() -> Self {
        State::Undecided(Vec::new())
    }
}

impl LineFramer {
    /// A framer at the first byte of a file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A framer that ends a line at every carriage return too; the pieces of a line have one number.
    #[must_use]
    pub fn ending_at_returns() -> Self {
        Self {
            ends_at_returns: true,
            ..Self::default()
        }
    }

    /// Takes the next bytes; calls back for every line that is finished now.
    pub fn feed(&mut self, bytes: &[u8], mut on_line: impl FnMut(RawLine<'_>)) {
        if matches!(self.encoding, State::Undecided(_)) {
            self.feed_head(bytes, &mut on_line);
        } else {
            self.feed_body(bytes, &mut on_line);
        }
    }

    /// Nothing more is to be read for now: holds the unfinished line and no more.
    pub fn rest(&mut self) {
        self.carry.shrink_to_fit();
    }

    /// The file is at its end: hands out an unfinished last line.
    pub fn finish(&mut self, mut on_line: impl FnMut(RawLine<'_>)) {
        match std::mem::replace(&mut self.encoding, State::Utf8) {
            State::Undecided(head) => self.feed_utf8(&head, &mut on_line),
            State::Utf16(reader) if reader.is_incomplete() => self.carry_over("\u{fffd}".as_bytes(), 0),
            State::Utf8 | State::Utf16(_) => {}
        }
        if self.line_bytes > 0 {
            self.end_line(&[], 0, &mut on_line);
        }
    }

    fn feed_head(&mut self, bytes: &[u8], on_line: &mut impl FnMut(RawLine<'_>)) {
        let State::Undecided(held) = &mut self.encoding else {
            return;
        };
        let n_held = held.len();
        let n_new = bytes.len().min(MARK_BYTES_MAX.saturating_sub(n_held));
        let (new, _) = bytes.split_at(n_new);
        held.extend_from_slice(new);
        let Some((encoding, mark_bytes)) = detect(held) else {
            return;
        };
        let head = std::mem::take(held);
        self.encoding = match encoding {
            Encoding::Utf8 => State::Utf8,
            Encoding::Utf16 { is_big_endian } => State::Utf16(Utf16Reader::new(is_big_endian)),
        };
        self.line_offset = mark_bytes as u64;
        if n_held == 0 {
            self.feed_body(bytes.get(mark_bytes..).unwrap_or_default(), on_line);
        } else {
            self.feed_body(head.get(mark_bytes..).unwrap_or_default(), on_line);
            self.feed_body(bytes.get(n_new..).unwrap_or_default(), on_line);
        }
    }

    fn feed_body(&mut self, bytes: &[u8], on_line: &mut impl FnMut(RawLine<'_>)) {
        if let State::Utf16(reader) = &mut self.encoding {
            let mut reader = reader.clone();
            self.feed_utf16(&mut reader, bytes, on_line);
            self.encoding = State::Utf16(reader);
        } else {
            self.feed_utf8(bytes, on_line);
        }
    }

    fn feed_utf8(&mut self, bytes: &[u8], on_line: &mut impl FnMut(RawLine<'_>)) {
        let mut rest = bytes;
        let find_end = if self.ends_at_returns {
            |rest: &[u8]| memchr2(b'\n', b'\r', rest)
        } else {
            |rest: &[u8]| memchr(b'\n', rest)
        };
        while let Some(end) = find_end(rest) {
            let (line, behind) = rest.split_at(end);
            self.end_line(line, 1, on_line);
            self.n_lines -= u64::from(behind.first() == Some(&b'\r'));
            rest = behind.get(1..).unwrap_or_default();
        }
        self.carry_over(rest, rest.len() as u64);
    }

    fn feed_utf16(&mut self, reader: &mut Utf16Reader, bytes: &[u8], on_line: &mut impl FnMut(RawLine<'_>)) {
        for byte in bytes {
            self.line_bytes = self.line_bytes.saturating_add(1);
            reader.push(*byte, |c| {
                if c == '\n' || (c == '\r' && self.ends_at_returns) {
                    self.end_line(&[], 0, on_line);
                    self.n_lines -= u64::from(c == '\r');
                } else {
                    let mut utf8 = [0; 4];
                    self.carry_over(c.encode_utf8(&mut utf8).as_bytes(), 0);
                }
            });
        }
    }

    /// Keeps a piece of the unfinished line; `disk_bytes` is its length in the file.
    fn carry_over(&mut self, piece: &[u8], disk_bytes: u64) {
        self.line_bytes = self.line_bytes.saturating_add(disk_bytes);
        if self.is_overlong || self.carry.len().saturating_add(piece.len()) > LINE_BYTES_MAX {
            self.is_overlong = true;
            self.carry = Vec::new();
        } else {
            self.carry.extend_from_slice(piece);
        }
    }

    /// Ends the line with its last piece; `end_bytes` is the length of the line end that is not yet counted.
    fn end_line(&mut self, piece: &[u8], end_bytes: u64, on_line: &mut impl FnMut(RawLine<'_>)) {
        let is_whole = self.carry.is_empty() && !self.is_overlong && piece.len() <= LINE_BYTES_MAX;
        if is_whole {
            self.line_bytes = self.line_bytes.saturating_add(piece.len() as u64);
        } else {
            self.carry_over(piece, piece.len() as u64);
        }
        self.n_lines = self.n_lines.saturating_add(1);
        let bytes = if is_whole { piece } else { self.carry.as_slice() };
        on_line(RawLine {
            bytes: bytes.strip_suffix(b"\r").unwrap_or(bytes),
            offset: self.line_offset,
            number: self.n_lines,
            overlong: self.is_overlong.then_some(self.line_bytes),
        });
        self.line_offset = self
            .line_offset
            .saturating_add(self.line_bytes)
            .saturating_add(end_bytes);
        self.line_bytes = 0;
        self.is_overlong = false;
        self.carry.clear();
    }
}

/// The pieces of a line that a terminal would have shown one after the other: split at carriage returns and
/// at runs of backspaces (Keras bars), empty pieces left out.
#[must_use]
pub fn segments(line: &[u8]) -> Segments<'_> {
    Segments { rest: line }
}

/// The last piece of a line that a terminal would still show.
#[must_use]
pub fn last_segment(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let start = memrchr(b'\r', line).map_or(0, |at| at + 1);
    line.get(start..).unwrap_or_default()
}

/// Iterator over the pieces of a line; see [`segments`].
#[derive(Debug, Clone)]
pub struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = memchr2(b'\r', b'\x08', self.rest).unwrap_or(self.rest.len());
            let (piece, behind) = self.rest.split_at(end);
            self.rest = behind.get(1..).unwrap_or_default();
            if !piece.is_empty() {
                return Some(piece);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE_BYTES_MAX, LineFramer, RawLine, last_segment, segments};

    type Owned = (Vec<u8>, u64, u64, Option<u64>);

    fn owned(line: RawLine<'_>) -> Owned {
        (line.bytes.to_vec(), line.offset, line.number, line.overlong)
    }

    fn frame(pieces: &[&[u8]]) -> Vec<Owned> {
        let mut framer = LineFramer::new();
        let mut lines = Vec::new();
        for piece in pieces {
            framer.feed(piece, |line| lines.push(owned(line)));
        }
        framer.finish(|line| lines.push(owned(line)));
        lines
    }

    fn texts(lines: &[Owned]) -> Vec<String> {
        lines
            .iter()
            .map(|l| String::from_utf8_lossy(&l.0).into_owned())
            .collect()
    }

    fn assert_any_split_is_equal(file: &[u8]) {
        let whole = frame(&[file]);
        for at in 0..=file.len() {
            let (left, right) = file.split_at(at);
            assert_eq!(frame(&[left, right]), whole, "split at {at}");
        }
        let single: Vec<&[u8]> = file.chunks(1).collect();
        assert_eq!(frame(&single), whole);
    }

    #[test]
    fn lines_have_their_place_and_no_line_end() {
        let lines = frame(&[b"a\r\n\nlong\0er\nlast"]);
        assert_eq!(
            lines,
            vec![
                (b"a".to_vec(), 0, 1, None),
                (b"".to_vec(), 3, 2, None),
                (b"long\0er".to_vec(), 4, 3, None),
                (b"last".to_vec(), 12, 4, None),
            ]
        );
    }

    #[test]
    fn an_empty_file_and_a_final_line_end_make_no_line() {
        assert!(frame(&[b""]).is_empty());
        assert!(frame(&[b"\xef\xbb\xbf"]).is_empty());
        assert_eq!(frame(&[b"a\n"]).len(), 1);
    }

    #[test]
    fn a_byte_order_mark_is_no_text_but_counts_as_bytes() {
        assert_eq!(frame(&[b"\xef\xbb\xbfa\nb"]), frame_at(3, &["a", "b"]));
        assert_eq!(texts(&frame(&[b"\xef\xbb"])), ["\u{fffd}"]);
    }

    fn frame_at(start: u64, lines: &[&str]) -> Vec<Owned> {
        let mut offset = start;
        let mut all = Vec::new();
        for (number, line) in (1..).zip(lines) {
            all.push((line.as_bytes().to_vec(), offset, number, None));
            offset += line.len() as u64 + 1;
        }
        all
    }

    #[test]
    fn utf16_offsets_are_those_on_disk() {
        for is_big_endian in [false, true] {
            let units = "\u{feff}ab\r\nç\u{1f525}\nd".encode_utf16();
            let file: Vec<u8> = units
                .flat_map(|u| {
                    if is_big_endian {
                        u.to_be_bytes()
                    } else {
                        u.to_le_bytes()
                    }
                })
                .collect();
            let lines = frame(&[&file]);
            assert_eq!(texts(&lines), ["ab", "ç\u{1f525}", "d"]);
            let offsets: Vec<u64> = lines.iter().map(|l| l.1).collect();
            assert_eq!(offsets, [2, 10, 18]);
            assert_any_split_is_equal(&file);
        }
    }

    #[test]
    fn half_a_utf16_character_at_the_end_is_replaced() {
        let lines = frame(&[b"\xff\xfea\0\n\0b"]);
        assert_eq!(texts(&lines), ["a", "\u{fffd}"]);
    }

    #[test]
    fn any_split_gives_the_same_lines() {
        assert_any_split_is_equal(b"\xef\xbb\xbfone\r\ntwo\n\nthree\rfour\n\xff\xfe\0end\r");
        assert_any_split_is_equal(b"\xefone\n");
    }

    #[test]
    fn a_line_over_the_cap_is_told_once_and_the_next_is_intact() {
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        let exact = vec![b'y'; LINE_BYTES_MAX];
        let file = [&b"a\n"[..], &long, b"\n", &exact, b"\nb\n"].concat();
        let whole = frame(&[&file]);
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[1], (Vec::new(), 2, 2, Some(LINE_BYTES_MAX as u64 + 1)));
        assert_eq!(whole[2].0.len(), LINE_BYTES_MAX);
        assert_eq!(whole[3].0, b"b");
        for size in [1000, 65_536, LINE_BYTES_MAX] {
            let pieces: Vec<&[u8]> = file.chunks(size).collect();
            assert_eq!(frame(&pieces), whole, "pieces of {size}");
        }
    }

    #[test]
    fn a_line_of_100_megabytes_is_never_held() {
        let mut framer = LineFramer::new();
        let piece = vec![b'z'; 1 << 16];
        for _ in 0..1600 {
            framer.feed(&piece, |line| panic!("no line end was fed: {line:?}"));
            assert!(framer.carry.capacity() <= 2 * LINE_BYTES_MAX);
        }
        let mut seen = Vec::new();
        framer.feed(b"\nnext\n", |line| seen.push(owned(line)));
        assert_eq!(seen[0].3, Some(1600 << 16));
        assert_eq!(seen[1].0, b"next");
        let dropped = RawLine {
            bytes: &[],
            offset: 7,
            number: 2,
            overlong: Some(9),
        };
        let problem = dropped.problem().unwrap();
        assert_eq!((problem.offset, problem.bytes), (Some(7), Some(9)));
    }

    #[test]
    fn returns_end_lines_when_asked_and_do_not_count() {
        let file = b"a\rb\r\nc\r";
        for size in [1, 2, file.len()] {
            let mut framer = LineFramer::ending_at_returns();
            let mut lines = Vec::new();
            for piece in file.chunks(size) {
                framer.feed(piece, |line| lines.push(owned(line)));
            }
            framer.finish(|line| lines.push(owned(line)));
            let seen: Vec<(u64, u64)> = lines.iter().map(|l| (l.1, l.2)).collect();
            assert_eq!(texts(&lines), ["a", "b", "", "c"], "pieces of {size}");
            assert_eq!(seen, [(0, 1), (2, 1), (4, 1), (5, 2)], "pieces of {size}");
        }
    }

    #[test]
    fn segments_are_what_a_terminal_showed() {
        let pieces: Vec<&[u8]> = segments(b"\r 1/3\r 2/3\x08\x08\x08\r 3/3\r").collect();
        assert_eq!(pieces, [&b" 1/3"[..], b" 2/3", b" 3/3"]);
        assert_eq!(segments(b"").count(), 0);
        assert_eq!(last_segment(b"a\rb\rc\r"), b"c");
        assert_eq!(last_segment(b"abc"), b"abc");
    }
}
