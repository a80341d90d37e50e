//! What becomes of a file's records when the file is rotated, cut, overwritten, or holds what is no record.
//!
//! In: one file and its writer. Out: the steps that were read, by generation. Invariant: a step is read once in its
//! generation.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use gradwatch::app::follow::{FileNews, FollowSink, Follower};
use gradwatch::decode::Sink;
use gradwatch::decode::event_write::{file_of, scalar_event, version_event};
use gradwatch::model::{Mark, Problem, Sample, TextLine};
use gradwatch::source::{Polled, TailPool};

use super::seen;

/// Steps by generation, and what was said.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) generations: Vec<Vec<i64>>,
    pub(super) problems: Vec<Problem>,
}

impl Sink for Heard {
    fn sample(&mut self, sample: &Sample<'_>) {
        if self.generations.is_empty() {
            self.generations.push(Vec::new());
        }
        self.generations.last_mut().unwrap().push(sample.step);
    }
    fn line(&mut self, _line: &TextLine<'_>) {}
    fn mark(&mut self, _mark: Mark<'_>) {}
    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }
}

impl FollowSink for Heard {
    fn news(&mut self, news: FileNews) {
        match news {
            FileNews::Rewritten => self.generations.push(Vec::new()),
            FileNews::Recognised => *self.generations.last_mut().unwrap() = Vec::new(),
            FileNews::Continued | FileNews::Gone | FileNews::Back => {}
        }
    }
}

pub(super) struct Bench {
    pub(super) dir: tempfile::TempDir,
    pub(super) path: PathBuf,
    pub(super) follower: Follower,
    pub(super) pool: TailPool,
    pub(super) heard: Heard,
}

impl Bench {
    pub(super) fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        let follower = Follower::new(&path);
        Self {
            dir,
            path,
            follower,
            pool: TailPool::default(),
            heard: Heard::default(),
        }
    }

    pub(super) fn look(&mut self) {
        while self.follower.poll(&mut self.pool, &mut self.heard) == Polled::More {}
    }

    fn append(&self, bytes: &[u8]) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .unwrap();
        file.write_all(bytes).unwrap();
    }

    fn lost(&self) -> Vec<(u64, u64)> {
        let is_lost = |it: &&Problem| !it.is_note;
        let range = |it: &Problem| it.offset.zip(it.bytes);
        self.heard
            .problems
            .iter()
            .filter(is_lost)
            .filter_map(range)
            .collect()
    }
}

pub(super) fn rows(steps: std::ops::Range<i64>) -> String {
    steps
        .map(|step| format!("{{\"step\": {step}, \"loss\": 0.5}}\n"))
        .collect::<Vec<_>>()
        .concat()
}

#[test]
fn a_thousand_rotations_give_each_record_once_and_the_old_file_first() {
    let mut bench = Bench::new("metrics.jsonl");
    let mut wanted = Vec::new();
    bench.append(rows(0..1).as_bytes());
    bench.look();
    wanted.push(vec![0]);
    for n in 1..=1000_i64 {
        // The last lines of the old file were not seen when it is renamed, and its writer has not turned yet.
        bench.append(rows(10 * n..10 * n + 1).as_bytes());
        let old = bench.dir.path().join(format!("metrics.jsonl.{n}"));
        fs::rename(&bench.path, &old).unwrap();
        bench.append(rows(10 * n + 5..10 * n + 6).as_bytes());
        let late = rows(10 * n + 1..10 * n + 2);
        OpenOptions::new()
            .append(true)
            .open(&old)
            .unwrap()
            .write_all(late.as_bytes())
            .unwrap();
        bench.look();
        wanted.last_mut().unwrap().extend([10 * n, 10 * n + 1]);
        wanted.push(vec![10 * n + 5]);
    }
    assert_eq!(bench.heard.generations, wanted);
    seen(
        "1",
        "every line of each file once, the old file first",
        "1,000 rotations, 3,001 records: each once, in order",
    );
}

