//! What an entry of the table of line formats says, and how its head is matched.
//!
//! In: a head such as `iteration <step>/<planned> |` and a line. Out: the numbers in the holes and where the
//! fields begin. Invariant: a head matches at the start of the message only; a blank in it stands for any
//! run of blanks, letters match in either case.

use super::token::integer;
use crate::decode::number::{self, Number};
use crate::model::Smoothing;

/// A line format. A new one is a new entry in the table, nothing else.
#[derive(Debug)]
pub(super) struct Template {
    /// Name of the format, as reports show it.
    pub name: &'static str,
    /// Starts of the line. Holes: `<step>`, `<planned>`, `<epoch>`, `<epochs>`, `<batch>`, `<batches>` hold
    /// integers; `<=tag>` holds a number with this tag; `<*>` is any text; fields are read from `<>` on, and
    /// without it from behind the head; `<$>` is the end of the line.
    pub heads: &'static [&'static str],
    /// Where the step comes from.
    pub step: StepFrom,
    /// Put before every tag, e.g. `val/`.
    pub prefix: &'static str,
    /// Keys that get another tag.
    pub rename: &'static [(&'static str, &'static str)],
    /// Keys that are no metric.
    pub skip: &'static [&'static str],
    /// A tag that every line of the kind carries; its absence is a fact of its own.
    pub must: Option<Must>,
    /// What its losses are, where the program smooths them before it prints.
    pub smoothed: Option<Smoothing>,
    /// Whether one of the keys must be a known metric word, for heads that say little.
    pub is_guarded: bool,
    /// Whether the fields stand on the indented lines below.
    pub is_block: bool,
    /// Lines as they are printed, with their reading: tag, step, value.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the samples are the tests of the entry and its manual")
    )]
    pub samples: &'static [Reading],
}

/// A tag that a line cannot lack without a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Must {
    /// Last word of the tag.
    pub word: &'static str,
    /// A key that stands behind it in the line: without it the line was cut and proves nothing.
    pub witness: &'static str,
}

