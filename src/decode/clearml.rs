//! `metrics.jsonl` of a `ClearML` task in offline mode to samples.
//!
//! In: lines, each a JSON list of event requests (`metric`, `variant`, `value`, `iter`, `timestamp`, `type`).
//! Out: a sample per scalar, its tag `metric/variant`. Invariants: plots, images and vectors are passed over; a
//! line that is no list of objects is skipped from its first damage on, counted and reported.
//!
//! Source: `clearml/backend_interface/metrics/interface.py` (`write_events`) and `events.py`.

use super::axis::integer;
use super::json::{Flattener, Scalar};
use super::line::{LineFramer, RawLine};
use super::trouble::Trouble;
use super::{Decode, Sink, Tally, wall_time};
use crate::model::{Form, Sample};

/// Decoder of the metrics of an offline task.
#[derive(Debug, Default)]
pub struct ClearmlDecoder {
    framer: LineFramer,
    lines: Lines,
}

#[derive(Debug, Default)]
struct Lines {
    flattener: Flattener,
    event: Event,
    tag: String,
    tally: Tally,
    trouble: Trouble,
}

/// One request; texts are kept from request to request to save allocations.
#[derive(Debug, Default)]
struct Event {
    metric: String,
    variant: String,
    is_scalar: bool,
    value: Option<f64>,
    step: Option<i64>,
    wall_time: Option<f64>,
}

impl ClearmlDecoder {
    /// A decoder at the first byte of a file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Decode for ClearmlDecoder {
    fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        let lines = &mut self.lines;
        self.framer.feed(bytes, |line| lines.take(&line, sink));
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        let lines = &mut self.lines;
        self.framer.finish(|line| lines.take(&line, sink));
        lines.trouble.finish(sink);
    }

    fn tally(&self) -> Tally {
        self.lines.tally
    }

    fn format(&self) -> &'static str {
        "clearml"
    }
}

impl Lines {
    fn take(&mut self, line: &RawLine<'_>, sink: &mut dyn Sink) {
        let text = line.bytes.trim_ascii();
        if text.is_empty() && line.overlong.is_none() {
            return;
        }
        if self.requests(text, line.offset, sink).is_some() {
            self.tally.records = self.tally.records.saturating_add(1);
            return;
        }
        self.tally.skipped = self.tally.skipped.saturating_add(1);
        let bytes = line.overlong.unwrap_or(line.bytes.len() as u64);
        let what = format!("line {} is no list of events", line.number);
        self.trouble.lost(line.offset, bytes, what, sink);
    }

    /// Reads the requests of a line up to its end, or gives nothing at the first damage.
    fn requests(&mut self, text: &[u8], offset: u64, sink: &mut dyn Sink) -> Option<()> {
        let mut rest = text.strip_prefix(b"[")?.trim_ascii_start();
        while !rest.starts_with(b"]") {
            let event = &mut self.event;
            event.clear();
            let used = self
                .flattener
                .flatten(rest, &mut |path: &str, scalar: Scalar<'_>| {
                    event.take(path, scalar);
                })
                .ok()?;
            self.emit(offset, sink);
            rest = rest.get(used..)?.trim_ascii_start();
            rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
        }
        Some(())
    }

    fn emit(&mut self, offset: u64, sink: &mut dyn Sink) {
        let Event {
            metric,
            variant,
            is_scalar: true,
            value: Some(value),
            step: Some(step),
            wall_time,
        } = &self.event
        else {
            return;
        };
        self.tag.clear();
        self.tag.push_str(metric);
        if !variant.is_empty() {
            self.tag.push('/');
            self.tag.push_str(variant);
        }
        if !self.tag.is_empty() {
            let (tag, form) = (self.tag.as_str(), Form::EXACT);
            sink.sample(&Sample {
                tag,
                step: *step,
                wall_time: *wall_time,
                value: *value,
                form,
                offset,
            });
        }
    }
}

impl Event {
    fn clear(&mut self) {
        self.metric.clear();
        self.variant.clear();
        (self.is_scalar, self.value, self.step, self.wall_time) = (true, None, None, None);
    }

    fn take(&mut self, path: &str, scalar: Scalar<'_>) {
        match (path, scalar) {
            ("metric", Scalar::Text(text)) => self.metric.push_str(&text),
            ("variant", Scalar::Text(text)) => self.variant.push_str(&text),
            ("type", Scalar::Text(text)) => self.is_scalar = text == "training_stats_scalar",
            ("value", Scalar::Number(number)) => self.value = Some(number.value),
            ("iter", Scalar::Number(number)) => self.step = integer(number.value),
            ("timestamp", Scalar::Number(number)) => self.wall_time = wall_time::from_number(number.value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ClearmlDecoder;
    use crate::decode::Decode;
    use crate::decode::record::{check_splits, lines_of, record};

    #[test]
    fn scalars_are_named_by_metric_and_variant() {
        let file = br#"[{"task": "t", "timestamp": 1664364007310, "type": "training_stats_scalar", "metric": "loss", "variant": "train", "iter": 3, "value": 0.5}, {"type": "plot", "metric": "p", "variant": "v", "iter": 3, "plot_str": "{}"}]
[{"type": "training_stats_scalar", "metric": "lr", "variant": "", "iter": 4, "value": NaN}]
[{"type": "training_stats_scalar", "metric": "a", "variant": "b", "iter": 5, "value": 1}, {"type"
[]
no list
"#;
        let make = || Box::new(ClearmlDecoder::new()) as Box<dyn Decode>;
        let calls = lines_of(&record(make().as_mut(), &[file]));
        assert_eq!(
            calls[..3],
            ["3 loss/train=0.5 @1664364007.31", "4 lr=NaN", "5 a/b=1"]
        );
        assert!(calls[3].ends_with("line 3 is no list of events"), "{calls:?}");
        assert!(calls[4].ends_with("line 5 is no list of events"), "{calls:?}");
        assert_eq!(calls.len(), 5);
        check_splits(&make, file);
    }
}
