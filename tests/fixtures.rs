//! The shipped runs and the logs that real frameworks wrote are read and judged as it stands beside them.
//!
//! In: `fixtures/runs` and `fixtures/frameworks`, each with its `.expected.json` beside it. Out: what differs. Invariant: a
//! fixture without an expectation, or an expectation without a fixture, fails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use assert_cmd::Command;
use serde_json::{Map, Value};

use crate::support::root;

fn gradwatch(args: &[&str], path: &Path) -> Value {
    let output = Command::cargo_bin("gradwatch")
        .unwrap()
        .args(args)
        .arg(path)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    })
}

/// Stands beside the directory, where no audit of it takes it for a log.
fn expected(dir: &Path) -> Map<String, Value> {
    serde_json::from_slice(&std::fs::read(dir.with_extension("expected.json")).unwrap()).unwrap()
}

fn directories(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries
        .filter(|it| it.path().is_dir())
        .map(|it| it.file_name().into_string().unwrap())
        .collect()
}

fn alarms(run: &Value) -> impl Iterator<Item = &Value> {
    run["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["severity"] != "info")
}

/// What is wrong with the judgement of one run.
fn misjudged(name: &str, want: &Value, run: &Value) -> Option<String> {
    let said: Vec<String> = alarms(run)
        .map(|it| format!("{} ({})", it["rule"], it["family"]))
        .collect();
    if want["verdict"] != run["verdict"] {
        return Some(format!(
            "{name}: {} instead of {}: {said:?}",
            run["verdict"], want["verdict"]
        ));
    }
    let Some(family) = want.get("family") else {
        return (!said.is_empty()).then(|| format!("{name}: false alarms {said:?}"));
    };
    let from = want["from_step"].as_i64().unwrap();
    let is_it = |it: &&Value| {
        &it["family"] == family
            && it["first_step"].as_i64().is_none_or(|step| step >= from)
            && want.get("rank").is_none_or(|rank| rank == &it["rank"])
    };
    alarms(run)
        .find(is_it)
        .is_none()
        .then(|| format!("{name}: no finding of family {family} from step {from}: {said:?}"))
}

#[test]
fn the_shipped_runs_are_judged_right() {
    let dir = root().join("fixtures/runs");
    let expected = expected(&dir);
    assert_eq!(
        expected.keys().cloned().collect::<BTreeSet<_>>(),
        directories(&dir)
    );
    let report = gradwatch(&["audit", "--format", "json"], &dir);
    let runs: BTreeMap<&str, &Value> = report["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["run"].as_str().unwrap(), it))
        .collect();
    assert_eq!(
        runs.keys().copied().collect::<BTreeSet<_>>(),
        expected.keys().map(String::as_str).collect()
    );
    let wrong: Vec<String> = expected
        .iter()
        .filter_map(|(name, want)| misjudged(name, want, runs[name.as_str()]))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let lost = |run: &Value| {
        run["problems"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["note"] == false)
    };
    assert!(
        !runs.values().any(|it| lost(it)),
        "a part of a shipped run was not read"
    );
}

/// The series of all runs of a report by tag; a tag that several files hold keeps the one with most points.
fn series(report: &Value) -> BTreeMap<&str, &Value> {
    let mut found: BTreeMap<&str, &Value> = BTreeMap::new();
    for run in report["runs"].as_array().unwrap() {
        for series in run["series"].as_array().unwrap() {
            let kept = found.entry(series["tag"].as_str().unwrap()).or_insert(series);
            if series["points"].as_u64() > kept["points"].as_u64() {
                *kept = series;
            }
        }
    }
    found
}

fn misread(name: &str, want: &Value, report: &Value) -> Vec<String> {
    let series = series(report);
    let mut wrong = Vec::new();
    for (tag, want) in want["series"].as_object().unwrap() {
        let Some(got) = series.get(tag.as_str()) else {
            wrong.push(format!("{name}: no series {tag}, but {:?}", series.keys()));
            continue;
        };
        let (last, known) = (got["last"].as_f64().unwrap(), want["last"].as_f64().unwrap());
        // Event files hold float32.
        let is_same = (last - known).abs() <= 1e-6 * known.abs()
            && got["points"] == want["points"]
            && got["last_step"] == want["last_step"];
        if !is_same {
            wrong.push(format!("{name}: {tag} is {got} instead of {want}"));
        }
        if tag.contains("_norm/") && (got["layer"].is_null() || got["quantity"] == "other") {
            wrong.push(format!(
                "{name}: {tag} is not understood as the norm of a layer: {got}"
            ));
        }
    }
    wrong
}

#[test]
fn logs_of_real_frameworks_are_read_right() {
    let dir = root().join("fixtures/frameworks");
    let expected = expected(&dir);
    assert_eq!(
        expected.keys().cloned().collect::<BTreeSet<_>>(),
        directories(&dir)
    );
    let mut wrong = Vec::new();
    for (name, want) in &expected {
        let report = gradwatch(&["inspect", "--format", "json"], &dir.join(name));
        wrong.extend(misread(name, want, &report));
        if let Some(layers) = want["layers"].as_u64() {
            let depths: BTreeSet<String> = series(&report)
                .values()
                .filter(|it| it["depth"].as_array().is_some_and(|it| !it.is_empty()))
                .map(|it| it["depth"].to_string())
                .collect();
            if depths.len() as u64 != layers {
                wrong.push(format!(
                    "{name}: {} depths instead of {layers}: {depths:?}",
                    depths.len()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn logs_of_real_frameworks_raise_no_alarm() {
    let report = gradwatch(
        &["audit", "--format", "json"],
        &root().join("fixtures/frameworks"),
    );
    for run in report["runs"].as_array().unwrap() {
        let said: Vec<&Value> = alarms(run).collect();
        assert!(said.is_empty(), "{}: {said:#?}", run["run"]);
    }
}