#[test]
fn a_copy_and_truncate_with_any_refill_is_read_from_byte_0_and_what_was_lost_is_told() {
    let unseen = rows(20..25);
    for n_refill in [5, 20, 40] {
        for is_down in [false, true] {
            let mut bench = Bench::new("metrics.jsonl");
            bench.append(rows(0..20).as_bytes());
            bench.look();
            let read = fs::metadata(&bench.path).unwrap().len();
            bench.append(unseen.as_bytes());
            if is_down {
                // The daemon ends; the logs are its only memory of what it read.
                bench.follower = Follower::new(&bench.path);
                bench.heard = Heard::default();
            } else {
                // It knows that there was more: it read the size, and was cut off before the content.
                let size = fs::metadata(&bench.path).unwrap().len();
                assert_eq!(size, read + unseen.len() as u64);
            }
            fs::copy(&bench.path, bench.dir.path().join("copy.jsonl")).unwrap();
            OpenOptions::new()
                .write(true)
                .open(&bench.path)
                .unwrap()
                .set_len(0)
                .unwrap();
            bench.append(rows(100..100 + n_refill).as_bytes());
            bench.look();
            let new: Vec<i64> = (100..100 + n_refill).collect();
            assert_eq!(
                bench.heard.generations.last(),
                Some(&new),
                "refill of {n_refill}, down {is_down}"
            );
            let n_generations = if is_down { 1 } else { 2 };
            assert_eq!(bench.heard.generations.len(), n_generations);
            let told = bench
                .heard
                .problems
                .iter()
                .filter(|it| it.what.starts_with("rewritten"))
                .count();
            assert_eq!(told, usize::from(!is_down));
        }
    }
    seen(
        "2",
        "generation + 1, new content from byte 0, the lost range reported",
        "refill smaller, equal, larger, live and while down: new content whole; live the rewrite is told",
    );
}

#[test]
fn the_range_that_is_known_to_be_lost_is_told() {
    let mut bench = Bench::new("metrics.jsonl");
    let big = rows(0..300_000);
    bench.append(big.as_bytes());
    // One poll reads 8 MiB; the rest is cut off before it was read.
    assert_eq!(
        bench.follower.poll(&mut bench.pool, &mut bench.heard),
        Polled::More
    );
    let read = bench.follower.tail().offset();
    assert!(read < big.len() as u64);
    File::create(&bench.path).unwrap();
    bench.append(rows(7..9).as_bytes());
    bench.look();
    // The half of a line that was read of it is lost too.
    assert_eq!(bench.lost().last(), Some(&(read, big.len() as u64 - read)));
    assert_eq!(bench.heard.generations.last(), Some(&vec![7, 8]));
    seen(
        "2",
        "the lost range reported",
        "bytes that were there and not read are reported with their range",
    );
}

#[test]
fn an_overwrite_in_place_behind_the_same_header_is_a_new_generation() {
    let mut bench = Bench::new("metrics.csv");
    let table = |from: i64, n: i64| {
        let rows: String = (from..from + n)
            .map(|it| format!("{it},0.{:03}\n", it % 1000))
            .collect();
        format!("step,loss\n{rows}")
    };
    bench.append(table(100, 50).as_bytes());
    bench.look();
    let file = OpenOptions::new().write(true).open(&bench.path).unwrap();
    file.write_all_at(table(100, 20).replace(",0.", ",9.").as_bytes(), 0)
        .unwrap();
    bench.look();
    assert_eq!(
        bench.heard.generations.len(),
        2,
        "the size has not shrunk, the header is the same"
    );
    // It goes on over the rest of the old content and beyond.
    file.write_all_at(table(100, 80).replace(",0.", ",9.").as_bytes(), 0)
        .unwrap();
    bench.look();
    assert_eq!(
        bench.heard.generations.last(),
        Some(&(100..180).collect::<Vec<i64>>())
    );
    seen(
        "3",
        "seen as a new generation",
        "same header, size never shrinks: a new generation, read whole",
    );
}

#[test]
fn a_file_that_takes_the_inode_of_a_deleted_one_is_read_from_its_start() {
    let mut n_reused = 0;
    for n_new in [5, 20, 40] {
        let mut bench = Bench::new("metrics.jsonl");
        bench.append(rows(0..20).as_bytes());
        bench.look();
        let inode = fs::metadata(&bench.path).unwrap().ino();
        // The descriptor is given back after some idle looks; until then the inode is not free.
        for _ in 0..20 {
            bench.look();
        }
        fs::remove_file(&bench.path).unwrap();
        bench.append(rows(50..50 + n_new).as_bytes());
        n_reused += u32::from(fs::metadata(&bench.path).unwrap().ino() == inode);
        bench.look();
        assert_eq!(
            bench.heard.generations.last(),
            Some(&(50..50 + n_new).collect::<Vec<i64>>())
        );
    }
    seen(
        "4",
        "never resumed at the old offset",
        &format!("smaller, equal, larger: read from byte 0 (inode reused in {n_reused} of 3)"),
    );
}

