//! `gradwatch simulate`: the linear chain, printed or written as a run.
//!
//! In: the chain's arguments. Out: a table or `gradwatch.simulate/1` JSON on the given writer, and a log file
//! where `--out` asks for one. Invariant: a bad argument ends in one sentence before anything is written.

use std::io::{self, Write};

use crate::cli::{PrintFormat, SimulateArgs};
use crate::exit::ExitStatus;
use crate::simulate::{
    BadBatch, Batches, ChainSpec, Matrix, MatrixChain, Rng, RunWriter, ScalarChain, Sgd, SimulateError,
    Trainer, row_of, simulate_norms, width_one,
};

mod print;
#[cfg(test)]
mod tests;

/// Weights beyond this number are not built explicitly for training (8 GiB with momentum and gradients).
const TRAINED_WEIGHTS_MAX: usize = 1 << 28;
/// Learning rate of training when none is named.
const TRAINING_RATE: f64 = 0.01;

/// Why a simulation did not end well.
#[derive(Debug, thiserror::Error)]
pub enum SimulateFailure {
    /// The arguments or the output directory.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    /// Standard output cannot be written.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
    /// More weights than training can hold.
    #[error(
        "{0} weights are too many to train: at most {TRAINED_WEIGHTS_MAX}; without --steps any width goes"
    )]
    TooManyWeights(usize),
}

/// Runs the command.
///
/// # Errors
/// A bad argument, an unusable output directory, or `out` cannot be written.
pub fn run(args: &SimulateArgs, out: &mut dyn Write) -> Result<ExitStatus, SimulateFailure> {
    match args.steps.or(args.out.as_ref().map(|_| args.looks)) {
        Some(steps) => train(args, steps, out)?,
        None if args.width.is_empty() => show_scalar(args, out)?,
        None => show_matrix(args, out)?,
    }
    Ok(ExitStatus::Clean)
}

fn show_scalar(args: &SimulateArgs, out: &mut dyn Write) -> Result<(), SimulateFailure> {
    let chain = scalar_chain(args)?;
    let layers = match args.target {
        Some(target) => chain.loss_pass(target)?.layers,
        None => chain.output_pass(),
    };
    match args.format {
        PrintFormat::Json => print::scalar_json(&chain, &layers, out)?,
        PrintFormat::Text => print::scalar_text(&chain, &layers, args.dtype, args.target, out)?,
    }
    Ok(())
}

fn show_matrix(args: &SimulateArgs, out: &mut dyn Write) -> Result<(), SimulateFailure> {
    let spec = chain_spec(args)?;
    let norms = simulate_norms(&spec, &mut Rng::new(args.seed))?;
    match args.format {
        PrintFormat::Json => print::matrix_json(&norms, out)?,
        PrintFormat::Text => print::matrix_text(&spec, &norms, args.seed, out)?,
    }
    Ok(())
}

fn train(args: &SimulateArgs, steps: u32, out: &mut dyn Write) -> Result<(), SimulateFailure> {
    let mut trainer = trainer(args)?;
    let planned = i64::from(steps);
    let mut writer = match &args.out {
        Some(dir) => Some(RunWriter::create(dir, args.log_format, planned)?),
        None => None,
    };
    let mut last = None;
    for _ in 0..steps {
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
pub(super) fn trainer(args: &SimulateArgs) -> Result<Trainer, SimulateFailure> {
    let sgd = Sgd {
        learning_rate: args
            .learning_rate
            .unwrap_or(if args.steps.is_some() { TRAINING_RATE } else { 0.0 }),
        momentum: args.momentum,
        weight_decay: args.weight_decay,
        clip_norm: args.clip,
        train_biases: !args.freeze_biases,
    };
    let bad = args.bad_step.map(|step| BadBatch {
        step: i64::from(step),
        factor: args.bad_factor,
    });
    let (chain, batches) = if args.width.is_empty() {
        let chain = width_one(&scalar_chain(args)?, args.dtype)?;
        let batches = scalar_batches(args, &chain);
        (chain, batches)
    } else {
        let spec = chain_spec(args)?;
        spec.check()?;
        let weights = spec
            .shapes()
            .map(|(m_in, m_out)| m_in.saturating_mul(m_out))
            .fold(0, usize::saturating_add);
        if weights > TRAINED_WEIGHTS_MAX {
            return Err(SimulateFailure::TooManyWeights(weights));
        }
        let chain = MatrixChain::random(&spec, &mut Rng::new(args.seed))?;
        let batches = Batches::fresh(&chain, args.batch, args.seed);
        (chain, batches)
    };
    Ok(Trainer::new(chain, batches, sgd, bad)?)
}

/// One sample again and again when it is trained or a target is named, else fresh ones: a fixed sample can sit
/// where the gradient is exactly 0 (w = 1, b = 0, a target equal to the input).
fn scalar_batches(args: &SimulateArgs, chain: &MatrixChain) -> Batches {
    if args.steps.is_none() && args.target.is_none() {
        return Batches::fresh(chain, args.batch, args.seed).scaled(args.input);
    }
    let one = |value: f64| Matrix::from_fn(1, 1, |_, _| value);
    Batches::Fixed {
        x: one(args.input),
        target: one(args.target.unwrap_or(1.0)),
    }
}

fn scalar_chain(args: &SimulateArgs) -> Result<ScalarChain, SimulateError> {
    if let ([w], [b]) = (args.weight.as_slice(), args.bias.as_slice()) {
        return ScalarChain::homogeneous(args.layers, *w, *b, args.input);
    }
    let n = args.weight.len().max(args.bias.len());
    let listed = |values: &[f64]| match values {
        [one] => vec![*one; n],
        all => all.to_vec(),
    };
    ScalarChain::listed(listed(&args.weight), listed(&args.bias), args.input)
}

fn chain_spec(args: &SimulateArgs) -> Result<ChainSpec, SimulateError> {
    let base = match args.width.as_slice() {
        [width] => ChainSpec::uniform(args.layers, *width),
        widths => ChainSpec {
            widths: widths.to_vec(),
            ..ChainSpec::uniform(1, 1)
        },
    };
    let spec = ChainSpec {
        block: args.block,
        init: args.init,
        gain: args.gain,
        bias_sd: args.bias_sd,
        activation: args.activation,
        batch: args.batch,
        format: args.dtype,
        ..base
    };
    spec.check()?;
    Ok(spec)
}
