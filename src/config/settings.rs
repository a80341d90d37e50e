//! What `gradwatch watch` is set up to do, validated.
//!
//! In: nothing. Out: plain values for those who follow, deliver and serve. Invariants: a value here was checked
//! where it was read; a secret is named by where it is kept, never held, so that no text made of these values
//! can show one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::Severity;

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// What is followed, and how.
    pub watch: WatchSettings,
    /// When people are told.
    pub alerts: AlertSettings,
    /// Mail.
    pub mail: Option<MailSettings>,
    /// A Prometheus Alertmanager.
    pub alertmanager: Option<AlertmanagerSettings>,
    /// A URL that takes JSON.
    pub webhook: Option<WebhookSettings>,
    /// A program that is started with the alert on its standard input.
    pub command: Option<CommandSettings>,
    /// The pages and metrics over HTTP.
    pub listen: Option<ListenSettings>,
}

impl Settings {
    /// Whether anybody is to be told.
    #[must_use]
    pub fn has_receiver(&self) -> bool {
        self.mail.is_some() || self.alertmanager.is_some() || self.webhook.is_some() || self.command.is_some()
    }
}

/// What is followed, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchSettings {
    /// Log directories or files.
    pub paths: Vec<PathBuf>,
    /// Rule files on top of the shipped rules.
    pub rules: Vec<PathBuf>,
    /// The run that every run is compared with.
    pub baseline: Option<PathBuf>,
    /// Time between two looks at the known files.
    pub poll: Duration,
    /// A run in which nothing changed for this long is left unread until it changes.
    pub active_within: Duration,
    /// A larger file is replayed from its last bytes, this many.
    pub replay_max: u64,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            rules: Vec::new(),
            baseline: None,
            poll: Duration::from_secs(2),
            active_within: Duration::from_secs(24 * 3600),
            replay_max: 8 << 30,
        }
    }
}

/// When people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertSettings {
    /// From the first alarm of a run to its message, so that what belongs together comes together.
    pub group_wait: Duration,
    /// From a message to its repetition while the alarm stands; the last one again and again. None: no repetition.
    pub repeat: Vec<Duration>,
    /// Messages in any hour, for all runs together.
    pub mails_per_hour: u32,
    /// An alarm is over only when it has stayed over for this long.
    pub keep_firing_for: Duration,
    /// Whether the end of an alarm that was told is told.
    pub send_resolved: bool,
    /// The least severity that is told; never `info`.
    pub severity: Severity,
}

impl Default for AlertSettings {
    fn default() -> Self {
        const HOUR: u64 = 3600;
        Self {
            group_wait: Duration::from_secs(30),
            repeat: [HOUR, 4 * HOUR, 24 * HOUR].map(Duration::from_secs).to_vec(),
            mails_per_hour: 20,
            keep_firing_for: Duration::from_secs(300),
            send_resolved: true,
            severity: Severity::Warning,
        }
    }
}

/// Where a secret is kept. It is read when it is needed, so that a new one counts without a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a file, without the line end.
    File(PathBuf),
    /// In a file of this name in the directory `$CREDENTIALS_DIRECTORY` (systemd's `LoadCredential=`).
    Credential(String),
}

/// How a mail connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// STARTTLS, required: without it nothing is sent.
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// None; only to this machine.
    None,
}

/// Mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailSettings {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// Who logs in; none: nobody.
    pub username: Option<String>,
    /// With which password.
    pub password: Option<SecretSource>,
    /// Sender, a mailbox as in a `From:` line.
    pub from: String,
    /// Recipients, mailboxes.
    pub to: Vec<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// Certificates (PEM) that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Time for one attempt as a whole.
    pub timeout: Duration,
}

/// A Prometheus Alertmanager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertmanagerSettings {
    /// Its address without the path of the API.
    pub url: String,
}

/// A URL that takes JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Where to.
    pub url: String,
    /// Goes along as a bearer token.
    pub token: Option<SecretSource>,
}

/// A program that is started with the alert on its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSettings {
    /// The program and its arguments; no shell.
    pub argv: Vec<String>,
    /// Time after which it is ended.
    pub timeout: Duration,
}

/// The pages and metrics over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenSettings {
    /// Where.
    pub address: SocketAddr,
    /// Who asks must show this.
    pub token: Option<SecretSource>,
}
