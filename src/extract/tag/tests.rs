//! The tables of cases, and the classes of names that must not be taken for norms.

use super::{TABLE, classify, understand};
use crate::extract::histogram::{HISTOGRAM_FORMS, classify_histogram, understand_histogram};
use crate::model::{Kind, Quantity, Split};

fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table.lines().skip(1).map(|row| row.split('\t').collect())
}

#[test]
fn every_pattern_compiles() {
    assert!(TABLE.is_some());
    assert_eq!(HISTOGRAM_FORMS.len(), 8);
    assert!(super::STEP_TIME.is_some());
}

#[test]
fn every_case_holds() {
    let mut n = 0;
    for cell in rows(include_str!("../../../fixtures/tags/cases.tsv")) {
        let hit = classify(cell[0]);
        assert_eq!(
            (hit.kind.as_str(), hit.layer.unwrap_or("-")),
            (cell[1], cell[2]),
            "{} {hit:?}",
            cell[0]
        );
        n += 1;
    }
    assert_eq!(n, 98);
}

#[test]
fn every_further_case_holds() {
    let mut wrong = Vec::new();
    for cell in rows(include_str!("../../../fixtures/tags/more_cases.tsv")) {
        let [tag, form, kind, quantity, split, layer, reason] = cell[..] else {
            panic!("a row has seven cells: {cell:?}");
        };
        let (hit, meaning) = match form {
            "number" => (classify(tag), understand(tag)),
            "histogram" => (classify_histogram(tag), understand_histogram(tag)),
            other => panic!("unknown form {other}"),
        };
        let got = [
            meaning.kind.as_str(),
            meaning.quantity.as_str(),
            meaning.split.as_str(),
            hit.layer.unwrap_or("-"),
        ];
        if got != [kind, quantity, split, layer] {
            wrong.push(format!("{tag} ({reason}): {got:?} by `{}`", hit.pattern));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nan_iterations_are_no_skipped_steps() {
    let nan = understand("number of nan iterations");
    assert_eq!((nan.kind, nan.quantity), (Kind::Skipped, Quantity::NanSteps));
    let skipped = understand("number of skipped iterations");
    assert_eq!(
        (skipped.kind, skipped.quantity),
        (Kind::Skipped, Quantity::SkippedSteps)
    );
}

#[test]
fn a_split_outside_the_layer_path_counts_and_one_inside_does_not() {
    assert_eq!(understand("grad_norm/val_head.0.weight").split, Split::Unknown);
    assert_eq!(understand("eval/weight_norm/fc1").split, Split::Eval);
}

#[test]
fn odd_tags_are_read_without_a_panic() {
    for tag in [
        "",
        " ",
        "/",
        "//",
        "grad_norm/",
        "/grad_norm",
        "|",
        "||g||",
        "é/grad_norm",
        "\u{0}",
        "a\nb",
    ] {
        let _ = (understand(tag), understand_histogram(tag));
    }
}

/// Every tag of the labelled runs is understood, and the layers of a role come out in the order of their depth.
#[test]
fn the_tags_of_the_labelled_runs_are_understood() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus/runs/corpus.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: no shared data directory beside the checkout");
        return;
    };
    let runs: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut wrong = Vec::new();
    let mut n_tags = 0;
    for run in runs.as_array().unwrap() {
        for (word, quantity) in [
            ("loss", Quantity::Loss),
            ("lr", Quantity::LearningRate),
            ("grad_norm", Quantity::GradNorm),
            ("grad_norm_total", Quantity::GradNormTotal),
            ("weight_norm", Quantity::WeightNorm),
            ("weight_norm_total", Quantity::WeightNormTotal),
        ] {
            for tag in tags_of(&run["tags"][word]) {
                n_tags += 1;
                let meaning = understand(tag);
                let needs_layer = quantity.is_per_layer();
                if meaning.quantity != quantity || meaning.layer.is_some() != needs_layer {
                    wrong.push(format!("{} {tag}: {meaning:?}", run["run"]));
                }
            }
        }
        for role in run["roles"].as_object().into_iter().flat_map(|it| it.values()) {
            let names: Vec<&str> = role
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|it| it.as_str())
                .collect();
            let tags: Vec<&str> = names
                .iter()
                .filter_map(|name| run["tags"]["grad_norm"][name].as_str())
                .collect();
            let layers: Vec<_> = tags.iter().filter_map(|tag| understand(tag).layer).collect();
            if !layers.is_sorted_by(|a, b| a.depth < b.depth || a.depth.is_empty()) {
                wrong.push(format!("{} {names:?}: {layers:?}", run["run"]));
            }
        }
    }
    assert!(n_tags > 1000, "{n_tags}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn tags_of(value: &serde_json::Value) -> Vec<&str> {
    match value {
        serde_json::Value::String(tag) => vec![tag],
        serde_json::Value::Object(layers) => layers.values().filter_map(|it| it.as_str()).collect(),
        _ => Vec::new(),
    }
}
