//! Limits of the operating system, file systems that give no hints, and paths that cannot be read for a while.
//!
//! In: the program in a user namespace or on a mount. Out: the lines it says. Invariant: what needs rights that are not
//! there is said to be skipped.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::super::{DEADLINE, Watching, append, falling, rows};
use super::daemon::Manager;
use super::{cpu_share, has_program, seen, skip, works};

fn program() -> PathBuf {
    assert_cmd::cargo::cargo_bin("gradwatch")
}

fn sick_rows() -> String {
    rows(60..70, |_| "NaN".to_owned())
}

/// The program in a user namespace of its own, with a limit of inotify.
fn limited(limit: &str, flags: &[&str], path: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-Ur", "sh", "-c", &format!("{limit}; exec \"$@\"; exit 1"), "sh"]);
    command
        .arg(program())
        .args(["watch", "--format", "json"])
        .args(flags)
        .arg(path);
    command
}

/// Whether the metrics of the daemon that says where it listens have this line in time.
fn has_metric(listening: &str, wanted: &str) -> bool {
    let address = listening
        .split("http://")
        .nth(1)
        .and_then(|it| it.split('/').next());
    let address = address.unwrap_or_else(|| panic!("{listening}"));
    let begun = Instant::now();
    while begun.elapsed() < DEADLINE {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        if text.lines().any(|it| it == wanted) {
            return true;
        }
    }
    false
}

fn follows_with_one_warning(limit: &str, words: &str) {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..60 {
        fs::create_dir(dir.path().join(format!("run-{n}"))).unwrap();
        append(
            &dir.path().join(format!("run-{n}/metrics.jsonl")),
            &rows(0..60, falling),
        );
    }
    let flags = ["--poll-every", "0.1", "--listen", "127.0.0.1:0"];
    let watching = Watching::of(&mut limited(limit, &flags, dir.path()));
    let listening = watching.next_line();
    let warning = watching.next_line();
    assert!(has_metric(&listening, "gradwatch_degraded 1"), "{listening}");
    assert!(
        warning.contains("polling alone") && warning.contains(words),
        "{warning}"
    );
    for n in 0..60 {
        append(&dir.path().join(format!("run-{n}/metrics.jsonl")), &sick_rows());
    }
    let mut left: BTreeSet<String> = (0..60).map(|n| format!("run-{n}")).collect();
    while !left.is_empty() {
        // Whatever is no alarm would be a second warning.
        left.remove(watching.next_of("non-finite-loss")["run"].as_str().unwrap());
    }
    watching.signal("TERM");
    assert_eq!(watching.end().code(), Some(0));
}

#[test]
fn at_the_limits_of_hints_everything_is_followed_by_polling_and_that_is_said_once() {
    let set_watches = "echo 20 > /proc/sys/user/max_inotify_watches";
    let set_instances = "echo 0 > /proc/sys/user/max_inotify_instances";
    if !works("unshare", &["-Ur", "sh", "-c", set_watches]) {
        return skip("10", "no user namespaces");
    }
    follows_with_one_warning(set_watches, "max_user_watches");
    follows_with_one_warning(set_instances, "max_user_instances");
    seen(
        "10",
        "falls back to polling, same results, one warning, a degraded metric",
        "limit of 20 watches and of 0 instances: 60 of 60 runs, one warning each, gradwatch_degraded 1",
    );
}

/// A mount through FUSE, unmounted at the end.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        works("fusermount3", &["-u", "-z", &self.0.to_string_lossy()]);
    }
}

#[test]
fn what_another_client_writes_is_followed_by_polling() {
    if !has_program("bindfs", &["bindfs", "fuse3"]) {
        assert!(
            std::env::var_os("CI").is_none() || !works("test", &["-w", "/dev/fuse"]),
            "bindfs can be had"
        );
        return skip("10", "no bindfs");
    }
    let dir = tempfile::tempdir().unwrap();
    let (behind, mounted) = (dir.path().join("behind"), dir.path().join("mounted"));
    fs::create_dir_all(behind.join("run")).unwrap();
    fs::create_dir(&mounted).unwrap();
    let options = "attr_timeout=0,entry_timeout=0";
    let (from, to) = (behind.to_string_lossy(), mounted.to_string_lossy());
    if !works("bindfs", &["-o", options, &from, &to]) {
        return skip("10", "bindfs cannot mount here");
    }
    let _mount = Mount(mounted.clone());
    append(&behind.join("run/metrics.jsonl"), &rows(0..60, falling));
    let mut command = Command::new(program());
    command
        .args(["watch", "--format", "json", "--poll-every", "0.1"])
        .arg(&mounted);
    let watching = Watching::of(&mut command);
    let warning = watching.next_line();
    assert!(
        warning.contains("changes on FUSE come without a hint"),
        "{warning}"
    );
    append(&behind.join("run/metrics.jsonl"), &sick_rows());
    assert_eq!(watching.next_of("non-finite-loss")["run"], "run");
    // A run that another client begins is found by the walk.
    fs::create_dir(behind.join("later")).unwrap();
    append(
        &behind.join("later/metrics.jsonl"),
        &(rows(0..60, falling) + &sick_rows()),
    );
    assert_eq!(watching.next_of("non-finite-loss")["run"], "later");
    watching.signal("TERM");
    assert_eq!(watching.end().code(), Some(0));
    seen(
        "10",
        "writes behind a FUSE mount: polling, same results, one warning",
        "append and new run found, one warning",
    );
}

