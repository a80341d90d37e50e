//! How mail is sent: the section of a file, or an address on the command line.
//!
//! In: a section, or `smtp://me@smtp.example.org:587`. Out: mail settings. Invariants: without protection mail goes to this
//! machine only; a password comes from a file or a credential, never from the text itself.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::read::Section;
use super::settings::{MailSettings, SecretSource, Tls};

/// Time for one attempt as a whole when none is given.
const TIMEOUT: Duration = Duration::from_secs(60);

const KEYS: &[&str] = &[
    "host",
    "port",
    "tls",
    "username",
    "password",
    "password_file",
    "credential",
    "from",
    "to",
    "reply_to",
    "ca_file",
    "timeout",
];

pub(super) fn read_mail(section: &mut Section<'_, '_>, host_name: &str) -> Option<MailSettings> {
    section.refuses("password", "password_file");
    section.knows(KEYS);
    let host = section.needed_text("host");
    let words = [
        ("starttls", Tls::StartTls),
        ("tls", Tls::Implicit),
        ("none", Tls::None),
    ];
    let tls = section.word("tls", &words).unwrap_or(Tls::StartTls);
    if let Some(host) = host
        .as_deref()
        .filter(|it| tls == Tls::None && !is_this_machine(it))
    {
        let span = section.table.get("tls").map_or(0..0, |it| it.span.clone());
        let what = format!("`tls = \"none\"` would send mail and password readable to `{host}`");
        let advice = Some("only a server on this machine may do without".to_owned());
        section.problems.add_hinted(&span, what, advice);
    }
    let port = section.whole("port", 1, 65_535);
    let username = section.text("username");
    let password = section.secret("password_file", "credential");
    if username.is_some() != password.is_some() {
        let what = if username.is_some() {
            "`[mail]` has a `username` and no password: name one by `password_file` or `credential`"
        } else {
            "`[mail]` has a password and no `username`"
        };
        section.problems.add(section.span, what);
    }
    let from = mailboxes(section, "from").and_then(|it| it.into_iter().next());
    if section.table.get("to").is_none() {
        section.problems.add(section.span, "`[mail]` lacks `to`");
    }
    let to = mailboxes(section, "to");
    let reply_to = mailboxes(section, "reply_to").and_then(|it| it.into_iter().next());
    let ca_file = section.path("ca_file");
    let timeout = section.time_within("timeout", Duration::from_secs(1), Duration::from_secs(600));
    Some(MailSettings {
        host: host?,
        port: port
            .and_then(|it| u16::try_from(it).ok())
            .unwrap_or(default_port(tls)),
        tls,
        username,
        password,
        from: from.unwrap_or_else(|| default_sender(host_name)),
        to: to?,
        reply_to,
        ca_file,
        timeout: timeout.unwrap_or(TIMEOUT),
    })
}

fn mailboxes(section: &mut Section<'_, '_>, key: &str) -> Option<Vec<String>> {
    let found = section.texts(key)?;
    for (written, span) in &found {
        if !is_mailbox(written) {
            let what = format!("`{key}`: `{written}` is not a mail address");
            let advice = Some("write `me@example.org` or `Me <me@example.org>`".to_owned());
            section.problems.add_hinted(span, what, advice);
        }
    }
    Some(found.into_iter().map(|(it, _)| it).collect())
}

/// Whether it has the outline of a mailbox; the mail library knows the rest.
fn is_mailbox(written: &str) -> bool {
    let address = match written.split_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or_default(),
        None => written,
    };
    let has_odd = address.chars().any(|it| it.is_whitespace() || it.is_control());
    !has_odd
        && !written.chars().any(char::is_control)
        && address
            .rsplit_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

fn default_port(tls: Tls) -> u16 {
    match tls {
        Tls::StartTls => 587,
        Tls::Implicit => 465,
        Tls::None => 25,
    }
}

fn default_sender(host_name: &str) -> String {
    format!("gradwatch@{host_name}")
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

/// A mail server on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpAddress {
    tls: Tls,
    pub(super) username: Option<String>,
    host: String,
    port: Option<u16>,
}

