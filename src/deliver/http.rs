//! One POST of JSON, and what its answer means.
//!
//! In: a URL, perhaps a token, a body. Out: an [`Answer`]. Invariants: no redirect is followed (a token would go along
//! to wherever it points); a token never goes in clear but to this machine; URLs and tokens are secrets of their own
//! (chat services put keys into paths): no text holds more of them than scheme, host and port; bounded in time
//! and in bytes read.

use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Error};

use super::{Answer, Parcel, Receiver, read_secret};
use crate::config::{AlertmanagerSettings, SecretSource, WebhookSettings};
use crate::report::printable;

/// Time for one attempt as a whole, name lookup included.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 4_096;
/// Characters of an answer that are kept.
const WORDS_MAX: usize = 200;

/// Where distributions keep the certificates that they trust.
const SYSTEM_CERTIFICATES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Sends JSON to one URL.
#[derive(Debug)]
pub struct HttpReceiver {
    url: String,
    token: Option<SecretSource>,
    agent: Agent,
}

impl HttpReceiver {
    /// For a webhook.
    #[must_use]
    pub fn webhook(settings: &WebhookSettings) -> Self {
        Self::new(settings.url.clone(), settings.token.clone())
    }

    /// For an Alertmanager.
    #[must_use]
    pub fn alertmanager(settings: &AlertmanagerSettings) -> Self {
        let base = settings.url.trim_end_matches('/');
        Self::new(format!("{base}/api/v2/alerts"), None)
    }

    fn new(url: String, token: Option<SecretSource>) -> Self {
        let tls = TlsConfig::builder().root_certs(root_certificates()).build();
        let config = Agent::config_builder()
            .timeout_global(Some(TIME_LIMIT))
            .max_redirects(0)
            .http_status_as_error(false)
            .max_idle_connections(0)
            .user_agent(concat!("gradwatch/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        Self {
            url,
            token,
            agent: config.new_agent(),
        }
    }

    fn post(&self, body: &[u8]) -> Result<Answer, Answer> {
        let token = self.token()?;
        let mut request = self
            .agent
            .post(&self.url)
            .header("Content-Type", "application/json");
        if let Some(token) = &token {
            request = request.header("Authorization", format!("Bearer {}", token.expose_secret()));
        }
        let mut response = request.send(body).map_err(|it| self.failed(&it))?;
        let said = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .lossy_utf8(true)
            .read_to_string()
            .unwrap_or_default();
        let status = response.status().as_u16();
        Ok(of_status(status, &self.shown(&said, token.as_ref())))
    }

    fn token(&self) -> Result<Option<SecretString>, Answer> {
        let Some(source) = &self.token else {
            return Ok(None);
        };
        if !self.url.starts_with("https://") && !is_loopback(&self.url) {
            let text = "the token would go in clear: the URL has to begin with https://";
            return Err(Answer::Misconfigured(text.to_owned()));
        }
        let token = read_secret(source).map_err(|it| Answer::Misconfigured(it.to_string()))?;
        Ok(Some(token))
    }

    /// What a server said, on one short line, without the token if it repeats it.
    fn shown(&self, said: &str, token: Option<&SecretString>) -> String {
        let mut line = said.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(token) = token {
            line = line.replace(token.expose_secret(), "***");
        }
        line = line.replace(&self.url, &origin(&self.url));
        printable(&line).chars().take(WORDS_MAX).collect()
    }

    fn failed(&self, error: &Error) -> Answer {
        let to = origin(&self.url);
        match error {
            Error::BadUri(_) | Error::Http(_) => {
                Answer::Misconfigured(format!("`{to}` is not a URL that can be used"))
            }
            Error::HostNotFound => Answer::Later(format!("{to}: the name has no address")),
            Error::Timeout(_) => Answer::Later(format!("{to}: no answer in time")),
            Error::InvalidProxyUrl | Error::ConnectProxyFailed(_) => {
                Answer::Misconfigured(format!("{to}: the proxy of the environment cannot be used"))
            }
            Error::Tls(what) => Answer::Misconfigured(format!("{to}: TLS failed: {what}")),
            Error::Io(it) if it.kind() == std::io::ErrorKind::InvalidData => {
                Answer::Misconfigured(format!("{to}: TLS failed: {}", self.shown(&it.to_string(), None)))
            }
            Error::Rustls(it) => {
                Answer::Misconfigured(format!("{to}: TLS failed: {}", self.shown(&it.to_string(), None)))
            }
            other => Answer::Later(format!("{to}: {}", self.shown(&other.to_string(), None))),
        }
    }
}

impl Receiver for HttpReceiver {
    fn deliver(&mut self, parcel: &Parcel) -> Answer {
        self.post(&parcel.body).unwrap_or_else(|it| it)
    }
}

/// RFC 9110, section 15: who is at fault by the first digit, and who may try again.
fn of_status(status: u16, said: &str) -> Answer {
    let text = if said.is_empty() {
        status.to_string()
    } else {
        format!("{status} {said}")
    };
    match status {
        200..=299 => Answer::Taken(text),
        408 | 425 | 429 | 500..=599 => Answer::Later(text),
        // The message itself is not liked; another one may be.
        400 | 409 | 413 | 422 => Answer::Refused(text),
        300..=399 => Answer::Misconfigured(format!("{text}: redirects are not followed")),
        _ => Answer::Misconfigured(text),
    }
}

/// Scheme, host and port of a URL: all of it that may be shown.
pub(super) fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, it)| it);
    format!("{scheme}://{}", printable(host))
}

