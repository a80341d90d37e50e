//! The units, started by a real systemd in namespaces of its own.
//!
//! In: the shipped units, the program, a mail server that wants a password. Out: what systemd says of them, what the
//! server heard. Invariant: needs root and namespaces; where these are not to be had, that is said.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::support::root;
use crate::support::smtp::SmtpServer;
use crate::watch::faults::{has_program, seen, skip, works};

const DEADLINE: Duration = Duration::from_secs(180);

/// `WatchdogSec=` of the test, in seconds.
const WATCHDOG_S: f64 = 3.0;

/// AUTH PLAIN of the user `me` with the password of the credential (RFC 4616: NUL user NUL password).
const LOGIN: &str = "AUTH PLAIN AG1lAHMzY3JldA==";

const NAMESPACES: &[&str] = &[
    "--pid",
    "--fork",
    "--mount",
    "--uts",
    "--ipc",
    "--cgroup",
    "--mount-proc",
];

/// Why no systemd can be started here.
fn missing() -> Option<&'static str> {
    if !has_program("systemctl", &["systemd"]) {
        return Some("no systemd");
    }
    let mount = ["mount", "-t", "cgroup2", "none", "/mnt"];
    if !works("unshare", &[NAMESPACES, &mount].concat()) {
        return Some("no rights for namespaces and control groups of its own");
    }
    None
}

fn set_up(dir: &Path, server: &SmtpServer) {
    fs::create_dir(dir.join("units")).unwrap();
    for unit in ["gradwatch.service", "gradwatch@.service"] {
        fs::copy(root().join("systemd").join(unit), dir.join("units").join(unit)).unwrap();
    }
    for script in ["boot.sh", "steps.sh"] {
        fs::copy(root().join("tests/units").join(script), dir.join(script)).unwrap();
    }
    fs::copy(assert_cmd::cargo::cargo_bin("gradwatch"), dir.join("gradwatch")).unwrap();
    fs::write(dir.join("password"), "s3cret\n").unwrap();
    let watch = "[watch]\npaths = [\"/opt/runs\"]\n[alerts]\ngroup_wait = \"0s\"\n";
    let port = server.address.port();
    let mail = format!(
        "[mail]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nusername = \"me\"\ncredential = \"smtp-password\"\n\
         to = \"me@example.org\"\n"
    );
    fs::write(dir.join("gradwatch.toml"), format!("{watch}{mail}")).unwrap();
    fs::write(dir.join("nobody.toml"), watch).unwrap();
}

/// A machine, ended with the test.
struct Machine(Child);

impl Machine {
    fn boot(dir: &Path) -> Self {
        let log = fs::File::create(dir.join("boot")).unwrap();
        let child = Command::new("unshare")
            .args(NAMESPACES)
            .arg("--kill-child")
            .arg("bash")
            .arg(dir.join("boot.sh"))
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What became of it, for a test that fails.
fn story(dir: &Path) -> String {
    let text = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
    format!(
        "{}\n-- said:\n{}\n-- boot:\n{}",
        text("steps"),
        text("said"),
        text("boot")
    )
}

fn mails_about(server: &SmtpServer, run: &str) -> usize {
    server
        .heard()
        .matches(&format!("Subject: [gradwatch] [CRITICAL] {run}: "))
        .count()
}

#[test]
fn the_units_run_under_systemd_and_a_hung_daemon_is_started_again() {
    if let Some(why) = missing() {
        return skip("18", why);
    }
    let server = SmtpServer::start(&[("EHLO", "250-mail.test\r\n250 AUTH PLAIN".into())]);
    let dir = tempfile::tempdir().unwrap();
    set_up(dir.path(), &server);
    let mut machine = Machine::boot(dir.path());
    let begun = Instant::now();
    let (_keep, clock) = channel::<()>();
    while machine.0.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < DEADLINE, "{}", story(dir.path()));
        for run in ["a", "b"] {
            if mails_about(&server, run) > 0 {
                fs::write(dir.path().join(format!("heard-{run}")), "").unwrap();
            }
        }
        // Nobody sends: this is the pause between two looks.
        let _ = clock.recv_timeout(Duration::from_millis(50));
    }
    let steps = fs::read_to_string(dir.path().join("steps")).unwrap_or_default();
    let line = |start: &str| {
        let found = steps.lines().find_map(|it| it.strip_prefix(start));
        found
            .unwrap_or_else(|| panic!("{start} in {}", story(dir.path())))
            .to_owned()
    };
    let told = "active following 0 runs (0 dormant) in 3 directories, 0 of them by polling as";
    assert_eq!(line("started gradwatch.service: "), format!("{told} gradwatch"));
    assert_eq!(
        line("started gradwatch@nobody.service: "),
        format!("{told} nobody")
    );
    assert_eq!(line("state: "), "700:gradwatch");
    assert_eq!(line("etc: "), "closed");
    // 440 where systemd gives the right to read by an access list.
    assert!(line("credential: ").ends_with('0'), "{}", line("credential: "));
    assert!(server.heard().contains(LOGIN), "{}", story(dir.path()));
    let tenths = |start: &str| {
        line(start)
            .split(' ')
            .rev()
            .nth(4)
            .unwrap()
            .parse::<f64>()
            .unwrap()
            / 10.0
    };
    let (restarted, stopped) = (tenths("watchdog: "), tenths("stopped: "));
    // RestartSec is 2; systemd ends it with SIGABRT first. A busy machine needs some time more.
    assert!(restarted < 3.0 * WATCHDOG_S + 2.0, "{restarted}");
    assert!(
        line("stopped: ").starts_with("success") && stopped < 5.0,
        "{}",
        line("stopped: ")
    );
    line("all done");
    assert_eq!((mails_about(&server, "a"), mails_about(&server, "b")), (1, 1));
    seen(
        "18",
        "a hung worker: watchdog restart within WatchdogSec and resumption",
        &format!(
            "under systemd, stopped for good: started again {restarted:.1} s later (WatchdogSec {WATCHDOG_S}, RestartSec 2), \
             tells what came meanwhile and nothing twice; systemctl stop {stopped:.1} s"
        ),
    );
}
