//! The command from its arguments to its text and its rule file.
//!
//! In: argument lists. Out: assertions. Invariant: arguments go through clap.

use clap::Parser;

use super::run;
use crate::cli::CalibrateArgs;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: CalibrateArgs,
}

const SMALL: [&str; 6] = ["-n", "8", "--width", "16", "--repetitions", "60"];

fn calibrate(args: &[&str]) -> Result<String, String> {
    let all = std::iter::once("calibrate").chain(args.iter().copied());
    let cli = Cli::try_parse_from(all).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    run(&cli.args, &mut out).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(out).unwrap())
}

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    SMALL.iter().copied().chain(more.iter().copied()).collect()
}

#[test]
fn the_table_names_bounds_power_and_limits() {
    let text = calibrate(&with(&["--seed", "4"])).unwrap();
    assert!(
        text.starts_with("healthy: depth 8, width 16, plain layers, gaussian initialisation with gain 1"),
        "{text}"
    );
    assert!(
        text.contains("60 networks, seed 4") && text.contains("ratio per layer 1."),
        "{text}"
    );
    // 0 of 60: 1 - 0.05^(1/60) = 4.9 %.
    assert!(text.contains("0 < 4.9e-2"), "{text}");
    assert_eq!(text, calibrate(&with(&["--seed", "4"])).unwrap());
}

#[test]
fn json_holds_the_rules_that_out_writes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.toml");
    let name = path.to_str().unwrap();
    let text = calibrate(&with(&["--format", "json", "--out", name])).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["schema"], "gradwatch.calibrate/1");
    assert_eq!(
        report["rules"].as_str().unwrap(),
        std::fs::read_to_string(&path).unwrap()
    );
    assert_eq!(report["channels"].as_array().unwrap().len(), 3);
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "no temporary file is left"
    );
    let again = calibrate(&with(&["--out", name])).unwrap_err();
    assert!(again.starts_with("cannot write rule file `"), "{again}");
}

#[test]
fn bad_arguments_end_in_one_sentence() {
    let refused = |args: &[&str]| calibrate(args).unwrap_err();
    assert!(
        refused(&with(&["--false-alarm", "1"])).starts_with("the false-alarm probability must be between")
    );
    assert_eq!(refused(&["-n", "0"]), "a chain needs at least 1 layer");
    assert!(refused(&with(&["--out", "/proc/none/rules.toml"])).ends_with("nothing was left there"));
}
