//! A bulletin to the finished parcels of every receiver that is set up.
//!
//! In: settings, bulletins and digests. Out: [`Parcel`]s. Invariants: the same bulletin gives the same bytes; what can
//! be wrong about addresses is said when the composer is made, so that composing cannot fail.

use thiserror::Error;

use super::Parcel;
use super::mail::MailWriter;
use crate::alert::{Bulletin, Digest};
use crate::config::Settings;

/// Why nothing can be composed with these settings.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ComposeError {
    /// An address of the mail settings cannot be read.
    #[error("`{0}` is not a mail address (`name@example.org` or `Name <name@example.org>`)")]
    BadAddress(String),
}

/// Words and addresses for every receiver that is set up.
#[derive(Debug, Clone)]
pub struct Composer {
    mail: Option<MailWriter>,
}

impl Composer {
    /// For these settings, on the machine of this name. The name is part of every Message-ID: with another one the
    /// later messages of an incident do not find their first.
    ///
    /// # Errors
    /// When a mail address cannot be read.
    pub fn new(settings: &Settings, host: &str) -> Result<Self, ComposeError> {
        Ok(Self {
            mail: settings
                .mail
                .as_ref()
                .map(|it| MailWriter::new(it, host))
                .transpose()?,
        })
    }

    /// The parcels of a bulletin, of all receivers. The cap on messages is about those whose receiver is
    /// [`MAIL`](super::MAIL).
    #[must_use]
    pub fn bulletin(&self, bulletin: &Bulletin) -> Vec<Parcel> {
        let mut parcels = Vec::new();
        parcels.extend(self.mail.iter().flat_map(|it| it.bulletin(bulletin, None)));
        parcels
    }

    /// The parcels of a digest, of all receivers.
    #[must_use]
    pub fn digest(&self, digest: &Digest) -> Vec<Parcel> {
        let mut parcels = Vec::new();
        parcels.extend(self.mail.iter().flat_map(|it| it.digest(digest)));
        parcels
    }
}
