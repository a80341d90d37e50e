//! A daemon that tells and remembers, from outside: what it tells, what survives its end, who else may talk to it.
//!
//! In: runs that are written here, receivers that listen here. Out: what was told, what `status` says. Invariant: every
//! wait is for a message, a line or the end of a process, with a deadline.

mod faults;
mod kill;
mod mail_faults;
mod reload;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::hook::Hook;
use crate::support::smtp::SmtpServer;
use crate::support::table::seen;

/// Far beyond what a busy machine needs.
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs, a state directory, a webhook, and a configuration that joins them.
struct Bench {
    dir: TempDir,
    hook: Hook,
    state: PathBuf,
}

impl Bench {
    fn new() -> Self {
        Self::with("")
    }

    /// With more lines in the configuration.
    fn with(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hook = Hook::start();
        fs::create_dir(dir.path().join("runs")).unwrap();
        let config = format!(
            "[watch]\npaths = [\"runs\"]\npoll = \"50ms\"\n[alerts]\ngroup_wait = \"100ms\"\nkeep_firing_for = \"100ms\"\n\
             [webhook]\nurl = \"http://{}/hook\"\n{more}",
            hook.address
        );
        fs::write(dir.path().join("gradwatch.toml"), config).unwrap();
        let state = dir.path().join("state");
        Self { dir, hook, state }
    }

    fn run(&self, name: &str) -> PathBuf {
        let run = self.dir.path().join("runs").join(name);
        fs::create_dir_all(&run).unwrap();
        run.join("metrics.jsonl")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("gradwatch"));
        let (name, rest) = arguments.split_first().unwrap();
        command.arg(name).arg("--state").arg(&self.state).args(rest);
        command
    }

    fn start(&self) -> Daemon {
        let mut command = self.command(&["watch", "--config"]);
        command.arg(self.dir.path().join("gradwatch.toml"));
        self.start_as(command)
    }

    /// A daemon that is started by this command.
    fn start_as(&self, mut command: Command) -> Daemon {
        let said = self.dir.path().join("stderr");
        let stderr = OpenOptions::new().create(true).append(true).open(&said).unwrap();
        let child = command.stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
        Daemon { child, said }
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn status(&self) -> Value {
        serde_json::from_slice(&self.ask(&["status", "--format", "json"]).stdout).unwrap()
    }

    /// Asks until the answer is the right one.
    fn status_until(&self, is_right: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let status = self.status();
            if is_right(&status) {
                return status;
            }
            assert!(begun.elapsed() < DEADLINE, "{status:#}");
            pause(Duration::from_millis(50));
        }
    }

    fn next_message(&self) -> Value {
        let body = self
            .hook
            .bodies
            .recv_timeout(DEADLINE)
            .expect("a message in time");
        serde_json::from_str(&body).unwrap()
    }

    /// What was told within a time in which it would have been.
    fn told_within(&self, time: Duration) -> Vec<String> {
        let end = Instant::now() + time;
        let mut told = Vec::new();
        while let Ok(body) = self
            .hook
            .bodies
            .recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            told.push(body);
        }
        told
    }
}

/// A daemon.
struct Daemon {
    child: Child,
    said: PathBuf,
}

