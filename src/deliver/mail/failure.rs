//! Why a conversation with a mail server failed, and what that means for the message.
//!
//! In: the step and the error. Out: an [`Answer`]. The table: 4xx, network and time: later. 5xx at RCPT, DATA or after
//! the text: refused, this recipient or message only. 5xx before (connection, AUTH, MAIL), TLS trouble, something that
//! was not offered: the settings are wrong, the message is kept. Invariant: a text here is one line, bounded, and
//! holds no password.

use std::error::Error as _;
use std::fmt;
use std::io;

use lettre::transport::smtp::Error as SmtpError;

use crate::deliver::Answer;
use crate::report::printable;

/// Characters of a server's words that are kept.
const WORDS_MAX: usize = 300;
/// A word of this many characters in base64 may be what was sent to log in.
const TOKEN_CHARS_MIN: usize = 8;

/// A step of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Reading the settings, the password and the certificates.
    Setup,
    /// From the name of the server to its addresses.
    Resolve,
    /// The connection, with implicit TLS its encryption, the greeting and EHLO.
    Connect,
    /// From plain text to TLS.
    StartTls,
    /// User and password.
    Auth,
    /// The sender.
    Mail,
    /// The recipient.
    Rcpt,
    /// Leave to send the text.
    Data,
    /// The text itself.
    Body,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Setup => "settings",
            Step::Resolve => "name lookup",
            Step::Connect => "connection",
            Step::StartTls => "STARTTLS",
            Step::Auth => "AUTH",
            Step::Mail => "MAIL FROM",
            Step::Rcpt => "RCPT TO",
            Step::Data => "DATA",
            Step::Body => "message text",
        })
    }
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Settings that cannot work.
    Setup(String),
    /// The server does not offer what is needed.
    NotOffered(&'static str),
    /// A 4xx reply.
    Transient(u16, String),
    /// A 5xx reply.
    Permanent(u16, String),
    /// The certificate, or no TLS where it should be.
    Tls(String),
    /// The connection.
    Network(String),
    /// The time for the whole conversation is over.
    TimeIsUp,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which.
    pub step: Step,
    /// Why.
    pub cause: Cause,
}

impl Failure {
    pub(super) fn new(step: Step, cause: Cause) -> Self {
        Self { step, cause }
    }

    pub(super) fn setup(what: &str) -> Self {
        Self::new(Step::Setup, Cause::Setup(what.to_owned()))
    }

    /// What lettre says, by its kind.
    pub(super) fn smtp(step: Step, error: &SmtpError) -> Self {
        let words = words(step, error);
        let cause = match error.status() {
            Some(code) if error.is_permanent() => Cause::Permanent(code.into(), words),
            Some(code) => Cause::Transient(code.into(), words),
            None if is_tls(error) => Cause::Tls(words),
            None if is_time(error) => Cause::TimeIsUp,
            None => Cause::Network(words),
        };
        Self::new(step, cause)
    }

    /// What becomes of the message.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let text = self.to_string();
        match &self.cause {
            _ if self.is_about_the_recipient() => Answer::Refused(text),
            Cause::Setup(_) | Cause::NotOffered(_) | Cause::Tls(_) | Cause::Permanent(..) => {
                Answer::Misconfigured(text)
            }
            Cause::Transient(..) | Cause::Network(_) | Cause::TimeIsUp => Answer::Later(text),
        }
    }

    /// Whether this recipient or message is not wanted, and not who sends.
    fn is_about_the_recipient(&self) -> bool {
        let (code, words) = match &self.cause {
            Cause::NotOffered(_) => return self.step == Step::Rcpt,
            Cause::Permanent(code, words) => (*code, words),
            _ => return false,
        };
        // RFC 4954, section 6: 530 authentication required, 535 wrong, 538 encryption required. A server that does
        // not relay for us says so at RCPT, and would to every recipient.
        let is_about_us =
            matches!(code, 530 | 534 | 535 | 538) || words.to_ascii_lowercase().contains("relay");
        self.step >= Step::Rcpt && !is_about_us
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Setup(what) => write!(f, "{what}"),
            Cause::NotOffered(what) => write!(f, "{}: the server does not offer {what}", self.step),
            Cause::Transient(code, words) | Cause::Permanent(code, words) => {
                write!(f, "{}: {code} {words}", self.step)
            }
            Cause::Tls(words) => write!(f, "{}: TLS failed: {words}", self.step),
            Cause::Network(words) if self.step == Step::Body => {
                // The next attempt has the same Message-ID, so that a second copy can be told.
                write!(f, "{}: {words}; it may have been taken", self.step)
            }
            Cause::Network(words) => write!(f, "{}: {words}", self.step),
            Cause::TimeIsUp if self.step == Step::Body => {
                write!(f, "{}: no answer in time; it may have been taken", self.step)
            }
            Cause::TimeIsUp => write!(f, "{}: no answer in time", self.step),
        }
    }
}

