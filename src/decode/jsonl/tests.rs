//! JSON lines as programs write them.
//!
//! In: look-alikes of real logs. Out: test results. Invariant: every log is also fed at every byte split.

use super::JsonlDecoder;
use crate::decode::record::{check_splits, lines_of, record};

fn read(text: &str) -> Vec<String> {
    check_splits(&|| Box::new(JsonlDecoder::new()), text.as_bytes());
    lines_of(&record(&mut JsonlDecoder::new(), &[text.as_bytes()]))
}

#[test]
fn flat_and_nested_rows_give_the_same_names() {
    assert_eq!(
        read(
            "{\"step\":0,\"train/loss\":2.5,\"time\":1795458571.5}\n{\"global_step\":5,\"train\":{\"loss\":NaN}}\n"
        ),
        ["0 train/loss=2.5 @1795458571.5", "5 train/loss=NaN"]
    );
}

#[test]
fn step_may_stand_last_or_be_a_float_or_a_text() {
    assert_eq!(
        read(
            "{\"loss\":1,\"step\":10.0,\"run_name\":\"r\"}\n{\"loss\":\"9.276\",\"update\":0.416,\"num_updates\":\"200\"}"
        ),
        ["10 loss=1", "200 loss=9.276"]
    );
}

#[test]
fn the_own_step_of_a_run_beats_the_call_counter() {
    assert_eq!(
        read("{\"_step\":3,\"iter\":1250,\"val/loss\":1.5,\"_timestamp\":1707937997.5}"),
        ["1250 val/loss=1.5 @1707937997.5"]
    );
    assert_eq!(read("{\"_step\":3,\"a\":1}"), ["3 a=1"]);
}

#[test]
fn planned_steps_are_told_once_and_nulls_are_missing() {
    let row = |step: u32| {
        format!(
            "{{\"current_steps\":{step},\"total_steps\":2178,\"loss\":2.25,\"eval_loss\":null,\"epoch\":0.1,\"elapsed_time\":\"0:32:48\"}}\n"
        )
    };
    assert_eq!(
        read(&(row(5) + &row(10))),
        ["PlannedSteps(2178)", "5 loss=2.25", "10 loss=2.25"]
    );
}

#[test]
fn levanter_nests_its_metrics() {
    let text = "{\"tracker\":\"json_logger\",\"event\":\"log\",\"step\":7,\"metrics\":{\"grad/norm/a\":0.5,\"train/loss\":Infinity}}";
    assert_eq!(read(text), ["7 grad/norm/a=0.5", "7 train/loss=inf"]);
}

#[test]
fn long_rows_hold_one_number() {
    assert_eq!(
        read(
            "{\"step\":1,\"name\":\"fc1/grad_norm\",\"value\":0.5}\n{\"iteration\":2,\"tag\":\"loss\",\"value\":\"nan\",\"ts\":\"2026-11-23T18:29:25.500\"}\n{\"step\":3,\"metric\":\"grad_norm\",\"layer\":\"fc1\",\"value\":1}"
        ),
        [
            "1 fc1/grad_norm=0.5",
            "2 loss=NaN @1795458565.5",
            "3 grad_norm/fc1=1"
        ]
    );
}

#[test]
fn rows_about_a_layer_name_it_in_the_tag() {
    assert_eq!(
        read(
            "{\"step\":3,\"layer\":\"fc1\",\"grad_norm\":0.5,\"weight_norm\":2}\n{\"step\":3,\"layer\":4,\"grad_norm\":0.25}\n{\"step\":3,\"name\":\"fc2\",\"grad_norm\":1}\n{\"step\":4,\"name\":\"my run\",\"loss\":1,\"grad_norm\":3}"
        ),
        [
            "3 grad_norm/fc1=0.5",
            "3 weight_norm/fc1=2",
            "3 grad_norm/layers.4=0.25",
            "3 grad_norm/fc2=1",
            "4 loss=1",
            "4 grad_norm=3"
        ]
    );
}

