//! `calibrate --from` from outside: the rule file that healthy logs make, and what it changes.
//!
//! In: simulated runs, and logs with noise of known size. Out: assertions on rule files and findings. Invariant: every
//! number asked for is one that the noise was made with.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use gradwatch::simulate::Rng;

use crate::cli_simulate::{gradwatch, refused};

#[test]
fn healthy_logs_are_calibrated_from() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    for seed in ["1", "2", "3"] {
        let out = runs.join(seed);
        let args = [
            "simulate",
            "--width",
            "32",
            "-n",
            "12",
            "--seed",
            seed,
            "--out",
            out.to_str().unwrap(),
        ];
        assert_eq!(gradwatch(&args).status.code(), Some(0));
    }
    let rules = dir.path().join("healthy.toml");
    let args = [
        "calibrate",
        "--from",
        runs.to_str().unwrap(),
        "--out",
        rules.to_str().unwrap(),
    ];
    let output = gradwatch(&args);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        said.starts_with("3 healthy runs\n") && said.contains(" gb: 3 stacks, 117 profiles"),
        "{said}"
    );
    assert_eq!(
        gradwatch(&["rules", "check", rules.to_str().unwrap()])
            .status
            .code(),
        Some(0)
    );
    let audit = [
        "audit",
        "--rules",
        rules.to_str().unwrap(),
        runs.to_str().unwrap(),
    ];
    assert_eq!(gradwatch(&audit).status.code(), Some(0));
    refused(&args, "cannot write rule file");
    refused(
        &["calibrate", "--from", dir.path().join("none").to_str().unwrap()],
        "nothing to calibrate from",
    );
}

/// Losses and gradient norms that stray by 3 %, and norms that double for six points from step 300 on.
fn write_run(dir: &Path, seed: u64, is_sick: bool) {
    fs::create_dir_all(dir).unwrap();
    let mut rng = Rng::new(seed);
    let mut text = String::new();
    for step in 0..400 {
        let mut noise = |sd: f64| (sd * rng.normal()).exp();
        let factor = if is_sick && (300..306).contains(&step) {
            2.0
        } else {
            1.0
        };
        writeln!(
            text,
            "{{\"step\": {step}, \"loss\": {}, \"grad_norm\": {}}}",
            2.3 * noise(0.01),
            factor * 0.7 * noise(0.03)
        )
        .unwrap();
    }
    fs::write(dir.join("metrics.jsonl"), text).unwrap();
}

/// Severities of the gradient spikes that an audit tells.
fn gradient_spikes(run: &Path, rules: Option<&Path>) -> Vec<String> {
    let mut args = vec!["audit", "--format", "json", run.to_str().unwrap()];
    if let Some(rules) = rules {
        args.extend(["--rules", rules.to_str().unwrap()]);
    }
    let report: serde_json::Value = serde_json::from_slice(&gradwatch(&args).stdout).unwrap();
    let findings = report["runs"][0]["findings"].as_array().unwrap();
    let spikes = findings
        .iter()
        .filter(|it| it["rule"] == "gradient-spike" && it["severity"] != "info");
    spikes
        .map(|it| it["severity"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_noise_of_healthy_logs_bounds_their_spikes() {
    let dir = tempfile::tempdir().unwrap();
    let healthy = dir.path().join("healthy");
    for seed in 0..8 {
        write_run(&healthy.join(seed.to_string()), seed, false);
    }
    let rules = dir.path().join("rules.toml");
    let output = gradwatch(&[
        "calibrate",
        "--from",
        healthy.to_str().unwrap(),
        "--false-alarm",
        "0.01",
        "--looks",
        "400",
        "--out",
        rules.to_str().unwrap(),
    ]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let text = fs::read_to_string(&rules).unwrap();
    // The header has the numbers: 8 series of 400 points less the 16 before there is a level, 3 % of white noise.
    assert!(
        text.contains("# gradients: 8 series, 3072 points; noise in time (ln) MAD sd 0.03"),
        "{text}"
    );
    assert!(
        text.contains("False alarms: at most 0.01 per run of 400 looks"),
        "{text}"
    );
    let table: toml::Table = text.parse().unwrap();
    let rule = |id: &str| {
        let all = table["rule"].as_array().unwrap();
        all.iter()
            .find(|it| it["id"].as_str() == Some(id))
            .unwrap()
            .clone()
    };
    let ratio = rule("gradient-spike")["sustained_ratio"].as_float().unwrap();
    let loss_ratio = rule("loss-spike")["ratio"].as_float().unwrap();
    assert!(ratio > 1.06 && ratio < 1.5 && loss_ratio < ratio, "{text}");
    assert!(
        said.contains(&format!(
            "bounds of spikes, gradients: x{:.2}",
            (ratio * 100.0).floor() / 100.0
        )),
        "{said}"
    );
    assert_eq!(
        gradwatch(&["rules", "check", rules.to_str().unwrap()])
            .status
            .code(),
        Some(0)
    );

    // Six doubled norms are nothing to the shipped rule, which wants a factor of 10, and a warning to this one.
    let (sick, fresh) = (dir.path().join("sick"), dir.path().join("fresh"));
    write_run(&sick, 100, true);
    assert!(gradient_spikes(&sick, None).is_empty());
    assert_eq!(gradient_spikes(&sick, Some(&rules)), ["warning"]);
    for seed in 200..230 {
        write_run(&fresh, seed, false);
        assert!(gradient_spikes(&fresh, Some(&rules)).is_empty(), "seed {seed}");
    }
}
