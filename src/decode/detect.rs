//! Which format a file has, by its content first.
//!
//! In: the first bytes of a file (up to 64 KiB) and its path. Out: a decoder, or why there is none. Invariants:
//! never by extension alone; the extension decides only where the content fits two formats; an event file is
//! one by its name whatever damage it starts with, as for TensorBoard.

use super::clearml::ClearmlDecoder;
use super::csv::{CsvDecoder, looks_like_a_table};
use super::document::DocumentDecoder;
use super::encoding::{Encoding, Utf16Reader, detect as detect_encoding};
use super::json::{Flattener, Scalar};
use super::jsonl::JsonlDecoder;
use super::mlflow::{MlflowDecoder, Point};
use super::prefixed::Prefixed;
use super::text::TextDecoder;
use super::text::own::OwnPatterns;
use super::transcode::Utf16Decoder;
use super::unpack::{Compression, Unpacker};
use super::wandb::WandbDecoder;
use super::{Decode, EventDecoder, Sink};
use crate::model::{Mark, Problem, Sample, TextLine};

/// What a file turned out to be.
pub enum Opened {
    /// A log; feed it from its first byte.
    Decoder(Box<dyn Decode>),
    /// A compressed file, by the name of the compression.
    Compressed(&'static str),
    /// Something else, by the reason.
    NotALog(&'static str),
    /// Nothing there yet (a live run may fill it).
    Empty,
}

/// Makes a decoder of a format that lives elsewhere.
type Maker<'m> = &'m dyn Fn() -> Box<dyn Decode>;

/// Bytes of the head that are looked at; more make no answer surer.
pub const HEAD_BYTES_MAX: usize = 64 << 10;

/// Recognises a file by its first bytes (64 KiB are enough) and its path.
#[must_use]
pub fn open(head: &[u8], path: &str) -> Opened {
    open_reading(head, path, &OwnPatterns::default())
}

/// As [`open`], for a user who has line patterns: a text in whose head one of them matches is a text log, whatever
/// else it looks like.
#[must_use]
pub fn open_reading(head: &[u8], path: &str, own: &OwnPatterns) -> Opened {
    open_with(head, path, own, &|| Box::new(EventDecoder::new()), &|| {
        Box::new(TextDecoder::with_patterns(own.clone()))
    })
}

/// Recognises the file inside a compressed one.
pub(super) fn open_plain(head: &[u8], path: &str, own: &OwnPatterns) -> Opened {
    match compression(head) {
        Some(found) => Opened::Compressed(found.name()),
        None => open_reading(head, path, own),
    }
}

/// Recognises a file by its first bytes and its path, given the makers of the event file decoder and the text
/// log decoder.
fn open_with(head: &[u8], path: &str, own: &OwnPatterns, event: Maker<'_>, text: Maker<'_>) -> Opened {
    let head = head.get(..HEAD_BYTES_MAX).unwrap_or(head);
    if head.iter().all(|b| *b == 0) {
        return Opened::Empty;
    }
    match compression(head) {
        Some(Packed::Read(how)) => return Opened::Decoder(Box::new(Unpacker::new(how, path, own))),
        Some(Packed::Named(name)) => return Opened::Compressed(name),
        None => {}
    }
    if base_name(path).contains("tfevents") || starts_with_a_record(head) {
        return Opened::Decoder(event());
    }
    if head.starts_with(b":W&B") {
        return Opened::Decoder(Box::new(WandbDecoder::new()));
    }
    if let Some(reason) = binary(head) {
        return Opened::NotALog(reason);
    }
    let plain = to_utf8(head);
    let lines = Lines::of(&plain);
    if lines.first.is_empty() {
        return if lines.is_cut {
            Opened::Decoder(text())
        } else {
            Opened::Empty
        };
    }
    if own.know_any(&lines.complete) {
        return Opened::Decoder(text());
    }
    if is_mlflow(&lines, path) {
        return Opened::Decoder(Box::new(MlflowDecoder::new(path)));
    }
    let is_utf16 = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
    json(&plain, &lines, path, is_utf16)
        .or_else(|| {
            let is_expected = has_extension(path, &["csv", "tsv"]);
            let is_table = looks_like_a_table(&lines.complete, plain.ends_with(b"\n"), is_expected)
                || is_expected && looks_like_a_table(&lines.cut_header(), true, true);
            is_table.then(|| make_csv(path))
        })
        .unwrap_or_else(|| Opened::Decoder(text()))
}

fn make_csv(path: &str) -> Opened {
    Opened::Decoder(Prefixed::by_path(Box::new(CsvDecoder::new()), path))
}

fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

fn has_extension(path: &str, extensions: &[&str]) -> bool {
    let extension = base_name(path)
        .rsplit_once('.')
        .map_or("", |(_, extension)| extension);
    extensions.iter().any(|e| e.eq_ignore_ascii_case(extension))
}

/// A compression that is read, or only known by name.
#[derive(Debug, Clone, Copy)]
enum Packed {
    Read(Compression),
    Named(&'static str),
}

impl Packed {
    fn name(self) -> &'static str {
        match self {
            Packed::Read(Compression::Gzip) => "gzip",
            Packed::Read(Compression::Zlib) => "zlib",
            Packed::Read(Compression::Zstd) => "zstd",
            Packed::Named(name) => name,
        }
    }
}

fn compression(head: &[u8]) -> Option<Packed> {
    if head.starts_with(b"\x1f\x8b") {
        Some(Packed::Read(Compression::Gzip))
    } else if head.starts_with(b"\x28\xb5\x2f\xfd") {
        Some(Packed::Read(Compression::Zstd))
    } else if head.starts_with(b"BZh") && head.get(4..10) == Some(b"1AY&SY") {
        Some(Packed::Named("bzip2"))
    } else if head.starts_with(b"\xfd7zXZ\0") {
        Some(Packed::Named("xz"))
    } else {
        is_zlib(head).then_some(Packed::Read(Compression::Zlib))
    }
}

/// RFC 1950: CM 8, CINFO 7, and a header that is a multiple of 31; RFC 1951: block type 3 does not exist. The
/// two bytes may be text (`x^`), so what follows must not be.
fn is_zlib(head: &[u8]) -> bool {
    let [0x78, flags @ (0x01 | 0x5e | 0x9c | 0xda), block, ..] = head else {
        return false;
    };
    let is_text = *flags == 0x5e && std::str::from_utf8(head.get(..64).unwrap_or(head)).is_ok();
    !is_text && (block >> 1) & 3 != 3
}

/// Whether a record of a TensorBoard event file starts here: a length with its own valid checksum.
fn starts_with_a_record(head: &[u8]) -> bool {
    let Some((length, rest)) = head.split_first_chunk::<8>() else {
        return false;
    };
    let Some(stored) = rest.first_chunk::<4>() else {
        return false;
    };
    let masked = crc32c::crc32c(length).rotate_right(15).wrapping_add(0xa282_ead8);
    u32::from_le_bytes(*stored) == masked
}

fn binary(head: &[u8]) -> Option<&'static str> {
    const MAGIC: [(&[u8], &str); 16] = [
        (b"PK\x03\x04", "zip archive or checkpoint"),
        (b"\x89PNG", "image"),
        (b"\xff\xd8\xff", "image"),
        (b"GIF8", "image"),
        (b"\x93NUMPY", "array"),
        (b"\x89HDF", "HDF5 file"),
        (b"\x7fELF", "program"),
        (b"SQLite format 3\0", "database"),
        (b"PAR1", "parquet file"),
        (b"%PDF", "document"),
        (b"GGUF", "checkpoint"),
        (b"RIFF", "media file"),
        (b"\x80\x02", "pickle"),
        (b"\x80\x03", "pickle"),
        (b"\x80\x04", "pickle"),
        (b"\x80\x05", "pickle"),
    ];
    if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(what);
    }
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return None;
    }
    if head.get(8) == Some(&b'{') && head.get(5..8) == Some(&[0; 3]) {
        return Some("checkpoint");
    }
    looks_binary(head).then_some("binary data")
}

