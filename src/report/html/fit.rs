//! The geometric line through a depth profile, for every column of a grid.
//!
//! In: a grid and one of its groups. Out: ln(norm) at the input end and its slope per layer (Theil-Sen), per column.
//! Invariant: as in the depth rules, zeros, subnormals and non-finite values are left out, never replaced.

use crate::model::Group;
use crate::series::record::{Cell, Grid};
use crate::stats::{median, pair_fit, thin_evenly};

/// Layers below which no line is drawn: it would say nothing.
const LAYERS_MIN: usize = 4;
/// Layers in one fit, evenly picked: the fit looks at all pairs.
const LAYERS_MAX: usize = 64;

/// A line through ln(norm) over the rank of the layer in its group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DepthLine {
    /// ln(norm) at rank 0, the input.
    pub(crate) intercept: f64,
    /// Change of ln(norm) per layer toward the output.
    pub(crate) slope: f64,
    /// Ranks of the first and the last layer that could be used.
    pub(crate) ends: (usize, usize),
    /// Kendall's tau.
    pub(crate) tau: f64,
}

/// One line per column; `None` where too few layers can be used.
pub(super) fn depth_lines(grid: &Grid, group: &Group) -> Vec<Option<DepthLine>> {
    if group.members.len() < LAYERS_MIN {
        return Vec::new();
    }
    (0..grid.columns().len())
        .map(|column| depth_line(grid, group, column))
        .collect()
}

/// The line through the profile in one column; `None` where too few layers can be used.
pub(crate) fn depth_line(grid: &Grid, group: &Group, column: usize) -> Option<DepthLine> {
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for (rank, slot) in group.members.iter().enumerate() {
        let cell = grid
            .rows()
            .get(*slot as usize)
            .and_then(|it| it.cells.get(column));
        let Some(value) = cell.and_then(Cell::shown) else {
            continue;
        };
        if value.is_finite() && value >= f64::MIN_POSITIVE {
            x.push(rank as f64);
            y.push(value.ln());
        }
    }
    if x.len() < LAYERS_MIN {
        return None;
    }
    let ends = (*x.first()? as usize, *x.last()? as usize);
    thin_evenly(&mut x, &mut y, LAYERS_MAX);
    let fit = pair_fit(&x, &y, &mut Vec::new())?;
    let mut offsets: Vec<f64> = x.iter().zip(&y).map(|(x, y)| y - fit.slope * x).collect();
    Some(DepthLine {
        intercept: median(&mut offsets)?,
        slope: fit.slope,
        ends,
        tau: fit.tau,
    })
}
