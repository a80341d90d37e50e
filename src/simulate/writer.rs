//! Writes a simulated run in the log formats that training writes.
//!
//! In: a directory, a format, one list of named numbers per step. Out: one log file. Invariants: the file
//! appears under its name only when it is complete; a failure leaves nothing behind, neither the part that
//! was written nor a directory that was made for it; a directory that holds something is refused.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use super::train::StepRecord;
use super::{NumberFormat, SimulateError};

mod directory;
mod events;
#[cfg(test)]
mod tests;

use directory::NewFile;

/// A log format to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// A TensorBoard event file.
    TensorBoard,
    /// One JSON object per step, NaN and infinity bare as Python's `json` writes them.
    Jsonl,
    /// One row per step, one column per tag.
    Csv,
    /// One row per number: `step,name,value`.
    CsvLong,
    /// `key=value` pairs, a line per step.
    Text,
    /// Lines in the form of Megatron-LM: fields between bars; a NaN loss is left out, as it does.
    Megatron,
}

impl LogFormat {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::TensorBoard,
        Self::Jsonl,
        Self::Csv,
        Self::CsvLong,
        Self::Text,
        Self::Megatron,
    ];

    /// Name in arguments.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TensorBoard => "tensorboard",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::CsvLong => "csv-long",
            Self::Text => "text",
            Self::Megatron => "megatron",
        }
    }

    /// Name of the file that is written.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::TensorBoard => "events.out.tfevents.1700000000.gradwatch",
            Self::Jsonl => "metrics.jsonl",
            Self::Csv | Self::CsvLong => "metrics.csv",
            Self::Text => "train.log",
            Self::Megatron => "megatron.log",
        }
    }
}

impl std::str::FromStr for LogFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| {
            format!(
                "unknown log format `{text}`: {}",
                Self::ALL.map(Self::name).join(", ")
            )
        })
    }
}

/// Unix time of step 0: fixed, so that the same arguments write the same bytes. A step takes a second.
pub const START_TIME: f64 = 1.7e9;

/// Named numbers of one step.
pub type Row = Vec<(String, f64)>;

/// What a run logs of a step: loss, learning rate, total gradient norm, and per layer the norms of weight,
/// gradients, update and activation.
#[must_use]
pub fn row_of(record: &StepRecord) -> Row {
    let mut row = vec![
        ("loss".to_owned(), record.loss),
        ("learning_rate".to_owned(), record.learning_rate),
        ("grad_norm".to_owned(), record.grad_norm),
    ];
    for layer in &record.layers {
        let k = layer.k;
        row.extend([
            (format!("weight_norm/layers.{k}.weight"), layer.weight),
            (format!("grad_norm/layers.{k}.weight"), layer.grad_weight),
            (format!("grad_norm/layers.{k}.bias"), layer.grad_bias),
            (format!("update_norm/layers.{k}.weight"), layer.update),
            (format!("activation_norm/layers.{k}"), layer.activation),
        ]);
    }
    row
}

/// A run being written.
#[derive(Debug)]
pub struct RunWriter {
    file: NewFile,
    format: LogFormat,
    planned_steps: i64,
    line: String,
    header_written: bool,
}

impl RunWriter {
    /// Starts a run in `dir`, which is made when it does not exist.
    ///
    /// # Errors
    /// The directory is not empty or cannot be written.
    pub fn create(dir: &Path, format: LogFormat, planned_steps: i64) -> Result<Self, SimulateError> {
        let file = NewFile::create(dir, format.file_name())?;
        let line = String::new();
        let mut writer = Self {
            file,
            format,
            planned_steps,
            line,
            header_written: false,
        };
        if format == LogFormat::TensorBoard {
            writer.put(|out, _| events::start(out, START_TIME))?;
        }
        Ok(writer)
    }

