//! The layers of a run as one small picture: who is sick, how deep, since when.
//!
//! In: what was recorded of a run, and the finding that the picture is about. Out: a [`LayerPicture`], its SVG and its
//! words. Invariants: bounded by [`ROWS_MAX`] layers and [`COLUMNS_MAX`] columns whatever the run has; layers that the
//! finding names are not thinned out before others; the same recording gives the same picture.

mod pick;
mod svg;

#[cfg(test)]
mod tests;

use crate::model::Quantity;
use crate::rules::words::{number, thousands};

/// Layers that are drawn.
pub(super) const ROWS_MAX: usize = 32;
/// Columns of the heat map.
pub(super) const COLUMNS_MAX: usize = 56;

/// One quantity over layers and steps, as it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerPicture {
    /// The quantity.
    pub quantity: Quantity,
    /// The role that the layers have in common, e.g. `h.#.mlp.fc weight`.
    pub role: String,
    /// Layers from the input to the output.
    pub rows: Vec<PictureRow>,
    /// Layers of the group, drawn or not.
    pub n_layers: usize,
    /// First and last step of each column.
    pub columns: Vec<(i64, i64)>,
    /// The column that the profile is of.
    pub at: usize,
    /// The step of the alarm.
    pub alarm_step: Option<i64>,
    /// The line through the profile, where one can be fitted.
    pub line: Option<PictureLine>,
}

/// One layer.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureRow {
    /// Its path.
    pub name: String,
    /// Its place among all layers of the group.
    pub rank: usize,
    /// Whether the finding names it.
    pub is_named: bool,
    /// A value per column; `None` = not logged.
    pub cells: Vec<Option<f64>>,
}

/// ln(norm) = intercept + slope * rank.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PictureLine {
    /// At rank 0, the input.
    pub intercept: f64,
    /// Per layer toward the output.
    pub slope: f64,
    /// Ranks of the first and the last layer in the fit.
    pub ends: (usize, usize),
}

impl LayerPicture {
    /// A linear chain of twelve layers with a gain of 0.6, whose gradients vanish toward the input, for those who want
    /// to see what a picture looks like.
    #[must_use]
    pub fn sample() -> Self {
        const N: usize = 12;
        const GAIN: f64 = 0.6;
        // dy/db_k = w^(n-k): the gradient of a bias carries one gain for each layer above it.
        let row = |rank: usize| PictureRow {
            name: format!("sample.layers.{rank}.bias"),
            rank,
            is_named: rank < 4,
            cells: (0..40).map(|_| Some(GAIN.powi((N - 1 - rank) as i32))).collect(),
        };
        Self {
            quantity: Quantity::GradNorm,
            role: "a sample, not your run".to_owned(),
            rows: (0..N).map(row).collect(),
            n_layers: N,
            columns: (0..40).map(|it| (it * 10, it * 10 + 9)).collect(),
            at: 39,
            alarm_step: Some(100),
            line: Some(PictureLine {
                intercept: (N - 1) as f64 * GAIN.ln(),
                slope: -GAIN.ln(),
                ends: (0, N - 1),
            }),
        }
    }

    /// What the picture shows, in words, for those who do not see it.
    #[must_use]
    pub fn alt(&self) -> String {
        let quantity = quantity_words(self.quantity);
        let steps = match (self.columns.first(), self.columns.last()) {
            (Some(first), Some(last)) => format!("steps {} to {}", thousands(first.0), thousands(last.1)),
            _ => "no steps".to_owned(),
        };
        let profile: Vec<f64> = self.profile().map(|(_, value)| value).collect();
        let range = match (profile.first(), profile.last()) {
            (Some(first), Some(last)) => format!(
                "; at step {} from {} at the input to {} at the output",
                thousands(self.columns.get(self.at).map_or(0, |it| it.1)),
                number(*first),
                number(*last)
            ),
            _ => String::new(),
        };
        let line = self.line.map_or_else(String::new, |it| {
            format!(", x{} per layer toward the output", number(it.slope.exp()))
        });
        format!(
            "{quantity} of {} layers ({}), {steps}{range}{line}",
            self.n_layers, self.role
        )
    }

    /// Row and value of the layers that were logged in the profile's column.
    fn profile(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let value = |it: &PictureRow| it.cells.get(self.at).copied().flatten();
        self.rows
            .iter()
            .enumerate()
            .filter_map(move |(index, row)| Some((index, value(row)?)))
    }
}

/// A quantity for people: `gradient norm`.
pub(crate) fn quantity_words(quantity: Quantity) -> String {
    let words = quantity.as_str().replace('_', " ");
    match words.strip_prefix("grad ") {
        Some(rest) => format!("gradient {rest}"),
        None => words,
    }
}
