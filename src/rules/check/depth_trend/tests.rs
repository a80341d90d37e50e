//! `depth-trend` on chains whose answer is known, and its share of false alarms on healthy nets.

use super::INFO;
use crate::model::{DepthOrder, Quantity, Severity};
use crate::rules::check::profile_fixture::{Net, Noise, World, build, geometric, kinds, observations};
use crate::rules::check::{Judged, Judgement};

/// What the check says of the fifth profile like this one.
fn judge(net: &Net) -> Vec<Judged> {
    let mut check = build(&INFO, &[]);
    for step in 0..4 {
        World::default().show(check.as_mut(), net, step);
    }
    World::default().show(check.as_mut(), net, 4)
}

fn verdicts(judged: &[Judged]) -> Vec<&'static str> {
    judged
        .iter()
        .map(|it| match &it.judgement {
            Judgement::Abstain => "abstain",
            Judgement::Good | Judgement::Healed(_) => "good",
            Judgement::Bad(observation) => observation.kind,
        })
        .collect()
}

/// Norms of the three channels of a homogeneous scalar chain with n layers and input 1: activations by the
/// recurrence, delta = w^(n - k), weight gradient = product of the two.
fn chain(w: f64, b: f64, n: usize) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let mut inputs = Vec::new();
    let mut activations = Vec::new();
    let mut a: f64 = 1.0;
    for _ in 0..n {
        inputs.push(a.abs());
        a = a * w + b;
        activations.push(a.abs());
    }
    let deltas: Vec<f64> = (1..=n).map(|k| w.powi((n - k) as i32)).collect();
    let weights = inputs.iter().zip(&deltas).map(|(a, delta)| a * delta).collect();
    (activations, deltas, weights)
}

fn chain_verdicts(w: f64, b: f64) -> [Vec<&'static str>; 3] {
    let (activations, deltas, weights) = chain(w, b, 50);
    [
        verdicts(&judge(
            &Net::new(Quantity::GradNorm).group("layers.#", "bias", &deltas),
        )),
        verdicts(&judge(&Net::weights(Quantity::ActivationNorm, &activations))),
        verdicts(&judge(&Net::weights(Quantity::GradNorm, &weights))),
    ]
}

#[test]
fn chains_are_named_by_their_gain_and_the_blind_channel_is_quiet() {
    // Channels: bias gradients, activations, weight gradients (figures of the 50-layer reference table).
    assert_eq!(chain_verdicts(0.8, 0.0), [["vanishing"], ["vanishing"], ["good"]]);
    assert_eq!(chain_verdicts(0.8, 1.0), [["vanishing"], ["good"], ["vanishing"]]);
    assert_eq!(
        chain_verdicts(1.25, 0.0),
        [["exploding"], ["exploding"], ["good"]]
    );
    assert_eq!(
        chain_verdicts(1.25, 1.0),
        [["exploding"], ["exploding"], ["good"]]
    );
    assert_eq!(chain_verdicts(1.0, 0.0), [["good"], ["good"], ["good"]]);
    assert_eq!(chain_verdicts(1.0, 1.0), [["good"], ["good"], ["good"]]);
}

#[test]
fn ratio_is_read_from_the_output_to_the_input_in_gradients() {
    let net = Net::weights(Quantity::GradNorm, &geometric(1e-6, 2.0, 24));
    let judged = judge(&net);
    let found = observations(&judged)[0];
    assert!(
        (found.value - 0.5).abs() < 1e-12 && (found.bound - 1.0 / 1.1).abs() < 1e-12,
        "{found:?}"
    );
    assert_eq!(found.severity, Some(Severity::Critical));
    assert_eq!(found.slots.len(), 24);
}

