//! The layout of the lines of one format: the text between their numbers, which is the same in line after line.
//!
//! In: a line that an entry of the table has read, and its reading; then further lines. Out: their numbers without a
//! search. Invariant: a line that is read by its layout gives what the entry would give: the text between the numbers
//! is equal byte for byte (but for the number of blanks before a number), and each number is taken by the same code;
//! whatever else stands there (`nan`, a clock, another epoch) sends the line back to the entry.

use super::emit::{Emitter, Naming, Place, is_axis, renamed};
use super::norm;
use super::scan::{Pair, Pairs};
use super::template::{Head, StepFrom, Template, match_head};
use super::token::{Token, integer, number_token};
use crate::decode::Sink;
use crate::decode::number::{Number, parse_prefix};

/// Lines in a row that do not fit what was learnt just before them, after which nothing is learnt for a while.
const MISSES_MAX: u32 = 8;

/// Lines for which nothing is learnt then.
const PAUSE_LINES: u32 = 4096;

/// Layouts that are held: one for each kind of line that takes turns with others.
const LAYOUTS_MAX: usize = 4;

/// A line that begins with a word of as many letters has no prefix of a logger that begins with a letter and digits.
const WORD_BYTES_MIN: usize = 3;

/// Bytes behind a number and its unit that are looked at to tell what it is.
const SEEN_BYTES: usize = 2;

/// What the number at a place is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// The step in the head, a whole number.
    Step,
    /// A whole number of the head that is nobody's.
    Count,
    /// The step among the fields.
    FieldStep,
    /// A number that is no metric.
    Nothing,
    /// A point; its tag ends here in `tags`.
    Point(usize),
}

#[derive(Debug, Clone, Copy)]
struct Item {
    /// Where the text before the number, without the blanks at its end, ends in `literals`.
    literal_end: usize,
    what: What,
    has_total: bool,
    /// The unit of the number is the beginning of the text behind it, and what is looked at to tell a number from a
    /// clock or a name is in that text too: what the text says was said when the layout was learnt.
    is_plain: bool,
}

/// The layouts of the last lines.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    all: Vec<Layout>,
    values: Vec<Number>,
    n_learnt: usize,
    n_misses: u32,
    pause: u32,
}

/// The layout of one line.
#[derive(Debug, Default)]
struct Layout {
    entry: usize,
    planned: Option<i64>,
    /// The line had no prefix and begins with a word.
    is_whole_line: bool,
    literals: String,
    tags: String,
    items: Vec<Item>,
}

/// The layout of a line, and its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fit {
    layout: usize,
    step: i64,
}

/// What a line gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fitted {
    /// The entry whose layout it has.
    pub entry: usize,
    /// Points that were handed on.
    pub n_points: u64,
}

impl Layouts {
    /// Finds the layout of a message and takes its numbers; [`Self::emit`] hands them on. With `is_whole_line` only
    /// layouts of lines that had no prefix and begin with a word: such a line has none either.
    pub(super) fn fit(&mut self, text: &str, is_whole_line: bool) -> Option<Fit> {
        let values = &mut self.values;
        let mut layouts = self.all.iter().enumerate();
        let found = layouts.find_map(|(layout, it)| {
            let may_fit = it.is_whole_line || !is_whole_line;
            let step = may_fit.then(|| it.fit(text.as_bytes(), values))??;
            Some(Fit { layout, step })
        });
        if found.is_some() {
            self.n_misses = 0;
        }
        found
    }

    /// Hands on the numbers that were taken last.
    pub(super) fn emit(&self, fit: Fit, place: Place, emitter: &mut Emitter, sink: &mut dyn Sink) -> Fitted {
        let Some(layout) = self.all.get(fit.layout) else {
            return Fitted::default();
        };
        emitter.planned(sink, layout.planned);
        layout.emit(&self.values, fit.step, place, emitter, sink)
    }

    /// Layouts that never learn: every line is read by its entry.
    #[cfg(test)]
    pub(super) fn never() -> Self {
        Self {
            pause: u32::MAX,
            ..Self::default()
        }
    }

