//! The layers of a run as rows of blocks: each quantity over depth, as it was last.
//!
//! In: the series of a run. Out: one line per quantity, role and parameter, input on the left. Invariants: readable
//! without colour; one log scale per line; NaN and infinity are `!`, zero `·`; no wider than the terminal; no line
//! where the order of the layers is not known.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::columns::{columns, cut, padded};
use super::escape::printable;
use super::run::RunReport;
use super::spark::sparkline_log;
use super::text::TextStyle;
use crate::model::{DepthOrder, Quantity};
use crate::rules::words::number;
use crate::series::SeriesInfo;

/// Layers that make a profile.
const LAYERS_MIN: usize = 3;
/// Profiles of a run that are shown; a network has few roles, a list of names that only look like layers may have many.
const PROFILES_MAX: usize = 24;
/// Columns of blocks at most and at least, and of a name.
const BLOCKS: (usize, usize) = (48, 8);
const NAME_COLUMNS_MAX: usize = 34;

/// What is compared with each other: rank, quantity, section, role, parameter.
type Key<'r> = (Option<u32>, Quantity, &'r str, &'r str, Option<&'r str>);

struct Profile<'r> {
    name: String,
    layers: Vec<(&'r [u32], &'r SeriesInfo)>,
}

/// Writes the profiles, when there are any.
pub(super) fn write_profiles(run: &RunReport, style: TextStyle, out: &mut dyn Write) -> io::Result<()> {
    let profiles = profiles(run);
    if profiles.is_empty() || run.depth_order == DepthOrder::Unknown {
        return Ok(());
    }
    let shown = profiles.get(..PROFILES_MAX).unwrap_or(&profiles);
    let widest = shown.iter().map(|it| columns(&it.name)).max().unwrap_or(0);
    let room = style.width.map_or(100, usize::from);
    let name = widest.min(NAME_COLUMNS_MAX).min(room / 3);
    writeln!(
        out,
        "  {}",
        style.dim("last value per layer, input on the left, each on its own log scale")
    )?;
    for profile in shown {
        writeln!(out, "  {}", line(profile, name, room))?;
    }
    if shown.len() < profiles.len() {
        writeln!(
            out,
            "  and {} more, see --plot QUANTITY",
            profiles.len() - shown.len()
        )?;
    }
    Ok(())
}

fn profiles(run: &RunReport) -> Vec<Profile<'_>> {
    let mut groups: BTreeMap<Key<'_>, Vec<(&[u32], &SeriesInfo)>> = BTreeMap::new();
    for (rank, info) in &run.series {
        let meaning = &info.meaning;
        let Some(layer) = meaning.layer.as_ref().filter(|_| meaning.quantity.is_per_layer()) else {
            continue;
        };
        let key = (
            *rank,
            meaning.quantity,
            layer.section.as_str(),
            layer.role.as_str(),
            layer.parameter.as_deref(),
        );
        groups.entry(key).or_default().push((&layer.depth, info));
    }
    let of_depth = groups
        .into_iter()
        .filter(|(key, it)| !key.3.is_empty() && it.len() >= LAYERS_MIN);
    of_depth
        .map(|((rank, quantity, _, role, parameter), mut layers)| {
            if run.depth_order == DepthOrder::Named {
                layers.sort_by_key(|it| it.0);
            }
            let rank = rank.map_or_else(String::new, |it| format!("[rank {it}] "));
            let parameter = parameter.map_or_else(String::new, |it| format!(" {it}"));
            let name = format!("{rank}{quantity} {}{parameter}", printable(role));
            Profile { name, layers }
        })
        .collect()
}

fn line(profile: &Profile<'_>, name: usize, room: usize) -> String {
    let values: Vec<f64> = profile.layers.iter().map(|it| it.1.last).collect();
    let mark = if profile.layers.iter().any(|it| it.1.is_estimate) {
        "~"
    } else {
        ""
    };
    let end = |value: Option<&f64>| value.map_or_else(String::new, |it| format!("{mark}{}", number(*it)));
    let ends = format!("{} .. {}", end(values.first()), end(values.last()));
    let blocks = room
        .saturating_sub(name + columns(&ends) + 6)
        .clamp(BLOCKS.1, BLOCKS.0);
    let name = padded(&cut(&profile.name, name), name);
    format!("{name}  {}  {ends}", sparkline_log(&values, blocks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::understand;

    #[test]
    fn layers_stand_in_order_of_depth_whatever_the_order_of_the_log() {
        let mut run = RunReport::new("run");
        run.depth_order = DepthOrder::Named;
        for depth in [2_i32, 0, 3, 1, 10] {
            let tag = format!("grad_norm/blocks.{depth}.weight");
            let mut info = SeriesInfo::new(tag.as_str(), understand(&tag));
            info.last = if depth == 3 { f64::NAN } else { 10_f64.powi(depth) };
            run.series.push((None, info));
        }
        let text = |run: &RunReport, width: Option<u16>| {
            let style = TextStyle {
                is_colored: false,
                width,
            };
            let mut out = Vec::new();
            write_profiles(run, style, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let wide = text(&run, None);
        assert!(
            wide.contains("grad_norm blocks.# weight  ▁▂▂!█  1 .. 1.00e10"),
            "{wide}"
        );
        for width in [40, 60, 200] {
            for line in text(&run, Some(width)).lines().skip(1) {
                assert!(columns(line) <= usize::from(width), "{width}: {line}");
            }
        }
        run.depth_order = DepthOrder::Unknown;
        assert!(text(&run, None).is_empty());
    }
}