#[test]
fn bounds_are_met_exactly_at_the_total_ratio() {
    for (total, expected) in [(99.0, "good"), (101.0, "vanishing"), (9.9e3, "vanishing")] {
        let ratio = f64::powf(total, 1.0 / 11.0);
        let judged = judge(&Net::weights(Quantity::GradNorm, &geometric(1.0, ratio, 12)));
        assert_eq!(verdicts(&judged), [expected], "total {total}");
        assert!(
            observations(&judged).iter().all(|it| it.severity.is_none()),
            "warning below 1e4"
        );
    }
    // 1.09 per layer over 100 layers is x5000 in total, but too slow per layer.
    assert_eq!(
        verdicts(&judge(&Net::weights(
            Quantity::GradNorm,
            &geometric(1.0, 1.09, 100)
        ))),
        ["good"]
    );
}

#[test]
fn three_steep_or_five_mild_profiles_of_eight_are_needed() {
    let world = World::default();
    let mut check = build(&INFO, &[]);
    let flat = Net::weights(Quantity::GradNorm, &[1.0; 12]);
    let mild = Net::weights(Quantity::GradNorm, &geometric(1.0, 1.7, 12)); // x342 in total
    let steep = Net::weights(Quantity::GradNorm, &geometric(1.0, 2.0, 12)); // x2048
    let mut show = |net: &Net| verdicts(&world.show(check.as_mut(), net, 0));
    assert_eq!(show(&flat), ["good"]);
    assert_eq!(
        [show(&steep), show(&steep), show(&steep)],
        [["good"], ["good"], ["vanishing"]]
    );
    assert_eq!(show(&flat), ["good"]);
    for _ in 0..8 {
        assert_eq!(show(&flat), ["good"]);
    }
    for _ in 0..4 {
        assert_eq!(show(&mild), ["good"]);
    }
    assert_eq!(show(&flat), ["good"]);
    assert_eq!(show(&mild), ["vanishing"], "five of the last eight");
}

#[test]
fn an_explosion_in_the_first_profile_is_told_at_once() {
    let first = |ratio| {
        let net = Net::weights(Quantity::GradNorm, &geometric(1.0, ratio, 12));
        verdicts(&World::default().show(build(&INFO, &[]).as_mut(), &net, 0))
    };
    assert_eq!(first(1.0 / 2.4), ["exploding"]);
    assert_eq!(first(1.0 / 2.2), ["good"], "below the critical ratio");
    assert_eq!(first(2.4), ["good"], "a start that vanishes may come alive");
}

#[test]
fn short_stacks_need_a_larger_ratio() {
    let gradients = |ratio, n| judge(&Net::weights(Quantity::GradNorm, &geometric(1.0, ratio, n)));
    assert_eq!(verdicts(&gradients(1e5, 3)), <[&str; 0]>::default());
    assert_eq!(verdicts(&gradients(9.9, 4)), ["good"]);
    assert_eq!(verdicts(&gradients(10.1, 4)), ["vanishing"]);
    assert_eq!(verdicts(&gradients(1.0 / 5.7, 5)), ["exploding"]);
    assert_eq!(verdicts(&gradients(2.6, 6)), ["vanishing"]);
}

#[test]
fn a_trend_that_leads_out_of_the_format_is_told() {
    let of = |quantity, norms: &[f64]| verdicts(&judge(&Net::weights(quantity, norms)));
    // 300 layers of a chain of 1,000 before float32 overflows; NaN follows infinity.
    let mut grows = geometric(1.0, 1.3, 1000);
    grows[300..].fill(f64::INFINITY);
    grows[400..].fill(f64::NAN);
    assert_eq!(of(Quantity::ActivationNorm, &grows), ["exploding"]);
    // Gradients that underflow at the input.
    let mut shrinks = geometric(1e-38, 1.3, 1000);
    shrinks[..700].fill(0.0);
    shrinks
        .iter_mut()
        .skip(700)
        .zip(0..)
        .for_each(|(norm, k)| *norm = 1e-37 * 1.3_f64.powi(k));
    assert_eq!(of(Quantity::GradNorm, &shrinks), ["vanishing"]);
    // The other end was lost, or the middle: nobody can tell.
    grows.reverse();
    assert_eq!(
        of(Quantity::GradNorm, &grows),
        ["exploding"],
        "the input end of gradients"
    );
    let mut falls = geometric(1.0, 1.0 / 1.3, 1000);
    falls[300..].fill(f64::INFINITY);
    assert_eq!(of(Quantity::ActivationNorm, &falls), ["abstain"]);
    let mut broken = geometric(1.0, 1.3, 24);
    broken[12] = f64::NAN;
    assert_eq!(of(Quantity::ActivationNorm, &broken), ["abstain"]);
    // A level profile with a NaN end has no trend.
    let mut level = vec![1.0; 24];
    level[20..].fill(f64::NAN);
    assert_eq!(of(Quantity::ActivationNorm, &level), ["abstain"]);
}