    /// Learns the layout of a line that `entry`, which is the one at `at` in the table, has read with this head.
    pub(super) fn learn(
        &mut self,
        at: usize,
        entry: &Template,
        head: &Head,
        text: &str,
        is_whole_line: bool,
    ) {
        if self.pause > 0 {
            self.pause -= 1;
            return;
        }
        self.n_misses += 1;
        if self.n_misses > MISSES_MAX {
            (self.n_misses, self.pause) = (0, PAUSE_LINES);
            return;
        }
        let Some(mut layout) = Layout::of(at, entry, head, text) else {
            return;
        };
        let word = layout
            .literals
            .bytes()
            .take_while(u8::is_ascii_alphabetic)
            .count();
        layout.is_whole_line = is_whole_line && word >= WORD_BYTES_MIN;
        let known = self.all.iter().position(|it| it.entry == at);
        match known.or((self.all.len() >= LAYOUTS_MAX).then_some(self.n_learnt % LAYOUTS_MAX)) {
            Some(place) => {
                if let Some(old) = self.all.get_mut(place) {
                    *old = layout;
                }
            }
            None => self.all.push(layout),
        }
        self.n_learnt = self.n_learnt.wrapping_add(1);
    }
}

impl Layout {
    fn of(at: usize, entry: &Template, head: &Head, text: &str) -> Option<Self> {
        let mut layout = Self {
            entry: at,
            planned: head.planned,
            ..Self::default()
        };
        layout.head(entry, head, text)?;
        layout.fields(entry, head, text)?;
        Some(layout)
    }

    /// Takes the numbers of a line; its step when all of it fits.
    fn fit(&self, line: &[u8], values: &mut Vec<Number>) -> Option<i64> {
        values.clear();
        let literals = self.literals.as_bytes();
        let (mut at, mut literal_start, mut step) = (0, 0, None);
        for item in &self.items {
            let literal = literals.get(literal_start..item.literal_end)?;
            literal_start = item.literal_end;
            let rest = line.get(at..)?.strip_prefix(literal)?;
            let blanks = rest.iter().take_while(|b| matches!(**b, b' ' | b'\t')).count();
            let rest = rest.get(blanks..)?;
            at += literal.len() + blanks;
            if matches!(item.what, What::Step | What::Count) {
                let (value, used) = integer(rest)?;
                step = step.or((item.what == What::Step).then_some(value));
                at += used;
                continue;
            }
            if !starts_plainly(rest) {
                return None;
            }
            let (number, used) = if item.is_plain {
                parse_prefix(rest).map(|it| (it, it.used))?
            } else {
                token(rest, item.has_total)?
            };
            at += used;
            match item.what {
                What::Point(_) => values.push(number),
                What::FieldStep => step = Some(number.value as i64),
                _ => {}
            }
        }
        let tail = literals.get(literal_start..)?;
        if line.get(at..)? == tail { step } else { None }
    }

    fn emit(
        &self,
        values: &[Number],
        step: i64,
        place: Place,
        emitter: &mut Emitter,
        sink: &mut dyn Sink,
    ) -> Fitted {
        let ends = self.items.iter().filter_map(|it| match it.what {
            What::Point(end) => Some(end),
            _ => None,
        });
        let mut start = 0;
        for (end, number) in ends.zip(values) {
            emitter.point(
                sink,
                self.tags.get(start..end).unwrap_or_default(),
                step,
                *number,
                place,
            );
            start = end;
        }
        Fitted {
            entry: self.entry,
            n_points: values.len() as u64,
        }
    }

    fn push(&mut self, literal: &str, what: What, has_total: bool) {
        self.literals.push_str(literal.trim_end_matches([' ', '\t']));
        self.items.push(Item {
            literal_end: self.literals.len(),
            what,
            has_total,
            is_plain: false,
        });
    }

    /// The numbers of the head, by the holes of its pattern. A planned length is text: it stays the same.
    fn head(&mut self, entry: &Template, head: &Head, text: &str) -> Option<()> {
        let pattern = entry.heads.iter().find(|it| match_head(it, text).is_some())?;
        let is_simple = head.value.is_none() && !pattern.contains("<*>") && !entry.is_block;
        let mut holes = pattern.split('<').skip(1).filter_map(|it| it.split('>').next());
        let has_step_hole = pattern.contains("<step>");
        let steps_fit = match entry.step {
            StepFrom::Head => has_step_hole,
            StepFrom::Field(_) => !has_step_hole,
            _ => false,
        };
        if !(is_simple && steps_fit) {
            return None;
        }
        let head_text = text.get(..head.fields_at)?;
        let mut literal_from = 0;
        let mut at = 0;
        while let Some(found) = head_text.get(at..)?.find(|c: char| c.is_ascii_digit()) {
            let start = at + found;
            let (_, used) = integer(head_text.as_bytes().get(start..)?)?;
            at = start + used;
            let what = match holes.by_ref().find(|it| !matches!(*it, "" | "$"))? {
                "step" => What::Step,
                "planned" => continue,
                "epoch" | "epochs" | "batch" | "batches" => What::Count,
                _ => return None,
            };
            self.push(head_text.get(literal_from..start)?, what, false);
            literal_from = at;
        }
        // A hole without a digit, or the rest of the head, is the beginning of what stands before the first field.
        let has_hole_left = holes.any(|it| !matches!(it, "" | "$"));
        self.literals.push_str(head_text.get(literal_from..)?);
        (!has_hole_left).then_some(())
    }

