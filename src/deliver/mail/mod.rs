//! Mail: a message to bytes for each recipient, and the bytes to a server.
//!
//! In: bulletins and digests; later their parcels. Out: parcels; what the server answered. Invariants: one recipient
//! per parcel, so that one bad address costs nobody else his mail; all mails of an incident refer to its first one.

mod dialogue;
mod failure;
mod html;
mod letter;
mod smtp;
mod text;

#[cfg(test)]
mod tests;

use std::path::Path;

use jiff::Timestamp;
use lettre::message::Mailbox;
use lettre::transport::smtp::extension::ClientId;

use self::letter::Letter;
use super::message::{Message, Place, bulletin_message, digest_message, test_message};
use super::{ComposeError, Parcel};
use crate::alert::{Bulletin, Digest};
use crate::config::MailSettings;

pub use self::failure::{Cause, Failure, Step};
pub(super) use self::letter::Inline;
pub use self::smtp::SmtpReceiver;

/// The receiver's name in a [`Parcel`].
pub const MAIL: &str = "mail";

/// Words and addresses for mails.
#[derive(Debug, Clone)]
pub(super) struct MailWriter {
    from: Mailbox,
    to: Vec<Mailbox>,
    reply_to: Option<Mailbox>,
    place: Place,
}

impl MailWriter {
    /// # Errors
    /// When an address cannot be read.
    pub(super) fn new(settings: &MailSettings, host: &str) -> Result<Self, ComposeError> {
        Ok(Self {
            from: mailbox(&settings.from)?,
            to: settings
                .to
                .iter()
                .map(|it| mailbox(it))
                .collect::<Result<_, _>>()?,
            reply_to: settings.reply_to.as_deref().map(mailbox).transpose()?,
            place: Place {
                host: message_host(host, &settings.from),
                state: None,
            },
        })
    }

    /// Names the state directory in the commands of the mails.
    pub(super) fn name_state(&mut self, dir: &Path) {
        self.place.state = Some(dir.to_owned());
    }

    /// The mails of a bulletin.
    pub(super) fn bulletin(&self, bulletin: &Bulletin, picture: Option<&Inline>) -> Vec<Parcel> {
        let message = bulletin_message(bulletin, &self.place);
        let name = self.name(&bulletin.incident, bulletin.sequence);
        let thread = (bulletin.sequence > 0).then(|| self.name(&bulletin.incident, 0));
        self.parcels(&message, &name, thread, bulletin.at, picture)
    }

    /// The mails of a digest.
    pub(super) fn digest(&self, digest: &Digest) -> Vec<Parcel> {
        let message = digest_message(digest, &self.place);
        let name = format!("{}@{}", id_part(&digest.name), self.place.host);
        self.parcels(&message, &name, None, digest.at, None)
    }

    /// The mails that try the way.
    pub(super) fn test(&self, at: Timestamp, picture: Option<&Inline>) -> Vec<Parcel> {
        let message = test_message(&self.place, at);
        let name = format!("test-{}@{}", at.as_millisecond(), self.place.host);
        self.parcels(&message, &name, None, at, picture)
    }

    fn name(&self, incident: &str, sequence: u32) -> String {
        format!("{}.{sequence}@{}", id_part(incident), self.place.host)
    }

    fn parcels(
        &self,
        message: &Message,
        name: &str,
        thread: Option<String>,
        at: Timestamp,
        picture: Option<&Inline>,
    ) -> Vec<Parcel> {
        let letter = Letter {
            message,
            picture,
            name,
            thread,
            at,
            from: &self.from,
            reply_to: self.reply_to.as_ref(),
            host: &self.place.host,
        };
        let parcel = |to: &Mailbox| {
            Some(Parcel {
                receiver: MAIL,
                address: to.email.to_string(),
                name: name.to_owned(),
                // The addresses were read as mailboxes, so there is always an envelope.
                body: letter.bytes(to).ok()?,
            })
        };
        self.to.iter().filter_map(parcel).collect()
    }
}

/// The name of this machine; empty when it has none that can be read.
#[must_use]
pub fn host_name() -> String {
    match ClientId::default() {
        ClientId::Domain(name) => name,
        _ => String::new(),
    }
}

fn mailbox(text: &str) -> Result<Mailbox, ComposeError> {
    text.parse()
        .map_err(|_| ComposeError::BadAddress(text.to_owned()))
}

/// What may stand on the left of a Message-ID without quotes.
fn id_part(text: &str) -> String {
    let kept = text
        .chars()
        .filter(|it| it.is_ascii_alphanumeric() || "-_.".contains(*it));
    kept.take(100).collect()
}

/// A name for this deployment that may stand on the right of a Message-ID: the machine's name, within the domain of
/// the sender where it has none of its own.
fn message_host(host: &str, from: &str) -> String {
    // What a machine without a name is called says nothing.
    let host = domain_part(host.strip_prefix("localhost").unwrap_or(host));
    let domain = from
        .rsplit_once('@')
        .map(|(_, it)| domain_part(it))
        .unwrap_or_default();
    match (host.is_empty(), domain.is_empty()) {
        (true, true) => "gradwatch.invalid".to_owned(),
        (true, false) => domain,
        (false, true) => host,
        (false, false) if host.contains('.') => host,
        (false, false) => format!("{host}.{domain}"),
    }
}

fn domain_part(text: &str) -> String {
    let kept: String = text
        .chars()
        .filter(|it| it.is_ascii_alphanumeric() || "-.".contains(*it))
        .take(120)
        .collect();
    kept.trim_matches(|it| it == '.' || it == '-')
        .to_ascii_lowercase()
}
