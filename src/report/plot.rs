//! A quantity as text: a row of blocks per layer over the steps, and the depth profile at one step.
//!
//! In: runs and their recordings. Out: text of a given width. Invariants: readable without colour; NaN and infinity
//! are `!`, zero and below `·`, what was not logged a blank; one log scale for all layers of a quantity.

use std::io::{self, Write};

use super::columns::{columns, cut_beginning, padded, wrapped};
use super::escape::printable;
use super::html::RankRecording;
use super::run::RunReport;
use super::spark::{sparkline, sparkline_log};
use super::text::TextStyle;
use crate::model::{DepthOrder, Group, Quantity, Split};
use crate::rules::words::{number, thousands};
use crate::series::record::{Cell, Grid, Line, Recording};

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Columns when the output is not a terminal.
const WIDTH: usize = 100;
/// Columns of layer names at most.
const NAME_WIDTH_MAX: usize = 36;
/// Columns of the number behind a row.
const NUMBER_WIDTH: usize = 11;

/// What to draw.
#[derive(Debug, Clone, Copy)]
pub struct Plot {
    /// The quantity.
    pub quantity: Quantity,
    /// Step of the depth profile; the last one when `None`.
    pub at: Option<i64>,
}

/// Draws the quantity of every run; `recordings` are parallel to the runs.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_plots(
    runs: &[RunReport],
    recordings: &[Vec<RankRecording>],
    plot: Plot,
    style: TextStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    for (index, (run, recordings)) in runs.iter().zip(recordings).enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}", style.bold(&format!("run {}", printable(&run.run))))?;
        let mut is_drawn = false;
        for (rank, recording) in recordings {
            is_drawn |= Canvas {
                plot,
                style,
                rank: *rank,
            }
            .write(recording, out)?;
        }
        if !is_drawn {
            writeln!(out, "  no {} in this run", plot.quantity)?;
        }
    }
    Ok(())
}

struct Canvas {
    plot: Plot,
    style: TextStyle,
    rank: Option<u32>,
}

impl Canvas {
    fn write(&self, recording: &Recording, out: &mut dyn Write) -> io::Result<bool> {
        let mut is_drawn = false;
        for line in recording
            .lines
            .iter()
            .filter(|it| it.meaning.quantity == self.plot.quantity)
        {
            self.write_line(line, out)?;
            is_drawn = true;
        }
        for grid in recording
            .grids
            .iter()
            .filter(|it| it.key().0 == self.plot.quantity)
        {
            self.write_grid(grid, out)?;
            is_drawn = true;
        }
        Ok(is_drawn)
    }

    fn width(&self) -> usize {
        self.style.width.map_or(WIDTH, |it| usize::from(it).max(40))
    }

    fn rank(&self) -> String {
        self.rank.map_or_else(String::new, |it| format!(", rank {it}"))
    }

    fn write_line(&self, line: &Line, out: &mut dyn Write) -> io::Result<()> {
        let spans = line.trace.spans();
        let values: Vec<f64> = spans.iter().filter_map(|it| it.cell.shown()).collect();
        let steps = (
            spans.first().map_or(0, |it| it.first_step),
            spans.last().map_or(0, |it| it.last_step),
        );
        let width = self.width().saturating_sub(4);
        writeln!(
            out,
            "\n  {}{}, steps {}",
            printable(&line.tag),
            self.rank(),
            steps_text(steps)
        )?;
        writeln!(out, "  {}", sparkline(&values, width))?;
        let all = spans.iter().fold(Cell::default(), |mut all, it| {
            all.join(&it.cell);
            all
        });
        let mut words = Vec::new();
        if all.min <= all.max {
            words.push(format!("{} .. {}", number(all.min), number(all.max)));
        }
        let last = spans.last().map(|it| it.cell);
        let last = last.and_then(|it| {
            if it.last.is_finite() {
                Some(it.last)
            } else {
                it.shown()
            }
        });
        words.extend(last.map(|it| format!("last {}", number(it))));
        if let Some(first) = spans.iter().find(|it| it.cell.n_nonfinite > 0) {
            let (bad, n) = (thousands(all.n_nonfinite.into()), thousands(all.n.into()));
            let steps = (first.first_step, first.last_step);
            let since = if steps.0 == steps.1 {
                thousands(steps.0)
            } else {
                steps_text(steps)
            };
            words.push(format!(
                "{bad} of {n} points not finite, the first at step {since}"
            ));
        }
        for line in wrapped(&words.join(", "), self.width().saturating_sub(2)) {
            writeln!(out, "  {line}")?;
        }
        Ok(())
    }

