//! `gradwatch watch` from outside: what it says while a run is written, and how it ends.
//!
//! In: files that are written here while the program follows them. Out: the lines it prints. Invariant: every wait is
//! for a line or for the end of the process, with a deadline; nothing here hopes that some time was enough.

mod cases;
pub(crate) mod faults;
mod same;
mod sorted_tables;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Far beyond what a busy machine needs for a poll of 0.1 s or a walk every 10 s.
const DEADLINE: Duration = Duration::from_secs(60);

/// The program, following a directory.
struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn start(path: &Path, poll_seconds: &str) -> Self {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("gradwatch"));
        command
            .args(["watch", "--poll-every", poll_seconds, "--format", "json"])
            .arg(path);
        Self::of(&mut command)
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let forward = |stream: Box<dyn Read + Send>| {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        };
        forward(Box::new(child.stdout.take().unwrap()));
        forward(Box::new(child.stderr.take().unwrap()));
        Self { child, lines }
    }

    fn id(&self) -> u32 {
        self.child.id()
    }

    fn next_line(&self) -> String {
        self.lines
            .recv_timeout(DEADLINE)
            .expect("the program says something in time")
    }

    /// The next alarm of this rule; other rules may speak before it.
    fn next_of(&self, rule: &str) -> Value {
        loop {
            let line = self.next_line();
            let value: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
            if value["finding"]["rule"] == rule {
                return value;
            }
        }
    }

    /// As [`next_of`](Self::next_of), whatever else is complained of before it.
    fn next_of_amid_complaints(&self, rule: &str) -> Value {
        loop {
            let line = self.next_line();
            let value: Value = serde_json::from_str(&line).unwrap_or_default();
            if value["finding"]["rule"] == rule {
                return value;
            }
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; its pipes close with it.
    fn end(mut self) -> ExitStatus {
        while self.lines.recv_timeout(DEADLINE).is_ok() {}
        self.child.wait().unwrap()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // A test that failed leaves no process behind; one that has ended cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rows(steps: std::ops::Range<i64>, loss: impl Fn(i64) -> String) -> String {
    steps
        .map(|step| format!("{{\"step\": {step}, \"loss\": {}}}\n", loss(step)))
        .collect::<Vec<_>>()
        .concat()
}

fn falling(step: i64) -> String {
    format!(
        "{:.4}",
        4.0 / (1.0 + 0.05 * step as f64) + 0.01 * ((step * 7 % 5) as f64)
    )
}

fn append(path: &Path, text: &str) {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

fn a_run_that_goes_nan(dir: &TempDir) -> (PathBuf, Watching) {
    let path = dir.path().join("metrics.jsonl");
    append(&path, &rows(0..60, falling));
    let watching = Watching::start(dir.path(), "0.1");
    append(&path, &rows(60..70, |_| "NaN".to_owned()));
    (path, watching)
}

#[test]
fn an_alarm_is_said_and_resolved_by_a_restart_from_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let (path, watching) = a_run_that_goes_nan(&dir);
    let alarm = watching.next_of("non-finite-loss");
    assert_eq!(
        (&alarm["schema"], &alarm["event"]),
        (&Value::from("gradwatch.watch/1"), &Value::from("alarm"))
    );
    assert_eq!(
        (&alarm["run"], &alarm["finding"]["first_step"]),
        (&Value::from("."), &Value::from(60))
    );
    assert_eq!(alarm["finding"]["severity"], "critical");
    append(&path, &rows(50..55, falling));
    let over = watching.next_of("non-finite-loss");
    assert_eq!(
        (&over["event"], &over["reason"]),
        (&Value::from("resolved"), &Value::from("superseded"))
    );
    assert_eq!(over["fingerprint"], alarm["fingerprint"]);
    watching.signal("TERM");
    assert_eq!(watching.end().code(), Some(0));
}

#[test]
fn a_run_in_a_new_nested_directory_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (_, watching) = a_run_that_goes_nan(&dir);
    watching.next_of("non-finite-loss");
    let nested = dir.path().join("sweep/a/b");
    fs::create_dir_all(&nested).unwrap();
    append(
        &nested.join("metrics.jsonl"),
        &(rows(0..60, falling) + &rows(60..70, |_| "NaN".to_owned())),
    );
    assert_eq!(watching.next_of("non-finite-loss")["run"], "sweep/a/b");
    watching.signal("INT");
    assert_eq!(watching.end().code(), Some(0));
}

#[test]
fn it_ends_within_a_second_of_a_signal_whatever_the_poll_interval() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    append(
        &path,
        &(rows(0..60, falling) + &rows(60..70, |_| "NaN".to_owned())),
    );
    let watching = Watching::start(dir.path(), "3600");
    watching.next_of("non-finite-loss");
    let begun = Instant::now();
    watching.signal("TERM");
    assert_eq!(watching.end().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    File::create(&path).unwrap();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("gradwatch"))
        .args(["watch", "--poll-every", "0.1"])
        .arg(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    append(
        &path,
        &(rows(0..60, falling) + &rows(60..70, |_| "NaN".to_owned())),
    );
    let mut complaints = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut complaints)
        .unwrap();
    assert_eq!((complaints.as_str(), child.wait().unwrap().code()), ("", Some(0)));
}

#[test]
fn once_says_the_alarms_and_has_the_exit_status_of_audit() {
    for (path, expected) in [("nan-bad-data", 1), ("gpt-healthy", 0)] {
        let run = |command: &[&str]| {
            let mut program = Command::new(assert_cmd::cargo::cargo_bin("gradwatch"));
            program
                .args(command)
                .arg(crate::support::root().join("fixtures/runs").join(path))
                .output()
                .unwrap()
        };
        let (once, audit) = (run(&["watch", "--once"]), run(&["audit"]));
        assert_eq!(
            (once.status.code(), audit.status.code()),
            (Some(expected), Some(expected)),
            "{path}"
        );
        assert_eq!(once.stdout.is_empty(), expected == 0, "{path}");
    }
}
