//! Line patterns of the user's own: proved by their examples, and tried on logs.
//!
//! In: rule files with `[[pattern]]` tables, and logs. Out: compiled patterns, or every mistake with its place; for
//! `inspect --pattern`, which lines they read, which they nearly read and why not. Invariant: an example is read by the
//! code that reads logs.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

use super::{rule_set, unless_broken_pipe};
use crate::cli::{Format, InspectArgs};
use crate::decode::OwnPatterns;
use crate::decode::text::own::trial::{NearLine, Trial, TrialReport, TriedLine};
use crate::exit::ExitStatus;
use crate::model::{LinePattern, Problem};
use crate::report::printable;
use crate::rules::check::CheckInfo;
use crate::rules::{Expected, RuleProblem, RuleSet, Source, load};
use crate::source::{BlockReader, discover};

/// Characters of a line that are shown.
const SHOWN_CHARS_MAX: usize = 160;

/// Reads rule files over a set, and proves their patterns.
///
/// # Errors
/// Every problem of every source.
pub fn load_proven(
    sources: &[Source],
    base: &RuleSet,
    registry: &[&'static CheckInfo],
) -> Result<RuleSet, Vec<RuleProblem>> {
    let set = load(sources, base, registry)?;
    let problems = set.check_examples(sources, &read_example);
    if problems.is_empty() {
        Ok(set)
    } else {
        Err(problems)
    }
}

/// The patterns of a rule set, ready to read.
///
/// # Errors
/// When one cannot be compiled, which [`load_proven`] has refused before.
pub fn compiled(set: &RuleSet) -> anyhow::Result<OwnPatterns> {
    OwnPatterns::new(&patterns_of(set)).map_err(|why| anyhow!(why))
}

fn patterns_of(set: &RuleSet) -> Vec<LinePattern> {
    set.patterns.iter().map(|it| it.pattern.clone()).collect()
}

/// What the groups of a pattern hold in its example.
fn read_example(pattern: &LinePattern, line: &str) -> Result<Vec<(String, Expected)>, String> {
    let patterns = OwnPatterns::new(std::slice::from_ref(pattern))?;
    let (_, reading) = patterns
        .read(line)
        .ok_or_else(|| "the example is not matched by `regex`".to_owned())?;
    let reading = reading.map_err(|bad| format!("in the example, {bad}"))?;
    let integer = |it: i64| Expected::Number(it as f64);
    let text = |it: &str| Expected::Text(it.to_owned());
    let mut found = Vec::new();
    found.extend(reading.step.map(|it| ("step".to_owned(), integer(it))));
    found.extend(reading.epoch.map(|it| ("epoch".to_owned(), integer(it))));
    found.extend(reading.layer.map(|it| ("layer".to_owned(), text(it))));
    found.extend(reading.name.map(|it| ("name".to_owned(), text(it))));
    let values = reading.values.iter();
    found.extend(values.map(|it| (it.group.to_owned(), Expected::Number(it.number.value))));
    Ok(found)
}

/// `gradwatch inspect --pattern FILE LOG...`.
///
/// # Errors
/// When a file of patterns is wrong or has none, or the output cannot be written.
pub fn try_out(args: &InspectArgs) -> anyhow::Result<ExitStatus> {
    let set = rule_set::load_files(&args.pattern)?;
    let patterns = patterns_of(&set);
    if patterns.is_empty() {
        return Err(anyhow!("no [[pattern]] table in the files given with --pattern"));
    }
    let found = discover(&args.input.paths);
    let mut files = Vec::new();
    let mut problems = found.problems;
    let mut blocks = BlockReader::new();
    for path in found
        .runs
        .iter()
        .flat_map(|run| run.streams.iter().flat_map(|it| &it.files))
    {
        match try_file(&mut blocks, path, &patterns)? {
            Ok(trial) => files.push((path.display().to_string(), trial)),
            Err(problem) => problems.push(problem),
        }
    }
    let names: Vec<&str> = patterns.iter().map(|it| it.name.as_str()).collect();
    let stdout = io::stdout();
    let mut out = BufWriter::new(stdout.lock());
    let written = match args.input.format {
        Format::Text => write_text(&names, &files, &problems, &mut out),
        Format::Json => writeln!(out, "{:#}", as_json(&names, &files, &problems)),
    };
    unless_broken_pipe(written.and_then(|()| out.flush())).context("failed to write to standard output")?;
    let has_failed = |it: &TrialReport| it.n_failed > 0;
    let has_read = files
        .iter()
        .any(|(_, it)| it.reports().iter().any(|it| it.n_read > 0));
    let is_incomplete =
        !problems.is_empty() || files.iter().any(|(_, it)| it.reports().iter().any(has_failed));
    Ok(if !has_read || args.input.strict && is_incomplete {
        ExitStatus::Unreadable
    } else {
        ExitStatus::Clean
    })
}

fn try_file(
    blocks: &mut BlockReader,
    path: &Path,
    patterns: &[LinePattern],
) -> anyhow::Result<Result<Trial, Problem>> {
    let mut trial = Trial::new(patterns).map_err(|why| anyhow!(why))?;
    let mut read = || -> Result<(), Problem> {
        blocks.start(path, 0)?;
        let mut is_first = true;
        while let Some(block) = blocks.next_block()? {
            if std::mem::take(&mut is_first) && looks_binary(block.bytes) {
                let what = "not a text: line patterns read text logs, decompressed";
                return Err(Problem::path(path.display().to_string(), what));
            }
            trial.feed(block.bytes);
        }
        trial.finish();
        Ok(())
    };
    Ok(read().map(|()| trial))
}

/// Whether a head is binary data: a text has no NUL, but UTF-16 does behind its byte order mark.
fn looks_binary(head: &[u8]) -> bool {
    let is_utf16 = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
    !is_utf16 && head.iter().take(4096).any(|b| *b == 0)
}

fn write_text(
    names: &[&str],
    files: &[(String, Trial)],
    problems: &[Problem],
    out: &mut dyn Write,
) -> io::Result<()> {
    for (path, trial) in files {
        writeln!(out, "{}: {} lines", printable(path), trial.n_lines())?;
        for (name, report) in names.iter().zip(trial.reports()) {
            writeln!(
                out,
                "  pattern {name}: {} read, {} matched but not read, {} nearly matched",
                report.n_read, report.n_failed, report.n_near
            )?;
            for (line, reading) in &report.read {
                write_line(out, "read", line)?;
                writeln!(out, "      as {}", shown(reading))?;
            }
            for (line, why) in &report.failed {
                write_line(out, "not read", line)?;
                writeln!(out, "      {}", shown(why))?;
            }
            for near in &report.near {
                write_near(out, near)?;
            }
        }
    }
    for problem in problems {
        writeln!(out, "{}", printable(&problem.to_string()))?;
    }
    Ok(())
}

fn write_line(out: &mut dyn Write, what: &str, line: &TriedLine) -> io::Result<()> {
    writeln!(out, "    {what} line {}: {}", line.number, shown(&line.text))
}

fn write_near(out: &mut dyn Write, near: &NearLine) -> io::Result<()> {
    write_line(out, "nearly", &near.line)?;
    writeln!(
        out,
        "      matched      {}  by  {}",
        shown(&near.found),
        shown(&near.matched)
    )?;
    let rest = if near.rest.is_empty() {
        "(the end of the line)".into()
    } else {
        shown(&near.rest)
    };
    writeln!(out, "      then wanted  {}", shown(&near.wanted))?;
    writeln!(out, "      but found    {rest}")
}

/// A text from a log, escaped and cut.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push_str(" ...");
    }
    printable(&shown).into_owned()
}

