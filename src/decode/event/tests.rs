//! Tests of the event decoder: values of every kind, damage of every kind, every split.

mod damage;
mod edge_cases;

use super::EventDecoder;
use crate::decode::event_write::{
    HistogramFields, bucket_event, event, file_of, histogram_event, image_event, nested, scalar_event,
    scalar_value, session_start_event, tensor, tensor_event, tensor_scalar_event, text_tensor_event,
    version_event,
};
use crate::decode::faults::N_REPORTED_MAX;
use crate::decode::{Decode, Sink};
use crate::model::{Form, Mark, Problem, Sample, TextLine};

const WALL: f64 = 1_700_000_000.5;

#[derive(Debug, Clone, PartialEq)]
struct Point {
    tag: String,
    step: i64,
    wall_time: Option<f64>,
    value: f64,
    form: Form,
    offset: u64,
}

/// Keeps every call.
#[derive(Debug, Default)]
struct Calls {
    points: Vec<Point>,
    starts: Vec<i64>,
    problems: Vec<Problem>,
    /// All calls in order, so that sequences with NaN can be compared.
    log: Vec<String>,
}

impl Sink for Calls {
    fn sample(&mut self, sample: &Sample<'_>) {
        self.log.push(format!("{sample:?}"));
        let Sample {
            tag,
            step,
            wall_time,
            value,
            form,
            offset,
        } = *sample;
        self.points.push(Point {
            tag: tag.to_owned(),
            step,
            wall_time,
            value,
            form,
            offset,
        });
    }

    fn line(&mut self, line: &TextLine<'_>) {
        unreachable!("an event file has no text lines: {line:?}");
    }

    fn mark(&mut self, mark: Mark<'_>) {
        self.log.push(format!("{mark:?}"));
        if let Mark::SessionStart { step } = mark {
            self.starts.push(step);
        }
    }

    fn problem(&mut self, problem: Problem) {
        self.log.push(format!("{problem:?}"));
        self.problems.push(problem);
    }
}

impl Calls {
    fn steps_of(&self, tag: &str) -> Vec<i64> {
        self.points
            .iter()
            .filter(|point| point.tag == tag)
            .map(|point| point.step)
            .collect()
    }

    fn what(&self) -> Vec<&str> {
        self.problems
            .iter()
            .map(|problem| problem.what.as_str())
            .collect()
    }
}

fn decode(file: &[u8]) -> Calls {
    decode_in(file, &[])
}

/// Decodes `file` cut at `cuts`.
fn decode_in(file: &[u8], cuts: &[usize]) -> Calls {
    let (mut decoder, mut calls) = (EventDecoder::new(), Calls::default());
    let mut start = 0;
    for end in cuts.iter().copied().chain([file.len()]) {
        decoder.feed(&file[start..end], &mut calls);
        start = end;
    }
    decoder.finish(&mut calls);
    calls
}

fn scalar(step: i64) -> Vec<u8> {
    scalar_event(WALL + step as f64, step, "loss", step as f32)
}

fn exact_histogram() -> HistogramFields {
    HistogramFields {
        min: -0.5,
        max: 2.0,
        n_elements: 5.0,
        sum: 2.0,
        sum_squares: 9.0,
        limits: vec![-1.0, 0.0, 1.0, 2.0],
        counts: vec![0.0, 2.0, 2.0, 1.0],
    }
}

fn all_kinds() -> Vec<u8> {
    file_of(&all_events())
}

fn all_events() -> Vec<Vec<u8>> {
    let merged = [scalar_value("a", 1.0), scalar_value("b", f32::NAN)].concat();
    vec![
        version_event(WALL),
        session_start_event(WALL, 3),
        scalar(-1),
        event(WALL, 7, &nested(5, &merged)),
        tensor_scalar_event(WALL, 8, "tf2", 2.5),
        histogram_event(WALL, 9, "w", &exact_histogram()),
        bucket_event(
            WALL,
            9,
            "w2",
            &[[-2.0, -1.0, 1.0], [-1.0, 1.0, 6.0], [1.0, 2.0, 1.0]],
        ),
        image_event(WALL, 10, "image", 40),
        Vec::new(),
        text_tensor_event(WALL, 10, "text", "hello"),
        event(f64::INFINITY, 11, &nested(5, &scalar_value("loss", 4.0))),
        scalar(12),
    ]
}

#[test]
fn every_kind_of_value_is_read() {
    let calls = decode(&all_kinds());
    let seen: Vec<(&str, i64)> = calls
        .points
        .iter()
        .map(|point| (&*point.tag, point.step))
        .collect();
    let expected = [
        ("loss", -1),
        ("a", 7),
        ("b", 7),
        ("tf2", 8),
        ("w", 9),
        ("w2", 9),
        ("loss", 11),
        ("loss", 12),
    ];
    assert_eq!(seen, expected);
    assert_eq!(calls.starts, [3]);
    let [loss, a, b, tf2, w, w2, late, _] = &calls.points[..] else {
        panic!("eight points")
    };
    assert_eq!(
        (loss.value, loss.wall_time, loss.form),
        (-1.0, Some(WALL - 1.0), Form::EXACT)
    );
    assert_eq!((a.value, tf2.value), (1.0, 2.5));
    assert!(b.value.is_nan());
    assert_eq!((w.value, w.form), (3.0, Form::Tensor { n_elements: 5.0 }));
    assert_eq!(w2.value, 4.5_f64.sqrt());
    assert_eq!(late.wall_time, None);
    assert_eq!(calls.what(), ["event with an unusable wall time inf"]);
    assert!(calls.problems[0].is_note);
}

