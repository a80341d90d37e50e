//! Verdicts on made-up pairs.
//!
//! In: losses and norms with stated seeds. Out: assertions. Invariant: noise that both runs share is the same
//! numbers in both.

use super::{Comparison, Standing, Way, compare};
use crate::extract::understand;
use crate::model::{Family, Form};
use crate::series::{Baseline, Portrait, SeriesInfo, Trouble};
use crate::simulate::Rng;

fn add(portrait: &mut Portrait, tag: &str, values: impl IntoIterator<Item = (i64, f64)>) {
    let mut series = SeriesInfo::new(tag, understand(tag));
    for (step, value) in values {
        series.add(step, value, &Form::EXACT);
        portrait.add(&series, step, value);
    }
}

fn run(losses: &[f64], rate: Option<f64>) -> Portrait {
    let mut portrait = Portrait::default();
    add(&mut portrait, "train/loss", (0..).zip(losses.iter().copied()));
    if let Some(rate) = rate {
        add(
            &mut portrait,
            "learning_rate",
            (0..losses.len() as i64).map(|step| (step, rate)),
        );
    }
    portrait
}

fn baseline(losses: &[f64], rate: Option<f64>) -> Baseline {
    Baseline {
        name: "lr0".to_owned(),
        portrait: run(losses, rate),
        troubles: Vec::new(),
    }
}

fn noise(seed: u64, n: usize, correlation: f64, sd: f64) -> Vec<f64> {
    let mut rng = Rng::new(seed);
    let mut state = rng.normal();
    (0..n)
        .map(|_| {
            state = correlation * state + (1.0 - correlation * correlation).sqrt() * rng.normal();
            sd * state
        })
        .collect()
}

fn flat(seed: u64, n: usize) -> Vec<f64> {
    noise(seed, n, 0.9, 0.2).iter().map(|it| 2.3 + it).collect()
}

fn of(losses: &[f64], base: &[f64]) -> Comparison {
    compare(&run(losses, Some(0.01)), &baseline(base, Some(0.0)))
}

/// A t-test on the differences that takes them as independent.
fn naive_says_training(a: &[f64], b: &[f64]) -> bool {
    let late: Vec<f64> = a.iter().zip(b).skip(a.len() / 2).map(|(x, y)| x - y).collect();
    let n = late.len() as f64;
    let mean = late.iter().sum::<f64>() / n;
    let variance = late.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / (n - 1.0);
    mean < 0.0 && mean.abs() / (variance / n).sqrt() > 1.96
}

/// Seeds 0 to 1,999, 300 points, lag-1 correlation 0.9, independent baselines: neither run learns anything.
#[test]
fn flat_losses_are_not_training() {
    const PAIRS: u64 = 1_000;
    let (mut ours, mut naive) = (0, 0);
    for seed in 0..PAIRS {
        let (a, b) = (flat(2 * seed, 300), flat(2 * seed + 1, 300));
        ours += u64::from(of(&a, &b).standing == Standing::Training);
        naive += u64::from(naive_says_training(&a, &b));
    }
    eprintln!("training: ours {ours}, naive {naive} of {PAIRS}");
    assert!(naive * 100 > PAIRS * 30, "{naive}");
    assert!(ours * 100 < PAIRS * 2, "{ours}");
}

#[test]
fn common_noise_cancels() {
    let noise = noise(7, 200, 0.9, 0.3);
    let base: Vec<f64> = noise.iter().map(|it| 2.3 + it).collect();
    let falls: Vec<f64> = (0..)
        .zip(&noise)
        .map(|(step, it)| 2.3 * (1.0 - 0.0003 * f64::from(step)) + it)
        .collect();
    let seen = of(&falls, &base);
    assert_eq!(seen.standing, Standing::Training, "{}", seen.sentence);
    assert!(
        seen.sentence
            .starts_with("training: over the last 100 common steps (100 to 199)"),
        "{}",
        seen.sentence
    );
    let same = of(&base, &base);
    assert_eq!(same.standing, Standing::NotTraining);
    assert!(
        same.sentence
            .contains("cannot be told from that of learning rate 0"),
        "{}",
        same.sentence
    );
}

/// 2.3 to 0.5 with noise of its own: a run that trains.
fn falling(seed: u64, n: usize) -> Vec<f64> {
    let fall = |step: usize| 0.5 + 1.8 * (-(step as f64) / (0.2 * n as f64)).exp();
    let noise = noise(seed, n, 0.9, 0.05);
    noise
        .iter()
        .enumerate()
        .map(|(step, it)| fall(step) + it)
        .collect()
}