#[test]
fn a_word_for_the_split_goes_before_the_name() {
    assert_eq!(
        read(
            "{\"mode\":\"train\",\"step\":1,\"loss\":2}\n{\"phase\":\"validation\",\"step\":1,\"loss\":3,\"val_acc\":0.5}\n{\"type\":\"metric\",\"step\":2,\"loss\":1}"
        ),
        ["1 train/loss=2", "1 val/loss=3", "1 val_acc=0.5", "2 loss=1"]
    );
}

#[test]
fn epochs_and_ordinals_are_said_to_be_such() {
    assert_eq!(
        read("{\"epoch\":1,\"loss\":2}\n{\"epoch\":2,\"loss\":1}"),
        ["EpochSteps", "1 loss=2", "2 loss=1"]
    );
    assert_eq!(
        read("{\"loss\":2}\n{\"loss\":1}"),
        ["OrdinalSteps", "0 loss=2", "1 loss=1"]
    );
}

#[test]
fn a_time_that_is_a_duration_is_a_number_of_the_run() {
    assert_eq!(
        read("{\"iteration\":19,\"time\":0.35,\"total_loss\":2}"),
        ["19 time=0.35", "19 total_loss=2"]
    );
}

#[test]
fn configuration_and_vectors_are_no_series() {
    assert_eq!(
        read(
            "{\"training_iteration\":1,\"config\":{\"lr\":0.1},\"hist\":[1,2,3],\"done\":false,\"host\":\"n1\",\"reward\":NaN}"
        ),
        ["1 reward=NaN"]
    );
}

#[test]
fn damaged_lines_are_skipped_counted_and_reported() {
    let text = "{\"step\":1,\"loss\":1}\n{\"step\":2,\"lo\n\0\0\0\n\0\0{\"step\":3,\"loss\":3}\nnot json\n[1]\n{\"step\":4,\"loss\":4}{\"step\":5,\"loss\":5}\n{\"step\":6,\"lÿss\":6}\n";
    let calls = read(text);
    assert_eq!(
        calls,
        [
            "1 loss=1",
            "problem at 20, 13 bytes: line 2: text does not end at byte 13 of the line",
            "3 loss=3",
            "problem at 60, 8 bytes: line is not a JSON object",
            "problem at 69, 3 bytes: line is not a JSON object",
            "4 loss=4",
            "5 loss=5",
            "6 lÿss=6",
        ]
    );
    let mut decoder = JsonlDecoder::new();
    record(&mut decoder, &[text.as_bytes()]);
    assert_eq!(
        (
            crate::decode::Decode::tally(&decoder).records,
            crate::decode::Decode::tally(&decoder).skipped
        ),
        (5, 3)
    );
}

#[test]
fn invalid_utf8_in_a_name_is_replaced() {
    let calls = lines_of(&record(
        &mut JsonlDecoder::new(),
        &[b"{\"step\":6,\"l\xffss\":6}\n"],
    ));
    assert_eq!(calls, ["6 l\u{fffd}ss=6"]);
}

#[test]
fn many_damaged_lines_are_reported_in_few_words() {
    let calls = lines_of(&record(
        &mut JsonlDecoder::new(),
        &["x\n".repeat(1000).as_bytes()],
    ));
    assert_eq!(calls.len(), 21);
    assert_eq!(
        calls[20],
        "problem at 40, 980 bytes: 980 more rows could not be read from here on"
    );
}

#[test]
fn a_zero_is_exact_and_four_decimals_are_not() {
    let calls = record(
        &mut JsonlDecoder::new(),
        &[b"{\"step\":1,\"a\":0.0,\"b\":0.0000,\"c\":2.3475}"],
    );
    let resolutions: Vec<f64> = calls.samples().map(|s| s.resolution).collect();
    assert_eq!(resolutions, [0.0, 1e-4, 1e-4]);
}

#[test]
fn utf16_is_read() {
    let units = "\u{feff}{\"step\":1,\"loss\":0.5}\r\n".encode_utf16();
    let bytes: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
    assert_eq!(
        lines_of(&record(&mut JsonlDecoder::new(), &[&bytes])),
        ["1 loss=0.5"]
    );
}