#[test]
fn offsets_are_those_of_the_records() {
    let calls = decode(&file_of(&[version_event(WALL), scalar(0), scalar(1)]));
    let first = file_of(&[version_event(WALL)]).len() as u64;
    let second = file_of(&[version_event(WALL), scalar(0)]).len() as u64;
    assert_eq!(
        calls.points.iter().map(|point| point.offset).collect::<Vec<_>>(),
        [first, second]
    );
}

#[test]
fn every_split_gives_the_same_calls() {
    let mut file = all_kinds();
    file.extend_from_slice(&[0; 40]);
    file.extend(file_of(&[scalar(13)]));
    file.extend_from_slice(b"garbage between two records");
    file.extend(file_of(&[scalar(14), scalar(15)]));
    file.truncate(file.len() - 3);
    let whole = decode(&file).log;
    assert_eq!(whole.len(), 9 + 1 + 2 + 2);
    for cut in 0..=file.len() {
        assert_eq!(decode_in(&file, &[cut]).log, whole, "cut at {cut}");
    }
    let every_byte: Vec<usize> = (0..file.len()).collect();
    assert_eq!(decode_in(&file, &every_byte).log, whole);
}

#[test]
fn tf1_writers_name_the_plugin_only_once() {
    let rows: Vec<u8> = [1.0_f64, 2.0, 4.0]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let buckets = tensor(2, &[1, 3], &rows);
    let number = tensor(1, &[], &1.5_f32.to_le_bytes());
    let calls = decode(&file_of(&[
        tensor_event(WALL, 0, "w", Some("histograms"), &buckets),
        tensor_event(WALL, 1, "w", None, &buckets),
        tensor_event(WALL, 0, "custom", Some("somebody's"), &number),
        tensor_event(WALL, 1, "custom", None, &number),
        tensor_event(WALL, 1, "plain", None, &number),
        tensor_event(WALL, 1, "matrix", None, &buckets),
    ]));
    assert_eq!(calls.steps_of("w"), [0, 1]);
    assert_eq!(calls.steps_of("plain"), [1]);
    assert_eq!(
        calls.points.len(),
        3,
        "a foreign plugin's number and a plain matrix mean nothing"
    );
}

#[test]
fn a_foreign_plugin_may_say_that_its_data_are_scalars() {
    let metadata = nested(9, &[nested(1, &nested(1, b"mine")), vec![4 << 3, 1]].concat());
    let number = nested(8, &tensor(1, &[1], &1.5_f32.to_le_bytes()));
    let value = [nested(1, b"x"), number, metadata].concat();
    assert_eq!(
        decode(&file_of(&[event(WALL, 1, &nested(5, &nested(1, &value)))])).steps_of("x"),
        [1]
    );
}

#[test]
fn fields_may_come_in_any_order_and_more_than_once() {
    let late_step = [
        nested(5, &scalar_value("a", 1.0)),
        nested(5, &scalar_value("b", 2.0)),
        vec![0x10, 9],
    ];
    let old_tag = [nested(7, b"old"), vec![0x15, 0, 0, 0x80, 0x3f]].concat();
    let calls = decode(&file_of(&[
        late_step.concat(),
        event(WALL, 4, &nested(5, &nested(1, &old_tag))),
    ]));
    assert_eq!((calls.steps_of("a"), calls.steps_of("b")), (vec![9], vec![9]));
    assert_eq!(calls.points[0].wall_time, None, "an absent wall time is no time");
    assert_eq!(calls.steps_of("old"), [4]);
    assert_eq!(calls.points[2].value, 1.0);
}

#[test]
fn a_value_without_a_tag_is_reported() {
    let calls = decode(&file_of(&[scalar_event(WALL, 1, "", 1.0), scalar(2)]));
    assert_eq!(calls.steps_of("loss"), [2]);
    assert_eq!(calls.what(), ["value without a tag skipped"]);
}

#[test]
fn repeated_problems_are_summed_up() {
    let events: Vec<Vec<u8>> = (0..1000)
        .map(|step| scalar_event(f64::NAN, step, "loss", 0.0))
        .collect();
    let calls = decode(&file_of(&events));
    assert_eq!(calls.points.len(), 1000);
    assert_eq!(calls.problems.len() as u64, N_REPORTED_MAX + 1);
    assert_eq!(
        calls.what().last(),
        Some(&"980 more events with an unusable wall time")
    );
}

#[test]
fn records_are_tallied() {
    let mut file = file_of(&[
        version_event(WALL),
        scalar(0),
        b"\x2a\xff\xff\xff\xff\x0f".to_vec(),
        scalar(1),
    ]);
    let last = file.len() - 1;
    file[last] ^= 1;
    file.extend(file_of(&[scalar(2)]));
    let (mut decoder, mut calls) = (EventDecoder::new(), Calls::default());
    decoder.feed(&file, &mut calls);
    decoder.finish(&mut calls);
    assert_eq!((decoder.tally().records, decoder.tally().skipped), (3, 2));
    let expected = [
        "record that does not decode skipped",
        "record with a bad payload checksum skipped",
    ];
    assert_eq!(calls.what(), expected);
    assert_eq!(decoder.format(), "tfevents");
}
