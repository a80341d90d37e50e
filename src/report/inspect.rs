//! What is in the logs, without judging: schema `gradwatch.inspect/1`, and a table.
//!
//! In: run reports. Out: text or JSON. Invariant: every series is listed once; estimates are marked.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::escape::printable;
use super::json::{file, number, problem};
use super::profile_rows::write_profiles;
use super::run::{AuditReport, RunReport};
use super::text::{TextStyle, write_problems};
use crate::model::Smoothing;
use crate::rules::words;
use crate::series::SeriesInfo;

/// Writes the report as one JSON document.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_inspect_json(report: &AuditReport, out: &mut dyn Write) -> io::Result<()> {
    let value = json!({
        "schema": "gradwatch.inspect/1",
        "runs": report.runs.iter().map(run).collect::<Vec<_>>(),
        "problems": report.problems.iter().map(problem).collect::<Vec<_>>(),
    });
    serde_json::to_writer_pretty(&mut *out, &value)?;
    writeln!(out)
}

fn run(run: &RunReport) -> Value {
    json!({
        "run": run.run,
        "files": run.files.iter().map(file).collect::<Vec<_>>(),
        "series": run.series.iter().map(|(rank, info)| series(*rank, info)).collect::<Vec<_>>(),
        "layers": run.layers,
        "depth_order": run.depth_order.as_str(),
        "problems": run.problems.iter().map(problem).collect::<Vec<_>>(),
    })
}

fn series(rank: Option<u32>, info: &SeriesInfo) -> Value {
    let layer = info.meaning.layer.as_ref();
    let has_finite = info.min <= info.max;
    json!({
        "tag": *info.tag,
        "quantity": info.meaning.quantity.as_str(),
        "kind": info.meaning.kind.as_str(),
        "split": info.meaning.split.as_str(),
        "layer": layer.map(|it| &it.path),
        "section": layer.map(|it| it.section.as_str()),
        "role": layer.map(|it| &it.role),
        "parameter": layer.and_then(|it| it.parameter.as_ref()),
        "depth": layer.map(|it| &it.depth),
        "position": layer.map(|it| it.position.as_str()),
        "rank": rank,
        "estimated": info.is_estimate,
        "points": info.points,
        "nonfinite": info.nonfinite,
        "smoothed": info.smoothing.map(Smoothing::as_str),
        "clipped_at": info.pinned_at().map(number),
        "first_step": info.first_step,
        "last_step": info.last_step,
        "min": has_finite.then(|| number(info.min)),
        "max": has_finite.then(|| number(info.max)),
        "last": number(info.last),
    })
}

/// Writes a table per run.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_inspect_text(report: &AuditReport, style: TextStyle, out: &mut dyn Write) -> io::Result<()> {
    for (index, run) in report.runs.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        write_run(run, style, out)?;
    }
    write_problems(&report.problems, style, out)
}

fn write_run(run: &RunReport, style: TextStyle, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", style.bold(&format!("run {}", printable(&run.run))))?;
    for file in &run.files {
        let lost = if file.skipped > 0 {
            format!(", {} skipped", file.skipped)
        } else {
            String::new()
        };
        writeln!(
            out,
            "  {}  {}  {} bytes, {} records{lost}",
            printable(&file.path),
            file.format,
            file.bytes,
            file.records
        )?;
    }
    let order = match run.depth_order {
        crate::model::DepthOrder::Named => "by the numbers in their names",
        crate::model::DepthOrder::FirstSeen => "in the order of first appearance",
        crate::model::DepthOrder::Unknown => "unknown",
    };
    if !run.layers.is_empty() {
        writeln!(out, "  {} layers, depth order {order}", run.layers.len())?;
    }
    write_series(run, style, out)?;
    write_profiles(run, style, out)?;
    write_problems(&run.problems, style, out)
}

fn write_series(run: &RunReport, style: TextStyle, out: &mut dyn Write) -> io::Result<()> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    // Each quantity by itself, in the order of the log; `other` comes last.
    let mut series: Vec<_> = run.series.iter().collect();
    series.sort_by_key(|(_, info)| info.meaning.quantity);
    for (rank, info) in series {
        rows.push(row(*rank, info));
    }
    let header = [
        "quantity", "tag", "depth", "role", "points", "steps", "min", "max", "last",
    ];
    // On a narrow terminal: what the tag says too, then the extremes, and only the end of the tag.
    style.fitting_table(&header, rows, &[3, 0, 2, 6, 7, 5], 1, out)
}

fn row(rank: Option<u32>, info: &SeriesInfo) -> Vec<String> {
    let layer = info.meaning.layer.as_ref();
    let depth = layer.map_or_else(String::new, |it| match it.depth.as_slice() {
        [] => it.position.as_str().to_owned(),
        depth => depth.iter().map(u32::to_string).collect::<Vec<_>>().join("."),
    });
    let role = layer.map_or_else(String::new, |it| match &it.parameter {
        Some(parameter) => format!("{} {parameter}", it.role),
        None => it.role.clone(),
    });
    let smoothed = info.smoothing.map_or_else(String::new, |it| format!(" ({it})"));
    let pinned = info
        .pinned_at()
        .map_or_else(String::new, |it| format!(" (clipped at {})", words::number(it)));
    let bad = if info.nonfinite > 0 {
        format!(" ({} not finite)", info.nonfinite)
    } else {
        String::new()
    };
    let has_finite = info.min <= info.max;
    let mark = if info.is_estimate { "~" } else { "" };
    let rank = rank.map_or_else(String::new, |it| format!("[rank {it}] "));
    let value = |it: f64| {
        if has_finite {
            format!("{mark}{}", words::number(it))
        } else {
            "-".to_owned()
        }
    };
    vec![
        info.meaning.quantity.as_str().to_owned(),
        format!("{rank}{}{smoothed}{pinned}", printable(&info.tag)),
        depth,
        printable(&role).into_owned(),
        format!("{}{bad}", info.points),
        format!("{}..{}", info.first_step, info.last_step),
        value(info.min),
        value(info.max),
        format!("{mark}{}", words::number(info.last)),
    ]
}
