//! Samples of the table, byte splits, damage, and whole logs of the shared data where it is present.

use super::TextDecoder;
use super::table::TABLE;
use crate::decode::{Decode, Sink};
use crate::model::{Mark, Problem, Sample, TextLine};

/// Every call, written down.
#[derive(Debug, Default, PartialEq)]
struct Log {
    points: Vec<(String, i64, f64)>,
    marks: Vec<String>,
    lines: Vec<(String, u64, u64)>,
    places: Vec<(u64, Option<f64>, f64)>,
    problems: Vec<Problem>,
}

impl Sink for Log {
    fn sample(&mut self, sample: &Sample<'_>) {
        self.points
            .push((sample.tag.to_owned(), sample.step, sample.value));
        self.places
            .push((sample.offset, sample.wall_time, sample.form.resolution()));
    }
    fn line(&mut self, line: &TextLine<'_>) {
        self.lines.push((line.text.to_owned(), line.offset, line.number));
    }
    fn mark(&mut self, mark: Mark<'_>) {
        self.marks.push(format!("{mark:?}"));
    }
    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }
}

fn read_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Log, TextDecoder) {
    let mut decoder = TextDecoder::new();
    let mut log = Log::default();
    for piece in pieces {
        decoder.feed(piece, &mut log);
    }
    decoder.finish(&mut log);
    (log, decoder)
}

fn read(text: &str) -> (Log, TextDecoder) {
    read_pieces([text.as_bytes()])
}

/// Debug text, in which NaN equals NaN.
fn shown(points: &[(String, i64, f64)]) -> Vec<String> {
    points.iter().map(|p| format!("{p:?}")).collect()
}

#[test]
fn every_sample_of_the_table_is_read_as_it_says() {
    for entry in TABLE.iter() {
        for (line, reading) in entry.samples {
            let (log, decoder) = read(line);
            let expected: Vec<_> = reading
                .iter()
                .map(|(t, s, v)| ((*t).to_owned(), *s, *v))
                .collect();
            assert_eq!(shown(&log.points), shown(&expected), "{}: {line:?}", entry.name);
            assert_eq!(
                decoder.format(),
                if reading.is_empty() { "text" } else { entry.name },
                "{line:?}"
            );
        }
    }
}

#[test]
fn every_entry_shows_a_line_that_it_reads() {
    for entry in TABLE.iter() {
        assert!(!entry.samples.is_empty(), "{} has no sample", entry.name);
    }
}

/// The points of one tag.
fn series(log: &Log, tag: &str) -> Vec<(i64, f64)> {
    let points = log.points.iter().filter(|p| p.0 == tag);
    points.map(|p| (p.1, p.2)).collect()
}

/// A Hugging Face console: bars, dicts between them, an evaluation with a bar of its own.
fn hugging_face() -> String {
    let bar = |n: i64| format!("\r {n}%|#   | {n}/100 [00:01<00:09,  9.9it/s]");
    let mut text = String::from("Loading checkpoint shards: 100%|####| 2/2 [00:01<00:00,  1.9it/s]\n");
    text += &bar(0);
    for (n, loss) in [(10, "2.5"), (20, "'1.141'"), (30, "nan")] {
        // The bar that stood before the line may be old, the one that is drawn behind it is not.
        text += &bar(n - 3);
        let line = format!("\r            \r{{'loss': {loss}, 'grad_norm': {n}.5, 'epoch': 0.{n}}}\n");
        text += &line;
        text += &bar(n);
    }
    text += "\r  0%|    | 0/5 [00:00<?, ?it/s]\r100%|####| 5/5 [00:01<00:00, 4.0it/s]";
    text += "\r     \r{'eval_loss': 1.25, 'eval_runtime': 1.5, 'epoch': 0.3}\n";
    text += &bar(30);
    text += "\n{'train_runtime': 12.5, 'train_loss': 1.9, 'epoch': 0.3}\n";
    text
}

