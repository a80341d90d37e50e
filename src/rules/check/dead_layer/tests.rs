//! `dead-layer`: deaths, frozen layers, sparse layers and poison, told apart.

use super::INFO;
use crate::model::{Quantity, Severity};
use crate::rules::check::profile_fixture::{Net, World, build, kinds, observations};
use crate::rules::check::{Judged, ProfileCheck};

fn stuck() -> World {
    World::default().losses(&[2.3; 10])
}

fn learning() -> World {
    World::default().losses(&[2.3, 2.3, 2.3, 2.0, 1.5, 1.2, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5])
}

/// Had learnt, and is back where it began.
fn lost() -> World {
    World::default().losses(&[2.3, 2.3, 2.3, 1.5, 1.0, 0.5, 0.5, 0.5, 2.3, 2.4, 2.3, 2.3, 2.3])
}

fn net(norms: &[f64]) -> Net {
    Net::weights(Quantity::GradNorm, norms)
}

fn repeat(check: &mut dyn ProfileCheck, world: &World, net: &Net, times: i64) -> Vec<Judged> {
    let mut last = Vec::new();
    for step in 0..times {
        last = world.show(check, net, step);
    }
    last
}

const LIVE: [f64; 7] = [1.0, 0.9, 1.1, 1.2, 1.0, 0.8, 0.5];
const DEAD: [f64; 7] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.8, 0.5];

#[test]
fn a_layer_that_dies_takes_all_below_it_and_the_third_log_tells() {
    let mut check = build(&INFO, &[]);
    repeat(check.as_mut(), &lost(), &net(&LIVE), 30);
    assert!(kinds(&repeat(check.as_mut(), &lost(), &net(&DEAD), 2)).is_empty());
    let judged = repeat(check.as_mut(), &lost(), &net(&DEAD), 1);
    let found = observations(&judged);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].kind, found[0].severity, found[0].slots.len()),
        ("dead", Some(Severity::Critical), 5)
    );
    // Half or less of the layers: the rule's own severity.
    assert!(
        kinds(&repeat(check.as_mut(), &lost(), &net(&LIVE), 30)).is_empty(),
        "recovers"
    );
    let judged = repeat(
        check.as_mut(),
        &lost(),
        &net(&[0.0, 0.0, 1.0, 1.0, 1.0, 0.8, 0.5]),
        4,
    );
    assert_eq!(observations(&judged)[0].severity, None);
}

#[test]
fn layers_frozen_in_mid_run_leave_the_loss_where_it_is() {
    let mut check = build(&INFO, &[]);
    repeat(check.as_mut(), &learning(), &net(&LIVE), 30);
    let judged = repeat(check.as_mut(), &learning(), &net(&DEAD), 30);
    assert_eq!(kinds(&judged), ["frozen-or-dead"]);
    assert_eq!(observations(&judged)[0].severity, Some(Severity::Info));
}

#[test]
fn a_net_without_gradients_from_the_start_is_dead_only_with_a_loss_that_stands_still() {
    let zeros = net(&[0.0; 5]);
    assert!(kinds(&repeat(build(&INFO, &[]).as_mut(), &stuck(), &zeros, 2)).is_empty());
    let judged = repeat(build(&INFO, &[]).as_mut(), &stuck(), &zeros, 3);
    assert_eq!(observations(&judged)[0].severity, Some(Severity::Critical));
    // Placeholders of a trainer that does not report norms.
    assert_eq!(
        kinds(&repeat(build(&INFO, &[]).as_mut(), &learning(), &zeros, 10)),
        ["frozen-or-dead"]
    );
    // Printed with four decimals, nothing is proven.
    let printed = zeros.resolution(1e-4);
    assert!(kinds(&repeat(build(&INFO, &[]).as_mut(), &stuck(), &printed, 9)).is_empty());
}

