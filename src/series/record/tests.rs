//! Grids and recorders at their limits.

use super::{COLUMNS_MAX, Grid, LINES_MAX, Limits, ROWS_MAX, Recorder, SharedRecorder};
use crate::extract::understand;
use crate::model::{Quantity, Slot, Split};
use crate::series::{SeriesInfo, Tap};

fn series(tag: &str) -> SeriesInfo {
    SeriesInfo::new(tag, understand(tag))
}

fn grid(n_layers: usize, limit: usize) -> Grid {
    let mut grid = Grid::new(Quantity::GradNorm, Split::Train, limit);
    for index in 0..n_layers {
        let tag = format!("grad_norm/blocks.{index}.weight");
        let layer = series(&tag).meaning.layer.clone().unwrap();
        let slot = Slot {
            layer,
            n_elements: None,
            resolution: 0.0,
            is_estimate: false,
        };
        grid.add_row(tag.into(), slot).unwrap();
    }
    grid
}

#[test]
fn a_long_grid_keeps_columns_bounded_and_extremes_in_place() {
    let mut grid = grid(3, 16);
    for step in 0..10_000 {
        for row in 0..3 {
            let value = if step == 5_000 && row == 1 {
                f64::NAN
            } else {
                row as f64 + 1.0
            };
            grid.put(row, step, value);
        }
    }
    let columns = grid.columns();
    assert!(columns.len() <= 16 && columns.len() >= 8, "{}", columns.len());
    assert!(
        columns
            .windows(2)
            .all(|pair| pair[0].last_step < pair[1].first_step)
    );
    let hit = columns.iter().position(|it| it.last_step >= 5_000).unwrap();
    for (row, record) in grid.rows().iter().enumerate() {
        assert_eq!(record.cells.iter().map(|it| u64::from(it.n)).sum::<u64>(), 10_000);
        for (column, cell) in record.cells.iter().enumerate() {
            assert_eq!(
                cell.n_nonfinite,
                u32::from(row == 1 && column == hit),
                "row {row} column {column}"
            );
            assert_eq!(cell.last, row as f64 + 1.0);
        }
    }
}

#[test]
fn layers_written_one_after_the_other_share_columns() {
    let mut grid = grid(2, 64);
    (0..40).for_each(|step| grid.put(0, step, 1.0));
    // Another cadence, and steps between those known.
    (0..20).for_each(|step| grid.put(1, step * 2, 2.0));
    assert_eq!(grid.columns().len(), 40);
    let filled = |row: usize| grid.rows()[row].cells.iter().filter(|it| !it.is_empty()).count();
    assert_eq!((filled(0), filled(1)), (40, 20));
}

#[test]
fn a_gap_stays_empty_and_a_restart_forgets() {
    let mut grid = grid(2, 64);
    for step in 0..10 {
        grid.put(0, step, 1.0);
        if step != 4 {
            grid.put(1, step, 1.0);
        }
    }
    assert!(grid.rows()[1].cells[4].is_empty());
    grid.rewind(0, 6);
    assert_eq!(grid.rows()[0].cells.len(), 6);
    assert_eq!(grid.rows()[1].cells.len(), 10);
    grid.put(0, 6, 3.0);
    assert_eq!(grid.rows()[0].cells[6].last, 3.0);
}

#[test]
fn what_is_beyond_the_limits_is_counted() {
    let (mut recorder, slot) = Recorder::new();
    let n_layers = ROWS_MAX + 5;
    for id in 0..n_layers {
        recorder.point(
            id as u32,
            &series(&format!("grad_norm/blocks.{id}.weight")),
            0,
            None,
            1.0,
        );
    }
    for id in 0..LINES_MAX + 3 {
        recorder.point(
            (n_layers + id) as u32,
            &series(&format!("part{id}/loss")),
            0,
            None,
            1.0,
        );
    }
    assert!(slot.take().is_none(), "the recorder still listens");
    drop(recorder);
    let recording = slot.take().unwrap();
    assert_eq!(recording.n_left_out, 8);
    assert_eq!((recording.lines.len(), recording.grids.len()), (LINES_MAX, 1));
    assert_eq!(recording.grids[0].rows().len(), ROWS_MAX);
}

