//! The edge cases of the shared data directory beside the checkout, as far as one decoder can answer them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Calls, decode, decode_in};
use crate::model::Form;

/// Cases about several files, attempts or compressed files, which other parts answer.
const ANSWERED_ELSEWHERE: [&str; 8] = [
    "gzip",
    "zlib",
    "step_goes_back",
    "two_writers_interleaved",
    "restart_second_file",
    "restart_start_in_both",
    "restart_second_version",
    "odd_file_names",
];

fn make_edge_cases(directory: &Path) -> Option<BTreeMap<String, Value>> {
    let script = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/edge-cases/make_edge_cases.py"
    ));
    if !script.exists() {
        return None;
    }
    let is_made = Command::new("python3")
        .arg(script)
        .arg(directory)
        .output()
        .is_ok_and(|it| it.status.success());
    if !is_made {
        return None;
    }
    let expected = fs::read_to_string(directory.join("EXPECTED.json")).unwrap();
    Some(serde_json::from_str(&expected).unwrap())
}

/// The event file of a case; of the last stage, where there are stages.
fn event_file(directory: &Path) -> PathBuf {
    let mut entries: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    entries.sort();
    let last = entries.pop().unwrap();
    if last.is_dir() { event_file(&last) } else { last }
}

fn number(value: f64) -> Value {
    match value {
        _ if value.is_nan() => "nan".into(),
        f64::INFINITY => "inf".into(),
        f64::NEG_INFINITY => "-inf".into(),
        _ => value.into(),
    }
}

fn points_of(calls: &Calls) -> Value {
    let mut points: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for point in &calls.points {
        let value = match point.form {
            Form::Buckets {
                low, high, max_abs, ..
            } => {
                serde_json::json!({ "norm_low": low, "norm_high": high, "max_abs": max_abs })
            }
            _ => number(point.value),
        };
        points
            .entry(&point.tag)
            .or_default()
            .push(serde_json::json!([point.step, value]));
    }
    // Through text, so that both sides are rounded by the same parser.
    serde_json::from_str(&serde_json::to_string(&points).unwrap()).unwrap()
}

/// What the decoder says where the list of expectations says this.
fn in_our_words(expected: &str) -> Option<&'static str> {
    let words = [
        (
            "1 record that does not decode",
            "record that does not decode skipped",
        ),
        (
            "42 bytes skipped",
            "bad length checksum: 42 bytes, skipped to the next valid record",
        ),
        (
            "300 bytes skipped",
            "bad length checksum: 300 bytes, skipped to the next valid record",
        ),
        (
            "1 record with a bad payload CRC",
            "record with a bad payload checksum skipped",
        ),
        (
            "1 event with an unusable wall time",
            "event with an unusable wall time",
        ),
        ("declared record length above the limit", "declared record length"),
        ("1 tag that is not UTF-8", "tag that is not UTF-8"),
        (
            "64 zero bytes",
            "64 zero bytes at a record boundary: not yet written",
        ),
    ];
    words
        .iter()
        .find(|(theirs, _)| expected.starts_with(theirs))
        .map(|(_, ours)| *ours)
}

#[test]
fn the_edge_cases_are_answered_as_listed() {
    let directory = tempfile::tempdir().unwrap();
    let Some(expected) = make_edge_cases(directory.path()) else {
        eprintln!("skipped: no shared data directory, or no python3");
        return;
    };
    let mut n_checked = 0;
    for (case, expected) in expected
        .iter()
        .filter(|(case, _)| !ANSWERED_ELSEWHERE.contains(&case.as_str()))
    {
        let file = fs::read(event_file(&directory.path().join(case))).unwrap();
        let calls = decode(&file);
        let mut points = expected["points"].clone();
        if case == "zero_block_in_middle" {
            // The hole is reported and what follows is read, which the list allows.
            points["loss"]
                .as_array_mut()
                .unwrap()
                .extend((6..10).map(|i| serde_json::json!([i, f64::from(i)])));
        }
        assert_eq!(points_of(&calls), points, "{case}");
        check_problems(case, expected, &calls);
        for cut in (0..file.len()).step_by(if file.len() > 100_000 { 500_009 } else { 1 }) {
            assert_eq!(decode_in(&file, &[cut]).log, calls.log, "{case} cut at {cut}");
        }
        n_checked += 1;
    }
    assert!(n_checked >= 35, "{n_checked}");
}

fn check_problems(case: &str, expected: &Value, calls: &Calls) {
    let expected: Vec<&str> = expected["problems"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| in_our_words(it.as_str()?))
        .collect();
    assert_eq!(
        calls.problems.len(),
        expected.len(),
        "{case}: {:?}",
        calls.problems
    );
    for (problem, words) in calls.problems.iter().zip(expected) {
        assert!(problem.what.contains(words), "{case}: {problem:?}");
    }
}
