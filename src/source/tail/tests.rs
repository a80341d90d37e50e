//! The cases of the fault table, one by one; [`model`] mixes them at random.

mod model;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use super::{Change, Cursor, IDLE_POLLS_HELD, POLL_BYTES_MAX, Polled, Stamp, Tail, TailPool};

/// What a tail told, bytes joined, and `|` before each new generation.
#[derive(Default)]
struct Told {
    text: String,
    events: Vec<String>,
}

struct Bench {
    dir: tempfile::TempDir,
    path: PathBuf,
    tail: Tail,
    pool: TailPool,
}

impl Bench {
    fn new(held_max: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("train.log");
        let tail = Tail::new(&path);
        let pool = TailPool::new(held_max);
        Self {
            dir,
            path,
            tail,
            pool,
        }
    }

    fn poll(&mut self) -> Told {
        let mut told = Told::default();
        while self.tail.poll(&mut self.pool, &mut |change| told.take(change)) == Polled::More {}
        told
    }

    fn write(&self, text: &str) {
        fs::write(&self.path, text).unwrap();
    }

    fn append(&self, text: &str) {
        append(&self.path, text);
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Told {
    fn take(&mut self, change: Change<'_>) {
        match change {
            Change::Bytes { bytes, .. } => self.text += std::str::from_utf8(bytes).unwrap(),
            Change::Rewritten {
                read_bytes,
                unread_bytes,
            } => {
                self.text += "|";
                self.events.push(format!("rewritten {read_bytes} {unread_bytes}"));
            }
            Change::Continued => self.events.push("continued".to_owned()),
            Change::Gone => self.events.push("gone".to_owned()),
            Change::Back => self.events.push("back".to_owned()),
            Change::Failed(problem) => self.events.push(problem.what),
        }
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_thousand_quick_rotations_lose_and_repeat_no_line() {
    for held_max in [0, 8] {
        let mut bench = Bench::new(held_max);
        bench.write("");
        let (mut wanted, mut got) = (String::new(), String::new());
        for n in 0..1000 {
            let (seen, unseen, late) = (
                format!("{n} seen\n"),
                format!("{n} unseen\n"),
                format!("{n} late\n"),
            );
            bench.append(&seen);
            got += &bench.poll().text;
            bench.append(&unseen);
            let old = bench.beside(&format!("train.log.{n}"));
            fs::rename(&bench.path, &old).unwrap();
            bench.write("");
            // The writer has not opened the new file yet.
            append(&old, &late);
            if n % 2 == 0 {
                got += &bench.poll().text;
            }
            wanted = wanted + &seen + &unseen + &late + "|";
        }
        bench.append("end\n");
        got += &bench.poll().text;
        assert_eq!(got, wanted + "end\n", "{held_max} held");
    }
}

#[test]
fn a_copy_and_truncate_with_any_refill_is_a_new_generation() {
    let old = "header\n1\n2\n3\n";
    for refill in ["header\n9\n", "header\n9\n8\n7\n", "header\n9\n8\n7\n6\n5\n"] {
        for is_seen_empty in [false, true] {
            let mut bench = Bench::new(8);
            bench.write(old);
            assert_eq!(bench.poll().text, old);
            fs::copy(&bench.path, bench.beside("train.log.1")).unwrap();
            let file = OpenOptions::new().write(true).open(&bench.path).unwrap();
            file.set_len(0).unwrap();
            if is_seen_empty {
                assert_eq!(bench.poll().events, [""; 0]);
            }
            bench.append(refill);
            let told = bench.poll();
            assert_eq!(told.text, format!("|{refill}"));
            assert_eq!(told.events, [format!("rewritten {} 0", old.len())]);
            assert_eq!(bench.tail.generation(), 1);
        }
    }
}

#[test]
fn a_truncation_while_the_reader_was_down_is_seen() {
    for refill in ["header\n9\n", "header\n9\n8\n7\n", "header\n9\n8\n7\n6\n5\n"] {
        let mut bench = Bench::new(8);
        bench.write("header\n1\n2\n3\n");
        bench.poll();
        let saved = serde_json::to_string(&bench.tail.cursor_at(bench.tail.offset())).unwrap();
        File::create(&bench.path)
            .unwrap()
            .write_all(refill.as_bytes())
            .unwrap();
        bench.tail = Tail::resume(serde_json::from_str::<Cursor>(&saved).unwrap());
        assert_eq!(bench.poll().text, format!("|{refill}"));
    }
}

#[test]
fn a_restarted_reader_goes_on_at_the_start_of_an_unfinished_line() {
    let mut bench = Bench::new(0);
    bench.write("one\ntwo\nthr");
    bench.poll();
    let cursor = bench.tail.cursor_at(8).unwrap();
    bench.tail = Tail::resume(cursor);
    bench.append("ee\n");
    let told = bench.poll();
    assert_eq!((told.text.as_str(), told.events.len()), ("three\n", 0));
}

#[test]
fn an_overwrite_in_place_behind_the_same_header_is_a_new_generation() {
    let mut bench = Bench::new(8);
    bench.write("header\n1.0\n2.0\n3.0\n");
    bench.poll();
    let mut file = OpenOptions::new().write(true).open(&bench.path).unwrap();
    file.write_all(b"header\n1.1\n").unwrap();
    assert_eq!(bench.poll().text, "|header\n1.1\n2.0\n3.0\n");
}

#[test]
fn a_new_file_with_the_inode_of_the_old_one_is_not_resumed() {
    let mut bench = Bench::new(0);
    let mut n_reused = 0;
    for n in 0..50 {
        bench.write(&format!("header\nrun {n}\nlast line\n"));
        let text = bench.poll().text;
        assert_eq!(
            text.trim_start_matches('|'),
            format!("header\nrun {n}\nlast line\n")
        );
        let ino = fs::metadata(&bench.path).unwrap().ino();
        fs::remove_file(&bench.path).unwrap();
        bench.write(&format!("header\nnew {n}\nlast line\nmore\n"));
        n_reused += u32::from(fs::metadata(&bench.path).unwrap().ino() == ino);
        assert_eq!(bench.poll().text, format!("|header\nnew {n}\nlast line\nmore\n"));
    }
    eprintln!("{n_reused} of 50 inodes were reused at once");
}

#[test]
fn an_unlinked_file_is_read_to_its_end_while_it_is_held() {
    let mut bench = Bench::new(8);
    bench.write("one\n");
    bench.poll();
    bench.append("two\n");
    fs::remove_file(&bench.path).unwrap();
    let told = bench.poll();
    assert_eq!(
        (told.text.as_str(), told.events),
        ("two\n", vec!["gone".to_owned()])
    );
    assert_eq!(bench.pool.n_held(), 1);
    for _ in 0..IDLE_POLLS_HELD {
        assert_eq!(bench.poll().events, [""; 0]);
    }
    // Else its blocks on disk would never be freed.
    assert_eq!(bench.pool.n_held(), 0);
}

#[test]
fn what_was_known_but_not_read_of_a_rewritten_file_is_counted() {
    let mut bench = Bench::new(8);
    bench.pool = TailPool::with_sizes(8, 4, 4);
    bench.write("0123456789");
    let told = &mut Told::default();
    assert_eq!(
        bench.tail.poll(&mut bench.pool, &mut |it| told.take(it)),
        Polled::More
    );
    assert_eq!(told.text, "0123");
    bench.write("abc");
    assert_eq!(bench.poll().events, ["rewritten 4 6"]);
}

#[test]
fn the_same_content_under_another_inode_goes_on() {
    for held_max in [0, 8] {
        let mut bench = Bench::new(held_max);
        bench.write("header\n1\n");
        bench.poll();
        let part = bench.beside("part");
        fs::write(&part, "header\n1\n2\n").unwrap();
        fs::rename(&part, &bench.path).unwrap();
        let told = bench.poll();
        assert_eq!(
            (told.text.as_str(), told.events),
            ("2\n", vec!["continued".to_owned()])
        );
    }
}

#[test]
fn a_missing_file_is_told_once_and_found_when_it_comes() {
    let mut bench = Bench::new(8);
    assert_eq!(bench.poll().events, ["gone"]);
    assert_eq!(bench.poll().events, [""; 0]);
    bench.write("one\n");
    let told = bench.poll();
    assert_eq!(
        (told.text.as_str(), told.events),
        ("one\n", vec!["back".to_owned()])
    );
    // The directory goes and comes back.
    let away = bench.dir.path().with_extension("away");
    fs::rename(bench.dir.path(), &away).unwrap();
    assert_eq!(bench.poll().events, ["gone"]);
    append(&away.join("train.log"), "two\n");
    fs::rename(&away, bench.dir.path()).unwrap();
    assert_eq!(bench.poll().text, "two\n");
}

#[test]
fn a_retargeted_link_is_followed() {
    let mut bench = Bench::new(8);
    let (one, two) = (bench.beside("one.log"), bench.beside("two.log"));
    fs::write(&one, "1\n").unwrap();
    fs::write(&two, "2\n").unwrap();
    symlink(&one, &bench.path).unwrap();
    assert_eq!(bench.poll().text, "1\n");
    append(&one, "1 too\n");
    fs::remove_file(&bench.path).unwrap();
    symlink(&two, &bench.path).unwrap();
    assert_eq!(bench.poll().text, "1 too\n|2\n");
}

#[test]
fn an_unreadable_path_is_told_once_and_read_within_five_polls_of_its_repair() {
    let mut bench = Bench::new(8);
    symlink(&bench.path, &bench.path).unwrap();
    let events: Vec<String> = (0..40).flat_map(|_| bench.poll().events).collect();
    assert_eq!(events, ["symlink loop cut: the link leads to itself"]);
    fs::remove_file(&bench.path).unwrap();
    bench.write("one\n");
    let text: String = (0..5).map(|_| bench.poll().text).collect();
    assert_eq!(text, "one\n");
    fs::remove_file(&bench.path).unwrap();
    fs::create_dir(&bench.path).unwrap();
    assert_eq!(bench.poll().events, ["is a directory"]);
}

#[test]
fn one_poll_is_bounded() {
    let mut bench = Bench::new(8);
    let text = "x".repeat(usize::try_from(POLL_BYTES_MAX).unwrap() + 10);
    bench.write(&text);
    let told = &mut Told::default();
    let mut poll = || bench.tail.poll(&mut bench.pool, &mut |it| told.take(it));
    assert_eq!(
        [poll(), poll(), poll()],
        [Polled::More, Polled::Read, Polled::Idle]
    );
    assert_eq!(told.text.len(), text.len());
}

#[test]
fn no_more_descriptors_are_held_than_the_pool_allows() {
    let dir = tempfile::tempdir().unwrap();
    let mut pool = TailPool::new(3);
    let mut tails: Vec<Tail> = (0..10)
        .map(|n| {
            let path = dir.path().join(n.to_string());
            fs::write(&path, "text\n").unwrap();
            Tail::new(path)
        })
        .collect();
    for tail in &mut tails {
        tail.poll(&mut pool, &mut |_| ());
    }
    assert_eq!(pool.n_held(), 3);
    // An idle file gives its place back.
    for _ in 0..IDLE_POLLS_HELD {
        tails[0].poll(&mut pool, &mut |_| ());
    }
    assert_eq!(pool.n_held(), 2);
    drop(tails);
    assert_eq!(pool.n_held(), 0);
}

#[test]
fn a_settled_file_with_the_same_stamp_is_not_opened() {
    let mut bench = Bench::new(8);
    bench.write("one\n");
    bench.poll();
    let stamp = || Stamp::of(&fs::metadata(&bench.path).unwrap());
    assert!(
        !bench.tail.is_unchanged(&stamp()),
        "a change may hide behind a young stamp"
    );
    bench.tail.seen.as_mut().unwrap().is_fresh = false;
    assert!(bench.tail.is_unchanged(&stamp()));
    append(&bench.path, "two\n");
    assert!(!bench.tail.is_unchanged(&stamp()));
}

#[test]
fn bytes_are_given_again_from_a_hole_that_is_filled() {
    for held_max in [0, 8] {
        let mut bench = Bench::new(held_max);
        bench.write("text\0\0\0\0");
        assert_eq!(bench.poll().text, "text\0\0\0\0");
        bench.tail.reread_from(4);
        assert_eq!(bench.tail.offset(), 4);
        let file = OpenOptions::new().write(true).open(&bench.path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"more", 4).unwrap();
        let told = bench.poll();
        assert_eq!((told.text.as_str(), told.events.len()), ("more", 0));
    }
}

#[test]
fn a_hole_that_cannot_be_verified_restarts_the_file() {
    let mut bench = Bench::new(0);
    bench.write("text\0\0\0\0");
    bench.poll();
    bench.write("else\0\0\0\0");
    bench.tail.reread_from(4);
    assert_eq!(bench.poll().text, "|else\0\0\0\0");
}
