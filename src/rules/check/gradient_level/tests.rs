//! `gradient-level`: flat nets that are sick, and large or small numbers that have a reason.

use super::INFO;
use crate::model::{Quantity, Severity};
use crate::rules::check::ProfileCheck;
use crate::rules::check::profile_fixture::{Net, World, build, geometric, kinds, observations};

fn flat(norm: f64) -> Net {
    Net::weights(Quantity::GradNorm, &[norm; 12])
}

fn world(losses: &[f64]) -> World {
    World::default()
        .losses(losses)
        .latest(Net::weights(Quantity::WeightNorm, &[8.0; 12]))
}

fn show(check: &mut dyn ProfileCheck, world: &World, net: &Net, times: i64) -> Vec<&'static str> {
    let mut last = Vec::new();
    for step in 0..times {
        last = kinds(&world.show(check, net, step));
    }
    last
}

fn first(world: &World, net: &Net) -> Vec<&'static str> {
    show(build(&INFO, &[]).as_mut(), world, net, 1)
}

#[test]
fn a_chain_that_explodes_evenly_is_told_at_the_first_profile() {
    // Gain 1.8 over 20 linear layers without biases: output 1e5, squared error 1e10, flat gradients 2e10.
    assert_eq!(first(&world(&[7.5e9; 3]), &flat(2.4e10)), ["exploding"]);
    let judged = world(&[7.5e9; 3]).show(build(&INFO, &[]).as_mut(), &flat(2.4e10), 0);
    assert_eq!(observations(&judged)[0].severity, Some(Severity::Critical));
    assert_eq!(first(&world(&[1.4e7; 3]), &flat(1.8e7)), ["exploding"]);
    // Without weight norms the loss is enough.
    assert_eq!(
        first(&World::default().losses(&[7.5e9; 3]), &flat(2.4e10)),
        ["exploding"]
    );
}

#[test]
fn large_numbers_with_a_reason_are_quiet() {
    assert!(
        first(&world(&[4e5; 3]), &flat(1e5)).is_empty(),
        "summed over 1e5 tokens"
    );
    assert!(first(&world(&[4e10; 3]), &flat(8e5)).is_empty(), "targets of 2e5");
    assert!(
        first(&world(&[5.0; 3]), &flat(2e6)).is_empty(),
        "scaled by a loss scale that is not logged"
    );
    let mut logged = world(&[5e4; 3]);
    logged.facts.loss_scale = Some(65_536.0);
    assert!(
        first(&logged, &flat(65_536.0 * 9e3)).is_empty(),
        "scaled by one that is logged"
    );
    assert!(
        first(&World::default(), &flat(1e12)).is_empty(),
        "no loss: nobody can tell"
    );
    assert!(
        first(&world(&[-3.0; 3]), &flat(1e12)).is_empty(),
        "a loss without a zero"
    );
}

#[test]
fn a_late_level_is_compared_with_the_start_only() {
    let mut check = build(&INFO, &[]);
    let healthy = world(&[2.3; 12]);
    assert!(show(check.as_mut(), &healthy, &flat(1.0), 20).is_empty());
    assert!(show(check.as_mut(), &healthy, &flat(9.9e-5), 2).is_empty());
    assert_eq!(show(check.as_mut(), &healthy, &flat(9.9e-5), 1), ["vanishing"]);
    assert!(
        show(check.as_mut(), &healthy, &flat(1.1e-4), 5).is_empty(),
        "boundary and recovery"
    );
    assert!(show(check.as_mut(), &healthy, &flat(1.1e4), 2).is_empty());
    assert_eq!(show(check.as_mut(), &healthy, &flat(1.1e4), 1), ["exploding"]);
}

#[test]
fn gradients_that_fall_with_the_loss_have_converged() {
    let mut check = build(&INFO, &[]);
    show(check.as_mut(), &world(&[2.3; 12]), &flat(1.0), 20);
    let learnt = world(&[2.3, 2.3, 2.3, 0.01, 0.01, 0.01, 0.01, 0.01]);
    assert!(show(check.as_mut(), &learnt, &flat(1e-9), 20).is_empty());
    // Half of the loss is left, as with full batches at a noise floor: told, but no alarm.
    let floor = world(&[2.3, 2.3, 2.3, 1.0, 1.0, 1.0, 1.0, 1.0]);
    show(check.as_mut(), &floor, &flat(1e-6), 3);
    let judged = floor.show(check.as_mut(), &flat(1e-6), 4);
    assert_eq!(observations(&judged)[0].severity, Some(Severity::Info));
}