#[test]
fn hugging_face_steps_come_from_the_bar_behind_the_line() {
    let (log, decoder) = read(&hugging_face());
    assert_eq!(
        format!("{:?}", series(&log, "loss")),
        "[(10, 2.5), (20, 1.141), (30, NaN)]"
    );
    assert_eq!(series(&log, "grad_norm"), [(10, 10.5), (20, 20.5), (30, 30.5)]);
    assert_eq!(series(&log, "eval_loss"), [(30, 1.25)]);
    assert!(series(&log, "train_loss").is_empty());
    assert_eq!(log.marks, ["PlannedSteps(100)", "Finished"]);
    assert_eq!(decoder.format(), "text-python-dict");
}

#[test]
fn a_resumed_run_has_the_steps_of_its_new_bar() {
    let bar = |n: i64| format!("\r {n}%|#   | {n}/100 [00:01<00:09,  9.9it/s]");
    let mut text = bar(0);
    let mut attempt = |steps: std::ops::RangeInclusive<i64>| {
        for n in steps.map(|n| n * 10) {
            text += &bar(n - 1);
            let dict = format!("\r    \r{{'loss': {n}.5, 'epoch': 0.1}}\n");
            text += &dict;
            text += &bar(n);
        }
        text += &bar(0);
    };
    attempt(1..=5);
    // From the checkpoint at 30: the bar is drawn at 0 and jumps.
    attempt(4..=6);
    let (log, _) = read(&text);
    let steps: Vec<i64> = series(&log, "loss").iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [10, 20, 30, 40, 50, 40, 50, 60]);
    assert!(
        series(&log, "loss")
            .iter()
            .all(|(step, loss)| *loss == *step as f64 + 0.5)
    );
}

#[test]
fn dicts_without_a_bar_have_ordinals_and_say_so() {
    let (log, _) = read(
        "{'loss': 2.5, 'epoch': 0.1}\n{'loss': 0.0, 'grad_norm': nan, 'epoch': 0.2}\n{'eval_loss': 3.0}\n",
    );
    assert_eq!(series(&log, "loss"), [(0, 2.5), (1, 0.0)]);
    assert!(series(&log, "grad_norm")[0].1.is_nan());
    assert_eq!(series(&log, "eval_loss"), [(1, 3.0)]);
    assert_eq!(log.marks, ["OrdinalSteps"]);
}

#[test]
fn dicts_that_were_buffered_apart_from_the_bar_have_ordinals() {
    let (log, _) = read(
        "  0%|   | 0/100 [00:00<?, ?it/s]\r 90%|## | 90/100 [00:09<00:01, 9it/s]\n{'loss': 3.0}\n{'loss': 2.0}\n{'loss': 1.0}\n",
    );
    assert_eq!(series(&log, "loss"), [(0, 3.0), (1, 2.0), (2, 1.0)]);
    assert_eq!(log.marks, ["OrdinalSteps"]);
}

#[test]
fn a_dict_over_several_lines_is_one_record() {
    let (log, _) = read(
        "\n{'gradient_norm': 0.5,\n 'loss': 2.1,\n 'param_norm': 3000.1,\n 'step': 10}\nother\n{'a': 1,\nbroken\n",
    );
    assert_eq!(series(&log, "loss"), [(10, 2.1)]);
    assert_eq!(series(&log, "gradient_norm"), [(10, 0.5)]);
    assert_eq!(log.points.len(), 3);
}