#[test]
fn half_a_line_is_one_record_over_polls_and_restarts_and_none_of_another_file() {
    let line = "{\"step\": 7, \"loss\": 0.25}\n";
    for cut in 1..line.len() {
        let mut bench = Bench::new("metrics.jsonl");
        bench.append(rows(0..5).as_bytes());
        bench.append(&line.as_bytes()[..cut]);
        bench.look();
        assert_eq!(bench.heard.generations, [vec![0, 1, 2, 3, 4]], "cut at {cut}");
        // Over a restart of the reader.
        let mut again = Heard::default();
        let mut restarted = Follower::new(&bench.path);
        restarted.poll(&mut bench.pool, &mut again);
        bench.append(&line.as_bytes()[cut..]);
        bench.look();
        restarted.poll(&mut bench.pool, &mut again);
        assert_eq!(bench.heard.generations, [vec![0, 1, 2, 3, 4, 7]], "cut at {cut}");
        assert_eq!(again.generations, bench.heard.generations);
        // Over a rotation: the rest goes into the old file, whose name has changed.
        bench.append(&line.as_bytes()[..cut]);
        bench.look();
        let old = bench.dir.path().join("metrics.jsonl.1");
        fs::rename(&bench.path, &old).unwrap();
        fs::write(&bench.path, rows(20..22)).unwrap();
        OpenOptions::new()
            .append(true)
            .open(&old)
            .unwrap()
            .write_all(&line.as_bytes()[cut..])
            .unwrap();
        bench.look();
        assert_eq!(
            bench.heard.generations,
            [vec![0, 1, 2, 3, 4, 7, 7], vec![20, 21]],
            "cut at {cut}"
        );
    }
    seen(
        "5",
        "one record, never glued to another file",
        "every cut of a line, over poll, restart and rotation: one record",
    );
}

#[test]
fn lines_that_are_none_cost_themselves_and_bounded_memory() {
    let good = |step: i64| rows(step..step + 1).into_bytes();
    let utf16: Vec<u8> = std::iter::once(0xFEFF)
        .chain(rows(0..30).encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let crlf = rows(0..30).replace('\n', "\r\n").into_bytes();
    for (name, text) in [("UTF-16", utf16), ("CRLF", crlf)] {
        let mut bench = Bench::new("metrics.jsonl");
        for piece in text.chunks(33) {
            bench.append(piece);
            bench.look();
        }
        assert_eq!(bench.heard.generations, [(0..30).collect::<Vec<i64>>()], "{name}");
    }
    let bad: [(&str, Vec<u8>); 3] = [
        ("NUL", b"\0\0\0\0{\"step\": 1\0\n".to_vec()),
        ("bad UTF-8", b"\xff\xfe\x80 {\"step\n".to_vec()),
        ("3 MiB", [vec![b'x'; 3 << 20], vec![b'\n']].concat()),
    ];
    for (name, bad) in bad {
        let mut bench = Bench::new("metrics.jsonl");
        let whole = [rows(0..30).into_bytes(), bad, good(30), good(31)].concat();
        for piece in whole.chunks(100_003) {
            bench.append(piece);
            bench.look();
        }
        assert_eq!(bench.heard.generations, [(0..32).collect::<Vec<i64>>()], "{name}");
        assert!(
            bench.follower.tally().skipped > 0 || !bench.heard.problems.is_empty(),
            "{name} is counted"
        );
    }
    seen(
        "6",
        "counted, the next line intact",
        "NUL, bad UTF-8, 3 MiB line, CRLF, UTF-16: counted, all others read",
    );
}

#[test]
fn half_a_record_is_waited_for_and_a_bad_one_skipped_and_counted() {
    let events = |range: std::ops::Range<i64>| {
        let points = range.map(|step| scalar_event(1e9 + step as f64, step, "loss", 1.0));
        file_of(
            &std::iter::once(version_event(1e9))
                .chain(points)
                .collect::<Vec<_>>(),
        )
    };
    let whole = events(0..30);
    let ends: Vec<usize> = (0..=30).map(|n| events(0..n).len()).collect();
    for cut in ends[20] + 1..ends[21] {
        let mut bench = Bench::new("events.out.tfevents.1");
        bench.append(&whole[..cut]);
        bench.look();
        assert_eq!(
            bench.heard.generations,
            [(0..20).collect::<Vec<i64>>()],
            "cut at {cut}"
        );
        bench.append(&whole[cut..]);
        bench.look();
        assert_eq!(
            bench.heard.generations,
            [(0..30).collect::<Vec<i64>>()],
            "cut at {cut}"
        );
        assert!(bench.heard.problems.is_empty());
    }
    for at in ends[20]..ends[21] {
        let mut bad = whole.clone();
        bad[at] ^= 0x55;
        let mut bench = Bench::new("events.out.tfevents.1");
        for piece in bad.chunks(97) {
            bench.append(piece);
            bench.look();
        }
        bench.follower.finish(&mut bench.heard);
        let wanted: Vec<i64> = (0..30).filter(|it| *it != 20).collect();
        assert_eq!(bench.heard.generations, [wanted], "damage at {at}");
        assert!(!bench.heard.problems.is_empty() && bench.follower.tally().skipped == 1);
    }
    seen(
        "7",
        "wait, then skip and count; never a crash",
        "every cut is waited for, every damaged byte costs its record",
    );
}
