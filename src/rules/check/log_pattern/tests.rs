//! Sentences that were said, and sentences that were only quoted.

use regex::Regex;

use super::super::profile_fixture::rule;
use super::super::stream_fixture::Stream;
use super::{INFO, QUOTE_CHARS_MAX, StreamEnd};
use crate::model::{Mark, Severity};
use crate::rules::check::registry::CHECKS;
use crate::rules::check::{Judged, Judgement};
use crate::rules::{RuleSet, Source, load};

fn stream(patterns: &[&str], bounds: &[(&'static str, f64)]) -> Stream {
    let mut rule = rule(&INFO, bounds);
    rule.patterns = patterns.iter().map(|it| Regex::new(it).unwrap()).collect();
    Stream::of(&INFO, &rule)
}

const OOM: &[&str] = &["CUDA out of memory", "(?i)loss is nan"];
const TRACEBACK: &[&str] = &[r"Traceback \(most recent call last\)"];

#[test]
fn a_sentence_is_bad_at_the_step_it_came_at() {
    let mut stream = stream(OOM, &[]);
    stream.step(41, None);
    stream.line("RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB");
    let bad = stream.bad();
    assert_eq!((bad.len(), bad[0].0), (1, 41));
    assert!(bad[0].1.words.contains(&("line", "1".to_owned())));
}

#[test]
fn lines_of_programs_that_quote_the_sentence_are_no_hits() {
    let mut stream = stream(OOM, &[]);
    for line in [
        "    raise RuntimeError(\"CUDA out of memory\")",
        "  # CUDA out of memory happens here",
        "        print(\"Loss is nan, stopping\")",
        "logger.error(f'Loss is nan at {step}')",
        "if \"CUDA out of memory\" in str(e):",
        "msg = 'CUDA out of memory'",
        "    \"CUDA out of memory\",",
        "sys.exit(\"CUDA out of memory\")",
        "+ grep 'CUDA out of memory' log",
        "an ordinary line, loss 2.5",
    ] {
        stream.line(line);
    }
    assert_eq!(stream.bad(), []);
}

#[test]
fn lines_that_say_it_are_hits_whatever_stands_around() {
    for line in [
        "[rank0]: torch.cuda.OutOfMemoryError: CUDA out of memory.",
        "{\"level\": \"error\", \"message\": \"CUDA out of memory\"}",
        "2026-01-01 00:00:00,000 - trainer - ERROR - Loss is NaN, stopping training",
        "don't panic: CUDA out of memory",
    ] {
        let mut stream = stream(OOM, &[]);
        stream.line(line);
        assert_eq!(stream.bad().len(), 1, "{line}");
    }
}

#[test]
fn a_traceback_counts_only_where_the_run_did_not_go_on() {
    let at_end = [("at_end", 1.0)];
    let mut died = stream(TRACEBACK, &at_end);
    died.step(5, None);
    died.line("Traceback (most recent call last):");
    assert_eq!(died.bad(), []);
    died.finish(&StreamEnd::default());
    assert_eq!(died.bad()[0].0, 5);
    let mut went_on = stream(TRACEBACK, &at_end);
    went_on.step(5, None);
    went_on.line("Traceback (most recent call last):");
    went_on.step(6, None);
    went_on.finish(&StreamEnd::default());
    assert_eq!(went_on.bad(), []);
}

#[test]
fn an_interrupt_is_an_info_and_a_shutdown_nothing() {
    let mut stopped = stream(TRACEBACK, &[("at_end", 1.0)]);
    stopped.line("Traceback (most recent call last):");
    stopped.line("  File \"train.py\", line 3, in <module>");
    stopped.line("KeyboardInterrupt");
    stopped.finish(&StreamEnd::default());
    assert_eq!(stopped.bad()[0].1.severity, Some(Severity::Info));
    let mut shut_down = stream(TRACEBACK, &[("at_end", 1.0)]);
    shut_down.line("Exception ignored in: <function _Pool.__del__ at 0x7f>");
    shut_down.line("Traceback (most recent call last):");
    shut_down.finish(&StreamEnd::default());
    assert_eq!(shut_down.bad(), []);
    let mut finished = stream(TRACEBACK, &[("at_end", 1.0)]);
    finished.mark(Mark::Finished);
    finished.line("Traceback (most recent call last):");
    finished.finish(&StreamEnd::default());
    assert_eq!(finished.bad(), []);
}

#[test]
fn a_run_that_survives_heals_the_finding() {
    let mut stream = stream(OOM, &[("heals_after", 3.0)]);
    stream.step(1, None);
    stream.line("CUDA out of memory");
    (1..=4).for_each(|step| stream.step(step, None));
    let healed = |it: &&Judged| matches!(it.judgement, Judgement::Healed(Severity::Info));
    assert_eq!(
        stream
            .out
            .iter()
            .filter(healed)
            .map(|it| it.step)
            .collect::<Vec<_>>(),
        [4]
    );
    stream.line("CUDA out of memory");
    stream.rewind(2);
    (2..=9).for_each(|step| stream.step(step, None));
    assert_eq!(stream.out.iter().filter(healed).count(), 1);
}

#[test]
fn a_long_line_is_quoted_in_part() {
    let mut stream = stream(OOM, &[]);
    stream.line(&format!("CUDA out of memory {}", "é".repeat(500)));
    let (_, seen) = stream.bad()[0];
    let (_, text) = seen.words.iter().find(|(name, _)| *name == "text").unwrap();
    assert_eq!(text.chars().count(), QUOTE_CHARS_MAX + 4);
}

#[test]
fn the_shipped_sentences_are_found_as_programs_print_them() {
    let text = include_str!("../../../../rules/sentences.toml");
    let set = load(
        &[Source::new("rules/sentences.toml", text)],
        &RuleSet::default(),
        CHECKS,
    )
    .unwrap();
    for (id, line) in [
        (
            "nan-abort",
            "FloatingPointError: Loss became infinite or NaN at iteration=312!",
        ),
        ("nan-abort", "Aborting training due to NaN loss."),
        ("nan-abort", "Batch 12: Invalid loss, terminating training"),
        ("nan-abort", "Loss is nan, stopping training"),
        (
            "nan-abort",
            "RuntimeError: Function 'MulBackward0' returned nan values in its 0th output.",
        ),
        (
            "nan-abort",
            "ValueError: The loss returned in `training_step` is nan.",
        ),
        (
            "out-of-memory",
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        ),
        (
            "out-of-memory",
            "Out of memory: Killed process 4242 (python) total-vm:98765kB",
        ),
        (
            "out-of-memory",
            "slurmstepd: error: Detected 1 oom_kill event in StepId=12.batch.",
        ),
        (
            "collective-timeout",
            "[Rank 3] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=7)",
        ),
        (
            "job-cancelled",
            "slurmstepd: error: *** JOB 77 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***",
        ),
        (
            "loss-scale-at-minimum",
            "Exception: Current loss scale already at minimum - cannot decrease scale anymore.",
        ),
        (
            "loss-scale-at-minimum",
            "FloatingPointError: Minimum loss scale reached (0.0001).",
        ),
        (
            "process-died",
            "RuntimeError: CUDA error: device-side assert triggered",
        ),
        ("crashed", "[rank0]: Traceback (most recent call last):"),
    ] {
        let mut found = Vec::new();
        for rule in set.all() {
            let mut stream = Stream::of(&INFO, rule);
            stream.line(line);
            stream.finish(&StreamEnd::default());
            if !stream.bad().is_empty() {
                found.push(rule.id.as_str());
            }
        }
        assert_eq!(found, [id], "{line}");
    }
}
