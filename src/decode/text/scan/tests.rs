//! Ways to write pairs, and what is no number.

use super::Pairs;
use crate::decode::text::token::integer;

fn pairs(text: &str) -> Vec<(String, f64)> {
    Pairs::of(text)
        .map(|p| (p.key.to_owned(), p.number.value))
        .collect()
}

fn shown(text: &str) -> String {
    let all: Vec<String> = pairs(text).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
    all.join(" ; ")
}

#[test]
fn reads_every_way_to_write_a_pair() {
    assert_eq!(
        shown("loss: 2.5 | lr=1e-3, acc 0.5"),
        "loss=2.5 ; lr=0.001 ; acc=0.5"
    );
    assert_eq!(shown("{'loss': '1.25', \"lr\": 2}"), "loss=1.25 ; lr=2");
    assert_eq!(
        shown("elapsed time per iteration (ms): 9.0 | lm loss: 4.607821E+00 | x"),
        "elapsed time per iteration (ms)=9 ; lm loss=4.607821"
    );
    assert_eq!(
        shown("loss 6.1551 BPC, time 44.04ms, mfu -100.00%"),
        "loss=6.1551 ; time=44.04 ; mfu=-100"
    );
    assert_eq!(
        shown("step: 20  loss: 11.8  memory: 48.87GiB(51.44%)  tps: 4,376"),
        "step=20 ; loss=11.8 ; memory=48.87 ; tps=4376"
    );
    assert_eq!(shown("optim/LR (group 0)=3e-4"), "optim/LR (group 0)=0.0003");
    assert_eq!(shown("tokens: 16.88K | loss 1"), "tokens=16880 ; loss=1");
}

#[test]
fn non_finite_words_are_values_only_where_a_value_stands() {
    assert_eq!(shown("loss nan, time 5.78ms"), "loss=NaN ; time=5.78");
    assert_eq!(
        shown("number of nan iterations:   0 |"),
        "number of nan iterations=0"
    );
    assert_eq!(shown("step_avg:nanms x:-inf"), "step_avg=NaN ; x=-inf");
    assert_eq!(shown("loss nan (+nanz)| norm inf (-)"), "loss=NaN ; norm=inf");
    assert_eq!(shown("infos: info 3"), "info=3");
}

#[test]
fn clocks_dates_versions_and_remarks_are_no_numbers() {
    assert_eq!(shown("eta: 0:10:00  iter: 19"), "iter=19");
    assert_eq!(
        shown("date 2023-06-05 v 1.2.3 loss 6.1 (+0.10z)| norm 0.9"),
        "loss=6.1 ; norm=0.9"
    );
    assert_eq!(shown("7b-model loss 3"), "7b-model loss=3");
    assert_eq!(shown("val: n/a | loss: 2"), "loss=2");
}

#[test]
fn a_total_and_a_label_are_kept_apart() {
    let pair = Pairs::of("iteration      100/  159576 |").next().unwrap();
    assert_eq!((pair.number.value, pair.total), (100.0, Some(159_576)));
    let all: Vec<_> = Pairs::of("layer=layers.0 weight_norm=9.9 grad_norm=1.1").collect();
    assert_eq!(all[0].label, Some(("layer", "layers.0")));
    assert_eq!((all[0].key, all[1].key), ("weight_norm", "grad_norm"));
}

#[test]
fn numbers_cut_by_a_glued_line_are_dropped() {
    assert_eq!(shown("lm loss: 1.2345E[Rank 0] x"), "");
    assert!(!shown("lm loss: 1.23iteration 20/ 100").contains("lm loss"));
}

#[test]
fn integers_take_thousands_and_never_overflow() {
    assert_eq!(integer(b"1,234,567 x"), Some((1_234_567, 9)));
    assert_eq!(integer(b"1,23"), Some((1, 1)));
    assert_eq!(integer(b"99999999999999999999999"), Some((i64::MAX, 23)));
    assert_eq!(integer(b"x"), None);
}

#[test]
fn a_colon_within_a_path_belongs_to_the_key() {
    assert_eq!(
        shown("step=5 layers.0.weight:grad_l2=0.5 layers.0.weight:weight_l2=2"),
        "step=5 ; layers.0.weight:grad_l2=0.5 ; layers.0.weight:weight_l2=2"
    );
    assert_eq!(shown("val:loss=0.5"), "loss=0.5");
}
