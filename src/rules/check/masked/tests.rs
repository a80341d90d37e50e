//! Hidden NaN in made-up streams, and healthy ones that look alike.

use super::{INFO, Masked};
use crate::model::{Kind, Mark, Meaning, Quantity, Severity, Split};
use crate::rules::check::bench::{NoProfiles, Noise, rule};
use crate::rules::check::{Context, Judged, Judgement, Point, StreamCheck};
use crate::series::{Facts, SeriesInfo};

struct Stream {
    check: Masked,
    facts: Facts,
    out: Vec<Judged>,
    step: i64,
    resolution: f64,
}

impl Stream {
    fn new() -> Self {
        Self {
            check: Masked::new(&rule(&INFO, Quantity::Loss, &[])),
            facts: Facts {
                learning_rate: Some(0.1),
                ..Facts::default()
            },
            out: Vec::new(),
            step: 0,
            resolution: 0.0,
        }
    }

    /// A printed number: three decimals unless it is zero, which prints as a bare `0.0`.
    fn printed(&mut self, kind: Kind, value: f64) {
        self.resolution = if value == 0.0 { 0.1 } else { 1e-3 };
        self.point(kind, value);
    }

    fn point(&mut self, kind: Kind, value: f64) {
        let quantity = kind.quantity(Split::Train);
        let meaning = Meaning {
            kind,
            quantity,
            split: Split::Train,
            layer: None,
            pattern: "",
        };
        let point = Point::new(self.step, None, value, self.resolution);
        let context = Context {
            facts: &self.facts,
            profiles: &NoProfiles,
        };
        self.check.sample(
            &SeriesInfo::new(quantity.as_str(), meaning),
            &point,
            &context,
            &mut self.out,
        );
    }

    fn record(&mut self, loss: f64, gradient: Option<f64>) {
        self.point(Kind::Loss, loss);
        if let Some(gradient) = gradient {
            self.point(Kind::GradNormGlobal, gradient);
        }
        self.step += 1;
    }

    fn missing(&mut self, gradient: Option<f64>) {
        let context = Context {
            facts: &self.facts,
            profiles: &NoProfiles,
        };
        let mark = Mark::FieldMissing {
            tag: "loss",
            step: self.step,
        };
        self.check.mark(&mark, &context, &mut self.out);
        if let Some(gradient) = gradient {
            self.point(Kind::GradNormGlobal, gradient);
        }
        self.step += 1;
    }

    fn noisy_start(&mut self, gradient: Option<f64>) {
        let mut noise = Noise(1);
        for _ in 0..20 {
            self.record(2.0 + 0.1 * noise.normal(), gradient);
        }
    }

    fn worst(&self) -> Option<(i64, Severity, &'static str)> {
        let bad = self.out.iter().filter_map(|it| match &it.judgement {
            Judgement::Bad(seen) => Some((it.step, seen.severity?, seen.kind)),
            _ => None,
        });
        bad.max_by_key(|it| (it.1, std::cmp::Reverse(it.0)))
    }
}

#[test]
fn zero_loss_beside_nan_gradients_is_critical_at_the_second() {
    let mut stream = Stream::new();
    stream.noisy_start(Some(1.0));
    (0..10).for_each(|_| stream.record(0.0, Some(f64::NAN)));
    assert_eq!(stream.worst(), Some((21, Severity::Critical, "zero-loss")));
}

#[test]
fn zero_loss_alone_is_a_warning_when_it_fell_from_the_sky() {
    let mut stream = Stream::new();
    stream.noisy_start(None);
    (0..10).for_each(|_| stream.record(0.0, None));
    assert_eq!(stream.worst(), Some((24, Severity::Warning, "zero-loss")));
}

#[test]
fn a_loss_that_converges_to_zero_is_quiet() {
    for resolution in [0.0, 1e-4] {
        let mut stream = Stream::new();
        stream.resolution = resolution;
        for i in 0..400 {
            let loss = 2.0 * (-0.05 * f64::from(i)).exp();
            stream.record(
                if resolution > 0.0 {
                    (loss / resolution).round() * resolution
                } else {
                    loss
                },
                None,
            );
        }
        (0..50).for_each(|_| stream.record(0.0, None));
        assert_eq!(stream.worst(), None);
    }
}