impl SmtpAddress {
    /// Reads `smtp://[USER@]HOST[:PORT]` (STARTTLS; to this machine none) or `smtps://...` (TLS from the first byte).
    ///
    /// # Errors
    /// When it is not of this shape, or holds a password. The text shows nothing of it.
    pub fn new(text: &str) -> Result<Self, String> {
        const SHAPE: &str = "must be `smtp://[USER@]HOST[:PORT]` or `smtps://[USER@]HOST[:PORT]`";
        let (scheme, rest) = text.split_once("://").ok_or(SHAPE)?;
        let rest = rest.trim_end_matches('/');
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        if user.is_some_and(|it| it.contains(':')) {
            return Err("must not hold a password: name a file that does by --smtp-password-file".to_owned());
        }
        let (host, port) = host_and_port(place).ok_or(SHAPE)?;
        let is_odd = |it: char| it.is_whitespace() || it.is_control() || matches!(it, '/' | '?' | '#' | '@');
        if host.is_empty() || host.chars().any(is_odd) || user == Some("") {
            return Err(SHAPE.to_owned());
        }
        let tls = match scheme {
            "smtp" if is_this_machine(host) => Tls::None,
            "smtp" => Tls::StartTls,
            "smtps" => Tls::Implicit,
            _ => return Err(SHAPE.to_owned()),
        };
        Ok(Self {
            tls,
            username: user.map(|it| it.replace("%40", "@")),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
        })
    }

    /// A server on this machine.
    #[must_use]
    pub fn local() -> Self {
        Self {
            tls: Tls::None,
            username: None,
            host: "localhost".to_owned(),
            port: None,
        }
    }
}

/// `HOST`, `HOST:PORT`, `[V6]`, `[V6]:PORT`.
fn host_and_port(place: &str) -> Option<(&str, Option<u16>)> {
    let end_of_v6 = place.starts_with('[').then(|| place.find(']')).flatten();
    let (host, rest) =
        place.split_at(end_of_v6.map_or_else(|| place.find(':').unwrap_or(place.len()), |it| it + 1));
    match rest.strip_prefix(':') {
        Some(digits) => Some((host, Some(digits.parse().ok().filter(|it| *it > 0)?))),
        None if rest.is_empty() => Some((host, None)),
        None => None,
    }
}

/// Mail settings of a file with what the command line says over them.
///
/// # Errors
/// When something is missing, or does not fit.
pub fn with_flags(
    file: Option<MailSettings>,
    to: &[String],
    smtp: Option<&SmtpAddress>,
    password_file: Option<PathBuf>,
    host_name: &str,
) -> Result<Option<MailSettings>, String> {
    if let Some(bad) = to.iter().find(|it| !is_mailbox(it)) {
        return Err(format!("--mail-to: `{bad}` is not a mail address"));
    }
    let local = SmtpAddress::local();
    let mut mail = match (file, to.is_empty(), smtp) {
        (None, true, None) if password_file.is_none() => return Ok(None),
        (None, true, _) => return Err("--smtp needs --mail-to, or a [mail] section".to_owned()),
        (None, false, _) => server(smtp.unwrap_or(&local), host_name),
        (Some(mut mail), _, Some(smtp)) => {
            let server = server(smtp, host_name);
            (mail.host, mail.port, mail.tls) = (server.host, server.port, server.tls);
            (mail.username, mail.password) = (server.username, server.password);
            mail
        }
        (Some(mail), _, None) => mail,
    };
    if !to.is_empty() {
        mail.to = to.to_vec();
    }
    if let Some(path) = password_file {
        mail.password = Some(SecretSource::File(path));
    }
    match (&mail.username, &mail.password) {
        (Some(_), None) => {
            Err("--smtp names a user: name a file with the password by --smtp-password-file".to_owned())
        }
        (None, Some(_)) => Err("--smtp-password-file needs a user: --smtp smtp://USER@HOST".to_owned()),
        _ => Ok(Some(mail)),
    }
}

fn server(smtp: &SmtpAddress, host_name: &str) -> MailSettings {
    MailSettings {
        host: smtp.host.clone(),
        port: smtp.port.unwrap_or(default_port(smtp.tls)),
        tls: smtp.tls,
        username: smtp.username.clone(),
        password: None,
        from: default_sender(host_name),
        to: Vec::new(),
        reply_to: None,
        ca_file: None,
        timeout: TIMEOUT,
    }
}
