//! One conversation with a mail server, step by step.
//!
//! In: settings, a letter, the moment at which it has to be over. Out: the server's last word, or the [`Failure`]: at
//! which step, and why. Invariants: without STARTTLS nothing of a letter or a password is sent where it is required; the
//! time left is what each step gets; no password is in any text.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use lettre::Address;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use secrecy::ExposeSecret;

use super::failure::{Cause, Failure, Step};
use crate::config::{MailSettings, Tls};
use crate::deliver::secret::read_secret;

/// How long to wait for the answer to QUIT.
pub(super) const LEAVE: Duration = Duration::from_secs(1);

/// What is sent to whom.
#[derive(Debug, Clone)]
pub(super) struct Envelope {
    pub(super) from: Address,
    pub(super) to: Address,
    pub(super) body: Vec<u8>,
}

/// Who hears of the steps as they are taken: which, and what the server said.
pub(super) type Listener<'a> = &'a mut dyn FnMut(Step, &str);

/// Sends one letter to one recipient.
///
/// # Errors
/// The first step that failed.
pub(super) fn send(
    settings: &MailSettings,
    envelope: &Envelope,
    deadline: Instant,
    heard: Listener<'_>,
) -> Result<String, Failure> {
    let mut dialogue = Dialogue::open(settings, deadline, heard)?;
    if settings.tls == Tls::StartTls {
        dialogue.start_tls(heard)?;
    }
    dialogue.log_in(heard)?;
    dialogue.hand_over(envelope, heard)
}

struct Dialogue {
    credentials: Option<Credentials>,
    tls: Option<TlsParameters>,
    connection: SmtpConnection,
    deadline: Instant,
}

impl Dialogue {
    /// Up to the answer to EHLO.
    fn open(settings: &MailSettings, deadline: Instant, heard: Listener<'_>) -> Result<Self, Failure> {
        let credentials = credentials(settings)?;
        let tls = tls_parameters(settings)?;
        let addresses = resolve(settings)?;
        let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        heard(Step::Resolve, &list.join(", "));
        let at_once = tls.as_ref().filter(|_| settings.tls == Tls::Implicit);
        let connection = connect(&addresses, at_once, deadline)?;
        heard(Step::Connect, connection.server_info().name());
        Ok(Self {
            credentials,
            tls,
            connection,
            deadline,
        })
    }

    fn start_tls(&mut self, heard: Listener<'_>) -> Result<(), Failure> {
        self.be_quick(Step::StartTls)?;
        if !self.connection.can_starttls() {
            return Err(Failure::new(Step::StartTls, Cause::NotOffered("STARTTLS")));
        }
        let Some(tls) = &self.tls else {
            return Err(Failure::new(Step::StartTls, Cause::NotOffered("TLS")));
        };
        let upgraded = self.connection.starttls(tls, &hello());
        upgraded.map_err(|it| Failure::smtp(Step::StartTls, &it))?;
        heard(Step::StartTls, "the connection is encrypted");
        Ok(())
    }

