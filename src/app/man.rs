//! `gradwatch man`: the manual, made of the same words as `--help`.
//!
//! In: the command line's own description. Out: one page, or a file per command. Invariant: nothing is said here that
//! the help does not say.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_mangen::{Man, generate_to};

use crate::cli::Cli;
use crate::exit::ExitStatus;

/// Prints the page of the program, or writes the pages of all commands into a directory that is there.
///
/// # Errors
/// When they cannot be written.
pub fn run(dir: Option<&Path>, out: &mut dyn Write) -> anyhow::Result<ExitStatus> {
    let command = Cli::command();
    match dir {
        Some(dir) => {
            generate_to(command, dir)
                .with_context(|| format!("failed to write the manual into {}", dir.display()))?;
        }
        None => Man::new(command).render(out)?,
    }
    Ok(ExitStatus::Clean)
}
