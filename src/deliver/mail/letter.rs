//! A message as the bytes of a mail (RFC 5322, MIME).
//!
//! In: a message, its name and its thread. Out: bytes for one recipient. Invariants: the same in, the same bytes out
//! (no clock, no chance: the boundaries of the parts come from the name); no text can make a header of its own,
//! because headers are encoded by lettre and texts hold no line ends; bounded by [`LETTER_BYTES_MAX`].

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lettre::Message as Mail;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, MultiPart, SinglePart};

use super::{html, text};
use crate::deliver::message::Message;

/// Bytes of a whole mail at most: what every server takes and every phone loads.
pub(super) const LETTER_BYTES_MAX: usize = 200_000;
/// Last second of the year 9999, beyond which a `Date:` cannot be written.
const LAST_SECOND: u64 = 253_402_300_799;

/// A picture that goes into the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::deliver) struct Inline {
    /// The PNG file.
    pub(in crate::deliver) png: Vec<u8>,
    /// What it shows, for those who do not see it.
    pub(in crate::deliver) alt: String,
}

/// Everything of a mail but its recipient.
#[derive(Debug)]
pub(super) struct Letter<'a> {
    pub(super) message: &'a Message,
    pub(super) picture: Option<&'a Inline>,
    /// The Message-ID without its brackets.
    pub(super) name: &'a str,
    /// The Message-ID of the first mail of the thread; `None` for that one itself.
    pub(super) thread: Option<String>,
    pub(super) at: Timestamp,
    pub(super) from: &'a Mailbox,
    pub(super) reply_to: Option<&'a Mailbox>,
    /// Names the deployment.
    pub(super) host: &'a str,
}

impl Letter<'_> {
    /// The mail to one recipient. Without its picture when it would be too long with it.
    ///
    /// # Errors
    /// When the addresses do not make an envelope.
    pub(super) fn bytes(&self, to: &Mailbox) -> Result<Vec<u8>, lettre::error::Error> {
        let whole = self.built(to, self.picture)?;
        if whole.len() <= LETTER_BYTES_MAX || self.picture.is_none() {
            return Ok(whole);
        }
        self.built(to, None)
    }

    fn built(&self, to: &Mailbox, picture: Option<&Inline>) -> Result<Vec<u8>, lettre::error::Error> {
        let mut builder = Mail::builder()
            .from(self.from.clone())
            .to(to.clone())
            .subject(self.message.subject.clone())
            .date(system_time(self.at))
            .message_id(Some(format!("<{}>", self.name)));
        if let Some(first) = &self.thread {
            builder = builder
                .in_reply_to(format!("<{first}>"))
                .references(format!("<{first}>"));
        }
        if let Some(reply_to) = self.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        let list_id = format!("gradwatch alerts <gradwatch.{}>", self.host);
        // RFC 3834: no vacation program answers. Exchange looks at the third only.
        let raw = [
            ("Auto-Submitted", "auto-generated".to_owned()),
            ("List-Id", list_id),
            ("X-Auto-Response-Suppress", "All".to_owned()),
        ];
        for (name, value) in raw {
            builder = builder.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
        }
        Ok(builder.multipart(self.parts(picture))?.formatted())
    }

    fn parts(&self, picture: Option<&Inline>) -> MultiPart {
        let cid = format!("layers.{}", self.name);
        let plain = text::text(self.message, picture.map(|it| it.alt.as_str()));
        let rich = html::html(self.message, picture.map(|it| (cid.as_str(), it.alt.as_str())));
        let alternative = MultiPart::alternative().boundary(boundary(self.name, "a"));
        let alternative = alternative.singlepart(part(ContentType::TEXT_PLAIN, plain));
        let rich = part(ContentType::TEXT_HTML, rich);
        let Some(picture) = picture else {
            return alternative.singlepart(rich);
        };
        let related = MultiPart::related().boundary(boundary(self.name, "r"));
        let png = Attachment::new_inline_with_name(cid, "layers.png".to_owned());
        let png = png.body(picture.png.clone(), png_type());
        alternative.multipart(related.singlepart(rich).singlepart(png))
    }
}

/// A boundary that no quoted-printable or base64 line can hold: `=` is followed by hex digits or nothing in the one,
/// stands at the end only in the other.
fn boundary(name: &str, which: &str) -> String {
    let digest = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("=_gradwatch_{digest:016x}_{which}")
}

fn part(kind: ContentType, text: String) -> SinglePart {
    // Readable where it is nearly all ASCII; else what is shorter.
    let n_others = text.bytes().filter(|it| !it.is_ascii()).count();
    let encoding = if n_others * 6 > text.len() {
        ContentTransferEncoding::Base64
    } else {
        ContentTransferEncoding::QuotedPrintable
    };
    // Any text can be encoded so; were it not, lettre chooses.
    let body = Body::new_with_encoding(text, encoding).unwrap_or_else(Body::new);
    SinglePart::builder().header(kind).body(body)
}

fn png_type() -> ContentType {
    ContentType::parse("image/png").unwrap_or(ContentType::TEXT_PLAIN)
}

fn system_time(at: Timestamp) -> SystemTime {
    let seconds = u64::try_from(at.as_second()).unwrap_or(0).min(LAST_SECOND);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
