//! Hints from real directories, and what becomes of them when directories move.
//!
//! Invariant: every wait is for a hint, with a deadline far beyond what a busy machine needs.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, DataChange, Flag, ModifyKind};
use notify::{Event, EventKind};

use super::ChangeHints;
use super::board::{self, Board, HINTED_FILES_MAX, Hints, Shared};
use crate::source::discover;

const DEADLINE: Duration = Duration::from_secs(30);

struct Bench {
    dir: tempfile::TempDir,
    hints: ChangeHints,
    wakes: Receiver<()>,
}

impl Bench {
    fn new() -> Self {
        let (sender, wakes) = channel();
        let hints = ChangeHints::new(move || {
            let _ = sender.send(());
        });
        Self {
            dir: tempfile::tempdir().unwrap(),
            hints,
            wakes,
        }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("runs")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Walks until nothing is newly watched, and drops what was hinted until then.
    fn settle(&mut self) {
        let roots = [self.root()];
        loop {
            let found = discover(&roots);
            if !self.hints.cover(&roots, &found.directories) {
                break;
            }
        }
        self.hints.take();
        while self.wakes.try_recv().is_ok() {}
    }

    /// Waits for hints until they satisfy.
    fn wait(&mut self, is_enough: impl Fn(&Hints) -> bool) -> Hints {
        let mut all = Hints::default();
        loop {
            let Hints {
                files,
                wants_walk,
                wants_all,
            } = self.hints.take();
            all.files.extend(files);
            all.wants_walk |= wants_walk;
            all.wants_all |= wants_all;
            if is_enough(&all) {
                return all;
            }
            self.wakes.recv_timeout(DEADLINE).expect("a hint comes in time");
        }
    }

    fn wait_for(&mut self, file: &Path) -> Hints {
        self.wait(|it| it.files.contains(file))
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn an_append_names_its_file_and_wants_no_walk() {
    let mut bench = Bench::new();
    fs::create_dir_all(bench.file("a")).unwrap();
    let path = bench.file("a/train.log");
    append(&path, "1\n");
    bench.settle();
    append(&path, "2\n");
    let hints = bench.wait_for(&path);
    assert_eq!(hints.files, BTreeSet::from([path]));
    assert!(!hints.wants_walk && !hints.wants_all);
}

#[test]
fn what_comes_or_is_renamed_wants_a_walk_and_checkpoints_want_nothing() {
    let mut bench = Bench::new();
    fs::create_dir_all(bench.root()).unwrap();
    bench.settle();
    // Neither wakes anyone; the log that follows in the same queue does.
    append(&bench.file("model.pt"), "weights");
    append(&bench.file("model.safetensors"), "weights");
    let path = bench.file("train.log");
    append(&path, "1\n");
    let hints = bench.wait_for(&path);
    assert!(hints.wants_walk);
    assert_eq!(hints.files.len(), 1, "{hints:?}");
    bench.settle();
    fs::rename(&path, bench.file("train.log.1")).unwrap();
    assert!(bench.wait(|it| it.wants_walk).files.contains(&path));
}

#[test]
fn a_new_nested_directory_is_covered_by_the_walk_that_its_coming_wants() {
    let mut bench = Bench::new();
    fs::create_dir_all(bench.root()).unwrap();
    bench.settle();
    let path = bench.file("sweep/a/b/metrics.jsonl");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    append(&path, "{}\n");
    bench.wait(|it| it.wants_walk);
    bench.settle();
    append(&path, "{}\n");
    bench.wait_for(&path);
}

#[test]
fn a_directory_that_is_renamed_or_made_anew_is_watched_under_its_name() {
    let mut bench = Bench::new();
    for name in ["a/x", "b"] {
        fs::create_dir_all(bench.file(name)).unwrap();
    }
    append(&bench.file("a/x/train.log"), "1\n");
    bench.settle();
    fs::rename(bench.file("a"), bench.file("c")).unwrap();
    bench.wait(|it| it.wants_walk);
    bench.settle();
    append(&bench.file("c/x/train.log"), "2\n");
    let hints = bench.wait_for(&bench.file("c/x/train.log"));
    assert!(!hints.files.contains(&bench.file("a/x/train.log")), "{hints:?}");
    for _ in 0..3 {
        fs::remove_dir_all(bench.file("c")).unwrap();
        fs::create_dir_all(bench.file("c/x")).unwrap();
        bench.wait(|it| it.wants_walk);
        bench.settle();
        append(&bench.file("c/x/train.log"), "3\n");
        bench.wait_for(&bench.file("c/x/train.log"));
    }
}

#[test]
fn a_root_that_goes_and_comes_back_is_hinted() {
    let mut bench = Bench::new();
    bench.settle();
    for _ in 0..2 {
        fs::create_dir_all(bench.root()).unwrap();
        bench.wait(|it| it.wants_walk);
        bench.settle();
        let path = bench.file("train.log");
        append(&path, "1\n");
        bench.wait_for(&path);
        fs::remove_dir_all(bench.root()).unwrap();
        bench.wait(|it| it.wants_walk);
        bench.settle();
    }
}

#[test]
fn one_directory_under_two_paths_hints_at_both_files() {
    let mut bench = Bench::new();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::create_dir_all(bench.root()).unwrap();
    append(&elsewhere.path().join("train.log"), "1\n");
    for name in ["one", "two"] {
        std::os::unix::fs::symlink(elsewhere.path(), bench.file(name)).unwrap();
    }
    bench.settle();
    append(&elsewhere.path().join("train.log"), "2\n");
    let hints = bench.wait_for(&bench.file("one/train.log"));
    assert!(hints.files.contains(&bench.file("two/train.log")), "{hints:?}");
}

fn board_of(directory: &str) -> Shared {
    let mut board = Board::default();
    let path = PathBuf::from(directory);
    board.expect([(path.clone(), vec![path])].into(), [].into());
    Shared::new(board)
}

fn event(kind: EventKind, path: &str) -> Event {
    Event::new(kind).add_path(path.into())
}

#[test]
fn reading_is_no_change_and_closing_after_writing_is_one() {
    let board = board_of("/runs");
    for kind in [
        EventKind::Access(AccessKind::Open(AccessMode::Any)),
        EventKind::Access(AccessKind::Close(AccessMode::Read)),
        EventKind::Access(AccessKind::Any),
    ] {
        assert!(!board::note(&board, Ok(event(kind, "/runs/train.log"))));
    }
    let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
    assert!(board::note(&board, Ok(event(closed, "/runs/train.log"))));
    assert!(
        !board::note(&board, Ok(event(closed, "/runs/train.log"))),
        "it was woken"
    );
}

#[test]
fn lost_events_and_errors_want_everything_looked_at() {
    let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
    for event in [Ok(lost), Err(notify::Error::generic("broken"))] {
        let board = board_of("/runs");
        assert!(board::note(&board, event));
        let hints = board::locked(&board).take();
        assert!(hints.wants_all && hints.wants_walk);
        assert!(board::locked(&board).take_dead().1);
    }
}

#[test]
fn the_number_of_noted_files_is_bounded() {
    let board = board_of("/runs");
    let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    for n in 0..=HINTED_FILES_MAX {
        board::note(&board, Ok(event(written, &format!("/runs/{n}.log"))));
        let locked = board::locked(&board);
        drop(locked);
    }
    let hints = board::locked(&board).take();
    assert!(hints.wants_all && hints.files.is_empty());
}
