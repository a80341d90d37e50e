//! The only place that joins parts; one file per command.
//!
//! In: the command line. Out: text on standard output, problems on standard error, an exit status. Invariant:
//! an error is printed once, here.

pub mod audit;
mod chain_case;
pub mod feed;
pub mod pipeline;
pub mod rule_harness;
pub mod rule_set;
pub mod rules_cmd;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Command};
use crate::exit::ExitStatus;

pub mod calibrate;
pub mod simulate;

/// Parses the arguments, runs, and gives the exit status.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let is_help = !error.use_stderr();
            // Nothing is left to be done when the terminal is gone.
            let _ = error.print();
            return if is_help { ExitStatus::Clean.into() } else { ExitStatus::Usage.into() };
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
        Command::Inspect(args) => audit::inspect(args),
        Command::Rules(command) => rule_set::run(command),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "gradwatch", &mut text);
            unless_broken_pipe(io::Write::write_all(&mut io::stdout(), &text))?;
            Ok(ExitStatus::Clean)
        }
    }
}

/// A reader that goes away (`| head`) is not an error.
fn unless_broken_pipe(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
