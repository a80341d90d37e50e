//! `gradwatch simulate`: the linear chain, printed or written as a run.
//!
//! In: the chain's arguments. Out: a table or `gradwatch.simulate/1` JSON on the given writer, and a log file
//! where `--out` asks for one. Invariant: a bad argument ends in one sentence before anything is written.

use std::io::Write;

use super::chain::{self, BATCH, ChainFailure};
use super::interrupt::Interrupt;
use crate::cli::{PrintFormat, SimulateArgs};
use crate::exit::ExitStatus;
use crate::simulate::{
    BadBatch, Batches, ChainSpec, LogFormat, Matrix, MatrixChain, Rng, RunWriter, ScalarChain, Sgd,
    TRAINED_WEIGHTS_MAX, Trainer, row_of, simulate_norms, width_one,
};

mod flags;
mod print;
#[cfg(test)]
mod tests;

/// Learning rate of training when none is named.
const TRAINING_RATE: f64 = 0.01;
/// Layers of a chain that lists none.
const LAYERS: usize = 50;
/// Weight of a scalar chain that names none.
const WEIGHT: f64 = 0.8;
/// Looks at an untrained network.
const LOOKS: u32 = 40;
/// Factor of the bad batch.
const BAD_FACTOR: f64 = 1e3;

/// Runs the command.
///
/// # Errors
/// A bad argument, an unusable output directory, or `out` cannot be written.
pub fn run(args: &SimulateArgs, out: &mut dyn Write) -> Result<ExitStatus, ChainFailure> {
    flags::check(args)?;
    match args.steps.or(args.out.as_ref().map(|_| looks(args))) {
        Some(steps) => train(args, steps, out)?,
        None if args.ensemble.width.is_empty() => show_scalar(args, out)?,
        None => show_matrix(args, out)?,
    }
    Ok(ExitStatus::Clean)
}

fn looks(args: &SimulateArgs) -> u32 {
    args.looks.unwrap_or(LOOKS)
}

fn show_scalar(args: &SimulateArgs, out: &mut dyn Write) -> Result<(), ChainFailure> {
    let chain = scalar_chain(args)?;
    let layers = match args.target {
        Some(target) => chain.loss_pass(target)?.layers,
        None => chain.output_pass(),
    };
    match args.format {
        PrintFormat::Json => print::scalar_json(&chain, &layers, chain::dtype(&args.ensemble), out)?,
        PrintFormat::Text => {
            print::scalar_text(&chain, &layers, chain::dtype(&args.ensemble), args.target, out)?;
        }
    }
    Ok(())
}

fn show_matrix(args: &SimulateArgs, out: &mut dyn Write) -> Result<(), ChainFailure> {
    let spec = chain_spec(args)?;
    let norms = simulate_norms(&spec, &mut Rng::new(args.seed))?;
    match args.format {
        PrintFormat::Json => print::matrix_json(&norms, out)?,
        PrintFormat::Text => print::matrix_text(&spec, &norms, args.seed, out)?,
    }
    Ok(())
}

fn train(args: &SimulateArgs, steps: u32, out: &mut dyn Write) -> Result<(), ChainFailure> {
    let mut trainer = trainer(args)?;
    let planned = i64::from(steps);
    let interrupt = args.out.as_ref().map(|_| Interrupt::listen()).transpose()?;
    let mut writer = match &args.out {
        Some(dir) => Some(RunWriter::create(
            dir,
            args.log_format.unwrap_or(LogFormat::TensorBoard),
            planned,
        )?),
        None => None,
    };
    let mut last = None;
    for _ in 0..steps {
        if let Some(interrupt) = interrupt.as_ref().filter(|it| it.has_come()) {
            drop(writer);
            interrupt.obey();
            return Err(ChainFailure::Interrupted);
        }
        let record = trainer.step()?;
        if let Some(writer) = &mut writer {
            writer.step(record.step, &row_of(&record))?;
        }
        last = Some(record);
    }
    let path = writer.map(RunWriter::finish).transpose()?;
    match (path, last, args.format) {
        (Some(path), _, PrintFormat::Text) => writeln!(out, "wrote {steps} steps to {}", path.display())?,
        (_, Some(record), PrintFormat::Text) => print::record_text(&record, out)?,
        (_, Some(record), PrintFormat::Json) => print::record_json(&record, out)?,
        (_, None, _) => {}
    }
    Ok(())
}