/// float16 keeps what rounds to its smallest numbers: at 0.8 per layer gradients fall to 8 x 2^-24 and stay there.
#[test]
fn norms_that_stick_at_a_subnormal_of_float16_are_a_tail() {
    let of = |quantity, norms: &[f64]| verdicts(&judge(&Net::weights(quantity, norms)));
    let floor = 8.0 * 2.0_f64.powi(-24);
    let mut stuck = vec![floor; 256];
    let climb = geometric(floor, 1.25, 72);
    stuck[184..].copy_from_slice(&climb);
    assert_eq!(of(Quantity::GradNorm, &stuck), ["vanishing"]);
    stuck.reverse();
    assert_eq!(of(Quantity::ActivationNorm, &stuck), ["vanishing"]);
    assert_eq!(of(Quantity::GradNorm, &stuck), ["exploding"]);
    // The same shape far above float16's end, or a floor that something lies below, is no underflow.
    stuck.reverse();
    let normal: Vec<f64> = stuck.iter().map(|norm| norm * 1e3).collect();
    assert_eq!(of(Quantity::GradNorm, &normal), ["good"]);
    stuck[100] = floor / 2.0;
    assert_eq!(of(Quantity::GradNorm, &stuck), ["good"]);
}

#[test]
fn zeros_and_subnormals_are_left_out_not_replaced() {
    // 8 frozen layers of 24 healthy ones: an epsilon would make this a slope of 4.65 per layer.
    let mut norms = vec![1.0; 24];
    norms[..8].fill(0.0);
    assert_eq!(
        verdicts(&judge(&Net::weights(Quantity::GradNorm, &norms))),
        ["good"]
    );
    // More than half unusable: nobody can tell.
    norms[..13].fill(1e-40);
    assert_eq!(
        verdicts(&judge(&Net::weights(Quantity::GradNorm, &norms))),
        ["abstain"]
    );
    // A real trend keeps its true ratio between the gaps.
    let mut trend = geometric(1e-9, 2.0, 24);
    trend[3] = 0.0;
    trend[10] = 0.0;
    let judged = judge(&Net::weights(Quantity::GradNorm, &trend));
    assert!((observations(&judged)[0].value - 0.5).abs() < 1e-12);
}

#[test]
fn non_finite_layers_and_unknown_order_are_not_judged() {
    let mut trend = geometric(1e-9, 2.0, 24);
    trend[5] = f64::NAN;
    assert_eq!(
        verdicts(&judge(&Net::weights(Quantity::GradNorm, &trend))),
        ["abstain"]
    );
    let mut net = Net::weights(Quantity::GradNorm, &geometric(1e-9, 2.0, 24));
    net.groups[0].order = DepthOrder::Unknown;
    assert!(judge(&net).is_empty());
    net.groups[0].order = DepthOrder::FirstSeen;
    assert_eq!(verdicts(&judge(&net)), ["vanishing"]);
}

#[test]
fn missing_layers_keep_their_rank() {
    let mut net = Net::weights(Quantity::GradNorm, &geometric(1e-9, 2.0, 20));
    for missing in [1, 2, 7, 15] {
        net.values[missing] = None;
    }
    assert!((observations(&judge(&net))[0].value - 0.5).abs() < 1e-12);
}

