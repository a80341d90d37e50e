//! Is the file at a path still the one that was read up to an offset?
//!
//! In: an open file. Out: [`FileId`] (device and inode) and [`Fingerprint`] (hashes of its first bytes and of the
//! bytes before the offset). Invariant: content decides; device and inode only say where to look. An inode number
//! is handed to the next file at once (measured on ext4), and a file that is truncated and refilled keeps it.
//!
//! Not seen: a change that leaves both the first 4096 bytes and the last 64 bytes before the offset as they were.
//! A job that writes from byte 0 over an old log whose first 4096 bytes it repeats is found when its bytes differ
//! just before the old offset, at the latest when it passes it.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use serde::{Deserialize, Serialize};

/// Bytes at the start of a file that are hashed; of a shorter file, all that were read.
pub const HEAD_BYTES_MAX: usize = 4096;

/// Bytes before the offset that are hashed.
pub const MARKER_BYTES: usize = 64;

/// Where a file lies, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileId {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
}

impl FileId {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
        }
    }
}

/// What a file looked like up to an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Bytes of the file that the fingerprint stands for.
    pub offset: u64,
    /// Hash of the first bytes: as many as were read, [`HEAD_BYTES_MAX`] at most.
    pub head: u64,
    /// Hash of the last bytes before `offset`: [`MARKER_BYTES`], or all when there are fewer.
    pub marker: u64,
}

/// The bytes before an offset, from [`Fingerprint::check`] to [`Fingerprint::extend`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    bytes: [u8; MARKER_BYTES],
    len: usize,
}

impl Before {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Fingerprint {
    /// Of a file of which nothing was read: any file matches.
    pub const START: Self = Self {
        offset: 0,
        head: FNV_BASIS,
        marker: FNV_BASIS,
    };

    /// The bytes before the offset when the file still has the content it had, `None` when it has not.
    pub(super) fn check(&self, file: &File) -> io::Result<Option<Before>> {
        let mut head = [0; HEAD_BYTES_MAX];
        let head = head.get_mut(..self.head_len()).unwrap_or_default();
        if !read_whole(file, head, 0)? || fnv(FNV_BASIS, head) != self.head {
            return Ok(None);
        }
        let before = read_before(file, self.offset)?;
        Ok(before.filter(|it| fnv(FNV_BASIS, it.bytes()) == self.marker))
    }

    /// Takes note of `block`, which stands at the offset, behind the bytes that were checked.
    pub(super) fn extend(&mut self, before: &Before, block: &[u8]) {
        let for_head = block.len().min(HEAD_BYTES_MAX - self.head_len());
        self.head = fnv(self.head, block.get(..for_head).unwrap_or_default());
        self.offset = self.offset.saturating_add(block.len() as u64);
        let from_block = block.len().min(MARKER_BYTES);
        let from_before = before.len.min(MARKER_BYTES - from_block);
        let old = before.bytes().get(before.len - from_before..).unwrap_or_default();
        let new = block.get(block.len() - from_block..).unwrap_or_default();
        self.marker = fnv(fnv(FNV_BASIS, old), new);
    }

    /// The fingerprint at an offset that was passed; `None` when the file has not the content it had.
    pub(super) fn earlier(&self, file: &File, offset: u64) -> io::Result<Option<Self>> {
        let mut head = [0; HEAD_BYTES_MAX];
        let head = head.get_mut(..self.head_len()).unwrap_or_default();
        let read = read_whole(file, head, 0)?;
        let Some(before) = read_before(file, offset)?.filter(|_| read && offset <= self.offset) else {
            return Ok(None);
        };
        // Checked after reading, so that what was read belongs to the content that is checked.
        if fnv(FNV_BASIS, head) != self.head || self.check(file)?.is_none() {
            return Ok(None);
        }
        let mut earlier = Self {
            offset,
            ..Self::START
        };
        let kept = head.get(..earlier.head_len()).unwrap_or_default();
        earlier.head = fnv(FNV_BASIS, kept);
        earlier.marker = fnv(FNV_BASIS, before.bytes());
        Ok(Some(earlier))
    }

