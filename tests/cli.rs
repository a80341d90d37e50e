//! The program from outside: what it says to bad input, and what other programs may rely on.
//!
//! In: files written here. Out: exit status, standard output, standard error. Invariant: every refusal is one
//! sentence that names the path, and nothing hangs or panics.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::root;

const CLEAN: i32 = 0;
const FINDINGS: i32 = 1;
const USAGE: i32 = 2;
const UNREADABLE: i32 = 3;

fn command() -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gradwatch"));
    command.env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

fn gradwatch(args: &[&str], path: &Path) -> Output {
    command().args(args).arg(path).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// All that was said, on both streams.
fn said(output: &Output) -> String {
    stdout(output) + &String::from_utf8_lossy(&output.stderr)
}

#[track_caller]
fn expect(output: &Output, status: i32, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

fn lines_of(lines: impl Iterator<Item = String>) -> String {
    lines.flat_map(|it| [it, "\n".to_owned()]).collect()
}

/// A JSONL log with this many healthy steps.
fn healthy_jsonl(steps: u32) -> String {
    lines_of((0..steps).map(|step| {
        let loss = 0.5 + 2.0 * (-f64::from(step) / 40.0).exp() + 0.01 * f64::from(step * 7 % 5);
        format!("{{\"step\": {step}, \"train/loss\": {loss}, \"lr\": 0.001}}")
    }))
}

/// A JSONL log whose loss is NaN from step 50 on.
fn nan_jsonl() -> String {
    let nan = (50..80).map(|step| format!("{{\"step\": {step}, \"train/loss\": NaN, \"lr\": 0.001}}"));
    healthy_jsonl(50) + &lines_of(nan)
}

fn dir_with(name: &str, content: impl AsRef<[u8]>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name), content).unwrap();
    dir
}

/// An event file that a real writer made.
fn event_file() -> Vec<u8> {
    let dir = root().join("fixtures/frameworks/torch");
    let path = fs::read_dir(dir)
        .unwrap()
        .map(|it| it.unwrap().path())
        .find(|it| it.to_string_lossy().contains("tfevents"));
    fs::read(path.unwrap()).unwrap()
}

#[test]
fn a_path_that_does_not_exist_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for what in ["audit", "inspect"] {
        let output = gradwatch(&[what], &dir.path().join("no-such-run"));
        expect(&output, UNREADABLE, &["no-such-run", "no such file or directory"]);
    }
}

#[test]
fn an_empty_directory_and_one_without_logs_are_named() {
    let empty = tempfile::tempdir().unwrap();
    let name = empty.path().to_string_lossy().into_owned();
    expect(
        &gradwatch(&["audit"], empty.path()),
        UNREADABLE,
        &[&name, "no files that look like logs"],
    );
    let other = dir_with("model.safetensors", b"weights");
    fs::write(other.path().join("train.py"), "loss = 1\n").unwrap();
    expect(
        &gradwatch(&["audit"], other.path()),
        UNREADABLE,
        &[&other.path().to_string_lossy(), "no files that look like logs"],
    );
}

#[test]
fn a_dangling_link_is_named_and_the_rest_is_read() {
    let dir = dir_with("metrics.jsonl", healthy_jsonl(60));
    symlink(dir.path().join("gone"), dir.path().join("train.log")).unwrap();
    expect(
        &gradwatch(&["audit", "--strict"], &dir.path().join("train.log")),
        UNREADABLE,
        &["train.log"],
    );
    let output = gradwatch(&["audit"], dir.path());
    expect(&output, CLEAN, &["healthy"]);
}

#[test]
fn a_directory_in_place_of_a_log_and_a_file_without_rights_do_no_harm() {
    let dir = dir_with("metrics.jsonl", healthy_jsonl(60));
    fs::create_dir(dir.path().join("train.log")).unwrap();
    expect(&gradwatch(&["audit"], dir.path()), CLEAN, &["healthy"]);
    let closed = dir.path().join("eval.jsonl");
    fs::write(&closed, healthy_jsonl(5)).unwrap();
    fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    if fs::File::open(&closed).is_ok() {
        eprintln!("skipped: root may read everything");
        return;
    }
    expect(
        &gradwatch(&["audit", "--strict"], dir.path()),
        UNREADABLE,
        &["eval.jsonl", "permission denied"],
    );
}

