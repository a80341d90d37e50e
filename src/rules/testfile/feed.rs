//! The numbers of a test: `series` and `profile` tables to points.
//!
//! In: one table. Out: series with steps, wall times and values. Invariant: sizes are checked before anything
//! is built; a value `_` becomes no point at all.

use super::case::{CasePoint, CaseSeries};
use super::compact::{Noise, expand, expand_to};
use super::parse::{POINTS_MAX, check_keys, required};
use crate::model::Quantity;
use crate::rules::document::{Node, Span, Table, Value};
use crate::rules::fields::{integer, text, texts, word, wrong_type};
use crate::rules::problem::Problems;

/// Wall time of step 0 and of second 0 of `times`, Unix seconds: 2023-11-14, an arbitrary day that a check
/// takes for real.
const WALL_START: f64 = 1.7e9;

const SERIES_KEYS: &[&str] = &[
    "tag", "values", "start", "every", "steps", "times", "seed", "decimals",
];
const PROFILE_KEYS: &[&str] = &[
    "quantity", "tag", "layers", "n", "by_depth", "by_step", "steps", "every", "seed", "decimals",
];

/// One series by its tag.
pub(super) fn read_series(
    table: &Table,
    header: &Span,
    seconds_per_step: Option<f64>,
    problems: &mut Problems<'_>,
) -> Option<CaseSeries> {
    check_keys(table, SERIES_KEYS, problems);
    let tag = required(table, "tag", header, problems).and_then(|it| text("tag", it, problems));
    let seed = read_seed(table, problems);
    let values =
        required(table, "values", header, problems).and_then(|it| notation("values", it, seed, problems));
    let digits = read_decimals(table, problems);
    let start = whole(table, "start", 0, i64::MIN, problems);
    let every = whole(table, "every", 1, 1, problems);
    let (tag, values, start, every, digits) = (tag?, values?, start?, every?, digits?);
    let steps = match table.get("steps") {
        Some(node) => listed("steps", node, values.len(), problems)?,
        None => vec![None; values.len()],
    };
    let times = match table.get("times") {
        Some(node) => listed("times", node, values.len(), problems)?,
        None => vec![None; values.len()],
    };
    let points = values.iter().enumerate().filter_map(|(at, value)| {
        let counted = start.saturating_add(every.saturating_mul(at as i64));
        // Steps beyond 2^53 are not written in tests.
        let step = steps[at].map_or(counted, |it| it as i64);
        let wall_time = times[at]
            .or_else(|| Some(step as f64 * seconds_per_step?))
            .map(|it| WALL_START + it);
        Some(CasePoint {
            step,
            wall_time,
            value: digits.print((*value)?),
        })
    });
    Some(CaseSeries {
        points: points.collect(),
        resolution: digits.resolution,
        tag,
    })
}

/// All layers of one quantity, a series per layer.
pub(super) fn read_profile(
    table: &Table,
    header: &Span,
    seconds_per_step: Option<f64>,
    problems: &mut Problems<'_>,
) -> Option<Vec<CaseSeries>> {
    check_keys(table, PROFILE_KEYS, problems);
    let layers = read_layers(table, header, problems);
    let template = read_tag(table, header, problems);
    let digits = read_decimals(table, problems);
    let every = whole(table, "every", 1, 1, problems);
    let steps = required(table, "steps", header, problems).and_then(|it| read_steps(it, every?, problems));
    let mut noise = read_seed(table, problems).map(Noise::new);
    let by_depth =
        required(table, "by_depth", header, problems).and_then(|it| text("by_depth", it, problems));
    let by_step = table
        .get("by_step")
        .map_or(Some("1".to_owned()), |it| text("by_step", it, problems));
    let (layers, template, steps, digits) = (layers?, template?, steps?, digits?);
    if layers.len().saturating_mul(steps.len()) > POINTS_MAX {
        problems.add(header, format!("more than {POINTS_MAX} points in one test"));
        return None;
    }
    let factors = sized("by_step", &by_step?, steps.len(), &mut None, table, problems)?;
    let by_depth = by_depth?;
    let mut series: Vec<CaseSeries> = layers
        .iter()
        .map(|it| CaseSeries {
            tag: template.replace("{layer}", it),
            resolution: digits.resolution,
            points: Vec::with_capacity(steps.len()),
        })
        .collect();
    for (step, factor) in steps.into_iter().zip(factors) {
        let profile = sized("by_depth", &by_depth, layers.len(), &mut noise, table, problems)?;
        let wall_time = seconds_per_step.map(|it| WALL_START + it * step as f64);
        for (one, value) in series.iter_mut().zip(profile) {
            // A step or a layer that is `_` was not logged.
            one.points
                .extend(value.zip(factor).map(|(value, factor)| CasePoint {
                    step,
                    wall_time,
                    value: digits.print(value * factor),
                }));
        }
    }
    Some(series)
}

/// Names from a template with one `#` and `n`, or as listed.
fn read_layers(table: &Table, header: &Span, problems: &mut Problems<'_>) -> Option<Vec<String>> {
    let node = required(table, "layers", header, problems)?;
    if matches!(node.value, Value::Array(_)) {
        return texts("layers", node, problems).map(|it| it.into_iter().map(|(name, _)| name).collect());
    }
    let template = text("layers", node, problems)?;
    let n = integer("n", required(table, "n", header, problems)?, problems)?;
    if !template.contains('#') {
        problems.add(&node.span, "`layers` has no `#` for the number of the layer");
        return None;
    }
    match usize::try_from(n) {
        Ok(n) if (1..=POINTS_MAX).contains(&n) => Some(
            (0..n)
                .map(|it| template.replacen('#', &it.to_string(), 1))
                .collect(),
        ),
        _ => {
            problems.add(header, format!("`n` is not 1 to {POINTS_MAX}"));
            None
        }
    }
}