#[test]
fn keras_bars_give_the_end_of_each_epoch() {
    let bars = "Epoch 1/3\n\x1b[1m 1/63\x1b[0m \x1b[32m-\x1b[0m \x1b[1m5s\x1b[0m 90ms/step - accuracy: 0.10 - loss: 2.5\x08\x08\x08\r\
        \x1b[1m63/63\x1b[0m ━━━━━━━━ 0s 2ms/step - accuracy: 0.91 - loss: 0.2731\x08\x08\r\
        63/63 ━━━━━━━━ 1s 3ms/step - accuracy: 0.91 - loss: 0.2731 - val_loss: 0.3500\n\
        Epoch 2/3\n63/63 - 1s - 3ms/step - loss: nan - val_loss: 6.4679e-04\n\
        Batch 5: Invalid loss, terminating training\n";
    let (log, decoder) = read(bars);
    assert_eq!(format!("{:?}", series(&log, "loss")), "[(0, 0.2731), (1, NaN)]");
    assert_eq!(series(&log, "val_loss"), [(0, 0.35), (1, 6.4679e-4)]);
    assert_eq!(
        log.marks,
        [
            "PlannedSteps(3)",
            "EpochSteps",
            "Smoothed { tag: \"loss\", by: EpochMean }"
        ]
    );
    assert!(
        log.lines
            .iter()
            .any(|l| l.0 == "Batch 5: Invalid loss, terminating training" && l.2 == 5)
    );
    assert_eq!(decoder.format(), "text-keras");
}

#[test]
fn a_bar_gives_each_step_once_and_nothing_that_a_line_says() {
    let text = "\r  0%| | 0/40 [00:00<?, ?it/s, loss=8.2585, acc=0.1]\r          \r[step 00000] loss: 8.25852 | lr: 1.00e-03\n\
        \r  0%| | 0/40 [00:00<?, ?it/s, loss=8.2585, acc=0.1]\r          \r    [00] layers.0   |W| =    13.7171   |dW| = 7.906622e+00\n\
        \r 20%| | 8/40 [00:00<?, 9it/s, loss=8.2585, acc=0.1]\r 20%| | 8/40 [00:00<?, 9it/s, loss=5.2692, acc=0.2]\r      \r[step 00008] loss: 5.26923 | lr: 1.00e-03\n\
        \r 22%| | 9/40 [00:00<?, 9it/s, loss=5.2692, acc=0.2]\r 25%| | 10/40 [00:00<?, 9it/s, loss=4.1, acc=0.3]";
    let (log, decoder) = read(text);
    assert_eq!(series(&log, "loss"), [(0, 8.25852), (8, 5.26923)]);
    assert_eq!(series(&log, "acc"), [(0, 0.1), (8, 0.2), (10, 0.3)]);
    assert_eq!(series(&log, "weight_norm/layers.0"), [(0, 13.7171)]);
    assert_eq!(series(&log, "grad_norm/layers.0"), [(0, 7.906_622)]);
    assert_eq!(log.marks, ["PlannedSteps(40)"]);
    assert_eq!(decoder.format(), "text-keyvalue");
}

#[test]
fn lightning_bars_count_on_over_epochs() {
    let text = "Sanity Checking DataLoader 0: 100%|##| 2/2 [00:00<00:00, 9it/s]\n\
        Epoch 0:  50%|##  | 5/10 [00:00<00:01, 9.9it/s, v_num=0, train_loss=2.0]\rEpoch 0: 100%|####| 10/10 [00:01<00:00, 9.9it/s, v_num=0, train_loss=1.5]\n\
        Epoch 1:  50%|##  | 5/10 [00:00<00:01, 9.9it/s, v_num=0, train_loss=nan]\n";
    let (log, decoder) = read(text);
    assert_eq!(
        format!("{:?}", series(&log, "train_loss")),
        "[(5, 2.0), (10, 1.5), (15, NaN)]"
    );
    assert_eq!(decoder.format(), "text-progress-bar");
}

