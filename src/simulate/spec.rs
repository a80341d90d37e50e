//! What a matrix chain is made of: widths, initialisation, activation, batch.
//!
//! In: arguments. Out: a checked specification. Invariant: a `ChainSpec` that `check` accepts can be built
//! and simulated without another refusal.

use super::error::finite;
use super::{Activation, NumberFormat, SimulateError};

/// Largest width and batch: a panel of one column per sample must fit in memory.
pub const WIDTH_MAX: usize = 1 << 20;
/// Most layers of a matrix chain.
pub const MATRIX_LAYERS_MAX: usize = 100_000;
/// Most numbers kept for one pass (16 GiB of `f64`).
const VALUES_MAX: usize = 1 << 31;

/// How the weights of a layer with `m_in` inputs are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Init {
    /// `N(0, g^2 / m_in)`: keeps the mean square of a linear chain at g = 1.
    Gaussian,
    /// `N(0, 2 g^2 / m_in)`: the same for `ReLU` (He et al. 2015).
    He,
    /// `g` times a uniformly random (semi-)orthogonal matrix (Saxe et al. 2013).
    Orthogonal,
}

impl Init {
    /// Name in arguments and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gaussian => "gaussian",
            Self::He => "he",
            Self::Orthogonal => "orthogonal",
        }
    }

    /// Standard deviation of one weight of a Gaussian layer.
    pub(crate) fn weight_sd(self, gain: f64, m_in: usize) -> f64 {
        let variance = if self == Self::He { 2.0 } else { 1.0 };
        gain * (variance / m_in as f64).sqrt()
    }
}

impl std::str::FromStr for Init {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "gaussian" | "gauss" | "normal" => Ok(Self::Gaussian),
            "he" | "kaiming" => Ok(Self::He),
            "orthogonal" | "orth" => Ok(Self::Orthogonal),
            other => Err(format!(
                "unknown initialisation `{other}`: gaussian, he or orthogonal"
            )),
        }
    }
}

/// What a layer adds around its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Block {
    /// `a_k = f(W_k a_{k-1} + b_k)`.
    Plain,
    /// `x_k = x_{k-1} + W_k f(N(x_{k-1})) + b_k`, N dividing by the root mean square: the residual stream of transformers, whose norms follow a
    /// power law over depth when nothing is wrong.
    PreNorm,
}

impl Block {
    /// Name in arguments and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::PreNorm => "pre-norm",
        }
    }
}

impl std::str::FromStr for Block {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "plain" => Ok(Self::Plain),
            "pre-norm" | "prenorm" | "preln" => Ok(Self::PreNorm),
            other => Err(format!("unknown block `{other}`: plain or pre-norm")),
        }
    }
}

/// A matrix chain to be drawn at random.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainSpec {
    /// Width of the input and of every layer: one more than layers.
    pub widths: Vec<usize>,
    /// What is around the weights of a layer.
    pub block: Block,
    /// How weights are drawn.
    pub init: Init,
    /// The gain `g`.
    pub gain: f64,
    /// Standard deviation of the biases; 0 for none.
    pub bias_sd: f64,
    /// Applied after every layer, the last one too.
    pub activation: Activation,
    /// Samples per step; inputs are `N(0, 1)`.
    pub batch: usize,
    /// Format in which activations and gradients are stored.
    pub format: NumberFormat,
}

impl ChainSpec {
    /// `depth` layers of one width, Gaussian with gain 1, linear, batch 4, float64.
    #[must_use]
    pub fn uniform(depth: usize, width: usize) -> Self {
        Self {
            widths: vec![width; depth.saturating_add(1).min(MATRIX_LAYERS_MAX + 2)],
            block: Block::Plain,
            init: Init::Gaussian,
            gain: 1.0,
            bias_sd: 0.0,
            activation: Activation::Linear,
            batch: 4,
            format: NumberFormat::Float64,
        }
    }

    /// Number of layers.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.widths.len().saturating_sub(1)
    }

    /// Inputs and outputs of every layer.
    #[must_use]
    pub fn shapes(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> + ExactSizeIterator + '_ {
        self.widths.windows(2).map(|pair| (pair[0], pair[1]))
    }

    /// Refuses what cannot be simulated.
    ///
    /// # Errors
    /// No layers or too many, a width or batch of 0 or too large, a gain or bias that is not finite.
    pub fn check(&self) -> Result<(), SimulateError> {
        let depth = self.depth();
        if depth == 0 {
            return Err(SimulateError::NoLayers);
        }
        if depth > MATRIX_LAYERS_MAX {
            return Err(SimulateError::TooManyLayers {
                given: depth,
                max: MATRIX_LAYERS_MAX,
            });
        }
        for width in &self.widths {
            check_size("a width", *width)?;
        }
        check_size("the batch", self.batch)?;
        let values = self.widths.iter().map(|width| width.saturating_mul(self.batch));
        let total = values.fold(0usize, usize::saturating_add);
        if total > VALUES_MAX {
            let expected = format!("at most {VALUES_MAX}: fewer layers, samples or a smaller width");
            return Err(SimulateError::WrongSize {
                what: "the number of activations",
                given: total,
                expected,
            });
        }
        if self.block == Block::PreNorm
            && let Some((layer, (m_in, m_out))) = (1..).zip(self.shapes()).find(|(_, (a, b))| a != b)
        {
            return Err(SimulateError::ResidualWidths { layer, m_in, m_out });
        }
        finite("the gain", self.gain)?;
        finite("the standard deviation of the biases", self.bias_sd)?;
        if self.bias_sd < 0.0 {
            let what = "the standard deviation of the biases";
            return Err(SimulateError::OutOfRange {
                what,
                allowed: "0 or more",
                value: self.bias_sd,
            });
        }
        Ok(())
    }
}

fn check_size(what: &'static str, given: usize) -> Result<(), SimulateError> {
    if given == 0 || given > WIDTH_MAX {
        return Err(SimulateError::WrongSize {
            what,
            given,
            expected: format!("1 to {WIDTH_MAX}"),
        });
    }
    Ok(())
}
