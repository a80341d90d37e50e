//! Golden readings: a small log of each format, and what a person sees in it.
//!
//! Each directory of `fixtures/formats` is one logging directory, made by hand or by a script of `fixtures/make`;
//! `fixtures/formats/<name>.golden` lists its runs, files, series and problems. `UPDATE_GOLDEN=1` writes them anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use gradwatch::decode::{Opened, Sink, open};
use gradwatch::model::{Mark, Problem, Sample, TextLine};
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
            let smoothed = info.smoothing.map_or_else(String::new, |it| format!(" ({it})"));
            let _ = writeln!(out, "  {} is {quantity}, {split}{mark}{smoothed}", info.tag);
            for (step, value) in points.get(&*info.tag).into_iter().flatten() {
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
    assert!(names.len() >= 70, "only {} formats", names.len());
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

/// The formats beside the table of line formats, which `decode::text` holds to have a fixture line per entry.
/// Event files are in `fixtures/frameworks`, a user's own patterns in `own_patterns`.
const FORMATS: [&str; 16] = [
    "clearml",
    "csv",
    "csv-long",
    "json",
    "jsonl",
    "mlflow",
    "text-block",
    "text-boxed-table",
    "text-columns",
    "text-keras",
    "text-keyvalue",
    "text-progress-bar",
    "text-python-dict",
    "trainer-state",
    "tsv",
    "wandb",
];

#[test]
fn every_format_has_a_reading() {
    let goldens = fs::read_dir(root().join("fixtures/formats")).unwrap();
    let paths = goldens.map(|it| it.unwrap().path());
    let readings: String = paths
        .filter(|it| it.extension().is_some_and(|it| it == "golden"))
        .map(|it| fs::read_to_string(it).unwrap())
        .collect();
    let without: Vec<&str> = FORMATS
        .into_iter()
        .filter(|it| !readings.contains(&format!(" {it}: ")))
        .collect();
    assert!(without.is_empty(), "no fixture reads as {without:?}");
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

/// What a decoder said, call by call.
#[derive(Default)]
struct Calls {
    all: Vec<String>,
    /// Offset, tag, step and value of each sample.
    samples: Vec<(u64, String)>,
}

impl Sink for Calls {
    fn sample(&mut self, sample: &Sample<'_>) {
        let Sample {
            tag,
            step,
            value,
            offset,
            ..
        } = *sample;
        self.samples.push((offset, format!("{step} {tag} {value}")));
        self.all.push(format!("{sample:?}"));
    }
    fn line(&mut self, line: &TextLine<'_>) {
        self.all.push(format!("{line:?}"));
    }
    fn mark(&mut self, mark: Mark<'_>) {
        self.all.push(format!("{mark:?}"));
    }
    fn problem(&mut self, problem: Problem) {
        self.all.push(format!("{problem:?}"));
    }
}

/// Reads pieces with the decoder that the whole file is recognised for.
fn calls_of(path: &Path, pieces: &[&[u8]]) -> Calls {
    let whole = pieces.concat();
    let mut calls = Calls::default();
    if let Opened::Decoder(mut decoder) = open(&whole, &path.to_string_lossy()) {
        for piece in pieces {
            decoder.feed(piece, &mut calls);
        }
        decoder.finish(&mut calls);
    }
    calls
}

fn files() -> Vec<(PathBuf, Vec<u8>)> {
    let found = discover(&[root().join("fixtures/formats")]);
    let streams = found.runs.iter().flat_map(|run| &run.streams);
    let mut files: Vec<PathBuf> = streams.flat_map(|it| it.files.iter().cloned()).collect();
    files.sort();
    assert!(files.len() >= 70, "only {} files", files.len());
    files
        .into_iter()
        .map(|it| (it.clone(), fs::read(it).unwrap()))
        .collect()
}

/// Splitmix64 (Steele, Lea, Flood 2014).
fn dice(seed: &mut u64, below: usize) -> usize {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) % below.max(1) as u64) as usize
}

#[test]
fn any_byte_split_gives_the_same_calls() {
    let mut seed = 7;
    for (path, bytes) in files() {
        let whole = calls_of(&path, &[&bytes]).all;
        assert!(!whole.is_empty(), "{}", path.display());
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert!(
            calls_of(&path, &single).all == whole,
            "{}: byte by byte",
            path.display()
        );
        for _ in 0..24 {
            let cut = dice(&mut seed, bytes.len() + 1);
            let (left, right) = bytes.split_at(cut);
            assert!(
                calls_of(&path, &[left, right]).all == whole,
                "{}: cut at {cut}",
                path.display()
            );
        }
    }
}

/// Samples of `whole` that are not in `now`, each as often as it is missing.
fn lost<'c>(whole: impl Iterator<Item = &'c (u64, String)>, now: &Calls) -> usize {
    let mut left: Vec<&str> = now.samples.iter().map(|(_, it)| it.as_str()).collect();
    left.sort_unstable();
    let mut left: BTreeMap<&str, usize> = left.into_iter().fold(BTreeMap::new(), |mut counts, it| {
        *counts.entry(it).or_default() += 1;
        counts
    });
    let is_lost = |(_, it): &&(u64, String)| match left.get_mut(it.as_str()) {
        Some(n @ 1..) => {
            *n -= 1;
            false
        }
        _ => true,
    };
    whole.filter(is_lost).count()
}

