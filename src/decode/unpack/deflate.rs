//! Decompression of gzip and zlib as the bytes come.
//!
//! In: compressed bytes in pieces of any size. Out: decompressed pieces. Invariants: members of a gzip file that
//! follow each other are one file; every byte before damage is handed on; header fields are passed over, not held.
//! Sources: RFC 1950, RFC 1952.

use flate2::{Decompress, FlushDecompress, Status};

use super::{Damage, PIECE_BYTES, Unpack};

/// Where a gzip or zlib file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the ten fixed bytes of a gzip header, by their number.
    Fixed(u8),
    /// In the length of the extra field.
    ExtraLength {
        low: Option<u8>,
    },
    /// In the extra field.
    Extra(u16),
    /// In the file name, then in the comment.
    Name,
    Comment,
    /// In the checksum of the header.
    HeaderChecksum(u8),
    Data,
    /// In the checksum and length behind the data.
    Trailer(u8),
    /// Behind a zlib stream; behind a gzip member the state is `Fixed(0)`.
    End,
}

/// Flags of a gzip header.
const HEADER_CHECKSUM: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;

/// The decompressor of both.
pub(super) struct Deflate {
    state: State,
    is_gzip: bool,
    flags: u8,
    inflate: Decompress,
    checksum: crc32fast::Hasher,
    trailer: [u8; 8],
    out: Vec<u8>,
}

impl Deflate {
    pub(super) fn gzip() -> Self {
        Self::new(true)
    }

    pub(super) fn zlib() -> Self {
        Self::new(false)
    }

    fn new(is_gzip: bool) -> Self {
        Self {
            state: if is_gzip { State::Fixed(0) } else { State::Data },
            is_gzip,
            flags: 0,
            inflate: Decompress::new(!is_gzip),
            checksum: crc32fast::Hasher::new(),
            trailer: [0; 8],
            out: vec![0; PIECE_BYTES],
        }
    }

    /// The part of the header behind `done`, or the data.
    fn after(&self, done: u8) -> State {
        let has = |flag: u8| done < flag && self.flags & flag != 0;
        // The fields stand in this order, which is not that of their flags.
        if has(EXTRA) {
            State::ExtraLength { low: None }
        } else if has(NAME) {
            State::Name
        } else if has(COMMENT) {
            State::Comment
        } else if self.flags & HEADER_CHECKSUM != 0 {
            State::HeaderChecksum(0)
        } else {
            State::Data
        }
    }

    /// Takes one byte outside the data.
    fn step(&mut self, byte: u8) -> Result<State, Damage> {
        Ok(match self.state {
            State::Fixed(at) => self.fixed(at, byte)?,
            State::ExtraLength { low: None } => State::ExtraLength { low: Some(byte) },
            State::ExtraLength { low: Some(low) } => match u16::from_le_bytes([low, byte]) {
                0 => self.after(EXTRA),
                length => State::Extra(length),
            },
            State::Extra(1) => self.after(EXTRA),
            State::Extra(left) => State::Extra(left.saturating_sub(1)),
            State::Name if byte == 0 => self.after(NAME),
            State::Comment if byte == 0 => self.after(COMMENT),
            State::HeaderChecksum(0) => State::HeaderChecksum(1),
            State::HeaderChecksum(_) => State::Data,
            State::Trailer(at) => self.trailer(at, byte)?,
            State::Name | State::Comment | State::Data | State::End => self.state,
        })
    }

    fn fixed(&mut self, at: u8, byte: u8) -> Result<State, Damage> {
        // Behind the last member zeros are padding (tape blocks).
        if at == 0 && byte == 0 && self.inflate.total_in() == 0 && self.flags == u8::MAX {
            return Ok(State::Fixed(0));
        }
        let is_right = match at {
            0 => byte == 0x1f,
            1 => byte == 0x8b,
            2 => byte == 8,
            _ => true,
        };
        if !is_right {
            return Err(Damage("no gzip header".to_owned()));
        }
        if at == 3 {
            self.flags = byte;
        }
        Ok(if at < 9 {
            State::Fixed(at + 1)
        } else {
            self.after(0)
        })
    }

    fn trailer(&mut self, at: u8, byte: u8) -> Result<State, Damage> {
        if let Some(place) = self.trailer.get_mut(usize::from(at)) {
            *place = byte;
        }
        if at < 7 {
            return Ok(State::Trailer(at + 1));
        }
        let [a, b, c, d, ..] = self.trailer;
        let computed = std::mem::take(&mut self.checksum).finalize();
        let is_right = u32::from_le_bytes([a, b, c, d]) == computed;
        self.inflate.reset(false);
        self.flags = u8::MAX;
        is_right
            .then_some(State::Fixed(0))
            .ok_or_else(|| Damage("bad checksum".to_owned()))
    }

    /// Inflates some bytes; returns those that are left.
    fn inflate<'b>(&mut self, bytes: &'b [u8], out: &mut dyn FnMut(&[u8])) -> Result<&'b [u8], Damage> {
        let (n_in, n_out) = (self.inflate.total_in(), self.inflate.total_out());
        let result = self
            .inflate
            .decompress(bytes, &mut self.out, FlushDecompress::None);
        let used = (self.inflate.total_in() - n_in) as usize;
        let written = (self.inflate.total_out() - n_out) as usize;
        let piece = self.out.get(..written).unwrap_or_default();
        self.checksum.update(piece);
        if !piece.is_empty() {
            out(piece);
        }
        match result {
            Ok(Status::StreamEnd) => {
                self.state = if self.is_gzip {
                    State::Trailer(0)
                } else {
                    State::End
                };
            }
            Ok(_) if used == 0 && written == 0 && !bytes.is_empty() => {
                return Err(Damage("no progress".to_owned()));
            }
            Ok(_) => {}
            Err(error) => return Err(Damage(error.to_string())),
        }
        Ok(bytes.get(used..).unwrap_or_default())
    }

    /// Decompressed bytes that did not fit the last piece.
    fn drain(&mut self, out: &mut dyn FnMut(&[u8])) -> Result<(), Damage> {
        while self.state == State::Data {
            let before = self.inflate.total_out();
            self.inflate(&[], out)?;
            if self.inflate.total_out() == before {
                break;
            }
        }
        Ok(())
    }
}

impl Unpack for Deflate {
    fn feed(&mut self, mut bytes: &[u8], out: &mut dyn FnMut(&[u8])) -> Result<(), Damage> {
        while let [byte, rest @ ..] = bytes {
            bytes = match self.state {
                State::Data => self.inflate(bytes, out)?,
                // Bytes behind a zlib stream belong to nobody.
                State::End => &[],
                _ => {
                    self.state = self.step(*byte)?;
                    rest
                }
            };
        }
        self.drain(out)
    }

    fn is_at_an_end(&self) -> bool {
        self.state == State::End || self.state == State::Fixed(0) && self.flags == u8::MAX
    }
}
