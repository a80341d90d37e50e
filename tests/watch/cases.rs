//! What becomes of alarms when files are rewritten, come in pieces, come late, or cannot be read: the core of the watch
//! without clock and process, so that what happens when is decided here.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use gradwatch::alert::{News, Over};
use gradwatch::app::watch::Watch;
use gradwatch::decode::event_write::{file_of, scalar_event, session_start_event, version_event};
use gradwatch::rules::load_builtin;
use gradwatch::source::Polled;

use super::same::{audited, compare_files, look, sorted};
use super::{append, falling, rows};

/// What was said of a rule.
fn said(watch: &mut Watch<'_>, rule: &str) -> Vec<News> {
    let mut notices = Vec::new();
    watch.walk();
    look(watch, &mut notices);
    notices
        .iter()
        .filter(|it| it.finding.rule == rule)
        .map(|it| it.news)
        .collect()
}

fn trainer_state(n_rows: i64, nan_from: i64) -> String {
    let loss = |step| {
        if step >= nan_from {
            "NaN".to_owned()
        } else {
            falling(step)
        }
    };
    let rows: Vec<String> = (0..n_rows)
        .map(|step| {
            format!(
                "    {{\"epoch\": 0.1, \"loss\": {}, \"step\": {step}}}",
                loss(step)
            )
        })
        .collect();
    format!(
        "{{\n  \"global_step\": {n_rows},\n  \"log_history\": [\n{}\n  ],\n  \"max_steps\": 1000\n}}\n",
        rows.join(",\n")
    )
}

#[test]
fn a_document_that_is_rewritten_with_more_rows_says_its_alarm_once() {
    let dir = tempfile::tempdir().unwrap();
    let rules = load_builtin().unwrap();
    let mut watch = Watch::new(&[dir.path().to_owned()], &rules.rules);
    let path = dir.path().join("trainer_state.json");
    let mut after = |text: &str| {
        fs::write(&path, text).unwrap();
        said(&mut watch, "non-finite-loss")
    };
    assert_eq!(after(&trainer_state(60, 1000)), []);
    assert_eq!(after(&trainer_state(80, 70)), [News::Alarm]);
    assert_eq!(after(&trainer_state(90, 70)), []);
    // A writer that was met in the middle of its work.
    let half = trainer_state(100, 70);
    assert_eq!(after(&half[..half.len() / 3]), []);
    assert_eq!(after(&half), []);
    assert_eq!(
        after(&trainer_state(60, 1000)),
        [],
        "the new attempt has not come as far"
    );
    assert_eq!(
        after(&trainer_state(75, 1000)),
        [News::Resolved(Over::NotSeenAgain)]
    );
    assert_eq!(after(&trainer_state(80, 76)), [News::Alarm]);
}

#[test]
fn a_format_is_recognised_when_enough_of_it_has_come() {
    let rules = load_builtin().unwrap();
    let text = rows(0..60, falling) + &rows(60..70, |_| "NaN".to_owned());
    for cut in [1, 2, 5, 9, 13, 20] {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(&[dir.path().to_owned()], &rules.rules);
        let path = dir.path().join("metrics.jsonl");
        append(&path, &text[..cut]);
        assert_eq!(said(&mut watch, "non-finite-loss"), []);
        append(&path, &text[cut..]);
        assert_eq!(said(&mut watch, "non-finite-loss"), [News::Alarm], "cut at {cut}");
    }
}

#[test]
fn a_line_is_judged_when_its_end_has_come() {
    let rules = load_builtin().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut watch = Watch::new(&[dir.path().to_owned()], &rules.rules);
    let path = dir.path().join("train.log");
    let text = (0..60)
        .map(|step| format!("step {step} loss {}\n", falling(step)))
        .collect::<Vec<_>>()
        .concat();
    append(&path, &text);
    append(&path, "step 60 loss nan");
    assert_eq!(said(&mut watch, "non-finite-loss"), []);
    append(&path, "\n");
    assert_eq!(said(&mut watch, "non-finite-loss"), [News::Alarm]);
}

#[test]
fn the_same_number_in_two_files_of_a_run_is_one_alarm() {
    let rules = load_builtin().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut watch = Watch::new(&[dir.path().to_owned()], &rules.rules);
    let loss = |step: i64| {
        if step < 60 {
            falling(step)
        } else {
            "nan".to_owned()
        }
    };
    let csv = (0..70)
        .map(|step| format!("{step},{}\n", loss(step)))
        .collect::<Vec<_>>()
        .concat();
    append(&dir.path().join("metrics.csv"), &format!("step,loss\n{csv}"));
    assert_eq!(said(&mut watch, "non-finite-loss"), [News::Alarm]);
    append(
        &dir.path().join("metrics.jsonl"),
        &(rows(0..60, falling) + &rows(60..70, |_| "NaN".to_owned())),
    );
    assert_eq!(said(&mut watch, "non-finite-loss"), []);
}

