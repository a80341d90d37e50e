//! The walk through the simulator does what it says.
//!
//! In: `docs/simulator.md`. Out: every command of it run in a directory of its own, one after the other, and every line
//! of its output looked for. Invariant: a block of text belongs to the last command before it.

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
