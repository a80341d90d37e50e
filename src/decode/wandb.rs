//! `run-*.wandb`, the transaction log of Weights & Biases, to samples and lines.
//!
//! In: the bytes of one file, in pieces of any size. Out: a sample per number of a history row, the console's
//! lines, how the run ended. Invariants: a record that cannot be read costs that record; the console gives
//! numbers only to a file without history rows, which would otherwise be read twice; memory is bounded by the
//! longest record, the key table and [`CONSOLE_SAMPLES_MAX`].
//!
//! The rows of newer writers come in the random order of a hash table, so the names of a row are handed on
//! sorted: an order of appearance must not be taken for the order of depth. Sources: `wandb_internal.proto` and
//! `sdk/internal/datastore.py` of wandb 0.16.6 and 0.31.0, and files of these.

mod blocks;
mod console;
mod history;
mod object;

use super::proto::{Malformed, Wire, for_each_field};
use super::trouble::Trouble;
use super::{Decode, Sink, Tally};
use crate::model::{Mark, Problem};
use blocks::{Blocks, Visit};
use console::Console;
use history::History;

pub use console::CONSOLE_SAMPLES_MAX;

/// Decodes one `.wandb` file.
#[derive(Debug, Default)]
pub struct WandbDecoder {
    blocks: Blocks,
    run: Run,
}

/// What is remembered from record to record.
#[derive(Debug, Default)]
struct Run {
    history: History,
    console: Console,
    tally: Tally,
    trouble: Trouble,
}

impl WandbDecoder {
    /// A decoder at the first byte of a file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Decode for WandbDecoder {
    fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        let run = &mut self.run;
        self.blocks.feed(bytes, &mut Visitor { run, sink });
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        let run = &mut self.run;
        self.blocks.finish(&mut Visitor { run, sink });
        run.console.finish(run.history.last_step(), sink);
        run.trouble.finish(sink);
        let n_refused = run.history.n_refused();
        if n_refused > 0 {
            sink.problem(Problem::note(
                0,
                format!("{n_refused} values under too many or too long names left out"),
            ));
        }
    }

    fn give_back(&mut self, fed: u64) -> Option<u64> {
        self.blocks.give_back(fed)
    }

    fn tally(&self) -> Tally {
        self.run.tally
    }

    fn format(&self) -> &'static str {
        "wandb"
    }
}

struct Visitor<'a> {
    run: &'a mut Run,
    sink: &'a mut dyn Sink,
}

impl Visit for Visitor<'_> {
    fn record(&mut self, offset: u64, payload: &[u8]) {
        if let Ok(()) = self.run.record(offset, payload, self.sink) {
            self.run.tally.records = self.run.tally.records.saturating_add(1);
        } else {
            self.lost(offset, payload.len() as u64, "record that does not decode");
        }
    }

    fn lost(&mut self, offset: u64, bytes: u64, what: &'static str) {
        let run = &mut *self.run;
        run.tally.skipped = run.tally.skipped.saturating_add(1);
        run.trouble
            .lost(offset, bytes, format!("{what}: {bytes} bytes skipped"), self.sink);
    }
}

impl Run {
    /// Reads a `Record`. Of the many kinds only rows, console output and the end of the run matter here:
    /// summaries repeat the rows, statistics are the machine's.
    fn record(&mut self, offset: u64, payload: &[u8], sink: &mut dyn Sink) -> Result<(), Malformed> {
        for_each_field(payload, |number, wire| {
            match (number, wire) {
                (2, Wire::Bytes(message)) => {
                    self.console.has_history();
                    self.history.row(message, offset, &mut self.trouble, sink)?;
                }
                (4 | 13, Wire::Bytes(message)) => {
                    let step = self.history.last_step();
                    self.console.output(message, number == 13, offset, step, sink)?;
                }
                (18, Wire::Bytes(message)) => end_of_run(message, offset, sink)?,
                _ => {}
            }
            Ok(())
        })
    }
}

/// Reads a `RunExitRecord`. Its absence says nothing: the run is alive, or was killed.
fn end_of_run(message: &[u8], offset: u64, sink: &mut dyn Sink) -> Result<(), Malformed> {
    let mut exit_code = 0;
    for_each_field(message, |number, wire| {
        if let (1, Wire::Varint(code)) = (number, wire) {
            exit_code = code as i32;
        }
        Ok(())
    })?;
    if exit_code == 0 {
        sink.mark(Mark::Finished);
    } else {
        sink.problem(Problem::note(
            offset,
            format!("the run ended with exit code {exit_code}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
