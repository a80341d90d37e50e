//! One series over its steps, in bounded memory.
//!
//! In: points, restarts. Out: at most `limit` spans of equal numbers of points, in the order of their steps. Invariants:
//! extremes and non-finite points are kept whatever the length; after a rewind no span begins at or after the step.

use super::cell::Cell;

/// Neighbouring points with the steps that they come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Step of the first point.
    pub first_step: i64,
    /// Step of the last point.
    pub last_step: i64,
    /// The points.
    pub cell: Cell,
}

impl Span {
    fn of(step: i64, value: f64) -> Self {
        let mut cell = Cell::default();
        cell.add(value);
        Self {
            first_step: step,
            last_step: step,
            cell,
        }
    }
}

/// One series over its steps.
#[derive(Debug, Clone)]
pub struct Trace {
    spans: Vec<Span>,
    points_per_span: u32,
    limit: usize,
}

impl Trace {
    /// A trace of at most `limit` spans (at least two).
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            spans: Vec::new(),
            points_per_span: 1,
            limit: limit.max(2),
        }
    }

    /// Takes a point. One before the last step, of another process that writes into the same log, is joined to the
    /// points that are there.
    pub fn add(&mut self, step: i64, value: f64) {
        if self.spans.last().is_some_and(|it| step < it.last_step) {
            self.join(step, value);
        } else {
            self.append(step, value);
        }
    }

    fn join(&mut self, step: i64, value: f64) {
        let after = self.spans.partition_point(|it| it.first_step <= step);
        let has_room = self.spans.len() < self.limit;
        let is_between = after
            .checked_sub(1)
            .and_then(|it| self.spans.get(it))
            .is_none_or(|it| it.last_step < step);
        if has_room && is_between {
            self.spans.insert(after, Span::of(step, value));
        } else if let Some(span) = self.spans.get_mut(after.saturating_sub(1)) {
            span.first_step = span.first_step.min(step);
            span.last_step = span.last_step.max(step);
            span.cell.add(value);
        }
    }

    fn append(&mut self, step: i64, value: f64) {
        if self.spans.len() >= self.limit
            && self
                .spans
                .last()
                .is_some_and(|it| it.cell.n >= self.points_per_span)
        {
            self.halve();
        }
        match self.spans.last_mut() {
            Some(last) if last.cell.n < self.points_per_span => {
                last.cell.add(value);
                last.last_step = step;
            }
            _ => {
                self.spans.push(Span::of(step, value));
            }
        }
    }

    /// Forgets the spans that begin at or after `step`. A span that reaches over it stays: its points cannot be
    /// told apart any more.
    pub fn rewind(&mut self, step: i64) {
        let keep = self.spans.partition_point(|it| it.first_step < step);
        self.spans.truncate(keep);
    }

    /// Joins neighbours until there are at most `limit` spans.
    pub fn shrink_to(&mut self, limit: usize) {
        self.limit = limit.max(2);
        while self.spans.len() > self.limit {
            self.halve();
        }
    }

    /// The spans, oldest first.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    fn halve(&mut self) {
        let joined = self.spans.chunks(2).filter_map(|pair| {
            let (first, rest) = pair.split_first()?;
            let mut span = *first;
            for later in rest {
                span.cell.join(&later.cell);
                span.last_step = later.last_step;
            }
            Some(span)
        });
        self.spans = joined.collect();
        self.points_per_span = self.points_per_span.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_points_keep_extremes_and_the_single_nan() {
        let mut trace = Trace::new(512);
        for step in 0..1_000_000 {
            let value = match step {
                314_159 => 1e9,
                777_777 => f64::NAN,
                999_998 => f64::NEG_INFINITY,
                _ => 1.0,
            };
            trace.add(step, value);
        }
        let spans = trace.spans();
        assert!(spans.len() <= 512 && spans.len() > 200, "{}", spans.len());
        assert_eq!(
            spans.iter().map(|it| u64::from(it.cell.n)).sum::<u64>(),
            1_000_000
        );
        let peak = spans.iter().find(|it| it.cell.max == 1e9).unwrap();
        assert!(peak.first_step <= 314_159 && peak.last_step >= 314_159);
        assert_eq!(spans.iter().map(|it| it.cell.n_nonfinite).sum::<u32>(), 2);
        assert!(
            spans
                .windows(2)
                .all(|pair| pair[0].last_step < pair[1].first_step)
        );
    }

    #[test]
    fn a_restart_forgets_what_it_replaces() {
        let mut trace = Trace::new(8);
        (0..6).for_each(|step| trace.add(step, 1.0));
        trace.rewind(4);
        assert_eq!(trace.spans().len(), 4);
    }

    #[test]
    fn what_several_processes_write_stays_in_the_order_of_steps() {
        let mut trace = Trace::new(16);
        for step in 0..200 {
            trace.add(step, 1.0);
            trace.add(step - 40, 3.0);
        }
        let spans = trace.spans();
        let pairs = spans.windows(2);
        assert!(
            pairs.clone().all(|it| it[0].last_step < it[1].first_step),
            "{spans:?}"
        );
        assert_eq!(spans.iter().map(|it| it.cell.n).sum::<u32>(), 400);
        assert_eq!(
            (spans[0].first_step, spans[spans.len() - 1].last_step),
            (-40, 199)
        );
        let middle = &spans[spans.len() / 2].cell;
        assert_eq!((middle.min, middle.max), (1.0, 3.0));
    }

    #[test]
    fn shrinking_joins_neighbours() {
        let mut trace = Trace::new(512);
        (0..100).for_each(|step| trace.add(step, step as f64));
        trace.shrink_to(10);
        assert!(trace.spans().len() <= 10);
        assert_eq!(trace.spans().iter().map(|it| it.cell.n).sum::<u32>(), 100);
    }
}
