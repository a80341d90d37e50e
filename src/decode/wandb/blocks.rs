//! The blocks of a `.wandb` file to records.
//!
//! In: bytes in pieces of any size. Out: whole records with their offset, and what was lost between them.
//! Invariants: only a record whose every fragment has its checksum is handed out; a declared length never leads
//! out of its block; at most one block and one record of [`RECORD_BYTES_MAX`] are held.
//!
//! Layout (`LevelDB`'s log format, <https://github.com/google/leveldb/blob/main/doc/log_format.md>, with a header
//! of seven bytes and a plain zlib CRC-32 over type and data, as wandb 0.16 to 0.31 write it): blocks of 32 KiB
//! counted from the first byte of the file; in them fragments of checksum (4), length (2), type (1: whole, 2:
//! first, 3: middle, 4: last) and data; fewer than seven bytes at the end of a block are padding.

/// Bytes of a block.
pub(super) const BLOCK_BYTES: usize = 32 << 10;

/// Bytes before the data of a fragment, and of the header of the file.
pub(super) const HEADER_BYTES: usize = 7;

/// `:W&B`, the magic number 0xBEE1 and version 0.
pub(super) const FILE_HEADER: [u8; HEADER_BYTES] = *b":W&B\xe1\xbe\0";

/// Longest record that is read: a history row of 65,536 names, or the histograms of 2,000 tensors.
pub(super) const RECORD_BYTES_MAX: usize = 16 << 20;

/// Damage at the end up to this size is read again when the file has changed: some of its pages may not have been written
/// yet. Zeros are read again whatever their size.
const REREAD_BYTES_MAX: u64 = 1 << 20;

/// Hears what is in the blocks.
pub(super) trait Visit {
    /// A whole record that starts at `offset`.
    fn record(&mut self, offset: u64, payload: &[u8]);
    /// `bytes` bytes from `offset` on that gave no record.
    fn lost(&mut self, offset: u64, bytes: u64, what: &'static str);
}

/// Cuts blocks into records.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Offset of the first held byte.
    position: u64,
    /// Bytes of the present block that are not done with.
    held: Vec<u8>,
    /// Data of the fragments of the record that is not yet whole.
    record: Vec<u8>,
    record_start: Option<u64>,
    gap: Option<Gap>,
    /// The framing of the rest of the block is not to be trusted.
    skips_block: bool,
    /// The last fragment was damaged, its length perhaps too.
    is_doubtful: bool,
}

/// Bytes that gave no record.
#[derive(Debug, Clone, Copy)]
struct Gap {
    start: u64,
    what: &'static str,
    is_blank: bool,
}

/// The fields before the data of a fragment.
#[derive(Debug, Clone, Copy)]
struct Header {
    checksum: u32,
    length: usize,
    kind: u8,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (checksum, rest) = bytes.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        Some(Self {
            checksum: u32::from_le_bytes(*checksum),
            length: usize::from(u16::from_le_bytes(*length)),
            kind: *rest.first()?,
        })
    }

    fn is_blank(self) -> bool {
        self.checksum == 0 && self.length == 0 && self.kind == 0
    }

    fn fits(self, bytes: &[u8]) -> bool {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&[self.kind]);
        hasher.update(bytes);
        hasher.finalize() == self.checksum
    }
}