#[test]
fn hinge_losses_with_satisfied_batches_are_quiet() {
    let (mut stream, mut noise) = (Stream::new(), Noise(4));
    for _ in 0..2000 {
        stream.record((0.3 * noise.normal()).max(0.0), Some(1.0));
    }
    assert_eq!(stream.worst(), None);
}

#[test]
fn a_loss_that_repeats_is_found_by_its_gradients_first() {
    let mut stream = Stream::new();
    stream.noisy_start(Some(1.0));
    (0..10).for_each(|_| stream.record(2.125, Some(f64::NAN)));
    assert_eq!(stream.worst(), Some((22, Severity::Critical, "repeated-loss")));
    let mut stream = Stream::new();
    stream.noisy_start(None);
    (0..10).for_each(|_| stream.record(2.125, None));
    assert_eq!(stream.worst(), Some((24, Severity::Warning, "repeated-loss")));
}

#[test]
fn repeats_by_rounding_by_convergence_and_at_learning_rate_0_are_quiet() {
    let (mut stream, mut noise) = (Stream::new(), Noise(9));
    stream.resolution = 0.01;
    for _ in 0..5000 {
        let loss = 2.0 + 0.01 * noise.normal();
        stream.record((loss * 100.0).round() / 100.0, None);
    }
    assert_eq!(stream.worst(), None);
    let mut stream = Stream::new();
    (0..200).for_each(|i| stream.record(0.5 + (-0.3 * f64::from(i)).exp(), None));
    assert_eq!(stream.worst(), None);
    let mut stream = Stream::new();
    stream.facts.learning_rate = Some(0.0);
    stream.noisy_start(None);
    (0..50).for_each(|_| stream.record(2.125, None));
    assert_eq!(stream.worst(), None);
}

#[test]
fn missing_losses() {
    let mut stream = Stream::new();
    (0..5).for_each(|_| stream.missing(None));
    assert_eq!(stream.worst(), None, "the search for the loss scale");
    stream.noisy_start(Some(1.0));
    stream.missing(Some(1.0));
    stream.record(2.0, Some(1.0));
    assert_eq!(stream.worst().map(|it| it.1), Some(Severity::Info));
    (0..3).for_each(|_| stream.missing(None));
    assert_eq!(stream.worst().map(|it| it.1), Some(Severity::Warning));
    let mut stream = Stream::new();
    stream.noisy_start(Some(1.0));
    (0..3).for_each(|_| stream.missing(Some(f64::NAN)));
    assert_eq!(stream.worst(), Some((21, Severity::Critical, "missing-loss")));
}

#[test]
fn a_bare_zero_beside_losses_with_decimals_is_a_zero() {
    let mut stream = Stream::new();
    for step in 0..17 {
        stream.printed(Kind::Loss, 4.0 - 0.08 * f64::from(step));
        stream.point(Kind::GradNormGlobal, 0.5);
        stream.step += 1;
    }
    for _ in 0..5 {
        stream.printed(Kind::Loss, 0.0);
        stream.point(Kind::GradNormGlobal, f64::NAN);
        stream.step += 1;
    }
    assert_eq!(
        stream.worst().map(|it| (it.1, it.2)),
        Some((Severity::Critical, "zero-loss"))
    );
}

#[test]
fn what_is_learnt_by_heart_repeats_itself_at_the_floor() {
    let mut stream = Stream::new();
    for i in 0..60 {
        let loss = (6.0 - 0.4 * f64::from(i)).exp().max(6.7e-7);
        stream.facts.loss.add(loss);
        stream.point(Kind::Loss, loss);
        stream.step += 1;
    }
    assert!(
        stream
            .out
            .iter()
            .all(|it| !matches!(it.judgement, Judgement::Bad(_)))
    );
}
