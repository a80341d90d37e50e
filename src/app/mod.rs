//! The only place that joins parts; one file per command.
//!
//! In: the command line. Out: text on standard output, problems on standard error, an exit status. Invariant:
//! an error is printed once, here.

pub mod audit;
pub mod baseline;
pub mod calibrate;
pub mod chain;
mod chain_case;
pub mod compare;
pub mod feed;
mod file_sink;
pub mod follow;
mod in_force;
mod interrupt;
pub mod mail_test;
mod order;
pub mod own_patterns;
pub mod pipeline;
mod progress;
pub mod record;
pub mod rule_harness;
pub mod rule_set;
pub mod rules_cmd;
pub mod settings;
pub mod simulate;
pub mod status;
pub mod watch;
pub mod whole_file;
pub mod wishes;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

pub use in_force::InForce;

use crate::cli::{Cli, Command};
use crate::exit::ExitStatus;

/// Parses the arguments, runs, and gives the exit status.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let is_help = !error.use_stderr();
            // Nothing is left to be done when the terminal is gone.
            let _ = error.print();
            return if is_help {
                ExitStatus::Clean.into()
            } else {
                ExitStatus::Usage.into()
            };
        }
    };
    match run(&cli) {
        Ok(status) => status.into(),
        Err(error) => {
            eprintln!("gradwatch: {error:#}");
            ExitStatus::Usage.into()
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<ExitStatus> {
    match &cli.command {
        Command::Audit(args) => audit::audit(args),
        Command::Watch(args) => watch::watch(args),
        Command::Status(args) => printed(|out| status::run(args, out)),
        Command::Ack(args) => printed(|out| wishes::ack(args, out)),
        Command::Unack(args) => printed(|out| wishes::unack(args, out)),
        Command::Silence(args) => printed(|out| wishes::silence(args, out)),
        Command::MailTest(args) => mail_test::mail_test(args),
        Command::Inspect(args) => audit::inspect(args),
        Command::Simulate(args) => printed(|out| simulate::run(args, out).map_err(Into::into)),
        Command::Calibrate(args) => printed(|out| calibrate::run(args, out).map_err(Into::into)),
        Command::Compare(args) => printed(|out| compare::run(args, out)),
        Command::Rules(command) => rule_set::run(command),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "gradwatch", &mut text);
            unless_broken_pipe(io::stdout().write_all(&text))?;
            Ok(ExitStatus::Clean)
        }
    }
}

/// Runs a command that prints; a reader that goes away is not an error.
fn printed(run: impl FnOnce(&mut dyn Write) -> anyhow::Result<ExitStatus>) -> anyhow::Result<ExitStatus> {
    let mut text = Vec::new();
    let status = run(&mut text)?;
    unless_broken_pipe(io::stdout().write_all(&text))?;
    Ok(status)
}

/// Whether to colour what goes to standard output or error when the user does not say.
fn wants_color(is_terminal: bool) -> bool {
    // https://no-color.org: any value that is not empty.
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty())
}

/// A reader that goes away (`| head`) is not an error.
fn unless_broken_pipe(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
