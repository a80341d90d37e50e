//! One run as the page reads it.
//!
//! In: a run's report and the recordings of its streams. Out: one JSON text. Invariants: numbers that are not finite
//! are the words of the JSON report; each series is there once, as in the report; totals (first, last, smallest,
//! largest, counts) are exact, the course in between is rounded to seven digits or coded (see `quads`).

use serde_json::{Value, json};

use super::fit::depth_lines;
use super::owned::Owned;
use super::quads::Scale;
use crate::model::Group;
use crate::report::json::{self, number};
use crate::report::run::RunReport;
use crate::series::SeriesInfo;
use crate::series::record::{Cell, Grid, Line, Recording, Row};

/// The recording of one stream, with the rank that wrote it.
pub type RankRecording = (Option<u32>, Recording);

/// One run as JSON.
pub(super) fn run(
    report: &RunReport,
    recordings: Vec<RankRecording>,
    (cells, spans): (usize, usize),
    is_compared: bool,
) -> String {
    let owned = Owned::new(&report.series, &recordings);
    let share = cells / recordings.len().max(1);
    let sources: Vec<Value> = recordings
        .into_iter()
        .enumerate()
        .map(|(index, (rank, mut recording))| {
            recording.shrink_to(share, spans);
            source(rank, &recording, &|tag| owned.of(index, tag))
        })
        .filter(|it| !is_empty(it))
        .collect();
    let findings: Vec<Value> = report.findings.iter().map(json::finding).collect();
    json!({
        "run": report.run,
        "verdict": report.verdict.as_str(),
        "first_step": report.first_step,
        "last_step": report.last_step,
        "ordinal": report.steps_are_ordinal,
        "ranks": report.ranks,
        "points": report.points,
        "layers": report.layers.len(),
        "depth_order": report.depth_order.as_str(),
        "files": report.files.iter().map(json::file).collect::<Vec<_>>(),
        "findings": findings,
        "problems": report.problems.iter().map(json::problem).collect::<Vec<_>>(),
        "rules_without_data": report.unmatched,
        "compared": is_compared,
        "sources": sources,
    })
    .to_string()
}

fn is_empty(source: &Value) -> bool {
    let none = |key: &str| source[key].as_array().is_none_or(Vec::is_empty);
    none("lines") && none("grids")
}

/// Finds the series that a tag of a recording stands for.
type Find<'f, 'r> = dyn Fn(&str) -> Option<&'r SeriesInfo> + 'f;

fn source(rank: Option<u32>, recording: &Recording, find: &Find<'_, '_>) -> Value {
    let lines: Vec<Value> = recording
        .lines
        .iter()
        .filter_map(|it| find(&it.tag).map(|info| line(it, info)))
        .collect();
    let grids: Vec<Value> = recording.grids.iter().filter_map(|it| grid(it, find)).collect();
    json!({
        "rank": rank,
        "restarts": recording.restarts,
        "several_writers": recording.has_several_writers,
        "left_out": recording.n_left_out,
        "lines": lines,
        "grids": grids,
    })
}

fn totals(info: &SeriesInfo) -> Value {
    let has_finite = info.min <= info.max;
    json!({
        "points": info.points,
        "nonfinite": info.nonfinite,
        "first_step": info.first_step,
        "last_step": info.last_step,
        "min": has_finite.then(|| number(info.min)),
        "max": has_finite.then(|| number(info.max)),
        "last": number(info.last),
    })
}

/// Columns of equal length: steps, points, last, smallest and largest value, non-finite points and their kinds.
/// Smallest and largest are left out while every span is one point.
fn line(line: &Line, info: &SeriesInfo) -> Value {
    let spans = line.trace.spans();
    let column =
        |value: fn(&Cell) -> Value| -> Vec<Value> { spans.iter().map(|it| value(&it.cell)).collect() };
    let is_exact = spans.iter().all(|it| it.cell.n == 1);
    let extremes = |value: fn(&Cell) -> Value| {
        if is_exact {
            Value::Null
        } else {
            Value::from(column(value))
        }
    };
    json!({
        "tag": *line.tag,
        "quantity": line.meaning.quantity.as_str(),
        "split": line.meaning.split.as_str(),
        "estimated": info.is_estimate,
        "totals": totals(info),
        "first": spans.iter().map(|it| it.first_step).collect::<Vec<_>>(),
        "until": if is_exact { Value::Null } else { spans.iter().map(|it| it.last_step).collect() },
        "last": column(|it| rounded(it.last)),
        "min": extremes(|it| rounded(it.min)),
        "max": extremes(|it| rounded(it.max)),
        "n": extremes(|it| json!(it.n)),
        "bad": if info.nonfinite == 0 { Value::Null } else { Value::from(column(|it| json!([it.n_nonfinite, it.kinds]))) },
    })
}

