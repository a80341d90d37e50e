//! TensorBoard event files to samples.
//!
//! In: the bytes of one event file, in pieces of any size. Out: scalars (TF1 and TF2, every numeric type), norms
//! of histograms, session starts, problems. Invariant: only records whose two checksums hold give values; a
//! record that cannot be read costs that record, never the file.
//!
//! Images, audio, graphs, text, curves and hyper-parameters are passed over; the large ones without being held.
//! Source: `tensorboard/compat/proto/{event,summary}.proto`.

use std::borrow::Cow;
use std::collections::HashMap;

use super::bulk::is_bulk_event;
use super::faults::{Fault, Faults};
use super::framer::{Framer, Visit};
use super::gap::{Cause, Gap};
use super::histogram::{Norm, read_bucket_tensor, read_histogram};
use super::message::{Data, Event, Plugin, read_event, read_plugin, read_value};
use super::proto::{Malformed, Wire, for_each_field};
use super::tensor::Tensor;
use super::tfrecord::{FRAME_BYTES, RECORD_BYTES_MAX};
use super::{Decode, Sink, Tally};
use crate::model::{Form, Mark, Sample};

/// Tags whose plugin is remembered: TF1 writers name it only in the first event of a tag.
const N_REMEMBERED_TAGS_MAX: usize = 1 << 16;
const SESSION_START: u64 = 1;

/// An unfinished record up to this size is read again when the file has changed: some of its pages may not have been
/// written yet. A longer one, which holds no zeros that wait to be written, is kept.
const REREAD_BYTES_MAX: u64 = 64 << 10;

/// Decodes one event file.
#[derive(Debug)]
pub struct EventDecoder {
    framer: Framer,
    reader: EventReader,
}

impl EventDecoder {
    /// A decoder at the first byte of a file.
    #[must_use]
    pub fn new() -> Self {
        Self {
            framer: Framer::new(),
            reader: EventReader::default(),
        }
    }

    /// Offset of the first byte that is not done with: the start of an unfinished record, of zeros that are not
    /// yet written, or of damage behind which no valid record has come yet. `None` between two records.
    #[must_use]
    pub fn resume_offset(&self) -> Option<u64> {
        self.framer.resume_offset()
    }

    /// Whether zeros stand where a record (or its rest) should be and nothing but zeros has followed: a live
    /// reader must [`rewind`](Self::rewind) and read that part of the file again.
    #[must_use]
    pub fn is_waiting_at_zeros(&self) -> bool {
        self.framer.is_waiting_at_zeros()
    }

    /// Forgets what is held back and returns the offset from which the file must be fed again, which is
    /// [`resume_offset`](Self::resume_offset) or, between two records, where the next is expected.
    pub fn rewind(&mut self) -> u64 {
        self.framer.rewind()
    }

    /// Bytes of memory that hold unfinished records: at most about 32 MiB, whatever the file declares.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.framer.held_bytes()
    }
}

impl Default for EventDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decode for EventDecoder {
    fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        self.framer.feed(
            bytes,
            &mut Visitor {
                reader: &mut self.reader,
                sink,
            },
        );
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        self.framer.finish(&mut Visitor {
            reader: &mut self.reader,
            sink,
        });
        self.reader.faults.finish(sink);
    }

    fn give_back(&mut self, fed: u64) -> Option<u64> {
        let is_short = |start| fed.saturating_sub(start) <= REREAD_BYTES_MAX;
        let may_be_overwritten = self.is_waiting_at_zeros() || self.resume_offset().is_some_and(is_short);
        may_be_overwritten.then(|| self.rewind())
    }

    fn tally(&self) -> Tally {
        self.reader.tally
    }

    fn format(&self) -> &'static str {
        "tfevents"
    }
}

/// What is remembered from event to event.
#[derive(Debug, Default)]
struct EventReader {
    tally: Tally,
    faults: Faults,
    plugins: HashMap<Box<[u8]>, Plugin>,
}

struct Visitor<'a> {
    reader: &'a mut EventReader,
    sink: &'a mut dyn Sink,
}

impl Visit for Visitor<'_> {
    fn record(&mut self, offset: u64, payload: &[u8]) {
        if let Ok(()) = self.event(offset, payload) {
            self.reader.tally.records += 1;
        } else {
            self.reader.tally.skipped += 1;
            let record_bytes = (payload.len() + FRAME_BYTES) as u64;
            self.report(Fault::Undecodable, offset, record_bytes, || {
                "record that does not decode skipped".to_owned()
            });
        }
    }

    fn is_bulk(&mut self, prefix: &[u8], length: u64) -> bool {
        is_bulk_event(prefix, length)
    }

    fn passed_over(&mut self, offset: u64, bytes: u64, is_bulk: bool) {
        if is_bulk {
            self.reader.tally.records += 1;
            return;
        }
        self.reader.tally.skipped += 1;
        self.report(Fault::TooLargeToParse, offset, bytes, || {
            format!("record of {bytes} bytes skipped: too large to parse")
        });
    }

    fn gap(&mut self, gap: &Gap) {
        if !gap.is_blank {
            self.reader.tally.skipped += 1;
        }
        self.report(fault_of(gap), gap.offset, gap.bytes, || describe(gap));
    }
}

fn fault_of(gap: &Gap) -> Fault {
    match gap.cause {
        Cause::Zeros if gap.is_blank => Fault::UnwrittenHole,
        Cause::PayloadChecksum if gap.is_one_record => Fault::PayloadChecksum,
        Cause::TooLong(_) => Fault::LengthAboveLimit,
        _ => Fault::LostBytes,
    }
}