/// The innermost error in words; lettre's own words above it only name its kind.
fn words(step: Step, error: &SmtpError) -> String {
    let mut text = error.to_string();
    let mut inner = error.source();
    while let Some(it) = inner {
        text = it.to_string();
        inner = it.source();
    }
    let is_log_in = step == Step::Auth;
    let shown = text
        .split_whitespace()
        .map(|it| if is_log_in && is_token(it) { "***" } else { it });
    let line = shown.collect::<Vec<_>>().join(" ");
    printable(&line).chars().take(WORDS_MAX).collect()
}

/// A server that repeats what it was sent would put the password into a log.
fn is_token(word: &str) -> bool {
    let is_base64 = |it: char| it.is_ascii_alphanumeric() || "+/=".contains(it);
    let is_mixed = word.chars().any(|it| it.is_ascii_digit() || it == '=')
        || word.chars().skip(1).any(|it| it.is_ascii_uppercase());
    word.chars().count() >= TOKEN_CHARS_MIN && word.chars().all(is_base64) && is_mixed
}

fn io_errors(error: &SmtpError) -> impl Iterator<Item = &io::Error> {
    let mut next = error.source();
    let chain = std::iter::from_fn(move || {
        let it = next?;
        next = it.source();
        Some(it)
    });
    chain.filter_map(|it| it.downcast_ref())
}

/// The TLS library reports through an I/O error of this kind; lettre calls it a network error.
fn is_tls(error: &SmtpError) -> bool {
    error.is_tls() || io_errors(error).any(|it| it.kind() == io::ErrorKind::InvalidData)
}

/// A read that timed out is `WouldBlock` on Linux.
fn is_time(error: &SmtpError) -> bool {
    use io::ErrorKind::{TimedOut, WouldBlock};
    io_errors(error).any(|it| matches!(it.kind(), TimedOut | WouldBlock))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permanent(step: Step, code: u16, words: &str) -> Answer {
        Failure::new(step, Cause::Permanent(code, words.to_owned())).answer()
    }

    #[test]
    fn a_5xx_is_refused_only_where_it_is_about_the_recipient() {
        for step in [Step::Rcpt, Step::Data, Step::Body] {
            assert!(
                matches!(permanent(step, 550, "no such user"), Answer::Refused(_)),
                "{step}"
            );
        }
        for step in [Step::Connect, Step::StartTls, Step::Auth, Step::Mail] {
            assert!(
                matches!(permanent(step, 554, "go away"), Answer::Misconfigured(_)),
                "{step}"
            );
        }
        // It would be said to every recipient: losing all mails for it would be wrong.
        assert!(matches!(
            permanent(Step::Rcpt, 554, "5.7.1 <a@b>: Relay access denied"),
            Answer::Misconfigured(_)
        ));
        assert!(matches!(
            permanent(Step::Rcpt, 530, "5.7.0 Authentication required"),
            Answer::Misconfigured(_)
        ));
    }

    #[test]
    fn what_looks_like_a_log_in_is_not_repeated() {
        assert!(is_token("AGFsZXJ0AHMzY3JldA=="));
        assert!(is_token("czNjcmV0MTIzNDU2"));
        assert!(!is_token("authentication") && !is_token("5.7.8") && !is_token("failed:"));
    }
}
