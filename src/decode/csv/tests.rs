//! Tables as frameworks write them.
//!
//! In: look-alikes of real logs. Out: test results. Invariant: every table is also fed at every byte split.

use proptest::prelude::ProptestConfig;
use proptest::proptest;

use super::CsvDecoder;
use crate::decode::Decode;
use crate::decode::record::{check_splits, lines_of, record};

fn read(text: &str) -> Vec<String> {
    check_splits(&|| Box::new(CsvDecoder::new()), text.as_bytes());
    lines_of(&record(&mut CsvDecoder::new(), &[text.as_bytes()]))
}

fn format_of(text: &str) -> &'static str {
    let mut decoder = CsvDecoder::new();
    record(&mut decoder, &[text.as_bytes()]);
    decoder.format()
}

#[test]
fn wide_tables_have_a_step_column() {
    let text = "step,loss, lr \r\n0,2.5,1e-3\r\n10,nan,inf\r\n";
    assert_eq!(
        read(text),
        ["0 loss=2.5", "0 lr=0.001", "10 loss=NaN", "10 lr=inf"]
    );
    assert_eq!(format_of(text), "csv");
}

#[test]
fn missing_is_not_nan() {
    let text = "step,a,b,c,d,e\n1,,NA,N/A,null,1\n2,NaN,nan,-,None,--\n";
    assert_eq!(read(text), ["1 e=1", "2 a=NaN", "2 b=NaN"]);
}

#[test]
fn sparse_rows_of_lightning_share_a_step() {
    let text = "corr,epoch,lr-Adam,step,train_loss,val_loss\n,,0.5,9,,\n,0,,9,0.25,\nnan,0,,53,,0.125\n";
    assert_eq!(
        read(text),
        [
            "9 lr-Adam=0.5",
            "9 train_loss=0.25",
            "53 corr=NaN",
            "53 val_loss=0.125"
        ]
    );
}

#[test]
fn keras_counts_epochs() {
    assert_eq!(
        read("epoch,loss,val_loss\n0,2,NA\n1,1,1.5\n"),
        ["EpochSteps", "0 loss=2", "1 loss=1", "1 val_loss=1.5"]
    );
}

#[test]
fn ultralytics_pads_its_cells() {
    let text = "                  epoch,      train/box_loss,           time\n                      0,             1.49295,         597.18\n";
    assert_eq!(
        read(text),
        ["EpochSteps", "0 train/box_loss=1.49295", "0 time=597.18"]
    );
}

#[test]
fn long_tables_may_have_any_column_order() {
    let text = "time,step,name,value\n1795458551.5,0,layers.0/grad_norm,2.5\n1795458551.5,0,loss,nan\n";
    assert_eq!(
        read(text),
        [
            "0 layers.0/grad_norm=2.5 @1795458551.5",
            "0 loss=NaN @1795458551.5"
        ]
    );
    assert_eq!(format_of(text), "csv-long");
    assert_eq!(
        read("value;tag;iteration\n0,25;loss;7\n1;loss;8\n"),
        ["7 loss=0.25", "8 loss=1"]
    );
}

#[test]
fn rows_about_a_layer_are_read_as_such() {
    assert_eq!(
        read("step,layer,grad_norm,weight_norm\n1,fc1,0.5,2\n1,fc2,0.25,\n"),
        [
            "1 grad_norm/fc1=0.5",
            "1 weight_norm/fc1=2",
            "1 grad_norm/fc2=0.25"
        ]
    );
}

#[test]
fn comments_before_the_header_are_no_rows() {
    assert_eq!(
        read("#{\"t_start\": 1.5, \"env_id\": \"x\"}\nr,l,t\n1.5,10,0.5\n"),
        ["OrdinalSteps", "0 r=1.5", "0 l=10", "0 t=0.5"]
    );
    assert_eq!(read("# step,loss\n1,2.5\n"), ["1 loss=2.5"]);
    assert_eq!(
        read("1,2.5\n2,2\n"),
        [
            "OrdinalSteps",
            "0 column_1=1",
            "0 column_2=2.5",
            "1 column_1=2",
            "1 column_2=2"
        ]
    );
}

#[test]
fn headers_may_be_repeated_or_change() {
    let text = "step,loss\n1,2\nstep,loss\n2,1\nstep,loss,val_loss\n3,1,4\n";
    assert_eq!(read(text), ["1 loss=2", "2 loss=1", "3 loss=1", "3 val_loss=4"]);
}

#[test]
fn quoted_cells_may_hold_anything() {
    let text = "step,config,loss\n1,\"{'a': 1, \"\"b\"\": 2}\",2\n2,\"two\nlines\",1\n";
    assert_eq!(read(text), ["1 loss=2", "2 loss=1"]);
}

#[test]
fn a_quote_that_never_ends_costs_its_line_only() {
    let rows: Vec<String> = (2..100).map(|step| format!("{step},ok,1\n")).collect();
    let text = format!("step,note,loss\n1,\"oops,2\n{}", rows.concat());
    let calls = lines_of(&record(&mut CsvDecoder::new(), &[text.as_bytes()]));
    assert_eq!(calls[0], "problem at 15, 9 bytes: line 2: quote does not end");
    assert_eq!((calls.len(), calls[98].as_str()), (99, "99 loss=1"));
    assert_eq!(
        read("step,loss\n1,2\n2,\"x")[1],
        "problem at 14, 4 bytes: line 3: quote does not end"
    );
}

#[test]
fn rows_of_another_length_are_skipped_and_reported() {
    let text = "step,loss\n1,2\n2\n3,1,\n4,1,5\n\n5,0\n";
    assert_eq!(
        read(text),
        [
            "1 loss=2",
            "problem at 14, 1 bytes: line 3: 1 cells where the header has 2",
            "3 loss=1",
            "problem at 21, 5 bytes: line 5: 3 cells where the header has 2",
            "5 loss=0",
        ]
    );
    let mut decoder = CsvDecoder::new();
    record(&mut decoder, &[text.as_bytes()]);
    assert_eq!((decoder.tally().records, decoder.tally().skipped), (3, 2));
}

#[test]
fn tabs_make_a_tsv() {
    let text = "step\tloss\tval\n0\t6.2201\t\n1\t\t5\n";
    assert_eq!(read(text), ["0 loss=6.2201", "1 val=5"]);
    assert_eq!(format_of(text), "tsv");
}

#[test]
fn marks_of_encodings_and_holes_do_no_harm() {
    assert_eq!(
        read("\u{feff}step,loss\n1,2\n\0\0\0\n\0\u{0}2,1\n"),
        ["1 loss=2", "2 loss=1"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_survived(text in "[a-c,;\t\"\n\r#0-9.\u{0}n-]{0,120}", at in 0_usize..120) {
        let file = format!("step,loss\n1,2\n{text}");
        let (left, right) = file.as_bytes().split_at(at.min(file.len()));
        let split = lines_of(&record(&mut CsvDecoder::new(), &[left, right]));
        assert_eq!(split, lines_of(&record(&mut CsvDecoder::new(), &[file.as_bytes()])));
    }
}