#[test]
fn tables_of_ultralytics_and_fastai_count_epochs() {
    let text = "      Epoch    GPU_mem   box_loss   cls_loss  Instances       Size\n\
        \r        1/3      2.5G      1.234      2.345         16        640:  50%|##  | 5/10 [00:01<00:01]\
        \r        1/3      2.5G      1.125      2.250         16        640: 100%|####| 10/10 [00:01<00:00]\n\
        \x20                Class     Images  Instances      Box(P          R      mAP50  mAP50-95): 100%|###| 2/2 [00:01]\n";
    let (log, _) = read(text);
    assert_eq!(series(&log, "box_loss"), [(1, 1.125)]);
    assert_eq!(log.points.len(), 2);
    let (log, decoder) = read(
        "epoch     train_loss  valid_loss  accuracy  time\n0         0.500000    0.400000    0.900000  00:10\n1         nan         0.300000    0.950000  00:10\n",
    );
    assert_eq!(series(&log, "valid_loss"), [(0, 0.4), (1, 0.3)]);
    assert!(series(&log, "train_loss")[1].1.is_nan());
    assert_eq!(
        (log.marks.as_slice(), decoder.format()),
        (
            &[
                "EpochSteps".to_owned(),
                "Smoothed { tag: \"train_loss\", by: MovingAverage }".to_owned()
            ][..],
            "text-columns"
        )
    );
}

#[test]
fn boxed_tables_have_sections_and_their_own_step() {
    let table = "------------------------------------\n| rollout/              |          |\n|    ep_rew_mean        | 21.5     |\n\
        | time/                 |          |\n|    total_timesteps    | 2048     |\n| train/                |          |\n\
        |    explained_variance | nan      |\n|    loss               | 5.08     |\n------------------------------------\n";
    let (log, decoder) = read(table);
    assert_eq!(series(&log, "rollout/ep_rew_mean"), [(2048, 21.5)]);
    assert_eq!(series(&log, "train/loss"), [(2048, 5.08)]);
    assert!(series(&log, "train/explained_variance")[0].1.is_nan());
    assert_eq!(decoder.format(), "text-boxed-table");
    let (log, _) = read("--------\n| loss | 1.0 |\n--------\n--------\n| loss | 2.0 |\n--------\n");
    assert_eq!(
        (series(&log, "loss"), log.marks),
        (vec![(0, 1.0), (1, 2.0)], vec!["OrdinalSteps".to_owned()])
    );
}

#[test]
fn a_step_that_is_printed_with_three_digits_goes_on_as_before() {
    let table = |step: &str| format!("--------\n| loss | 1.0 |\n| step | {step} |\n--------\n");
    let text: String = ["9990", "1e+04", "1e+04", "1e+04", "1.01e+04"]
        .map(table)
        .concat();
    let text = table("9980") + &text;
    let steps: Vec<i64> = series(&read(&text).0, "loss").into_iter().map(|p| p.0).collect();
    assert_eq!(steps, [9980, 9990, 10_000, 10_010, 10_020, 10_030]);
}

#[test]
fn a_missing_loss_is_told_once_the_loss_was_seen() {
    let line = |n: i64, loss: &str| {
        format!(
            " iteration {n}/ 100 | consumed samples: 1 |{loss} loss scale: 1.0 | grad norm: nan | number of skipped iterations:   0 | number of nan iterations:   0 |\n"
        )
    };
    let text = [
        line(1, ""),
        line(2, " lm loss: 3.0E+00 |"),
        line(3, ""),
        line(4, " lm loss: 2.0E+00 |"),
    ]
    .concat();
    let (log, _) = read(&(text + " iteration 5/ 100 | consumed samples: 1 | learning"));
    assert_eq!(
        log.marks,
        ["PlannedSteps(100)", "FieldMissing { tag: \"lm loss\", step: 3 }"]
    );
    assert_eq!(series(&log, "lm loss"), [(2, 3.0), (4, 2.0)]);
    assert_eq!(series(&log, "grad norm").len(), 4);
}

