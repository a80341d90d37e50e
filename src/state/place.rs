//! The state directory: where it is, who has it.
//!
//! In: the path that was given, or the environment. Out: a directory that only its owner can read, and a lock. Invariants:
//! at most one daemon holds a directory; the lock goes with its process, however that ends.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::StateError;

/// The state directory when none is given: systemd's, else the user's.
#[must_use]
pub fn default_dir(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|it| !it.is_empty());
    // systemd gives a list with colons when a unit has several.
    let systemd = set("STATE_DIRECTORY").and_then(|it| Some(PathBuf::from(it.to_str()?.split(':').next()?)));
    systemd
        .or_else(|| Some(PathBuf::from(set("XDG_STATE_HOME")?).join("gradwatch")))
        .or_else(|| Some(PathBuf::from(set("HOME")?).join(".local/state/gradwatch")))
}

/// Makes the directory, for its owner only.
pub(super) fn make(dir: &Path) -> Result<(), StateError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| unavailable(dir, &error))
}

pub(super) fn unavailable(path: &Path, error: &io::Error) -> StateError {
    StateError::Unavailable(format!("{}: {error}", path.display()))
}

/// The lock on a state directory; let go when it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Takes the lock.
pub(super) fn lock(dir: &Path) -> Result<Lock, StateError> {
    let mut file = open_lock(dir)?;
    let mut taken = flock(&file, FlockOperation::NonBlockingLockExclusive);
    // Whoever asks for the state holds it for a moment, and a daemon that is being restarted may still be ending.
    for _ in 0..TRIES {
        if taken != Err(Errno::WOULDBLOCK) {
            break;
        }
        std::thread::park_timeout(BETWEEN_TRIES);
        taken = flock(&file, FlockOperation::NonBlockingLockExclusive);
    }
    match taken {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            return Err(StateError::InUse {
                path: dir.to_owned(),
                pid: holder(&mut file),
            });
        }
        Err(error) => return Err(unavailable(dir, &error.into())),
    }
    // The number is for people; a full disk does not keep anybody from watching.
    let _ = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(Lock { _file: file })
}

/// The process that has the directory, if one has.
#[must_use]
pub fn daemon_of(dir: &Path) -> Option<String> {
    let mut file = File::open(dir.join(LOCK)).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => Some(holder(&mut file)),
        _ => None,
    }
}

const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

const LOCK: &str = "gradwatch.lock";

fn open_lock(dir: &Path) -> Result<File, StateError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(dir.join(LOCK))
        .map_err(|error| unavailable(dir, &error))
}

/// What the holder of a lock wrote into it.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    // Whoever took it may not have written yet.
    let read = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.take(32).read_to_string(&mut text));
    match (read, text.trim()) {
        (Ok(_), pid) if pid.parse::<u32>().is_ok() => pid.to_owned(),
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use super::{StateError, daemon_of, default_dir, lock};

    #[test]
    fn the_directory_is_systemds_else_the_users() {
        let dir_with = |variables: &[(&str, &str)]| {
            default_dir(&|name| {
                let found = variables.iter().find(|(it, _)| *it == name);
                found.map(|(_, value)| OsString::from(value))
            })
        };
        let all = [
            ("STATE_DIRECTORY", "/a:/b"),
            ("XDG_STATE_HOME", "/x"),
            ("HOME", "/h"),
        ];
        assert_eq!(dir_with(&all), Some(PathBuf::from("/a")));
        assert_eq!(dir_with(&all[1..]), Some(PathBuf::from("/x/gradwatch")));
        assert_eq!(
            dir_with(&all[2..]),
            Some(PathBuf::from("/h/.local/state/gradwatch"))
        );
        assert_eq!(dir_with(&[]), None);
    }

    #[test]
    fn a_directory_has_one_daemon_and_says_which() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(daemon_of(dir.path()), None);
        let held = lock(dir.path()).unwrap();
        let pid = std::process::id().to_string();
        assert_eq!(daemon_of(dir.path()), Some(pid.clone()));
        let Err(StateError::InUse { pid: said, .. }) = lock(dir.path()) else {
            panic!("a second lock was given");
        };
        assert_eq!(said, pid);
        drop(held);
        assert_eq!(daemon_of(dir.path()), None);
        lock(dir.path()).unwrap();
    }
}