/// A text log may have a few holes of NUL bytes and a stray byte of another encoding; binary data is full of
/// short runs of NUL, of control characters and of invalid UTF-8.
fn looks_binary(head: &[u8]) -> bool {
    let n_holes = head
        .windows(2)
        .filter(|pair| matches!(pair, [a, 0] if *a != 0))
        .count();
    let is_control =
        |b: &&u8| **b < 0x20 && !matches!(**b, 0 | b'\t' | b'\n' | b'\r' | 0x08 | 0x0b | 0x0c | 0x1b);
    let n_control = head.iter().filter(is_control).count();
    let n_invalid: usize = head.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    n_holes > 16 || n_control * 20 > head.len() || n_invalid * 4 > head.len()
}

/// The head as UTF-8, without byte order mark.
fn to_utf8(head: &[u8]) -> Vec<u8> {
    match detect_encoding(head) {
        Some((Encoding::Utf16 { is_big_endian }, mark_bytes)) => {
            let mut reader = Utf16Reader::new(is_big_endian);
            let mut text = String::new();
            for byte in head.iter().skip(mark_bytes) {
                reader.push(*byte, |c| text.push(c));
            }
            text.into_bytes()
        }
        Some((Encoding::Utf8, mark_bytes)) => head.get(mark_bytes..).unwrap_or_default().to_vec(),
        None => head.to_vec(),
    }
}

