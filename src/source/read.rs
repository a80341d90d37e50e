//! Files to blocks of bytes.
//!
//! In: a path and an offset. Out: [`Block`]s in file order. Invariants: one buffer, at most one descriptor, and none
//! once a file is at its end; only regular files are opened, so that a named pipe cannot hang an audit.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::walk::words_for;
use crate::model::Problem;

/// Bytes of a block. Large enough that system calls cost nothing, small enough for the second-level cache.
pub const BLOCK_BYTES: usize = 256 * 1024;

/// The next bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// Offset of the first byte in the file.
    pub offset: u64,
    /// One byte at least.
    pub bytes: &'a [u8],
}

/// Reads files one after the other into one buffer.
#[derive(Debug)]
pub struct BlockReader {
    buffer: Vec<u8>,
    open: Option<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    file: File,
    offset: u64,
}

impl Default for BlockReader {
    fn default() -> Self {
        Self::new()
    }
}

impl BlockReader {
    /// A reader with its buffer and no file.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buffer: vec![0; BLOCK_BYTES],
            open: None,
        }
    }

    /// Turns to a file at `offset`; the one before it is closed. To come back to a file, start it again where its
    /// last block ended.
    ///
    /// # Errors
    /// When the file cannot be opened or is none that can be read to an end.
    pub fn start(&mut self, path: &Path, offset: u64) -> Result<(), Problem> {
        self.open = None;
        let at = |error: io::Error| problem_at(path, offset, words_for(&error));
        refuse_endless(path, offset, &fs::metadata(path).map_err(at)?)?;
        let mut file = File::open(path).map_err(at)?;
        // The path may have changed hands between the two calls.
        refuse_endless(path, offset, &file.metadata().map_err(at)?)?;
        if offset > 0 {
            file.seek(SeekFrom::Start(offset)).map_err(at)?;
        }
        self.open = Some(OpenFile {
            path: path.to_path_buf(),
            file,
            offset,
        });
        Ok(())
    }

    /// The file that is open and the offset of its next block.
    #[must_use]
    pub fn position(&self) -> Option<(&Path, u64)> {
        self.open.as_ref().map(|it| (it.path.as_path(), it.offset))
    }

    /// The next block, or `None` at the present end of the file, which is then closed.
    ///
    /// # Errors
    /// When the bytes cannot be read; the file is closed.
    pub fn next_block(&mut self) -> Result<Option<Block<'_>>, Problem> {
        let Some(mut open) = self.open.take() else {
            return Ok(None);
        };
        let n = read_some(&mut open.file, &mut self.buffer)
            .map_err(|error| problem_at(&open.path, open.offset, words_for(&error)))?;
        if n == 0 {
            return Ok(None);
        }
        let offset = open.offset;
        open.offset = offset.saturating_add(n as u64);
        self.open = Some(open);
        Ok(Some(Block {
            offset,
            bytes: self.buffer.get(..n).unwrap_or_default(),
        }))
    }
}

fn read_some(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

pub(super) fn refuse_endless(path: &Path, offset: u64, metadata: &fs::Metadata) -> Result<(), Problem> {
    let file_type = metadata.file_type();
    let what = if file_type.is_file() {
        return Ok(());
    } else if file_type.is_dir() {
        "is a directory"
    } else if file_type.is_fifo() {
        "is a named pipe, not a file: it is not read, since it may never end"
    } else if file_type.is_socket() {
        "is a socket, not a file"
    } else {
        "is a device, not a file"
    };
    Err(problem_at(path, offset, what.to_owned()))
}

fn problem_at(path: &Path, offset: u64, what: String) -> Problem {
    let offset = (offset > 0).then_some(offset);
    Problem {
        path: path.to_string_lossy().into_owned(),
        offset,
        bytes: None,
        what,
        is_note: false,
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_BYTES, BlockReader};
    use std::path::Path;

    fn write(dir: &tempfile::TempDir, name: &str, bytes: &[u8]) -> std::path::PathBuf {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn read_all(reader: &mut BlockReader, path: &Path, from: u64) -> Vec<u8> {
        reader.start(path, from).unwrap();
        let mut all = Vec::new();
        while let Some(block) = reader.next_block().unwrap() {
            assert_eq!(block.offset, from + all.len() as u64);
            assert!(!block.bytes.is_empty() && block.bytes.len() <= BLOCK_BYTES);
            all.extend_from_slice(block.bytes);
        }
        all
    }

    #[test]
    fn a_file_comes_in_blocks_from_any_offset() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..BLOCK_BYTES * 2 + 7).map(|it| (it % 251) as u8).collect();
        let path = write(&dir, "long.log", &bytes);
        let mut reader = BlockReader::new();
        for from in [0, 1, BLOCK_BYTES, bytes.len(), bytes.len() + 5] {
            assert_eq!(
                read_all(&mut reader, &path, from as u64),
                bytes.get(from..).unwrap_or(&[])
            );
        }
    }

    #[test]
    fn no_descriptor_is_held_after_the_end_and_only_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (write(&dir, "one", b"1"), write(&dir, "two", b"2"));
        let mut reader = BlockReader::new();
        reader.start(&one, 0).unwrap();
        reader.start(&two, 0).unwrap();
        assert_eq!(reader.next_block().unwrap().unwrap().bytes, b"2");
        assert!(reader.next_block().unwrap().is_none());
        assert!(reader.open.is_none());
        assert!(reader.next_block().unwrap().is_none());
    }

    #[test]
    fn an_empty_file_has_no_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(&dir, "empty", b"");
        assert!(read_all(&mut BlockReader::new(), &path, 0).is_empty());
    }

    #[test]
    fn what_never_ends_or_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut reader = BlockReader::new();
        let refused = |reader: &mut BlockReader, path: &Path| reader.start(path, 0).unwrap_err();
        assert_eq!(refused(&mut reader, dir.path()).what, "is a directory");
        assert_eq!(
            refused(&mut reader, &dir.path().join("gone")).what,
            "no such file or directory"
        );
        assert_eq!(
            refused(&mut reader, Path::new("/dev/null")).what,
            "is a device, not a file"
        );
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        if made.is_ok_and(|it| it.success()) {
            assert!(refused(&mut reader, &pipe).what.starts_with("is a named pipe"));
        }
        let socket = dir.path().join("socket");
        let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(refused(&mut reader, &socket).what, "is a socket, not a file");
    }
}
