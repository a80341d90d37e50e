//! `gradwatch compare`: does this run train, or can it not be told from its baseline?
//!
//! In: two paths with one run each. Out: a table per layer and a sentence, or `gradwatch.compare/1` JSON; the
//! verdict as exit status. Invariant: both runs are read and judged exactly as `audit` does.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::baseline::{NotOneRun, Portrayed, are_same_files, portray_path};
use super::rule_set;
use crate::cli::{CompareArgs, Format};
use crate::compare::{Comparison, LayerComparison, NormComparison, Standing, Way, compare};
use crate::exit::ExitStatus;
use crate::series::Portrait;

/// Layers printed in full at either end; JSON has all.
const END_ROWS: usize = 20;

/// Compares.
///
/// # Errors
/// A path with several runs, a wrong rule file, or `out` cannot be written.
pub fn run(args: &CompareArgs, out: &mut dyn Write) -> anyhow::Result<ExitStatus> {
    let rules = rule_set::load_files(&args.rules)?.rules;
    let both =
        portray_path(&args.run, &rules).and_then(|run| Ok((run, portray_path(&args.baseline, &rules)?)));
    let (run, baseline) = match both {
        Ok(both) => both,
        Err(NotOneRun::Several(why)) => return Err(anyhow::anyhow!(why)),
        Err(NotOneRun::Nothing(why)) => {
            eprintln!("gradwatch: {why}");
            return Ok(ExitStatus::Unreadable);
        }
    };
    if are_same_files(&run.files, &baseline.files) {
        let (run, baseline) = (args.run.display(), args.baseline.display());
        anyhow::bail!("{run} and {baseline} are the same files: name another run as the baseline");
    }
    let heads = [
        head("run", &args.run, &run),
        head("baseline", &args.baseline, &baseline),
    ];
    let baseline = baseline.into_baseline(args.baseline.display().to_string());
    let comparison = compare(&run.portrait, &baseline);
    match args.format {
        Format::Text => print_text(&heads, &comparison, out)?,
        Format::Json => {
            let names = [args.run.display().to_string(), baseline.name.clone()];
            writeln!(
                out,
                "{}",
                to_json(&names, [&run.portrait, &baseline.portrait], &comparison)
            )?;
        }
    }
    Ok(match comparison.standing {
        Standing::Training => ExitStatus::Clean,
        Standing::NotTraining | Standing::Worse | Standing::TroubleToo => ExitStatus::Findings,
        Standing::Undecided => ExitStatus::Unreadable,
    })
}

fn head(what: &str, path: &Path, run: &Portrayed) -> String {
    let steps = run
        .portrait
        .steps
        .map_or_else(String::new, |(first, last)| format!(", steps {first} to {last}"));
    let rate = match run.portrait.learning_rate {
        None => "not logged".to_owned(),
        Some((low, high)) if low == high => format!("{low}"),
        Some((low, high)) => format!("{low} to {high}"),
    };
    format!(
        "{what:<8}  {}{steps}, learning rate {rate}, by itself {}",
        path.display(),
        run.report.verdict
    )
}

fn print_text(heads: &[String; 2], it: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    for head in heads {
        writeln!(out, "{head}")?;
    }
    if !it.layers.is_empty() {
        writeln!(out)?;
        print_layers(&it.layers, out)?;
    }
    writeln!(out, "\n{}", it.sentence)?;
    for note in &it.notes {
        writeln!(out, "  note: {note}")?;
    }
    for remedy in &it.remedy {
        writeln!(out, "  - {remedy}")?;
    }
    Ok(())
}