#[test]
fn a_symlink_loop_ends() {
    let dir = dir_with("metrics.jsonl", healthy_jsonl(60));
    symlink(dir.path(), dir.path().join("again")).unwrap();
    symlink("self", dir.path().join("self")).unwrap();
    let report = json(&gradwatch(&["audit", "--format", "json"], dir.path()));
    assert_eq!(report["runs"].as_array().unwrap().len(), 1, "{report:#}");
}

#[test]
fn a_named_pipe_does_not_hang() {
    let dir = dir_with("metrics.jsonl", healthy_jsonl(60));
    let pipe = dir.path().join("train.log");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if !made.is_ok_and(|it| it.success()) {
        eprintln!("skipped: no mkfifo");
        return;
    }
    expect(&gradwatch(&["audit"], dir.path()), CLEAN, &["healthy"]);
    expect(&gradwatch(&["audit"], &pipe), UNREADABLE, &["train.log"]);
}

#[test]
fn an_event_file_cut_in_its_last_record_is_the_normal_state_of_a_live_run() {
    let bytes = event_file();
    let dir = dir_with("events.out.tfevents.1", &bytes[..bytes.len() - 7]);
    let output = gradwatch(&["audit", "--strict"], dir.path());
    expect(&output, CLEAN, &["healthy"]);
}

#[test]
fn damage_in_an_event_file_is_named_with_its_place_and_the_rest_is_read() {
    let mut bytes = event_file();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 3] {
        *byte ^= 0x55;
    }
    let dir = dir_with("events.out.tfevents.1", &bytes);
    expect(
        &gradwatch(&["audit"], dir.path()),
        CLEAN,
        &["events.out.tfevents.1", "byte "],
    );
    let strict = gradwatch(&["audit", "--strict", "--format", "json"], dir.path());
    assert_eq!(strict.status.code(), Some(UNREADABLE));
    let run = &json(&strict)["runs"][0];
    assert_eq!(run["last_step"], 39, "{run:#}");
    let problem = &run["problems"][0];
    assert!(
        problem["offset"].as_u64().is_some() && problem["what"].is_string(),
        "{problem}"
    );
    assert!(problem["offset"].as_u64().unwrap() <= middle as u64);
}

#[test]
fn foreign_bytes_are_skipped_and_the_rest_is_read() {
    let mut nul = healthy_jsonl(30).into_bytes();
    nul.extend([0_u8; 700]);
    nul.push(b'\n');
    nul.extend(
        healthy_jsonl(60)
            .lines()
            .skip(30)
            .flat_map(|it| [it.as_bytes(), b"\n"].concat()),
    );
    let mut latin = b"{\"step\": 0, \"note\": \"caf\xe9 \xff\xfe\", \"train/loss\": 3.0}\n".to_vec();
    latin.extend(
        healthy_jsonl(60)
            .lines()
            .skip(1)
            .flat_map(|it| [it.as_bytes(), b"\n"].concat()),
    );
    let wide: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(healthy_jsonl(60).encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    for (name, bytes) in [("nul", nul), ("latin", latin), ("utf16", wide)] {
        let dir = dir_with("metrics.jsonl", &bytes);
        let output = gradwatch(&["audit", "--format", "json"], dir.path());
        expect(&output, CLEAN, &[]);
        assert_eq!(
            json(&output)["runs"][0]["last_step"],
            59,
            "{name}: {}",
            said(&output)
        );
    }
}

#[test]
fn a_line_of_100_mb_costs_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = std::io::BufWriter::new(fs::File::create(dir.path().join("metrics.jsonl")).unwrap());
    file.write_all(healthy_jsonl(30).as_bytes()).unwrap();
    file.write_all(b"{\"step\": 30, \"note\": \"").unwrap();
    let megabyte = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        file.write_all(&megabyte).unwrap();
    }
    file.write_all(b"\"}\n").unwrap();
    for line in healthy_jsonl(60).lines().skip(31) {
        writeln!(file, "{line}").unwrap();
    }
    drop(file);
    let mut child = command()
        .args(["audit", "--jobs", "1"])
        .arg(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The kernel keeps the high-water mark while the child lives; where there is no /proc, only the result counts.
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak_kib = 0;
    while child.try_wait().unwrap().is_none() {
        peak_kib = high_water_kib(&status).unwrap_or(0).max(peak_kib);
        std::thread::yield_now();
    }
    let output = child.wait_with_output().unwrap();
    expect(&output, CLEAN, &["healthy", "metrics.jsonl: byte ", "line"]);
    assert!(peak_kib < 100 << 10, "peak memory {peak_kib} KiB");
    assert!(
        peak_kib > 0 || !Path::new("/proc/self/status").exists(),
        "the peak was never seen"
    );
}

