//! A user's patterns tried on a log: what they read, what they nearly read, and why not.
//!
//! In: the bytes of a text log. Out: a [`TrialReport`] per pattern. Invariants: lines are cut and cleaned as the reader
//! of text logs does it; only the first few of each kind are kept, all are counted; at most [`LOOKED_AT_MAX`] lines that
//! no pattern matches are compared with the beginnings of the patterns.

use super::near::Beginnings;
use super::{BadGroup, OwnPatterns, Reading};
use crate::decode::line::{LineFramer, RawLine, segments};
use crate::decode::text::escape::without_escapes;
use crate::model::LinePattern;

/// Examples kept of each kind.
const EXAMPLES_MAX: usize = 3;

/// Lines that no pattern matched and that are looked at for how near they came.
pub const LOOKED_AT_MAX: u64 = 5_000;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedLine {
    /// Line number, from 1.
    pub number: u64,
    /// The line as the pattern sees it.
    pub text: String,
}

/// A line that a pattern nearly matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearLine {
    /// The line.
    pub line: TriedLine,
    /// The beginning of the expression that matches.
    pub matched: String,
    /// What it matches.
    pub found: String,
    /// The rest of the expression.
    pub wanted: String,
    /// The rest of the line.
    pub rest: String,
}

/// What became of one pattern.
#[derive(Debug, Default)]
pub struct TrialReport {
    /// Lines that it matched and read.
    pub n_read: u64,
    /// The first of them, with what was read.
    pub read: Vec<(TriedLine, String)>,
    /// Lines that it matched but could not read.
    pub n_failed: u64,
    /// The first of them, with the reason.
    pub failed: Vec<(TriedLine, String)>,
    /// Lines that no pattern matched and of which a beginning of this one matches.
    pub n_near: u64,
    /// Those that came nearest.
    pub near: Vec<NearLine>,
}

/// Patterns, and what they have read so far.
#[derive(Debug)]
pub struct Trial {
    framer: LineFramer,
    lines: Lines,
}

#[derive(Debug)]
struct Lines {
    patterns: OwnPatterns,
    beginnings: Vec<Beginnings>,
    reports: Vec<TrialReport>,
    n_lines: u64,
    n_looked_at: u64,
    clean: String,
}

impl Trial {
    /// A trial of patterns.
    ///
    /// # Errors
    /// As [`OwnPatterns::new`].
    pub fn new(patterns: &[LinePattern]) -> Result<Self, String> {
        Ok(Self {
            framer: LineFramer::ending_at_returns(),
            lines: Lines {
                patterns: OwnPatterns::new(patterns)?,
                beginnings: patterns.iter().map(|it| Beginnings::of(&it.regex)).collect(),
                reports: patterns.iter().map(|_| TrialReport::default()).collect(),
                n_lines: 0,
                n_looked_at: 0,
                clean: String::new(),
            },
        })
    }

    /// Takes the next bytes of the log.
    pub fn feed(&mut self, bytes: &[u8]) {
        let Self { framer, lines } = self;
        framer.feed(bytes, |line| lines.line(&line));
    }

    /// The log is at its end.
    pub fn finish(&mut self) {
        let Self { framer, lines } = self;
        framer.finish(|line| lines.line(&line));
    }

    /// Lines with text.
    #[must_use]
    pub fn n_lines(&self) -> u64 {
        self.lines.n_lines
    }

    /// What became of each pattern, in their order.
    #[must_use]
    pub fn reports(&self) -> &[TrialReport] {
        &self.lines.reports
    }
}

impl Lines {
    fn line(&mut self, line: &RawLine<'_>) {
        for segment in segments(line.bytes) {
            let mut clean = std::mem::take(&mut self.clean);
            clean.clear();
            without_escapes(&String::from_utf8_lossy(segment), &mut clean);
            self.text(clean.trim_end(), line.number);
            self.clean = clean;
        }
    }

