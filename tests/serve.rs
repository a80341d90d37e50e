//! `gradwatch watch --listen` from outside: what is answered, to whom, and that nobody who asks can hold the loop.
//!
//! In: HTTP over plain sockets, so that a client can be as slow or as rude as it likes. Out: answers. Invariant: every
//! wait is for an answer or a line, with a deadline.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use gradwatch::model::Verdict;
use gradwatch::report::{RunReport, RunSummary};
use gradwatch::serve::{
    Board, CONNECTIONS_MAX, Guard, RUN_LABELS_MAX, RunRow, Said, Server, Settings, Snapshot, Totals,
};
use serde_json::Value;

/// Far beyond what a busy machine needs.
const DEADLINE: Duration = Duration::from_secs(60);

/// The program, following a directory and listening.
struct Daemon {
    child: Child,
    address: SocketAddr,
    alarms: Receiver<String>,
}

impl Daemon {
    fn start(dir: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin("gradwatch"))
            .args([
                "watch",
                "--poll-every",
                "0.1",
                "--format",
                "json",
                "--listen",
                "127.0.0.1:0",
            ])
            .args(more)
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = said
            .find_map(|it| {
                it.unwrap()
                    .split_once("http://")
                    .map(|it| it.1.trim_end_matches('/').parse().unwrap())
            })
            .expect("it says where it listens");
        thread::spawn(move || said.for_each(drop));
        let (sender, alarms) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|it| sender.send(it)));
        Self {
            child,
            address,
            alarms,
        }
    }

    fn get(&self, path: &str) -> Answer {
        get(self.address, path, "")
    }

    /// Asks until the answer is as wanted.
    fn get_until(&self, path: &str, is_it: impl Fn(&Answer) -> bool) -> Answer {
        let begun = Instant::now();
        loop {
            let answer = self.get(path);
            if is_it(&answer) {
                return answer;
            }
            assert!(begun.elapsed() < DEADLINE, "{path}: {}", answer.body);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|it| it.split_once(": "));
        fields.find(|it| it.0.eq_ignore_ascii_case(name)).map(|it| it.1)
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    answer_of(stream)
}

fn answer_of(mut stream: TcpStream) -> Answer {
    let mut text = Vec::new();
    // A server that has said all may close before all was asked.
    match stream.read_to_end(&mut text) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => {}
    }
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|it| it.parse().ok())
        .unwrap_or_default();
    Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

fn get(address: SocketAddr, path: &str, headers: &str) -> Answer {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"),
    )
}

fn rows(steps: std::ops::Range<i64>, loss: impl Fn(i64) -> String) -> String {
    let row = |step| {
        format!(
            "{{\"step\": {step}, \"train/loss\": {}, \"grad_norm/blocks.0.weight\": 0.5}}\n",
            loss(step)
        )
    };
    steps.map(row).collect::<Vec<_>>().concat()
}

fn falling(step: i64) -> String {
    format!("{:.4}", 4.0 / (1.0 + 0.05 * step as f64))
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn what_is_read_is_shown_to_programs() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("metrics.jsonl");
    append(&log, &rows(0..60, falling));
    let daemon = Daemon::start(dir.path(), &[]);
    let runs = daemon.get_until("/api/v1/runs", |it| it.json()["runs"][0]["last_step"] == 59);
    assert_eq!(runs.header("content-type"), Some("application/json"));
    let runs = runs.json();
    assert_eq!(
        (&runs["schema"], &runs["verdict"]),
        (&Value::from("gradwatch.runs/1"), &Value::from("healthy"))
    );
    let run = &runs["runs"][0];
    assert_eq!(
        (&run["run"], &run["records"], &run["files"]),
        (&Value::from("."), &Value::from(60), &Value::from(1))
    );
    assert_eq!(run["bytes"], fs::metadata(&log).unwrap().len());
    assert!(run["age_seconds"].as_f64().unwrap() >= 0.0, "{run}");
    append(&log, "not a line of JSON\n");
    append(&log, &rows(60..70, |_| "NaN".to_owned()));
    let alerts = daemon
        .get_until("/api/v1/alerts", |it| it.body.contains("non-finite-loss"))
        .json();
    assert_eq!(alerts["schema"], "gradwatch.alerts/1");
    let alert = &alerts["alerts"][0];
    let said: Value = serde_json::from_str(&daemon.alarms.recv_timeout(DEADLINE).unwrap()).unwrap();
    assert_eq!(
        (&alert["fingerprint"], &alert["run"]),
        (&said["fingerprint"], &said["run"])
    );
    assert_eq!(alert["finding"]["first_step"], 60);
    let text = daemon.get("/metrics").body;
    for line in [
        "gradwatch_run_last_step{run=\".\"} 69",
        "gradwatch_run_alerts{run=\".\",severity=\"critical\"} 1",
        "gradwatch_run_verdict{run=\".\",verdict=\"critical\"} 1",
        "gradwatch_run_verdict{run=\".\",verdict=\"healthy\"} 0",
        "gradwatch_notices_total{event=\"alarm\"} 1",
        "gradwatch_records_total 70",
        "gradwatch_skipped_records_total 1",
        "gradwatch_runs{verdict=\"critical\"} 1",
    ] {
        assert!(text.lines().any(|it| it == line), "no `{line}` in\n{text}");
    }
    let read = format!("gradwatch_read_bytes_total {}", fs::metadata(&log).unwrap().len());
    assert!(text.contains(&read), "no `{read}` in\n{text}");
}