    fn write_grid(&self, grid: &Grid, out: &mut dyn Write) -> io::Result<()> {
        let (Some(first), Some(last)) = (grid.columns().first(), grid.columns().last()) else {
            return Ok(());
        };
        let (quantity, split) = grid.key();
        let split = match split {
            Split::Train | Split::Unknown => String::new(),
            split => format!(" ({split})"),
        };
        let scale = LogScale::of(grid.rows().iter().flat_map(|it| &it.cells));
        writeln!(out)?;
        writeln!(
            out,
            "  {quantity}{split}{}: steps {} to the right, one log scale {} .. {}",
            self.rank(),
            steps_text((first.first_step, last.last_step)),
            BLOCKS[0].to_string() + " " + &number(scale.low.exp()),
            BLOCKS[7].to_string() + " " + &number(scale.high.exp()),
        )?;
        for group in grid.all_groups() {
            self.write_group(grid, &group, scale, out)?;
        }
        Ok(())
    }

    fn write_group(
        &self,
        grid: &Grid,
        group: &Group,
        scale: LogScale,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        writeln!(out, "\n  {}", self.style.bold(&printable(&group_name(group))))?;
        let name_width = self.name_width(grid, group);
        let width = self.width().saturating_sub(name_width + NUMBER_WIDTH + 4).max(8);
        for member in &group.members {
            let Some(slot) = grid.slots().get(*member as usize) else {
                continue;
            };
            let Some(row) = grid.rows().get(*member as usize) else {
                continue;
            };
            let cells = thin(&row.cells, grid.columns().len(), width);
            let blocks: String = cells.iter().map(|it| scale.block(it)).collect();
            let name = fitted(&printable(&slot.layer.path), name_width);
            let last = row
                .cells
                .iter()
                .rev()
                .find_map(Cell::shown)
                .map_or_else(String::new, number);
            let mark = if slot.is_estimate { "~" } else { "" };
            writeln!(out, "  {name} {blocks} {mark}{last}")?;
        }
        self.write_profile(grid, group, out)
    }

    /// The profile at the wanted step: input on the left.
    fn write_profile(&self, grid: &Grid, group: &Group, out: &mut dyn Write) -> io::Result<()> {
        if group.members.len() < 2 || group.role.is_empty() {
            return Ok(());
        }
        let columns = grid.columns();
        let at = self.plot.at.unwrap_or(i64::MAX);
        let index = columns
            .partition_point(|it| it.first_step <= at)
            .saturating_sub(1);
        let Some(column) = columns.get(index) else {
            return Ok(());
        };
        let cell = |row: &u32| grid.rows().get(*row as usize).and_then(|it| it.cells.get(index));
        let values: Vec<f64> = group.members.iter().filter_map(|it| cell(it)?.shown()).collect();
        let width = self.width().saturating_sub(36).max(8);
        let order = if group.order == DepthOrder::Unknown {
            ", depth order unknown"
        } else {
            ""
        };
        let picture = sparkline_log(&values, width);
        writeln!(
            out,
            "  at step {}{order}: input {picture} output",
            thousands(column.last_step)
        )?;
        if let Some(line) = crate::report::html::depth_line(grid, group, index) {
            let n_layers = line.ends.1 - line.ends.0 + 1;
            let words = format!(
                "x{} per layer toward the output, x{} toward the input; a factor of {} over {n_layers} layers",
                number(line.slope.exp()),
                number((-line.slope).exp()),
                number((line.slope.abs() * (n_layers as f64 - 1.0)).exp()),
            );
            for line in wrapped(&words, self.width().saturating_sub(2)) {
                writeln!(out, "  {line}")?;
            }
        }
        Ok(())
    }

