//! Tables and JSON of simulated layers.
//!
//! In: layers. Out: text. Invariants: a number too large or too small for `f64` is printed by its logarithm;
//! JSON holds the words of the audit report for non-finite values, the logarithm of an exact zero among them.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::simulate::{
    ChainSpec, Fate, LayerNorms, NumberFormat, Regime, ScalarChain, ScalarLayer, Scaled, StepRecord, fate,
};

/// Layers printed in full; of more, the ends and evenly spaced ones between.
const ROWS_MAX: usize = 24;

pub(super) fn scalar_json(
    chain: &ScalarChain,
    layers: &[ScalarLayer],
    format: NumberFormat,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut rounded = Vec::new();
    if format != NumberFormat::Float64 {
        rounded = chain.rounded_pass(format);
    }
    let rows = layers.iter().zip(chain.weights()).enumerate().map(|(index, (layer, w))| {
        let mut row = json!({ "k": layer.k, "weight_norm": number(w.abs()) });
        if let (Some(of_output), Some(fields)) = (rounded.get(index), row.as_object_mut()) {
            let rounded = json!({
                "dtype": format.name(), "activation": number(of_output.activation),
                "output_by_weight": number(of_output.grad_weight), "output_by_bias": number(of_output.grad_bias),
            });
            fields.insert("rounded".to_owned(), rounded);
        }
        put(&mut row, "activation", layer.activation);
        put(&mut row, "grad_weight", layer.grad_weight);
        put(&mut row, "grad_bias", layer.grad_bias);
        row
    });
    document(rows, out)
}

pub(super) fn matrix_json(norms: &[LayerNorms], out: &mut dyn Write) -> io::Result<()> {
    let rows = norms.iter().map(|layer| {
        let mut row = json!({ "k": layer.k, "weight_norm": number(layer.weight) });
        put(&mut row, "activation", layer.activation_rms);
        put(&mut row, "grad_weight", layer.grad_weight);
        put(&mut row, "grad_bias", layer.grad_bias);
        row
    });
    document(rows, out)
}

pub(super) fn record_json(record: &StepRecord, out: &mut dyn Write) -> io::Result<()> {
    let rows = record.layers.iter().map(|layer| {
        let mut row = json!({ "k": layer.k, "weight_norm": number(layer.weight) });
        put(&mut row, "activation", Scaled::new(layer.activation));
        put(&mut row, "grad_weight", Scaled::new(layer.grad_weight));
        put(&mut row, "grad_bias", Scaled::new(layer.grad_bias));
        row
    });
    document(rows, out)
}

/// Written row by row: 100,000 layers need no tree of their own.
fn document(rows: impl Iterator<Item = Value>, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{{\"schema\":\"gradwatch.simulate/1\",\"layers\":[")?;
    for (index, row) in rows.enumerate() {
        if index > 0 {
            write!(out, ",")?;
        }
        write!(out, "{row}")?;
    }
    writeln!(out, "]}}")
}

/// `name`, `sign_name` and `ln_name`.
fn put(row: &mut Value, name: &str, value: Scaled) {
    if let Some(fields) = row.as_object_mut() {
        fields.insert(name.to_owned(), number(value.to_f64()));
        fields.insert(format!("sign_{name}"), json!(value.sign()));
        fields.insert(format!("ln_{name}"), number(value.ln_abs()));
    }
}

fn number(value: f64) -> Value {
    match serde_json::Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => json!("NaN"),
        None => json!(if value > 0.0 { "Infinity" } else { "-Infinity" }),
    }
}

pub(super) fn scalar_text(
    chain: &ScalarChain,
    layers: &[ScalarLayer],
    format: NumberFormat,
    target: Option<f64>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let of = if target.is_some() { "L" } else { "y" };
    writeln!(
        out,
        "{:>7}  {:>14}  {:>14}  {:>14}",
        "k",
        "a_k",
        format!("d{of}/dw_k"),
        format!("d{of}/db_k")
    )?;
    for index in shown_rows(layers.len()) {
        if let Some(layer) = layers.get(index) {
            let cells = [layer.activation, layer.grad_weight, layer.grad_bias].map(short);
            writeln!(
                out,
                "{:>7}  {:>14}  {:>14}  {:>14}",
                layer.k, cells[0], cells[1], cells[2]
            )?;
        }
    }
    writeln!(out)?;
    regimes(chain, out)?;
    if format != NumberFormat::Float64 {
        formats(chain, format, out)?;
    }
    Ok(())
}

pub(super) fn matrix_text(
    spec: &ChainSpec,
    norms: &[LayerNorms],
    seed: u64,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(
        out,
        "{} layers, {} initialisation, gain {}, {}, batch {}, {}, seed {seed}",
        spec.depth(),
        spec.init.name(),
        spec.gain,
        spec.activation.name(),
        spec.batch,
        spec.format.name()
    )?;
    header(out)?;
    for index in shown_rows(norms.len()) {
        if let Some(layer) = norms.get(index) {
            let cells = [layer.activation_rms, layer.grad_weight, layer.grad_bias].map(short);
            layer_row(layer.k, layer.weight, &cells, out)?;
        }
    }
    if spec.bias_sd == 0.0 && spec.activation.is_homogeneous() {
        writeln!(out, "\n{BLIND}")?;
    }
    Ok(())
}

