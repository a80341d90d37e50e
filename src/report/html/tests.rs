//! The page's data against the reports that programs read, and the bound on its size.

use serde_json::Value;

use super::quads::read;
use super::{Detail, RankRecording, run_page, write_page};
use crate::model::{Form, Sample, Verdict};
use crate::report::run::{AuditReport, RunReport};
use crate::report::write_inspect_json;
use crate::rules::check::StreamEnd;
use crate::rules::{Engine, StreamOutcome, join};
use crate::series::record::Recorder;

/// Steps, and the value of a tag at a step.
type Points<'a> = dyn Fn(i64, &mut dyn FnMut(&str, f64)) + 'a;

fn recorded(n_steps: i64, points: &Points<'_>) -> (RunReport, Vec<RankRecording>) {
    recorded_at(&(0..n_steps).collect::<Vec<_>>(), points)
}

/// The same for steps in any order.
fn recorded_at(steps: &[i64], points: &Points<'_>) -> (RunReport, Vec<RankRecording>) {
    let (recorder, slot) = Recorder::new();
    let mut engine = Engine::new(&[], "run").with_tap(Box::new(recorder));
    for &step in steps {
        points(step, &mut |tag, value| {
            engine.sample(&Sample {
                tag,
                step,
                wall_time: None,
                value,
                form: Form::Number { resolution: 0.0 },
                offset: 0,
            });
        });
    }
    let outcome = engine.finish(&StreamEnd {
        records: steps.len() as u64,
        skipped: 0,
        bytes: 0,
    });
    let mut report = RunReport::new("run");
    report.take_stream(Vec::new(), Vec::new(), &outcome);
    report.take_outcome(join(vec![StreamOutcome {
        rank: None,
        precedence: 0,
        outcome,
    }]));
    (report, vec![(None, slot.take().unwrap())])
}