/// Where the header of a table ends, and comments before it: what is damaged there is no record.
fn header_end(bytes: &[u8]) -> usize {
    let lines = bytes.split_inclusive(|it| *it == b'\n');
    let comments: usize = lines
        .clone()
        .take_while(|it| it.starts_with(b"#"))
        .map(<[u8]>::len)
        .sum();
    let header = lines
        .skip_while(|it| it.starts_with(b"#"))
        .map(<[u8]>::len)
        .next();
    comments + header.unwrap_or_default()
}

fn is_of_lines(path: &Path) -> bool {
    let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    ["log", "txt", "jsonl", "csv", "tsv"].contains(&extension)
}

/// The most samples that one step of a log has: what one damaged record may cost.
fn samples_of_a_step(whole: &Calls) -> usize {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, shown) in &whole.samples {
        *counts
            .entry(shown.split(' ').next().unwrap_or_default())
            .or_default() += 1;
    }
    counts.values().copied().max().unwrap_or_default()
}

#[test]
fn a_log_that_is_cut_keeps_what_stands_before_the_cut() {
    let mut wrong = Vec::new();
    let mut seed = 11;
    for (path, bytes) in files() {
        let whole = calls_of(&path, &[&bytes]);
        let slack = samples_of_a_step(&whole);
        for _ in 0..24 {
            let cut = dice(&mut seed, bytes.len());
            let now = calls_of(&path, &[&bytes[..cut]]);
            // Of a file of a few lines nothing may be recognised.
            if !is_of_lines(&path) || cut < bytes.len() / 3 {
                continue;
            }
            let line_start = bytes[..cut]
                .iter()
                .rposition(|it| *it == b'\n')
                .map_or(0, |it| it + 1);
            let before = || {
                whole
                    .samples
                    .iter()
                    .filter(|(offset, _)| (*offset as usize) < line_start)
            };
            // The steps of dicts, bars and tables sorted by metric are known from what follows.
            let n_lost = lost(before(), &now);
            if n_lost > slack {
                let (shown, n) = (path.display(), before().count());
                wrong.push(format!("{shown}: cut at {cut}: {n_lost} of {n} lost"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_flipped_byte_costs_its_record() {
    let mut wrong = Vec::new();
    let mut seed = 13;
    for (path, bytes) in files() {
        let whole = calls_of(&path, &[&bytes]);
        let first_line = header_end(&bytes);
        // What a header or a heading says holds for all lines below, a step for those that count from it.
        let slack = whole.samples.len() / 2 + samples_of_a_step(&whole);
        for _ in 0..24 {
            let at = dice(&mut seed, bytes.len());
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << dice(&mut seed, 8);
            let now = calls_of(&path, &[&damaged]);
            if is_of_lines(&path) && at > first_line {
                let n_lost = lost(whole.samples.iter(), &now);
                let shown = path.display();
                if n_lost > slack {
                    wrong.push(format!(
                        "{shown}: byte {at} flipped: {n_lost} of {} lost",
                        whole.samples.len()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_line_of_noise_costs_at_most_the_record_around_it() {
    const NOISE: [&str; 4] = [
        "WARNING: something 100% unrelated happened (code 7) at 10:02:33\n",
        "\n",
        "\x1b[31m\u{fffd}\u{fffd}\x07 ~~~ 0x7f3a\n",
        "  File \"/usr/lib/python3.12/site-packages/x.py\", line 7, in step\n",
    ];
    let mut wrong = Vec::new();
    let mut seed = 17;
    for (path, bytes) in files().into_iter().filter(|(path, _)| is_of_lines(path)) {
        let whole = calls_of(&path, &[&bytes]);
        let ends: Vec<usize> = (0..bytes.len())
            .filter(|it| bytes[*it] == b'\n' && it + 1 >= header_end(&bytes))
            .map(|it| it + 1)
            .collect();
        for _ in 0..16 {
            // Not before the header of a table.
            let at = ends[dice(&mut seed, ends.len())];
            let noise = NOISE[dice(&mut seed, NOISE.len())].as_bytes();
            let now = calls_of(&path, &[&bytes[..at], noise, &bytes[at..]]);
            let n_lost = lost(whole.samples.iter(), &now);
            let shown = path.display();
            if n_lost > samples_of_a_step(&whole) {
                let (noise, n) = (String::from_utf8_lossy(noise), whole.samples.len());
                wrong.push(format!("{shown}: {noise:?} at {at}: {n_lost} of {n} lost"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_lines_in_the_readme_are_read_as_it_says() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- text formats: begin").unwrap();
    let (table, _) = rest.split_once("<!-- text formats: end -->").unwrap();
    let rows: Vec<&str> = table.lines().filter(|it| it.contains(" | text-")).collect();
    assert!(rows.len() >= 30, "only {} rows", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        let (_, row) = row.split_once(" | text-").unwrap();
        let (name, lines) = row.split_once(" | ").unwrap();
        let lines = lines.replace("\\|", "|");
        let lines: Vec<&str> = lines.split('`').skip(1).step_by(2).collect();
        let (text, mut calls) = (lines.join("\n") + "\n", Calls::default());
        let Opened::Decoder(mut decoder) = open(text.as_bytes(), "train.log") else {
            wrong.push(format!("{name}: not recognised"));
            continue;
        };
        decoder.feed(text.as_bytes(), &mut calls);
        decoder.finish(&mut calls);
        if decoder.format() != format!("text-{name}") || calls.samples.is_empty() {
            wrong.push(format!("{name}: {} with {:?}", decoder.format(), calls.samples));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
