//! `simulate` and `calibrate` from outside: what is wrong is said in one sentence, and nothing half-written stays.
//!
//! In: bad arguments and bad places. Out: exit status 2, one line on standard error. Invariant: a directory looks
//! after a failure as it looked before.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

pub(crate) fn gradwatch(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gradwatch"))
        .args(args)
        .output()
        .unwrap()
}

#[track_caller]
pub(crate) fn refused(args: &[&str], words: &str) {
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
        (
            &["--steps", "3", "--learning-rate", "-1"],
            "the learning rate must be 0 or more, not -1",
        ),
        (
            &["--steps", "3", "--momentum=-0.1"],
            "the momentum must be 0 or more, not -0.1",
        ),
        (&["-w", "1,2", "-b", "1,2,3"], "2 weights do not go with 3 biases"),
        (&["--width", "4,0,4"], "a width is 0"),
        (&["--width", "8,4,8", "--block", "pre-norm"], "width"),
        (
            &["--learning-rate", "nan", "--steps", "1"],
            "the learning rate must be a finite number, not NaN",
        ),
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

/// Every pair of flags of which one would win silently, and every flag that would change nothing.
#[test]
fn flags_that_contradict_each_other_are_refused() {
    const MATRIX: &[&str] = &["--width", "4"];
    let simulate: &[(&[&str], &str)] = &[
        (
            &["-n", "3", "--width", "4,5"],
            "--layers 3 contradicts a --width of 1 layer: leave out one of the two",
        ),
        (
            &["-n", "3", "-w", "1,2"],
            "--layers 3 contradicts a --weight of 2 layers",
        ),
        (
            &["-n", "2", "-b", "1,2,3"],
            "--layers 2 contradicts a --bias of 3 layers",
        ),
        (
            &["--block", "plain"],
            "--block is for matrix chains: name a --width",
        ),
        (&["--init", "he"], "--init is for matrix chains"),
        (&["--gain", "2"], "--gain is for matrix chains"),
        (&["--bias-sd", "2"], "--bias-sd is for matrix chains"),
        (&["--activation", "relu"], "--activation is for matrix chains"),
        (
            &["--batch", "2"],
            "--batch changes nothing: a scalar chain sees one sample",
        ),
        (&["--batch", "2", "--steps", "3"], "--batch changes nothing"),
        (&["--looks", "3"], "--looks changes nothing without --out"),
        (&["--as", "csv"], "--as changes nothing without --out"),
        (
            &["--learning-rate", "1"],
            "--learning-rate changes nothing without training",
        ),
        (
            &["--momentum", "1"],
            "--momentum changes nothing without training",
        ),
        (
            &["--weight-decay", "1"],
            "--weight-decay changes nothing without training",
        ),
        (&["--clip", "1"], "--clip changes nothing without training"),
        (
            &["--freeze-biases"],
            "--freeze-biases changes nothing without training",
        ),
        (
            &["--bad-step", "1"],
            "--bad-step changes nothing without training",
        ),
        (
            &["--steps", "3", "--bad-factor", "2"],
            "--bad-factor changes nothing without --bad-step",
        ),
        (
            &["--steps", "3", "--bad-step", "3"],
            "--bad-step 3 never comes: --steps 3 ends with step 2",
        ),
        (
            &["--out", "never-made", "--bad-step", "40"],
            "--bad-step 40 never comes: --looks 40 ends with step 39",
        ),
        (&["--steps", "0"], "--steps 0 asks for nothing"),
        (
            &["--out", "never-made", "--looks", "0"],
            "--looks 0 asks for nothing",
        ),
        (
            &["--out", "never-made", "--steps", "3", "--looks", "4"],
            "--looks is the number of looks at an untrained",
        ),
    ];
    for (args, words) in simulate {
        refused(&[&["simulate"], *args].concat(), words);
    }
    for (args, flag) in [
        (["-w", "1"], "--weight"),
        (["-b", "1"], "--bias"),
        (["-x", "1"], "--input"),
        (["-t", "1"], "--target"),
    ] {
        let words = format!("{flag} is for scalar chains, and --width makes a matrix chain");
        refused(&[&["simulate"], MATRIX, &args].concat(), &words);
    }
    assert!(!Path::new("never-made").exists());
    // What says the same twice is no contradiction.
    for args in [
        &["-n", "1", "--width", "4,5"][..],
        &["-n", "2", "-w", "1,2"],
        &["--steps", "3", "--bad-step", "2"],
    ] {
        assert_eq!(
            gradwatch(&[&["simulate"], args].concat()).status.code(),
            Some(0),
            "{args:?}"
        );
    }
}

#[test]
fn flags_of_calibrate_and_compare_are_checked_alike() {
    let calibrate: &[(&[&str], &str)] = &[
        (
            &["-n", "3", "--width", "4,5,6"],
            "--layers 3 contradicts a --width of 2 layers",
        ),
        (
            &["--shipped", "--width", "8"],
            "--width has no effect on --shipped",
        ),
        (
            &["--shipped", "--dtype", "float16"],
            "--dtype has no effect on --shipped",
        ),
        (
            &["--shipped", "--looks", "8"],
            "--looks has no effect on --shipped",
        ),
        (
            &["--shipped", "--false-alarm", "0.1"],
            "--false-alarm has no effect on --shipped",
        ),
        (
            &["--shipped", "--format", "json"],
            "--format has no effect on --shipped",
        ),
        (&["--shipped", "--out", "x"], "--out has no effect on --shipped"),
        (&["--shipped", "--from", "x"], "--from has no effect on --shipped"),
        (
            &["--shipped", "--layers", "9"],
            "--shipped has tables for 8, 16, 32, 64, 128 layers",
        ),
        (&["--shipped", "--repetitions", "9"], "must be at least 50, not 9"),
        (
            &["--from", "x", "--layers", "8"],
            "--layers describes networks to simulate, and --from reads logs",
        ),
        (
            &["--from", "x", "--gain", "2"],
            "--gain describes networks to simulate",
        ),
        (
            &["--from", "x", "--seed", "2"],
            "--seed describes networks to simulate",
        ),
        (
            &["--from", "x", "--repetitions", "99"],
            "--repetitions describes networks to simulate",
        ),
        (
            &["--from", "x", "--false-alarm", "2"],
            "the false-alarm probability must be between 0 and 1",
        ),
        (
            &["--from", "x", "--looks", "0"],
            "the number of looks must be at least 1, not 0",
        ),
        (
            &["--false-alarm", "-1"],
            "the false-alarm probability must be between 0 and 1",
        ),
        (
            &["--repetitions", "2000000"],
            "must be at most 1000000, not 2000000",
        ),
        (
            &["-n", "4", "--width", "4", "--gain", "0", "--repetitions", "60"],
            "the number of networks without a zero or non-finite norm must be at least 50, not 0",
        ),
        (&["--batch", "0"], "the batch is 0, expected 1 to"),
        (
            &["--bias-sd", "-1"],
            "the standard deviation of the biases must be 0 or more, not -1",
        ),
    ];
    for (args, words) in calibrate {
        refused(&[&["calibrate"], *args].concat(), words);
    }
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let path = run.to_str().unwrap();
    assert_eq!(
        gradwatch(&["simulate", "-n", "3", "--out", path]).status.code(),
        Some(0)
    );
    refused(
        &["compare", path, path],
        "are the same files: name another run as the baseline",
    );
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&run, &link).unwrap();
    refused(&["compare", path, link.to_str().unwrap()], "are the same files");
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

/// The commands that write, each with `TARGET` for the place.
const WRITERS: [&[&str]; 3] = [
    &["simulate", "-n", "60", "--steps", "400", "--out", "TARGET"],
    &[
        "simulate", "-n", "60", "--steps", "400", "--as", "csv", "--out", "TARGET",
    ],
    &[
        "calibrate",
        "-n",
        "4",
        "--width",
        "4",
        "--repetitions",
        "50",
        "--out",
        "TARGET",
    ],
];

fn at<'a>(command: &[&'a str], target: &'a Path) -> Vec<&'a str> {
    let target = target.to_str().unwrap();
    command
        .iter()
        .map(|it| if *it == "TARGET" { target } else { it })
        .collect()
}