#[test]
fn counters_do_not_fall_when_a_log_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("metrics.jsonl");
    append(&log, &rows(0..60, falling));
    let daemon = Daemon::start(dir.path(), &[]);
    let has = |line: &'static str| move |it: &Answer| it.body.contains(line);
    daemon.get_until("/metrics", has("\ngradwatch_records_total 60\n"));
    fs::write(&log, rows(0..20, falling)).unwrap();
    daemon.get_until("/metrics", has("\ngradwatch_records_total 80\n"));
    fs::remove_file(&log).unwrap();
    append(&dir.path().join("other.jsonl"), &rows(0..5, falling));
    daemon.get_until("/metrics", has("\ngradwatch_records_total 85\n"));
}

#[test]
fn only_who_may_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    append(&dir.path().join("metrics.jsonl"), &rows(0..60, falling));
    let daemon = Daemon::start(dir.path(), &[]);
    let to = |head: &str| ask(daemon.address, &format!("{head}\r\nConnection: close\r\n\r\n")).status;
    assert_eq!(to("GET / HTTP/1.1\r\nHost: 127.0.0.1"), 200);
    assert_eq!(to("GET / HTTP/1.1\r\nHost: evil.example"), 421);
    assert_eq!(to("GET / HTTP/1.0\r\nAccept: */*"), 421);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        assert_eq!(
            to(&format!("{method} /api/v1/runs HTTP/1.1\r\nHost: localhost")),
            405,
            "{method}"
        );
    }
    assert_eq!(daemon.get("/no-such-page").status, 404);
    assert_eq!(daemon.get("/data/run").status, 400);
    assert_eq!(daemon.get("/data/run?run=no-such-run").status, 404);
    assert_eq!(daemon.get("/../../etc/passwd").status, 404);
    let head = ask(
        daemon.address,
        "HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let page = daemon.get("/");
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'sha256-") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert!(
        policy.contains("connect-src 'self'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
}

#[test]
fn what_did_not_change_is_not_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("metrics.jsonl");
    append(&log, &rows(0..60, falling));
    let daemon = Daemon::start(dir.path(), &[]);
    for path in ["/data/overview", "/data/run?run=."] {
        daemon.get_until("/data/overview", |it| it.body.contains("\"key\":\".\""));
        let first = daemon.get_until(path, |it| {
            it.status == 200 && it.json().to_string().contains("59")
        });
        let tag = first.header("etag").unwrap().to_owned();
        let again = get(daemon.address, path, &format!("If-None-Match: {tag}\r\n"));
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
    }
    let tag = daemon.get("/data/run?run=.").header("etag").unwrap().to_owned();
    append(&log, &rows(60..61, falling));
    let later = daemon.get_until("/data/run?run=.", |it| it.header("etag") != Some(&tag));
    assert_eq!(later.json()["last_step"], 60);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The data element of a page.
fn embedded(page: &str, id: &str) -> Value {
    let begin = format!("<script type=\"application/json\" id=\"{id}\">");
    let rest = page.split(&begin).nth(1).unwrap();
    serde_json::from_str(rest.split("</script>").next().unwrap()).unwrap()
}

/// Without what only the end of a log brings.
fn pictures(run: &Value) -> (&Value, &Value, &Value) {
    (&run["sources"], &run["files"], &run["points"])
}

#[test]
fn the_live_page_has_the_pictures_of_the_report() {
    for name in ["gpt-healthy", "one-rank-nan", "vanishing-sigmoid"] {
        // Copied, because a daemon leaves runs unread that have not changed for a day.
        let copied = tempfile::tempdir().unwrap();
        let dir = copied.path().join(name);
        copy(&crate::support::root().join("fixtures/runs").join(name), &dir);
        let target = tempfile::tempdir().unwrap();
        let html = target.path().join("report.html");
        let audit = Command::new(assert_cmd::cargo::cargo_bin("gradwatch"))
            .args([Path::new("audit"), &dir, Path::new("--html"), &html])
            .output()
            .unwrap();
        assert!(audit.status.code().is_some_and(|it| it < 2), "{audit:?}");
        let report = embedded(&fs::read_to_string(&html).unwrap(), "run-0");
        let daemon = Daemon::start(&dir, &[]);
        let is_read = |it: &Answer| {
            let runs = it.json();
            runs["runs"][0]["reading"] == false && runs["runs"][0]["last_step"] == report["last_step"]
        };
        daemon.get_until("/api/v1/runs", is_read);
        let live = daemon.get_until("/data/run?run=.", |it| it.status == 200).json();
        assert_eq!(pictures(&live), pictures(&report), "{name}");
        assert!(!live["sources"].as_array().unwrap().is_empty(), "{name}");
        let page = daemon.get("/").body;
        assert_eq!(embedded(&page, "live"), Value::Bool(true));
    }
}

/// A run is shown beside the run that it is compared with, as in the report; the baseline itself beside nothing.
#[test]
fn the_live_page_shows_the_baseline() {
    let runs = tempfile::tempdir().unwrap();
    for (name, rate) in [("sick", "0.01"), ("twin", "0")] {
        let made = Command::new(assert_cmd::cargo::cargo_bin("gradwatch"))
            .args("simulate --layers 12 --weight 0.7 --bias 0.05 --steps 40 --learning-rate".split(' '))
            .args([rate, "--as", "jsonl", "--out"])
            .arg(runs.path().join(name))
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    }
    let (twin, html) = (runs.path().join("twin"), runs.path().join("report.html"));
    let twin = twin.to_str().unwrap();
    let audit = Command::new(assert_cmd::cargo::cargo_bin("gradwatch"))
        .arg("audit")
        .args([&runs.path().join("sick"), Path::new("--html"), &html])
        .args(["--baseline", twin])
        .output()
        .unwrap();
    assert!(audit.status.code().is_some_and(|it| it < 2), "{audit:?}");
    let report = embedded(&fs::read_to_string(&html).unwrap(), "baseline");
    let daemon = Daemon::start(runs.path(), &["--baseline", twin]);
    let baseline = daemon.get("/data/baseline");
    assert!(baseline.json() == report, "it is not that of the report");
    let known = format!("If-None-Match: {}\r\n", baseline.header("etag").unwrap());
    assert_eq!(get(daemon.address, "/data/baseline", &known).status, 304);
    for (run, is_compared) in [("sick", true), ("twin", false)] {
        let shown = daemon.get_until(&format!("/data/run?run={run}"), |it| it.status == 200);
        assert_eq!(shown.json()["compared"], is_compared, "{run}");
    }
    // A baseline that goes on is read again when the daemon is asked to.
    let log = fs::read_dir(runs.path().join("twin"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let row = fs::read_to_string(&log)
        .unwrap()
        .lines()
        .last()
        .unwrap()
        .replace("\"step\": 39,", "\"step\": 40,");
    append(&log, &format!("{row}\n"));
    let hung_up = Command::new("kill")
        .args(["-HUP", &daemon.child.id().to_string()])
        .status();
    assert!(hung_up.unwrap().success());
    let tag = baseline.header("etag").unwrap().to_owned();
    let again = daemon.get_until("/data/baseline", |it| it.header("etag") != Some(&tag));
    let last = again.json()["loss"]["steps"].as_array().unwrap().last().cloned();
    assert_eq!(last, Some(Value::from(40)));
    let alone = Daemon::start(runs.path(), &[]);
    assert_eq!(alone.get("/data/baseline").json(), Value::Null);
}

/// Clients that say half a request, or never read an answer, keep nobody from being answered and no alarm from being
/// said; beyond the limit of connections others wait until one is free.
#[test]
fn slow_clients_hold_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("metrics.jsonl");
    append(&log, &rows(0..60, falling));
    let daemon = Daemon::start(dir.path(), &[]);
    let half = || {
        let mut stream = connect(daemon.address);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: local").unwrap();
        stream
    };
    let deaf = || {
        let mut stream = connect(daemon.address);
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200);
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let mut held: Vec<TcpStream> = (0..CONNECTIONS_MAX - 8).map(|_| half()).collect();
    held.extend((0..7).map(|_| deaf()));
    assert_eq!(daemon.get("/healthz").status, 200, "the last free place");
    append(&log, &rows(60..70, |_| "NaN".to_owned()));
    assert!(
        daemon
            .alarms
            .recv_timeout(DEADLINE)
            .unwrap()
            .contains("non-finite-loss")
    );
    held.push(half());
    let mut waiting = connect(daemon.address);
    waiting
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    waiting
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    assert!(
        waiting.read(&mut [0; 1]).is_err(),
        "there was no place, and yet an answer"
    );
    drop(held);
    waiting.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(answer_of(waiting).status, 200);
}

#[test]
fn a_request_without_end_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path(), &[]);
    let mut stream = connect(daemon.address);
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    let line = format!("X-Long: {}\r\n", "a".repeat(8_000));
    let mut sent = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n");
    let mut n_sent = 0;
    while sent.is_ok() && n_sent < 64 << 20 {
        sent = stream.write_all(line.as_bytes());
        n_sent += line.len();
    }
    assert!(sent.is_err(), "{n_sent} bytes of one head were taken");
    assert_eq!(daemon.get("/healthz").status, 200);
}

