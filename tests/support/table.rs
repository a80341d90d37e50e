//! The fault table: a line per case, with what is promised and what was seen.
//!
//! In: the figures of a test that has passed. Out: a line on standard output, and in the file that
//! `$GRADWATCH_FAULT_TABLE` names, where `tests/run` gathers them. Invariant: a line is written by the test that ran the
//! case, after its last assertion.

use std::fs::OpenOptions;
use std::io::Write;

/// Adds a line.
pub(crate) fn seen(case: &str, promised: &str, seen: &str) {
    add(&format!("fault {case} | {promised} | {seen}"));
}

/// Says that a case cannot be shown here.
pub(crate) fn skip(case: &str, why: &str) {
    add(&format!("skipped: fault {case}: {why}"));
}

fn add(line: &str) {
    println!("{line}");
    let Some(path) = std::env::var_os("GRADWATCH_FAULT_TABLE") else {
        return;
    };
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    // One write: other tests add lines at the same time.
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}