/// The lines of the head.
struct Lines<'a> {
    /// The first line that is not blank, complete or not.
    first: &'a [u8],
    /// Lines that are not blank and surely complete, at most 64; the last one too when the head is all there is.
    complete: Vec<&'a [u8]>,
    /// Whether the head ends within a line.
    is_cut: bool,
}

impl<'a> Lines<'a> {
    fn of(head: &'a [u8]) -> Self {
        let is_cut = head.len() >= HEAD_BYTES_MAX && !head.ends_with(b"\n");
        let mut all: Vec<&[u8]> = head
            .split(|b| *b == b'\n')
            .map(trimmed)
            .filter(|l| !l.is_empty())
            .collect();
        let first = all.first().copied().unwrap_or_default();
        if is_cut {
            all.pop();
        }
        all.truncate(64);
        Self {
            first,
            complete: all,
            is_cut,
        }
    }

    /// The whole names in a first line that is longer than the head: a table with thousands of columns.
    fn cut_header(&self) -> Vec<&'a [u8]> {
        let last = self.first.iter().rposition(|b| matches!(b, b',' | b'\t' | b';'));
        let names = last.and_then(|last| self.first.get(..last));
        names
            .filter(|_| self.is_cut && self.complete.is_empty())
            .into_iter()
            .collect()
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|b| *b != 0).unwrap_or(line.len());
    line.get(start..).unwrap_or_default().trim_ascii()
}

/// `timestamp_ms value step` in every line; lines of two fields only in a directory `metrics`.
fn is_mlflow(lines: &Lines<'_>, path: &str) -> bool {
    let is_named = path.replace('\\', "/").contains("metrics/");
    let is_point = |line: &&[u8]| Point::read(line).is_some_and(|point| is_named || point.step.is_some());
    !lines.complete.is_empty() && lines.complete.iter().all(is_point)
}

fn json(head: &[u8], lines: &Lines<'_>, path: &str, is_utf16: bool) -> Option<Opened> {
    let jsonl = || Opened::Decoder(Box::new(JsonlDecoder::new()));
    let document = || {
        let decoder: Box<dyn Decode> = Box::new(DocumentDecoder::new());
        Opened::Decoder(if is_utf16 {
            Box::new(Utf16Decoder::new(decoder))
        } else {
            decoder
        })
    };
    let n_objects = lines.complete.iter().filter(|line| is_row(line)).count();
    let is_list = |line: &&&[u8]| line.starts_with(b"[") && is_whole_value(line);
    let n_lists = lines.complete.iter().filter(is_list).count();
    let is_one_line = lines.complete.len() <= 1;
    match lines.first.first()? {
        // A single line may be a document or the first row of a log: the document decoder reads both.
        b'{' if is_one_line && n_objects == 1 && has_extension(path, &["json"]) => Some(document()),
        // The first line is whole, and most others are: the last may be cut, and one may be damaged.
        b'[' if lines.complete.len() > 1
            && is_whole_value(lines.first)
            && n_lists * 2 >= lines.complete.len() =>
        {
            Some(Opened::Decoder(Box::new(ClearmlDecoder::new())))
        }
        _ if n_objects > 0 && n_objects * 2 >= lines.complete.len() => Some(jsonl()),
        b'{' if is_one_line && lines.first.len() > 1 && has_extension(path, &["jsonl", "ndjson"]) => {
            Some(jsonl())
        }
        b'{' | b'[' if starts_a_document(head) => Some(document()),
        b'{' if has_extension(path, &["jsonl", "ndjson"]) => Some(jsonl()),
        _ => None,
    }
}

/// An object with a member; `{}` alone is an empty configuration.
fn is_row(line: &[u8]) -> bool {
    let mut n_members = 0_usize;
    let used = Flattener::new().flatten(line, &mut |_: &str, _: Scalar<'_>| n_members += 1);
    line.starts_with(b"{") && n_members > 0 && used.is_ok_and(|used| used == line.len())
}

fn is_whole_value(line: &[u8]) -> bool {
    Flattener::new()
        .flatten(line, &mut |_: &str, _: Scalar<'_>| {})
        .is_ok_and(|used| used == line.len())
}

/// Whether the head is the beginning of JSON over several lines: it may end early, but not be wrong.
fn starts_a_document(head: &[u8]) -> bool {
    let mut judge = Judge::default();
    let mut decoder = DocumentDecoder::new();
    decoder.feed(head, &mut judge);
    !judge.has_problem && head.iter().any(|b| matches!(b, b'"' | b'}' | b']'))
}

#[derive(Default)]
struct Judge {
    has_problem: bool,
}

impl Sink for Judge {
    fn sample(&mut self, _: &Sample<'_>) {}
    fn line(&mut self, _: &TextLine<'_>) {}
    fn mark(&mut self, _: Mark<'_>) {}
    fn problem(&mut self, problem: Problem) {
        self.has_problem |= !problem.is_note;
    }
}

#[cfg(test)]
mod tests;
