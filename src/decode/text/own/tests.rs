//! What own patterns read, and that nobody else reads their lines.
//!
//! In: patterns and lines. Out: test results. Invariant: every text is also fed at every byte split.

use super::OwnPatterns;
use crate::decode::Decode;
use crate::decode::record::{check_splits, lines_of, record};
use crate::decode::text::TextDecoder;
use crate::model::{LinePattern, Quantity};

fn pattern(regex: &str, quantity: Option<Quantity>) -> LinePattern {
    LinePattern {
        name: "mine".to_owned(),
        regex: regex.to_owned(),
        quantity,
    }
}

fn read(patterns: &[LinePattern], text: &str) -> Vec<String> {
    let patterns = OwnPatterns::new(patterns).unwrap();
    let make = || Box::new(TextDecoder::with_patterns(patterns.clone())) as Box<dyn Decode>;
    check_splits(&make, text.as_bytes());
    let mut lines = lines_of(&record(make().as_mut(), &[text.as_bytes()]));
    lines.retain(|it| !it.starts_with("TextLine"));
    lines
}

#[test]
fn quantities_layers_and_steps_are_read_from_their_groups() {
    let lines = pattern(
        r"^it (?<step>\d+); (?<layer>[\w.]+); g (?<grad_norm>\S+), w (?<weight_norm>\S+)",
        None,
    );
    let text = "it 10; h.0.mlp; g 0.5, w 41,957\nit 10; 3; g nan, w 1.5K\nit 20; h.0.mlp; g -, w 2%\n";
    assert_eq!(
        read(&[lines], text),
        [
            "10 grad_norm/h.0.mlp=0.5",
            "10 weight_norm/h.0.mlp=41957",
            "10 grad_norm/layers.3=NaN",
            "10 weight_norm/layers.3=1500",
            "20 weight_norm/h.0.mlp=2",
        ]
    );
}

#[test]
fn a_pattern_of_a_heading_gives_the_step_of_the_lines_below() {
    let patterns = [
        pattern(r"^== (?<step>\d+) ==$", None),
        pattern(
            r"^\s*(?<layer>\w+\.\d+) -> (?<value>\S+)$",
            Some(Quantity::GradNorm),
        ),
        pattern(r"^\s*(?<name>\w+) => (?<value>\S+)$", None),
    ];
    let text = "fc.1 -> 9\n== 5 ==\n fc.1 -> 0.5\n Verlust => 2\n== 6 ==\n fc.1 -> x\n";
    assert_eq!(
        read(&patterns, text),
        [
            "problem at 0, 9 bytes: pattern `mine`: no step was read before it",
            "5 grad_norm/fc.1=0.5",
            "5 Verlust=2",
            "problem at 53, 10 bytes: pattern `mine`: group `value` is \"x\", which is no number",
        ]
    );
}

#[test]
fn known_formats_do_not_read_the_lines_of_a_pattern() {
    let text = "step 5 loss 2.5 noise 7\nstep 6 loss 2.25\n";
    let own = pattern(r"^step (?<step>\d+) loss (?<loss>\S+) noise", None);
    assert_eq!(read(&[own], text), ["5 loss=2.5", "6 loss=2.25"]);
    assert_eq!(read(&[], text), ["5 loss=2.5", "5 noise=7", "6 loss=2.25"]);
}

#[test]
fn epochs_are_an_axis_where_no_step_is() {
    let own = pattern(r"^E(?<epoch>\d+) L(?<eval_loss>\S+)", None);
    assert_eq!(
        read(&[own], "E1 L2.5\nE2 L2\n"),
        ["EpochSteps", "1 eval_loss=2.5", "2 eval_loss=2"]
    );
}
