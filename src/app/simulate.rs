//! `gradwatch simulate`: the linear chain, printed or written as a run.
//!
//! In: the chain's arguments. Out: a table or `gradwatch.simulate/1` JSON on the given writer, and a log file
//! where `--out` asks for one. Invariant: a bad argument ends in one sentence before anything is written.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::exit::ExitStatus;
use crate::simulate::{
    Activation, BadBatch, Batches, Block, ChainSpec, Init, LogFormat, Matrix, MatrixChain, NumberFormat, Rng,
    RunWriter, ScalarChain, Sgd, SimulateError, Trainer, row_of, simulate_norms, width_one,
};

mod print;
#[cfg(test)]
mod tests;

/// Weights beyond this number are not built explicitly for training (8 GiB with momentum and gradients).
const TRAINED_WEIGHTS_MAX: usize = 1 << 28;

/// Arguments of `gradwatch simulate`.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// Number of layers.
    #[arg(short = 'n', long, default_value_t = 50)]
    pub layers: usize,

    /// Weight of every layer of the scalar chain, or one per layer separated by commas.
    #[arg(
        short = 'w',
        long,
        value_delimiter = ',',
        allow_hyphen_values = true,
        default_value = "0.8"
    )]
    pub weight: Vec<f64>,

    /// Bias of every layer of the scalar chain, or one per layer separated by commas.
    #[arg(
        short = 'b',
        long,
        value_delimiter = ',',
        allow_hyphen_values = true,
        default_value = "0"
    )]
    pub bias: Vec<f64>,

    /// Input of the scalar chain.
    #[arg(short = 'x', long, allow_hyphen_values = true, default_value_t = 1.0)]
    pub input: f64,

    /// Gradients of the loss (y - TARGET)^2 / 2 instead of the output y; the target when training (default 1).
    #[arg(short = 't', long, allow_hyphen_values = true)]
    pub target: Option<f64>,

    /// Matrix chain: one width for all layers, or the input's and every layer's separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub width: Vec<usize>,

    /// Matrix chain: what is around the weights: plain, pre-norm (the residual stream of transformers).
    #[arg(long, default_value = "plain")]
    pub block: Block,

    /// Matrix chain: how weights are drawn: gaussian, he, orthogonal.
    #[arg(long, default_value = "gaussian")]
    pub init: Init,

    /// Matrix chain: gain of the initialisation; 1 keeps the mean square.
    #[arg(long, allow_hyphen_values = true, default_value_t = 1.0)]
    pub gain: f64,

    /// Matrix chain: standard deviation of the biases.
    #[arg(long, allow_hyphen_values = true, default_value_t = 0.0)]
    pub bias_sd: f64,

    /// Matrix chain: linear, relu, tanh, sigmoid, gelu.
    #[arg(long, default_value = "linear")]
    pub activation: Activation,

    /// Matrix chain: samples per step.
    #[arg(long, default_value_t = 4)]
    pub batch: usize,

    /// Number format of the arithmetic: float16, bfloat16, float32, float64.
    #[arg(long, default_value = "float64")]
    pub dtype: NumberFormat,

    /// Seed of weights and batches.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Train for this many steps (with --out; the last step is printed without).
    #[arg(long)]
    pub steps: Option<u32>,

    /// Learning rate; 0 computes everything and changes nothing.
    #[arg(long, allow_hyphen_values = true, default_value_t = 0.01)]
    pub learning_rate: f64,

    /// Momentum.
    #[arg(long, allow_hyphen_values = true, default_value_t = 0.0)]
    pub momentum: f64,

    /// Weight decay (L2).
    #[arg(long, allow_hyphen_values = true, default_value_t = 0.0)]
    pub weight_decay: f64,

    /// Clip the total gradient norm to this.
    #[arg(long, allow_hyphen_values = true)]
    pub clip: Option<f64>,

    /// Keep the biases as they are.
    #[arg(long)]
    pub freeze_biases: bool,

    /// Step at which the batch is multiplied by --bad-factor.
    #[arg(long)]
    pub bad_step: Option<u32>,

    /// Factor of the bad batch; nan breaks it.
    #[arg(long, allow_hyphen_values = true, default_value_t = 1e3)]
    pub bad_factor: f64,

    /// Write the run into this directory, which must be new or empty.
    #[arg(short, long)]
    pub out: Option<PathBuf>,

    /// Log format of --out: tensorboard, jsonl, csv, csv-long, text, megatron.
    #[arg(long = "as", default_value = "tensorboard")]
    pub log_format: LogFormat,

    /// How to print the layers.
    #[arg(long, value_enum, default_value_t = PrintFormat::Text)]
    pub format: PrintFormat,
}

/// How layers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrintFormat {
    /// A table for people.
    Text,
    /// One JSON object, schema `gradwatch.simulate/1`.
    Json,
}

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
    match args.steps.or(args.out.as_ref().map(|_| 1)) {
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
        learning_rate: args.learning_rate,
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
        let target = args.target.unwrap_or(1.0);
        let one = |value: f64| Matrix::from_fn(1, 1, |_, _| value);
        (
            chain,
            Batches::Fixed {
                x: one(args.input),
                target: one(target),
            },
        )
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
