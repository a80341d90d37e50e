//! Files that are begun near their end: what is read of them equals the end of what is read of the whole.

use std::fs::{self, OpenOptions};
use std::io::Write;

use super::{FileNews, FollowSink, Follower};
use crate::decode::Sink;
use crate::decode::event_write::{file_of, scalar_event, version_event};
use crate::model::{Mark, Problem, Sample, TextLine};
use crate::source::{Polled, TailPool};

#[derive(Default)]
struct Heard {
    samples: Vec<(String, i64, u64)>,
    problems: Vec<Problem>,
    planned: Vec<i64>,
}

impl Sink for Heard {
    fn sample(&mut self, sample: &Sample<'_>) {
        self.samples
            .push((sample.tag.to_owned(), sample.step, sample.offset));
    }
    fn line(&mut self, _line: &TextLine<'_>) {}
    fn mark(&mut self, mark: Mark<'_>) {
        if let Mark::PlannedSteps(steps) = mark {
            self.planned.push(steps);
        }
    }
    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }
}

impl FollowSink for Heard {
    fn news(&mut self, _news: FileNews) {}
}

/// Reads a file with this content and what is appended to it.
fn read(name: &str, content: &[u8], more: &[u8], replay_max: Option<u64>) -> Heard {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    let (mut pool, mut heard) = (TailPool::default(), Heard::default());
    if let Some(bytes) = replay_max {
        pool.set_replay_max(bytes);
    }
    let mut follower = Follower::new(&path);
    while follower.poll(&mut pool, &mut heard) == Polled::More {}
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    for piece in more.chunks(37) {
        file.write_all(piece).unwrap();
        while follower.poll(&mut pool, &mut heard) == Polled::More {}
    }
    follower.finish(&mut heard);
    heard
}

const N: i64 = 12_000;

fn contents() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let join = |head: &str, row: &dyn Fn(i64) -> String, range: std::ops::Range<i64>| {
        let rows: Vec<String> = range.map(row).collect();
        (head.to_owned() + &rows.concat()).into_bytes()
    };
    let jsonl = |step: i64| format!("{{\"step\": {step}, \"loss\": 0.5, \"lr\": 1e-4}}\n");
    let csv = |step: i64| format!("{step},0.5,1e-4\n");
    let text = |step: i64| format!("iteration {step}/ 50000 | lm loss: 0.5 | learning rate: 1.0E-04 |\n");
    let events = |range: std::ops::Range<i64>| {
        let points = range.map(|step| scalar_event(1e9 + step as f64, step, "loss", 1.0));
        points.collect::<Vec<_>>()
    };
    let begun: Vec<Vec<u8>> = std::iter::once(version_event(1e9)).chain(events(0..N)).collect();
    vec![
        (
            "metrics.jsonl",
            join("", &jsonl, 0..N),
            join("", &jsonl, N..N + 50),
        ),
        (
            "metrics.csv",
            join("step,loss,lr\n", &csv, 0..N),
            join("", &csv, N..N + 50),
        ),
        ("train.log", join("", &text, 1..N), join("", &text, N..N + 50)),
        (
            "events.out.tfevents.1",
            file_of(&begun),
            file_of(&events(N..N + 50)),
        ),
    ]
}

#[test]
fn the_end_of_a_large_file_is_read_as_in_the_whole_one() {
    for (name, content, more) in contents() {
        let whole = read(name, &content, &more, None);
        assert!(whole.problems.is_empty(), "{name}: {:?}", whole.problems);
        for bytes in [1, 1000, 20_011, 65_536] {
            let late = read(name, &content, &more, Some(bytes));
            let from = content.len() as u64 - bytes;
            let wanted: Vec<_> = whole.samples.iter().filter(|it| it.2 >= from).collect();
            // A line that begins where reading begins may or may not be taken.
            let n_more = late.samples.len().abs_diff(wanted.len());
            assert!(n_more <= 3, "{name}, {bytes} bytes: {n_more} of {}", wanted.len());
            assert!(whole.samples.ends_with(&late.samples), "{name}, {bytes} bytes");
            assert_eq!(
                late.problems.len(),
                1,
                "{name}, {bytes} bytes: {:?}",
                late.problems
            );
            assert!(late.problems[0].what.starts_with("larger than --replay-max"));
            assert_eq!(late.planned.first(), whole.planned.first(), "{name}");
        }
    }
}

#[test]
fn what_is_not_larger_is_read_as_a_whole() {
    for (name, content, more) in contents() {
        let whole = read(name, &content, &more, None);
        let bounded = read(name, &content, &more, Some(content.len() as u64));
        assert_eq!(whole.samples, bounded.samples, "{name}");
        assert!(bounded.problems.is_empty(), "{name}");
    }
}
