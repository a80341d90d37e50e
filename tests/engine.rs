//! The engine from bytes to findings: byte splits, restarts, several files and ranks of one run, threads.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gradwatch::decode::{Decode, Opened, Sink, open};
use gradwatch::model::{Finding, Mark, Problem, Sample, Severity, TextLine};
use gradwatch::rules::check::StreamEnd;
use gradwatch::rules::{Engine, StreamOutcome, builtin, join};
use gradwatch::simulate::{
    BadBatch, Batches, ChainSpec, LogFormat, MatrixChain, Rng, RunWriter, Sgd, Trainer, row_of,
};
use proptest::prelude::{ProptestConfig, prop};
use proptest::{prop_assert_eq, proptest};
use tempfile::{TempDir, tempdir};

use crate::support::{judge, root, shared};

// --- the same bytes in other pieces ------------------------------------------------------------------------

/// Hands what a decoder finds to an engine.
struct ToEngine<'e, 'r>(&'e mut Engine<'r>);

impl Sink for ToEngine<'_, '_> {
    fn sample(&mut self, sample: &Sample<'_>) {
        self.0.sample(sample);
    }
    fn line(&mut self, line: &TextLine<'_>) {
        self.0.line(line);
    }
    fn mark(&mut self, mark: Mark<'_>) {
        self.0.mark(mark);
    }
    fn problem(&mut self, _problem: Problem) {}
}

/// The findings of one file that comes in pieces of these lengths, again and again.
fn findings_of(path: &Path, bytes: &[u8], lengths: &[usize]) -> Vec<Finding> {
    let Opened::Decoder(mut decoder) = open(bytes, &path.to_string_lossy()) else {
        return Vec::new();
    };
    let mut engine = Engine::new(&builtin().rules, ".");
    let mut rest = bytes;
    for length in lengths.iter().cycle() {
        let (piece, later) = rest.split_at((*length).clamp(1, rest.len().max(1)).min(rest.len()));
        decoder.feed(piece, &mut ToEngine(&mut engine));
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    decoder.finish(&mut ToEngine(&mut engine));
    let end = end_of(decoder.as_ref(), bytes);
    let outcome = engine.finish(&end);
    join(vec![StreamOutcome {
        rank: None,
        precedence: 0,
        outcome,
    }])
    .findings
}

/// For comparison: a value that is NaN is equal to itself here.
fn shown(findings: &[Finding]) -> String {
    format!("{findings:#?}")
}

fn end_of(decoder: &dyn Decode, bytes: &[u8]) -> StreamEnd {
    let tally = decoder.tally();
    StreamEnd {
        records: tally.records,
        skipped: tally.skipped,
        bytes: bytes.len() as u64,
    }
}

/// A net whose batch breaks at step 70, in every log format.
fn simulated(dir: &TempDir) -> Vec<PathBuf> {
    let write = |format: LogFormat| {
        let spec = ChainSpec {
            bias_sd: 0.1,
            ..ChainSpec::uniform(8, 6)
        };
        let chain = MatrixChain::random(&spec, &mut Rng::new(1)).unwrap();
        let batches = Batches::fresh(&chain, 4, 1);
        let bad = BadBatch {
            step: 70,
            factor: f64::NAN,
        };
        let mut trainer = Trainer::new(chain, batches, Sgd::plain(0.01), Some(bad)).unwrap();
        let mut writer = RunWriter::create(&dir.path().join(format.name()), format, 90).unwrap();
        for _ in 0..90 {
            let record = trainer.step().unwrap();
            writer.step(record.step, &row_of(&record)).unwrap();
        }
        writer.finish().unwrap()
    };
    LogFormat::ALL.map(write).to_vec()
}

/// Logs of frameworks, where they are at hand: one small file of each kind of ending.
fn framework_logs() -> Vec<PathBuf> {
    let in_corpus = [
        "hf_nan_loss_visible",
        "keras_fit_lr_nan",
        "lightning_lr_jump",
        "torch_dead_relu_midrun",
        "torch_restart_overlap",
        "jax_transformer_jsonl",
    ];
    let dirs = in_corpus
        .iter()
        .filter_map(|it| shared(&format!("corpus/runs/{it}")));
    let mut files = Vec::new();
    for dir in dirs.chain(
        [root().join("fixtures/frameworks")]
            .into_iter()
            .filter(|it| it.exists()),
    ) {
        let found = gradwatch::source::discover(&[dir]);
        let streams = found.runs.into_iter().flat_map(|it| it.streams);
        files.extend(streams.filter(|it| it.files.len() == 1).flat_map(|it| it.files));
    }
    files.retain(|it| fs::metadata(it).is_ok_and(|it| it.len() < 400_000));
    files
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    /// A finished log and one that was followed piece by piece give the same findings.
    #[test]
    fn pieces_do_not_matter(lengths in prop::collection::vec(1_usize..4_000, 1..40)) {
        let dir = tempdir().unwrap();
        for path in simulated(&dir).into_iter().chain(framework_logs()) {
            let bytes = fs::read(&path).unwrap();
            let whole = findings_of(&path, &bytes, &[bytes.len()]);
            prop_assert_eq!(shown(&findings_of(&path, &bytes, &lengths)), shown(&whole), "{}", path.display());
        }
    }
}

#[test]
fn single_bytes_do_not_matter() {
    let dir = tempdir().unwrap();
    for path in simulated(&dir) {
        let bytes = fs::read(&path).unwrap();
        let whole = findings_of(&path, &bytes, &[bytes.len()]);
        assert!(
            whole.iter().any(|it| it.severity == Severity::Critical),
            "{}",
            path.display()
        );
        assert_eq!(
            shown(&findings_of(&path, &bytes, &[1])),
            shown(&whole),
            "{}",
            path.display()
        );
    }
}

// --- runs written here -------------------------------------------------------------------------------------

/// A healthy loss at a step: falls from 2.3, with a little noise that does not repeat.
fn loss(step: i64) -> f64 {
    let wobble = ((step * 7919) % 101) as f64 / 101.0 - 0.5;
    0.5 + 1.8 * (-(step as f64) / 60.0).exp() + 0.01 * wobble
}

/// One JSON object per step: the loss, NaN where `is_bad`.
fn jsonl(steps: impl Iterator<Item = i64>, is_bad: impl Fn(i64) -> bool) -> String {
    steps.fold(String::new(), |mut text, step| {
        let value = if is_bad(step) {
            "NaN".to_owned()
        } else {
            loss(step).to_string()
        };
        writeln!(text, "{{\"step\": {step}, \"loss\": {value}}}").unwrap();
        text
    })
}

/// The findings of a directory that holds one run, and how many series the run has.
fn audit(files: &[(&str, String)]) -> (Vec<Finding>, usize) {
    let dir = tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let mut runs = judge(dir.path(), &builtin().rules);
    assert_eq!(
        runs.len(),
        1,
        "one run: {:?}",
        runs.iter().map(|it| &it.0.run).collect::<Vec<_>>()
    );
    let (report, _) = runs.remove(0);
    (report.findings, report.series.len())
}

fn of_rule<'f>(findings: &'f [Finding], rule: &str) -> Vec<&'f Finding> {
    findings.iter().filter(|it| it.rule == rule).collect()
}