pub(super) fn record_text(record: &StepRecord, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "step {}: loss {:.6e}, gradient norm {:.6e}",
        record.step, record.loss, record.grad_norm
    )?;
    header(out)?;
    for index in shown_rows(record.layers.len()) {
        if let Some(layer) = record.layers.get(index) {
            let cells = [layer.activation, layer.grad_weight, layer.grad_bias].map(|v| short(Scaled::new(v)));
            layer_row(layer.k, layer.weight, &cells, out)?;
        }
    }
    Ok(())
}

const BLIND: &str = "Without biases the gradient of every weight is the same size at every depth: the activation \
below grows as the gradient from above shrinks. A rule on weight gradients alone is blind here; look at the \
gradients of biases, at activations, or at the level.";

fn header(out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{:>7}  {:>12}  {:>14}  {:>14}  {:>14}",
        "k", "|W_k|", "rms a_k", "|dL/dW_k|", "|dL/db_k|"
    )
}

fn layer_row(k: usize, weight: f64, cells: &[String; 3], out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{k:>7}  {weight:>12.5e}  {:>14}  {:>14}  {:>14}",
        cells[0], cells[1], cells[2]
    )
}

/// All rows, or both ends and evenly spaced ones between.
fn shown_rows(count: usize) -> Vec<usize> {
    if count <= ROWS_MAX {
        return (0..count).collect();
    }
    (0..ROWS_MAX)
        .map(|row| row * (count - 1) / (ROWS_MAX - 1))
        .collect()
}

/// Six digits, by way of the logarithm where `f64` ends.
fn short(value: Scaled) -> String {
    let plain = value.to_f64();
    if value.sign() == 0 || (plain.is_normal() && plain.is_finite()) || !value.ln_abs().is_finite() {
        return if plain.is_finite() && value.sign() != 0 {
            format!("{plain:.5e}")
        } else {
            format!("{plain}")
        };
    }
    let log10 = value.ln_abs() * std::f64::consts::LOG10_E;
    let sign = if value.sign() < 0 { "-" } else { "" };
    format!("{sign}{:.5}e{}", 10f64.powf(log10 - log10.floor()), log10.floor())
}

fn regimes(chain: &ScalarChain, out: &mut dyn Write) -> io::Result<()> {
    let Some((w, b)) = chain.shared() else {
        return if chain.biases().iter().all(|bias| *bias == 0.0) {
            writeln!(out, "{BLIND}")
        } else {
            Ok(())
        };
    };
    let here = |regime: Regime| if Regime::of(w) == regime { "=>" } else { "  " };
    let (n, x) = (chain.depth(), chain.input());
    let fixed_point = if w == 1.0 {
        String::new()
    } else {
        // Adding 0 takes the sign from a zero.
        format!(" = {:.6}", b / (1.0 - w) + 0.0)
    };
    let (below, above) = if w.abs() < 1.0 {
        (fixed_point.as_str(), "")
    } else {
        ("", fixed_point.as_str())
    };
    writeln!(
        out,
        "{} |w| < 1  vanishing: the influence w^n of the input dies out, a_n tends to b/(1-w){below}; \
         dy/db_k = w^(n-k) vanishes towards the input",
        here(Regime::Vanishing)
    )?;
    let drift = x + n as f64 * b;
    let drift = if w == 1.0 {
        format!(" = {drift}")
    } else {
        String::new()
    };
    writeln!(
        out,
        "{} |w| = 1  stable: a_n drifts as x + n b{drift}; dy/db_k = 1 at every layer",
        here(Regime::Stable)
    )?;
    writeln!(
        out,
        "{} |w| > 1  exploding: a_n and dy/db_k grow as w^n, unless x sits on the unstable fixed point \
         b/(1-w){above}",
        here(Regime::Exploding)
    )?;
    if b == 0.0 {
        writeln!(out, "{BLIND}")?;
    }
    Ok(())
}

fn formats(chain: &ScalarChain, format: NumberFormat, out: &mut dyn Write) -> io::Result<()> {
    let layers = chain.rounded_pass(format);
    let n = chain.depth();
    writeln!(out, "\nIn {} (gradients from the output down):", format.name())?;
    let forward = fate(format, layers.iter().map(|layer| layer.activation));
    writeln!(out, "  a_k      {}", fate_text(forward, |position| position))?;
    // The pass runs down from layer n.
    let layer_of = |position: usize| n + 1 - position;
    let weights = fate(format, layers.iter().rev().map(|layer| layer.grad_weight));
    writeln!(out, "  dy/dw_k  {}", fate_text(weights, layer_of))?;
    let biases = fate(format, layers.iter().rev().map(|layer| layer.grad_bias));
    writeln!(out, "  dy/db_k  {}", fate_text(biases, layer_of))
}

fn fate_text(fate: Fate, layer_of: impl Fn(usize) -> usize) -> String {
    let mut parts = Vec::new();
    let mut say = |position: Option<usize>, what: &str| {
        if let Some(position) = position {
            parts.push(format!("{what} at layer {}", layer_of(position)));
        }
    };
    say(fate.infinite, "infinite");
    say(fate.nan, "NaN");
    say(fate.subnormal, "subnormal");
    say(fate.zero, "zero");
    if let Some((position, value)) = fate.stuck {
        parts.push(format!(
            "stuck at {value:.3e} since layer {}, never zero",
            layer_of(position)
        ));
    }
    if parts.is_empty() {
        "stays normal".to_owned()
    } else {
        parts.join(", ")
    }
}
