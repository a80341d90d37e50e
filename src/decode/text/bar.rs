//! Progress bars of tqdm and Lightning: the step they count and the metrics behind them.
//!
//! In: one drawn state of a bar. Out: a point per metric and step. Invariants: a bar that is drawn again
//! without news gives nothing; a metric that written lines carry at the same steps is theirs.
//!
//! A bar moves on before its text does, so what it shows at a step is only settled when the step changes:
//! the last drawn text of a step counts, and a text that did not change since the last step is stale, unless
//! it shows a NaN.

use super::emit::{Emitter, Place, is_axis};
use super::keyvalue::has_metric_word;
use super::scan::Pairs;
use super::token::integer;
use crate::decode::Sink;

/// Name of the format.
pub(super) const NAME: &str = "text-progress-bar";

/// Most metrics that written lines may take over from a bar.
const N_OWNED_MAX: usize = 64;

/// Bars of helpers, not of the training loop.
const OTHER_BARS: [&str; 12] = [
    "valid", "sanity", "eval", "test", "predict", "map", "loading", "download", "token", "generat", "saving",
    "filter",
];

/// One drawn state of a bar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bar<'a> {
    /// Text before the percentage, without the colon.
    pub desc: &'a str,
    /// Steps done.
    pub done: i64,
    /// Steps in all.
    pub total: Option<i64>,
    /// `loss=0.23, lr=1e-3`.
    pub postfix: &'a str,
}

/// Reads a bar: `Epoch 0:  45%|####    | 123/400 [00:10<00:20, 12.3it/s, loss=0.23]`.
pub(super) fn parse(text: &str) -> Option<Bar<'_>> {
    let percent =
        memchr::memchr_iter(b'%', text.as_bytes()).find(|at| text.as_bytes().get(at + 1) == Some(&b'|'))?;
    let head = text.get(..percent)?;
    let desc = head.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end();
    let drawn = text.get(percent + 2..)?;
    let counts = drawn.get(drawn.find('|')? + 1..)?.trim_start();
    let (done, used) = integer(counts.as_bytes())?;
    let counts = counts.get(used..)?.trim_start();
    let (total, behind) = match counts.strip_prefix('/') {
        Some(rest) => {
            let rest = rest.trim_start();
            let (total, used) = integer(rest.as_bytes())?;
            (Some(total), rest.get(used..)?)
        }
        None => (None, counts),
    };
    let inside = behind.trim_start().strip_prefix('[')?;
    let inside = inside.rsplit_once(']').map_or(inside, |(inner, _)| inner);
    Some(Bar {
        desc: desc.trim().trim_end_matches(':'),
        done,
        total,
        postfix: inside.splitn(3, ',').nth(2).unwrap_or_default(),
    })
}

/// What was drawn and is not settled yet.
#[derive(Debug, Default)]
struct Drawn {
    is_some: bool,
    step: i64,
    text: String,
    offset: u64,
    wall_time: Option<f64>,
}

/// The bars of one file.
#[derive(Debug, Default)]
pub(super) struct Bars {
    drawn: Drawn,
    settled: String,
    owned: Vec<String>,
    last_done: i64,
    last_total: Option<i64>,
    /// Steps of the bars before this one, when every epoch has a bar of its own.
    done_before: i64,
    first_epoch: Option<i64>,
}

impl Bars {
    /// Takes a drawn state; returns how many points it settled.
    pub(super) fn draw(
        &mut self,
        bar: &Bar<'_>,
        place: Place,
        emitter: &mut Emitter,
        sink: &mut dyn Sink,
    ) -> u64 {
        let is_other = OTHER_BARS.iter().any(|word| holds(bar.desc, word));
        let has_metric = Pairs::of(bar.postfix)
            .chain(Pairs::of(bar.desc))
            .any(|p| !is_axis(p.key) && has_metric_word(p.key));
        if is_other || !has_metric {
            return 0;
        }
        let step = self.step(bar, emitter, sink);
        let mut n_points = 0;
        if self.drawn.is_some && self.drawn.step != step {
            n_points = self.settle(emitter, sink);
        }
        if !self.is_all_owned(bar) {
            self.drawn.is_some = true;
            self.drawn.step = step;
            self.drawn.text.clear();
            self.drawn.text.push_str(bar.desc);
            self.drawn.text.push_str(" | ");
            self.drawn.text.push_str(bar.postfix);
            self.drawn.offset = place.offset;
            self.drawn.wall_time = place.wall_time;
        }
        n_points
    }