#[test]
fn an_address_that_others_reach_needs_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |more: &[&str]| {
        let output = Command::new(assert_cmd::cargo::cargo_bin("gradwatch"))
            .arg("watch")
            .arg(dir.path())
            .args(more)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(&["--listen", "0.0.0.0:0"]).contains("--listen-token-file"));
    let short = dir.path().join("short");
    fs::write(&short, "short").unwrap();
    let short = short.to_str().unwrap();
    assert!(refused(&["--listen", "127.0.0.1:0", "--listen-token-file", short]).contains("at least 16"));
    let token = dir.path().join("token");
    fs::write(&token, "0123456789abcdef\n").unwrap();
    let daemon = Daemon::start(dir.path(), &["--listen-token-file", token.to_str().unwrap()]);
    let taken = daemon.address.to_string();
    assert!(refused(&["--listen", &taken]).contains("cannot listen on"));
    assert_eq!(daemon.get("/metrics").status, 401);
    assert_eq!(daemon.get("/healthz").status, 200, "probes hold no token");
    let bearer = get(
        daemon.address,
        "/metrics",
        "Authorization: Bearer 0123456789abcdef\r\n",
    );
    assert_eq!(bearer.status, 200);
    let once = daemon.get("/?token=0123456789abcdef");
    assert_eq!((once.status, once.header("location")), (303, Some("/")));
    let cookie = once.header("set-cookie").unwrap().split(';').next().unwrap();
    assert_eq!(
        get(daemon.address, "/", &format!("Cookie: {cookie}\r\n")).status,
        200
    );
    assert_eq!(daemon.get("/?token=0123456789abcdeX").status, 401);
}