/// The tag of a layer: `quantity/layer` unless `tag = "gradients/{layer}/norm"` says otherwise.
fn read_tag(table: &Table, header: &Span, problems: &mut Problems<'_>) -> Option<String> {
    if let Some(node) = table.get("tag") {
        let template = text("tag", node, problems)?;
        if !template.contains("{layer}") {
            problems.add(&node.span, "`tag` of a profile has no `{layer}`");
            return None;
        }
        return Some(template);
    }
    let node = required(table, "quantity", header, problems)?;
    let name = text("quantity", node, problems)?;
    let known: Vec<_> = Quantity::ALL
        .iter()
        .filter(|it| it.is_per_layer())
        .map(|it| (it.as_str(), *it))
        .collect();
    word("quantity", &name, &node.span, &known, problems).map(|it| format!("{it}/{{layer}}"))
}

/// `"0..40"`: from 0 up to, not with, 40.
fn read_steps(node: &Node, every: i64, problems: &mut Problems<'_>) -> Option<Vec<i64>> {
    let range = text("steps", node, problems)?;
    let ends = range
        .split_once("..")
        .and_then(|(from, to)| Some((from.trim().parse::<i64>().ok()?, to.trim().parse::<i64>().ok()?)));
    let Some((from, to)) = ends.filter(|(from, to)| from < to) else {
        problems.add(
            &node.span,
            format!("`{range}` is not a range of steps like `0..40`"),
        );
        return None;
    };
    let n = to.saturating_sub(from).saturating_sub(1) / every;
    if n >= POINTS_MAX as i64 {
        problems.add(&node.span, format!("more than {POINTS_MAX} steps"));
        return None;
    }
    Some((0..=n).map(|it| from + it * every).collect())
}

/// How a log prints numbers.
#[derive(Clone, Copy)]
struct Digits {
    /// Smallest step, 0 for full precision.
    resolution: f64,
}

impl Digits {
    fn print(self, value: f64) -> f64 {
        if self.resolution > 0.0 {
            (value / self.resolution).round() * self.resolution
        } else {
            value
        }
    }
}

/// `decimals = 3`: the log prints three digits behind the point.
fn read_decimals(table: &Table, problems: &mut Problems<'_>) -> Option<Digits> {
    let Some(node) = table.get("decimals") else {
        return Some(Digits { resolution: 0.0 });
    };
    let n = integer("decimals", node, problems)?;
    if !(0..=15).contains(&n) {
        problems.add(&node.span, "`decimals` is not 0 to 15");
        return None;
    }
    Some(Digits {
        resolution: 10.0_f64.powi(-(n as i32)),
    })
}

fn read_seed(table: &Table, problems: &mut Problems<'_>) -> Option<u64> {
    let seed = integer("seed", table.get("seed")?, problems)?;
    Some(seed.cast_unsigned())
}

/// A whole number with a default and a lower end.
fn whole(table: &Table, key: &str, default: i64, min: i64, problems: &mut Problems<'_>) -> Option<i64> {
    let Some(node) = table.get(key) else {
        return Some(default);
    };
    let number = integer(key, node, problems)?;
    if number < min {
        problems.add(&node.span, format!("`{key}` is less than {min}"));
        return None;
    }
    Some(number)
}

fn notation(
    key: &str,
    node: &Node,
    seed: Option<u64>,
    problems: &mut Problems<'_>,
) -> Option<Vec<Option<f64>>> {
    let Value::Text(text) = &node.value else {
        return wrong_type(
            key,
            "compact notation in a string",
            &node.value,
            &node.span,
            problems,
        );
    };
    match expand(text, seed) {
        Ok(values) => Some(values),
        Err(error) => {
            // Behind the opening quote; escapes have no place in notation.
            let at = (node.span.start + 1 + error.at).min(node.span.end);
            problems.add(&(at..node.span.end.max(at)), format!("`{key}`: {}", error.what));
            None
        }
    }
}

/// Notation that must give one value per value of the series.
fn listed(key: &str, node: &Node, n: usize, problems: &mut Problems<'_>) -> Option<Vec<Option<f64>>> {
    let values = notation(key, node, None, problems)?;
    if values.len() != n {
        problems.add(
            &node.span,
            format!("`{key}` has {} values, `values` has {n}", values.len()),
        );
        return None;
    }
    if values.iter().flatten().any(|it| !it.is_finite()) {
        problems.add(&node.span, format!("`{key}` is not finite"));
        return None;
    }
    Some(values)
}

/// [`expand_to`] for a key of the table.
fn sized(
    key: &str,
    text: &str,
    n: usize,
    noise: &mut Option<Noise>,
    table: &Table,
    problems: &mut Problems<'_>,
) -> Option<Vec<Option<f64>>> {
    expand_to(text, n, noise)
        .map_err(|what| {
            let span = table.get(key).map_or(0..0, |it| it.span.clone());
            problems.add(&span, format!("`{key}`: {what}"));
        })
        .ok()
}
