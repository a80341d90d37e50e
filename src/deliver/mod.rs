//! Bulletins to messages, and the messages to those who are to hear of them.
//!
//! In: a bulletin; later the finished bytes of a message. Out: finished bytes for each address; what the receiver
//! answered. Invariants: wording happens once, before anything is stored, so that a retry sends the same bytes; a
//! receiver never decides what happens to a message, it only says what it was answered.

mod alertmanager;
mod command;
mod compose;
#[cfg(test)]
mod fixture;
mod http;
mod json;
mod mail;
mod message;
mod raster;
mod secret;

pub use alertmanager::{ALERTMANAGER, RENEW_EVERY};
pub use command::CommandReceiver;
pub use compose::{ComposeError, Composer};
pub use http::HttpReceiver;
pub use mail::{Cause, Failure, MAIL, SmtpReceiver, Step, host_name};
pub use secret::{SecretError, read_secret, secret_path};

use crate::config::Settings;

/// The name of the webhook in a [`Parcel`].
pub const WEBHOOK: &str = "webhook";
/// The name of the command in a [`Parcel`].
pub const COMMAND: &str = "command";

/// A message with an address, finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Which receiver takes it: `mail`, `alertmanager`, `webhook`, `command`.
    pub receiver: &'static str,
    /// The address within the receiver: a mail address, the origin of a URL (paths may hold keys), a command's name.
    pub address: String,
    /// What it is known by: for mail the Message-ID without its brackets. The same in every attempt.
    pub name: String,
    /// What is sent.
    pub body: Vec<u8>,
}

/// What came of an attempt to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was taken.
    Taken(String),
    /// Not now (network, time limit, 4xx): try again later.
    Later(String),
    /// Never (5xx to this recipient or message): others may still be served.
    Refused(String),
    /// The receiver is set up wrongly (5xx to the connection or the password, a bad certificate, no TLS): keep the
    /// message, tell the user.
    Misconfigured(String),
}

/// One way to deliver.
pub trait Receiver: Send {
    /// Tries once, within the receiver's own time limit. Never panics; what went wrong is in the answer, which holds
    /// no secret.
    fn deliver(&mut self, parcel: &Parcel) -> Answer;
}

/// The receivers that are set up, by the name that their parcels bear.
#[must_use]
pub fn receivers(settings: &Settings) -> Vec<(&'static str, Box<dyn Receiver>)> {
    let mut receivers: Vec<(&'static str, Box<dyn Receiver>)> = Vec::new();
    if let Some(mail) = &settings.mail {
        receivers.push((MAIL, Box::new(SmtpReceiver::new(mail.clone()))));
    }
    if let Some(it) = &settings.alertmanager {
        receivers.push((ALERTMANAGER, Box::new(HttpReceiver::alertmanager(it))));
    }
    if let Some(it) = &settings.webhook {
        receivers.push((WEBHOOK, Box::new(HttpReceiver::webhook(it))));
    }
    if let Some(it) = &settings.command {
        receivers.push((COMMAND, Box::new(CommandReceiver::new(it.clone()))));
    }
    receivers
}
