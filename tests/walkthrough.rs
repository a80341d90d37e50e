//! The walks through the simulator and the report do what they say.
//!
//! In: `docs/simulator.md`, `docs/reading-the-report.md`. Out: every command of them run in a directory of its own, one
//! after the other, and every line of output that is shown looked for. Invariant: a block of text belongs to the last
//! command before it. What the browser shows is compared in `tests/browser`.

use std::process::Command;

use crate::support::root;

/// Fenced blocks: their language and their lines.
fn blocks(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, Vec<&str>)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language, Vec::new())),
            (Some(_), block) => blocks.extend(block.take()),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    blocks
}

#[test]
fn every_command_prints_what_the_document_shows() {
    let document = std::fs::read_to_string(root().join("docs/simulator.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (mut printed, mut n_commands, mut n_lines) = (String::new(), 0, 0);
    for (language, lines) in blocks(&document) {
        if language == "sh" {
            for line in lines {
                let args = line.strip_prefix("gradwatch ").unwrap().split_whitespace();
                let output = Command::new(env!("CARGO_BIN_EXE_gradwatch"))
                    .args(args)
                    .current_dir(dir.path())
                    .output()
                    .unwrap();
                // 1: findings.
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(matches!(output.status.code(), Some(0 | 1)), "{line}: {said}");
                printed = String::from_utf8(output.stdout).unwrap();
                n_commands += 1;
            }
            continue;
        }
        assert_eq!(language, "text");
        let mut rest = printed.lines().map(str::trim_end);
        for line in lines.into_iter().filter(|it| *it != "[...]" && !it.is_empty()) {
            assert!(
                rest.any(|it| it == line),
                "not printed, or not in this order: {line}\n{printed}"
            );
            n_lines += 1;
        }
    }
    assert!(
        n_commands >= 12 && n_lines >= 20,
        "{n_commands} commands, {n_lines} lines"
    );
}

#[test]
fn every_command_about_the_report_works_and_every_picture_is_there() {
    let document = std::fs::read_to_string(root().join("docs/reading-the-report.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("fixtures"), dir.path().join("fixtures")).unwrap();
    let commands = blocks(&document)
        .into_iter()
        .filter(|it| it.0 == "sh")
        .flat_map(|it| it.1);
    let mut n_reports = 0;
    for line in commands {
        let args = line.strip_prefix("gradwatch ").unwrap().split_whitespace();
        let output = Command::new(env!("CARGO_BIN_EXE_gradwatch"))
            .args(args)
            .current_dir(dir.path())
            .output()
            .unwrap();
        // 1: findings.
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{line}: {said}");
        let report = dir.path().join("report.html");
        n_reports += usize::from(report.exists());
        // The next one writes its own.
        let _ = std::fs::remove_file(report);
    }
    assert_eq!(n_reports, 2);
    let pictures: Vec<&str> = document
        .split("](pictures/")
        .skip(1)
        .filter_map(|it| it.split(')').next())
        .collect();
    assert!(pictures.len() >= 6, "{pictures:?}");
    for name in pictures {
        assert!(root().join("docs/pictures").join(name).is_file(), "{name}");
    }
}
