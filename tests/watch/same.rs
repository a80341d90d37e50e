//! One engine: a directory that was followed while it was written gives the findings that `audit` gives afterwards.
//!
//! In: recorded runs. Each is written again, piece by piece, with looks in between; the cuts are random, from fixed
//! seeds. Out: equal findings, rule by rule. Invariant: pieces of one file come in order, and files in any order.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use gradwatch::alert::{News, Notice};
use gradwatch::app::InForce;
use gradwatch::app::pipeline::judge_run;
use gradwatch::app::watch::Watch;
use gradwatch::model::{Finding, Severity};
use gradwatch::rules::{Rule, load_builtin};
use gradwatch::source::{Polled, discover};

use crate::support::{root, shared};

/// Splitmix64 (Steele, Lea, Flood 2014): enough to cut files.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n.max(1)
    }
}

/// Files of a run, relative to it, with their content.
fn content_of(run: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut open = vec![run.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push((
                    path.strip_prefix(run).unwrap().to_owned(),
                    fs::read(&path).unwrap(),
                ));
            }
        }
    }
    files.sort();
    files
}

fn append(dir: &Path, name: &Path, bytes: &[u8]) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

/// By run; in an order that does not depend on when what was found.
pub(crate) type Findings = Vec<(String, Vec<Finding>)>;

pub(super) fn sorted(runs: impl Iterator<Item = (String, Vec<Finding>)>) -> Findings {
    let mut runs: Findings = runs.filter(|(_, it)| !it.is_empty()).collect();
    for (_, findings) in &mut runs {
        findings.sort_by_cached_key(|it| format!("{it:?}"));
    }
    runs.sort_by(|a, b| a.0.cmp(&b.0));
    runs
}

pub(crate) fn audited<'r>(dir: &Path, by: impl Into<InForce<'r>>) -> Findings {
    let by = by.into();
    let found = discover(&[dir.to_owned()]);
    sorted(found.runs.iter().map(|run| {
        let report = judge_run(run, by, &|_| None, &|_| ());
        (report.run, report.findings)
    }))
}

pub(super) fn look(watch: &mut Watch<'_>, notices: &mut Vec<Notice>) {
    loop {
        let (polled, heard) = watch.poll(&|| false);
        notices.extend(heard.notices);
        if polled != Polled::More {
            return;
        }
    }
}

/// Writes the files in random pieces into an empty directory while it is followed; sometimes the watch is ended in the
/// middle and another one begins.
fn followed(
    files: &[(PathBuf, Vec<u8>)],
    dir: &Path,
    by: InForce<'_>,
    dice: &mut Dice,
) -> (Findings, Vec<Notice>) {
    let paths = [dir.to_owned()];
    let (mut watch, mut notices) = (Watch::new(&paths, by), Vec::new());
    let mut left: Vec<(&Path, &[u8])> = files
        .iter()
        .map(|(name, it)| (name.as_path(), it.as_slice()))
        .collect();
    let total: usize = files.iter().map(|(_, it)| it.len()).sum();
    // About a dozen looks per run, however long it is.
    let piece_max = (total / 6).max(8) as u64;
    while !left.is_empty() {
        for _ in 0..=dice.below(2) {
            // Mostly the first file, so that some are written one after the other and some together.
            let at = if dice.below(2) == 0 {
                0
            } else {
                dice.below(left.len() as u64) as usize
            };
            let Some((name, bytes)) = left.get_mut(at) else {
                continue;
            };
            let n = (1 + dice.below(piece_max) as usize).min(bytes.len());
            append(dir, name, &bytes[..n]);
            *bytes = &bytes[n..];
            if bytes.is_empty() {
                left.remove(at);
            }
        }
        if dice.below(8) == 0 {
            (watch, notices) = (Watch::new(&paths, by), Vec::new());
        }
        watch.walk();
        look(&mut watch, &mut notices);
    }
    watch.walk();
    look(&mut watch, &mut notices);
    let (report, last) = watch.finish();
    notices.extend(last);
    (
        sorted(report.runs.into_iter().map(|it| (it.run, it.findings))),
        notices,
    )
}

/// What stands in the report as a warning or worse must have been said, and not have been taken back.
fn unsaid(findings: &Findings, notices: &[Notice]) -> Vec<String> {
    let mut unsaid = Vec::new();
    for (run, findings) in findings {
        let stands = |it: &&Finding| it.severity >= Severity::Warning && !it.has_healed && !it.is_superseded;
        for finding in findings.iter().filter(stands) {
            let is_it = |it: &&Notice| {
                it.run == *run
                    && it.finding.rule == finding.rule
                    && it.finding.kind == finding.kind
                    && it.finding.quantity == finding.quantity
                    && it.finding.tag == finding.tag
            };
            let last = notices.iter().rev().find(is_it).map(|it| it.news);
            if !matches!(last, Some(News::Alarm | News::Worse)) {
                unsaid.push(format!("{run}: {} was last said as {last:?}", finding.rule));
            }
        }
    }
    unsaid
}

fn compare(run: &Path, seeds: std::ops::Range<u64>, rules: &[Rule]) -> Vec<String> {
    compare_files(&run.to_string_lossy(), &content_of(run), seeds, rules)
}

/// Follows these files as they are written, once per seed; what differs from the audit of the whole.
pub(crate) fn compare_files<'r>(
    name: &str,
    files: &[(PathBuf, Vec<u8>)],
    seeds: std::ops::Range<u64>,
    by: impl Into<InForce<'r>>,
) -> Vec<String> {
    let by = by.into();
    let mut problems = Vec::new();
    for seed in seeds {
        let dir = tempfile::tempdir().unwrap();
        let (findings, notices) = followed(files, dir.path(), by, &mut Dice(seed));
        let expected = audited(dir.path(), by);
        // As text: a NaN is not equal to itself.
        if format!("{findings:?}") != format!("{expected:?}") {
            problems.push(format!(
                "{name} seed {seed}:\n followed {findings:#?}\n audited {expected:#?}"
            ));
        }
        let unsaid = unsaid(&expected, &notices);
        problems.extend(unsaid.iter().map(|it| format!("{name} seed {seed}: {it}")));
    }
    problems
}

fn runs_in(dir: &Path) -> Vec<PathBuf> {
    let mut runs: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.is_dir())
        .collect();
    runs.sort();
    runs
}

fn assert_same(dir: &Path, seeds: &std::ops::Range<u64>) {
    let rules = load_builtin().unwrap();
    let runs = runs_in(dir);
    assert!(!runs.is_empty());
    let problems: Vec<String> = runs
        .iter()
        .flat_map(|run| compare(run, seeds.clone(), &rules.rules))
        .collect();
    assert!(
        problems.is_empty(),
        "{} differ:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

#[test]
fn a_followed_run_is_judged_as_a_finished_one() {
    assert_same(&root().join("fixtures/runs"), &(0..4));
}

#[test]
fn every_recorded_run_is_judged_the_same_when_it_is_followed() {
    if let Some(runs) = shared("corpus/runs") {
        assert_same(&runs, &(100..101));
    }
}