#[test]
fn a_dynamic_loss_scale_is_no_drift() {
    let mut check = build(&INFO, &[]);
    let mut scaled = world(&[2.3; 12]);
    scaled.facts.loss_scale = Some(65_536.0);
    show(check.as_mut(), &scaled, &flat(65_536.0), 10);
    scaled.facts.loss_scale = Some(1.0);
    assert!(show(check.as_mut(), &scaled, &flat(1.0), 10).is_empty());
}

#[test]
fn nothing_can_be_learnt_from_tiny_gradients() {
    let mut check = build(&INFO, &[]);
    let stuck = world(&[2.3; 12]);
    assert!(show(check.as_mut(), &stuck, &flat(0.9e-7), 2).is_empty());
    assert_eq!(show(check.as_mut(), &stuck, &flat(0.9e-7), 1), ["vanishing"]);
    assert!(show(build(&INFO, &[]).as_mut(), &stuck, &flat(1.1e-7), 9).is_empty());
    // A loss of 1e-9 by its units has gradients to match.
    assert!(show(build(&INFO, &[]).as_mut(), &world(&[1e-9; 12]), &flat(1e-9), 9).is_empty());
}

#[test]
fn underflow_climbs_out_of_zeros_and_frozen_layers_do_not() {
    let stuck = world(&[2.3; 12]);
    let mut norms = geometric(1e-37, 1e3, 12);
    norms[..4].fill(0.0);
    let underflow = Net::weights(Quantity::GradNorm, &norms);
    assert_eq!(
        show(build(&INFO, &[]).as_mut(), &stuck, &underflow, 3),
        ["vanishing"]
    );
    let mut frozen = vec![1.0; 12];
    frozen[..6].fill(0.0);
    assert!(
        show(
            build(&INFO, &[]).as_mut(),
            &stuck,
            &Net::weights(Quantity::GradNorm, &frozen),
            30
        )
        .is_empty()
    );
}

#[test]
fn nan_and_shallow_nets_are_not_judged() {
    let loud = world(&[7.5e9; 3]);
    let mut norms = vec![2.4e10; 12];
    norms[3] = f64::NAN;
    assert!(first(&loud, &Net::weights(Quantity::GradNorm, &norms)).is_empty());
    assert!(first(&loud, &Net::weights(Quantity::GradNorm, &[2.4e10; 3])).is_empty());
}

#[test]
fn zeros_everywhere_are_vanishing_beside_a_loss_that_stands_still() {
    let stuck = world(&[2.3; 24]);
    let mut zeros = vec![0.0; 12];
    zeros[11] = 0.3;
    let net = Net::weights(Quantity::GradNorm, &zeros);
    assert!(show(build(&INFO, &[]).as_mut(), &stuck, &net, 2).is_empty());
    assert_eq!(show(build(&INFO, &[]).as_mut(), &stuck, &net, 3), ["vanishing"]);
    // Frozen layers, beside which the loss falls; numbers printed as 0.0000; the first points of a run.
    let falling: Vec<f64> = (0..24).map(|i| 2.3 - 0.05 * f64::from(i)).collect();
    assert!(show(build(&INFO, &[]).as_mut(), &world(&falling), &net, 30).is_empty());
    let printed = Net::weights(Quantity::GradNorm, &zeros).resolution(1e-4);
    assert!(show(build(&INFO, &[]).as_mut(), &stuck, &printed, 30).is_empty());
    assert!(show(build(&INFO, &[]).as_mut(), &world(&[2.3; 12]), &net, 30).is_empty());
    let mut game = world(&[2.3; 24]);
    game.facts.is_game = true;
    assert!(show(build(&INFO, &[]).as_mut(), &game, &net, 30).is_empty());
}

#[test]
fn one_profile_and_one_loss_are_enough_for_an_explosion() {
    assert_eq!(first(&world(&[7.5e9]), &flat(2.4e10)), ["exploding"]);
    assert!(first(&world(&[5.0]), &flat(2.0)).is_empty());
}
