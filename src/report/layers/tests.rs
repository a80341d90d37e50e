//! What a picture shows: the right layers, the right steps, names that cannot break the drawing.

use super::{COLUMNS_MAX, LayerPicture, ROWS_MAX};
use crate::model::{Family, Finding, Form, Quantity, Sample, Severity};
use crate::report::html::RankRecording;
use crate::rules::Engine;
use crate::rules::check::StreamEnd;
use crate::series::record::Recorder;

fn recorded(n_layers: i64, n_steps: i64, value: impl Fn(i64, i64) -> f64) -> Vec<RankRecording> {
    let (recorder, slot) = Recorder::new();
    let mut engine = Engine::new(&[], "run").with_tap(Box::new(recorder));
    for step in 0..n_steps {
        for layer in 0..n_layers {
            engine.sample(&Sample {
                tag: &format!("grad_norm/model.layers.{layer}.mlp.weight"),
                step,
                wall_time: None,
                value: value(layer, step),
                form: Form::Number { resolution: 0.0 },
                offset: 0,
            });
        }
    }
    let _ = engine.finish(&StreamEnd {
        records: 1,
        skipped: 0,
        bytes: 0,
    });
    vec![(None, slot.take().unwrap())]
}

fn finding(family: Family, quantity: Quantity, step: i64, layers: &[&str]) -> Finding {
    Finding {
        rule: "vanishing-gradients".to_owned(),
        check: "depth-trend",
        family,
        kind: "",
        severity: Severity::Warning,
        quantity,
        tag: None,
        layers: layers.iter().map(|it| (*it).to_owned()).collect(),
        rank: None,
        first_step: Some(step),
        last_step: Some(step),
        count: 1,
        value: Some(0.5),
        bound: None,
        forecast_step: None,
        message: String::new(),
        diagnosis: String::new(),
        remedy: Vec::new(),
        caused_by: None,
        is_superseded: false,
        has_healed: false,
    }
}

fn halving(layer: i64, _step: i64) -> f64 {
    0.5_f64.powi(11 - layer as i32)
}

#[test]
fn a_depth_finding_shows_its_profile_and_line() {
    let recorded = recorded(12, 30, halving);
    let finding = finding(Family::Depth, Quantity::GradNorm, 20, &["layers.0.mlp.weight"]);
    let picture = LayerPicture::of(&recorded, &finding).unwrap();
    assert_eq!(
        (picture.rows.len(), picture.columns.len(), picture.at),
        (12, 30, 20)
    );
    assert!(picture.rows[0].is_named && !picture.rows[1].is_named);
    assert_eq!(picture.rows[3].cells[20], Some(0.5_f64.powi(8)));
    let line = picture.line.unwrap();
    assert!((line.slope.exp() - 2.0).abs() < 1e-9, "{line:?}");
    let svg = picture.svg();
    for layer in 0..12 {
        assert!(
            svg.contains(&format!(">layers.{layer}.mlp.weight</text>")),
            "{layer}"
        );
    }
    assert!(svg.contains("x2 per layer to the output") && svg.contains("alarm at step 20"));
    assert_eq!(
        picture.alt(),
        "gradient norm of 12 layers (layers.#.mlp weight), steps 0 to 29; at step 20 from 4.88e-4 at the input to 1 at \
         the output, x2 per layer toward the output"
    );
}

#[test]
fn a_nan_shows_how_it_came() {
    let recorded = recorded(
        4,
        50,
        |layer, step| {
            if step >= 40 && layer > 1 { f64::NAN } else { 1.0 }
        },
    );
    // It is about the loss, and gradients are shown.
    let finding = finding(Family::Nonfinite, Quantity::Loss, 40, &[]);
    let picture = LayerPicture::of(&recorded, &finding).unwrap();
    assert_eq!(picture.quantity, Quantity::GradNorm);
    assert_eq!(picture.at, 39, "the last step before");
    assert!(picture.svg().contains("NaN or infinite"));
    assert!(picture.rows[3].cells[45].unwrap().is_nan());
}

#[test]
fn a_deep_and_long_run_is_thinned_around_what_is_named() {
    let recorded = recorded(150, 400, |layer, _| 1.0 + layer as f64);
    let named = ["layers.77.mlp.weight", "layers.78.mlp.weight"];
    let finding = finding(Family::Dead, Quantity::GradNorm, 399, &named);
    let picture = LayerPicture::of(&recorded, &finding).unwrap();
    assert!(picture.rows.len() <= ROWS_MAX && picture.rows.len() > ROWS_MAX - 3);
    assert!(picture.columns.len() <= COLUMNS_MAX);
    assert_eq!(picture.rows.iter().filter(|it| it.is_named).count(), 2);
    assert_eq!(picture.rows[0].rank, 0);
    assert_eq!(picture.rows.last().unwrap().rank, 149);
    assert!(picture.rows.is_sorted_by_key(|it| it.rank));
    assert!(picture.svg().contains("of 150 layers"));
    assert!(
        picture
            .rows
            .iter()
            .all(|it| it.cells.len() == picture.columns.len())
    );
}

#[test]
fn nothing_that_can_be_compared_is_no_picture() {
    let finding = finding(Family::Loss, Quantity::Loss, 1, &[]);
    assert_eq!(LayerPicture::of(&recorded(1, 5, halving), &finding), None);
    assert_eq!(LayerPicture::of(&[], &finding), None);
}

#[test]
fn a_name_cannot_break_the_drawing() {
    let finding = finding(Family::Depth, Quantity::GradNorm, 3, &[]);
    let mut picture = LayerPicture::of(&recorded(5, 4, halving), &finding).unwrap();
    picture.rows[0].name = "</text><script>\u{1b}[31m&\"".to_owned();
    let svg = picture.svg();
    assert!(!svg.contains("<script") && !svg.contains('\u{1b}'));
    // Long names keep what tells them apart.
    for row in &mut picture.rows {
        row.name = format!(
            "{}{}.attention.self.query_projection.weight",
            "über.".repeat(20),
            row.rank
        );
    }
    let svg = picture.svg();
    assert!(svg.contains(">…3.attention.self.query_proje…</text>"), "{svg}");
    assert_eq!(svg, picture.svg());
}

#[test]
fn values_without_a_logarithm_are_said() {
    let recorded = recorded(5, 4, |layer, _| {
        [0.0, f64::INFINITY, -1.0, 1.0, 2.0][layer as usize]
    });
    let finding = finding(Family::Depth, Quantity::GradNorm, 3, &[]);
    let svg = LayerPicture::of(&recorded, &finding).unwrap().svg();
    assert!(svg.contains(">zero</text>") && svg.contains(">infinity</text>") && svg.contains(">-1</text>"));
    assert!(
        !svg.contains("NaN\"") && !svg.contains("inf\""),
        "no coordinate is lost"
    );
}