#[test]
fn glued_lines_of_two_ranks_give_no_wrong_number() {
    let first = " iteration       10/    1000 | lm loss: 1.203115E+01 | grad norm: 16.999 | number of skipped iterations:   0 |";
    let second = " iteration       20/    1000 | lm loss: 2.5E+00 | grad norm: 1.5 | number of skipped iterations:   0 |";
    for cut in 0..=first.len() {
        let (log, _) = read(&format!("{}{second}", &first[..cut]));
        for (tag, step, value) in &log.points {
            let expected = match (tag.as_str(), step) {
                ("lm loss", 10) => "1.203115E+01",
                ("grad norm", 10) => "16.999",
                ("lm loss", 20) => "2.5",
                ("grad norm", 20) => "1.5",
                _ => "0",
            };
            // A number cut at a digit boundary is a shorter prefix of the true one; that cannot be seen.
            let is_prefix = expected.starts_with(&value.to_string())
                || expected.parse() == Ok(*value)
                || cut < first.len() && expected.starts_with(&format!("{value:.1}"));
            assert!(is_prefix, "cut at {cut}: {tag} {step} {value}");
        }
        assert!(log.points.iter().all(|p| p.1 == 10 || p.1 == 20), "cut at {cut}");
    }
    let memory = "[Rank 7] (after 20 iterations) memory (MB) | allocated: 21633.08 | reserved: 29316.0[Rank 6] (after 20 iterations) memory (MB) | allocated: 1.5";
    assert!(read(memory).0.points.is_empty());
}

#[test]
fn source_code_and_tool_tables_give_nothing() {
    let preamble = r#"
import torch, math
@dataclass
class Hyperparameters:
    num_iterations : int = 6200 # number of iterations to run
    warmup_iters : int = 0
    val_loss_every : int = 125 # every how many steps to evaluate val loss? 0 for only at the end
    weight_decay : float = 0.
def train(step=0, loss=0.0):
    x = norm(q) ; print0(f"step:{step+1}/{args.num_iterations} train_loss:{train_loss.item():.4f} step_avg:{t/3:.2f}ms")
    if step == 10 and loss > 3.5: lr = 0.1
    for step in range(100): total_loss = 0.5
    self.grad_norm = 1.0
    # step 5: loss 3.2
    assert loss == 0.0, "step 5 loss 3"
    g_norm = g.norm() ; w_norm = 3.0
|-----------------------------------------+------------------------+----------------------+
| NVIDIA-SMI 535.129.03             Driver Version: 535.129.03   CUDA Version: 12.2     |
|   0  NVIDIA H100 80GB HBM3          On  | 00000000:19:00.0 Off |                    0 |
| N/A   32C    P0             112W / 700W |   7MiB / 81559MiB |      0%      Default |
Running pytorch 2.6.0.dev20240923+cu121 compiled for CUDA 12.1
TrainConfig(run_name='x', seed=6198, epoch=None, loss=3, step=5)
max_steps: 100
rank 0 sample 3: Hello, I'm a language model, and the loss of 3 steps was 5 in my epoch
"#;
    let (log, decoder) = read(preamble);
    assert_eq!(shown(&log.points), Vec::<String>::new());
    assert_eq!(decoder.format(), "text");
    assert_eq!(
        log.lines.len(),
        preamble.lines().filter(|l| !l.trim().is_empty()).count()
    );
}

/// One of everything that keeps state.
fn stateful() -> Vec<u8> {
    let mut text = hugging_face();
    text += "Epoch 1/3\n63/63 ━━━━ 1s - loss: 0.5\x08\x08\r63/63 ━━━━ 1s - loss: 0.5 - val_loss: 0.3\n{'loss': 2,\n 'step': 3}\n";
    text += "--------\n| loss | 1.0 |\n--------\r\nstep=0 layer=h.0 weight_norm=9.9 grad_norm=nan\n 5%|#| 1/20 [00:01<00:02, 1it/s, loss=3]";
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(b"\n\xff\xfe step=1 loss=2.5\n\x1b[31mstep=2 loss=3.5\x1b[0m\n");
    bytes
}

