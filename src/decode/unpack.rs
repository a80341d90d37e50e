//! Compressed logs: decompressed in front of the decoder of what is inside.
//!
//! In: the bytes of a gzip, zlib or zstd file, in pieces of any size. Out: the calls of the decoder of the
//! decompressed file. Invariants: nothing is written anywhere and the decompressed file is never held, only
//! `HEAD_BYTES` of it to recognise it, `PIECE_BYTES` at a time afterwards, and zstd's window of at most 8 MiB,
//! so that a decompression bomb costs time (it is read like any log of that length) but no memory; a file inside
//! the file is not unpacked again; what stands before damage is read, and the damage is told.
//!
//! Offsets of samples are those in the decompressed file.

mod deflate;
mod zstd;

use super::detect::{Opened, open_plain};
use super::text::own::OwnPatterns;
use super::{Decode, Settled, Sink, Tally};
use crate::model::{Mark, Problem, Sample, TextLine};
use deflate::Deflate;
use zstd::Zstd;

/// Decompressed bytes by which the file inside is recognised.
const HEAD_BYTES: usize = 64 << 10;

/// Decompressed bytes that are handed on in one piece, at most.
const PIECE_BYTES: usize = 64 << 10;

/// The compressions that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zlib,
    Zstd,
}

/// Why a compressed file cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage(String);

/// Decompresses as bytes come.
trait Unpack: Send {
    /// Takes the next bytes of the file, hands the decompressed bytes on in pieces.
    fn feed(&mut self, bytes: &[u8], out: &mut dyn FnMut(&[u8])) -> Result<(), Damage>;
    /// Whether the file may end here.
    fn is_at_an_end(&self) -> bool;
}

/// Decoder of a compressed file.
pub struct Unpacker {
    name: &'static str,
    unpack: Box<dyn Unpack>,
    inside: Inside,
    n_read: u64,
    is_damaged: bool,
}

impl Unpacker {
    /// A decoder at the first byte of the compressed file at `path`.
    #[must_use]
    pub(crate) fn new(compression: Compression, path: &str, own: &OwnPatterns) -> Self {
        let (name, unpack): (_, Box<dyn Unpack>) = match compression {
            Compression::Gzip => ("gzip", Box::new(Deflate::gzip())),
            Compression::Zlib => ("zlib", Box::new(Deflate::zlib())),
            Compression::Zstd => ("zstd", Box::new(Zstd::new())),
        };
        let inside = Inside::Unknown {
            head: Vec::new(),
            path: path_inside(path).to_owned(),
            own: own.clone(),
        };
        Self {
            name,
            unpack,
            inside,
            n_read: 0,
            is_damaged: false,
        }
    }
}

/// The path without the extension that the compression added.
fn path_inside(path: &str) -> &str {
    [".gz", ".zst", ".zz", ".zlib"]
        .iter()
        .find_map(|it| path.strip_suffix(it))
        .unwrap_or(path)
}

impl Decode for Unpacker {
    fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        if !self.is_damaged {
            let inside = &mut self.inside;
            let fed = self.unpack.feed(bytes, &mut |piece| inside.feed(piece, sink));
            if let Err(Damage(what)) = fed {
                self.is_damaged = true;
                let what = format!(
                    "damaged {} data ({what}): what stands before it is read",
                    self.name
                );
                sink.problem(Problem {
                    offset: None,
                    ..Problem::lost(self.n_read, 0, what)
                });
            }
        }
        self.n_read = self.n_read.saturating_add(bytes.len() as u64);
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        self.inside.finish(self.name, sink);
        if !self.is_damaged && !self.unpack.is_at_an_end() {
            let what = format!("the {} data ends early: what is there is read", self.name);
            sink.problem(Problem::lost(self.n_read, 0, what));
        }
    }

    fn settle(&mut self, sink: &mut dyn Sink) -> Settled {
        match &mut self.inside {
            Inside::Decoder(decoder) => decoder.settle(&mut Decompressed { sink }),
            _ => Settled::Whole,
        }
    }

    fn tally(&self) -> Tally {
        match &self.inside {
            Inside::Decoder(decoder) => decoder.tally(),
            _ => Tally::default(),
        }
    }

    fn format(&self) -> &'static str {
        match &self.inside {
            Inside::Decoder(decoder) => decoder.format(),
            _ => self.name,
        }
    }
}

/// What is in the compressed file.
enum Inside {
    /// Too little is decompressed to tell.
    Unknown {
        head: Vec<u8>,
        path: String,
        own: OwnPatterns,
    },
    /// A log.
    Decoder(Box<dyn Decode>),
    /// Something else, by the reason.
    Nothing(String),
}

impl Inside {
    fn feed(&mut self, mut piece: &[u8], sink: &mut dyn Sink) {
        if let Inside::Unknown { head, .. } = self {
            let (now, later) = piece.split_at(piece.len().min(HEAD_BYTES - head.len()));
            head.extend_from_slice(now);
            if head.len() < HEAD_BYTES {
                return;
            }
            self.recognise(sink);
            piece = later;
        }
        if let Inside::Decoder(decoder) = self {
            decoder.feed(piece, &mut Decompressed { sink });
        }
    }

    fn recognise(&mut self, sink: &mut dyn Sink) {
        let Inside::Unknown { head, path, own } = self else {
            return;
        };
        *self = match open_plain(head, path, own) {
            Opened::Decoder(mut decoder) => {
                decoder.feed(head, &mut Decompressed { sink });
                Inside::Decoder(decoder)
            }
            Opened::Compressed(what) => Inside::Nothing(format!("compressed twice, with {what} inside")),
            Opened::NotALog(what) => Inside::Nothing(format!("not a log inside ({what})")),
            Opened::Empty => Inside::Nothing("nothing inside".to_owned()),
        };
    }

    fn finish(&mut self, name: &str, sink: &mut dyn Sink) {
        self.recognise(sink);
        match self {
            Inside::Decoder(decoder) => decoder.finish(&mut Decompressed { sink }),
            Inside::Nothing(what) => {
                sink.problem(Problem::note(0, format!("compressed with {name}: {what}")));
            }
            Inside::Unknown { .. } => {}
        }
    }
}

/// Tells that the offsets of problems are not those in the file on disk.
struct Decompressed<'a> {
    sink: &'a mut dyn Sink,
}

impl Sink for Decompressed<'_> {
    fn sample(&mut self, sample: &Sample<'_>) {
        self.sink.sample(sample);
    }

    fn line(&mut self, line: &TextLine<'_>) {
        self.sink.line(line);
    }

    fn mark(&mut self, mark: Mark<'_>) {
        self.sink.mark(mark);
    }

    fn problem(&mut self, problem: Problem) {
        let what = match problem.offset {
            Some(offset) => format!("{} (byte {offset} of the decompressed file)", problem.what),
            None => problem.what,
        };
        self.sink.problem(Problem {
            what,
            offset: None,
            ..problem
        });
    }
}

#[cfg(test)]
mod tests;