/// What cannot be read is asked for again and again, and that must cost next to nothing.
fn costs_little(name: &str, watching: &Watching) {
    let share = cpu_share(watching.id(), Duration::from_secs(4));
    assert!(share < 0.01, "{name}: {share}");
    seen(
        "11",
        "below 1 % CPU meanwhile",
        &format!("{name}: {:.2} % of a core", 100.0 * share),
    );
}

fn recovers(name: &str, begun: Instant) {
    let took = begun.elapsed();
    // Ten seconds are promised; an unoptimised build on a busy machine gets a few more.
    assert!(took < Duration::from_secs(15), "{name}: {took:?}");
    seen(
        "11",
        "recovers within 10 s",
        &format!("{name}: {:.1} s", took.as_secs_f64()),
    );
}

#[test]
fn a_root_that_is_removed_and_made_anew_is_followed_again() {
    for flags in [&["--poll"][..], &[]] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("runs");
        fs::create_dir_all(root.join("a")).unwrap();
        append(
            &root.join("a/metrics.jsonl"),
            &(rows(0..60, falling) + &sick_rows()),
        );
        let mut command = Command::new(program());
        let watching = Watching::of(command.args(["watch", "--format", "json"]).args(flags).arg(&root));
        assert_eq!(watching.next_of("non-finite-loss")["run"], "a");
        fs::remove_dir_all(&root).unwrap();
        costs_little(&format!("root removed {flags:?}"), &watching);
        fs::create_dir_all(root.join("b")).unwrap();
        let begun = Instant::now();
        append(
            &root.join("b/metrics.jsonl"),
            &(rows(0..60, falling) + &sick_rows()),
        );
        while watching.next_of_amid_complaints("non-finite-loss")["run"] != "b" {}
        recovers(&format!("root removed and recreated {flags:?}"), begun);
        watching.signal("TERM");
        assert_eq!(watching.end().code(), Some(0));
    }
}

#[test]
fn a_link_that_is_retargeted_is_followed_to_its_new_end() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("runs");
    fs::create_dir(&root).unwrap();
    for name in ["one.jsonl", "two.jsonl"] {
        append(&dir.path().join(name), &rows(0..60, falling));
    }
    symlink(dir.path().join("one.jsonl"), root.join("metrics.jsonl")).unwrap();
    let mut command = Command::new(program());
    let watching = Watching::of(command.args(["watch", "--format", "json"]).arg(&root));
    append(&dir.path().join("one.jsonl"), &sick_rows());
    watching.next_of("non-finite-loss");
    let two = dir.path().join("two.jsonl");
    append(&two, &rows(60..80, falling));
    symlink(&two, root.join("next")).unwrap();
    let begun = Instant::now();
    fs::rename(root.join("next"), root.join("metrics.jsonl")).unwrap();
    // The second log has come as far, and is healthy.
    assert_eq!(watching.next_of("non-finite-loss")["event"], "resolved");
    recovers("symlink retargeted", begun);
    watching.signal("TERM");
    assert_eq!(watching.end().code(), Some(0));
}

#[test]
fn a_file_and_a_directory_that_may_be_read_again_are() {
    if !works("unshare", &["-U", "true"]) {
        return skip("11", "no user namespaces");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a/metrics.jsonl");
    let folder = dir.path().join("b");
    for name in ["a", "b"] {
        fs::create_dir(dir.path().join(name)).unwrap();
        append(
            &dir.path().join(name).join("metrics.jsonl"),
            &(rows(0..60, falling) + &sick_rows()),
        );
    }
    fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o000)).unwrap();
    // Without a mapping of users the program has no rights beyond those of the files' owner.
    let mut command = Command::new("unshare");
    command
        .arg("-U")
        .arg(program())
        .args(["watch", "--format", "json"])
        .arg(dir.path());
    let watching = Watching::of(&mut command);
    let said = [watching.next_line(), watching.next_line()];
    assert!(said.iter().all(|it| it.contains("permission denied")), "{said:?}");
    costs_little("what may not be read", &watching);
    for (name, path, mode) in [("a", &file, 0o644), ("b", &folder, 0o755)] {
        let begun = Instant::now();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(watching.next_of("non-finite-loss")["run"], name);
        recovers(&format!("rights of {name} given back"), begun);
    }
    watching.signal("TERM");
    assert_eq!(watching.end().code(), Some(0));
}