    fn fields(&mut self, entry: &Template, head: &Head, text: &str) -> Option<()> {
        let fields = text.get(head.fields_at..)?;
        let naming = Naming {
            prefix: entry.prefix,
            rename: entry.rename,
            skip: entry.skip,
            smoothed: None,
        };
        let mut literal_from = 0;
        let mut plain_end = None;
        for pair in Pairs::of(fields) {
            let is_about_a_layer =
                pair.label.is_some() || matches!(pair.key, "layer" | "block" | "Layer" | "Block");
            let is_glued = pair.total.is_some() && pair.key.ends_with("iteration");
            let starts_plainly = fields.as_bytes().get(pair.at..).is_some_and(starts_plainly);
            if is_about_a_layer || is_glued || !starts_plainly {
                return None;
            }
            if let Some(end) = plain_end.take()
                && fields.get(end..pair.at)?.trim_end_matches([' ', '\t']).len()
                    >= literal_from - end + SEEN_BYTES
            {
                self.last_is_plain();
                literal_from = end;
            }
            let what = match entry.step {
                StepFrom::Field(key) if key == pair.key && !is_axis(key) => return None,
                StepFrom::Field(key) if key == pair.key => What::FieldStep,
                _ if pair.total.is_some() || is_axis(pair.key) || naming.skip.contains(&pair.key) => {
                    What::Nothing
                }
                _ => {
                    self.push_tag(renamed(pair.key, &naming), naming.prefix);
                    What::Point(self.tags.len())
                }
            };
            self.push(fields.get(literal_from..pair.at)?, what, pair.total.is_some());
            literal_from = pair.end;
            plain_end = end_without_unit(fields.as_bytes(), &pair);
        }
        if let Some(end) = plain_end {
            self.last_is_plain();
            literal_from = end;
        }
        self.literals.push_str(fields.get(literal_from..)?);
        let has_point = self.items.iter().any(|it| matches!(it.what, What::Point(_)));
        let n_steps = self
            .items
            .iter()
            .filter(|it| matches!(it.what, What::Step | What::FieldStep))
            .count();
        (has_point && n_steps == 1).then_some(())
    }

    fn last_is_plain(&mut self) {
        if let Some(item) = self.items.last_mut() {
            item.is_plain = true;
        }
    }

    /// The tag of a field, as the emitter builds it.
    fn push_tag(&mut self, key: &str, prefix: &str) {
        if let Some((kind, layer)) = norm::of_key(key) {
            self.tags.push_str(kind);
            self.tags.push('/');
            self.tags.push_str(layer);
        } else {
            if !key.starts_with(prefix) {
                self.tags.push_str(prefix);
            }
            self.tags.push_str(key);
        }
    }
}

/// Digits, with a sign or a point before them: not a word such as `nan`, which needs a look at what is around it.
fn starts_plainly(rest: &[u8]) -> bool {
    match rest {
        [b'0'..=b'9' | b'.', ..] => true,
        [b'-' | b'+', second, ..] => second.is_ascii_digit() || *second == b'.',
        _ => false,
    }
}

/// Where a number ends without its unit, if that unit is only passed over. `K` and its like are factors, `E` may be what
/// is left of an exponent, and a slash leads to a total.
fn end_without_unit(fields: &[u8], pair: &Pair<'_>) -> Option<usize> {
    let number = parse_prefix(fields.get(pair.at..)?)?;
    let end = pair.at + number.used;
    let is_factor = matches!(
        fields.get(end),
        Some(b'K' | b'k' | b'M' | b'B' | b'G' | b'T' | b'P' | b'E' | b'e' | b'/')
    );
    (!is_factor && pair.total.is_none() && end <= pair.end).then_some(end)
}

fn token(rest: &[u8], has_total: bool) -> Option<(Number, usize)> {
    match number_token(rest, 0) {
        Token::Number { number, total, end } if total.is_some() == has_total => Some((number, end)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