fn print_layers(layers: &[LayerComparison], out: &mut dyn Write) -> io::Result<()> {
    let width = layers
        .iter()
        .map(|it| it.path.chars().count())
        .max()
        .unwrap_or(0)
        .clamp(5, 48);
    writeln!(
        out,
        "{:<width$}  {:>23}  {:>6}  {:>10}  {:>12}  {:>12}",
        "layer", "weight norm", "moved", "update max", "gradient", "activation"
    )?;
    let hidden = layers.len().saturating_sub(2 * END_ROWS);
    for (index, layer) in layers.iter().enumerate() {
        if hidden > 0 && index == END_ROWS {
            writeln!(out, "{:<width$}  ({hidden} more)", "...")?;
        }
        if hidden > 0 && (END_ROWS..END_ROWS + hidden).contains(&index) {
            continue;
        }
        let weight = layer
            .weight
            .map_or_else(dash, |(first, last)| format!("{first:.5} -> {last:.5}"));
        let moved = layer
            .has_moved
            .map_or_else(dash, |moved| if moved { "yes" } else { "no" }.to_owned());
        let update = layer.update.map_or_else(dash, |update| format!("{update:.2e}"));
        writeln!(
            out,
            "{:<width$}  {weight:>23}  {moved:>6}  {update:>10}  {:>12}  {:>12}",
            layer.path,
            norm_cell(layer.gradient),
            norm_cell(layer.activation)
        )?;
    }
    writeln!(
        out,
        "gradient and activation: factor to the baseline's; * = beyond chance"
    )
}

fn norm_cell(norm: Option<NormComparison>) -> String {
    norm.map_or_else(dash, |it| {
        format!("x{:.4}{}", it.ratio, if it.differs { " *" } else { "  " })
    })
}

fn dash() -> String {
    "-".to_owned()
}

fn to_json(names: &[String; 2], portraits: [&Portrait; 2], it: &Comparison) -> Value {
    let side = |name: &String, portrait: &Portrait| {
        json!({
            "path": name,
            "first_step": portrait.steps.map(|it| it.0), "last_step": portrait.steps.map(|it| it.1),
            "learning_rate_min": portrait.learning_rate.map(|it| number(it.0)),
            "learning_rate_max": portrait.learning_rate.map(|it| number(it.1)),
            "loss_tag": portrait.loss.as_ref().map(|it| it.tag.to_string()),
        })
    };
    let loss = it.loss.map(|loss| {
        json!({
            "way": match loss.way { Way::Paired => "paired", Way::Separate => "separate" },
            "points": loss.points, "first_step": loss.steps.0, "last_step": loss.steps.1,
            "run": number(loss.run), "baseline": number(loss.baseline), "difference": number(loss.test.mean),
            "standard_error": number(loss.test.standard_error), "effective_points": number(loss.test.effective),
            "p": number(loss.test.p), "share_below": number(loss.share_below), "relative": number(loss.relative),
        })
    });
    let troubles: Vec<Value> = it
        .troubles
        .iter()
        .map(|it| json!({ "family": it.family.as_str(), "kind": it.kind, "rule": it.rule, "message": it.message }))
        .collect();
    json!({
        "schema": "gradwatch.compare/1",
        "verdict": it.standing.as_str(),
        "sentence": it.sentence,
        "run": side(&names[0], portraits[0]),
        "baseline": side(&names[1], portraits[1]),
        "baseline_learning_rate_is_zero": it.baseline_rate_is_zero,
        "loss": loss,
        "layers": it.layers.iter().map(layer_json).collect::<Vec<_>>(),
        "baseline_troubles": troubles,
        "notes": it.notes,
        "remedy": it.remedy,
    })
}

fn layer_json(layer: &LayerComparison) -> Value {
    let norm = |it: NormComparison| json!({ "ratio": number(it.ratio), "differs": it.differs });
    json!({
        "layer": layer.path,
        "weight_first": layer.weight.map(|it| number(it.0)), "weight_last": layer.weight.map(|it| number(it.1)),
        "weights_moved": layer.has_moved, "baseline_weights_moved": layer.baseline_has_moved,
        "update_max": layer.update.map(number),
        "gradient": layer.gradient.map(norm), "activation": layer.activation.map(norm),
    })
}

/// Non-finite numbers as the words of the audit report.
fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(
        || {
            json!(if value.is_nan() {
                "NaN"
            } else if value > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            })
        },
        Value::Number,
    )
}