#[test]
fn a_nan_that_a_restart_replaced_is_an_info() {
    let log = jsonl(0..101, |step| step == 100) + &jsonl(80..200, |_| false);
    let (findings, _) = audit(&[("metrics.jsonl", log)]);
    let nan = of_rule(&findings, "non-finite-loss");
    assert_eq!(nan.len(), 1);
    assert!(nan[0].is_superseded && nan[0].severity == Severity::Info && nan[0].first_step == Some(100));
    assert!(
        findings.iter().all(|it| it.severity == Severity::Info),
        "{findings:?}"
    );
}

#[test]
fn a_nan_that_comes_back_after_the_restart_is_critical() {
    let log = jsonl(0..103, |step| step >= 100) + &jsonl(80..130, |step| step >= 110);
    let (findings, _) = audit(&[("metrics.jsonl", log)]);
    let nan = of_rule(&findings, "non-finite-loss");
    assert_eq!(nan.len(), 1);
    assert_eq!(
        (nan[0].severity, nan[0].first_step, nan[0].is_superseded),
        (Severity::Critical, Some(110), false)
    );
}

/// The loss went back before the gradient norm is logged again, at the very step at which it was NaN.
#[test]
fn a_sparse_series_goes_back_with_the_others() {
    let line = |step: i64, gradient: &str| match step % 10 {
        0 => format!(
            "{{\"step\": {step}, \"loss\": {}, \"grad_norm\": {gradient}}}\n",
            loss(step)
        ),
        _ => format!("{{\"step\": {step}, \"loss\": {}}}\n", loss(step)),
    };
    let old: String = (0..95)
        .map(|step| line(step, if step == 90 { "NaN" } else { "1.5" }))
        .collect();
    let new: String = (85..200).map(|step| line(step, "1.5")).collect();
    let (findings, _) = audit(&[("metrics.jsonl", old + &new)]);
    let nan = of_rule(&findings, "non-finite-gradients");
    assert_eq!(nan.len(), 1);
    assert!(
        nan[0].is_superseded && nan[0].severity == Severity::Info,
        "{nan:?}"
    );
}

