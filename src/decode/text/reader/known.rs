//! Records of the formats in the table.
//!
//! In: a message. Out: the points of its record, and whether there was one. Invariants: the format that was read
//! last is asked first; a record that was glued to another is read on its own.

use super::Reader;
use crate::decode::Sink;
use crate::decode::text::emit::{Naming, Place, Taken, ends_with_word};
use crate::decode::text::keyvalue;
use crate::decode::text::prefix::Message;
use crate::decode::text::scan::Pairs;
use crate::decode::text::table::{BY_FIRST_BYTE, TABLE};
use crate::decode::text::template::{Head, StepFrom, Template};
use crate::model::Mark;

impl Reader {
    /// The entries of the table, the sticky one first.
    pub(super) fn known(&mut self, message: &Message<'_>, place: Place, sink: &mut dyn Sink) -> bool {
        if message.is_indented && self.indented(message, place, sink) {
            return true;
        }
        let Some((at, entry, head)) = self.find(message.text) else {
            return false;
        };
        self.record(at, entry, &head, message.text, place, sink)
    }

    /// The entry for a message: those of the format that was read last are asked first. Entries of one format
    /// may overlap, those of different formats do not.
    fn find(&self, text: &str) -> Option<(usize, &'static Template, Head)> {
        let first = text.bytes().next()?;
        let candidates = BY_FIRST_BYTE.get(usize::from(first)).copied().unwrap_or_default();
        let name = TABLE.get(self.sticky).map(|entry| entry.name);
        for is_sticky in [true, false] {
            let mut rest = candidates;
            while rest != 0 {
                let at = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                let Some(entry) = TABLE.get(at).filter(|e| (Some(e.name) == name) == is_sticky) else {
                    continue;
                };
                if let Some(head) = entry.matches(text) {
                    return Some((at, entry, head));
                }
            }
        }
        None
    }

    /// Lines that belong to a record above them.
    fn indented(&mut self, message: &Message<'_>, place: Place, sink: &mut dyn Sink) -> bool {
        if self.layer(message, self.emitter.last_step, place, sink) {
            return true;
        }
        let taken = self
            .block
            .line(message.text, true, place.offset, &mut self.emitter, sink);
        taken.is_some_and(|n_points| {
            self.count_more(n_points);
            true
        })
    }

    /// One record of a known kind; a second one that was glued to it is read too.
    fn record(
        &mut self,
        at: usize,
        entry: &'static Template,
        head: &Head,
        text: &str,
        place: Place,
        sink: &mut dyn Sink,
    ) -> bool {
        let fields = text.get(head.fields_at..).unwrap_or_default();
        if entry.is_guarded && !entry.is_block && !Pairs::of(fields).any(|p| keyvalue::has_metric_word(p.key))
        {
            return false;
        }
        let own = match entry.step {
            StepFrom::Field(key) => Pairs::of(fields)
                .find(|p| p.key == key)
                .map(|p| p.number.value as i64),
            _ => entry.step_of(head, self.emitter.last_step),
        };
        let Some(step) = own else {
            self.skipped = self.skipped.saturating_add(1);
            return true;
        };
        self.sticky = at;
        self.emitter.planned(sink, head.planned);
        if matches!(entry.step, StepFrom::Epoch { .. }) && entry.prefix.is_empty() {
            self.emitter.epoch_steps(sink);
        }
        if entry.is_block {
            self.emitter.last_step = Some(step);
            self.last_name = Some(entry.name);
            self.block.open(step, place.wall_time, entry.is_guarded);
            return true;
        }
        self.take(at, entry, head, fields, step, place, sink);
        true
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one record; a struct for one call would hide them"
    )]
    fn take(
        &mut self,
        at: usize,
        entry: &'static Template,
        head: &Head,
        fields: &str,
        step: i64,
        place: Place,
        sink: &mut dyn Sink,
    ) {
        let mut n_points = 0;
        if let Some((tag, number)) = head.value {
            self.emitter.point(sink, tag, step, number, place);
            n_points += 1;
        }
        let naming = Naming {
            prefix: entry.prefix,
            rename: entry.rename,
            skip: entry.skip,
            smoothed: entry.smoothed,
        };
        let taken = self
            .emitter
            .fields(sink, fields, step, &naming, entry.must, place);
        n_points += taken.n_points;
        if n_points == 0 {
            self.skipped = self.skipped.saturating_add(1);
        }
        self.count(entry.name, n_points);
        if let Some(must) = entry.must {
            self.check_must(at, must.word, &taken, fields, step, sink);
        }
        if let Some(glued) = taken.glued_at.and_then(|from| fields.get(from..)) {
            let rest = Message {
                text: glued.trim_start_matches([' ', '|']),
                wall_time: place.wall_time,
                rank: None,
                is_indented: false,
            };
            if let Some(head) = entry.matches(rest.text) {
                self.record(at, entry, &head, rest.text, place, sink);
            }
        }
    }

    /// A field that lines of this kind carry: remembered when it is there, reported when it is missing.
    fn check_must(
        &mut self,
        at: usize,
        word: &str,
        taken: &Taken,
        fields: &str,
        step: i64,
        sink: &mut dyn Sink,
    ) {
        let known = self.must_tags.iter().find(|(entry, _)| *entry == at);
        match known {
            None if taken.has_must => {
                let tag = Pairs::of(fields).find(|p| ends_with_word(p.key, word));
                if let Some(pair) = tag {
                    self.must_tags.push((at, pair.key.to_owned()));
                }
            }
            Some((_, tag)) if !taken.has_must && taken.has_witness => {
                sink.mark(Mark::FieldMissing { tag, step });
            }
            _ => {}
        }
    }
}
