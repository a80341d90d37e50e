//! SIGHUP reads rules and settings again: who is told, of what, and what is followed.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{Bench, DEADLINE, Daemon, append, bad_rows, rows};
use crate::support::hook::Hook;
use crate::support::table::seen;

impl Daemon {
    fn reload(&self) {
        let sent = Command::new("kill").args(["-HUP", &self.pid()]).status().unwrap();
        assert!(sent.success());
    }
}

fn sick_run(bench: &Bench, name: &str) {
    append(&bench.run(name), &(rows(0..60) + &bad_rows(60..70)));
}

/// The first message that comes to this receiver.
fn run_told_to(hook: &Hook) -> String {
    let body = hook.bodies.recv_timeout(DEADLINE).expect("a message in time");
    let message: Value = serde_json::from_str(&body).unwrap();
    message["run"].as_str().unwrap().to_owned()
}

fn configure(bench: &Bench, text: &str) {
    fs::write(bench.dir.path().join("gradwatch.toml"), text).unwrap();
}

fn with_receiver(path: &str, hook: &Hook) -> String {
    format!(
        "[watch]\npaths = [\"{path}\"]\npoll = \"50ms\"\n[alerts]\ngroup_wait = \"100ms\"\n[webhook]\nurl = \"http://{}/hook\"\n",
        hook.address
    )
}

#[test]
fn broken_settings_leave_the_old_ones_in_force_and_good_ones_count_at_once() {
    let bench = Bench::new();
    let daemon = bench.start();
    sick_run(&bench, "a");
    assert_eq!(run_told_to(&bench.hook), "a");
    bench.status_until(|it| it["outbox"]["open"] == 0);
    configure(
        &bench,
        "[watch]\npaths = [\"runs\"]\n[wbehook]\nurl = \"http://127.0.0.1:1/\"\n",
    );
    daemon.reload();
    let said = daemon.said_until("not reloaded, the old ones stay in force");
    assert!(said.contains("did you mean `webhook`?"), "{said}");
    let is_shown = |it: &Value| {
        it["degraded"]
            .to_string()
            .contains("rules and settings: not reloaded")
    };
    bench.status_until(is_shown);
    assert_eq!(bench.ask(&["status"]).status.code(), Some(1));
    sick_run(&bench, "b");
    assert_eq!(run_told_to(&bench.hook), "b", "the old receiver is still told");
    bench.status_until(|it| it["outbox"]["open"] == 0);
    let other = Hook::start();
    configure(&bench, &with_receiver("runs", &other));
    daemon.reload();
    daemon.said_until("judged anew");
    sick_run(&bench, "c");
    assert_eq!(run_told_to(&other), "c", "what was told is not told again");
    let status = bench.status_until(|it| it["runs"].as_array().is_some_and(|it| it.len() == 3));
    assert_eq!(status["degraded"], Value::Array(Vec::new()));
    // Another directory.
    fs::create_dir_all(bench.dir.path().join("more/d")).unwrap();
    append(
        &bench.dir.path().join("more/d/metrics.jsonl"),
        &(rows(0..60) + &bad_rows(60..70)),
    );
    configure(&bench, &with_receiver("more", &other));
    daemon.reload();
    assert_eq!(run_told_to(&other), "d");
    assert_eq!(bench.told_within(Duration::from_millis(500)), [] as [String; 0]);
    daemon.stop();
    seen(
        "17",
        "SIGHUP with a broken configuration: the old settings stay live",
        "said with line and word, in status and exit code; a good one: receivers, paths and policy change at once",
    );
}

#[test]
fn a_daemon_that_told_nobody_tells_what_stands_when_it_gets_a_receiver() {
    let bench = Bench::new();
    configure(&bench, "[watch]\npaths = [\"runs\"]\npoll = \"50ms\"\n");
    let daemon = bench.start();
    sick_run(&bench, "a");
    bench.status_until(|it| it["runs"][0]["last_step"] == 69);
    configure(&bench, &with_receiver("runs", &bench.hook));
    daemon.reload();
    assert_eq!(run_told_to(&bench.hook), "a");
    // Nobody is told any more, and what happens is still remembered.
    configure(&bench, "[watch]\npaths = [\"runs\"]\npoll = \"50ms\"\n");
    bench.status_until(|it| it["outbox"]["open"] == 0);
    daemon.reload();
    bench.status_until(|it| it["daemon"]["receivers"] == Value::Array(Vec::new()));
    sick_run(&bench, "b");
    bench.status_until(|it| it["alerts"].as_array().is_some_and(|it| it.len() == 2));
    assert_eq!(bench.told_within(Duration::from_millis(500)), [] as [String; 0]);
    daemon.stop();
}