fn is_loopback(url: &str) -> bool {
    let origin = origin(url);
    let host = origin.strip_prefix("http://").unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(it) => it.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse().is_ok_and(|it: std::net::IpAddr| it.is_loopback())
}

/// The certificates of this system, so that those of an organisation count; else those of Mozilla.
fn root_certificates() -> RootCerts {
    let own = std::env::var_os("SSL_CERT_FILE").filter(|it| !it.is_empty());
    let paths = own
        .iter()
        .map(Path::new)
        .chain(SYSTEM_CERTIFICATES.iter().map(Path::new));
    for path in paths {
        let Ok(pem) = std::fs::read(path) else { continue };
        let certificates = parse_pem(&pem).filter_map(|it| match it {
            Ok(PemItem::Certificate(it)) => Some(it),
            _ => None,
        });
        let certificates: Vec<_> = certificates.collect();
        if !certificates.is_empty() {
            return RootCerts::new_with_certs(&certificates);
        }
    }
    RootCerts::WebPki
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_to_try_again() {
        let kind = |status| match of_status(status, "") {
            Answer::Taken(_) => "taken",
            Answer::Later(_) => "later",
            Answer::Refused(_) => "refused",
            Answer::Misconfigured(_) => "misconfigured",
        };
        assert_eq!([200, 202, 204].map(kind), ["taken"; 3]);
        assert_eq!([408, 429, 500, 502, 503].map(kind), ["later"; 5]);
        assert_eq!([400, 413, 422].map(kind), ["refused"; 3]);
        assert_eq!([301, 307, 401, 403, 404, 405].map(kind), ["misconfigured"; 6]);
    }

    #[test]
    fn no_more_of_a_url_is_shown_than_who_is_called() {
        assert_eq!(
            origin("https://user:pw@hooks.example.org:8443/services/T0/B0/key?x=1"),
            "https://hooks.example.org:8443"
        );
        assert_eq!(origin("nonsense"), "://nonsense");
        assert!(
            is_loopback("http://127.0.0.1:9/x")
                && is_loopback("http://[::1]:9/")
                && is_loopback("http://localhost")
        );
        assert!(
            !is_loopback("http://127.0.0.1.example.org/") && !is_loopback("http://localhost@example.org/")
        );
    }
}
