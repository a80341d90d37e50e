//! The tables of layer paths, and paths that are none.

use super::parse_layer;
use crate::model::{Position, Section};

fn words_of(path: &str) -> (Section, Position, String, String, String) {
    let layer = parse_layer(path);
    let depth: Vec<String> = layer.depth.iter().map(u32::to_string).collect();
    let or_dash = |it: String| if it.is_empty() { "-".to_owned() } else { it };
    (
        layer.section,
        layer.position,
        or_dash(depth.join(".")),
        layer.role,
        layer.parameter.unwrap_or_else(|| "-".to_owned()),
    )
}

#[test]
fn every_depth_case_holds() {
    let table = include_str!("../../../fixtures/tags/depth_cases.tsv");
    let mut n = 0;
    for row in table.lines().skip(1) {
        let cell: Vec<&str> = row.split('\t').collect();
        let expected = (
            Section::from_word(cell[1]).unwrap(),
            Position::from_word(cell[2]).unwrap(),
            cell[3].to_owned(),
            cell[4].to_owned(),
            cell[5].to_owned(),
        );
        assert_eq!(words_of(cell[0]), expected, "{}", cell[0]);
        n += 1;
    }
    assert_eq!(n, 40);
}

#[test]
fn every_further_depth_case_holds() {
    let table = include_str!("../../../fixtures/tags/more_depth_cases.tsv");
    for row in table.lines().skip(1) {
        let cell: Vec<&str> = row.split('\t').collect();
        let (section, position, depth, role, parameter) = words_of(cell[0]);
        let got = [section.as_str(), position.as_str(), &depth, &role, &parameter].join(" ");
        assert_eq!(got, cell[1..6].join(" "), "{}: {}", cell[0], cell[6]);
    }
}

#[test]
fn wrappers_are_gone_from_the_path() {
    assert_eq!(parse_layer("module.model.layers.0.fc").path, "layers.0.fc");
    assert_eq!(parse_layer("model").path, "model");
    assert_eq!(parse_layer("").path, "");
}

#[test]
fn numbers_that_do_not_fit_are_names() {
    let layer = parse_layer("block.99999999999999999999.fc");
    assert_eq!(layer.depth, Vec::<u32>::new());
}

#[test]
fn odd_paths_are_read_without_a_panic() {
    for path in [
        "...",
        "//",
        ".0",
        "é1",
        "层_3/权重",
        "experts",
        "experts.1",
        ":0",
        "_",
        "_0",
        "lora_A",
    ] {
        let _ = parse_layer(path);
    }
}