#[test]
fn reads_that_fail_for_a_while_cost_nothing_but_time() {
    if !has_program("strace", &["strace"]) || !works("strace", &["-o", "/dev/null", "true"]) {
        return skip("11", "no strace, or it may not trace");
    }
    // Of the calls of each thread some fail, after the first look and again later.
    for (call, error, when) in [
        ("pread64", "EIO", "2..4"),
        ("statx", "ESTALE", "2..4"),
        ("openat", "EMFILE", "1..2"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs/metrics.jsonl");
        fs::create_dir(dir.path().join("runs")).unwrap();
        append(&path, &rows(0..60, falling));
        let trace = dir.path().join("trace");
        let mut command = Command::new("strace");
        command
            .args(["-D", "-f", "-o"])
            .arg(&trace)
            .args(["-P", &path.to_string_lossy()])
            .args(["-e", &format!("inject={call}:error={error}:when={when}")])
            .arg(program())
            .args(["watch", "--format", "json", "--poll", "--poll-every", "0.1"])
            .arg(dir.path().join("runs"));
        let watching = Watching::of(&mut command);
        let begun = Instant::now();
        append(&path, &sick_rows());
        let alarm = watching.next_of_amid_complaints("non-finite-loss");
        assert_eq!(alarm["finding"]["first_step"], 60, "{call}");
        recovers(&format!("{error} of {call}"), begun);
        watching.signal("TERM");
        watching.end();
        let trace = fs::read_to_string(&trace).unwrap();
        assert!(trace.contains("(INJECTED)"), "{call} was made to fail: {trace}");
    }
}

#[test]
fn a_file_system_that_does_not_answer_stops_the_signs_of_life_until_it_does() {
    if !has_program("bindfs", &["bindfs", "fuse3"]) {
        return skip("18", "no bindfs");
    }
    let dir = tempfile::tempdir().unwrap();
    let (behind, mounted) = (dir.path().join("behind"), dir.path().join("mounted"));
    fs::create_dir_all(behind.join("run")).unwrap();
    fs::create_dir(&mounted).unwrap();
    append(
        &behind.join("run/metrics.jsonl"),
        &(rows(0..60, falling) + &sick_rows()),
    );
    let mut server = Command::new("bindfs")
        .args(["-f", "-o", "attr_timeout=0,entry_timeout=0"])
        .args([&behind, &mounted])
        .spawn()
        .unwrap();
    let mount = Mount(mounted.clone());
    let begun = Instant::now();
    while !mounted.join("run").exists() {
        if begun.elapsed() > Duration::from_secs(10) {
            server.kill().unwrap();
            server.wait().unwrap();
            return skip("18", "bindfs cannot mount here");
        }
    }
    let manager = Manager::new();
    let mut command = Command::new(program());
    command
        .args(["watch", "--format", "json", "--poll-every", "0.1"])
        .arg(&mounted)
        .env("NOTIFY_SOCKET", &manager.path)
        .env("WATCHDOG_USEC", "1000000");
    let watching = Watching::of(&mut command);
    watching.next_of_amid_complaints("non-finite-loss");
    manager.wait("WATCHDOG=1");
    let signal = |name: &str| assert!(works("kill", &[name, &server.id().to_string()]));
    signal("-STOP");
    assert!(
        manager.has_nothing_for(Duration::from_secs(2)),
        "a hung worker gives no sign of life"
    );
    signal("-CONT");
    manager.wait("WATCHDOG=1");
    watching.signal("TERM");
    assert_eq!(watching.end().code(), Some(0));
    drop(mount);
    server.wait().unwrap();
    seen(
        "18",
        "a hung worker gives no sign of life, and goes on when it can",
        "file system stopped for 2 s of a WatchdogSec of 1: no sign until it answers, then signs again",
    );
}

#[test]
fn a_reader_that_does_not_read_keeps_nobody_from_ending_it() {
    let dir = tempfile::tempdir().unwrap();
    // Far more than a pipe holds.
    for n in 0..80 {
        let path = dir.path().join(format!("run-{n}.jsonl"));
        append(&path, &(rows(0..60, falling) + &sick_rows()));
    }
    let manager = Manager::new();
    let mut child = Command::new(program())
        .args(["watch", "--format", "json"])
        .arg(dir.path())
        .env("NOTIFY_SOCKET", &manager.path)
        .env("WATCHDOG_USEC", "1000000")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    manager.wait("WATCHDOG=1");
    while !manager.has_nothing_for(Duration::from_secs(2)) {}
    let begun = Instant::now();
    assert!(works("kill", &["-TERM", &child.id().to_string()]));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    seen(
        "18",
        "SIGTERM ends within 5 s",
        &format!("nobody reads its output: {:.1} s", took.as_secs_f64()),
    );
}
