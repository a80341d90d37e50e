//! What `simulate` writes, `audit` and `compare` read: chains of known gain, named as what they are.
//!
//! In: depths, gains, formats. Out: assertions on findings and verdicts. Invariant: the bounds on gains are those
//! that the depth rules state (total factor 1e3, 1.10 per layer), not fitted to what comes out.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use gradwatch::app::simulate;
use gradwatch::cli::{Cli, Command};
use gradwatch::model::{Family, Severity};
use gradwatch::report::RunReport;
use gradwatch::rules::builtin;

use crate::support::{judge, shared};

fn simulate_into(dir: &Path, args: &[String]) {
    use clap::Parser;
    let out = dir.to_string_lossy().into_owned();
    let head = ["gradwatch", "simulate", "--out"].map(str::to_owned);
    let all = head.into_iter().chain([out]).chain(args.iter().cloned());
    let Command::Simulate(args) = Cli::try_parse_from(all).unwrap().command else {
        panic!("not simulate")
    };
    simulate::run(&args, &mut Vec::new()).unwrap();
}

fn audit(args: &[String]) -> RunReport {
    let dir = tempfile::tempdir().unwrap();
    simulate_into(dir.path(), args);
    judge(dir.path(), &builtin().rules).pop().unwrap().0
}

/// The kinds of depth findings that are at least a warning, once each.
fn depth_kinds(report: &RunReport) -> Vec<&'static str> {
    let is_depth =
        |it: &&gradwatch::model::Finding| it.family == Family::Depth && it.severity >= Severity::Warning;
    let mut kinds: Vec<&str> = report
        .findings
        .iter()
        .filter(is_depth)
        .map(|it| it.kind)
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn strings(args: &[&str]) -> Vec<String> {
    args.iter().map(|it| (*it).to_owned()).collect()
}

/// The smallest gain above 1 that the rules promise to see at this depth, a little beyond their bounds.
fn sick_gain(depth: usize) -> f64 {
    (1e3_f64.powf(1.0 / (depth as f64 - 1.0)) * 1.02).max(1.15)
}

fn scalar(depth: usize, w: f64, b: f64, format: &str) -> Vec<String> {
    strings(&[
        "-n",
        &depth.to_string(),
        "-w",
        &w.to_string(),
        "-b",
        &b.to_string(),
        "--as",
        format,
    ])
}

#[track_caller]
fn assert_named(args: &[String], expected: &[&str]) {
    let report = audit(args);
    let seen: Vec<_> = report
        .findings
        .iter()
        .map(|it| (&it.rule, it.kind, it.severity, it.quantity))
        .collect();
    assert_eq!(depth_kinds(&report), expected, "{args:?}: {seen:?}");
    if expected.is_empty() {
        assert!(
            report.findings.iter().all(|it| it.severity == Severity::Info),
            "{args:?}: {seen:?}"
        );
    }
}

/// What `simulate --as` writes.
const FORMATS: [&str; 6] = ["tensorboard", "jsonl", "csv", "csv-long", "text", "megatron"];
/// The depths at which every format is tried; the looks at a network of 1,000 layers are as few as the rules need.
const DEPTHS: [(usize, &str); 4] = [(8, "40"), (32, "40"), (128, "12"), (1000, "8")];

/// A chain that vanishes, explodes, or does neither at every depth, in every format.
fn assert_every_format_names(chain: impl Fn(usize, f64) -> Vec<String> + Sync) {
    std::thread::scope(|scope| {
        for format in FORMATS {
            let chain = &chain;
            scope.spawn(move || {
                for (depth, looks) in DEPTHS {
                    let gain = sick_gain(depth);
                    for (gain, expected) in [
                        (gain.recip(), &["vanishing"][..]),
                        (gain, &["exploding"]),
                        (1.0, &[]),
                    ] {
                        let mut args = chain(depth, gain);
                        args.extend(strings(&["--as", format, "--looks", looks]));
                        assert_named(&args, expected);
                    }
                }
            });
        }
    });
}

#[test]
fn scalar_chains_are_named_at_every_depth_in_every_format() {
    assert_every_format_names(|depth, w| {
        strings(&["-n", &depth.to_string(), "-w", &w.to_string(), "-b", "1"])
    });
}

#[test]
fn matrix_chains_are_named_at_every_depth_in_every_format() {
    assert_every_format_names(|depth, gain| {
        let gain = if gain == 1.0 { 1.0 } else { gain.powf(1.02) };
        matrix(
            depth,
            gain,
            &[
                "--width",
                "4",
                "--init",
                "orthogonal",
                "--bias-sd",
                "0.1",
                "--batch",
                "2",
            ],
        )
    });
}

/// Without biases weight gradients are flat over depth.
#[test]
fn scalar_chains_without_biases_are_named() {
    for depth in [8, 16, 50, 200, 1000] {
        let gain = sick_gain(depth);
        assert_named(&scalar(depth, gain.recip(), 0.0, "tensorboard"), &["vanishing"]);
        assert_named(&scalar(depth, gain, 0.0, "tensorboard"), &["exploding"]);
        assert_named(&scalar(depth, 1.0, 0.0, "tensorboard"), &[]);
    }
}