    fn name_width(&self, grid: &Grid, group: &Group) -> usize {
        let names = group
            .members
            .iter()
            .filter_map(|it| grid.slots().get(*it as usize));
        let longest = names
            .map(|it| columns(&printable(&it.layer.path)))
            .max()
            .unwrap_or(0);
        longest.min(NAME_WIDTH_MAX).min(self.width() / 3)
    }
}

fn group_name(group: &Group) -> String {
    match (group.role.as_str(), &group.parameter) {
        ("", _) => "layers that are compared with no other".to_owned(),
        (role, Some(parameter)) => format!("{role} {parameter}"),
        (role, None) => role.to_owned(),
    }
}

fn steps_text((first, last): (i64, i64)) -> String {
    format!("{}..{}", thousands(first), thousands(last))
}

/// A name padded to the width, or its end behind an ellipsis: layer names differ at their ends.
fn fitted(name: &str, width: usize) -> String {
    padded(&cut_beginning(name, width), width)
}

/// At most `width` cells; neighbours are joined.
fn thin(cells: &[Cell], n_columns: usize, width: usize) -> Vec<Cell> {
    let at = |index: usize| cells.get(index).copied().unwrap_or_default();
    if n_columns <= width {
        return (0..n_columns).map(at).collect();
    }
    let joined = |place: usize| {
        let mut cell = Cell::default();
        (place * n_columns / width..(place + 1) * n_columns / width).for_each(|it| cell.join(&at(it)));
        cell
    };
    (0..width).map(joined).collect()
}

#[derive(Debug, Clone, Copy)]
struct LogScale {
    low: f64,
    high: f64,
}

impl LogScale {
    fn of<'a>(cells: impl Iterator<Item = &'a Cell>) -> Self {
        let mut scale = Self {
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
        };
        for value in cells
            .flat_map(|it| [it.min, it.max])
            .filter(|it| it.is_finite() && *it > 0.0)
        {
            scale.low = scale.low.min(value.ln());
            scale.high = scale.high.max(value.ln());
        }
        if scale.low > scale.high {
            Self { low: 0.0, high: 0.0 }
        } else {
            scale
        }
    }

    fn block(self, cell: &Cell) -> char {
        match cell.shown() {
            None => ' ',
            Some(value) if !value.is_finite() => '!',
            Some(value) if value <= 0.0 => '·',
            Some(value) => {
                let span = self.high - self.low;
                let share = if span > 0.0 {
                    (value.ln() - self.low) / span
                } else {
                    0.5
                };
                let index = (share.clamp(0.0, 1.0) * 7.0).round() as usize;
                BLOCKS.get(index).copied().unwrap_or('█')
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_blocks_on_a_log_scale() {
        let cell = |value: f64| {
            let mut cell = Cell::default();
            cell.add(value);
            cell
        };
        let cells = [
            cell(1e-6),
            cell(1e-3),
            cell(1.0),
            cell(0.0),
            cell(f64::NAN),
            Cell::default(),
        ];
        let scale = LogScale::of(cells.iter());
        let drawn: String = cells.iter().map(|it| scale.block(it)).collect();
        assert_eq!(drawn, "▁▅█·! ");
        let thinned: String = thin(&cells, 6, 3).iter().map(|it| scale.block(it)).collect();
        assert_eq!(
            thinned, "▅·!",
            "the last value stands for a cell, a NaN before it"
        );
    }

    #[test]
    fn long_names_keep_their_ends() {
        assert_eq!(fitted("h.0", 5), "h.0  ");
        assert_eq!(fitted("transformer.h.10.attn", 10), "…h.10.attn");
    }
}