    fn text(&mut self, text: &str, number: u64) {
        if text.is_empty() {
            return;
        }
        self.n_lines += 1;
        let tried = || TriedLine {
            number,
            text: text.to_owned(),
        };
        let found = self
            .patterns
            .iter()
            .zip(&mut self.reports)
            .find_map(|(pattern, report)| Some((pattern.read(text)?, report)));
        match found {
            Some((Ok(reading), report)) => {
                report.n_read += 1;
                keep(&mut report.read, || (tried(), shown(&reading)));
            }
            Some((Err(bad), report)) => {
                report.n_failed += 1;
                keep(&mut report.failed, || (tried(), BadGroup::to_string(&bad)));
            }
            None => self.look(text, number),
        }
    }

    /// How near the patterns came to a line.
    fn look(&mut self, text: &str, number: u64) {
        self.n_looked_at += 1;
        if self.n_looked_at > LOOKED_AT_MAX {
            return;
        }
        for (beginnings, report) in self.beginnings.iter().zip(&mut self.reports) {
            let Some(near) = beginnings.nearest(text).filter(|it| it.says_something()) else {
                continue;
            };
            report.n_near += 1;
            let at = report
                .near
                .partition_point(|it| it.matched.len() >= near.matched.len());
            if at < EXAMPLES_MAX {
                let line = TriedLine {
                    number,
                    text: text.to_owned(),
                };
                let near = NearLine {
                    line,
                    matched: near.matched.to_owned(),
                    found: near.found.to_owned(),
                    wanted: near.wanted.to_owned(),
                    rest: near.rest.to_owned(),
                };
                report.near.insert(at, near);
                report.near.truncate(EXAMPLES_MAX);
            }
        }
    }
}

fn keep<T>(list: &mut Vec<T>, make: impl FnOnce() -> T) {
    if list.len() < EXAMPLES_MAX {
        list.push(make());
    }
}

/// `step 10, layer h.0, grad_norm 0.5`.
fn shown(reading: &Reading<'_>) -> String {
    let mut parts = Vec::new();
    parts.extend(reading.step.map(|it| format!("step {it}")));
    parts.extend(reading.epoch.map(|it| format!("epoch {it}")));
    parts.extend(reading.layer.map(|it| format!("layer {it}")));
    let named = |it: &super::OwnValue| {
        let tag = it.tag.or(reading.name).unwrap_or("value");
        let value = it.number.value;
        if value != 0.0 && value.abs() < 1e-3 {
            format!("{tag} {value:e}")
        } else {
            format!("{tag} {value}")
        }
    };
    parts.extend(reading.values.iter().map(named));
    if parts.is_empty() {
        return "nothing: its groups are empty".to_owned();
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::Trial;
    use crate::model::LinePattern;

    fn trial(text: &str) -> Trial {
        let pattern = LinePattern {
            name: "mine".to_owned(),
            regex: r"^step (?<step>\d+) loss (?<loss>\S+)$".to_owned(),
            quantity: None,
        };
        let mut trial = Trial::new(&[pattern]).unwrap();
        for byte in text.as_bytes() {
            trial.feed(std::slice::from_ref(byte));
        }
        trial.finish();
        trial
    }

    #[test]
    fn lines_are_read_refused_and_compared() {
        let text = "hello\nstep 1 loss 2.5\n\x1b[31mstep 2\x1b[0m loss nan\r\nstep 3 loss x\nstep 4: loss 2\nstep 5 los 3\n";
        let trial = trial(text);
        let report = &trial.reports()[0];
        assert_eq!(
            (trial.n_lines(), report.n_read, report.n_failed, report.n_near),
            (6, 2, 1, 2)
        );
        assert_eq!(report.read[1].1, "step 2, loss NaN");
        assert_eq!(report.read[1].0.number, 3);
        assert_eq!(report.failed[0].1, "group `loss` is \"x\", which is no number");
        let near: Vec<(&str, &str)> = report
            .near
            .iter()
            .map(|it| (it.found.as_str(), it.rest.as_str()))
            .collect();
        assert_eq!(near, [("step 5 los", " 3"), ("step 4", ": loss 2")]);
    }

    #[test]
    fn the_number_of_examples_is_bounded() {
        let trial = trial(&"step 1 loss 2\nstep 1 los\n".repeat(9));
        let report = &trial.reports()[0];
        assert_eq!((report.n_read, report.read.len()), (9, 3));
        assert_eq!((report.n_near, report.near.len()), (9, 3));
    }
}
