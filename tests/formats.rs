//! Golden readings: a small log of each format, and what a person sees in it.
//!
//! Each directory of `fixtures/formats` is one logging directory, made by hand or by a script of `fixtures/make`;
//! `fixtures/formats/<name>.golden` lists its runs, files, series and problems. `UPDATE_GOLDEN=1` writes them anew.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use gradwatch::rules::{Rule, builtin};
use gradwatch::source::discover;

use crate::support::{judge, root};

/// One line per fact, in an order that does not depend on the file system.
fn reading(dir: &Path, rules: &[Rule]) -> String {
    let mut out = String::new();
    for (report, points) in judge(dir, rules) {
        let _ = writeln!(out, "run {} ({})", report.run, report.depth_order.as_str());
        let mut files: Vec<_> = report.files.iter().collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        for file in files {
            let (path, format) = (&file.path, &file.format);
            let _ = writeln!(
                out,
                "  file {path} {format}: {} records, {} skipped",
                file.records, file.skipped
            );
        }
        let mut series: Vec<_> = report.series.iter().map(|(_, info)| info).collect();
        series.sort_by(|a, b| a.tag.cmp(&b.tag));
        for info in series {
            let (quantity, split) = (info.meaning.quantity.as_str(), info.meaning.split.as_str());
            let mark = if info.is_estimate { " (estimate)" } else { "" };
            let _ = writeln!(out, "  {} is {quantity}, {split}{mark}", info.tag);
            for (step, value) in points.get(&info.tag).into_iter().flatten() {
                let _ = writeln!(out, "    {step} {value}");
            }
        }
        for problem in &report.problems {
            let _ = writeln!(out, "  problem {problem}");
        }
    }
    out
}

#[test]
fn every_format_reads_as_it_did() {
    let formats = root().join("fixtures/formats");
    let mut names: Vec<_> = fs::read_dir(&formats)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.is_dir())
        .collect();
    names.sort();
    assert!(names.len() >= 15, "only {} formats", names.len());
    let mut wrong = Vec::new();
    for dir in &names {
        let golden = dir.with_extension("golden");
        let now = reading(dir, &[]);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &now).unwrap();
        }
        let before = fs::read_to_string(&golden).unwrap_or_default();
        if now != before {
            println!("--- {}\n{before}+++ now\n{now}", dir.display());
            wrong.push(dir.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    assert!(
        wrong.is_empty(),
        "{wrong:?} read differently; UPDATE_GOLDEN=1 accepts it"
    );
}

#[test]
fn numbers_that_are_nan_by_nature_raise_no_alarm() {
    let rules = &builtin().rules;
    for name in [
        "modded_nanogpt",
        "detectron2",
        "explained_variance",
        "rllib",
        "rllib_csv",
    ] {
        for (report, _) in judge(&root().join("fixtures/formats").join(name), rules) {
            let alarms: Vec<_> = report
                .findings
                .iter()
                .filter(|it| it.family.as_str() == "nonfinite" && it.severity.as_str() != "info")
                .map(|it| &it.message)
                .collect();
            assert!(alarms.is_empty(), "{name}: {alarms:?}");
        }
    }
}

#[test]
fn fixtures_are_small_and_all_are_found() {
    let formats = root().join("fixtures/formats");
    let found = discover(&[formats]);
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    for file in found
        .runs
        .iter()
        .flat_map(|run| run.streams.iter().flat_map(|it| &it.files))
    {
        let bytes = fs::metadata(file).unwrap().len();
        assert!(bytes < 10_000, "{}: {bytes} bytes", file.display());
    }
}
