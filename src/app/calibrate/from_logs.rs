//! `calibrate --from`: bounds from healthy runs (see the next commit for the work).
use std::io::Write;
use super::CalibrateFailure;
use crate::cli::CalibrateArgs;
use crate::exit::ExitStatus;
pub(super) fn run(_args: &CalibrateArgs, _out: &mut dyn Write) -> Result<ExitStatus, CalibrateFailure> { Err(CalibrateFailure::Logs("x".into())) }
