//! Made-up healthy runs for tests of false alarms: shapes of losses times kinds of noise times lengths.
//!
//! In: a seed. Out: named series. Invariant: none of them is sick; a warning on one is a false alarm.

use super::bench::Noise;

/// A name, and a level as a function of the share of the run that is done.
pub(crate) type Shape = (&'static str, fn(f64) -> f64);
/// A name, and the next value of a noise with its state.
type Kind = (&'static str, fn(&mut Noise, &mut f64) -> f64);

/// How a healthy loss goes down, as a function of the share of the run that is done.
const SHAPES: &[Shape] = &[
    ("power law", |t| 1.8 + 9.0 * (1.0 + 60.0 * t).powf(-0.8)),
    ("to a floor", |t| 0.5 + 1.8 * (-12.0 * t).exp()),
    ("to nearly zero", |t| 0.01 + 2.3 * (-8.0 * t).exp()),
    ("plateau, then falls", |t| {
        0.4 + 1.9 / (1.0 + (25.0 * (t - 0.4)).exp())
    }),
    ("slow line", |t| 3.0 - 0.8 * t),
    ("falls at once", |t| if t < 0.04 { 4.0 } else { 1.0 }),
    ("steps of the learning rate", |t| {
        if t < 0.33 {
            0.9 + 2.0 * (-20.0 * t).exp()
        } else if t < 0.66 {
            0.4
        } else {
            0.25
        }
    }),
    ("warm restarts", |t| {
        let phase = (4.0 * t).fract();
        0.6 + 1.7 * (-6.0 * t).exp() + 0.35 * (1.0 - t) * (1.0 - phase).powi(2)
    }),
    ("early bump", |t| {
        2.3 * (-4.0 * t).exp() + 0.3 + 0.9 * (-((t - 0.03) / 0.015).powi(2)).exp()
    }),
    ("harder data half way", |t| {
        1.0 + 1.3 * (-10.0 * t).exp() + if t > 0.5 { 0.12 } else { 0.0 }
    }),
    ("starts trained", |t| 1.25 - 0.05 * t),
];

/// Noise as a factor on the loss.
const NOISES: &[Kind] = &[
    ("none", |_, _| 0.0),
    ("white 2 %", |noise, _| 0.02 * noise.normal()),
    ("white 10 %", |noise, _| 0.1 * noise.normal()),
    ("white 40 %", |noise, _| 0.4 * noise.normal()),
    ("AR(.9) 2 %", |noise, state| ar(noise, state, 0.9, 0.02)),
    ("AR(.9) 10 %", |noise, state| ar(noise, state, 0.9, 0.1)),
    ("heavy 5 %", |noise, _| 0.05 * noise.heavy()),
    ("heavy 20 %", |noise, _| 0.2 * noise.heavy()),
    ("outlier batches", |noise, _| {
        0.05 * noise.normal() + if noise.uniform() < 0.002 { 1.5 } else { 0.0 }
    }),
];

/// Points per run.
const LENGTHS: &[usize] = &[7, 20, 50, 120, 600, 2000];

fn ar(noise: &mut Noise, state: &mut f64, r: f64, sd: f64) -> f64 {
    *state = r * *state + (1.0 - r * r).sqrt() * sd * noise.normal();
    *state
}

/// Losses above zero that go down.
pub(crate) fn falling_losses(seed: u64) -> Vec<(String, Vec<f64>)> {
    let mut noise = Noise(seed);
    let mut runs = Vec::new();
    for (shape, level) in SHAPES {
        for (kind, factor) in NOISES {
            for length in LENGTHS {
                let mut state = 0.0;
                let run = (0..*length)
                    .map(|i| level(i as f64 / *length as f64) * factor(&mut noise, &mut state).exp())
                    .collect();
                runs.push((format!("{shape}, {kind}, {length} points, seed {seed}"), run));
            }
        }
    }
    runs
}

/// Losses without a way down: adversarial, policy gradient, negative.
pub(crate) fn odd_losses(seed: u64) -> Vec<(String, Vec<f64>)> {
    let mut noise = Noise(seed);
    let mut runs = Vec::new();
    for length in LENGTHS {
        let share = |i: usize| i as f64 / *length as f64;
        let mut add = |name: &str, f: &mut dyn FnMut(f64, &mut Noise) -> f64| {
            let run: Vec<f64> = (0..*length).map(|i| f(share(i), &mut noise)).collect();
            runs.push((format!("{name}, {length} points, seed {seed}"), run));
        };
        let mut state = 0.0;
        add("generator at balance", &mut |_, noise| {
            0.75 * (0.12 * noise.normal()).exp()
        });
        add("generator that climbs", &mut |t, noise| {
            (0.7 + 2.0 * t.sqrt()) * (ar(noise, &mut state, 0.9, 0.1) + 0.05 * noise.normal()).exp()
        });
        add("policy gradient", &mut |_, noise| -0.15 + 0.15 * noise.normal());
        add("policy gradient, heavy", &mut |_, noise| {
            0.02 + 0.1 * noise.heavy()
        });
        add("evidence bound", &mut |t, noise| {
            3.0 - 12.0 * t + 0.4 * noise.normal()
        });
        add("evidence bound to a floor", &mut |t, noise| {
            -80.0 + 90.0 * (-8.0 * t).exp() + 2.0 * noise.normal()
        });
        add("contrastive, all alike", &mut |_, noise| {
            1e-3 * (1.0 + 0.3 * noise.normal()).abs()
        });
    }
    runs
}

/// Norms of gradients of a healthy run.
pub(crate) fn gradient_norms(seed: u64) -> Vec<(String, Vec<f64>)> {
    let mut noise = Noise(seed);
    let mut runs = Vec::new();
    let levels: &[Shape] = &[
        ("steady", |_| 1.0),
        ("falls", |t| (1.0 + 100.0 * t).powf(-0.5)),
        ("warm-up x10", |t| 0.1 + 0.9 * (t * 10.0).min(1.0)),
        ("grows as a root", |t| 0.3 + t.sqrt()),
        ("vanishes at convergence", |t| (-14.0 * t).exp()),
    ];
    for (shape, level) in levels {
        for sd in [0.05, 0.3, 0.6] {
            for length in LENGTHS {
                let mut state = 0.0;
                let run = (0..*length)
                    .map(|i| {
                        let stray = ar(&mut noise, &mut state, 0.9, sd / 2.0) + 0.5 * sd * noise.heavy();
                        level(i as f64 / *length as f64) * stray.exp()
                    })
                    .collect();
                runs.push((format!("{shape}, sd {sd}, {length} points, seed {seed}"), run));
            }
        }
    }
    runs
}