/// The training run that the arguments describe, at step 0.
///
/// # Errors
/// A bad argument, or too many weights.
pub(super) fn trainer(args: &SimulateArgs) -> Result<Trainer, ChainFailure> {
    flags::check(args)?;
    let sgd = Sgd {
        learning_rate: args
            .learning_rate
            .unwrap_or(if args.steps.is_some() { TRAINING_RATE } else { 0.0 }),
        momentum: args.momentum.unwrap_or(0.0),
        weight_decay: args.weight_decay.unwrap_or(0.0),
        clip_norm: args.clip,
        train_biases: !args.freeze_biases,
    };
    let bad = args.bad_step.map(|step| BadBatch {
        step: i64::from(step),
        factor: args.bad_factor.unwrap_or(BAD_FACTOR),
    });
    let (chain, batches) = if args.ensemble.width.is_empty() {
        let chain = width_one(&scalar_chain(args)?, chain::dtype(&args.ensemble))?;
        let batches = scalar_batches(args, &chain);
        (chain, batches)
    } else {
        let spec = chain_spec(args)?;
        let weights = spec
            .shapes()
            .map(|(m_in, m_out)| m_in.saturating_mul(m_out))
            .fold(0, usize::saturating_add);
        if weights > TRAINED_WEIGHTS_MAX {
            return Err(ChainFailure::TooManyWeights(weights));
        }
        let chain = MatrixChain::random(&spec, &mut Rng::new(args.seed))?;
        let batches = Batches::fresh(&chain, spec.batch, args.seed);
        (chain, batches)
    };
    Ok(Trainer::new(chain, batches, sgd, bad)?)
}

/// One sample again and again when it is trained or a target is named, else fresh ones: a fixed sample can sit
/// where the gradient is exactly 0 (w = 1, b = 0, a target equal to the input).
fn scalar_batches(args: &SimulateArgs, chain: &MatrixChain) -> Batches {
    if args.steps.is_none() && args.target.is_none() {
        let batch = args.ensemble.batch.unwrap_or(BATCH);
        return Batches::fresh(chain, batch, args.seed).scaled(input(args));
    }
    let one = |value: f64| Matrix::from_fn(1, 1, |_, _| value);
    Batches::Fixed {
        x: one(input(args)),
        target: one(args.target.unwrap_or(1.0)),
    }
}

fn input(args: &SimulateArgs) -> f64 {
    args.input.unwrap_or(1.0)
}

fn scalar_chain(args: &SimulateArgs) -> Result<ScalarChain, ChainFailure> {
    let or = |values: &[f64], default: f64| match values {
        [] => vec![default],
        given => given.to_vec(),
    };
    let (weights, biases) = (or(&args.weight, WEIGHT), or(&args.bias, 0.0));
    if let ([w], [b]) = (weights.as_slice(), biases.as_slice()) {
        let layers = args.ensemble.layers.unwrap_or(LAYERS);
        return Ok(ScalarChain::homogeneous(layers, *w, *b, input(args))?);
    }
    let n = weights.len().max(biases.len());
    let what = if weights.len() == n {
        "a --weight"
    } else {
        "a --bias"
    };
    chain::listed_layers(args.ensemble.layers, n, what)?;
    let listed = |values: Vec<f64>| match values.as_slice() {
        [one] => vec![*one; n],
        _ => values,
    };
    Ok(ScalarChain::listed(listed(weights), listed(biases), input(args))?)
}

fn chain_spec(args: &SimulateArgs) -> Result<ChainSpec, ChainFailure> {
    chain::chain_spec(&args.ensemble, LAYERS, 1)
}