    /// Of a file as it is now; `None` when it ends before the offset.
    pub(super) fn at(file: &File, offset: u64) -> io::Result<Option<Self>> {
        let mut print = Self {
            offset,
            ..Self::START
        };
        let mut head = [0; HEAD_BYTES_MAX];
        let head = head.get_mut(..print.head_len()).unwrap_or_default();
        if !read_whole(file, head, 0)? {
            return Ok(None);
        }
        print.head = fnv(FNV_BASIS, head);
        let before = read_before(file, offset)?;
        Ok(before.map(|it| Self {
            marker: fnv(FNV_BASIS, it.bytes()),
            ..print
        }))
    }

    fn head_len(&self) -> usize {
        usize::try_from(self.offset).map_or(HEAD_BYTES_MAX, |it| it.min(HEAD_BYTES_MAX))
    }
}

fn read_before(file: &File, offset: u64) -> io::Result<Option<Before>> {
    let len = usize::try_from(offset).map_or(MARKER_BYTES, |it| it.min(MARKER_BYTES));
    let mut before = Before {
        bytes: [0; MARKER_BYTES],
        len,
    };
    let wanted = before.bytes.get_mut(..len).unwrap_or_default();
    let read = read_whole(file, wanted, offset - len as u64)?;
    Ok(read.then_some(before))
}

/// Fills the buffer; false when the file ends before.
fn read_whole(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
    match file.read_exact_at(buffer, offset) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// FNV-1a of 64 bits (Fowler, Noll, Vo; IETF draft-eastlake-fnv): can be continued byte by byte, and stays the same
/// between versions of this program, as a saved cursor needs it.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

fn fnv(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::{FNV_BASIS, Fingerprint, HEAD_BYTES_MAX, MARKER_BYTES, fnv};
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    fn file_of(bytes: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file
    }

    fn content(n: usize) -> Vec<u8> {
        (0..n).map(|it| (it * it % 251) as u8).collect()
    }

    fn read_in_blocks(file: &File, bytes: &[u8], block: usize) -> Fingerprint {
        let mut print = Fingerprint::START;
        for block in bytes.chunks(block) {
            let before = print.check(file).unwrap().unwrap();
            print.extend(&before, block);
        }
        print
    }

    #[test]
    fn the_hash_has_its_published_values() {
        assert_eq!(fnv(FNV_BASIS, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv(FNV_BASIS, b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_fingerprint_does_not_depend_on_the_blocks() {
        let bytes = content(10_000);
        let file = file_of(&bytes);
        let whole = read_in_blocks(&file, &bytes, bytes.len());
        for block in [7, 63, 64, 65, 1000, 4096, 4097] {
            assert_eq!(read_in_blocks(&file, &bytes, block), whole, "{block}");
        }
    }

    #[test]
    fn every_byte_of_head_and_marker_counts() {
        for n in [1, 63, 64, 65, 500, HEAD_BYTES_MAX, HEAD_BYTES_MAX + 500] {
            let bytes = content(n);
            let file = file_of(&bytes);
            let print = read_in_blocks(&file, &bytes, 300);
            for at in (0..n).filter(|at| *at < HEAD_BYTES_MAX || at + MARKER_BYTES >= n) {
                file.write_all_at(&[!bytes[at]], at as u64).unwrap();
                assert!(print.check(&file).unwrap().is_none(), "byte {at} of {n}");
                file.write_all_at(&[bytes[at]], at as u64).unwrap();
            }
            assert!(print.check(&file).unwrap().is_some());
            file.set_len(n as u64 - 1).unwrap();
            assert!(print.check(&file).unwrap().is_none(), "{n} cut");
        }
    }

    #[test]
    fn an_earlier_fingerprint_is_the_one_that_reading_less_gives() {
        let bytes = content(9_000);
        let file = file_of(&bytes);
        let print = read_in_blocks(&file, &bytes, 1000);
        for offset in [0, 1, 63, 64, 700, 4095, 4096, 5000, 9000] {
            let earlier = print.earlier(&file, offset as u64).unwrap().unwrap();
            assert_eq!(earlier, read_in_blocks(&file, &bytes[..offset], 100), "{offset}");
            assert_eq!(Fingerprint::at(&file, offset as u64).unwrap(), Some(earlier));
        }
        assert_eq!(print.earlier(&file, 9001).unwrap(), None);
        file.write_all_at(&[1], 8999).unwrap();
        assert_eq!(print.earlier(&file, 5000).unwrap(), None);
    }
}
