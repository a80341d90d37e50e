//! Which flags of `simulate` go together.
//!
//! In: the flags. Out: nothing, or the sentence that refuses them. Invariant: after this no flag that was given is
//! without effect but the seed, which may be named for chains that draw nothing.

use crate::app::chain::{ChainFailure, refuse_useless};
use crate::cli::SimulateArgs;

const IS_SCALAR: &str = "is for scalar chains, and --width makes a matrix chain: leave out one of the two";
const IS_MATRIX: &str = "is for matrix chains: name a --width, or leave it out";
const NEEDS_STEPS: &str = "changes nothing without training: name --steps or --out, or leave it out";
const NEEDS_OUT: &str = "changes nothing without --out";

/// Refuses flags that contradict each other.
pub(super) fn check(args: &SimulateArgs) -> Result<(), ChainFailure> {
    let is_matrix = !args.ensemble.width.is_empty();
    let (trains, writes) = (args.steps.is_some(), args.out.is_some());
    let moves = trains || writes;
    let sees_batches = is_matrix || writes && !trains && args.target.is_none();
    let mut uses = vec![
        ("--weight", !args.weight.is_empty(), !is_matrix, IS_SCALAR),
        ("--bias", !args.bias.is_empty(), !is_matrix, IS_SCALAR),
        ("--input", args.input.is_some(), !is_matrix, IS_SCALAR),
        ("--target", args.target.is_some(), !is_matrix, IS_SCALAR),
    ];
    let matrix_flags = args.ensemble.matrix_flags();
    uses.extend(matrix_flags.map(|(flag, given)| (flag, given, is_matrix, IS_MATRIX)));
    uses.extend([
        (
            "--batch",
            args.ensemble.batch.is_some(),
            sees_batches,
            "changes nothing: a scalar chain sees one sample, unless --out writes looks at it without a --target",
        ),
        (
            "--looks",
            args.looks.is_some(),
            !trains,
            "is the number of looks at an untrained network, and --steps trains it: leave out one of the two",
        ),
        ("--looks", args.looks.is_some(), writes, NEEDS_OUT),
        ("--as", args.log_format.is_some(), writes, NEEDS_OUT),
        ("--learning-rate", args.learning_rate.is_some(), moves, NEEDS_STEPS),
        ("--momentum", args.momentum.is_some(), moves, NEEDS_STEPS),
        ("--weight-decay", args.weight_decay.is_some(), moves, NEEDS_STEPS),
        ("--clip", args.clip.is_some(), moves, NEEDS_STEPS),
        ("--freeze-biases", args.freeze_biases, moves, NEEDS_STEPS),
        ("--bad-step", args.bad_step.is_some(), moves, NEEDS_STEPS),
        (
            "--bad-factor",
            args.bad_factor.is_some(),
            args.bad_step.is_some(),
            "changes nothing without --bad-step",
        ),
    ]);
    refuse_useless(&uses)?;
    check_steps(args)
}

fn check_steps(args: &SimulateArgs) -> Result<(), ChainFailure> {
    let (flag, steps) = match (args.steps, &args.out) {
        (Some(steps), _) => ("--steps", steps),
        (None, Some(_)) => ("--looks", super::looks(args)),
        (None, None) => return Ok(()),
    };
    let refuse = |why: String| Err(ChainFailure::Contradiction(why));
    match args.bad_step {
        _ if steps == 0 => refuse(format!("{flag} 0 asks for nothing: name at least 1")),
        Some(bad) if bad >= steps => refuse(format!(
            "--bad-step {bad} never comes: {flag} {steps} ends with step {}",
            steps - 1
        )),
        _ => Ok(()),
    }
}
