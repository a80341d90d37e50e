//! Decompression of zstd as the bytes come.
//!
//! In: compressed bytes in pieces of any size. Out: decompressed pieces. Invariants: frames that follow each
//! other are one file; one block of at most 128 KiB is held, and a window of at most [`WINDOW_BYTES_MAX`].
//! Source: RFC 8878.

use std::io::Read;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{Damage, PIECE_BYTES, Unpack};

/// Largest window that is taken on; the one of `zstd -19` is 8 MiB. RFC 8878 section 3.1.1.1.2 recommends to
/// support no less.
const WINDOW_BYTES_MAX: u64 = 8 << 20;

/// Largest block, RFC 8878 section 3.1.1.2.4.
const BLOCK_BYTES_MAX: usize = 128 << 10;

const MAGIC: u32 = 0xfd2f_b528;
const CHECKSUM_BYTES: usize = 4;

/// The decompressor.
pub(super) struct Zstd {
    held: Vec<u8>,
    state: State,
    decoder: FrameDecoder,
    out: Vec<u8>,
    n_frames: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At a frame header.
    Header,
    /// At a block header.
    Block { has_checksum: bool },
    /// In a frame that is passed over, with its bytes left.
    Skippable(u64),
}

impl Zstd {
    pub(super) fn new() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW_BYTES_MAX);
        Self {
            held: Vec::new(),
            state: State::Header,
            decoder,
            out: vec![0; PIECE_BYTES],
            n_frames: 0,
        }
    }

    /// Reads one unit at the start of `held`; returns its bytes, 0 when it is not there in full.
    fn step(&mut self, held: &[u8], out: &mut dyn FnMut(&[u8])) -> Result<usize, Damage> {
        match self.state {
            State::Header => self.header(held),
            State::Block { has_checksum } => self.block(held, has_checksum, out),
            State::Skippable(left) => {
                let n = left.min(held.len() as u64);
                self.state = if left == n {
                    State::Header
                } else {
                    State::Skippable(left - n)
                };
                Ok(n as usize)
            }
        }
    }

    fn header(&mut self, held: &[u8]) -> Result<usize, Damage> {
        let Some((magic, behind)) = held.split_first_chunk::<4>() else {
            return Ok(0);
        };
        let magic = u32::from_le_bytes(*magic);
        if magic & 0xffff_fff0 == 0x184d_2a50 {
            let Some(length) = behind.first_chunk::<4>() else {
                return Ok(0);
            };
            let length = u64::from(u32::from_le_bytes(*length));
            self.state = if length == 0 {
                State::Header
            } else {
                State::Skippable(length)
            };
            return Ok(8);
        }
        if magic != MAGIC {
            return Err(Damage("no zstd frame".to_owned()));
        }
        let Some(descriptor) = behind.first() else {
            return Ok(0);
        };
        let length = header_bytes(*descriptor);
        let Some(mut header) = held.get(..length) else {
            return Ok(0);
        };
        self.decoder.reset(&mut header).map_err(damage)?;
        self.state = State::Block {
            has_checksum: descriptor & 4 != 0,
        };
        Ok(length)
    }

    fn block(
        &mut self,
        held: &[u8],
        has_checksum: bool,
        out: &mut dyn FnMut(&[u8]),
    ) -> Result<usize, Damage> {
        let [a, b, c, ..] = held else { return Ok(0) };
        let header = u32::from_le_bytes([*a, *b, *c, 0]);
        let (is_last, kind) = (header & 1 == 1, (header >> 1) & 3);
        let size = (header >> 3) as usize;
        if size > BLOCK_BYTES_MAX || kind == 3 {
            return Err(Damage("no zstd block".to_owned()));
        }
        // A run-length block holds one byte whatever its size.
        let length = 3 + if kind == 1 { 1 } else { size };
        let length = length
            + if is_last && has_checksum {
                CHECKSUM_BYTES
            } else {
                0
            };
        let Some(mut block) = held.get(..length) else {
            return Ok(0);
        };
        self.decoder
            .decode_blocks(&mut block, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(damage)?;
        self.drain(out)?;
        if is_last {
            self.state = State::Header;
            self.n_frames += 1;
            let (stored, computed) = (
                self.decoder.get_checksum_from_data(),
                self.decoder.get_calculated_checksum(),
            );
            if has_checksum && stored != computed {
                return Err(Damage("bad checksum".to_owned()));
            }
        }
        Ok(length)
    }

    fn drain(&mut self, out: &mut dyn FnMut(&[u8])) -> Result<(), Damage> {
        loop {
            let n = self.decoder.read(&mut self.out).map_err(damage)?;
            if n == 0 {
                return Ok(());
            }
            out(self.out.get(..n).unwrap_or_default());
        }
    }
}

fn damage(error: impl std::fmt::Display) -> Damage {
    Damage(error.to_string())
}

/// Bytes of a frame header, from its descriptor (RFC 8878 section 3.1.1.1).
fn header_bytes(descriptor: u8) -> usize {
    let is_single_segment = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size = match descriptor >> 6 {
        0 => usize::from(is_single_segment),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    5 + usize::from(!is_single_segment) + dictionary + content_size
}

impl Unpack for Zstd {
    fn feed(&mut self, bytes: &[u8], out: &mut dyn FnMut(&[u8])) -> Result<(), Damage> {
        for piece in bytes.chunks(BLOCK_BYTES_MAX) {
            self.held.extend_from_slice(piece);
            let held = std::mem::take(&mut self.held);
            let mut used = 0;
            while let Some(rest) = held.get(used..).filter(|rest| !rest.is_empty()) {
                let n = self.step(rest, out)?;
                if n == 0 {
                    break;
                }
                used += n;
            }
            self.held = held;
            self.held.drain(..used);
        }
        Ok(())
    }

    fn is_at_an_end(&self) -> bool {
        self.n_frames > 0 && self.state == State::Header && self.held.is_empty()
    }
}
