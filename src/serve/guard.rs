//! Who may ask: tokens, and names under which a foreign page could reach the daemon.
//!
//! In: the head of a request. Out: whether it is answered. Invariants: without a token only requests that name this
//! machine by an address or as `localhost` are answered, so that a foreign page cannot reach the daemon through a name
//! that it rebinds; tokens are compared in a time that does not depend on where they differ; a token is never shown.

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use axum::http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::query::parameter;

/// Characters that a token has at least.
pub const TOKEN_CHARS_MIN: usize = 16;
/// Bytes of a token file that are read at most.
const TOKEN_FILE_BYTES_MAX: u64 = 4_096;
/// The cookie that stands for a token that was given once.
const COOKIE: &str = "gradwatch_token";

/// Why there is no guard.
#[derive(Debug, Error)]
pub enum GuardError {
    /// The file cannot be read.
    #[error("token file {path}: {error}")]
    Unreadable {
        /// Its path.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// What is in it is no token.
    #[error("token file {path}: {what}")]
    NoToken {
        /// Its path.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// Others could read everything.
    #[error(
        "{0} can be reached from other machines: give a token with --listen-token-file, or listen on 127.0.0.1"
    )]
    Open(SocketAddr),
}

/// What to do with a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Answer it.
    Welcome,
    /// Answer it with this cookie and the same address without the token.
    Introduced(String),
    /// It named another host: perhaps a foreign page whose name leads here.
    WrongHost,
    /// No token, or a wrong one.
    Stranger,
}

/// Decides who may ask.
#[derive(Debug)]
pub struct Guard {
    token: Option<Token>,
}

#[derive(Debug)]
struct Token {
    /// SHA-256 of the token, so that comparing takes the same time whatever its length.
    digest: SecretString,
    /// Stands for the token in the browser: the token itself cannot be had from it.
    cookie: SecretString,
}

impl Token {
    fn new(secret: &str) -> Self {
        Self {
            digest: hex_digest(&["token", secret]).into(),
            cookie: hex_digest(&["cookie", secret]).into(),
        }
    }

    fn is_it(&self, given: &str) -> bool {
        is_same(self.digest.expose_secret(), &hex_digest(&["token", given]))
    }
}

impl Guard {
    /// A guard for this address.
    ///
    /// # Errors
    /// When the address can be reached by others and there is no token, or the token file is of no use.
    pub fn new(address: SocketAddr, token_file: Option<&Path>) -> Result<Self, GuardError> {
        let token = token_file.map(read_token).transpose()?;
        if token.is_none() && !address.ip().is_loopback() {
            return Err(GuardError::Open(address));
        }
        Ok(Self {
            token: token.map(|it| Token::new(it.expose_secret())),
        })
    }

    /// Whether a request with this query and these headers is answered.
    pub(super) fn pass(&self, query: &str, headers: &HeaderMap) -> Pass {
        let Some(token) = &self.token else {
            return if names_this_machine(headers) {
                Pass::Welcome
            } else {
                Pass::WrongHost
            };
        };
        if bearer(headers).is_some_and(|it| token.is_it(it)) {
            return Pass::Welcome;
        }
        if cookie(headers).is_some_and(|it| is_same(token.cookie.expose_secret(), it)) {
            return Pass::Welcome;
        }
        if parameter(query, "token").is_some_and(|it| token.is_it(&it)) {
            let cookie = token.cookie.expose_secret();
            return Pass::Introduced(format!("{COOKIE}={cookie}; HttpOnly; SameSite=Strict; Path=/"));
        }
        Pass::Stranger
    }
}

fn read_token(path: &Path) -> Result<SecretString, GuardError> {
    let shown = || path.display().to_string();
    let unreadable = |error| GuardError::Unreadable { path: shown(), error };
    let no_token = |what: String| GuardError::NoToken { path: shown(), what };
    let about = fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() || about.len() > TOKEN_FILE_BYTES_MAX {
        return Err(no_token(format!(
            "not a regular file of at most {TOKEN_FILE_BYTES_MAX} bytes"
        )));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let token = text.trim();
    if token.len() < TOKEN_CHARS_MIN || !token.bytes().all(|it| it.is_ascii_graphic()) {
        return Err(no_token(format!(
            "a token is one word of at least {TOKEN_CHARS_MIN} printable ASCII characters (try: openssl rand -hex 32)"
        )));
    }
    Ok(token.to_owned().into())
}

/// DNS rebinding (a foreign name that is made to lead to 127.0.0.1) sends that foreign name here; an address cannot be
/// rebound.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|it| it.to_str().ok());
    let Some(host) = host else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    let address = name
        .strip_prefix('[')
        .and_then(|it| it.strip_suffix(']'))
        .unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let text = headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|it| it.to_str().ok());
    text.flat_map(|it| it.split(';'))
        .filter_map(|it| it.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

fn hex_digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Compares all bytes, wherever the first difference is.
fn is_same(a: &str, b: &str) -> bool {
    let difference = a.bytes().zip(b.bytes()).fold(0, |seen, (a, b)| seen | (a ^ b));
    a.len() == b.len() && black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn loopback() -> SocketAddr {
        ([127, 0, 0, 1], 9000).into()
    }

    #[test]
    fn a_foreign_name_is_not_this_machine() {
        let guard = Guard::new(loopback(), None).unwrap();
        let cases = [
            ("127.0.0.1:9000", true),
            ("localhost:9000", true),
            ("LOCALHOST", true),
            ("[::1]:9000", true),
            ("10.1.2.3:80", true),
            ("evil.example:9000", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example:9000", false),
            ("", false),
            ("[::1", false),
        ];
        for (host, is_welcome) in cases {
            let pass = guard.pass("", &headers(&[("host", host)]));
            assert_eq!(pass == Pass::Welcome, is_welcome, "{host}");
        }
        assert_eq!(guard.pass("", &HeaderMap::new()), Pass::WrongHost);
    }

    #[test]
    fn a_token_is_asked_for_and_taken_in_three_ways() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "0123456789abcdef").unwrap();
        let anywhere = ([0, 0, 0, 0], 9000).into();
        assert!(matches!(Guard::new(anywhere, None), Err(GuardError::Open(_))));
        let guard = Guard::new(anywhere, Some(file.path())).unwrap();
        assert_eq!(guard.pass("", &HeaderMap::new()), Pass::Stranger);
        let wrong = headers(&[("authorization", "Bearer 0123456789abcdeg")]);
        assert_eq!(guard.pass("", &wrong), Pass::Stranger);
        let right = headers(&[("authorization", "bearer 0123456789abcdef")]);
        assert_eq!(guard.pass("", &right), Pass::Welcome);
        let Pass::Introduced(cookie) = guard.pass("a=b&token=0123456789abcdef", &HeaderMap::new()) else {
            panic!("the token in the query is not taken");
        };
        assert!(
            !cookie.contains("0123456789abcdef"),
            "the cookie is not the token"
        );
        let value = cookie.split(';').next().unwrap();
        let later = headers(&[("cookie", &format!("other=1; {value}"))]);
        assert_eq!(guard.pass("", &later), Pass::Welcome);
        assert!(!format!("{guard:?}").contains("0123"), "a token is never shown");
    }

    #[test]
    fn a_file_without_a_token_is_refused() {
        for text in ["", "short", "two words 0123456789abcdef"] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let error = Guard::new(loopback(), Some(file.path())).unwrap_err().to_string();
            assert!(error.contains("at least 16"), "{error}");
        }
        let error = Guard::new(loopback(), Some(Path::new("/nonexistent"))).unwrap_err();
        assert!(matches!(error, GuardError::Unreadable { .. }));
    }
}