/// Below a file nobody may make anything, root neither.
#[test]
fn a_place_below_a_file_is_refused_and_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "data").unwrap();
    for command in WRITERS {
        refused(&at(command, &file.join("below/run")), "nothing was left there");
        refused(&at(command, &file), "cannot write");
    }
    fs::create_dir(dir.path().join("taken.toml")).unwrap();
    refused(
        &at(WRITERS[2], &dir.path().join("taken.toml")),
        "cannot write rule file",
    );
    let mut found = names(dir.path());
    found.sort();
    assert_eq!(
        (found, fs::read(&file).unwrap()),
        (vec!["file".into(), "taken.toml".into()], b"data".to_vec())
    );
}

/// Runs a command with a file system of its own on `TARGET`'s parent, in a mount namespace; gives its status, what it
/// said, and what it left there. `None`, with a word, where namespaces cannot be made.
#[cfg(target_os = "linux")]
fn on_file_system(options: &str, command: &[&str]) -> Option<(i32, String, String)> {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("run");
    let script = "mount -t tmpfs -o \"$1\" none \"$2\" || exit 77; shift; cd \"$1\"; shift; \
                  \"$@\" 2>&1; status=$?; echo; ls -A . ; exit $status";
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh", options])
        .arg(dir.path())
        .arg(env!("CARGO_BIN_EXE_gradwatch"))
        .args(at(command, &target))
        .output();
    let output = match output {
        Ok(output) if output.status.code() != Some(77) && !output.stdout.is_empty() => output,
        _ => {
            eprintln!("skipped: no mount namespace can be made here");
            return None;
        }
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let (said, left) = text.split_once("\n\n").unwrap_or((text.as_str(), ""));
    Some((
        output.status.code().unwrap(),
        said.to_owned(),
        left.trim().to_owned(),
    ))
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_is_one_sentence_and_leaves_nothing() {
    // 16 blocks: the runs have 400 steps of 60 layers. The rule file is smaller than a block: no inode is left for it.
    for (command, options) in WRITERS.iter().zip(["size=64k", "size=64k", "nr_inodes=1"]) {
        let Some((status, said, left)) = on_file_system(options, command) else {
            return;
        };
        assert_eq!(status, 2, "{command:?}: {said}");
        assert!(
            said.starts_with("gradwatch: cannot write")
                && said.contains("No space left")
                && said.lines().count() == 1,
            "{command:?}: {said}"
        );
        assert_eq!(left, "", "{command:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_place_is_one_sentence() {
    for command in WRITERS {
        let Some((status, said, left)) = on_file_system("ro", command) else {
            return;
        };
        assert_eq!((status, left.as_str()), (2, ""), "{command:?}: {said}");
        assert!(
            said.starts_with("gradwatch: cannot write")
                && said.contains("Read-only")
                && said.lines().count() == 1,
            "{command:?}: {said}"
        );
    }
}

/// Killed in the middle of writing: the run's own name is not there, and what is left says what it is and is not
/// taken for a log.
#[cfg(unix)]
#[test]
fn a_killed_writer_leaves_only_what_is_named_partial() {
    for format in ["tensorboard", "jsonl"] {
        for exists in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let target = dir.path().join("run");
            let mut place = dir.path();
            if exists {
                fs::create_dir(&target).unwrap();
                place = &target;
            }
            let mut child = Command::new(env!("CARGO_BIN_EXE_gradwatch"))
                .args([
                    "simulate",
                    "-n",
                    "50",
                    "--steps",
                    "100000000",
                    "--as",
                    format,
                    "--out",
                ])
                .arg(&target)
                .spawn()
                .unwrap();
            let is_writing = || {
                let mut files = walk(place);
                files.retain(|it| fs::metadata(it).is_ok_and(|it| it.len() > 0));
                !files.is_empty()
            };
            while !is_writing() && child.try_wait().unwrap().is_none() {
                std::thread::yield_now();
            }
            child.kill().unwrap();
            child.wait().unwrap();
            let left = names(place);
            assert!(
                left.len() == 1 && left[0].starts_with('.') && left[0].contains(".gradwatch-partial-"),
                "{left:?}"
            );
            assert!(
                !walk(place)
                    .iter()
                    .any(|it| it.to_str().unwrap().contains("tfevents"))
                    || !exists
            );
            let audit = gradwatch(&["audit", dir.path().to_str().unwrap()]);
            assert_eq!(audit.status.code(), Some(3), "a part of a run was read");
            if !exists {
                assert_eq!(
                    gradwatch(&["simulate", "--out", target.to_str().unwrap()])
                        .status
                        .code(),
                    Some(0)
                );
            }
        }
    }
}

/// Ctrl-C and `kill` take away what was begun, and the process ends by that signal.
#[cfg(unix)]
#[test]
fn an_interrupted_writer_leaves_nothing() {
    use std::os::unix::process::ExitStatusExt;
    for (name, number) in [("INT", 2), ("TERM", 15)] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_gradwatch"))
            .args(["simulate", "-n", "50", "--steps", "100000000", "--out"])
            .arg(dir.path().join("new/run"))
            .spawn()
            .unwrap();
        let is_writing = || {
            walk(dir.path())
                .iter()
                .any(|it| fs::metadata(it).is_ok_and(|it| it.len() > 0))
        };
        while !is_writing() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let signal = ["-s", name, &child.id().to_string()];
        assert!(Command::new("kill").args(signal).status().unwrap().success());
        assert_eq!(child.wait().unwrap().signal(), Some(number));
        assert!(names(dir.path()).is_empty(), "{:?}", names(dir.path()));
    }
}

/// All files below a directory.
fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .flat_map(|it| {
            if it.path().is_dir() {
                walk(&it.path())
            } else {
                vec![it.path()]
            }
        })
        .collect()
}
