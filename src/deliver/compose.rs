//! A bulletin to the finished parcels of every receiver that is set up.
//!
//! In: settings, bulletins and digests. Out: [`Parcel`]s. Invariants: the same bulletin gives the same bytes; what can
//! be wrong about addresses is said when the composer is made, so that composing cannot fail.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;

use super::alertmanager::{self, RENEW_EVERY};
use super::http::origin;
use super::mail::{Inline, MailWriter};
use super::{ALERTMANAGER, COMMAND, MAIL, Parcel, WEBHOOK, json, raster};
use crate::alert::{Bulletin, Digest};
use crate::config::Settings;
use crate::report::LayerPicture;

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
    alertmanager: Option<String>,
    /// Receivers that take JSON, by name, with what may be shown of their address.
    programs: Vec<(&'static str, String)>,
}

impl Composer {
    /// For these settings, on the machine of this name. The name is part of every Message-ID: with another one the
    /// later messages of an incident do not find their first.
    ///
    /// # Errors
    /// When a mail address cannot be read.
    pub fn new(settings: &Settings, host: &str) -> Result<Self, ComposeError> {
        let mail = settings.mail.as_ref().map(|it| MailWriter::new(it, host));
        let webhook = settings.webhook.as_ref().map(|it| (WEBHOOK, origin(&it.url)));
        let program = settings.command.as_ref().and_then(|it| it.argv.first());
        let command = program.map(|it| (COMMAND, it.clone()));
        Ok(Self {
            mail: mail.transpose()?,
            alertmanager: settings.alertmanager.as_ref().map(|it| origin(&it.url)),
            programs: webhook.into_iter().chain(command).collect(),
        })
    }

    /// The same, with the state directory named in the commands that a mail shows: for one that they would not find
    /// by themselves.
    #[must_use]
    pub fn with_state(mut self, dir: &Path) -> Self {
        if let Some(mail) = &mut self.mail {
            let absolute = std::path::absolute(dir);
            mail.name_state(absolute.as_deref().unwrap_or(dir));
        }
        self
    }

    /// The parcels of a bulletin for one receiver, by its name; mails show the picture.
    #[must_use]
    pub fn bulletin(
        &self,
        receiver: &str,
        bulletin: &Bulletin,
        picture: Option<&LayerPicture>,
    ) -> Vec<Parcel> {
        match receiver {
            MAIL => self.mail.as_ref().map_or_else(Vec::new, |it| {
                it.bulletin(bulletin, picture.and_then(inline).as_ref())
            }),
            ALERTMANAGER => {
                let to = self.alertmanager.iter();
                to.filter_map(|it| alertmanager::bulletin_parcel(bulletin, it))
                    .collect()
            }
            _ => {
                let to = self.programs.iter().filter(|it| it.0 == receiver);
                to.map(|(receiver, address)| json::bulletin_parcel(bulletin, receiver, address))
                    .collect()
            }
        }
    }

    /// The parcels of a digest for one receiver, by its name.
    #[must_use]
    pub fn digest(&self, receiver: &str, digest: &Digest) -> Vec<Parcel> {
        match receiver {
            MAIL => self.mail.as_ref().map_or_else(Vec::new, |it| it.digest(digest)),
            ALERTMANAGER => {
                let to = self.alertmanager.iter();
                to.filter_map(|it| alertmanager::digest_parcel(digest, it))
                    .collect()
            }
            _ => {
                let to = self.programs.iter().filter(|it| it.0 == receiver);
                to.map(|(receiver, address)| json::digest_parcel(digest, receiver, address))
                    .collect()
            }
        }
    }

    /// The mails that try the way, with a picture that shows what one looks like.
    #[must_use]
    pub fn test_mail(&self, at: Timestamp) -> Vec<Parcel> {
        let picture = LayerPicture::sample();
        self.mail
            .as_ref()
            .map_or_else(Vec::new, |it| it.test(at, inline(&picture).as_ref()))
    }

    /// How often [`renewals`](Self::renewals) have to be sent; `None` when no receiver wants them.
    #[must_use]
    pub fn renew_every(&self) -> Option<Duration> {
        self.alertmanager.is_some().then_some(RENEW_EVERY)
    }

    /// The parcels that renew what stands, from the latest bulletin of each incident. They are worth nothing a minute
    /// later: they need no outbox, and a failure needs no retry but the next renewal.
    #[must_use]
    pub fn renewals(&self, bulletins: &[Bulletin], now: Timestamp) -> Vec<Parcel> {
        let alerts = self.alertmanager.iter();
        alerts
            .filter_map(|it| alertmanager::renewal_parcel(bulletins, now, it))
            .collect()
    }
}

/// The picture for a mail; a mail without one when it cannot be drawn.
fn inline(picture: &LayerPicture) -> Option<Inline> {
    let png = raster::png(&picture.svg())?;
    Some(Inline {
        png,
        alt: picture.alt(),
    })
}