    fn log_in(&mut self, heard: Listener<'_>) -> Result<(), Failure> {
        const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];
        self.be_quick(Step::Auth)?;
        let Some(credentials) = &self.credentials else {
            return Ok(());
        };
        let offered = self.connection.server_info().get_auth_mechanism(&MECHANISMS);
        if offered.is_none() {
            return Err(Failure::new(Step::Auth, Cause::NotOffered("AUTH PLAIN or LOGIN")));
        }
        let answer = self.connection.auth(&MECHANISMS, credentials);
        let answer = answer.map_err(|it| Failure::smtp(Step::Auth, &it))?;
        heard(Step::Auth, &said(&answer));
        Ok(())
    }

    fn hand_over(&mut self, envelope: &Envelope, heard: Listener<'_>) -> Result<String, Failure> {
        let mut options = Vec::new();
        let is_ascii = |it: &Address| AsRef::<str>::as_ref(it).is_ascii();
        if !is_ascii(&envelope.from) || !is_ascii(&envelope.to) {
            if !self
                .connection
                .server_info()
                .supports_feature(Extension::SmtpUtfEight)
            {
                return Err(Failure::new(Step::Rcpt, Cause::NotOffered("SMTPUTF8")));
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        self.be_quick(Step::Mail)?;
        let answer = self
            .connection
            .command(Mail::new(Some(envelope.from.clone()), options));
        heard(Step::Mail, &said(&kept(Step::Mail, answer)?));
        self.be_quick(Step::Rcpt)?;
        let answer = self
            .connection
            .command(Rcpt::new(envelope.to.clone(), Vec::new()));
        heard(Step::Rcpt, &said(&kept(Step::Rcpt, answer)?));
        self.be_quick(Step::Data)?;
        let answer = self.connection.command(Data);
        heard(Step::Data, &said(&kept(Step::Data, answer)?));
        self.be_quick(Step::Body)?;
        let answer = self.connection.message(&envelope.body);
        let answer = said(&kept(Step::Body, answer)?);
        heard(Step::Body, &answer);
        Ok(answer)
    }

    /// The time that is left is what the next step gets.
    fn be_quick(&mut self, step: Step) -> Result<(), Failure> {
        let left = time_left(step, self.deadline)?;
        self.connection
            .set_timeout(Some(left))
            .map_err(|it| Failure::new(step, Cause::Network(it.to_string())))
    }
}

impl Drop for Dialogue {
    /// Takes leave; nobody waits for the answer any longer than this.
    fn drop(&mut self) {
        // What was taken is taken, whatever becomes of the connection.
        let _ = self.connection.set_timeout(Some(LEAVE));
        self.connection.abort();
    }
}

fn kept(step: Step, answer: Result<Response, SmtpError>) -> Result<Response, Failure> {
    answer.map_err(|it| Failure::smtp(step, &it))
}

fn said(response: &Response) -> String {
    let words: Vec<&str> = response.message().collect();
    format!("{} {}", response.code(), words.join(" "))
}

fn time_left(step: Step, deadline: Instant) -> Result<Duration, Failure> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Failure::new(step, Cause::TimeIsUp));
    }
    Ok(left)
}

fn credentials(settings: &MailSettings) -> Result<Option<Credentials>, Failure> {
    let Some(username) = &settings.username else {
        return Ok(None);
    };
    let Some(source) = &settings.password else {
        return Err(Failure::setup("there is a username but no password"));
    };
    let password = read_secret(source).map_err(|it| Failure::setup(&it.to_string()))?;
    Ok(Some(Credentials::new(
        username.clone(),
        password.expose_secret().to_owned(),
    )))
}

fn tls_parameters(settings: &MailSettings) -> Result<Option<TlsParameters>, Failure> {
    if settings.tls == Tls::None {
        return Ok(None);
    }
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca_file {
        let wrong = |why: &str| {
            Failure::setup(&format!(
                "failed to use the certificates in {}: {why}",
                path.display()
            ))
        };
        let pem = std::fs::read(path).map_err(|it| wrong(&it.to_string()))?;
        let certificate = Certificate::from_pem(&pem).map_err(|it| wrong(&it.to_string()))?;
        builder = builder.add_root_certificate(certificate);
    }
    let built = builder.build_rustls();
    built
        .map(Some)
        .map_err(|it| Failure::setup(&format!("TLS cannot be set up: {it}")))
}

/// The addresses of the server; without TLS only those of this machine.
fn resolve(settings: &MailSettings) -> Result<Vec<SocketAddr>, Failure> {
    let found = (settings.host.as_str(), settings.port).to_socket_addrs();
    let found = found.map_err(|it| Failure::new(Step::Resolve, Cause::Network(it.to_string())))?;
    let addresses: Vec<SocketAddr> = found.collect();
    if addresses.is_empty() {
        return Err(Failure::new(
            Step::Resolve,
            Cause::Network("no address".to_owned()),
        ));
    }
    if settings.tls == Tls::None && !addresses.iter().all(|it| it.ip().is_loopback()) {
        return Err(Failure::setup(
            "tls = \"none\" is for a server on this machine only: nothing was sent",
        ));
    }
    Ok(addresses)
}

/// Connects to the first address that answers; each gets its share of the time.
fn connect(
    addresses: &[SocketAddr],
    tls: Option<&TlsParameters>,
    deadline: Instant,
) -> Result<SmtpConnection, Failure> {
    let mut last = Failure::new(Step::Connect, Cause::TimeIsUp);
    for (index, address) in addresses.iter().enumerate() {
        let n_left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = time_left(Step::Connect, deadline)? / n_left;
        match SmtpConnection::connect(address, Some(share), &hello(), tls, None) {
            Ok(connection) => return Ok(connection),
            Err(error) => {
                last = Failure::smtp(Step::Connect, &error);
                // It has an opinion of its own: another address of the same name will not change it.
                if error.status().is_some() {
                    break;
                }
            }
        }
    }
    Err(last)
}

fn hello() -> ClientId {
    ClientId::default()
}
