//! A daemon whose mail server refuses, lies or hangs: others are told, nothing goes out in clear, everybody can see it.
//!
//! In: servers that misbehave, a webhook that does not. Out: what each of them heard, `status`, its exit status, the
//! metrics. Invariant: every wait is for a message, a line or a state, with a deadline.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Bench, DEADLINE, Daemon, append, bad_rows, pause, rows};
use crate::support::smtp::{Reply, SmtpServer};
use crate::support::table::{seen, skip};
use crate::watch::faults::works;

const PASSWORD: &str = "cH9tPs5word";

/// Mail settings, with more lines, and the metrics.
fn mail(port: u16, more: &str) -> String {
    format!("[listen]\naddress = \"127.0.0.1:0\"\n[mail]\nhost = \"127.0.0.1\"\nport = {port}\n{more}\n")
}

fn bench_with_mail(port: u16, more: &str) -> Bench {
    let bench = Bench::with(&mail(port, more));
    fs::write(bench.dir.path().join("password"), format!("{PASSWORD}\n")).unwrap();
    append(&bench.run("a"), &(rows(0..60) + &bad_rows(60..70)));
    bench
}

impl Daemon {
    /// The metrics, as anybody gets them.
    fn metrics(&self) -> String {
        let said = self.said_until("listening on http://");
        let address = said
            .split("listening on http://")
            .nth(1)
            .and_then(|it| it.split('/').next());
        let mut stream = TcpStream::connect(address.unwrap()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    fn metrics_until(&self, line: &str) {
        let begun = Instant::now();
        loop {
            let metrics = self.metrics();
            if metrics.lines().any(|it| it == line) {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "no {line} in {metrics}");
            pause(Duration::from_millis(50));
        }
    }
}

fn letters(server: &SmtpServer) -> usize {
    server.heard().matches("\nSubject: ").count()
}

#[test]
fn a_refused_recipient_costs_nobody_else_his_mail_and_is_seen() {
    let server = SmtpServer::start(&[("RCPT TO:<gone@", "550 5.1.1 no such user".into())]);
    let to = "tls = \"none\"\nto = [\"gone@example.org\", \"me@example.org\"]";
    let bench = bench_with_mail(server.address.port(), to);
    let daemon = bench.start();
    assert_eq!(bench.next_message()["run"], "a");
    let status = bench.status_until(|it| it["outbox"]["dead"] == 1 && it["outbox"]["open"] == 0);
    let dead = &status["outbox"]["messages"][0];
    assert_eq!(
        (&dead["address"], &dead["state"]),
        (&"gone@example.org".into(), &"dead".into())
    );
    assert!(
        dead["last"].as_str().unwrap().contains("550 5.1.1 no such user"),
        "{dead}"
    );
    assert_eq!(letters(&server), 1);
    assert!(server.heard().contains("RCPT TO:<me@example.org>"));
    assert_eq!(bench.ask(&["status"]).status.code(), Some(1));
    daemon.metrics_until("gradwatch_outbox_dead_messages_total 1");
    daemon.stop();
    seen(
        "16",
        "5xx recipient: the others still get mail; visible in status, metrics and exit code",
        "one of two recipients refused: the other has it, dead letter with the server's words in status, \
         outbox_dead_messages_total 1, exit status 1",
    );
}

/// What holds whenever nobody can be mailed because of the settings.
fn holds_and_shows(bench: &Bench, words: &str) {
    let daemon = bench.start();
    assert_eq!(bench.next_message()["run"], "a", "{words}: the webhook is told");
    // The mail is kept; what the webhook took is done a moment later.
    let is_kept = |it: &Value| it["outbox"]["messages"][0]["state"] == "stuck" && it["outbox"]["open"] == 1;
    let status = bench.status_until(is_kept);
    let shown = [&status["outbox"]["messages"][0]["last"], &status["degraded"]];
    assert!(
        shown.iter().all(|it| it.to_string().contains(words)),
        "{words}: {status:#}"
    );
    assert_eq!(bench.ask(&["status"]).status.code(), Some(1), "{words}");
    daemon.metrics_until("gradwatch_degraded 1");
    daemon.metrics_until("gradwatch_outbox_waiting_messages 1");
    assert!(daemon.said().contains(words), "{words}");
    daemon.stop();
}

#[test]
fn a_server_that_must_not_be_trusted_gets_nothing_and_all_can_see_why() {
    let user = "to = \"me@example.org\"\nusername = \"me\"\npassword_file = \"password\"\n";
    let auth = || Reply::from("250-mail.test\r\n250 AUTH PLAIN LOGIN");
    let refusing = SmtpServer::start(&[("EHLO", auth()), ("AUTH", "535 5.7.8 wrong".into())]);
    let bench = bench_with_mail(refusing.address.port(), &format!("{user}tls = \"none\""));
    holds_and_shows(&bench, "535 5.7.8 wrong");
    assert!(!refusing.heard().contains("MAIL FROM"));
    // A password that is put right counts without a restart, and at once after a reload; what was kept goes.
    let stripped = SmtpServer::start(&[("EHLO", auth())]);
    let bench = bench_with_mail(stripped.address.port(), &format!("{user}tls = \"starttls\""));
    holds_and_shows(&bench, "STARTTLS");
    for word in ["AUTH", "MAIL FROM", "Subject", "example.org", PASSWORD] {
        assert!(!stripped.heard().contains(word), "{word} in {}", stripped.heard());
    }
    seen(
        "16",
        "535, STARTTLS stripped: nothing in clear, queue kept, visible in status, metrics and exit code",
        "the webhook is told, no word of the mail or its sender left, message stuck, degraded 1, exit status 1",
    );
}

#[test]
fn a_message_that_was_kept_goes_when_the_settings_are_put_right() {
    let refusing = SmtpServer::start(&[("EHLO", "250-mail.test\r\n250 STARTTLS".into())]);
    let to = "to = \"me@example.org\"\n";
    let bench = bench_with_mail(refusing.address.port(), &format!("{to}tls = \"tls\""));
    let daemon = bench.start();
    bench.status_until(|it| it["outbox"]["messages"][0]["state"] == "stuck");
    let good = SmtpServer::start(&[]);
    let config = bench.dir.path().join("gradwatch.toml");
    let text = fs::read_to_string(&config).unwrap();
    let port = |server: &SmtpServer| format!("port = {}", server.address.port());
    let text = text
        .replace(&port(&refusing), &port(&good))
        .replace("\"tls\"", "\"none\"");
    fs::write(&config, text).unwrap();
    let sent = Command::new("kill")
        .args(["-HUP", &daemon.pid()])
        .status()
        .unwrap();
    assert!(sent.success());
    let status = bench.status_until(|it| it["outbox"]["open"] == 0);
    assert_eq!(
        (letters(&good), &status["degraded"]),
        (1, &Value::Array(Vec::new()))
    );
    assert_eq!(bench.ask(&["status"]).status.code(), Some(0));
    daemon.metrics_until("gradwatch_degraded 0");
    daemon.stop();
}

/// A TLS server whose certificate nobody has signed, ended with the test.
struct Impostor(Child);

impl Impostor {
    fn start(dir: &Path, port: u16) -> Option<Self> {
        let at = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let (key, certificate) = (at("key.pem"), at("certificate.pem"));
        let make = [
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-keyout",
            &key,
            "-out",
            &certificate,
        ];
        if !works("openssl", &make) {
            return None;
        }
        let port = port.to_string();
        let serve = [
            "s_server",
            "-quiet",
            "-accept",
            &port,
            "-key",
            &key,
            "-cert",
            &certificate,
        ];
        let child = Command::new("openssl")
            .args(serve)
            .stdin(Stdio::piped())
            .stdout(fs::File::create(dir.join("impostor")).unwrap())
            .stderr(Stdio::null())
            .spawn();
        child.ok().map(Self)
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_certificate_of_nobody_known_gets_nothing_and_all_can_see_why() {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let dir = tempfile::tempdir().unwrap();
    let Some(_server) = Impostor::start(dir.path(), port) else {
        return skip("16", "no openssl for a server with a bad certificate");
    };
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < DEADLINE);
        pause(Duration::from_millis(20));
    }
    let bench = bench_with_mail(port, "to = \"me@example.org\"\ntls = \"tls\"");
    holds_and_shows(&bench, "certificate");
    let heard = fs::read(dir.path().join("impostor")).unwrap();
    assert!(heard.is_empty(), "{}", String::from_utf8_lossy(&heard));
    seen(
        "16",
        "bad CA: nothing in clear, queue kept, visible in status, metrics and exit code",
        "a certificate that nobody signed: not a byte of SMTP, message stuck, degraded 1, exit status 1",
    );
}

#[test]
fn a_mail_server_that_hangs_or_drips_keeps_nothing_from_being_followed_and_told() {
    for (name, reply) in [
        ("tarpit", Reply::Silence),
        ("drip", Reply::Drip("220 mail.test ", Duration::from_millis(20))),
    ] {
        let server = SmtpServer::start(&[("", reply)]);
        let bench = bench_with_mail(
            server.address.port(),
            "tls = \"none\"\nto = \"me@example.org\"\ntimeout = \"60s\"",
        );
        let daemon = bench.start();
        assert_eq!(bench.next_message()["run"], "a", "{name}");
        // The attempt to mail it lasts as long as it may; meanwhile others are told.
        for run in ["b", "c", "d"] {
            append(&bench.run(run), &(rows(0..60) + &bad_rows(60..70)));
            assert_eq!(bench.next_message()["run"], run, "{name}");
        }
        let begun = Instant::now();
        daemon.stop();
        assert!(
            begun.elapsed() < Duration::from_secs(6),
            "{name}: {:?}",
            begun.elapsed()
        );
    }
    seen(
        "15",
        "tarpit, drip: following never blocks",
        "a server that says nothing, and one that says a byte at a time: three more runs told by webhook during the attempt, \
         ends at once",
    );
}

#[test]
fn a_letter_whose_answer_was_lost_is_sent_again_under_the_same_name() {
    let dropping = SmtpServer::start(&[(".", Reply::Close)]);
    let bench = bench_with_mail(dropping.address.port(), "tls = \"none\"\nto = \"me@example.org\"");
    let daemon = bench.start();
    let begun = Instant::now();
    while letters(&dropping) < 2 {
        assert!(begun.elapsed() < DEADLINE, "{}", dropping.heard());
        pause(Duration::from_millis(50));
    }
    daemon.stop();
    let heard = dropping.heard();
    let names: Vec<&str> = heard.lines().filter(|it| it.starts_with("Message-ID:")).collect();
    assert!(
        names.len() >= 2 && names.iter().all(|it| *it == names[0]),
        "{names:?}"
    );
    seen(
        "15",
        "connection dropped after DATA: tried again with back-off",
        &format!("{} letters with one Message-ID", names.len()),
    );
}

#[test]
fn a_thousand_runs_that_go_bad_at_once_are_a_few_mails_that_name_them_all() {
    const N_RUNS: usize = 1000;
    const CAP: usize = 20;
    let server = SmtpServer::start(&[]);
    let bench = Bench::new();
    let port = server.address.port();
    let config = format!(
        "[watch]\npaths = [\"runs\"]\n[alerts]\nmails_per_hour = {CAP}\ngroup_wait = \"2s\"\n\
         [mail]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nto = \"me@example.org\"\n"
    );
    fs::write(bench.dir.path().join("gradwatch.toml"), config).unwrap();
    let runs: Vec<_> = (0..N_RUNS).map(|it| bench.run(&format!("run-{it}"))).collect();
    for run in &runs {
        append(run, &rows(0..60));
    }
    let daemon = bench.start();
    bench.status_until(|it| it["runs"].as_array().is_some_and(|it| it.len() == N_RUNS));
    for run in &runs {
        append(run, &bad_rows(60..70));
    }
    let is_told = |it: &Value| it["told"] == "critical";
    let status = bench.status_until(|it| {
        let alerts = it["alerts"].as_array().unwrap();
        alerts.len() == N_RUNS && alerts.iter().all(is_told) && it["outbox"]["open"] == 0
    });
    let waiting = usize::try_from(status["outbox"]["waiting"].as_u64().unwrap()).unwrap();
    let heard = server.heard();
    let n_mails = letters(&server);
    assert!((1..=CAP).contains(&n_mails), "{n_mails} mails");
    let subjects: Vec<&str> = heard.lines().filter(|it| it.starts_with("Subject: ")).collect();
    let n_runs_of = |subject: &&str| {
        let words: Vec<&str> = subject.split(' ').collect();
        let at = words.iter().position(|it| it.starts_with("runs"));
        at.and_then(|at| words[at - 1].replace(',', "").parse::<usize>().ok())
            .unwrap_or(1)
    };
    let n_named: usize = subjects.iter().map(n_runs_of).sum();
    assert_eq!(n_named + waiting, N_RUNS, "{subjects:#?}");
    daemon.stop();
    seen(
        "17",
        "1,000 runs NaN at once: grouped mails under a cap",
        &format!(
            "{n_mails} mails (cap {CAP} an hour) about {n_named} runs, {waiting} runs wait for the next one; none is lost"
        ),
    );
}