/// Everything that keeps state, and every sample of the table.
fn mixed() -> Vec<u8> {
    let mut bytes = stateful();
    for (line, _) in TABLE.iter().flat_map(|entry| entry.samples) {
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(&stateful());
    bytes
}

#[test]
fn every_byte_split_gives_equal_calls() {
    let bytes = mixed();
    let whole = format!("{:?}", read_pieces([&bytes[..]]).0);
    for size in [1, 2, 3, 7, 64, 1000] {
        assert_eq!(
            format!("{:?}", read_pieces(bytes.chunks(size)).0),
            whole,
            "pieces of {size}"
        );
    }
    let bytes = stateful();
    let whole = format!("{:?}", read_pieces([&bytes[..]]).0);
    for cut in 0..bytes.len() {
        let (left, right) = bytes.split_at(cut);
        assert!(
            format!("{:?}", read_pieces([left, right]).0) == whole,
            "cut at {cut}"
        );
    }
}

#[test]
fn damage_never_panics_and_never_hides_the_rest() {
    let bytes = mixed();
    let tail = b"\n\nstep=77 loss=2.5\n";
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    for _ in 0..300 {
        let mut damaged = bytes.clone();
        for _ in 0..=(random() % 20) {
            let at = random() % damaged.len();
            match random() % 3 {
                0 => damaged[at] = random() as u8,
                1 => drop(damaged.splice(at..(at + random() % 30).min(damaged.len()), [])),
                _ => drop(damaged.splice(at..at, *b"|:=[0-\xe2{'nan ")),
            }
        }
        damaged.extend_from_slice(tail);
        let (log, _) = read_pieces([&damaged[..]]);
        assert!(log.points.contains(&("loss".to_owned(), 77, 2.5)));
    }
}

#[test]
fn an_overlong_line_is_told_and_the_rest_is_read() {
    let mut bytes = vec![b'x'; crate::decode::line::LINE_BYTES_MAX + 1];
    bytes.extend_from_slice(b"\nstep=1 loss=2.5\n");
    let (log, decoder) = read_pieces(bytes.chunks(4096));
    assert_eq!(
        (
            log.problems.len(),
            decoder.tally().skipped,
            decoder.tally().records
        ),
        (1, 1, 1)
    );
    assert_eq!(series(&log, "loss"), [(1, 2.5)]);
}

#[test]
fn places_times_and_resolutions_are_those_of_the_line() {
    let (log, _) = read("first\n1970-01-01 00:01:00,5 - trainer - INFO - step=3 loss=8.5479e+06\n");
    assert_eq!(log.places, [(6, Some(60.5), 100.0)]);
    assert_eq!(
        log.lines[1],
        (
            "1970-01-01 00:01:00,5 - trainer - INFO - step=3 loss=8.5479e+06".to_owned(),
            6,
            2
        )
    );
}
/// The shared data directory beside the checkout, if it is there.
fn shared(path: &str) -> Option<std::path::PathBuf> {
    let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")).join(path);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

/// Text logs of the corpus, the tag of their loss, and the number of logged steps in their recorded truth.
const LOSS_STEPS_OF_CORPUS: [(&str, &str, usize); 15] = [
    ("hf_gpt2_healthy/logs/stdout.log", "loss", 60),
    ("hf_lr_jump/logs/stdout.log", "loss", 45),
    ("hf_nan_loss_filtered/logs/stdout.log", "loss", 30),
    ("jax_float16_overflow/logs/train.INFO", "train/loss", 80),
    ("keras_fit_csv_stdout/logs/stdout.log", "loss", 40),
    ("torch_dropout/logs/stdout.txt", "loss", 51),
    ("torch_explode_linear_then_nan/logs/train.log", "loss", 60),
    ("torch_finetune_frozen/logs/run.log", "loss", 51),
    ("torch_gpt_lr_diverges/logs/train.log", "loss", 26),
    ("torch_gpt_preln_warmup_cosine/logs/train.log", "loss", 41),
    ("torch_gpt_spike_bad_batches/logs/train.out", "lm loss", 260),
    ("torch_gpt_tied_megatron/logs/train.out", "lm loss", 151),
    ("torch_lr_jump_diverges/logs/run.log", "loss", 66),
    ("torch_stalled_writer/logs/train.out", "lm loss", 150),
    ("torch_vae_negative_loss/logs/run.log", "loss", 51),
];

#[test]
fn logs_of_the_corpus_have_as_many_loss_steps_as_their_truth() {
    let Some(runs) = shared("corpus/runs") else { return };
    for (path, tag, n_steps) in LOSS_STEPS_OF_CORPUS {
        let bytes = std::fs::read(runs.join(path)).unwrap();
        let (log, decoder) = read_pieces([&bytes[..]]);
        let steps: std::collections::BTreeSet<i64> = series(&log, tag).into_iter().map(|p| p.0).collect();
        assert_eq!(steps.len(), n_steps, "{path}");
        assert_eq!(series(&log, tag).len(), n_steps, "{path}");
        assert_eq!(decoder.tally().skipped, 0, "{path}");
    }
}

#[test]
fn published_logs_are_read() {
    let Some(logs) = shared("reallogs") else { return };
    for (path, format, tag, n_points) in [
        (
            "modded_nanogpt/2024-10-10_Muon.txt",
            "text-modded-nanogpt",
            "train_loss",
            6200,
        ),
        ("modded_nanogpt/2024-06-06_AdamW.log", "text-llmc", "trl", 9536),
        ("llmc/2024-10-13_llmc_main.log", "text-llmc", "norm", 19560),
        (
            "megatron_deepspeed/meg_ds_3d_ds_on.out",
            "text-megatron",
            "lm-loss",
            49,
        ),
        (
            "megatron/meg_gpt2_base_n4_overflow.out",
            "text-megatron",
            "lm loss",
            19,
        ),
        (
            "olmo/olmo1b_reproduce_train.log",
            "text-olmo",
            "optim/total_grad_norm",
            2003,
        ),
        (
            "fairseq/mlperf05_transformer_result_0.txt",
            "text-fairseq",
            "gnorm",
            5,
        ),
        (
            "baselines_table/kernel_diffusion_log.txt",
            "text-boxed-table",
            "grad_norm",
            4736,
        ),
        ("stylegan/sprite_log.txt", "text-stylegan", "kimg", 81),
        ("wandb/nanogpt_output.log", "text-nanogpt", "loss", 134),
    ] {
        let bytes = std::fs::read(logs.join(path)).unwrap();
        let (log, decoder) = read_pieces([&bytes[..]]);
        assert_eq!(
            (decoder.format(), series(&log, tag).len()),
            (format, n_points),
            "{path}"
        );
    }
}

/// Messages of the fixture logs, as the entries of the table see them.
fn fixture_messages() -> Vec<String> {
    let formats = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/formats"));
    let mut messages = Vec::new();
    for directory in std::fs::read_dir(formats).unwrap().map(|it| it.unwrap().path()) {
        for file in ["train.log", "log.txt"] {
            let Ok(bytes) = std::fs::read(directory.join(file)) else {
                continue;
            };
            for line in String::from_utf8_lossy(&bytes).lines() {
                let mut clean = String::new();
                super::escape::without_escapes(line, &mut clean);
                messages.push(super::prefix::strip(&clean).text.to_owned());
            }
        }
    }
    messages
}

#[test]
fn every_entry_of_the_table_has_a_line_in_the_fixtures() {
    let messages = fixture_messages();
    let without: Vec<String> = TABLE
        .iter()
        .filter(|entry| !messages.iter().any(|it| entry.matches(it).is_some()))
        .map(|entry| format!("{} {:?}", entry.name, entry.heads))
        .collect();
    assert!(
        without.is_empty(),
        "add lines to fixtures/make/text_logs.py for {without:#?}"
    );
}
