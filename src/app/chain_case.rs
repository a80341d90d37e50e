//! A simulated chain as the input of a rule test.
//!
//! In: the `chain` table of a test. Out: the series that such a run would log. Invariant: the keys are the long
//! options of `gradwatch simulate`, so that a chain of a test can be looked at with that command.

use clap::Parser;
use regex::Regex;

use super::simulate::trainer;
use crate::cli::SimulateArgs;
use crate::rules::testfile::{CasePoint, CaseSeries, POINTS_MAX, Setting};
use crate::simulate::row_of;

/// Options that say where the run goes, which is the test's business.
const OUTPUT_OPTIONS: &[&str] = &["out", "as", "format", "help", "version"];

/// The command line of `gradwatch simulate`, for its parser alone.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Chain {
    #[command(flatten)]
    args: SimulateArgs,
}

/// Which of the chain's numbers the run logs.
struct Logged {
    tags: Option<Regex>,
    every: i64,
}

/// The series that a chain with these settings logs while it trains.
///
/// # Errors
/// In a sentence: an unknown or bad setting, no `steps`, or more than [`POINTS_MAX`] points.
pub(super) fn simulate_case(settings: &[(String, Setting)]) -> Result<Vec<CaseSeries>, String> {
    let (arguments, logged) = split(settings)?;
    let args = Chain::try_parse_from(arguments)
        .map_err(|error| first_sentence(&error.to_string()))?
        .args;
    let steps = args.steps.ok_or("`chain` needs `steps`")?;
    let mut trainer = trainer(&args).map_err(|error| format!("chain: {error}"))?;
    let mut series: Vec<CaseSeries> = Vec::new();
    let mut n_points = 0;
    for _ in 0..steps {
        let record = trainer.step().map_err(|error| format!("chain: {error}"))?;
        if record.step % logged.every != 0 {
            continue;
        }
        let row = row_of(&record)
            .into_iter()
            .filter(|(tag, _)| logged.tags.as_ref().is_none_or(|it| it.is_match(tag)));
        // Every step logs the same tags in the same order.
        for (at, (tag, value)) in row.enumerate() {
            if series.len() == at {
                series.push(CaseSeries {
                    tag,
                    resolution: 0.0,
                    points: Vec::new(),
                });
            }
            series[at].points.push(CasePoint {
                step: record.step,
                wall_time: None,
                value,
            });
            n_points += 1;
        }
        if n_points > POINTS_MAX {
            return Err(format!("chain: more than {POINTS_MAX} points"));
        }
    }
    if series.is_empty() {
        return Err("chain: `tags` matches nothing that a chain logs".to_owned());
    }
    Ok(series)
}

fn split(settings: &[(String, Setting)]) -> Result<(Vec<String>, Logged), String> {
    let mut arguments = Vec::new();
    let mut logged = Logged { tags: None, every: 1 };
    for (key, setting) in settings {
        match (key.as_str(), setting) {
            ("tags", Setting::Text(pattern)) => {
                logged.tags = Some(Regex::new(pattern).map_err(|error| format!("chain: `tags`: {error}"))?);
            }
            ("every", Setting::Number(every)) if *every >= 1.0 => logged.every = *every as i64,
            ("tags" | "every", _) => return Err(format!("chain: `{key}` has no use for this value")),
            (name, _) if OUTPUT_OPTIONS.contains(&name) => return Err(format!("chain: unknown key `{key}`")),
            (name, setting) => arguments.extend(argument(name, setting)),
        }
    }
    Ok((arguments, logged))
}

/// The option of the command that a setting stands for; none for a switch that is off.
fn argument(key: &str, setting: &Setting) -> Option<String> {
    let option = format!("--{}", key.replace('_', "-"));
    let value = match setting {
        Setting::Flag(false) => return None,
        Setting::Flag(true) => return Some(option),
        Setting::Text(text) => text.clone(),
        Setting::Number(number) => number.to_string(),
        Setting::Numbers(numbers) => numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(","),
    };
    Some(format!("{option}={value}"))
}

/// What clap says, without its advice on usage.
fn first_sentence(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default();
    format!("chain: {}", line.strip_prefix("error: ").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::simulate_case;
    use crate::rules::testfile::Setting;

    fn set(key: &str, value: f64) -> (String, Setting) {
        (key.to_owned(), Setting::Number(value))
    }

    #[test]
    fn a_chain_logs_what_its_closed_form_says() {
        let bare = |tags: &str| {
            let tags = ("tags".to_owned(), Setting::Text(tags.to_owned()));
            let settings = [
                set("layers", 3.0),
                set("weight", 0.5),
                set("bias", 0.0),
                set("steps", 5.0),
                set("every", 2.0),
                tags,
            ];
            simulate_case(&settings).unwrap()
        };
        // y = w^3 x = 1/8, target 1: the bias gradient of layer k is |y - 1| w^(3-k).
        let biases = bare(r"^grad_norm/.*\.bias$");
        let first: Vec<(&str, f64)> = biases
            .iter()
            .map(|it| (it.tag.as_str(), it.points[0].value))
            .collect();
        assert_eq!(
            first,
            [
                ("grad_norm/layers.1.bias", 0.875 * 0.25),
                ("grad_norm/layers.2.bias", 0.875 * 0.5),
                ("grad_norm/layers.3.bias", 0.875)
            ]
        );
        let steps: Vec<i64> = biases[0].points.iter().map(|it| it.step).collect();
        assert_eq!(steps, [0, 2, 4]);
        assert_eq!(bare("^loss$").len(), 1);
    }

    #[test]
    fn what_the_simulator_does_not_know_is_refused() {
        let refusal = |settings: &[(String, Setting)]| simulate_case(settings).unwrap_err();
        assert_eq!(refusal(&[set("layers", 3.0)]), "`chain` needs `steps`");
        assert!(refusal(&[set("layer", 3.0), set("steps", 1.0)]).contains("'--layer'"));
        assert!(refusal(&[set("layers", 3.5), set("steps", 1.0)]).contains("3.5"));
        assert_eq!(
            refusal(&[set("out", 1.0), set("steps", 1.0)]),
            "chain: unknown key `out`"
        );
        assert!(refusal(&[set("every", 0.0), set("steps", 1.0)]).contains("`every`"));
    }
}