fn as_json(names: &[&str], files: &[(String, Trial)], problems: &[Problem]) -> Value {
    let line = |it: &TriedLine| json!({ "number": it.number, "text": it.text });
    let pair = |(it, what): &(TriedLine, String), key: &str| {
        let mut value = line(it);
        value[key] = json!(what);
        value
    };
    let near = |it: &NearLine| {
        json!({ "number": it.line.number, "text": it.line.text, "matched": it.matched, "found": it.found,
                "wanted": it.wanted, "rest": it.rest })
    };
    let report = |(name, it): (&&str, &TrialReport)| {
        json!({
            "pattern": name,
            "n_read": it.n_read,
            "read": it.read.iter().map(|it| pair(it, "as")).collect::<Vec<_>>(),
            "n_failed": it.n_failed,
            "failed": it.failed.iter().map(|it| pair(it, "why")).collect::<Vec<_>>(),
            "n_near": it.n_near,
            "near": it.near.iter().map(near).collect::<Vec<_>>(),
        })
    };
    let file = |(path, trial): &(String, Trial)| {
        let patterns: Vec<Value> = names.iter().zip(trial.reports()).map(report).collect();
        json!({ "path": path, "lines": trial.n_lines(), "patterns": patterns })
    };
    json!({
        "schema": "gradwatch.patterns/1",
        "files": files.iter().map(file).collect::<Vec<_>>(),
        "problems": problems.iter().map(|it| json!({ "path": it.path, "what": it.what })).collect::<Vec<_>>(),
    })
}
