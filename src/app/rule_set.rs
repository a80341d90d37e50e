//! The rules in force: the shipped set and the user's files over it; `gradwatch rules ...`.
//!
//! In: paths of rule files. Out: a rule set, or every problem of every file. Invariant: a rule file with one
//! problem changes nothing.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::rule_harness::EngineHarness;
use super::{own_patterns, rules_cmd, unless_broken_pipe, wants_color};
use crate::cli::{Format, RulesCommand};
use crate::exit::ExitStatus;
use crate::rules::check::registry::CHECKS;
use crate::rules::{Rule, RuleSet, Source, builtin, builtin_sources, builtin_tests, render};

/// The shipped rules with these files over them.
///
/// # Errors
/// When a file cannot be read or has a problem; the text names all of them.
pub fn load_files(paths: &[PathBuf]) -> anyhow::Result<RuleSet> {
    if paths.is_empty() {
        return Ok(builtin().clone());
    }
    let sources = read_sources(paths)?;
    own_patterns::load_proven(&sources, builtin(), CHECKS).map_err(|problems| {
        anyhow!(
            "{}",
            render(&problems, &sources, wants_color(io::stderr().is_terminal())).trim_end()
        )
    })
}

pub(super) fn read_sources(paths: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    paths.iter().map(|path| read_source(path)).collect()
}

fn read_source(path: &Path) -> anyhow::Result<Source> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| format!("failed to read {shown}"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        anyhow!(
            "{shown}: byte {}: a rule file must be UTF-8",
            error.utf8_error().valid_up_to()
        )
    })?;
    Ok(Source::new(shown, text))
}

/// `gradwatch rules ...`.
///
/// # Errors
/// When a file cannot be read or the output cannot be written.
pub fn run(command: &RulesCommand) -> anyhow::Result<ExitStatus> {
    let stdout = io::stdout();
    let styled = wants_color(stdout.is_terminal());
    let mut out = BufWriter::new(stdout.lock());
    let answer = answer(command, styled, &mut out)?;
    match answer.and_then(|status| out.flush().map(|()| status)) {
        Ok(status) => Ok(status),
        Err(error) => unless_broken_pipe(Err(error))
            .map(|()| ExitStatus::Clean)
            .context("failed to write to standard output"),
    }
}

fn answer(
    command: &RulesCommand,
    styled: bool,
    out: &mut dyn Write,
) -> anyhow::Result<io::Result<ExitStatus>> {
    Ok(match command {
        RulesCommand::List { rules, format } => {
            let set = load_files(rules)?;
            let width = terminal_size::terminal_size()
                .map(|(width, _)| width.0)
                .filter(|_| styled);
            let written = match format {
                Format::Text => rules_cmd::list(&set, width, out),
                Format::Json => rules_cmd::list_json(&set, out),
            };
            written.map(|()| ExitStatus::Clean)
        }
        RulesCommand::Show { id, rules, format } => {
            let set = load_files(rules)?;
            match format {
                Format::Text => rules_cmd::show(&set, builtin(), id, out),
                Format::Json => rules_cmd::show_json(&set, id, out),
            }
        }
        RulesCommand::Check { files } if files.is_empty() => {
            rules_cmd::check(&builtin_sources(), &RuleSet::default(), CHECKS, styled, out)
        }
        RulesCommand::Check { files } => {
            rules_cmd::check(&read_sources(files)?, builtin(), CHECKS, styled, out)
        }
        RulesCommand::Test { files, rules } => {
            let set = load_files(rules)?;
            let sources = if files.is_empty() {
                builtin_tests()
            } else {
                read_sources(files)?
            };
            // Only the shipped tests are held to cover every shipped rule; a baseline is a second run, which the tests
            // of simulated pairs have and a test file has not.
            let must_cover = |rule: &Rule| {
                files.is_empty() && builtin().find(&rule.id).is_some() && rule.check.name != "baseline"
            };
            rules_cmd::test(
                &sources,
                &set,
                &must_cover,
                &EngineHarness::new(&set.rules),
                styled,
                out,
            )
        }
    })
}
