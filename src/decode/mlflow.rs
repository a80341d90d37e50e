//! One metric of `MLflow`'s file store (`mlruns/<experiment>/<run>/metrics/<key>`) to samples.
//!
//! In: lines `timestamp_ms value step`; old files have no step, those of a logged model two more fields. Out: a
//! sample per line under the key of the metric, which only the path of the file tells. Invariants: a line that is
//! no point is skipped, counted and reported; a line without its end is the rest of a point that is being written
//! and is read only if it is whole.
//!
//! Source: `mlflow/store/tracking/file_store.py` (`_get_metric_from_line`) of mlflow 3.17.

use super::line::{LineFramer, RawLine};
use super::number::parse_all;
use super::trouble::Trouble;
use super::{Decode, Sink, Tally};
use crate::model::{Form, Mark, Sample};

/// Decoder of one metric file.
#[derive(Debug)]
pub struct MlflowDecoder {
    framer: LineFramer,
    points: Points,
}

#[derive(Debug)]
struct Points {
    tag: Box<str>,
    has_ordinals: bool,
    n_rows: i64,
    tally: Tally,
    trouble: Trouble,
}

/// A line of a metric file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    wall_time: f64,
    value: f64,
    pub(crate) step: Option<i64>,
}

impl Point {
    /// Reads a line, or nothing when it is no point.
    pub(crate) fn read(line: &[u8]) -> Option<Self> {
        let mut fields = line.trim_ascii().split(|byte| *byte == b' ');
        let (time, value) = (fields.next()?, fields.next()?);
        let step = fields.next();
        if !matches!(fields.count(), 0 | 2) || time.len() != 13 || !time.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let step = match step {
            None => None,
            Some(digits) => Some(std::str::from_utf8(digits).ok()?.parse::<i64>().ok()?),
        };
        let millis = std::str::from_utf8(time).ok()?.parse::<u64>().ok()?;
        Some(Self {
            wall_time: millis as f64 / 1000.0,
            value: parse_all(value)?.value,
            step,
        })
    }
}

impl MlflowDecoder {
    /// A decoder at the first byte of the file at `path`.
    #[must_use]
    pub fn new(path: &str) -> Self {
        let points = Points {
            tag: key_of(path).into(),
            has_ordinals: false,
            n_rows: 0,
            tally: Tally::default(),
            trouble: Trouble::default(),
        };
        Self {
            framer: LineFramer::new(),
            points,
        }
    }
}

/// The key of a metric: the path below the directory `metrics` of its run, of which the name is 32 hexadecimal
/// digits; keys may hold slashes, and `metrics` too. Without such a directory the last `metrics` counts, without
/// any the name of the file.
fn key_of(path: &str) -> String {
    let parts: Vec<&str> = path.split(['/', '\\']).filter(|part| !part.is_empty()).collect();
    let is_metrics = |at: usize| parts.get(at) == Some(&"metrics") && at + 1 < parts.len();
    let is_run = |part: &&str| part.len() == 32 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let below_run = (1..parts.len()).find(|at| is_metrics(*at) && parts.get(at - 1).is_some_and(is_run));
    if let Some(at) = below_run.or_else(|| (0..parts.len()).rfind(|at| is_metrics(*at))) {
        return parts.get(at + 1..).unwrap_or_default().join("/");
    }
    let name = parts.last().copied().unwrap_or_default();
    name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned()
}

impl Decode for MlflowDecoder {
    fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        let points = &mut self.points;
        self.framer.feed(bytes, |line| points.take(&line, sink));
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        let points = &mut self.points;
        self.framer.finish(|line| points.take(&line, sink));
        points.trouble.finish(sink);
    }

    fn tally(&self) -> Tally {
        self.points.tally
    }

    fn format(&self) -> &'static str {
        "mlflow"
    }
}

impl Points {
    fn take(&mut self, line: &RawLine<'_>, sink: &mut dyn Sink) {
        if line.overlong.is_none() && line.bytes.iter().all(|byte| matches!(byte, 0 | b' ')) {
            return;
        }
        let Some(point) = Point::read(line.bytes) else {
            self.tally.skipped = self.tally.skipped.saturating_add(1);
            let bytes = line.overlong.unwrap_or(line.bytes.len() as u64);
            let what = format!("line {} is no point of a metric", line.number);
            return self.trouble.lost(line.offset, bytes, what, sink);
        };
        if point.step.is_none() && !self.has_ordinals {
            self.has_ordinals = true;
            sink.mark(Mark::OrdinalSteps);
        }
        sink.sample(&Sample {
            tag: &self.tag,
            step: point.step.unwrap_or(self.n_rows),
            wall_time: Some(point.wall_time),
            value: point.value,
            form: Form::EXACT,
            offset: line.offset,
        });
        self.n_rows = self.n_rows.saturating_add(1);
        self.tally.records = self.tally.records.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::{MlflowDecoder, key_of};
    use crate::decode::record::{check_splits, lines_of, record};

    const PATH: &str = "mlruns/0/cb0096518b0e4c66a94428555f05420b/metrics/val/loss";

    #[test]
    fn the_key_is_the_path_below_the_run() {
        for (path, key) in [
            (PATH, "val/loss"),
            (
                "metrics/mlruns/1/CB0096518b0e4c66a94428555f05420b/metrics/metrics/mAP50(B)",
                "metrics/mAP50(B)",
            ),
            ("run/metrics/loss", "loss"),
            ("metrics", "metrics"),
            ("saved/loss.txt", "loss"),
        ] {
            assert_eq!(key_of(path), key, "{path}");
        }
    }

    #[test]
    fn lines_of_two_three_and_five_fields_are_points() {
        let file = b"1664364007310 3.5 0\n1664364008310 nan 1\n1664364009310 inf 2 model 0123\n\
            1664364009 4 3\nrubbish\n1664364010310 2.5\n1664364011310 1.5 7";
        let make = || Box::new(MlflowDecoder::new(PATH)) as Box<dyn crate::decode::Decode>;
        assert_eq!(
            lines_of(&record(make().as_mut(), &[file])),
            [
                "0 val/loss=3.5 @1664364007.31",
                "1 val/loss=NaN @1664364008.31",
                "2 val/loss=inf @1664364009.31",
                "problem at 71, 14 bytes: line 4 is no point of a metric",
                "problem at 86, 7 bytes: line 5 is no point of a metric",
                "OrdinalSteps",
                "3 val/loss=2.5 @1664364010.31",
                "7 val/loss=1.5 @1664364011.31",
            ]
        );
        check_splits(&make, file);
    }
}
