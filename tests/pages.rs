//! `audit --html` and `inspect --plot` from outside.
//!
//! In: the shipped runs. Out: files, exit statuses, text. Invariant: the page is there whole or not at all, and every
//! refusal is one sentence.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::root;

fn audit_html(target: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gradwatch"))
        .arg("audit")
        .arg(root().join("fixtures/runs"))
        .arg("--html")
        .arg(target)
        .output()
        .unwrap()
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn the_page_is_written_whole_and_replaces_the_old_one() {
    let dir = TempDir::new().unwrap();
    let target = dir.path().join("report.html");
    fs::write(&target, "old").unwrap();
    let output = audit_html(&target);
    assert_eq!(output.status.code(), Some(1), "the findings decide the status");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("vanishing-sigmoid"),
        "the text report stays"
    );
    let page = fs::read_to_string(&target).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    assert_eq!(
        page.matches("<script type=\"application/json\"").count(),
        11,
        "an overview and ten runs"
    );
    assert_eq!(names_in(dir.path()), ["report.html"], "nothing is left beside it");
    let again = dir.path().join("again.html");
    audit_html(&again);
    assert_eq!(
        fs::read_to_string(again).unwrap(),
        page,
        "the same report gives the same bytes"
    );
}

#[test]
fn what_cannot_be_a_file_is_refused_in_one_sentence() {
    let dir = TempDir::new().unwrap();
    for (target, word) in [
        (dir.path().to_owned(), "is a directory"),
        (dir.path().join("no/where.html"), "make the directory"),
    ] {
        let output = audit_html(&target);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains(word) && said.trim_end().lines().count() == 1,
            "{said}"
        );
        assert!(output.stdout.is_empty(), "it is refused before anything is read");
    }
    assert!(names_in(dir.path()).is_empty());
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn element(page: &str, id: &str) -> Value {
    let begin = format!("<script type=\"application/json\" id=\"{id}\">");
    let rest = page.split(&begin).nth(1).unwrap();
    serde_json::from_str(rest.split("</script>").next().unwrap()).unwrap()
}

/// Every series of a run as the page has it: rank, tag, whether it is estimated, totals.
fn series_of_page(run: &Value) -> Vec<(Value, &Value)> {
    let mut found = Vec::new();
    for source in run["sources"].as_array().unwrap() {
        let grids = source["grids"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|it| it["groups"].as_array().unwrap());
        let rows = grids.flat_map(|it| it["rows"].as_array().unwrap());
        found.extend(
            source["lines"]
                .as_array()
                .unwrap()
                .iter()
                .chain(rows)
                .map(|it| (source["rank"].clone(), it)),
        );
    }
    found
}

#[test]
fn the_numbers_of_the_page_are_those_of_inspect() {
    let dir = TempDir::new().unwrap();
    let target = dir.path().join("report.html");
    audit_html(&target);
    let page = read(&target);
    let inspected = Command::new(env!("CARGO_BIN_EXE_gradwatch"))
        .args(["inspect", "--format", "json"])
        .arg(root().join("fixtures/runs"))
        .output()
        .unwrap();
    let inspected: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    let keys = element(&page, "overview")["runs"].as_array().unwrap().len();
    let mut n_series = 0;
    for index in 0..keys {
        let shown = element(&page, &format!("run-{index}"));
        let runs = inspected["runs"].as_array().unwrap();
        let run = runs.iter().find(|it| it["run"] == shown["run"]).unwrap();
        // What nobody knows the meaning of is not drawn.
        let is_known = |it: &&Value| it["quantity"] != "other";
        let series: Vec<&Value> = run["series"]
            .as_array()
            .unwrap()
            .iter()
            .filter(is_known)
            .collect();
        let of_page = series_of_page(&shown);
        assert_eq!(of_page.len(), series.len(), "{}", shown["run"]);
        for (rank, info) in of_page {
            let is_it = |it: &&&Value| {
                it["tag"] == info["tag"] && it["rank"] == rank && it["points"] == info["totals"]["points"]
            };
            let known = series.iter().filter(is_it).find(|it| {
                let totals = info["totals"].as_object().unwrap();
                totals.iter().all(|(key, value)| it[key] == *value)
            });
            assert!(known.is_some(), "{} {info}", shown["run"]);
            // A curve is drawn over the steps of its series, also where a copy of it has rows instead of steps.
            if let Some(first) = info["first"].as_array() {
                assert_eq!(
                    first.first(),
                    Some(&info["totals"]["first_step"]),
                    "{} {}",
                    shown["run"],
                    info["tag"]
                );
            }
            n_series += 1;
        }
    }
    assert!(n_series > 200, "{n_series}");
}

fn plot(run: &str, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_gradwatch"))
        .arg("inspect")
        .arg(root().join("fixtures/runs").join(run))
        .args(args)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_plot_shows_layers_the_profile_and_what_is_not_finite() {
    let text = plot("vanishing-sigmoid", &["--plot", "grad_norm", "--at", "10"]);
    assert_eq!(
        text.lines().filter(|it| it.starts_with("  layer_")).count(),
        12,
        "{text}"
    );
    assert!(
        text.contains("at step 10: input ▁") && text.contains("█ output"),
        "{text}"
    );
    assert!(
        text.contains("x0.148 toward the input; a factor of 1.37e9 over 12 layers"),
        "{text}"
    );
    assert!(text.lines().all(|it| it.chars().count() <= 110), "{text}");
    let sick = plot("nan-bad-data", &["--plot", "grad_norm"]);
    assert!(sick.contains("!!!") && sick.contains("NaN"), "{sick}");
    let loss = plot("nan-bad-data", &["--plot", "loss"]);
    assert!(
        loss.contains("!!!") && loss.contains("last NaN, 35 of 81 points not finite, the first at step 138"),
        "{loss}"
    );
    assert!(plot("keras-healthy", &["--plot", "weight_norm"]).contains("no weight_norm in this run"));
}