#[test]
fn one_bad_layer_is_not_a_trend_and_recovery_is_good_again() {
    let mut check = build(&INFO, &[]);
    let world = World::default();
    let mut norms = vec![1.0; 12];
    norms[11] = 1e6;
    let healthy = Net::weights(Quantity::GradNorm, &norms);
    let sick = Net::weights(Quantity::GradNorm, &geometric(1.0, 3.0, 12));
    assert_eq!(verdicts(&world.show(check.as_mut(), &healthy, 1)), ["good"]);
    world.show(check.as_mut(), &sick, 2);
    world.show(check.as_mut(), &sick, 3);
    assert_eq!(verdicts(&world.show(check.as_mut(), &sick, 4)), ["vanishing"]);
    check.rewind(2);
    assert_eq!(verdicts(&world.show(check.as_mut(), &healthy, 2)), ["good"]);
}

#[test]
fn power_laws_are_one_level_lower_until_they_pass_n_squared() {
    let power = |exponent: f64| -> Vec<f64> { (1..=40).map(|k| f64::powf(f64::from(k), exponent)).collect() };
    let mild = judge(&Net::weights(Quantity::GradNorm, &power(3.0)));
    assert_eq!(observations(&mild)[0].severity, Some(Severity::Info));
    let wild = judge(&Net::weights(Quantity::GradNorm, &power(6.0)));
    assert_eq!(observations(&wild)[0].severity, Some(Severity::Critical));
}

#[test]
fn healthy_bias_gradients_lower_the_weight_channel() {
    let weights = geometric(1.0, 2.0, 12);
    let with_biases = |biases: &[f64]| {
        let net = Net::new(Quantity::GradNorm)
            .group("layers.#", "weight", &weights)
            .group("layers.#", "bias", biases);
        let judged = judge(&net);
        observations(&judged)
            .iter()
            .map(|it| it.severity)
            .collect::<Vec<_>>()
    };
    assert_eq!(with_biases(&[1.0; 12]), [Some(Severity::Info)]);
    assert_eq!(with_biases(&geometric(1.0, 2.0, 12)), [None, None]);
    // Biases in front of a normalisation: rounding noise, no witness.
    assert_eq!(with_biases(&[1e-9; 12]), [None]);
}

#[test]
fn gradients_that_are_gone_because_the_data_are_learnt_are_quiet() {
    let start = Net::weights(Quantity::GradNorm, &[1.0; 12]);
    let end = Net::weights(Quantity::GradNorm, &geometric(1e-9, 2.0, 12));
    let mut check = build(&INFO, &[]);
    World::default().show(check.as_mut(), &start, 0);
    let learnt = World::default().losses(&[2.0, 2.0, 2.0, 0.001, 0.001, 0.001]);
    assert_eq!(verdicts(&learnt.show(check.as_mut(), &end, 1000)), ["abstain"]);
    let stuck = World::default().losses(&[2.0, 2.0, 2.0, 1.9, 1.9, 1.9]);
    stuck.show(check.as_mut(), &end, 1001);
    assert_eq!(verdicts(&stuck.show(check.as_mut(), &end, 1002)), ["vanishing"]);
}

#[test]
fn known_widths_raise_the_bound_of_narrow_deep_nets() {
    let trend = geometric(1.0, 1.25, 32); // x1000 in total
    let narrow = Net::weights(Quantity::GradNorm, &trend).elements(16.0 * 16.0);
    let wide = Net::weights(Quantity::GradNorm, &trend).elements(256.0 * 256.0);
    assert_eq!(verdicts(&judge(&narrow)), ["good"]);
    assert_eq!(verdicts(&judge(&wide)), ["vanishing"]);
}

#[test]
fn two_groups_are_two_subjects_that_survive_a_new_order() {
    let mut check = build(&INFO, &[]);
    let world = World::default();
    let first = Net::weights(Quantity::GradNorm, &[1.0; 8]);
    let both = Net::new(Quantity::GradNorm)
        .group("attn.#", "weight", &[1.0; 8])
        .group("layers.#", "weight", &[1.0; 8]);
    assert_eq!(world.show(check.as_mut(), &first, 0)[0].subject, 0);
    let subjects: Vec<u32> = world
        .show(check.as_mut(), &both, 1)
        .iter()
        .map(|it| it.subject)
        .collect();
    assert_eq!(subjects, [1, 0]);
}

