//! Where the decoder of one file puts what it reads, whoever feeds it.
//!
//! In: a decoder's calls. Out: points, lines and marks to a [`Target`], problems to who [`Hears`] them. Invariant: the
//! memory for problems is bounded, however damaged the file.

use crate::decode::Sink;
use crate::model::{Mark, Problem, Sample, TextLine};

/// Problems of one file that are listed; the rest is counted.
const PROBLEMS_MAX: usize = 100;

/// What is to be said of a file.
pub(super) trait Hears {
    fn problem(&mut self, problem: Problem);
}

/// The problems of a file: the first [`PROBLEMS_MAX`], and how many more there are.
#[derive(Debug, Default)]
pub(super) struct KeptProblems {
    listed: Vec<Problem>,
    dropped: u64,
}

impl Hears for KeptProblems {
    fn problem(&mut self, problem: Problem) {
        if self.listed.len() < PROBLEMS_MAX {
            self.listed.push(problem);
        } else {
            self.dropped += 1;
        }
    }
}

impl KeptProblems {
    /// The problems with the path that people see, and a last one that counts the others.
    pub(super) fn named<'k>(&'k self, path: &'k str) -> impl Iterator<Item = Problem> + 'k {
        let listed = self.listed.iter().map(move |it| Problem {
            path: path.to_owned(),
            ..it.clone()
        });
        let more = (self.dropped > 0).then(|| {
            let what = format!("{} further problems of this file are not listed", self.dropped);
            Problem::path(path, what)
        });
        listed.chain(more)
    }

    /// How many there are; notes are none.
    pub(super) fn count(&self) -> u64 {
        self.listed.iter().filter(|it| !it.is_note).count() as u64 + self.dropped
    }
}

/// Where decoded items go.
pub(super) trait Target {
    fn sample(&mut self, sample: &Sample<'_>);
    fn line(&mut self, line: &TextLine<'_>);
    fn mark(&mut self, mark: Mark<'_>);
}

/// What is decoded of one file goes to the target, what is to be said of it to who hears.
pub(super) struct FileSink<'s, T: Target, H: Hears> {
    pub(super) target: &'s mut T,
    pub(super) heard: &'s mut H,
}

impl<T: Target, H: Hears> Sink for FileSink<'_, T, H> {
    fn sample(&mut self, sample: &Sample<'_>) {
        self.target.sample(sample);
    }
    fn line(&mut self, line: &TextLine<'_>) {
        self.target.line(line);
    }
    fn mark(&mut self, mark: Mark<'_>) {
        self.target.mark(mark);
    }
    fn problem(&mut self, problem: Problem) {
        self.heard.problem(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::{Hears, KeptProblems, PROBLEMS_MAX};
    use crate::model::Problem;

    #[test]
    fn problems_beyond_the_limit_are_counted() {
        let mut kept = KeptProblems::default();
        for _ in 0..PROBLEMS_MAX + 7 {
            kept.problem(Problem::path("", "bad"));
        }
        let said: Vec<Problem> = kept.named("run/log").collect();
        assert_eq!(said.len(), PROBLEMS_MAX + 1);
        assert!(said.iter().all(|it| it.path == "run/log"));
        assert_eq!(
            said[PROBLEMS_MAX].what,
            "7 further problems of this file are not listed"
        );
        assert_eq!(kept.count(), PROBLEMS_MAX as u64 + 7);
    }
}