impl Daemon {
    fn pid(&self) -> String {
        self.child.id().to_string()
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    fn said_until(&self, words: &str) -> String {
        let begun = Instant::now();
        loop {
            let said = self.said();
            if said.contains(words) {
                return said;
            }
            assert!(begun.elapsed() < DEADLINE, "not said: {words}\n{said}");
            pause(Duration::from_millis(20));
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn stop(mut self) {
        let sent = Command::new("kill").arg(self.pid()).status().unwrap();
        assert!(sent.success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{}", self.said());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A test that failed leaves no process behind; one that has ended cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets some time pass in which others do something; nothing is hoped for.
fn pause(time: Duration) {
    let (_keep, clock) = channel::<()>();
    let _ = clock.recv_timeout(time);
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn rows(steps: std::ops::Range<i64>) -> String {
    let row = |step: i64| {
        let loss = 4.0 / (1.0 + 0.05 * step as f64) + 0.01 * ((step * 7 % 5) as f64);
        format!("{{\"step\": {step}, \"loss\": {loss:.4}}}\n")
    };
    steps.map(row).collect()
}

fn bad_rows(steps: std::ops::Range<i64>) -> String {
    let rows: Vec<String> = steps
        .map(|step| format!("{{\"step\": {step}, \"loss\": NaN}}\n"))
        .collect();
    rows.concat()
}

fn fingerprints(message: &Value) -> BTreeSet<String> {
    let empty = Vec::new();
    let bulletins = message["bulletins"].as_array().unwrap_or(&empty);
    let all = bulletins.iter().chain([message]);
    let alarms = all.flat_map(|it| {
        let lists = [&it["alarms"], &it["consequences"]];
        lists.into_iter().filter_map(Value::as_array).flatten()
    });
    alarms
        .map(|it| it["fingerprint"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn an_alarm_is_told_once_over_restarts_and_its_end_in_the_same_thread() {
    let bench = Bench::new();
    let run = bench.run("a");
    append(&run, &(rows(0..60) + &bad_rows(60..70)));
    let daemon = bench.start();
    let first = bench.next_message();
    assert_eq!(
        (&first["occasion"], &first["run"]),
        (&Value::from("firing"), &Value::from("a"))
    );
    bench.status_until(|it| it["outbox"]["open"] == 0 && it["runs"][0]["last_step"] == 69);
    daemon.stop();
    let daemon = bench.start();
    bench.status_until(|it| it["daemon"]["pid"] == daemon.pid());
    assert_eq!(bench.told_within(Duration::from_secs(1)), [] as [String; 0]);
    append(&run, &rows(50..55));
    let over = bench.next_message();
    assert_eq!(over["occasion"], "resolved", "{over:#}");
    assert_eq!(
        (&over["incident"], &over["sequence"]),
        (&first["incident"], &Value::from(1))
    );
    daemon.stop();
    let status = bench.status();
    assert_eq!(
        (&status["daemon"]["running"], &status["alerts"]),
        (&Value::from(false), &Value::Array(Vec::new()))
    );
}

#[test]
fn what_is_over_when_the_daemon_comes_back_is_told_then() {
    let bench = Bench::new();
    let run = bench.run("a");
    append(&run, &(rows(0..60) + &bad_rows(60..70)));
    let daemon = bench.start();
    assert_eq!(bench.next_message()["occasion"], "firing");
    bench.status_until(|it| it["outbox"]["open"] == 0);
    daemon.kill();
    fs::write(&run, rows(0..80)).unwrap();
    let daemon = bench.start();
    let over = bench.next_message();
    assert_eq!(
        (&over["occasion"], &over["alarms"][0]["reason"]),
        (&Value::from("resolved"), &Value::from("not-seen-again"))
    );
    daemon.stop();
}

#[test]
fn what_was_lost_of_a_log_while_no_daemon_ran_is_said_once() {
    let bench = Bench::new();
    let (cut, grown, renamed) = (bench.run("cut"), bench.run("grown"), bench.run("renamed"));
    for run in [&cut, &grown, &renamed] {
        append(run, &rows(0..60));
    }
    let read_bytes = fs::metadata(&cut).unwrap().len();
    let daemon = bench.start();
    let is_read = |it: &Value| {
        let runs = it["runs"].as_array().unwrap();
        runs.len() == 3 && runs.iter().all(|it| it["last_step"] == 59)
    };
    bench.status_until(is_read);
    daemon.kill();
    append(&grown, &rows(60..80));
    append(&renamed, &rows(60..80));
    let unread_bytes = fs::metadata(&renamed).unwrap().len() - read_bytes;
    fs::rename(&renamed, renamed.with_extension("jsonl.1")).unwrap();
    for run in [&cut, &renamed] {
        fs::write(run, rows(0..80).replace("\"loss\": ", "\"loss\": 1")).unwrap();
    }
    let daemon = bench.start();
    let words = format!(
        "rewritten while it was not followed: the {read_bytes} bytes that had been read of it are gone"
    );
    let said = daemon.said_until(&words);
    assert!(
        said.contains(&format!("{}: byte 0: {words}", cut.display())),
        "{said}"
    );
    let words = format!("byte {read_bytes}: renamed while it was not followed: {unread_bytes} bytes");
    assert!(
        said.contains(&format!("{}: {words}", renamed.display())),
        "{said}"
    );
    assert!(!said.contains("grown"), "{said}");
    bench.status_until(|it| {
        it["runs"]
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["last_step"] == 79)
    });
    daemon.stop();
    let daemon = bench.start();
    bench.status_until(|it| it["daemon"]["pid"] == daemon.pid());
    assert_eq!(daemon.said().matches("while it was not followed").count(), 2);
    daemon.stop();
    seen(
        "2",
        "truncated while down: new content from byte 0, the lost range reported",
        "rewritten or renamed while no daemon ran: said at its start with path and bytes, once",
    );
}

#[test]
fn a_second_daemon_on_the_same_state_is_refused_by_name() {
    let bench = Bench::new();
    bench.run("a");
    let daemon = bench.start();
    bench.status_until(|it| it["daemon"]["running"] == true);
    let config = bench.dir.path().join("gradwatch.toml");
    let second = bench
        .command(&["watch", "--config"])
        .arg(config)
        .output()
        .unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(2), "{said}");
    let who = format!("is in use by another gradwatch (process {})", daemon.pid());
    assert!(said.contains(&who), "{said}");
    daemon.stop();
}

#[test]
fn silences_and_acknowledgements_count_beside_a_daemon_and_without_one() {
    let bench = Bench::new();
    let said = bench.ask(&["silence", "a*", "--for", "1h", "--comment", "moving"]);
    assert_eq!(said.status.code(), Some(0));
    append(&bench.run("a1"), &(rows(0..60) + &bad_rows(60..70)));
    append(&bench.run("b1"), &(rows(0..60) + &bad_rows(60..70)));
    let daemon = bench.start();
    let told = bench.next_message();
    assert_eq!(told["run"], "b1");
    let status = bench.status_until(|it| it["alerts"].as_array().is_some_and(|it| it.len() == 2));
    let silenced = |run: &str| {
        let alerts = status["alerts"].as_array().unwrap();
        alerts.iter().find(|it| it["run"] == run).unwrap()["silenced"].clone()
    };
    assert_eq!((silenced("a1"), silenced("b1")), (true.into(), false.into()));
    let list = String::from_utf8(bench.ask(&["silence", "--list"]).stdout).unwrap();
    assert!(
        list.starts_with("1: a* until ") && list.contains("(moving)"),
        "{list}"
    );
    assert_eq!(bench.ask(&["silence", "--remove", "1"]).status.code(), Some(0));
    assert_eq!(bench.ask(&["silence", "--remove", "1"]).status.code(), Some(2));
    let late = bench.next_message();
    assert_eq!(
        (&late["run"], &late["occasion"]),
        (&"a1".into(), &"firing".into())
    );
    let incident = late["incident"].as_str().unwrap();
    assert_eq!(
        bench.ask(&["ack", incident, "--comment", "on it"]).status.code(),
        Some(0)
    );
    let acked = |status: &Value| {
        let alerts = status["alerts"].as_array().unwrap();
        alerts.iter().find(|it| it["run"] == "a1").unwrap()["acked"]["comment"].clone()
    };
    assert_eq!(acked(&bench.status()), "on it");
    daemon.stop();
    let text = String::from_utf8(bench.ask(&["status"]).stdout).unwrap();
    assert!(
        text.contains("no daemon runs")
            && text.contains("acknowledged (on it)")
            && text.contains("    loss is NaN at step 60"),
        "{text}"
    );
    assert_eq!(bench.ask(&["unack", "a1"]).status.code(), Some(0));
    assert_eq!(acked(&bench.status()), Value::Null);
    assert_eq!(bench.ask(&["ack", "nothing"]).status.code(), Some(2));
    // A directory in which nobody ever kept a state is no good news.
    let elsewhere = Bench::new();
    let nothing = elsewhere.ask(&["status"]);
    let said = String::from_utf8(nothing.stdout).unwrap();
    assert_eq!(nothing.status.code(), Some(1), "{said}");
    assert!(
        said.contains("no daemon has kept any in this directory"),
        "{said}"
    );
}

#[test]
fn once_sends_mail_and_tells_nothing_twice() {
    let bench = Bench::new();
    append(&bench.run("a"), &(rows(0..60) + &bad_rows(60..70)));
    let server = SmtpServer::start(&[]);
    let smtp = format!("smtp://{}", server.address);
    let runs = bench.dir.path().join("runs");
    let once = || {
        let mut command = bench.command(&["watch", "--once", "--mail-to", "me@example.org", "--smtp", &smtp]);
        command.arg(&runs).current_dir(bench.dir.path()).arg("--config");
        File::create(bench.dir.path().join("empty.toml")).unwrap();
        command.arg("empty.toml").output().unwrap()
    };
    let first = once();
    assert_eq!(
        (
            first.status.code(),
            String::from_utf8_lossy(&first.stderr).as_ref()
        ),
        (Some(1), "")
    );
    let mail = server.heard();
    assert_eq!(mail.matches("Message-ID:").count(), 1, "{mail}");
    assert!(mail.contains("RCPT TO:<me@example.org>"), "{mail}");
    assert_eq!(once().status.code(), Some(1));
    assert_eq!(server.heard(), mail);
}

#[test]
fn a_configuration_with_problems_is_refused_with_all_of_them() {
    let bench = Bench::with("[mial]\n[command]\n");
    let config = bench.dir.path().join("gradwatch.toml");
    let refused = bench
        .command(&["watch", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("did you mean `mail`?") && said.contains("lacks `argv`"),
        "{said}"
    );
}