impl Blocks {
    /// Takes the next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8], visit: &mut dyn Visit) {
        while !bytes.is_empty() {
            let end = self.position + self.held.len() as u64;
            let room = BLOCK_BYTES - (end % BLOCK_BYTES as u64) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.held.extend_from_slice(now);
            let held = std::mem::take(&mut self.held);
            let used = self.take(&held, visit);
            self.held = held;
            self.held.drain(..used);
            self.position += used as u64;
            bytes = later;
        }
    }

    /// All that is there, `fed` bytes, was fed, but the file is live. Forgets what may still be overwritten (a fragment
    /// that is not whole, zeros, damage behind which nothing valid has come) and gives the offset from which to feed
    /// again.
    pub(super) fn give_back(&mut self, fed: u64) -> Option<u64> {
        if let Some(gap) = self.gap {
            if !gap.is_blank && fed.saturating_sub(gap.start) > REREAD_BYTES_MAX {
                return None;
            }
            *self = Self {
                position: gap.start,
                ..Self::default()
            };
            return Some(gap.start);
        }
        if self.held.is_empty() {
            return None;
        }
        // The fragments before it are whole and stay.
        self.held.clear();
        Some(self.position)
    }

    /// The file is at its end. A record that is not whole is the normal state of a file whose writer was killed.
    pub(super) fn finish(&mut self, visit: &mut dyn Visit) {
        let end = self.position + self.held.len() as u64;
        self.close_gap(end, visit);
    }

    /// Reads what can be read of the held part of one block; returns the bytes that are done with.
    fn take(&mut self, held: &[u8], visit: &mut dyn Visit) -> usize {
        let mut used = 0;
        while let Some(rest) = held.get(used..).filter(|rest| !rest.is_empty()) {
            let offset = self.position + used as u64;
            let left = BLOCK_BYTES - (offset % BLOCK_BYTES as u64) as usize;
            let Some(n) = self.step(rest, offset, left, visit) else {
                break;
            };
            used += n;
        }
        used
    }

    /// Reads one fragment; returns its bytes, or `None` when it is not there in full.
    fn step(&mut self, rest: &[u8], offset: u64, left: usize, visit: &mut dyn Visit) -> Option<usize> {
        if self.skips_block || left < HEADER_BYTES {
            self.pass(rest, left);
            return Some(rest.len());
        }
        let (head, behind) = rest.split_at_checked(HEADER_BYTES)?;
        if offset == 0 {
            if head != FILE_HEADER {
                self.open_gap(0, "not the header of a .wandb file");
                self.note_nonzero(head);
            }
            return Some(HEADER_BYTES);
        }
        let header = Header::read(head)?;
        if header.is_blank() {
            self.open_gap(offset, "zero bytes");
            self.skips_block = true;
            return Some(0);
        }
        if header.length > left - HEADER_BYTES || !(1..=4).contains(&header.kind) {
            self.damage(offset, "damaged header of a record");
            self.skips_block = true;
            return Some(0);
        }
        let data = behind.get(..header.length)?;
        if header.fits(data) {
            self.is_doubtful = false;
            self.fragment(header.kind, data, offset, visit);
        } else {
            // The length may be right: when the fragment behind it is not, the block is given up.
            self.damage(offset, "record with a bad checksum");
            self.skips_block = self.is_doubtful;
            self.is_doubtful = true;
        }
        Some(HEADER_BYTES + header.length)
    }

    /// Passes over bytes of which nothing is expected.
    fn pass(&mut self, rest: &[u8], left: usize) {
        if self.skips_block {
            self.note_nonzero(rest);
        }
        if rest.len() == left {
            self.skips_block = false;
            self.is_doubtful = false;
        }
    }

    fn note_nonzero(&mut self, bytes: &[u8]) {
        if let Some(gap) = &mut self.gap
            && bytes.iter().any(|byte| *byte != 0)
        {
            gap.is_blank = false;
        }
    }

    fn damage(&mut self, offset: u64, what: &'static str) {
        self.open_gap(offset, what);
        if let Some(gap) = &mut self.gap {
            gap.is_blank = false;
        }
    }

    /// A record that is not yet whole is lost with what follows it.
    fn open_gap(&mut self, offset: u64, what: &'static str) {
        let start = self.record_start.take().unwrap_or(offset);
        let is_blank = start == offset;
        self.gap.get_or_insert(Gap {
            start,
            what,
            is_blank,
        });
    }

    fn close_gap(&mut self, end: u64, visit: &mut dyn Visit) {
        if let Some(gap) = self.gap.take() {
            let what = if gap.is_blank {
                "zero bytes, not yet written"
            } else {
                gap.what
            };
            visit.lost(gap.start, end.saturating_sub(gap.start), what);
        }
    }

    fn fragment(&mut self, kind: u8, data: &[u8], offset: u64, visit: &mut dyn Visit) {
        if kind <= 2 {
            if self.record_start.is_some() {
                self.damage(offset, "unfinished record");
            }
            self.close_gap(offset, visit);
        } else if self.record_start.is_none() {
            return self.damage(offset, "record without its start");
        }
        match kind {
            1 => visit.record(offset, data),
            2 => {
                self.record.clear();
                self.record.extend_from_slice(data);
                self.record_start = Some(offset);
            }
            _ if self.record.len() + data.len() > RECORD_BYTES_MAX => {
                self.damage(offset, "record too large to be read");
            }
            _ => {
                self.record.extend_from_slice(data);
                if kind == 4
                    && let Some(start) = self.record_start.take()
                {
                    visit.record(start, &self.record);
                }
            }
        }
    }
}
