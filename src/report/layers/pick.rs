//! Which layers, steps and values a picture shows.
//!
//! In: recordings, a finding. Out: a [`LayerPicture`]. Invariant: the quantity of the finding where it is one of
//! layers, else the first of gradients, weights, activations, updates that was recorded.

use super::{COLUMNS_MAX, LayerPicture, PictureLine, PictureRow, ROWS_MAX};
use crate::model::{Family, Finding, Group, Quantity};
use crate::report::html::{RankRecording, depth_line};
use crate::series::record::{Cell, Column, Grid};

/// What to show of a finding about something else.
const FALLBACK: [Quantity; 5] = [
    Quantity::GradNorm,
    Quantity::WeightNorm,
    Quantity::ActivationNorm,
    Quantity::UpdateNorm,
    Quantity::UpdateRatio,
];

impl LayerPicture {
    /// The picture of a finding; `None` when no two layers were recorded that can be compared.
    #[must_use]
    pub fn of(recordings: &[RankRecording], finding: &Finding) -> Option<Self> {
        let same_rank: Vec<&RankRecording> = recordings.iter().filter(|it| it.0 == finding.rank).collect();
        let of_rank = if same_rank.is_empty() {
            recordings.iter().collect()
        } else {
            same_rank
        };
        let grids: Vec<&Grid> = of_rank.iter().flat_map(|it| &it.1.grids).collect();
        let wanted = Some(finding.quantity).filter(|it| it.is_per_layer());
        wanted
            .into_iter()
            .chain(FALLBACK)
            .find_map(|it| Self::of_quantity(&grids, it, finding))
    }

    fn of_quantity(grids: &[&Grid], quantity: Quantity, finding: &Finding) -> Option<Self> {
        let groups = grids.iter().filter(|it| it.key().0 == quantity).flat_map(|grid| {
            let groups = grid.all_groups().into_iter();
            groups.map(move |group| (*grid, group))
        });
        let of_layers = groups.filter(|(_, it)| it.members.len() > 1 && !it.role.is_empty());
        // The group that the finding is about; among others the largest, the first of equals.
        let weight = |grid: &Grid, group: &Group| {
            let named = group.members.iter().filter(|it| is_named(grid, **it, finding));
            (named.count(), group.members.len())
        };
        let (grid, group) = of_layers.reduce(|best, it| {
            if weight(it.0, &it.1) > weight(best.0, &best.1) {
                it
            } else {
                best
            }
        })?;
        Self::of_group(grid, &group, finding)
    }

    fn of_group(grid: &Grid, group: &Group, finding: &Finding) -> Option<Self> {
        let n_columns = grid.columns().len();
        let at = profile_column(grid, group, finding)?;
        let starts = starts(n_columns, at);
        let columns = spans(&starts, n_columns).filter_map(|(from, to)| {
            let columns: &[Column] = grid.columns().get(from..to)?;
            Some((columns.first()?.first_step, columns.last()?.last_step))
        });
        let rows = picked(grid, group, finding).into_iter().filter_map(|rank| {
            let member = *group.members.get(rank)? as usize;
            let cells = &grid.rows().get(member)?.cells;
            Some(PictureRow {
                name: grid.slots().get(member)?.layer.path.clone(),
                rank,
                is_named: is_named(grid, *group.members.get(rank)?, finding),
                cells: spans(&starts, n_columns).map(|it| joined(cells, it)).collect(),
            })
        });
        let parameter = group.parameter.as_deref().unwrap_or_default();
        Some(Self {
            quantity: grid.key().0,
            role: format!("{} {parameter}", group.role).trim().to_owned(),
            rows: rows.collect(),
            n_layers: group.members.len(),
            columns: columns.collect(),
            at: starts.partition_point(|it| *it <= at).saturating_sub(1),
            alarm_step: finding.first_step,
            line: depth_line(grid, group, at).map(|it| PictureLine {
                intercept: it.intercept,
                slope: it.slope,
                ends: it.ends,
            }),
        })
    }
}

fn is_named(grid: &Grid, member: u32, finding: &Finding) -> bool {
    let path = grid.slots().get(member as usize).map(|it| it.layer.path.as_str());
    path.is_some_and(|path| finding.layers.iter().any(|it| it == path))
}

/// The last column that showed it; for what is not finite the last one before, because it tells how it came.
fn profile_column(grid: &Grid, group: &Group, finding: &Finding) -> Option<usize> {
    let columns = grid.columns();
    let last = columns.len().checked_sub(1)?;
    let column = if finding.family == Family::Nonfinite {
        let step = finding.first_step.unwrap_or(i64::MAX);
        columns
            .partition_point(|it| it.last_step < step)
            .saturating_sub(1)
    } else {
        let step = finding.last_step.unwrap_or(i64::MAX);
        columns
            .partition_point(|it| it.first_step <= step)
            .saturating_sub(1)
    };
    // Layers are often logged less often than the loss that the finding is about.
    let n_logged = |column: &usize| {
        let cell = |it: &u32| grid.rows().get(*it as usize)?.cells.get(*column)?.shown();
        group.members.iter().filter(|it| cell(it).is_some()).count()
    };
    (0..=column.min(last)).rev().find(|it| n_logged(it) > 1)
}

/// Ranks of the layers that are drawn, in order of depth.
fn picked(grid: &Grid, group: &Group, finding: &Finding) -> Vec<usize> {
    let n = group.members.len();
    if n <= ROWS_MAX {
        return (0..n).collect();
    }
    let ranks = group.members.iter().enumerate();
    let named = ranks.filter(|it| is_named(grid, *it.1, finding));
    let named: Vec<usize> = named.map(|it| it.0).collect();
    // When few are named they are shown among evenly picked others; when many are, evenly picked among all.
    let mut picked: Vec<usize> = if named.len() <= ROWS_MAX / 2 {
        named
    } else {
        Vec::new()
    };
    let n_left = ROWS_MAX - picked.len();
    picked.extend((0..n_left).map(|it| it * (n - 1) / (n_left - 1)));
    picked.sort_unstable();
    picked.dedup();
    picked
}

/// First source column of each drawn one; the profile's column begins one of its own, so that its cell is what the
/// profile shows.
fn starts(n_columns: usize, at: usize) -> Vec<usize> {
    if n_columns <= COLUMNS_MAX {
        return (0..n_columns).collect();
    }
    let n_even = COLUMNS_MAX - 2;
    let mut starts: Vec<usize> = (0..n_even).map(|it| it * n_columns / n_even).collect();
    starts.extend([at, (at + 1).min(n_columns - 1)]);
    starts.sort_unstable();
    starts.dedup();
    starts
}

fn spans(starts: &[usize], n_columns: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
    let ends = starts.iter().skip(1).copied().chain([n_columns]);
    starts.iter().copied().zip(ends)
}

fn joined(cells: &[Cell], (from, to): (usize, usize)) -> Option<f64> {
    let mut all = Cell::default();
    cells.iter().take(to).skip(from).for_each(|it| all.join(it));
    all.shown()
}