/// A sample line and the points that must come out of it.
pub(super) type Reading = (&'static str, &'static [(&'static str, i64, f64)]);

/// Where the step of a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepFrom {
    /// The hole `<step>`.
    Head,
    /// The field with this key.
    Field(&'static str),
    /// `(<epoch> - first) * <batches> + <batch>`.
    Batches {
        /// Number of the first epoch.
        first: i64,
    },
    /// `<epoch> - first`: the step axis counts epochs.
    Epoch {
        /// Number of the first epoch.
        first: i64,
    },
    /// The line belongs to the step that was seen last.
    Last,
}

/// What an entry is if it does not say otherwise.
pub(super) const PLAIN: Template = Template {
    name: "text",
    heads: &[],
    step: StepFrom::Head,
    prefix: "",
    rename: &[],
    skip: &[],
    must: None,
    smoothed: None,
    is_guarded: false,
    is_block: false,
    samples: &[],
};

/// The numbers of a head.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Head {
    pub step: Option<i64>,
    pub planned: Option<i64>,
    pub epoch: Option<i64>,
    pub batch: Option<i64>,
    pub batches: Option<i64>,
    /// The number of a `<=tag>` hole.
    pub value: Option<(&'static str, Number)>,
    /// Where the fields begin in the line.
    pub fields_at: usize,
}

impl Template {
    /// The head that matches the line, read.
    pub(super) fn matches(&self, line: &str) -> Option<Head> {
        self.heads.iter().find_map(|head| match_head(head, line))
    }

    /// The step of a line with this head.
    pub(super) fn step_of(&self, head: &Head, last: Option<i64>) -> Option<i64> {
        match self.step {
            StepFrom::Head => head.step,
            StepFrom::Field(_) => None,
            StepFrom::Batches { first } => {
                let epoch = head.epoch?.saturating_sub(first).max(0);
                Some(epoch.saturating_mul(head.batches?).saturating_add(head.batch?))
            }
            StepFrom::Epoch { first } => Some(head.epoch?.saturating_sub(first)),
            StepFrom::Last => last,
        }
    }
}

/// Matches a head at the start of a line.
pub(super) fn match_head(pattern: &'static str, line: &str) -> Option<Head> {
    let mut head = Head::default();
    let mut fields_at = None;
    let mut at = 0;
    let mut rest = pattern;
    let bytes = line.as_bytes();
    while let Some(first) = rest.bytes().next() {
        if first == b'<' {
            let (hole, tail) = rest.get(1..)?.split_once('>')?;
            rest = tail;
            match hole {
                "" => fields_at = Some(at),
                "*" => at = skip_to(bytes, at, tail)?,
                "$" => at += blanks_to_end(bytes, at)?,
                _ => at = fill(&mut head, hole, bytes, at)?,
            }
        } else if first == b' ' {
            at += n_blanks(bytes, at);
            rest = rest.get(1..)?;
        } else {
            bytes.get(at).filter(|b| b.eq_ignore_ascii_case(&first))?;
            at += 1;
            rest = rest.get(1..)?;
        }
    }
    head.fields_at = fields_at.unwrap_or(at);
    Some(head)
}

fn n_blanks(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().take_while(|b| matches!(**b, b' ' | b'\t')).count()
}

fn blanks_to_end(bytes: &[u8], at: usize) -> Option<usize> {
    let blanks = n_blanks(bytes, at);
    (at + blanks == bytes.len()).then_some(blanks)
}

/// Skips any text up to the literal that follows in the pattern.
fn skip_to(bytes: &[u8], at: usize, tail: &str) -> Option<usize> {
    let tail = tail.strip_prefix("<>").unwrap_or(tail);
    let literal = tail.split('<').next().unwrap_or(tail).trim_start();
    let literal = literal.split("  ").next().unwrap_or(literal);
    if literal.is_empty() {
        return Some(bytes.len());
    }
    memchr::memmem::find(bytes.get(at..)?, literal.as_bytes()).map(|found| at + found)
}

fn fill(head: &mut Head, hole: &'static str, bytes: &[u8], at: usize) -> Option<usize> {
    let at = at + n_blanks(bytes, at);
    let rest = bytes.get(at..)?;
    if let Some(tag) = hole.strip_prefix('=') {
        let number = number::parse_prefix(rest)?;
        head.value = Some((tag, number));
        return Some(at + number.used);
    }
    let (value, used) = integer(rest)?;
    let slot = match hole {
        "step" => &mut head.step,
        "planned" => &mut head.planned,
        "epoch" => &mut head.epoch,
        "batch" => &mut head.batch,
        "batches" => &mut head.batches,
        _ => return Some(at + used),
    };
    *slot = Some(value);
    Some(at + used)
}

#[cfg(test)]
mod tests {
    use super::match_head;

    #[test]
    fn holes_blanks_and_case() {
        let head = match_head("iteration <step>/<planned> |", "Iteration      100/  159,576 | x").unwrap();
        assert_eq!((head.step, head.planned), (Some(100), Some(159_576)));
        assert_eq!(head.fields_at, "Iteration      100/  159,576 |".len());
        assert!(match_head("iteration <step>/<planned> |", "the iteration 1/2 |").is_none());
        assert!(match_head("iteration <step>/<planned> |", "iteration x/2 |").is_none());
    }

    #[test]
    fn skipping_looking_ahead_and_the_end() {
        let head = match_head(
            "eta: <*> iter: <step> <>total_loss",
            "eta: 0:10:00  iter: 19  total_loss: 2",
        )
        .unwrap();
        assert_eq!((head.step, head.fields_at), (Some(19), 24));
        assert!(match_head("step <step><$>", "step 5  ").is_some());
        assert!(match_head("step <step><$>", "step 5 x").is_none());
        let head = match_head("<step> train <=train loss><$>", "19072 train 2.941178").unwrap();
        assert_eq!(
            head.value.map(|(tag, n)| (tag, n.value)),
            Some(("train loss", 2.941_178))
        );
    }
}
