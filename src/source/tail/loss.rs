//! What was lost of a file while nobody followed it.
//!
//! In: how far it had been read. Out: the range that cannot be read any more, as far as that can be known. Invariant:
//! nothing is said of a file whose content goes on, and nothing of one that is not there: it may come back.

use std::fs::File;

use super::Cursor;
use super::look::find_sibling;
use crate::model::Problem;

impl Cursor {
    /// What of this file will not be read by who follows its path from now on.
    #[must_use]
    pub fn loss(&self) -> Option<Problem> {
        let read_bytes = self.fingerprint.offset;
        let file = File::open(&self.path).ok()?;
        if read_bytes == 0 || self.fingerprint.check(&file).ok()?.is_some() {
            return None;
        }
        let renamed = find_sibling(&self.path, self.id)
            .filter(|it| self.fingerprint.check(it).is_ok_and(|it| it.is_some()))
            .and_then(|it| it.metadata().ok());
        let problem = match renamed.map(|it| it.len().saturating_sub(read_bytes)) {
            Some(0) => return None,
            Some(unread_bytes) => {
                let what = format!(
                    "renamed while it was not followed: {unread_bytes} bytes behind what had been read of it stand in the \
                     renamed file alone"
                );
                Problem::lost(read_bytes, unread_bytes, what)
            }
            None => {
                let what = format!(
                    "rewritten while it was not followed: the {read_bytes} bytes that had been read of it are gone, and \
                     whatever was written behind them until then"
                );
                Problem::lost(0, read_bytes, what)
            }
        };
        Some(Problem {
            path: self.path.to_string_lossy().into_owned(),
            ..problem
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::source::{Polled, Tail, TailPool};
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::path::Path;

    fn append(path: &Path, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn only_what_cannot_be_read_any_more_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        append(&path, "one\ntwo\n");
        let mut tail = Tail::new(&path);
        while tail.poll(&mut TailPool::default(), &mut |_| ()) == Polled::More {}
        let cursor = tail.cursor_at(tail.offset()).unwrap();
        let lost = || cursor.loss().map(|it| (it.offset, it.bytes));
        append(&path, "three\n");
        assert_eq!(lost(), None, "it goes on");
        let renamed = dir.path().join("metrics.jsonl.1");
        fs::rename(&path, &renamed).unwrap();
        assert_eq!(lost(), None, "it is not there");
        append(&path, "ONE\n");
        assert_eq!(
            lost(),
            Some((Some(8), Some(6))),
            "what came behind it is elsewhere"
        );
        fs::write(&renamed, "one\ntwo\n").unwrap();
        assert_eq!(lost(), None, "all of it had been read");
        fs::remove_file(&renamed).unwrap();
        for refill in ["", "one\n", "ONE\nTWO\n", "ONE\nTWO\nTHREE\nFOUR\n"] {
            fs::write(&path, refill).unwrap();
            assert_eq!(lost(), Some((Some(0), Some(8))), "{refill:?}");
        }
        fs::write(&path, "one\ntwo\nfour\n").unwrap();
        assert_eq!(lost(), None, "the same content, whoever wrote it");
    }
}
