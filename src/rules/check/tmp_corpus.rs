//! x
use super::Judgement;
use super::bench::Bench;
use crate::model::{Quantity, Severity};

fn show(name: &str, bench: &Bench, steps: &[f64]) -> String {
    let mut kinds: Vec<(String, Severity, f64, usize)> = Vec::new();
    let mut healed = String::new();
    for (i, (_, j)) in bench.said.iter().enumerate() {
        match j {
            Judgement::Bad(o) => {
                let s = o.severity.unwrap_or(Severity::Critical);
                let step = steps.get(i).copied().unwrap_or(-1.0);
                if let Some(k) = kinds.iter_mut().find(|k| k.0 == o.kind && k.1 == s) {
                    k.3 += 1;
                } else {
                    kinds.push((o.kind.to_owned(), s, step, 1));
                }
            }
            Judgement::Healed(s) => {
                healed = format!("{healed} healed->{s}@{}", steps.get(i).unwrap_or(&-1.0))
            }
            _ => {}
        }
    }
    if kinds.is_empty() {
        return String::new();
    }
    format!(
        "  {name}: {:?} {}{healed}",
        bench.severity(),
        kinds
            .iter()
            .map(|k| format!("{}/{}@{}x{}", k.0, k.1, k.2, k.3))
            .collect::<Vec<_>>()
            .join(" ")
    )
}

#[test]
fn corpus() {
    let text = std::fs::read_to_string("/tmp/series/all.txt").unwrap();
    let mut steps: Vec<f64> = vec![];
    let mut lr: Vec<f64> = vec![];
    let mut loss: Vec<f64> = vec![];
    let mut planned = None;
    for line in text.lines() {
        let (key, rest) = line.split_once(' ').unwrap();
        if key == "RUN" {
            println!("{rest}");
            planned = rest.rsplit_once('=').and_then(|x| x.1.parse().ok());
            continue;
        }
        let v: Vec<f64> = rest.split(' ').map(|x| x.parse().unwrap()).collect();
        match key {
            "steps" => steps = v,
            "lr" => lr = v,
            "loss" => loss = v.clone(),
            _ => {}
        }
        let run = |info: &'static super::CheckInfo, q: Quantity, ch: &[(&str, f64)], values: &[f64], sev| {
            let mut b = Bench::with_severity(info, q, ch, sev);
            b.facts.planned_steps = planned;
            for (i, x) in values.iter().enumerate() {
                b.facts.learning_rate = lr.get(i).copied();
                b.facts.learning_rate_max = Some(b.facts.learning_rate_max.unwrap_or(0.0).max(lr[i]));
                b.set_step(steps[i] as i64);
                if q == Quantity::Loss {
                    b.push(*x);
                } else {
                    b.push_beside_loss(*x, loss[i]);
                }
            }
            b.finish();
            b
        };
        let mut out = vec![];
        match key {
            "loss" => {
                let v = &loss;
                out.push(show(
                    "divergence",
                    &run(
                        &super::divergence::INFO,
                        Quantity::Loss,
                        &[],
                        v,
                        Severity::Critical,
                    ),
                    &steps,
                ));
                out.push(show(
                    "spike",
                    &run(
                        &super::spike::INFO,
                        Quantity::Loss,
                        &[("ratio", 1.1), ("setback", 0.35), ("needs_loss_unwell", 0.0)],
                        v,
                        Severity::Warning,
                    ),
                    &steps,
                ));
                out.push(show(
                    "nonfinite",
                    &run(
                        &super::non_finite::INFO,
                        Quantity::Loss,
                        &[],
                        v,
                        Severity::Critical,
                    ),
                    &steps,
                ));
                //LOSS
            }
            "G" => {
                let v: Vec<f64> = rest.split(' ').map(|x| x.parse().unwrap()).collect();
                out.push(show(
                    "G spike",
                    &run(
                        &super::spike::INFO,
                        Quantity::GradNorm,
                        &[],
                        &v,
                        Severity::Warning,
                    ),
                    &steps,
                ));
                out.push(show(
                    "G nonfinite",
                    &run(
                        &super::non_finite::INFO,
                        Quantity::GradNorm,
                        &[("startup_steps", 50.0), ("patience", 1.0)],
                        &v,
                        Severity::Critical,
                    ),
                    &steps,
                ));
                //GRAD
            }
            "W" => {
                let v: Vec<f64> = rest.split(' ').map(|x| x.parse().unwrap()).collect();
                let _ = &v;
                //WEIGHT
            }
            _ => {}
        }
        for o in out {
            if !o.is_empty() {
                println!("{o}");
            }
        }
    }
}
