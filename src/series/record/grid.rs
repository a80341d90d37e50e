//! One quantity over depth and steps, in bounded memory.
//!
//! In: points of layers, in any order of layers and nearly in the order of steps. Out: rows (layers) of cells in
//! common columns (steps). Invariants: at most `limit` columns and [`ROWS_MAX`] rows; extremes and non-finite points
//! are kept; columns are in step order and do not overlap.

use std::sync::Arc;

use super::cell::Cell;
use crate::model::{DepthOrder, Group, Quantity, Slot, Split};
use crate::series::Assembler;

/// Layers of one quantity that are recorded; further ones are counted.
pub const ROWS_MAX: usize = 2_048;

/// Neighbouring steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// First step.
    pub first_step: i64,
    /// Last step.
    pub last_step: i64,
    /// Distinct steps when the column was filled.
    pub n_steps: u32,
}

/// One layer over all columns.
#[derive(Debug, Clone)]
pub struct Row {
    /// The tag as logged.
    pub tag: Arc<str>,
    /// Points of all attempts.
    pub points: u64,
    /// May be shorter than the columns: what is missing was not logged.
    pub cells: Vec<Cell>,
}

/// One quantity over depth and steps.
#[derive(Debug, Clone)]
pub struct Grid {
    assembler: Assembler,
    rows: Vec<Row>,
    columns: Vec<Column>,
    steps_per_column: u32,
    limit: usize,
    /// Where the last point fell: layers of one step come together.
    recent: Option<(i64, usize)>,
}

impl Grid {
    /// An empty grid of at most `limit` columns (at least two).
    #[must_use]
    pub fn new(quantity: Quantity, split: Split, limit: usize) -> Self {
        Self {
            assembler: Assembler::new(quantity, split),
            rows: Vec::new(),
            columns: Vec::new(),
            steps_per_column: 1,
            limit: limit.max(2),
            recent: None,
        }
    }

    /// The quantity and the split.
    #[must_use]
    pub fn key(&self) -> (Quantity, Split) {
        self.assembler.key()
    }

    /// Adds a layer; `None` beyond [`ROWS_MAX`].
    pub fn add_row(&mut self, tag: Arc<str>, slot: Slot) -> Option<usize> {
        if self.rows.len() >= ROWS_MAX {
            return None;
        }
        self.assembler.add_slot(slot)?;
        self.rows.push(Row {
            tag,
            points: 0,
            cells: Vec::new(),
        });
        Some(self.rows.len() - 1)
    }

    /// Takes a point of a row.
    pub fn put(&mut self, row: usize, step: i64, value: f64) {
        let column = match self.recent {
            Some((at, column)) if at == step => column,
            _ => self.column_of(step),
        };
        self.recent = Some((step, column));
        let Some(row) = self.rows.get_mut(row) else { return };
        row.points += 1;
        if row.cells.len() <= column {
            row.cells.resize(column + 1, Cell::default());
        }
        if let Some(cell) = row.cells.get_mut(column) {
            cell.add(value);
        }
    }

    /// Forgets the cells of a row whose columns begin at or after `step`.
    pub fn rewind(&mut self, row: usize, step: i64) {
        let keep = self.columns.partition_point(|it| it.first_step < step);
        if let Some(row) = self.rows.get_mut(row) {
            row.cells.truncate(keep);
        }
    }

    /// Joins neighbouring columns until there are at most `limit`.
    pub fn shrink_to(&mut self, limit: usize) {
        self.limit = limit.max(2);
        while self.columns.len() > self.limit {
            self.halve();
        }
    }

    /// The columns, in step order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The rows, in the order of first appearance.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What each row is, parallel to the rows.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        self.assembler.slots()
    }

    /// The rows that may be compared with each other, in depth order; last, under an empty role, those that are
    /// compared with no other: embeddings, heads, second tags of a layer, layers of their own kind.
    #[must_use]
    pub fn all_groups(&self) -> Vec<Group> {
        let mut groups = self.assembler.grouped();
        let slots = self.slots();
        let mut is_left = vec![true; slots.len()];
        for member in groups.iter().flat_map(|it| &it.members) {
            if let Some(it) = is_left.get_mut(*member as usize) {
                *it = false;
            }
        }
        let mut members: Vec<u32> = (0_u32..).zip(is_left).filter(|it| it.1).map(|it| it.0).collect();
        members.sort_by_key(|it| {
            slots
                .get(*it as usize)
                .map(|it| (it.layer.position, it.layer.depth.clone()))
        });
        if !members.is_empty() {
            groups.push(Group {
                role: String::new(),
                parameter: None,
                order: DepthOrder::Unknown,
                members,
                experts: Vec::new(),
            });
        }
        groups
    }

    fn column_of(&mut self, step: i64) -> usize {
        let Some(last) = self.columns.last().copied() else {
            return self.push_column(step);
        };
        if step < last.last_step {
            return self.earlier_column(step);
        }
        if step > last.last_step {
            if last.n_steps >= self.steps_per_column && self.columns.len() >= self.limit {
                self.halve();
            }
            let steps_per_column = self.steps_per_column;
            match self.columns.last_mut() {
                Some(last) if last.n_steps < steps_per_column => {
                    last.last_step = step;
                    last.n_steps += 1;
                }
                _ => return self.push_column(step),
            }
        }
        self.columns.len() - 1
    }

    fn push_column(&mut self, step: i64) -> usize {
        self.columns.push(Column {
            first_step: step,
            last_step: step,
            n_steps: 1,
        });
        self.columns.len() - 1
    }

    /// The column that holds a step that is not the newest. A step between two columns goes to the left one.
    fn earlier_column(&mut self, step: i64) -> usize {
        let index = self
            .columns
            .partition_point(|it| it.first_step <= step)
            .saturating_sub(1);
        if let Some(column) = self.columns.get_mut(index) {
            column.first_step = column.first_step.min(step);
            column.last_step = column.last_step.max(step);
        }
        index
    }

    fn halve(&mut self) {
        let joined = self.columns.chunks(2).filter_map(|pair| {
            let (first, last) = (pair.first()?, pair.last()?);
            let n_steps = pair.iter().map(|it| it.n_steps).sum();
            Some(Column {
                first_step: first.first_step,
                last_step: last.last_step,
                n_steps,
            })
        });
        self.columns = joined.collect();
        self.steps_per_column = self.steps_per_column.saturating_mul(2);
        self.recent = None;
        for row in &mut self.rows {
            let joined = row.cells.chunks(2).map(|pair| {
                let mut cell = Cell::default();
                for later in pair {
                    cell.join(later);
                }
                cell
            });
            row.cells = joined.collect();
        }
    }
}
