//! Tables sorted by metric, by layer, and by neither.
//!
//! In: tables. Out: test results. Invariant: every table is also fed at every byte split.

use super::HELD_MAX;
use crate::decode::csv::CsvDecoder;
use crate::decode::document::DocumentDecoder;
use crate::decode::jsonl::JsonlDecoder;
use crate::decode::record::{Calls, check_splits, lines_of, record};
use crate::decode::{Decode, Settled};

const NOTE: &str =
    "problem at 0, 0 bytes: sorted by metric or layer and not by step: read as a whole and judged by step";

fn read(text: &str) -> Vec<String> {
    check_splits(&|| Box::new(CsvDecoder::new()), text.as_bytes());
    lines_of(&record(&mut CsvDecoder::new(), &[text.as_bytes()]))
}

#[test]
fn a_table_sorted_by_metric_is_given_by_step() {
    let text = "step,tag,value\n0,loss,3\n1,loss,2\n0,grad/h.0,0.5\n1,grad/h.0,nan\n0,grad/h.1,0.25\n1,grad/h.1,0.125\n";
    assert_eq!(
        read(text),
        [
            NOTE,
            "0 loss=3",
            "0 grad/h.0=0.5",
            "0 grad/h.1=0.25",
            "1 loss=2",
            "1 grad/h.0=NaN",
            "1 grad/h.1=0.125"
        ]
    );
}

#[test]
fn a_table_sorted_by_layer_is_given_by_step() {
    let text = "layer,step,grad_norm,weight_norm\nh.0,0,1,5\nh.0,10,2,6\nh.1,0,3,7\nh.1,10,4,8\n";
    assert_eq!(
        read(text),
        [
            NOTE,
            "0 grad_norm/h.0=1",
            "0 weight_norm/h.0=5",
            "0 grad_norm/h.1=3",
            "0 weight_norm/h.1=7",
            "10 grad_norm/h.0=2",
            "10 weight_norm/h.0=6",
            "10 grad_norm/h.1=4",
            "10 weight_norm/h.1=8"
        ]
    );
}

#[test]
fn json_lines_sorted_by_tag_are_given_by_step() {
    let row =
        |tag: &str, step: i64| format!("{{\"tag\": \"{tag}\", \"step\": {step}, \"value\": {step}.5}}\n");
    let text: String = ["a", "b"]
        .iter()
        .flat_map(|tag| (0..3).map(|step| row(tag, step)))
        .collect();
    check_splits(&|| Box::new(JsonlDecoder::new()), text.as_bytes());
    let lines = lines_of(&record(&mut JsonlDecoder::new(), &[text.as_bytes()]));
    let points = ["0 a=0.5", "0 b=0.5", "1 a=1.5", "1 b=1.5", "2 a=2.5", "2 b=2.5"];
    assert_eq!(lines.first().map(String::as_str), Some(NOTE));
    assert_eq!(lines[1..], points);
}

#[test]
fn documents_of_rows_sorted_by_tag_are_given_by_step() {
    let row = |tag: &str, step: i64| format!("{{\"tag\": \"{tag}\", \"step\": {step}, \"value\": {step}.5}}");
    let rows: Vec<String> = ["a", "b"]
        .iter()
        .flat_map(|tag| (0..2).map(|step| row(tag, step)))
        .collect();
    let text = format!("[\n{}\n]\n", rows.join(",\n"));
    check_splits(&|| Box::new(DocumentDecoder::new()), text.as_bytes());
    let lines = lines_of(&record(&mut DocumentDecoder::new(), &[text.as_bytes()]));
    assert_eq!(lines, [NOTE, "0 a=0.5", "0 b=0.5", "1 a=1.5", "1 b=1.5"]);
}

#[test]
fn rows_by_step_stay_in_file_order_and_are_not_held() {
    let text = "step,name,value\n0,a,1\n0,b,2\n1,a,3\n0,c,4\n";
    assert_eq!(read(text), ["0 a=1", "0 b=2", "1 a=3", "0 c=4"]);
    let (mut decoder, mut calls) = (CsvDecoder::new(), Calls::default());
    decoder.feed(b"step,name,value\n0,a,1\n0,b,2\n1,a,3\n", &mut calls);
    assert_eq!(
        lines_of(&calls),
        ["0 a=1", "0 b=2", "1 a=3"],
        "given before the end of the file"
    );
}

#[test]
fn a_restart_of_the_only_series_is_no_sorted_table() {
    let text = "step,name,value\n5,a,1\n6,a,2\n5,a,3\n6,a,4\n7,b,1\n";
    assert_eq!(read(text), ["5 a=1", "6 a=2", "5 a=3", "6 a=4", "7 b=1"]);
}

#[test]
fn in_a_sorted_table_later_attempts_replace_earlier_ones() {
    let text = "step,name,value\n1,a,1\n2,a,2\n2,a,2.5\n3,a,3\n2,a,20\n1,b,4\n2,b,5\n";
    let lines = read(text);
    assert!(
        lines[0].ends_with("; 1 values that a restart replaced are left out"),
        "{lines:?}"
    );
    assert_eq!(
        lines[1..],
        ["1 a=1", "1 b=4", "2 a=2", "2 a=2.5", "2 a=20", "2 b=5"]
    );
}

#[test]
fn a_live_file_gives_what_is_there_and_asks_to_be_read_again() {
    let (mut decoder, mut calls) = (CsvDecoder::new(), Calls::default());
    decoder.feed(b"step,name,value\n1,a,1\n2,a,2\n", &mut calls);
    assert!(lines_of(&calls).is_empty(), "one label proves nothing");
    assert_eq!(decoder.settle(&mut calls), Settled::Whole);
    assert_eq!(lines_of(&calls), ["1 a=1", "2 a=2"]);
    decoder.feed(b"1,b,4\n", &mut calls);
    assert_eq!(decoder.settle(&mut calls), Settled::Void);
    let (mut decoder, mut calls) = (CsvDecoder::new(), Calls::default());
    decoder.feed(b"step,name,value\n1,a,1\n2,a,2\n1,b,4\n", &mut calls);
    assert_eq!(decoder.settle(&mut calls), Settled::SoFar);
    assert_eq!(lines_of(&calls)[1..], ["1 a=1", "1 b=4", "2 a=2"]);
}

#[test]
fn a_table_beyond_the_limit_is_told_and_read_on() {
    let mut text = String::from("step,name,value\n");
    for (label, n_rows) in [("a", HELD_MAX / 2), ("b", HELD_MAX / 2 + 3)] {
        for step in 0..n_rows {
            text.push_str(&format!("{step},{label},1\n"));
        }
    }
    let lines = lines_of(&record(&mut CsvDecoder::new(), &[text.as_bytes()]));
    assert_eq!(lines.len(), HELD_MAX + 3 + 2, "every value, and two problems");
    assert_eq!(lines[1..4], ["0 a=1", "0 b=1", "1 a=1"]);
    let told = lines.iter().position(|it| it.contains("longer than"));
    assert_eq!(told, Some(HELD_MAX + 1), "{:?}", told.map(|at| &lines[at]));
}