/// Peak resident memory of a process, where the system tells.
fn high_water_kib(status: &Path) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find(|it| it.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn a_wrong_rule_file_is_refused_with_line_and_column() {
    let dir = dir_with(
        "team.toml",
        "[[rule]]\nid = \"dead-layer\"\nsevirity = \"info\"\n",
    );
    let rules = dir.path().join("team.toml");
    let runs = root().join("fixtures/runs/keras-healthy");
    let output = gradwatch(&["audit", "--rules", rules.to_str().unwrap()], &runs);
    expect(&output, USAGE, &["team.toml:3:1", "sevirity", "severity"]);
    let output = gradwatch(&["audit", "--rules", "no-such-rules.toml"], &runs);
    expect(&output, USAGE, &["no-such-rules.toml"]);
}

#[test]
fn wrong_usage_is_status_2() {
    for args in [
        &["audit"][..],
        &["audit", "--format", "yaml", "."],
        &["frobnicate"],
        &[],
    ] {
        let output = command().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(USAGE), "{args:?}: {}", said(&output));
    }
    for args in [&["--help"][..], &["--version"], &["audit", "--help"]] {
        let output = command().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(CLEAN), "{args:?}: {}", said(&output));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    // More output than a pipe holds.
    for index in 0..300 {
        let run = dir.path().join(format!("run-{index:03}"));
        fs::create_dir(&run).unwrap();
        fs::write(run.join("metrics.jsonl"), nan_jsonl()).unwrap();
    }
    let mut child = command()
        .args(["audit", "--format", "json"])
        .arg(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::with_capacity(16, child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(first, "{\n");
    assert_eq!(errors, "");
    assert_eq!(status.code(), Some(FINDINGS));
}

#[test]
fn the_output_does_not_depend_on_the_number_of_threads() {
    let runs = root().join("fixtures/runs");
    for format in ["text", "json"] {
        let one = gradwatch(&["audit", "--format", format, "--jobs", "1"], &runs);
        let four = gradwatch(&["audit", "--format", format, "--jobs", "4"], &runs);
        assert_eq!(stdout(&one), stdout(&four));
    }
}

#[test]
fn fail_on_decides_the_status_and_not_the_report() {
    let dir = dir_with("metrics.jsonl", nan_jsonl());
    let statuses = ["info", "warning", "critical"]
        .map(|it| gradwatch(&["audit", "--fail-on", it], dir.path()).status.code());
    assert_eq!(statuses, [Some(FINDINGS); 3]);
    let healthy = dir_with("metrics.jsonl", healthy_jsonl(60));
    assert_eq!(
        gradwatch(&["audit", "--fail-on", "warning"], healthy.path())
            .status
            .code(),
        Some(CLEAN)
    );
    let inspect = gradwatch(&["inspect"], dir.path());
    expect(&inspect, CLEAN, &["train/loss"]);
}

#[track_caller]
fn has_keys(value: &Value, keys: &[&str]) {
    let missing: Vec<&&str> = keys.iter().filter(|it| value.get(**it).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?} are missing in {value:#}");
}

#[test]
fn the_json_report_has_the_documented_keys() {
    let dir = dir_with("metrics.jsonl", nan_jsonl());
    let report = json(&gradwatch(&["audit", "--format", "json"], dir.path()));
    assert_eq!(report["schema"], "gradwatch.audit/1");
    assert_eq!(report["verdict"], "critical");
    let run = &report["runs"][0];
    has_keys(
        run,
        &[
            "run",
            "verdict",
            "first_step",
            "last_step",
            "ranks",
            "files",
            "layers",
            "findings",
            "problems",
        ],
    );
    assert_eq!(run["run"], ".");
    has_keys(
        &run["files"][0],
        &["path", "format", "bytes", "records", "skipped"],
    );
    assert_eq!(run["files"][0]["format"], "jsonl");
    let findings = run["findings"].as_array().unwrap();
    for finding in findings {
        has_keys(
            finding,
            &[
                "rule",
                "check",
                "family",
                "kind",
                "severity",
                "quantity",
                "layers",
                "rank",
                "first_step",
                "last_step",
                "count",
                "value",
                "bound",
                "forecast_step",
                "message",
                "diagnosis",
                "remedy",
                "caused_by",
            ],
        );
    }
    let nan = findings.iter().find(|it| it["family"] == "nonfinite").unwrap();
    assert_eq!(nan["value"], "NaN", "{nan:#}");
    assert_eq!(nan["first_step"], 50, "{nan:#}");
}

#[test]
fn no_color_is_obeyed_and_nothing_from_a_log_reaches_the_terminal_raw() {
    let line = |step| format!("{{\"step\": {step}, \"loss/\\u001b[31mred\": NaN, \"loss\": 1.0}}");
    let log = lines_of((0..60).map(line));
    let dir = dir_with("metrics.jsonl", log);
    for what in ["audit", "inspect"] {
        let output = command()
            .arg(what)
            .arg(dir.path())
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        assert!(
            !output.stdout.contains(&0x1b),
            "{what}: {}",
            stdout(&output).escape_debug()
        );
        let output = command()
            .args([what, "--color", "always"])
            .arg(dir.path())
            .output()
            .unwrap();
        assert!(
            !stdout(&output).contains("\u{1b}[31mred"),
            "{}",
            stdout(&output).escape_debug()
        );
    }
    let output = gradwatch(&["inspect"], dir.path());
    expect(&output, CLEAN, &["\\u{1b}[31mred"]);
}

#[test]
fn a_text_log_of_nobodys_format_is_read_by_its_words() {
    let line = |step: u32| {
        let loss = if step < 60 {
            2.0 - 0.02 * f64::from(step)
        } else {
            f64::NAN
        };
        let (minute, second, norm) = (step / 60, step % 60, 200 + step % 7);
        format!(
            "[12:{minute:02}:{second:02}] trainer: step={step} loss={loss:.4} lr=1.0e-3 grad_norm=0.{norm}"
        )
    };
    let log = "# starting, seed=17, device=cuda:0\n".to_owned() + &lines_of((0..80).map(line));
    let dir = dir_with("my_trainer.log", log);
    let report = json(&gradwatch(&["inspect", "--format", "json"], dir.path()));
    let run = &report["runs"][0];
    let series = run["series"].as_array().unwrap();
    let of = |quantity: &str| {
        series
            .iter()
            .find(|it| it["quantity"] == quantity)
            .unwrap_or_else(|| panic!("{run:#}"))
    };
    assert_eq!(
        (of("loss")["points"].as_u64(), of("loss")["nonfinite"].as_u64()),
        (Some(80), Some(20))
    );
    assert_eq!(of("learning_rate")["last"], 0.001);
    assert_eq!(of("grad_norm_total")["last_step"], 79);
    let audit = json(&gradwatch(&["audit", "--format", "json"], dir.path()));
    let first = audit["runs"][0]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["family"] == "nonfinite");
    assert_eq!(first.unwrap()["first_step"], 60);
}

#[test]
fn a_text_without_a_number_over_steps_is_not_called_healthy() {
    let dir = dir_with(
        "train.log",
        "loading the data\nall set, have a nice day\n".repeat(50),
    );
    expect(&gradwatch(&["audit"], dir.path()), UNREADABLE, &["no data"]);
}