fn server(board: &Arc<Board>, stalled_after: Duration) -> Server {
    let address = ([127, 0, 0, 1], 0).into();
    let settings = Settings {
        address,
        guard: Guard::new(address, None).unwrap(),
        stalled_after,
    };
    Server::start(settings, Arc::clone(board)).unwrap()
}

#[test]
fn a_loop_that_does_not_turn_is_not_healthy() {
    let board = Arc::new(Board::new(Box::new(|| ())));
    let patient = server(&board, DEADLINE);
    assert_eq!(get(patient.address(), "/healthz", "").status, 200);
    let strict = server(&board, Duration::ZERO);
    let answer = get(strict.address(), "/healthz", "");
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("has not turned for"), "{}", answer.body);
}

#[test]
fn labels_are_bounded_and_escaped() {
    let row = |name: String, verdict| {
        let mut report = RunReport::new(&name);
        (report.verdict, report.last_step) = (verdict, Some(7));
        Arc::new(RunRow {
            summary: RunSummary::of(&report),
            findings: Vec::new().into(),
            totals: Totals::default(),
            changed_at: None,
        })
    };
    let mut rows: Vec<Arc<RunRow>> = (0..RUN_LABELS_MAX + 20)
        .map(|it| row(format!("run-{it:05}"), Verdict::Healthy))
        .collect();
    rows.push(row("z \"quoted\" \\ \n".to_owned(), Verdict::Critical));
    let board = Arc::new(Board::new(Box::new(|| ())));
    board.publish(Snapshot::new(
        1,
        rows,
        Vec::new(),
        Totals::default(),
        Said::default(),
    ));
    let server = server(&board, DEADLINE);
    let open = get(
        server.address(),
        "/metrics",
        "Accept: application/openmetrics-text;version=1.0.0\r\n",
    );
    assert!(
        open.header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    assert!(open.body.ends_with("# EOF\n"));
    let labelled = |text: &str| {
        text.lines()
            .filter(|it| it.starts_with("gradwatch_run_last_step{"))
            .count()
    };
    assert_eq!(labelled(&open.body), RUN_LABELS_MAX);
    assert!(
        open.body.contains("gradwatch_runs_without_labels 21"),
        "the rest is counted"
    );
    assert!(
        open.body
            .contains(r#"gradwatch_run_last_step{run="z \"quoted\" \\ \n"} 7"#),
        "the worst run has its labels"
    );
    let classic = get(server.address(), "/metrics", "");
    assert!(
        classic
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    assert_eq!(labelled(&classic.body), RUN_LABELS_MAX);
    assert!(!classic.body.contains("# EOF") && !classic.body.contains("# UNIT"));
}