    /// Writes one step.
    ///
    /// # Errors
    /// The disk is full or the file has become unwritable; the part that was written is removed on drop.
    pub fn step(&mut self, step: i64, row: &[(String, f64)]) -> Result<(), SimulateError> {
        self.line.clear();
        let wall_time = START_TIME + step as f64;
        match self.format {
            LogFormat::TensorBoard => {
                return self.put(|out, _| events::step(out, wall_time, step, row));
            }
            LogFormat::Jsonl => jsonl_line(&mut self.line, step, row),
            LogFormat::Csv => csv_rows(&mut self.line, !self.header_written, step, row),
            LogFormat::CsvLong => csv_long_rows(&mut self.line, !self.header_written, step, row),
            LogFormat::Text => text_line(&mut self.line, step, row),
            LogFormat::Megatron => megatron_line(&mut self.line, step, self.planned_steps, row),
        }
        self.header_written = true;
        self.put(|out, line| out.write_all(line.as_bytes()))
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// What is still buffered cannot be written; nothing is left behind.
    pub fn finish(self) -> Result<std::path::PathBuf, SimulateError> {
        self.file.finish()
    }

    fn put(
        &mut self,
        write: impl FnOnce(&mut dyn Write, &str) -> io::Result<()>,
    ) -> Result<(), SimulateError> {
        write(self.file.writer(), &self.line).map_err(|source| self.file.error(source))
    }
}

/// A number as Python prints it.
fn python_float(value: f64, nan: &str, infinity: &str) -> String {
    if value.is_nan() {
        nan.to_owned()
    } else if value.is_infinite() {
        format!("{}{infinity}", if value < 0.0 { "-" } else { "" })
    } else if value == 0.0 || (1e-4..1e16).contains(&value.abs()) {
        format!("{value:?}")
    } else {
        two_digit_exponent(&format!("{value:e}"), 'e')
    }
}

/// `1.5e7` as C and Python write it: `1.5e+07`.
fn two_digit_exponent(text: &str, mark: char) -> String {
    let Some((mantissa, exponent)) = text.split_once(mark) else {
        return text.to_owned();
    };
    let (sign, digits) = exponent
        .strip_prefix('-')
        .map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}{mark}{sign}{digits:0>2}")
}

// Writing to a `String` cannot fail: its results are dropped here and below.
fn jsonl_line(line: &mut String, step: i64, row: &[(String, f64)]) {
    let _ = write!(line, "{{\"step\": {step}");
    for (tag, value) in row {
        let _ = write!(
            line,
            ", {}: {}",
            json_string(tag),
            python_float(*value, "NaN", "Infinity")
        );
    }
    line.push_str("}\n");
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn csv_rows(lines: &mut String, with_header: bool, step: i64, row: &[(String, f64)]) {
    if with_header {
        lines.push_str("step");
        for (tag, _) in row {
            let _ = write!(lines, ",{tag}");
        }
        lines.push('\n');
    }
    let _ = write!(lines, "{step}");
    for (_, value) in row {
        let _ = write!(lines, ",{}", python_float(*value, "nan", "inf"));
    }
    lines.push('\n');
}

fn csv_long_rows(lines: &mut String, with_header: bool, step: i64, row: &[(String, f64)]) {
    if with_header {
        lines.push_str("step,name,value\n");
    }
    for (tag, value) in row {
        let _ = writeln!(lines, "{step},{tag},{}", python_float(*value, "nan", "inf"));
    }
}

fn text_line(line: &mut String, step: i64, row: &[(String, f64)]) {
    let _ = write!(line, "step={step}");
    for (tag, value) in row {
        let _ = write!(line, " {tag}={}", python_float(*value, "nan", "inf"));
    }
    line.push('\n');
}

fn megatron_line(line: &mut String, step: i64, planned: i64, row: &[(String, f64)]) {
    let _ = write!(line, " iteration {:8}/{planned:8} |", step + 1);
    for (tag, value) in row {
        let name = match tag.as_str() {
            "loss" if value.is_nan() => continue,
            "loss" => "lm loss",
            "learning_rate" => "learning rate",
            "grad_norm" => "grad norm",
            other => other,
        };
        let number = if value.is_finite() {
            two_digit_exponent(&format!("{value:.6E}"), 'E')
        } else {
            python_float(*value, "nan", "inf")
        };
        let _ = write!(line, " {name}: {number} |");
    }
    line.push('\n');
}

/// What an event file can hold: numbers of 32 bits.
#[must_use]
pub fn as_logged(format: LogFormat, value: f64) -> f64 {
    if format == LogFormat::TensorBoard {
        NumberFormat::Float32.round(value)
    } else {
        value
    }
}
