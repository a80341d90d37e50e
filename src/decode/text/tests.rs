//! Samples of the table, byte splits, damage, and whole logs of the shared data where it is present.

use super::TextDecoder;
use super::table::TABLE;
use crate::decode::{Decode, Sink};
use crate::model::{Mark, Problem, Sample, TextLine};

/// Every call, written down.
#[derive(Debug, Default, PartialEq)]
struct Log {
    points: Vec<(String, i64, f64)>,
    marks: Vec<String>,
    lines: Vec<(String, u64, u64)>,
    places: Vec<(u64, Option<f64>, f64)>,
    problems: Vec<Problem>,
}

impl Sink for Log {
    fn sample(&mut self, sample: &Sample<'_>) {
        self.points
            .push((sample.tag.to_owned(), sample.step, sample.value));
        self.places
            .push((sample.offset, sample.wall_time, sample.form.resolution()));
    }
    fn line(&mut self, line: &TextLine<'_>) {
        self.lines.push((line.text.to_owned(), line.offset, line.number));
    }
    fn mark(&mut self, mark: Mark<'_>) {
        self.marks.push(format!("{mark:?}"));
    }
    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }
}

fn read_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Log, TextDecoder) {
    let mut decoder = TextDecoder::new();
    let mut log = Log::default();
    for piece in pieces {
        decoder.feed(piece, &mut log);
    }
    decoder.finish(&mut log);
    (log, decoder)
}

fn read(text: &str) -> (Log, TextDecoder) {
    read_pieces([text.as_bytes()])
}

/// Debug text, in which NaN equals NaN.
fn shown(points: &[(String, i64, f64)]) -> Vec<String> {
    points.iter().map(|p| format!("{p:?}")).collect()
}

#[test]
fn every_sample_of_the_table_is_read_as_it_says() {
    for entry in TABLE {
        for (line, reading) in entry.samples {
            let (log, decoder) = read(line);
            let expected: Vec<_> = reading
                .iter()
                .map(|(t, s, v)| ((*t).to_owned(), *s, *v))
                .collect();
            assert_eq!(shown(&log.points), shown(&expected), "{}: {line:?}", entry.name);
            assert_eq!(
                decoder.format(),
                if reading.is_empty() { "text" } else { entry.name },
                "{line:?}"
            );
        }
    }
}

#[test]
fn every_entry_shows_a_line_that_it_reads() {
    for entry in TABLE {
        assert!(!entry.samples.is_empty(), "{} has no sample", entry.name);
    }
}

/// The shared data directory beside the checkout, if it is there.
fn shared(path: &str) -> Option<std::path::PathBuf> {
    let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")).join(path);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn debug_dump() {
    let Ok(path) = std::env::var("DUMP") else { return };
    for path in path.split(' ') {
        let bytes = std::fs::read(path).unwrap();
        let (log, decoder) = read_pieces([&bytes[..]]);
        let mut tags: std::collections::BTreeMap<&str, (usize, std::collections::BTreeSet<i64>, f64)> =
            Default::default();
        for (tag, step, value) in &log.points {
            let e = tags.entry(tag).or_default();
            e.0 += 1;
            e.1.insert(*step);
            e.2 = *value;
        }
        println!(
            "== {path}: {} {:?} points {} lines {} marks {:?} problems {}",
            decoder.format(),
            decoder.tally(),
            log.points.len(),
            log.lines.len(),
            &log.marks[..log.marks.len().min(6)],
            log.problems.len()
        );
        let mut t: Vec<_> = tags.into_iter().collect();
        t.truncate(std::env::var("N").map_or(30, |n| n.parse().unwrap()));
        for (tag, (n, steps, last)) in t {
            println!(
                "   {tag:50} n={n} steps={} {:?}..{:?} last={last}",
                steps.len(),
                steps.first(),
                steps.last()
            );
        }
    }
}