/// Being like a baseline that trains says nothing against a run.
#[test]
fn two_runs_that_train_alike_are_not_called_untrained() {
    for rate in [Some(0.1), None] {
        let seen = compare(
            &run(&falling(1, 200), Some(0.1)),
            &baseline(&falling(2, 200), rate),
        );
        assert_eq!(seen.standing, Standing::Undecided, "{}", seen.sentence);
        let words = [
            "cannot tell: ",
            "the loss of the baseline falls itself",
            "train once with learning rate 0",
        ];
        for words in words {
            assert!(seen.sentence.contains(words), "{}", seen.sentence);
        }
        let short = compare(&run(&flat(1, 40), Some(0.1)), &baseline(&flat(2, 40), rate));
        assert_eq!(short.standing, Standing::Undecided, "{}", short.sentence);
        assert!(
            short
                .sentence
                .contains("too short to show whether its loss falls"),
            "{}",
            short.sentence
        );
        let still = compare(&run(&flat(1, 200), Some(0.1)), &baseline(&flat(2, 200), rate));
        assert_eq!(still.standing, Standing::NotTraining, "{}", still.sentence);
    }
}

/// Noise as in [`flat`]; what falls by a factor of 1.5 and more is never taken for flat, and flat ones are known as such.
#[test]
fn a_baseline_that_falls_is_hardly_ever_taken_for_flat() {
    let share = |seeds: std::ops::Range<u64>, losses: fn(u64) -> Vec<f64>| {
        let n = seeds.end - seeds.start;
        let blamed = seeds.filter(|seed| {
            let (own, theirs) = (losses(*seed), losses(seed + 100_000));
            compare(&run(&own, Some(0.1)), &baseline(&theirs, Some(0.1))).standing == Standing::NotTraining
        });
        blamed.count() as f64 / n as f64
    };
    let quick = |seed: u64| -> Vec<f64> {
        let fall = (0..200).map(|step| 1.5 * (-f64::from(step) / 6.0).exp());
        flat(seed, 200)
            .iter()
            .zip(fall)
            .map(|(it, fall)| it + fall)
            .collect()
    };
    let slow = |seed: u64| -> Vec<f64> {
        let fall = (0..200).map(|step| 1.2 - f64::from(step) / 166.0);
        flat(seed, 200)
            .iter()
            .zip(fall)
            .map(|(it, fall)| it + fall)
            .collect()
    };
    let shares = [
        share(0..500, |seed| falling(seed, 200)),
        share(0..500, quick),
        share(0..500, slow),
        share(0..500, |seed| flat(seed, 200)),
    ];
    eprintln!("taken for flat: falling, falling at once, falling slowly, flat: {shares:?}");
    assert!(
        shares[..3].iter().all(|it| *it < 0.02) && shares[3] > 0.9,
        "{shares:?}"
    );
}

#[test]
fn a_fall_of_less_than_a_percent_is_not_training() {
    let base = flat(3, 100);
    let falls: Vec<f64> = base.iter().map(|it| it * 0.995).collect();
    assert_eq!(of(&falls, &base).standing, Standing::NotTraining);
}

#[test]
fn what_diverges_or_breaks_is_worse() {
    let base = flat(3, 100);
    let rises: Vec<f64> = (0..)
        .zip(&base)
        .map(|(step, it)| it + 0.05 * f64::from(step))
        .collect();
    let seen = of(&rises, &base);
    assert_eq!(seen.standing, Standing::Worse);
    assert!(
        seen.sentence.starts_with("worse than learning rate 0: ")
            && seen.remedy[0].starts_with("Reduce the learning rate")
    );
    let mut breaks: Vec<f64> = base.iter().map(|it| it * 0.5).collect();
    breaks[90..].fill(f64::NAN);
    let seen = of(&breaks, &base);
    assert_eq!(seen.standing, Standing::Worse);
    assert!(
        seen.sentence.contains("its loss ends as NaN (since step 90)"),
        "{}",
        seen.sentence
    );
}