/// A finite value with seven digits; `null` for what is not there.
fn rounded(value: f64) -> Value {
    if !value.is_finite() {
        return Value::Null;
    }
    format!("{value:.6e}")
        .parse::<f64>()
        .map_or(Value::Null, |it| json!(it))
}

fn grid(grid: &Grid, find: &Find<'_, '_>) -> Option<Value> {
    let infos: Vec<Option<&SeriesInfo>> = grid.rows().iter().map(|it| find(&it.tag)).collect();
    if infos.iter().all(Option::is_none) {
        return None;
    }
    let mut groups = grid.all_groups();
    for group in &mut groups {
        group
            .members
            .retain(|it| infos.get(*it as usize).is_some_and(Option::is_some));
    }
    groups.retain(|it| !it.members.is_empty());
    let (quantity, split) = grid.key();
    let (values, scale) = coded_cells(grid, &groups);
    let groups: Vec<Value> = groups.iter().map(|it| group(grid, it, &infos)).collect();
    Some(json!({
        "quantity": quantity.as_str(),
        "split": split.as_str(),
        "first": grid.columns().iter().map(|it| it.first_step).collect::<Vec<_>>(),
        "until": grid.columns().iter().map(|it| it.last_step).collect::<Vec<_>>(),
        "steps": grid.columns().iter().map(|it| it.n_steps).collect::<Vec<_>>(),
        "scale": scale.json(),
        "groups": groups,
        "cells": values,
    }))
}

fn group(grid: &Grid, group: &Group, infos: &[Option<&SeriesInfo>]) -> Value {
    let lines = if group.role.is_empty() {
        Vec::new()
    } else {
        depth_lines(grid, group)
    };
    let lines: Vec<Value> = lines
        .iter()
        .map(|it| {
            it.map_or(Value::Null, |it| {
                json!([
                    rounded(it.intercept),
                    rounded(it.slope),
                    it.ends.0,
                    it.ends.1,
                    rounded(it.tau)
                ])
            })
        })
        .collect();
    let section = group
        .members
        .first()
        .and_then(|it| grid.slots().get(*it as usize))
        .map(|it| it.layer.section.as_str());
    json!({
        "role": group.role,
        "section": section,
        "parameter": group.parameter,
        "order": group.order.as_str(),
        "rows": group.members.iter().filter_map(|it| row(grid, *it, infos)).collect::<Vec<_>>(),
        "lines": lines,
    })
}

fn row(grid: &Grid, index: u32, infos: &[Option<&SeriesInfo>]) -> Option<Value> {
    let slot = grid.slots().get(index as usize)?;
    let info = infos.get(index as usize).copied().flatten()?;
    Some(json!({
        "layer": slot.layer.path,
        "tag": *info.tag,
        "estimated": info.is_estimate,
        "totals": totals(info),
    }))
}

/// The cells row by row in the order of the groups: the value that stands for each; smallest and largest too where a
/// column holds several points.
fn coded_cells(grid: &Grid, groups: &[Group]) -> (Value, Scale) {
    let n_columns = grid.columns().len();
    let rows: Vec<&Row> = groups
        .iter()
        .flat_map(|it| &it.members)
        .filter_map(|it| grid.rows().get(*it as usize))
        .collect();
    let all = || rows.iter().flat_map(|it| &it.cells);
    let is_exact = all().all(|it| it.n <= 1);
    let scale = Scale::of(
        all()
            .filter(|it| !it.is_empty())
            .flat_map(|it| [it.min, it.max, it.last]),
    );
    let coded = |value: fn(&Cell) -> Option<f64>| {
        let mut text = String::with_capacity(rows.len() * n_columns * 4);
        for row in &rows {
            for column in 0..n_columns {
                scale.write(row.cells.get(column).and_then(value), &mut text);
            }
        }
        Value::from(text)
    };
    let extreme = |value: fn(&Cell) -> Option<f64>| if is_exact { Value::Null } else { coded(value) };
    let cells = json!({
        "shown": coded(Cell::shown),
        "min": extreme(|it| Some(it.min).filter(|it| it.is_finite())),
        "max": extreme(|it| Some(it.max).filter(|it| it.is_finite())),
    });
    (cells, scale)
}
