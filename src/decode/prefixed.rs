//! A directory in front of the names of a file.
//!
//! In: a decoder and the path of its file. Out: its calls, the tags with the directories in front that the
//! framework takes for a part of the name. Invariant: nothing but the tags changes.
//!
//! `DVCLive` writes the metric `train/loss` to `plots/metrics/train/loss.tsv` and names the column `loss`.

use super::{Decode, Settled, Sink, Tally};
use crate::model::{Mark, Problem, Sample, TextLine};

/// Where `DVCLive` keeps its metrics.
const ROOT: &str = "plots/metrics/";

/// Puts a prefix before every tag.
pub(crate) struct Prefixed {
    inner: Box<dyn Decode>,
    prefix: String,
}

impl Prefixed {
    /// The decoder itself, or with the directories below `plots/metrics` before its tags.
    pub(crate) fn by_path(inner: Box<dyn Decode>, path: &str) -> Box<dyn Decode> {
        let path = path.replace('\\', "/");
        let below = path.rfind(ROOT).and_then(|at| path.get(at + ROOT.len()..));
        match below.and_then(|it| it.rsplit_once('/')) {
            Some((directories, _)) => Box::new(Self {
                inner,
                prefix: format!("{directories}/"),
            }),
            None => inner,
        }
    }
}

impl Decode for Prefixed {
    fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        self.inner.feed(
            bytes,
            &mut Renamed {
                sink,
                prefix: &self.prefix,
            },
        );
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        self.inner.finish(&mut Renamed {
            sink,
            prefix: &self.prefix,
        });
    }

    fn settle(&mut self, sink: &mut dyn Sink) -> Settled {
        self.inner.settle(&mut Renamed {
            sink,
            prefix: &self.prefix,
        })
    }

    fn tally(&self) -> Tally {
        self.inner.tally()
    }

    fn format(&self) -> &'static str {
        self.inner.format()
    }
}

struct Renamed<'a> {
    sink: &'a mut dyn Sink,
    prefix: &'a str,
}

impl Sink for Renamed<'_> {
    fn sample(&mut self, sample: &Sample<'_>) {
        let tag = format!("{}{}", self.prefix, sample.tag);
        self.sink.sample(&Sample { tag: &tag, ..*sample });
    }

    fn line(&mut self, line: &TextLine<'_>) {
        self.sink.line(line);
    }

    fn mark(&mut self, mark: Mark<'_>) {
        self.sink.mark(mark);
    }

    fn problem(&mut self, problem: Problem) {
        self.sink.problem(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::Prefixed;
    use crate::decode::csv::CsvDecoder;
    use crate::decode::record::{lines_of, record};

    #[test]
    fn directories_below_the_metrics_are_part_of_the_name() {
        let tags = |path: &str| {
            let mut decoder = Prefixed::by_path(Box::new(CsvDecoder::new()), path);
            lines_of(&record(decoder.as_mut(), &[b"step\tloss\n0\t2.5\n"]))
        };
        assert_eq!(
            tags("dvclive/plots/metrics/train/a/loss.tsv"),
            ["0 train/a/loss=2.5"]
        );
        assert_eq!(tags("dvclive/plots/metrics/loss.tsv"), ["0 loss=2.5"]);
        assert_eq!(tags("train/loss.tsv"), ["0 loss=2.5"]);
    }
}