    /// The step of the run that a bar stands at.
    fn step(&mut self, bar: &Bar<'_>, emitter: &mut Emitter, sink: &mut dyn Sink) -> i64 {
        let epoch = Pairs::of(bar.desc).find(|p| p.key.eq_ignore_ascii_case("epoch"));
        let step = if let (Some(epoch), Some(total)) = (epoch, bar.total) {
            let value = epoch.number.value as i64;
            // `Epoch 1/20` counts from one, Lightning's `Epoch 0` from zero.
            let first = *self
                .first_epoch
                .get_or_insert(i64::from(epoch.total.is_some() || value == 1));
            let done_before = value.saturating_sub(first).max(0).saturating_mul(total);
            emitter.planned(sink, epoch.total.map(|epochs| epochs.saturating_mul(total)));
            done_before.saturating_add(bar.done)
        } else {
            if bar.done < self.last_done && bar.total == self.last_total && bar.done <= 1 {
                self.done_before = self
                    .done_before
                    .saturating_add(self.last_total.unwrap_or(self.last_done));
            } else if self.done_before == 0 {
                emitter.planned(sink, bar.total);
            }
            self.done_before.saturating_add(bar.done)
        };
        self.last_done = bar.done;
        self.last_total = bar.total;
        step
    }

    fn is_all_owned(&self, bar: &Bar<'_>) -> bool {
        let mut pairs = Pairs::of(bar.postfix).chain(Pairs::of(bar.desc));
        !self.owned.is_empty() && pairs.all(|p| is_axis(p.key) || self.owned.iter().any(|o| o == p.key))
    }

    /// A written line gave points at `step`: what the bar shows too at this step is the line's.
    pub(super) fn wrote(&mut self, line: &str, step: Option<i64>) {
        if !self.drawn.is_some || step.is_none_or(|s| s.abs_diff(self.drawn.step) > 1) {
            return;
        }
        for shown in Pairs::of(&self.drawn.text) {
            let is_written = Pairs::of(line).any(|p| p.key.eq_ignore_ascii_case(shown.key));
            if is_written && self.owned.len() < N_OWNED_MAX && !self.owned.iter().any(|o| o == shown.key) {
                self.owned.push(shown.key.to_owned());
            }
        }
    }

    /// Hands on what was drawn last, if it is news.
    pub(super) fn settle(&mut self, emitter: &mut Emitter, sink: &mut dyn Sink) -> u64 {
        if !std::mem::take(&mut self.drawn.is_some) {
            return 0;
        }
        let is_finite = Pairs::of(&self.drawn.text).all(|p| p.number.value.is_finite());
        if is_finite && self.drawn.text == self.settled {
            return 0;
        }
        self.settled.clear();
        self.settled.push_str(&self.drawn.text);
        let place = Place {
            offset: self.drawn.offset,
            wall_time: self.drawn.wall_time,
        };
        let mut n_points = 0;
        for pair in Pairs::of(&self.drawn.text) {
            let is_metric = pair.total.is_none() && !is_axis(pair.key);
            if is_metric && !self.owned.iter().any(|o| o == pair.key) {
                emitter.point(sink, pair.key, self.drawn.step, pair.number, place);
                n_points += 1;
            }
        }
        n_points
    }
}

fn holds(text: &str, word: &str) -> bool {
    text.as_bytes()
        .windows(word.len())
        .any(|w| w.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{Bar, parse};

    #[test]
    fn bars_are_read() {
        let bar = parse("  2%|▏         | 8/400 [00:00<00:01, 211.92it/s, loss=5.2692, lr=1.00e-03]");
        assert_eq!(
            bar,
            Some(Bar {
                desc: "",
                done: 8,
                total: Some(400),
                postfix: " loss=5.2692, lr=1.00e-03"
            })
        );
        let bar =
            parse("Epoch 3:  45%|####    | 123/400 [00:10<00:20, 12.3it/s, v_num=0, loss=nan]").unwrap();
        assert_eq!(
            (bar.desc, bar.done, bar.postfix),
            ("Epoch 3", 123, " v_num=0, loss=nan")
        );
        assert_eq!(
            parse("| N/A   30C    P0   112W / 700W |      0%      Default |"),
            None
        );
        assert_eq!(parse("100%|##| x"), None);
    }
}
