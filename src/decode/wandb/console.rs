//! The console output in a `.wandb` file.
//!
//! In: `OutputRawRecord` (pieces of the stream) and `OutputRecord` (lines) messages. Out: lines for rules that
//! look at words; numbers only when the file turns out to have no history. Invariants: what the rows say is not
//! said again by the console; at most [`CONSOLE_SAMPLES_MAX`] numbers wait for the end of the file.

use crate::decode::proto::{Malformed, Wire, for_each_field};
use crate::decode::text::TextDecoder;
use crate::decode::{Decode, Sink};
use crate::model::{Form, Mark, Problem, Sample, TextLine};

/// Numbers of the console that are held until it is known whether the file has history rows.
pub const CONSOLE_SAMPLES_MAX: usize = 65_536;

/// The two streams of a process; their pieces are interleaved and must not be glued together.
#[derive(Debug, Default)]
pub(super) struct Console {
    out: TextDecoder,
    err: TextDecoder,
    has_raw: bool,
    has_history: bool,
    held: Held,
}

#[derive(Debug, Default)]
struct Held {
    samples: Vec<HeldSample>,
    marks: Vec<Mark<'static>>,
    n_dropped: u64,
}

#[derive(Debug)]
struct HeldSample {
    tag: Box<str>,
    step: i64,
    value: f64,
    form: Form,
    offset: u64,
}

impl Console {
    /// The file has history rows: the numbers of the console are not needed.
    pub(super) fn has_history(&mut self) {
        if !self.has_history {
            self.has_history = true;
            self.held = Held::default();
        }
    }

    /// Takes one message; `step` is that of the last history row.
    pub(super) fn output(
        &mut self,
        message: &[u8],
        is_raw: bool,
        offset: u64,
        step: Option<i64>,
        sink: &mut dyn Sink,
    ) -> Result<(), Malformed> {
        let (mut is_stdout, mut text) = (false, &[][..]);
        for_each_field(message, |number, wire| {
            match (number, wire) {
                (1, Wire::Varint(stream)) => is_stdout = stream == 1,
                (3, Wire::Bytes(line)) => text = line,
                _ => {}
            }
            Ok(())
        })?;
        // A file with both kinds says everything twice.
        self.has_raw |= is_raw;
        if !is_raw && self.has_raw {
            return Ok(());
        }
        let decoder = if is_stdout { &mut self.out } else { &mut self.err };
        let mut lines = Lines {
            sink,
            held: &mut self.held,
            keeps: !self.has_history,
            offset,
            step,
        };
        decoder.feed(text, &mut lines);
        if !is_raw && !text.ends_with(b"\n") {
            decoder.feed(b"\n", &mut lines);
        }
        Ok(())
    }

    /// Ends the lines that have no end; hands the numbers on when there is nothing else.
    pub(super) fn finish(&mut self, step: Option<i64>, sink: &mut dyn Sink) {
        for decoder in [&mut self.out, &mut self.err] {
            let mut lines = Lines {
                sink: &mut *sink,
                held: &mut self.held,
                keeps: !self.has_history,
                offset: 0,
                step,
            };
            decoder.finish(&mut lines);
        }
        std::mem::take(&mut self.held).give(sink);
    }
}

impl Held {
    fn give(self, sink: &mut dyn Sink) {
        for mark in self.marks {
            sink.mark(mark);
        }
        for HeldSample {
            tag,
            step,
            value,
            form,
            offset,
        } in &self.samples
        {
            let (step, value, form, offset) = (*step, *value, *form, *offset);
            sink.sample(&Sample {
                tag,
                step,
                wall_time: None,
                value,
                form,
                offset,
            });
        }
        if self.n_dropped > 0 {
            let what = format!(
                "{} numbers of the console left out: only the first {CONSOLE_SAMPLES_MAX} are read",
                self.n_dropped
            );
            sink.problem(Problem::note(0, what));
        }
    }
}

/// Hears the text decoder: lines go on at once, numbers wait.
struct Lines<'a> {
    sink: &'a mut dyn Sink,
    held: &'a mut Held,
    keeps: bool,
    offset: u64,
    step: Option<i64>,
}

impl Sink for Lines<'_> {
    fn sample(&mut self, sample: &Sample<'_>) {
        if !self.keeps {
            return;
        }
        if self.held.samples.len() >= CONSOLE_SAMPLES_MAX {
            self.held.n_dropped = self.held.n_dropped.saturating_add(1);
            return;
        }
        let Sample {
            tag,
            step,
            value,
            form,
            ..
        } = *sample;
        self.held.samples.push(HeldSample {
            tag: tag.into(),
            step,
            value,
            form,
            offset: self.offset,
        });
    }

    fn line(&mut self, line: &TextLine<'_>) {
        // The place in the file is that of the record; the decoder knows only the stream.
        let step = self.step.or(line.step);
        self.sink.line(&TextLine {
            offset: self.offset,
            step,
            ..*line
        });
    }

    fn mark(&mut self, mark: Mark<'_>) {
        let kept = match mark {
            Mark::PlannedSteps(steps) => Mark::PlannedSteps(steps),
            Mark::OrdinalSteps => Mark::OrdinalSteps,
            Mark::EpochSteps => Mark::EpochSteps,
            _ => return,
        };
        if self.keeps && !self.held.marks.contains(&kept) {
            self.held.marks.push(kept);
        }
    }

    fn problem(&mut self, problem: Problem) {
        self.sink.problem(Problem {
            offset: Some(self.offset),
            ..problem
        });
    }
}
