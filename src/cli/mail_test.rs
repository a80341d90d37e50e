//! The flags of `gradwatch mail-test`.
//!
//! In: the command line. Out: [`MailTestArgs`]. Invariant: no password can be given here, only where it is kept.

use std::path::PathBuf;

use clap::Args;

use crate::config::SmtpAddress;

/// `gradwatch mail-test`.
///
/// Sends one real message as `watch` would, says what the server answered at each step, and when it did not take the
/// message what to change. Exit status: 0 every recipient's message was taken; 2 one was not.
#[derive(Debug, Args)]
pub struct MailTestArgs {
    /// The configuration; unless given it is looked for where `watch` does.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Send to this address instead of those of the configuration. Can be given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub to: Vec<String>,
    /// The mail server: `smtp://[USER@]HOST[:PORT]` (STARTTLS, required; none to this machine), or `smtps://...`.
    #[arg(long, value_name = "URL", value_parser = SmtpAddress::new)]
    pub smtp: Option<SmtpAddress>,
    /// A file with the password of the mail server's user.
    #[arg(long, value_name = "FILE")]
    pub smtp_password_file: Option<PathBuf>,
}
