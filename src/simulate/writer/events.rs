//! TensorBoard event files: the messages of `tensorboard-proto` in the records of `tensorboard-rs`.
//!
//! In: named numbers of a step. Out: framed records. Invariant: only the record writer of `tensorboard-rs` is
//! used, over our own file: its summary writer panics on I/O errors and shares file names between writers of
//! the same second. Neither crate ever reads a file (protobuf 2.28, RUSTSEC-2024-0437).

use std::io::{self, Write};

use protobuf::Message;
use tensorboard_proto::event::Event;
use tensorboard_proto::summary::{Summary, Summary_Value};
use tensorboard_rs::record_writer::RecordWriter;

/// The record that opens every event file.
pub(super) fn start(out: &mut dyn Write, wall_time: f64) -> io::Result<()> {
    let mut event = Event::new();
    event.set_wall_time(wall_time);
    event.set_file_version("brain.Event:2".to_owned());
    write_record(out, &event)
}

/// One event with all numbers of a step, as 32-bit floats.
pub(super) fn step(out: &mut dyn Write, wall_time: f64, step: i64, row: &[(String, f64)]) -> io::Result<()> {
    let values = row.iter().map(|(tag, value)| {
        let mut summary_value = Summary_Value::new();
        summary_value.set_tag(tag.clone());
        summary_value.set_simple_value(*value as f32);
        summary_value
    });
    let mut summary = Summary::new();
    summary.set_value(values.collect());
    let mut event = Event::new();
    event.set_wall_time(wall_time);
    event.set_step(step);
    event.set_summary(summary);
    write_record(out, &event)
}

fn write_record(out: &mut dyn Write, event: &Event) -> io::Result<()> {
    let bytes = event.write_to_bytes().map_err(io::Error::other)?;
    RecordWriter::new(out).write(&bytes)
}
