//! What is written can be read, and what fails leaves nothing.
//!
//! In: temporary directories. Out: assertions. Invariant: event files are decoded by the independent
//! `tensorboard-proto`, JSON by `serde_json`.

use std::fs;
use std::path::Path;

use super::{LogFormat, Row, RunWriter, START_TIME, row_of};
use crate::simulate::{LayerRecord, StepRecord};

fn record(step: i64, loss: f64) -> StepRecord {
    let layer = |k: usize| LayerRecord {
        k,
        weight: 1.5,
        bias: 0.0,
        grad_weight: 1e-7,
        grad_bias: f64::INFINITY,
        update: 0.0,
        activation: 1e20,
    };
    StepRecord {
        step,
        loss,
        learning_rate: 0.1,
        grad_norm: 12_345.678,
        layers: vec![layer(1), layer(2)],
    }
}

fn write(dir: &Path, format: LogFormat) -> String {
    let mut writer = RunWriter::create(dir, format, 2).unwrap();
    for (step, loss) in [(0, 2.5), (1, f64::NAN)] {
        writer.step(step, &row_of(&record(step, loss))).unwrap();
    }
    let path = writer.finish().unwrap();
    String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
}

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn event_files_hold_every_number() {
    use protobuf::Message;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), LogFormat::TensorBoard);
    assert_eq!(names(dir.path()), [LogFormat::TensorBoard.file_name()]);
    let bytes = fs::read(dir.path().join(LogFormat::TensorBoard.file_name())).unwrap();
    let mut events = Vec::new();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        let data = &rest[12..12 + length];
        let masked = |data: &[u8]| crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(rest[8..12], masked(&rest[..8]).to_le_bytes());
        assert_eq!(rest[12 + length..16 + length], masked(data).to_le_bytes());
        events.push(tensorboard_proto::event::Event::parse_from_bytes(data).unwrap());
        rest = &rest[16 + length..];
    }
    assert_eq!(events[0].get_file_version(), "brain.Event:2");
    assert_eq!(events[2].get_step(), 1);
    assert_eq!(events[2].get_wall_time(), START_TIME + 1.0);
    let values = events[2].get_summary().get_value();
    assert!(values[0].get_tag() == "loss" && values[0].get_simple_value().is_nan());
    assert_eq!(values.len(), 3 + 2 * 5);
    assert_eq!(values[12].get_tag(), "activation_norm/layers.2");
    assert_eq!(values[12].get_simple_value(), 1e20);
}

#[test]
fn text_formats_look_as_training_writes_them() {
    let line = |format| {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), format)
    };
    let jsonl = line(LogFormat::Jsonl);
    assert!(
        jsonl.starts_with("{\"step\": 0, \"loss\": 2.5, \"learning_rate\": 0.1, \"grad_norm\": 12345.678, ")
    );
    assert!(
        jsonl
            .lines()
            .nth(1)
            .unwrap()
            .starts_with("{\"step\": 1, \"loss\": NaN, ")
    );
    assert!(jsonl.contains("\"grad_norm/layers.1.weight\": 1e-07, \"grad_norm/layers.1.bias\": Infinity"));
    let strict = jsonl.lines().next().unwrap().replace("Infinity", "1");
    assert!(
        serde_json::from_str::<serde_json::Value>(&strict).unwrap()["grad_norm/layers.2.weight"].is_f64()
    );
    let csv = line(LogFormat::Csv);
    assert!(csv.starts_with("step,loss,learning_rate,grad_norm,weight_norm/layers.1.weight,"));
    assert_eq!(
        csv.lines().map(|row| row.split(',').count()).collect::<Vec<_>>(),
        [14, 14, 14]
    );
    assert!(csv.lines().nth(2).unwrap().starts_with("1,nan,0.1,"));
    let long = line(LogFormat::CsvLong);
    assert!(
        long.starts_with("step,name,value\n0,loss,2.5\n") && long.contains("1,grad_norm/layers.2.bias,inf\n")
    );
    assert_eq!(long.lines().count(), 1 + 2 * 13);
    assert!(line(LogFormat::Text).starts_with("step=0 loss=2.5 learning_rate=0.1 grad_norm=12345.678 "));
    let megatron = line(LogFormat::Megatron);
    assert!(megatron.starts_with(" iteration        1/       2 | lm loss: 2.500000E+00 | learning rate:"));
    assert!(
        !megatron.lines().nth(1).unwrap().contains("lm loss"),
        "a NaN loss is left out"
    );
}