#[test]
fn strong_gains_leave_the_format_and_are_named_all_the_same() {
    for (depth, w, kind) in [
        (200, 0.5, "vanishing"),
        (200, 2.0, "exploding"),
        (1000, 0.5, "vanishing"),
        (1000, 1.25, "exploding"),
        (1000, 3.0, "exploding"),
    ] {
        for bias in [0.0, 1.0] {
            let report = audit(&scalar(depth, w, bias, "tensorboard"));
            assert!(
                depth_kinds(&report).contains(&kind),
                "n = {depth}, w = {w}, b = {bias}"
            );
            let has_nonfinite = report.findings.iter().any(|it| it.family == Family::Nonfinite);
            assert_eq!(
                has_nonfinite,
                kind == "exploding",
                "n = {depth}, w = {w}, b = {bias}"
            );
        }
    }
}

/// In float16 a vanishing gradient does not reach zero: it sticks at a subnormal, and most of a deep chain is flat.
#[test]
fn half_precision_chains_are_named_at_every_depth() {
    for format in ["float16", "bfloat16"] {
        for depth in [32, 128, 256, 1000] {
            for bias in [0.0, 1.0] {
                let mut args = scalar(depth, 0.8, bias, "tensorboard");
                args.extend(strings(&["--dtype", format, "--looks", "8"]));
                assert_named(&args, &["vanishing"]);
            }
            let mut sound = scalar(depth, 1.0, 0.01, "tensorboard");
            sound.extend(strings(&["--dtype", format, "--looks", "8"]));
            assert_named(&sound, &[]);
        }
    }
}

fn matrix(depth: usize, gain: f64, more: &[&str]) -> Vec<String> {
    let mut args = strings(&[
        "-n",
        &depth.to_string(),
        "--gain",
        &gain.to_string(),
        "--seed",
        "11",
    ]);
    args.extend(strings(more));
    args
}

#[test]
fn matrix_chains_are_named() {
    for depth in [8, 32, 128, 1000] {
        let gain = sick_gain(depth) * 1.05;
        for (more, healthy_depth) in [
            (&["--width", "8", "--init", "orthogonal"][..], 1000),
            (
                &["--width", "8", "--init", "orthogonal", "--bias-sd", "0.1"],
                1000,
            ),
            // Wider than deep: products of random matrices wander by sqrt(n / 2m).
            (&["--width", "32", "--activation", "relu", "--init", "he"], 16),
        ] {
            if more.contains(&"relu") && depth > 32 {
                continue;
            }
            assert_named(&matrix(depth, gain.recip(), more), &["vanishing"]);
            assert_named(&matrix(depth, gain, more), &["exploding"]);
            if depth <= healthy_depth {
                assert_named(&matrix(depth, 1.0, more), &[]);
            }
        }
    }
}

// --- compare ------------------------------------------------------------------------------------------------

fn compare(run: &Path, baseline: &Path) -> (i32, serde_json::Value) {
    let output: Output = std::process::Command::new(env!("CARGO_BIN_EXE_gradwatch"))
        .args(["compare", "--format", "json"])
        .args([run, baseline])
        .output()
        .unwrap();
    let json = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), json)
}

/// A chain trained at this rate beside itself at rate 0.
fn compare_pair(rate: &str, chain: &[&str]) -> (i32, serde_json::Value) {
    let dir = tempfile::tempdir().unwrap();
    for (name, rate) in [("run", rate), ("lr0", "0")] {
        simulate_into(
            &dir.path().join(name),
            &strings(&[chain, &["--steps", "80", "--learning-rate", rate]].concat()),
        );
    }
    compare(&dir.path().join("run"), &dir.path().join("lr0"))
}