#[test]
fn a_restart_is_one_mark_for_all_series() {
    let (mut recorder, slot) = Recorder::new();
    let tags = [
        "train/loss",
        "grad_norm/blocks.0.weight",
        "grad_norm/blocks.1.weight",
    ]
    .map(series);
    for step in 0..10 {
        for (id, info) in (0..).zip(&tags) {
            recorder.point(id, info, step, None, 1.0);
        }
    }
    (0..3).for_each(|id| recorder.rewind(id, 5));
    // Before the first point of a series there is nothing to forget.
    recorder.rewind(77, 5);
    drop(recorder);
    let recording = slot.take().unwrap();
    assert_eq!(recording.restarts, [(9, 5)]);
    assert_eq!(recording.lines[0].trace.spans().len(), 5);
}

#[test]
fn a_series_that_is_logged_rarely_is_late_for_its_restart() {
    let (mut recorder, slot) = Recorder::new();
    let (loss, norm) = (series("train/loss"), series("grad_norm/blocks.0.weight"));
    let mut attempt = |steps: std::ops::Range<i64>| {
        let begin = steps.start;
        for step in steps {
            if step == begin {
                recorder.rewind(0, step);
            }
            recorder.point(0, &loss, step, None, 1.0);
            if step % 4 == 0 {
                if step - begin < 4 {
                    recorder.rewind(1, step);
                }
                recorder.point(1, &norm, step, None, 1.0);
            }
        }
    };
    attempt(0..140);
    attempt(110..121);
    attempt(115..150);
    drop(recorder);
    let recording = slot.take().unwrap();
    assert_eq!(recording.restarts, [(139, 110), (120, 115)]);
    assert_eq!(recording.lines[0].trace.spans().len(), 150);
}

#[test]
fn shrinking_bounds_the_cells_of_all_grids() {
    let (mut recorder, slot) = Recorder::new();
    let tags: Vec<SeriesInfo> = (0..20)
        .map(|id| series(&format!("grad_norm/blocks.{id}.weight")))
        .collect();
    for step in 0..1_000 {
        for (id, info) in (0..).zip(&tags) {
            recorder.point(id, info, step, None, 1.0);
        }
    }
    drop(recorder);
    let mut recording = slot.take().unwrap();
    assert!(recording.grids[0].columns().len() <= COLUMNS_MAX);
    recording.shrink_to(20 * 32, 64);
    assert!(recording.grids[0].columns().len() <= 32);
    let points: u64 = recording.grids[0].rows()[3]
        .cells
        .iter()
        .map(|it| u64::from(it.n))
        .sum();
    assert_eq!(points, 1_000);
}

#[test]
fn a_shared_recorder_is_copied_while_it_listens_and_begins_anew() {
    let shared = SharedRecorder::new(Limits::default());
    let mut tap = shared.listen_anew();
    let loss = series("train/loss");
    (0..10).for_each(|step| tap.point(0, &loss, step, None, 1.0));
    let early = shared.copy();
    (10..20).for_each(|step| tap.point(0, &loss, step, None, 1.0));
    assert_eq!((early.lines[0].points, shared.copy().lines[0].points), (10, 20));
    let mut again = shared.listen_anew();
    assert!(shared.copy().lines.is_empty());
    again.point(0, &loss, 0, None, 2.0);
    assert_eq!(shared.copy().lines[0].points, 1);
}

#[test]
fn limits_bound_the_cells_while_rows_are_added() {
    let limits = Limits {
        cells: 2_000,
        spans: 16,
    };
    let shared = SharedRecorder::new(limits);
    let mut tap = shared.listen_anew();
    let tags: Vec<SeriesInfo> = (0..100)
        .map(|id| series(&format!("grad_norm/blocks.{id}.weight")))
        .collect();
    let loss = series("train/loss");
    for step in 0..400 {
        // The last layers appear late.
        for (id, info) in (0..).zip(&tags).take(if step < 200 { 40 } else { 100 }) {
            tap.point(id, info, step, None, 1.0);
        }
        tap.point(1_000, &loss, step, None, 1.0);
    }
    let recording = shared.copy();
    let cells: usize = recording.grids[0].rows().iter().map(|it| it.cells.len()).sum();
    assert!((1_000..=2_000).contains(&cells), "{cells}");
    assert!(recording.lines[0].trace.spans().len() <= 16);
    let points: u64 = recording.grids[0].rows()[0]
        .cells
        .iter()
        .map(|it| u64::from(it.n))
        .sum();
    assert_eq!(points, 400, "joined, not lost");
}