#[test]
fn trouble_at_rate_zero_is_not_blamed_on_the_rate() {
    let base = flat(3, 100);
    let mut other = baseline(&base, Some(0.0));
    other.troubles.push(Trouble {
        family: Family::Depth,
        kind: "vanishing",
        rule: "vanishing-gradients".to_owned(),
        message: "the gradients vanish".to_owned(),
    });
    let seen = compare(&run(&base, Some(0.1)), &other);
    assert_eq!(seen.standing, Standing::TroubleToo);
    assert!(
        seen.sentence
            .starts_with("the trouble is there at learning rate 0 too: "),
        "{}",
        seen.sentence
    );
    assert!(
        !seen
            .remedy
            .iter()
            .any(|it| it.contains("Reduce the learning rate"))
    );
    let trains: Vec<f64> = base.iter().map(|it| it * 0.5).collect();
    let seen = compare(&run(&trains, Some(0.1)), &other);
    assert_eq!(seen.standing, Standing::Training);
    assert!(
        seen.notes.iter().any(|it| it.contains("the gradients vanish")),
        "{:?}",
        seen.notes
    );
    let broken = baseline(&[f64::NAN; 30], Some(0.0));
    assert_eq!(
        compare(&run(&[f64::NAN; 30], Some(0.1)), &broken).standing,
        Standing::TroubleToo
    );
}

#[test]
fn says_what_limits_it() {
    let base = flat(3, 100);
    let seen = compare(&run(&base, Some(0.0)), &baseline(&base, Some(0.1)));
    assert!(
        seen.notes
            .iter()
            .any(|it| it.contains("learning rate of the baseline is not 0 (1e-1 to 1e-1)")),
        "{:?}",
        seen.notes
    );
    assert!(seen.notes.iter().any(|it| it.contains("of the run itself is 0")));
    assert!(!seen.sentence.contains("learning rate 0"), "{}", seen.sentence);
    let seen = compare(&run(&base, None), &baseline(&base, None));
    assert!(
        seen.notes
            .iter()
            .any(|it| it.contains("does not log its learning rate")),
        "{:?}",
        seen.notes
    );
    assert_eq!(of(&base[..5], &base[..5]).standing, Standing::Undecided);
}

#[test]
fn steps_that_do_not_overlap_are_named() {
    let mut later = Portrait::default();
    add(&mut later, "loss", (1_000..1_100).zip(flat(3, 100)));
    let seen = compare(&later, &baseline(&flat(4, 100), Some(0.1)));
    assert_eq!(seen.standing, Standing::Undecided);
    assert!(
        seen.notes
            .iter()
            .any(|it| it == "no step in common: the run has 1000 to 1099, the baseline 0 to 99"),
        "{:?}",
        seen.notes
    );
    // At learning rate 0 a loss has no trend: all of it can be compared with what came later.
    let mut falls = Portrait::default();
    add(
        &mut falls,
        "loss",
        (0..3_000).zip(
            noise(8, 3_000, 0.5, 0.1)
                .iter()
                .zip(0..)
                .map(|(it, step)| 1.0 + it + 1.3 * (-f64::from(step) / 300.0).exp()),
        ),
    );
    let seen = compare(&falls, &baseline(&flat(4, 100), Some(0.0)));
    assert_eq!(
        (seen.standing, seen.loss.map(|it| it.way)),
        (Standing::Training, Some(Way::Separate))
    );
}

#[test]
fn layers_that_have_not_moved_are_told() {
    let mut own = run(
        &flat(3, 100).iter().map(|it| it * 0.5).collect::<Vec<_>>(),
        Some(0.1),
    );
    let mut base = baseline(&flat(3, 100), Some(0.0));
    for k in 0..4 {
        let tag = format!("weight_norm/layers.{k}.weight");
        add(
            &mut own,
            &tag,
            (0..100).map(|step| (step, if k < 2 { 1.0 } else { 1.0 + 0.01 * step as f64 })),
        );
        add(&mut base.portrait, &tag, (0..100).map(|step| (step, 1.0)));
        let tag = format!("grad_norm/layers.{k}.weight");
        add(
            &mut own,
            &tag,
            (0..100).map(|step| (step, (1.0 + step as f64).recip())),
        );
        add(
            &mut base.portrait,
            &tag,
            (0..100).map(|step| (step, 1.0 + 0.01 * (step % 3) as f64)),
        );
    }
    let seen = compare(&own, &base);
    assert_eq!(
        seen.layers.iter().map(|it| it.has_moved).collect::<Vec<_>>(),
        [Some(false), Some(false), Some(true), Some(true)]
    );
    assert_eq!(seen.layers[3].weight, Some((1.0, 1.99)));
    assert!(seen.layers.iter().all(|it| {
        it.gradient
            .is_some_and(|gradient| gradient.ratio < 0.05 && gradient.differs)
    }));
    assert!(
        seen.notes
            .iter()
            .any(|it| it == "weights that have not moved: layers.0.weight, layers.1.weight"),
        "{:?}",
        seen.notes
    );
}