#[test]
fn the_same_number_in_three_files_is_one_series_and_one_finding() {
    let dir = tempdir().unwrap();
    let is_bad = |step: i64| step >= 60;
    let values: Vec<(i64, f64)> = (0..80)
        .map(|step| (step, if is_bad(step) { f64::NAN } else { loss(step) }))
        .collect();
    let mut writer = RunWriter::create(&dir.path().join("run"), LogFormat::TensorBoard, 80).unwrap();
    for (step, value) in &values {
        writer.step(*step, &[("train/loss".to_owned(), *value)]).unwrap();
    }
    writer.finish().unwrap();
    let csv = values
        .iter()
        .fold("step,loss\n".to_owned(), |text, (step, value)| {
            format!("{text}{step},{value}\n")
        });
    let log = values.iter().fold(String::new(), |text, (step, value)| {
        format!("{text}step {step}: train loss {value:.4}\n")
    });
    fs::write(dir.path().join("run/metrics.csv"), csv).unwrap();
    fs::write(dir.path().join("run/stdout.log"), log).unwrap();
    let runs = judge(&dir.path().join("run"), &builtin().rules);
    assert_eq!(runs.len(), 1);
    let report = &runs[0].0;
    assert_eq!(report.files.iter().filter(|it| it.records > 0).count(), 3);
    assert_eq!(
        report.series.iter().map(|(_, it)| &*it.tag).collect::<Vec<_>>(),
        ["train/loss"]
    );
    let nan = of_rule(&report.findings, "non-finite-loss");
    assert_eq!(nan.len(), 1, "{nan:?}");
    assert_eq!(nan[0].first_step, Some(60));
}

#[test]
fn a_nan_on_one_rank_names_the_rank() {
    let of_rank = |rank: i64| jsonl(0..80, move |step| rank == 2 && step >= 50);
    let files: Vec<(String, String)> = (0..4)
        .map(|rank| (format!("rank_{rank}/metrics.jsonl"), of_rank(rank)))
        .collect();
    let files: Vec<(&str, String)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.clone()))
        .collect();
    let (findings, _) = audit(&files);
    let nan = of_rule(&findings, "non-finite-loss");
    assert_eq!(nan.len(), 1);
    assert_eq!((nan[0].rank, nan[0].first_step), (Some(2), Some(50)));
}

#[test]
fn writers_that_do_not_name_themselves_are_not_restarts_either() {
    let log = (4..120).fold(String::new(), |text, step| {
        let of_one = jsonl(std::iter::once(step), |step| step >= 60);
        text + &of_one + &jsonl(std::iter::once(step - 3), |_| false)
    });
    let (findings, _) = audit(&[("metrics.jsonl", log)]);
    let nan = of_rule(&findings, "non-finite-loss");
    assert_eq!(nan.len(), 1, "{findings:?}");
    assert!(
        !nan[0].is_superseded && nan[0].severity >= Severity::Warning,
        "{:?}",
        nan[0]
    );
}

/// Two ranks write into one file, the second some steps behind the first.
fn labelled(lag: i64, is_bad: impl Fn(usize, i64) -> bool) -> String {
    let line = |rank: usize, step: i64| {
        let value = if is_bad(rank, step) {
            "nan".to_owned()
        } else {
            format!("{:.5}", loss(step) + 0.01 * rank as f64)
        };
        format!(
            "[rank{rank}]:[titan] 2025-01-01 00:00:01,500 - root - INFO - step: {step:>3}  loss: {value}  grad_norm: 0.5\n"
        )
    };
    (1..120).fold(String::new(), |mut text, step| {
        text += &line(0, step);
        if step > lag {
            text += &line(1, step - lag);
        }
        text
    })
}

#[test]
fn ranks_in_one_file_are_not_restarts_of_each_other() {
    for lag in [0, 3] {
        let log = labelled(lag, |rank, step| rank == 1 && step >= 60);
        let (findings, n_series) = audit(&[("train.log", log)]);
        let nan = of_rule(&findings, "non-finite-loss");
        assert_eq!(nan.len(), 1, "{findings:?}");
        assert_eq!(
            (
                nan[0].rank,
                nan[0].first_step,
                nan[0].severity,
                nan[0].is_superseded
            ),
            (Some(1), Some(60), Severity::Critical, false)
        );
        assert_eq!(n_series, 4);
        let (healthy, _) = audit(&[("train.log", labelled(lag, |_, _| false))]);
        assert!(
            healthy.iter().all(|it| it.severity == Severity::Info),
            "{healthy:?}"
        );
    }
}

