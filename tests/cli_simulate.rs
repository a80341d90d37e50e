//! `simulate` and `calibrate` from outside: what is wrong is said in one sentence, and nothing half-written stays.
//!
//! In: bad arguments and bad places. Out: exit status 2, one line on standard error. Invariant: a directory looks
//! after a failure as it looked before.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn gradwatch(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gradwatch"))
        .args(args)
        .output()
        .unwrap()
}

#[track_caller]
fn refused(args: &[&str], words: &str) {
    let output = gradwatch(args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    assert!(
        said.contains(words) && !said.contains("panicked"),
        "{args:?}: {said}"
    );
    assert!(output.stdout.is_empty(), "{args:?}");
    let sentence = said.trim_end();
    // What clap refuses comes with the usage; what we refuse is one line.
    assert!(
        sentence.lines().count() == 1 || sentence.starts_with("error: "),
        "{said}"
    );
}

#[test]
fn bad_numbers_are_named() {
    for (args, words) in [
        (&["-n", "0"][..], "a chain needs at least 1 layer"),
        (&["-w", "nan"], "the weight must be a finite number, not NaN"),
        (&["-w", "inf"], "the weight must be a finite number"),
        (&["-b", "nan"], "must be a finite number, not NaN"),
        (&["-x", "nan", "--steps", "1"], "must be a finite number, not NaN"),
        (&["-w", "1,2", "-b", "1,2,3"], "2 weights do not go with 3 biases"),
        (&["--width", "4,0,4"], "a width is 0"),
        (&["--width", "8,4,8", "--block", "pre-norm"], "width"),
        (
            &["--learning-rate", "nan", "--steps", "1"],
            "the learning rate must be a finite number, not NaN",
        ),
        (&["--steps", "3", "--looks", "4"], "cannot be used with"),
        (&["--as", "parquet"], "unknown log format `parquet`"),
    ] {
        refused(&[&["simulate"], args].concat(), words);
    }
    refused(
        &["calibrate", "-n", "2", "--width", "8"],
        "the number of layers to calibrate must be at least 3",
    );
    refused(
        &["calibrate", "--false-alarm", "0"],
        "the false-alarm probability must be between 0 and 1",
    );
}

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_bad_argument_makes_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("new/run");
    for args in [
        &["-n", "0"][..],
        &["-w", "nan"],
        &["--width", "4,0,4"],
        &["--learning-rate", "nan"],
        &["-x", "nan"],
    ] {
        let all = [&["simulate", "--out", target.to_str().unwrap()], args].concat();
        assert_eq!(gradwatch(&all).status.code(), Some(2), "{args:?}");
        assert!(names(dir.path()).is_empty(), "{args:?}");
    }
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("precious"), "data").unwrap();
    let path = dir.path().to_str().unwrap();
    refused(
        &["simulate", "--out", path],
        "is not empty: name a new or an empty one",
    );
    assert_eq!(names(dir.path()), ["precious"]);
    refused(
        &["simulate", "--out", "/proc/none/run"],
        "cannot write `/proc/none/run`",
    );
    let file = dir.path().join("precious");
    refused(&["simulate", "--out", file.to_str().unwrap()], "cannot write `");
    assert_eq!(fs::read(&file).unwrap(), b"data");
}

/// `/dev/full` takes a file and refuses every byte, as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_is_an_error() {
    for args in [
        &["simulate", "-n", "5"][..],
        &["calibrate", "-n", "8", "--width", "8", "--repetitions", "50"],
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_gradwatch"))
            .args(args)
            .stdout(full)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.lines().count() == 1 && said.contains("No space left"),
            "{said}"
        );
    }
}

#[test]
fn healthy_logs_are_calibrated_from() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    for seed in ["1", "2", "3"] {
        let out = runs.join(seed);
        let args = [
            "simulate",
            "--width",
            "32",
            "-n",
            "12",
            "--seed",
            seed,
            "--out",
            out.to_str().unwrap(),
        ];
        assert_eq!(gradwatch(&args).status.code(), Some(0));
    }
    let rules = dir.path().join("healthy.toml");
    let args = [
        "calibrate",
        "--from",
        runs.to_str().unwrap(),
        "--out",
        rules.to_str().unwrap(),
    ];
    let output = gradwatch(&args);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        said.starts_with("3 healthy runs\n") && said.contains(" gb: 3 stacks, 117 profiles"),
        "{said}"
    );
    assert_eq!(
        gradwatch(&["rules", "check", rules.to_str().unwrap()])
            .status
            .code(),
        Some(0)
    );
    let audit = [
        "audit",
        "--rules",
        rules.to_str().unwrap(),
        runs.to_str().unwrap(),
    ];
    assert_eq!(gradwatch(&audit).status.code(), Some(0));
    refused(&args, "cannot write rule file");
    refused(
        &["calibrate", "--from", dir.path().join("none").to_str().unwrap()],
        "nothing to calibrate from",
    );
}