fn describe(gap: &Gap) -> String {
    let (bytes, cause) = (gap.bytes, gap.cause);
    let reason = match cause {
        Cause::Zeros if gap.is_blank => {
            return format!("{bytes} zero bytes at a record boundary: not yet written");
        }
        Cause::Zeros => "zeros at a record boundary, then damage".to_owned(),
        Cause::PayloadChecksum if gap.is_one_record => {
            return "record with a bad payload checksum skipped".to_owned();
        }
        Cause::TooLong(length) => {
            format!("declared record length {length} above the limit {RECORD_BYTES_MAX}")
        }
        Cause::PayloadChecksum => "bad payload checksum".to_owned(),
        Cause::LengthChecksum => "bad length checksum".to_owned(),
        Cause::Unfinished => "unfinished record".to_owned(),
    };
    let until = if gap.is_last {
        "no valid record follows"
    } else {
        "skipped to the next valid record"
    };
    format!("{reason}: {bytes} bytes, {until}")
}

/// When and where a value was logged.
#[derive(Clone, Copy)]
struct Moment {
    step: i64,
    wall_time: Option<f64>,
    offset: u64,
}

impl Visitor<'_> {
    #[inline]
    fn event(&mut self, offset: u64, payload: &[u8]) -> Result<(), Malformed> {
        let event = read_event(payload)?;
        let Some(summary) = event.summary else {
            return self.session(&event);
        };
        let moment = Moment {
            step: event.step,
            wall_time: self.usable_wall_time(&event, offset),
            offset,
        };
        if !event.has_more_summaries {
            return self.summary(summary, moment);
        }
        for_each_field(payload, |number, wire| {
            if let (5, Wire::Bytes(summary)) = (number, wire) {
                self.summary(summary, moment)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn session(&mut self, event: &Event<'_>) -> Result<(), Malformed> {
        for_each_field(event.session.unwrap_or_default(), |number, wire| {
            if let (1, Wire::Varint(SESSION_START)) = (number, wire) {
                self.sink.mark(Mark::SessionStart { step: event.step });
            }
            Ok(())
        })?;
        Ok(())
    }

    fn usable_wall_time(&mut self, event: &Event<'_>, offset: u64) -> Option<f64> {
        let wall_time = event.wall_time;
        if !wall_time.is_finite() {
            self.report(Fault::WallTime, offset, 0, || {
                format!("event with an unusable wall time {wall_time}")
            });
        }
        // An absent field reads as 0, and nobody trained in 1970.
        (wall_time.is_finite() && wall_time > 0.0).then_some(wall_time)
    }

    #[inline]
    fn summary(&mut self, summary: &[u8], moment: Moment) -> Result<(), Malformed> {
        for_each_field(summary, |number, wire| {
            if let (1, Wire::Bytes(value)) = (number, wire) {
                self.value(value, moment)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    #[inline]
    fn value(&mut self, message: &[u8], moment: Moment) -> Result<(), Malformed> {
        let value = read_value(message)?;
        let tag = if value.tag.is_empty() {
            value.old_tag
        } else {
            value.tag
        };
        let norm = match value.data {
            Data::Simple(number) => Some((f64::from(number), Form::EXACT)),
            Data::Histogram(histogram) => read_histogram(histogram)?,
            Data::Tensor(tensor) => self.tensor(tensor, tag, value.metadata)?,
            Data::None => None,
        };
        if let Some((number, form)) = norm {
            self.emit(tag, number, form, moment);
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: &[u8], tag: &[u8], metadata: Option<&[u8]>) -> Result<Norm, Malformed> {
        let plugin = match metadata.map(read_plugin).transpose()?.flatten() {
            Some(plugin) => {
                self.reader.remember(tag, plugin);
                plugin
            }
            None => self.reader.plugins.get(tag).copied().unwrap_or(Plugin::Scalars),
        };
        match plugin {
            Plugin::Scalars => Ok(Tensor::read(tensor)?
                .single()?
                .map(|number| (number, Form::EXACT))),
            Plugin::Histograms => Ok(read_bucket_tensor(&Tensor::read(tensor)?)?.flatten()),
            Plugin::Foreign => Ok(None),
        }
    }

    #[inline]
    fn emit(&mut self, tag: &[u8], value: f64, form: Form, moment: Moment) {
        let Moment {
            step,
            wall_time,
            offset,
        } = moment;
        let tag = match std::str::from_utf8(tag) {
            Ok("") => {
                self.report(Fault::NoTag, offset, 0, || {
                    "value without a tag skipped".to_owned()
                });
                return;
            }
            Ok(tag) => Cow::Borrowed(tag),
            Err(_) => self.lossy_tag(tag, offset),
        };
        self.sink.sample(&Sample {
            tag: &tag,
            step,
            wall_time,
            value,
            form,
            offset,
        });
    }

    #[cold]
    fn lossy_tag<'t>(&mut self, tag: &'t [u8], offset: u64) -> Cow<'t, str> {
        let tag = String::from_utf8_lossy(tag);
        self.report(Fault::TagNotUtf8, offset, 0, || {
            let shown: String = tag.chars().take(80).collect();
            format!("tag that is not UTF-8, read as `{shown}`")
        });
        tag
    }

    #[cold]
    fn report(&mut self, fault: Fault, offset: u64, bytes: u64, what: impl FnOnce() -> String) {
        self.reader.faults.report(fault, offset, bytes, what, self.sink);
    }
}

impl EventReader {
    fn remember(&mut self, tag: &[u8], plugin: Plugin) {
        // Scalars are what an unknown tag is taken for.
        if plugin != Plugin::Scalars
            && self.plugins.len() < N_REMEMBERED_TAGS_MAX
            && !self.plugins.contains_key(tag)
        {
            self.plugins.insert(tag.into(), plugin);
        }
    }
}

#[cfg(test)]
mod tests;