#[test]
fn a_nan_on_all_ranks_of_one_file_names_none() {
    let (findings, _) = audit(&[("train.log", labelled(3, |_, step| step >= 60))]);
    let nan = of_rule(&findings, "non-finite-loss");
    assert_eq!(nan.len(), 1, "{findings:?}");
    assert_eq!((nan[0].rank, nan[0].first_step), (None, Some(60)));
}

#[test]
fn forty_layers_that_become_nan_are_one_finding() {
    let log: String = (0..60)
        .map(|step| {
            let mut line = format!("{{\"step\": {step}, \"loss\": {}", loss(step));
            for layer in 0..40 {
                let value = if step >= 30 {
                    "NaN".to_owned()
                } else {
                    (1.0 + 0.01 * f64::from(layer)).to_string()
                };
                write!(line, ", \"grad_norm/layers.{layer}.weight\": {value}").unwrap();
            }
            line + "}\n"
        })
        .collect();
    let (findings, n_series) = audit(&[("metrics.jsonl", log)]);
    assert_eq!(n_series, 41);
    let nan = of_rule(&findings, "non-finite-gradients");
    assert_eq!(nan.len(), 1);
    let layers: Vec<String> = (0..40).map(|it| format!("layers.{it}.weight")).collect();
    assert_eq!((&nan[0].layers, nan[0].first_step), (&layers, Some(30)));
    let roots = findings
        .iter()
        .filter(|it| it.severity >= Severity::Warning && it.caused_by.is_none());
    assert_eq!(roots.count(), 1, "{findings:#?}");
}

/// A line with the gradient norms of eight layers.
fn gradients(step: i64, is_bad: impl Fn(i64) -> bool) -> String {
    let norms = (0..8).fold(String::new(), |text, layer| {
        let value = if is_bad(layer) {
            "NaN".to_owned()
        } else {
            (1.0 + 0.01 * layer as f64).to_string()
        };
        format!("{text}, \"grad_norm/layers.{layer}.weight\": {value}")
    });
    format!("{{\"step\": {step}, \"loss\": {}{norms}}}\n", loss(step))
}

#[test]
fn the_sentence_names_the_layer_in_which_it_began() {
    let is_bad = |step: i64, layer: i64| step > 40 || step == 40 && layer == 6;
    let log: String = (0..60)
        .map(|step| gradients(step, |layer| is_bad(step, layer)))
        .collect();
    let (findings, _) = audit(&[("metrics.jsonl", log)]);
    let nan = of_rule(&findings, "non-finite-gradients");
    assert_eq!(
        (nan.len(), nan[0].layers.len(), nan[0].first_step),
        (1, 8, Some(40))
    );
    let message = &nan[0].message;
    assert!(
        message.contains("layers.6.weight") && !message.contains("layers.0.weight"),
        "{message}"
    );
    assert!(message.ends_with("; 7 more layers later"), "{message}");
}

#[test]
fn layers_of_a_superseded_attempt_are_not_named() {
    let log: String = (0..60)
        .map(|step| gradients(step, |layer| step >= 50 && layer == 1))
        .chain((40..80).map(|step| gradients(step, |layer| step >= 70 && layer == 5)))
        .collect();
    let (findings, _) = audit(&[("metrics.jsonl", log)]);
    let nan = of_rule(&findings, "non-finite-gradients");
    assert_eq!(nan.len(), 1);
    assert_eq!(
        (nan[0].layers.as_slice(), nan[0].first_step),
        (["layers.5.weight".to_owned()].as_slice(), Some(70))
    );
}

#[test]
fn a_rule_says_what_it_could_not_see() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("metrics.jsonl"), jsonl(0..50, |_| false)).unwrap();
    let unmatched = &judge(dir.path(), &builtin().rules)[0].0.unmatched;
    for (rule, is_blind) in [
        ("non-finite-loss", false),
        ("loss-diverges", false),
        ("non-finite-gradients", true),
        ("chain-gain", true),
    ] {
        assert_eq!(unmatched.iter().any(|it| it == rule), is_blind, "{rule}");
    }
}

#[test]
fn threads_do_not_change_the_output() {
    let dir = tempdir().unwrap();
    for run in 0..12 {
        let place = dir.path().join(format!("run{run}"));
        fs::create_dir(&place).unwrap();
        fs::write(
            place.join("metrics.jsonl"),
            jsonl(0..(40 + 900 * (run % 3)), |step| run % 4 == 1 && step > 30),
        )
        .unwrap();
    }
    let output = |jobs: &str, format: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradwatch"));
        command
            .arg("audit")
            .arg(dir.path())
            .args(["--jobs", jobs, "--format", format])
            .output()
            .unwrap()
            .stdout
    };
    for format in ["text", "json"] {
        let one = output("1", format);
        assert!(!one.is_empty());
        for _ in 0..3 {
            assert!(output("5", format) == one, "{format}");
        }
    }
}