#[test]
fn same_run_same_bytes() {
    for format in LogFormat::ALL {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(write(a.path(), format), write(b.path(), format));
    }
}

#[test]
fn a_directory_with_something_in_it_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("precious"), "data").unwrap();
    let sentence = RunWriter::create(dir.path(), LogFormat::Csv, 1)
        .unwrap_err()
        .to_string();
    assert!(
        sentence.ends_with("is not empty: name a new or an empty one"),
        "{sentence}"
    );
    assert_eq!(names(dir.path()), ["precious"]);
}

#[test]
fn a_run_that_is_not_finished_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("made/for/it");
    let mut writer = RunWriter::create(&target, LogFormat::Jsonl, 1).unwrap();
    writer.step(0, &Row::from([("loss".to_owned(), 1.0)])).unwrap();
    let pid = std::process::id();
    assert!(!target.exists());
    assert_eq!(
        names(target.parent().unwrap()),
        [format!(".it.gradwatch-partial-{pid}")]
    );
    drop(writer);
    assert!(names(dir.path()).is_empty());
    let writer = RunWriter::create(dir.path(), LogFormat::TensorBoard, 1).unwrap();
    assert_eq!(
        names(dir.path()),
        [format!(
            ".events.out.events.1700000000.gradwatch.gradwatch-partial-{pid}"
        )]
    );
    drop(writer);
    assert!(names(dir.path()).is_empty());
}

/// Somebody else has made the directory meanwhile, and put something there.
#[test]
fn a_directory_that_is_filled_meanwhile_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("run");
    let mut writer = RunWriter::create(&target, LogFormat::Csv, 1).unwrap();
    writer.step(0, &Row::from([("loss".to_owned(), 1.0)])).unwrap();
    fs::create_dir(&target).unwrap();
    fs::write(target.join("precious"), "data").unwrap();
    let sentence = writer.finish().unwrap_err().to_string();
    assert!(sentence.ends_with("; nothing was left there"), "{sentence}");
    assert_eq!(
        (names(dir.path()), names(&target)),
        (vec!["run".into()], vec!["precious".into()])
    );
}

#[test]
fn an_unusable_directory_is_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let sentence = RunWriter::create(&file, LogFormat::Text, 1)
        .unwrap_err()
        .to_string();
    assert!(
        sentence.starts_with("cannot write `") && sentence.ends_with("; nothing was left there"),
        "{sentence}"
    );
    let below = RunWriter::create(&file.join("below"), LogFormat::Text, 1)
        .unwrap_err()
        .to_string();
    assert!(below.starts_with("cannot write `"), "{below}");
    assert_eq!(names(dir.path()), ["file"]);
}

/// `/dev/full` accepts a file and refuses every byte, as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_of_the_step_or_of_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("run");
    for format in LogFormat::ALL {
        let mut writer = RunWriter::create(&target, format, 1).unwrap();
        writer.file.redirect(Path::new("/dev/full"));
        let row: Row = vec![("loss".to_owned(), 1.0); 10];
        let outcome = (0..10)
            .try_for_each(|step| writer.step(step, &row))
            .and_then(|()| writer.finish().map(|_| ()));
        let sentence = outcome.unwrap_err().to_string();
        assert!(sentence.contains("nothing was left there"), "{sentence}");
        assert!(names(dir.path()).is_empty(), "{}", format.name());
    }
}
