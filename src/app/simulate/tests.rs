//! The command from its arguments to its text.
//!
//! In: argument lists. Out: assertions on what is printed and written. Invariant: arguments go through clap.

use clap::Parser;

use super::run;
use crate::cli::SimulateArgs;
use crate::exit::ExitStatus;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: SimulateArgs,
}

fn simulate(args: &[&str]) -> Result<String, String> {
    let all = std::iter::once("simulate").chain(args.iter().copied());
    let cli = Cli::try_parse_from(all).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    let status = run(&cli.args, &mut out).map_err(|error| error.to_string())?;
    assert_eq!(status, ExitStatus::Clean);
    Ok(String::from_utf8(out).unwrap())
}

fn json(args: &[&str]) -> serde_json::Value {
    let all: Vec<&str> = args.iter().copied().chain(["--format", "json"]).collect();
    serde_json::from_str(&simulate(&all).unwrap()).unwrap()
}

#[test]
fn the_three_regimes_are_named() {
    let vanishing = simulate(&["-w", "0.5", "-b", "1"]).unwrap();
    assert!(
        vanishing.contains("=> |w| < 1  vanishing") && vanishing.contains("b/(1-w) = 2.000000"),
        "{vanishing}"
    );
    assert!(!vanishing.contains("blind"));
    let stable = simulate(&["-w", "1", "-b", "0.5", "-n", "10", "-x", "2"]).unwrap();
    assert!(
        stable.contains("=> |w| = 1  stable: a_n drifts as x + n b = 7;"),
        "{stable}"
    );
    let exploding = simulate(&["-w", "3", "-n", "100000"]).unwrap();
    assert!(exploding.contains("=> |w| > 1  exploding"), "{exploding}");
    assert!(
        exploding.contains("e47712") && exploding.contains("blind"),
        "{exploding}"
    );
}

#[test]
fn half_precision_is_told_layer_by_layer() {
    let text = simulate(&["-w", "1.25", "-n", "60", "--dtype", "float16"]).unwrap();
    assert!(text.contains("a_k      infinite at layer 50"), "{text}");
    let text = simulate(&["-w", "0.8", "-n", "100", "--dtype", "f16"]).unwrap();
    assert!(text.contains("stuck at 1.192e-7 since layer 7"), "{text}");
}

#[test]
fn json_keeps_signs_beside_logs() {
    let report = json(&["-w=-2", "-n", "5000", "-b", "1"]);
    assert_eq!(report["schema"], "gradwatch.simulate/1");
    let last = &report["layers"][4_999];
    assert_eq!(last["k"], 5_000);
    assert_eq!(last["activation"], "Infinity");
    assert!(
        (last["ln_activation"].as_f64().unwrap() - (5_000.0 * 2f64.ln() + (2.0f64 / 3.0).ln())).abs() < 1e-9
    );
    assert_eq!(report["layers"][4_998]["sign_activation"], -1);
    assert_eq!(last["grad_bias"], 1.0);
    let listed = json(&["-w", "2,0,3", "-b", "0"]);
    assert_eq!(listed["layers"][0]["sign_grad_bias"], 0);
    assert_eq!(listed["layers"][0]["ln_grad_bias"], "-Infinity");
    assert_eq!(listed["layers"][2]["weight_norm"], 3.0);
    let rounded = json(&["-w", "1.25", "-n", "60", "--dtype", "float16"]);
    let last = &rounded["layers"][59];
    assert!((last["activation"].as_f64().unwrap() / 1.25f64.powi(60) - 1.0).abs() < 1e-12);
    assert_eq!(
        (&last["rounded"]["activation"], &last["rounded"]["dtype"]),
        (&"Infinity".into(), &"float16".into())
    );
    let loss = json(&["-w", "1", "-n", "2", "-t", "0.25"]);
    assert_eq!(loss["layers"][0]["grad_bias"], 0.75);
}

#[test]
fn matrix_chains_print_their_norms() {
    let report = json(&["--width", "64", "-n", "8", "--init", "orthogonal", "--seed", "3"]);
    assert_eq!(report["layers"].as_array().unwrap().len(), 8);
    assert!((report["layers"][0]["weight_norm"].as_f64().unwrap() - 8.0).abs() < 1e-9);
    let text = simulate(&["--width", "8,16,4", "--activation", "relu", "--init", "he"]).unwrap();
    assert!(
        text.starts_with("2 layers, he initialisation, gain 1, relu, batch 4, float64, seed 0\n"),
        "{text}"
    );
    assert_eq!(
        text,
        simulate(&["--width", "8,16,4", "--activation", "relu", "--init", "he"]).unwrap()
    );
}

#[test]
fn runs_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("run");
    let path = target.to_str().unwrap();
    let said = simulate(&[
        "--width", "4", "-n", "3", "--steps", "20", "--as", "jsonl", "-o", path,
    ])
    .unwrap();
    assert!(said.starts_with("wrote 20 steps to "), "{said}");
    let text = std::fs::read_to_string(target.join("metrics.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 20);
    let again = simulate(&["--steps", "2", "-o", path]).unwrap_err();
    assert!(
        again.ends_with("is not empty: name a new or an empty one"),
        "{again}"
    );
}

#[test]
fn training_is_printed_without_a_directory() {
    let text = simulate(&[
        "-n",
        "5",
        "-w",
        "1.3",
        "--learning-rate",
        "0.4",
        "--steps",
        "30",
        "--dtype",
        "f32",
    ])
    .unwrap();
    assert!(text.starts_with("step 29: loss NaN"), "{text}");
    let frozen = json(&["-n", "3", "-w", "0.5", "--steps", "3", "--learning-rate", "0"]);
    assert_eq!(frozen["layers"][0]["weight_norm"], 0.5);
}

#[test]
fn bad_arguments_end_in_one_sentence() {
    let refused = |args: &[&str]| simulate(args).unwrap_err();
    assert_eq!(refused(&["-n", "0"]), "a chain needs at least 1 layer");
    assert_eq!(
        refused(&["-w", "nan"]),
        "the weight must be a finite number, not NaN"
    );
    assert_eq!(
        refused(&["-w", "1,2", "-b", "1,2,3"]),
        "2 weights do not go with 3 biases: list as many of each"
    );
    assert_eq!(
        refused(&["--width", "4,0,4"]),
        "a width is 0, expected 1 to 1048576"
    );
    assert_eq!(
        refused(&["--width", "4", "--batch", "0"]),
        "the batch is 0, expected 1 to 1048576"
    );
    assert!(refused(&["--width", "40000", "--steps", "2"]).contains("weights are too many to train"));
    assert!(refused(&["--init", "xavier"]).contains("gaussian, he or orthogonal"));
    assert_eq!(
        refused(&["--steps", "1", "--clip", "0"]),
        "the clipping norm must be above 0, not 0"
    );
    assert!(refused(&["-o", "/proc/none/x"]).starts_with("cannot write `/proc/none/x`"));
}