/// `ln norm` over depth of a healthy net: slope drift c/m and random-walk steps of variance v/m, measured per
/// ensemble; a pre-norm residual net adds a power law of total 3.8.
fn healthy(ensemble: &str, n: usize, m: f64, noise: &mut Noise) -> Vec<f64> {
    let (drift, variance, power) = match ensemble {
        "gauss" => (0.5, 0.55, 0.0),
        "relu" => (1.4, 1.7, 0.0),
        "orthogonal" => (0.0, 0.0, 0.0),
        _ => (0.0, 0.18, 3.8_f64.ln() / (n as f64).ln()),
    };
    let mut log = 0.0;
    (0..n)
        .map(|k| {
            log += drift / m + f64::sqrt(variance / m) * noise.normal();
            f64::exp(log - power * (k as f64 + 1.0).ln())
        })
        .collect()
}

fn false_alarms(ensemble: &str, n: usize, m: f64, seeds: u64, is_width_known: bool) -> usize {
    let world = World::default();
    let mut alarms = 0;
    for seed in 0..seeds {
        let mut noise = Noise::new(seed * 131 + n as u64);
        let mut net = Net::weights(Quantity::GradNorm, &healthy(ensemble, n, m, &mut noise));
        if is_width_known {
            net = net.elements(m * m);
        }
        let mut check = build(&INFO, &[("steep_ratio", 1.0)]);
        world.show(check.as_mut(), &net, 0);
        world.show(check.as_mut(), &net, 1);
        alarms += kinds(&world.show(check.as_mut(), &net, 2)).len();
    }
    alarms
}

#[test]
fn healthy_nets_raise_no_alarm_at_usual_widths() {
    // 2000 nets per cell, 24 cells of width 64 and 256 without knowing the width: no alarm in 48 000, so the
    // share is below 6.3e-5 (95 %).
    for ensemble in ["gauss", "relu", "orthogonal", "pre-norm"] {
        for n in [8, 32, 128] {
            for m in [64.0, 256.0] {
                assert_eq!(
                    false_alarms(ensemble, n, m, 2000, false),
                    0,
                    "{ensemble} n={n} m={m}"
                );
            }
        }
    }
}

#[test]
fn narrow_nets_are_quiet_when_their_width_is_known() {
    // Width 16: up to a third of deep ReLU nets wander past x100 although nothing is wrong. Knowing the width
    // the share is below 1e-3 in each cell (2000 nets).
    for ensemble in ["gauss", "relu", "orthogonal", "pre-norm"] {
        for n in [8, 32, 128] {
            let known = false_alarms(ensemble, n, 16.0, 2000, true);
            assert!(known <= 1, "{ensemble} n={n}: {known} of 2000");
        }
    }
    let unknown = false_alarms("relu", 128, 16.0, 500, false);
    assert!(unknown > 25, "the bound would be pointless: {unknown} of 500");
}

#[test]
fn bias_gradients_of_rounding_size_have_no_trend() {
    let weights = [0.3; 10];
    let noise = geometric(1e-7, 0.5, 10);
    let net = |biases: &[f64]| {
        Net::new(Quantity::GradNorm)
            .group("convs.#", "weight", &weights)
            .group("convs.#", "bias", biases)
    };
    assert!(verdicts(&judge(&net(&noise))).iter().all(|it| *it != "exploding"));
    // The same slope at the size of gradients is a trend, and so is one of which a single layer is of that size.
    let sound: Vec<f64> = noise.iter().map(|it| it * 1e6).collect();
    assert!(verdicts(&judge(&net(&sound))).contains(&"exploding"));
    let mut partly = geometric(1e-3, 0.5, 10);
    partly[0] = 0.1;
    assert!(verdicts(&judge(&net(&partly))).contains(&"exploding"));
}