#[test]
fn frozen_layers_and_the_start_of_adapters_are_not_dead() {
    let frozen = net(&[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    let judged = repeat(build(&INFO, &[]).as_mut(), &learning(), &frozen, 40);
    assert_eq!(kinds(&judged), ["frozen-or-dead"]);
    assert_eq!(observations(&judged)[0].severity, Some(Severity::Info));
    let mut check = build(&INFO, &[]);
    repeat(check.as_mut(), &stuck(), &net(&[0.0; 6]), 1);
    assert!(kinds(&repeat(check.as_mut(), &stuck(), &net(&[1.0; 6]), 20)).is_empty());
}

#[test]
fn zeros_beside_a_loss_that_never_moves_are_called_dead_after_twenty_profiles() {
    let part = net(&[0.0, 0.0, 0.0, 1.0, 1.0]);
    assert_eq!(
        kinds(&repeat(build(&INFO, &[]).as_mut(), &stuck(), &part, 19)),
        ["frozen-or-dead"]
    );
    assert_eq!(
        kinds(&repeat(build(&INFO, &[]).as_mut(), &stuck(), &part, 20)),
        ["dead"]
    );
}

#[test]
fn sparse_layers_and_idle_experts_are_quiet() {
    let mut check = build(&INFO, &[]);
    for step in 0..400 {
        let on = |k: i64| if (step / 3 + k) % 4 == 0 { 1.0 } else { 0.0 };
        let sparse = net(&[on(0), on(1), on(2), on(3)]);
        assert!(
            kinds(&learning().show(check.as_mut(), &sparse, step)).is_empty(),
            "step {step}"
        );
    }
    let experts = |norms: &[f64]| Net::new(Quantity::GradNorm).group("experts.#", "weight", norms);
    let mut check = build(&INFO, &[]);
    repeat(check.as_mut(), &learning(), &experts(&[1.0; 4]), 20);
    assert!(
        kinds(&repeat(
            check.as_mut(),
            &learning(),
            &experts(&[0.0, 0.0, 1.0, 1.0]),
            50
        ))
        .is_empty()
    );
}

#[test]
fn a_lone_zero_between_live_layers_is_an_info() {
    let mut check = build(&INFO, &[]);
    repeat(check.as_mut(), &learning(), &net(&LIVE), 30);
    let judged = repeat(
        check.as_mut(),
        &learning(),
        &net(&[1.0, 0.9, 1.1, 0.0, 1.0, 0.8, 0.5]),
        5,
    );
    assert_eq!(observations(&judged)[0].severity, Some(Severity::Info));
}

#[test]
fn after_a_nan_nothing_is_said() {
    let mut check = build(&INFO, &[]);
    repeat(check.as_mut(), &learning(), &net(&LIVE), 30);
    let mut zeroed = lost();
    zeroed.facts.nonfinite_since = Some(29);
    assert!(
        kinds(&repeat(check.as_mut(), &zeroed, &net(&DEAD), 30)).is_empty(),
        "zeros that a NaN left"
    );
    repeat(check.as_mut(), &zeroed, &net(&LIVE), 30);
    assert_eq!(
        kinds(&repeat(check.as_mut(), &zeroed, &net(&DEAD), 30)),
        ["dead"],
        "an old NaN explains nothing"
    );
    let poisoned = net(&[0.0, 0.0, 0.0, 0.0, f64::NAN, f64::NAN, f64::NAN]);
    assert!(kinds(&repeat(check.as_mut(), &learning(), &poisoned, 30)).is_empty());
}

#[test]
fn faint_layers_stand_below_a_gap_and_vanishing_ones_do_not() {
    let faint = net(&[1.0, 1.0, 1e-9, 1.0, 1.0, 1.0, 1.0]);
    assert!(kinds(&repeat(build(&INFO, &[]).as_mut(), &stuck(), &faint, 9)).is_empty());
    assert_eq!(
        kinds(&repeat(build(&INFO, &[]).as_mut(), &stuck(), &faint, 10)),
        ["faint"]
    );
    let graded: Vec<f64> = (0..40).map(|k| 4.2_f64.powi(k) * 1e-22).collect();
    assert!(kinds(&repeat(build(&INFO, &[]).as_mut(), &stuck(), &net(&graded), 30)).is_empty());
    // Memorised data: tiny in every layer.
    assert!(
        kinds(&repeat(
            build(&INFO, &[]).as_mut(),
            &learning(),
            &net(&[1e-12; 8]),
            30
        ))
        .is_empty()
    );
}

#[test]
fn a_loss_of_exactly_zero_has_no_gradient_left() {
    let learnt = World::default().losses(&[0.0; 12]);
    let mut check = build(&INFO, &[]);
    repeat(check.as_mut(), &learnt, &net(&[1.0, 1.0, 1.0, 1.0]), 8);
    let judged = repeat(check.as_mut(), &learnt, &net(&[0.0, 0.0, 0.0, 0.0]), 8);
    assert!(observations(&judged).iter().all(|it| it.kind != "dead"));
}