fn page(report: RunReport, recordings: Vec<RankRecording>) -> String {
    let run = run_page(&report, recordings, Detail::of_runs(1), false);
    let report = AuditReport {
        runs: vec![report],
        problems: Vec::new(),
    };
    let mut out = Vec::new();
    write_page(&report, &[run], None, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn data(page: &str, id: &str) -> Value {
    let begin = format!("<script type=\"application/json\" id=\"{id}\">");
    let rest = page.split(&begin).nth(1).unwrap();
    serde_json::from_str(rest.split("</script>").next().unwrap()).unwrap()
}

fn inspected(report: &RunReport) -> Vec<Value> {
    let (series, layers) = (report.series.clone(), report.layers.clone());
    let mut copy = RunReport::new("run");
    (copy.series, copy.layers) = (series, layers);
    let mut out = Vec::new();
    write_inspect_json(
        &AuditReport {
            runs: vec![copy],
            problems: Vec::new(),
        },
        &mut out,
    )
    .unwrap();
    let json: Value = serde_json::from_slice(&out).unwrap();
    json["runs"][0]["series"].as_array().unwrap().clone()
}

fn gradient(layer: i64, step: i64) -> f64 {
    0.8_f64.powi(12 - layer as i32) * (1.0 + 0.01 * (step % 7) as f64)
}

fn small_run(step: i64, put: &mut dyn FnMut(&str, f64)) {
    put(
        "train/loss",
        if step == 60 {
            f64::NAN
        } else {
            2.0 / (1.0 + step as f64)
        },
    );
    for layer in 0..12 {
        let value = if step == 61 && layer == 3 {
            f64::INFINITY
        } else {
            gradient(layer, step)
        };
        put(&format!("grad_norm/blocks.{layer}.weight"), value);
    }
}

#[test]
fn totals_are_those_of_inspect() {
    let (report, recordings) = recorded(100, &|step, put| small_run(step, put));
    let inspected = inspected(&report);
    let run = data(&page(report, recordings), "run-0");
    let source = &run["sources"][0];
    let mut found = Vec::new();
    for line in source["lines"].as_array().unwrap() {
        found.push((line["tag"].clone(), line["totals"].clone()));
    }
    for group in source["grids"][0]["groups"].as_array().unwrap() {
        found.extend(
            group["rows"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| (it["tag"].clone(), it["totals"].clone())),
        );
    }
    assert_eq!(found.len(), inspected.len());
    for (tag, totals) in found {
        let series = inspected.iter().find(|it| it["tag"] == tag).unwrap();
        for (key, value) in totals.as_object().unwrap() {
            assert_eq!(value, &series[key], "{tag} {key}");
        }
    }
}

#[test]
fn profiles_and_their_lines_come_back() {
    let (report, recordings) = recorded(100, &|step, put| small_run(step, put));
    let run = data(&page(report, recordings), "run-0");
    let grid = &run["sources"][0]["grids"][0];
    let values = read(grid["cells"]["shown"].as_str().unwrap(), &grid["scale"]);
    let n_columns = grid["first"].as_array().unwrap().len();
    assert_eq!((n_columns, values.len()), (100, 1200));
    assert!(grid["cells"]["min"].is_null(), "one point in each cell");
    for layer in 0..12 {
        for step in [0, 42, 99] {
            let value = values[layer * n_columns + step].unwrap();
            assert!(
                (value / gradient(layer as i64, step as i64) - 1.0).abs() < 1e-5,
                "layer {layer} step {step}"
            );
        }
    }
    assert_eq!(values[3 * n_columns + 61], Some(f64::INFINITY));
    let line = &grid["groups"][0]["lines"][42];
    assert!((line[1].as_f64().unwrap() - 1.25_f64.ln()).abs() < 1e-6, "{line}");
    assert_eq!((&line[2], &line[3]), (&Value::from(0), &Value::from(11)));
}

#[test]
fn the_single_nan_of_the_loss_is_where_it_happened() {
    let (report, recordings) = recorded(5_000, &|step, put| small_run(step, put));
    let run = data(&page(report, recordings), "run-0");
    let line = &run["sources"][0]["lines"][0];
    let bad = line["bad"].as_array().unwrap();
    let hits: Vec<usize> = (0..bad.len()).filter(|it| bad[*it][0] != 0).collect();
    let [hit] = hits.as_slice() else {
        panic!("{hits:?}")
    };
    assert_eq!(bad[*hit], serde_json::json!([1, 1]));
    let step = |key: &str| line[key][*hit].as_i64().unwrap();
    assert!(step("first") <= 60 && step("until") >= 60);
    let counts = line["n"].as_array().unwrap().iter().filter_map(Value::as_u64);
    assert_eq!(counts.sum::<u64>(), 5_000);
}

/// Steps that go back and forth are no restarts, and curves stay in the order of their steps.
#[test]
fn several_processes_in_one_log_are_said() {
    let steps: Vec<i64> = (0..120)
        .flat_map(|it| [it, it - 40])
        .filter(|it| *it >= 0)
        .collect();
    let (report, recordings) = recorded_at(&steps, &|step, put| small_run(step, put));
    let run = data(&page(report, recordings), "run-0");
    let source = &run["sources"][0];
    assert_eq!(source["several_writers"], true);
    assert_eq!(source["restarts"], serde_json::json!([]));
    let first = source["lines"][0]["first"].as_array().unwrap().iter();
    assert!(first.map(Value::as_i64).is_sorted());
    let (report, recordings) = recorded(120, &|step, put| small_run(step, put));
    let run = data(&page(report, recordings), "run-0");
    assert_eq!(run["sources"][0]["several_writers"], false);
}

#[test]
fn a_large_run_stays_small() {
    let tags: Vec<String> = ["grad_norm", "weight_norm", "activation_norm", "update_norm"]
        .iter()
        .flat_map(|kind| (0..200).map(move |layer| format!("{kind}/blocks.{layer}.weight")))
        .collect();
    let (report, recordings) = recorded(2_000, &|step, put| {
        put("train/loss", 3.0 + (step as f64).sin());
        for (index, tag) in (0..).zip(&tags) {
            put(tag, (0.01 * f64::from(index) + (step as f64 * 0.7).cos()).exp());
        }
    });
    let page = page(report, recordings);
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    let grids = data(&page, "run-0")["sources"][0]["grids"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(grids, 4);
}

#[test]
fn a_tag_that_looks_like_markup_stays_text() {
    let evil = "loss/</script><script>alert(1)</script>";
    let (report, recordings) = recorded(10, &|step, put| {
        put(evil, step as f64);
        put("train/loss", 1.0);
    });
    let page = page(report, recordings);
    assert!(!page.contains("alert(1)</script>"));
    let tags: Vec<Value> = data(&page, "run-0")["sources"][0]["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["tag"].clone())
        .collect();
    assert!(tags.contains(&Value::from(evil)), "{tags:?}");
}

#[test]
fn a_report_without_data_is_still_a_page() {
    let mut out = Vec::new();
    let report = AuditReport {
        runs: vec![RunReport::new("empty")],
        problems: Vec::new(),
    };
    let run = run_page(&report.runs[0], Vec::new(), Detail::of_runs(1), false);
    write_page(&report, &[run], None, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(
        data(&text, "overview")["runs"][0]["verdict"],
        Verdict::NoData.as_str()
    );
    assert!(!text.contains("%%"), "a part of the template was not filled");
    let outside = ["https://", "src=", "url(", "@import"];
    assert!(
        outside.iter().all(|it| !text.contains(it)),
        "something outside the page is named"
    );
}