#[test]
fn simulated_pairs_get_the_right_verdict() {
    let sound = ["--width", "8", "-n", "6", "--init", "orthogonal", "--as", "jsonl"];
    // With trainable biases the last layer learns although the others cannot: that is training, and said so.
    let vanishing = ["-n", "50", "-w", "0.5", "--freeze-biases"];
    let vanishing_but_last = ["-n", "50", "-w", "0.5"];
    let exploding = ["-n", "200", "-w", "1.6", "--dtype", "float32"];
    for (rate, chain, verdict, status) in [
        ("0.05", &sound[..], "training", 0),
        ("1e-9", &sound, "not-training", 1),
        ("0", &sound, "not-training", 1),
        ("50", &sound, "worse", 1),
        ("0.01", &vanishing, "trouble-too", 1),
        ("0.01", &vanishing_but_last, "training", 0),
        ("1e-6", &exploding, "trouble-too", 1),
    ] {
        let (code, json) = compare_pair(rate, chain);
        assert_eq!(
            (json["verdict"].as_str().unwrap(), code),
            (verdict, status),
            "{rate} {chain:?}: {}",
            json["sentence"]
        );
        assert_eq!(json["schema"], "gradwatch.compare/1");
        if verdict == "trouble-too" {
            let remedies = json["remedy"].to_string();
            assert!(!remedies.contains("educe the learning rate"), "{remedies}");
        }
    }
    let (_, json) = compare_pair("0.05", &sound);
    assert!(
        json["layers"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["weights_moved"] == true)
    );
    let (_, json) = compare_pair("0", &sound);
    assert!(
        json["layers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["weights_moved"] != true)
    );
}

#[test]
fn a_real_pair_gets_the_right_verdict() {
    let (Some(run), Some(baseline)) = (
        shared("corpus/runs/torch_pair_a"),
        shared("corpus/runs/torch_pair_b_lr0"),
    ) else {
        return;
    };
    let (code, json) = compare(&run, &baseline);
    assert_eq!((json["verdict"].as_str(), code), (Some("training"), 0), "{json}");
    assert!(
        json["layers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["weights_moved"] == true)
    );
}

#[test]
fn paths_that_cannot_be_compared_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        simulate_into(&dir.path().join(name), &scalar(8, 1.0, 0.0, "jsonl"));
    }
    let run = |a: &Path, b: &Path| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_gradwatch"))
            .arg("compare")
            .args([a, b])
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, said) = run(dir.path(), &dir.path().join("a"));
    assert!(
        code == 2 && said.contains("holds 2 runs: name one of a, b"),
        "{code} {said}"
    );
    let (code, said) = run(&dir.path().join("a"), &dir.path().join("none"));
    assert!(
        code == 3 && said.contains("nothing to compare in"),
        "{code} {said}"
    );
}

/// Run, rule and diagnosis of what a watch says of finished runs.
fn told(dir: &Path, baseline: &Path) -> BTreeSet<[String; 3]> {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_gradwatch"))
        .args(["watch", "--once", "--format", "json", "--baseline"])
        .args([baseline, dir])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let lines = said.lines().map(serde_json::from_str::<serde_json::Value>);
    lines
        .map(|it| {
            row(
                it.as_ref().unwrap()["run"].as_str().unwrap(),
                &it.as_ref().unwrap()["finding"],
            )
        })
        .collect()
}

/// The same of the findings of an audit that are worth an alarm.
fn serious(audit: &serde_json::Value) -> BTreeSet<[String; 3]> {
    let runs = audit["runs"].as_array().unwrap();
    let rows = runs.iter().flat_map(|run| {
        let findings = run["findings"].as_array().unwrap().iter();
        findings
            .filter(|it| it["severity"] != "info")
            .map(|it| row(run["run"].as_str().unwrap(), it))
    });
    rows.collect()
}

fn row(run: &str, finding: &serde_json::Value) -> [String; 3] {
    [
        run.to_owned(),
        finding["rule"].to_string(),
        finding["diagnosis"].to_string(),
    ]
}

#[test]
fn an_audit_with_a_baseline_names_what_does_not_train() {
    let dir = tempfile::tempdir().unwrap();
    let chain = [
        "--width",
        "8",
        "-n",
        "6",
        "--init",
        "orthogonal",
        "--steps",
        "80",
        "--learning-rate",
    ];
    for (name, rate) in [("lr0", "0"), ("stuck", "1e-9"), ("sound", "0.05"), ("wild", "50")] {
        simulate_into(&dir.path().join(name), &strings(&[&chain[..], &[rate]].concat()));
    }
    let audit = |more: &[&Path]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gradwatch"));
        command
            .args(["audit", "--format", "json"])
            .arg(dir.path())
            .args(more);
        serde_json::from_slice::<serde_json::Value>(&command.output().unwrap().stdout).unwrap()
    };
    let with = audit(&[Path::new("--baseline"), &dir.path().join("lr0")]);
    let rules = |json: &serde_json::Value, run: &str| {
        let runs = json["runs"].as_array().unwrap().iter();
        let found = runs
            .filter(|it| it["run"] == run)
            .flat_map(|it| it["findings"].as_array().unwrap().clone());
        let of_family = found
            .filter(|it| it["family"] == "baseline")
            .map(|it| it["rule"].as_str().unwrap().to_owned());
        of_family.collect::<Vec<_>>()
    };
    assert!(rules(&with, "lr0").is_empty(), "a run is not its own baseline");
    assert!(rules(&with, "sound").is_empty());
    assert_eq!(rules(&with, "stuck"), ["baseline-not-training"]);
    assert_eq!(rules(&with, "wild"), ["baseline-worse"]);
    assert_eq!(
        told(dir.path(), &dir.path().join("lr0")),
        serious(&with),
        "a watch says what an audit says"
    );
    let without = audit(&[]);
    for run in without["runs"].as_array().unwrap() {
        assert!(rules(&without, run["run"].as_str().unwrap()).is_empty());
        let silent = run["rules_without_data"].to_string();
        assert!(
            silent.contains("baseline-worse") && silent.contains("baseline-not-training"),
            "{silent}"
        );
    }
}
