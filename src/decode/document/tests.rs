//! Documents as frameworks write them.
//!
//! In: look-alikes of real files. Out: test results. Invariant: every document is also fed at every byte split.

use proptest::prelude::ProptestConfig;
use proptest::proptest;

use super::{DocumentDecoder, UNIT_BYTES_MAX};
use crate::decode::Decode;
use crate::decode::record::{check_splits, lines_of, record};

fn read(text: &str) -> Vec<String> {
    check_splits(&|| Box::new(DocumentDecoder::new()), text.as_bytes());
    lines_of(&record(&mut DocumentDecoder::new(), &[text.as_bytes()]))
}

const TRAINER_STATE: &str = r#"{
  "best_metric": null,
  "epoch": 0.36,
  "global_step": 180,
  "log_history": [
    {"epoch": 0.01, "learning_rate": 0.002, "loss": 4.2568, "step": 4, "grad_norm": NaN},
    {
      "epoch": 0.02,
      "eval_loss": Infinity,
      "step": 8
    }
  ],
  "max_steps": 500,
  "num_train_epochs": 1,
  "stateful_callbacks": {"TrainerControl": {"args": {"should_log": false}, "attributes": {}}}
}
"#;

#[test]
fn trainer_state_is_read_row_by_row() {
    assert_eq!(
        read(TRAINER_STATE),
        [
            "4 learning_rate=0.002",
            "4 loss=4.2568",
            "4 grad_norm=NaN",
            "8 eval_loss=inf",
            "PlannedSteps(500)"
        ]
    );
    let mut decoder = DocumentDecoder::new();
    record(&mut decoder, &[TRAINER_STATE.as_bytes()]);
    assert_eq!((decoder.format(), decoder.tally().records), ("trainer-state", 2));
}

#[test]
fn rows_are_handed_on_as_they_arrive() {
    let end_of_row = TRAINER_STATE.find("NaN}").unwrap() + 4;
    let mut calls = crate::decode::record::Calls::default();
    DocumentDecoder::new().feed(&TRAINER_STATE.as_bytes()[..end_of_row], &mut calls);
    assert_eq!(lines_of(&calls).len(), 3);
}

#[test]
fn a_list_of_rows_is_a_log() {
    assert_eq!(
        read("[{\"step\":1,\"loss\":2},{\"step\":2,\"loss\":1,\"x\":{\"y\":[1,{\"z\":\"]}\"}]}}]"),
        ["1 loss=2", "2 loss=1"]
    );
}

#[test]
fn lists_of_values_become_steps() {
    assert_eq!(
        read("{\"loss\":[2,1,null],\"val_loss\":[3,NaN]}"),
        [
            "OrdinalSteps",
            "0 loss=2",
            "0 val_loss=3",
            "1 loss=1",
            "1 val_loss=NaN"
        ]
    );
    assert_eq!(
        read("{\"loss\":[2,1],\"epoch\":[1,2]}"),
        ["EpochSteps", "1 loss=2", "2 loss=1"]
    );
    assert_eq!(
        read("{\"history\":{\"step\":[10,20],\"a/grad_norm\":[1,\"0.5\"]}}")[0],
        "10 a/grad_norm=1"
    );
}

#[test]
fn sacred_has_steps_and_times_for_every_metric() {
    let text = r#"{"loss": {"steps": [0, 10], "timestamps": [1664364007, 1664364008], "values": [2, 1]}, "acc": {"steps": [10], "timestamps": [1664364008], "values": [0.5]}}"#;
    assert_eq!(
        read(text),
        [
            "0 loss=2 @1664364007",
            "10 loss=1 @1664364008",
            "10 acc=0.5 @1664364008"
        ]
    );
}

#[test]
fn the_latest_values_are_one_row() {
    let text = "{\n  \"loss\": 4.1297,\n  \"train\": {\"acc\": 0.5},\n  \"step\": 13\n}\n";
    assert_eq!(read(text), ["13 loss=4.1297", "13 train/acc=0.5"]);
}

#[test]
fn pretty_printed_rows_one_after_the_other_are_rows() {
    let text = "{\n \"step\": 1,\n \"loss\": 2\n}\n{\n \"step\": 2,\n \"loss\": 1\n}\n";
    assert_eq!(read(text), ["1 loss=2", "2 loss=1"]);
}

#[test]
fn a_configuration_with_lists_of_objects_is_no_log() {
    assert!(read("{\"layers\": [{\"units\": 5}], \"name\": \"net\"}").is_empty());
    assert!(
        read("{\"learning_rate\": 0.1, \"epochs\": 10, \"betas\": [0.9, 0.95], \"hidden\": [64, 64]}")
            .is_empty()
    );
}

#[test]
fn damage_ends_the_reading_and_keeps_what_was_read() {
    for (text, expected) in [
        (
            "[{\"step\":1,\"loss\":2},{\"step\":2",
            "problem at 30, 0 bytes: document ends before it is complete",
        ),
        (
            "[{\"step\":1,\"loss\":2}}",
            "problem at 20, 0 bytes: expected a value",
        ),
        (
            "[{\"step\":1,\"loss\":2},{\"step\":}]",
            "problem at 21, 9 bytes: not a value at byte 8 of the value",
        ),
    ] {
        assert_eq!(read(text), ["1 loss=2", expected], "{text}");
    }
    assert_eq!(
        read("{\"loss\":[2,1"),
        [
            "OrdinalSteps",
            "0 loss=2",
            "problem at 12, 0 bytes: document ends before it is complete"
        ]
    );
    assert_eq!(read("\u{feff}[]"), Vec::<String>::new());
    let units: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(lines_of(&record(&mut DocumentDecoder::new(), &[&units])).len(), 1);
}

#[test]
fn memory_is_bounded_for_long_texts_and_deep_nesting() {
    let long = format!(
        "[{{\"step\":1,\"note\":\"{}\"}},{{\"step\":2,\"loss\":1}}]",
        "x".repeat(UNIT_BYTES_MAX)
    );
    let calls = lines_of(&record(&mut DocumentDecoder::new(), &[long.as_bytes()]));
    assert_eq!(calls.len(), 2, "{:?}", calls[0].get(..80));
    assert_eq!(calls[1], "2 loss=1");
    assert_eq!(
        lines_of(&record(
            &mut DocumentDecoder::new(),
            &["[".repeat(100_000).as_bytes()]
        ))
        .len(),
        1
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_survived(at in 0_usize..460, with in "[{}\\[\\]:,\" a1.\\\\]{0,3}") {
        let (left, right) = TRAINER_STATE.split_at(at.min(TRAINER_STATE.len()));
        let whole = format!("{left}{with}{}", right.get(1..).unwrap_or_default());
        let split = lines_of(&record(&mut DocumentDecoder::new(), &[left.as_bytes(), &whole.as_bytes()[left.len()..]]));
        assert_eq!(split, lines_of(&record(&mut DocumentDecoder::new(), &[whole.as_bytes()])));
    }
}