#[test]
fn a_path_that_is_not_there_is_said_once_and_followed_when_it_comes() {
    let rules = load_builtin().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("later");
    let mut watch = Watch::new(std::slice::from_ref(&root), &rules.rules);
    assert_eq!(watch.walk().problems.len(), 1);
    assert_eq!(watch.walk().problems.len(), 0);
    fs::create_dir(&root).unwrap();
    append(
        &root.join("metrics.jsonl"),
        &(rows(0..60, falling) + &rows(60..70, |_| "NaN".to_owned())),
    );
    assert_eq!(said(&mut watch, "non-finite-loss"), [News::Alarm]);
    // A root that goes away and comes back says nothing twice.
    fs::rename(&root, dir.path().join("elsewhere")).unwrap();
    assert_eq!(said(&mut watch, "non-finite-loss"), []);
    fs::rename(dir.path().join("elsewhere"), &root).unwrap();
    assert_eq!(said(&mut watch, "non-finite-loss"), []);
}

#[test]
fn a_run_in_which_nothing_changes_is_idle() {
    let rules = load_builtin().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut watch = Watch::new(&[dir.path().to_owned()], &rules.rules);
    append(&dir.path().join("metrics.jsonl"), &rows(0..60, falling));
    said(&mut watch, "");
    for _ in 0..3 {
        let (polled, heard) = watch.poll(&|| false);
        assert_eq!(
            (polled, heard.notices.len(), heard.problems.len()),
            (Polled::Idle, 0, 0)
        );
    }
}

/// Event files of one run: `(begins at step, ends before, begins with a session start, NaN from)`.
fn event_files(parts: &[(i64, i64, bool, i64)]) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut clock = 1e9;
    let file = |(number, &(from, to, is_session, nan_from)): (usize, &(i64, i64, bool, i64))| {
        let mut events = vec![version_event(clock)];
        if is_session {
            events.push(session_start_event(clock, from));
        }
        for step in from..to {
            clock += 1.0;
            let loss = if step >= nan_from {
                f32::NAN
            } else {
                falling(step).parse().unwrap()
            };
            events.push(scalar_event(clock, step, "loss", loss));
        }
        (format!("events.out.tfevents.{number}").into(), file_of(&events))
    };
    parts.iter().enumerate().map(file).collect()
}

#[test]
fn event_files_of_one_run_in_any_order_of_arrival_end_as_audit_ends() {
    let rules = load_builtin().unwrap();
    let cases: [&[(i64, i64, bool, i64)]; 4] = [
        // A job that was resumed, once by a later session that replaces the NaN, once from its last step on.
        &[(0, 90, false, 80), (70, 140, true, 1000)],
        &[(0, 60, false, 1000), (60, 130, false, 100)],
        &[(0, 60, true, 50), (40, 90, true, 85), (70, 150, true, 1000)],
        &[(0, 60, true, 1000), (40, 90, true, 85)],
    ];
    for (number, parts) in cases.iter().enumerate() {
        let files = event_files(parts);
        let problems = compare_files(&format!("case {number}"), &files, 0..12, &rules.rules);
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}

#[test]
fn writers_that_flush_in_turns_end_as_audit_ends() {
    let rules = load_builtin().unwrap();
    // Two processes write at the same time, each its own file.
    let writer = |number: i64, tag: &str| {
        let points = (0..120).map(|step| {
            let value = if step >= 100 {
                f32::INFINITY
            } else {
                falling(step).parse().unwrap()
            };
            scalar_event(1e9 + step as f64 + 0.1 * number as f64, step, tag, value)
        });
        let events: Vec<Vec<u8>> = std::iter::once(version_event(1e9)).chain(points).collect();
        (format!("events.out.tfevents.{number}").into(), file_of(&events))
    };
    for tags in [["loss", "grad_norm"], ["loss", "loss"]] {
        let files = vec![writer(0, tags[0]), writer(1, tags[1])];
        let problems = compare_files(&tags.join(" and "), &files, 0..12, &rules.rules);
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}

#[test]
fn a_watch_that_follows_to_the_byte_gives_what_audit_gives() {
    let rules = load_builtin().unwrap();
    let text = rows(0..30, falling) + &rows(30..36, |_| "NaN".to_owned()) + &rows(20..26, falling);
    let dir = tempfile::tempdir().unwrap();
    let mut watch = Watch::new(&[dir.path().to_owned()], &rules.rules);
    let path = dir.path().join("metrics.jsonl");
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(Path::new(&path))
        .unwrap();
    for (n, byte) in text.bytes().enumerate() {
        file.write_all(&[byte]).unwrap();
        if n == 0 {
            watch.walk();
        }
        look(&mut watch, &mut Vec::new());
    }
    let (report, _) = watch.finish();
    let followed = sorted(report.runs.into_iter().map(|it| (it.run, it.findings)));
    let expected = audited(dir.path(), &rules.rules);
    assert!(!expected.is_empty());
    assert_eq!(format!("{followed:?}"), format!("{expected:?}"));
}
