//! `gradwatch mail-test`: one real message, and what the server said to each step of it.
//!
//! In: mail settings. Out: a line per step, and advice where one failed. Invariants: the message takes the same way as an
//! alarm; nothing that is printed holds a password.

use std::io::{self, Write};

use anyhow::{anyhow, bail};
use jiff::Timestamp;

use super::settings::{of_file, own_name};
use crate::cli::MailTestArgs;
use crate::config::{MailSettings, Settings, Tls, with_flags};
use crate::deliver::{Cause, Composer, Failure, Parcel, SmtpReceiver, Step};
use crate::exit::ExitStatus;
use crate::report::printable;

/// Sends the message to every recipient.
///
/// # Errors
/// When there are no mail settings, or the output cannot be written.
pub fn mail_test(args: &MailTestArgs) -> anyhow::Result<ExitStatus> {
    let mut settings = of_file(args.config.as_deref())?;
    let password = args.smtp_password_file.clone();
    let mail = with_flags(
        settings.mail.take(),
        &args.to,
        args.smtp.as_ref(),
        password,
        &own_name(),
    );
    let Some(mail) = mail.map_err(|error| anyhow!(error))? else {
        bail!("no mail is set up: write a [mail] section into a configuration, or give --smtp and --to");
    };
    let settings = Settings {
        mail: Some(mail.clone()),
        ..Settings::default()
    };
    let parcels = Composer::new(&settings, &own_name())?.test_mail(Timestamp::now());
    let mut out = io::stdout().lock();
    writeln!(out, "{}", about(&mail))?;
    let mut receiver = SmtpReceiver::new(mail.clone());
    let mut status = ExitStatus::Clean;
    for parcel in &parcels {
        if !try_one(&mut receiver, &mail, parcel, &mut out)? {
            status = ExitStatus::Usage;
        }
    }
    Ok(status)
}

fn about(mail: &MailSettings) -> String {
    let tls = match mail.tls {
        Tls::StartTls => "STARTTLS",
        Tls::Implicit => "TLS from the first byte",
        Tls::None => "no TLS",
    };
    let user = mail.username.as_ref().map_or_else(
        || "without a user".to_owned(),
        |it| format!("as {}", printable(it)),
    );
    let server = printable(&mail.host);
    format!(
        "{server} port {}, {tls}, {user}, from {}",
        mail.port,
        printable(&mail.from)
    )
}

/// Whether the message to this recipient was taken.
fn try_one(
    receiver: &mut SmtpReceiver,
    mail: &MailSettings,
    parcel: &Parcel,
    out: &mut dyn Write,
) -> io::Result<bool> {
    writeln!(out, "to {}", printable(&parcel.address))?;
    let mut written = Ok(());
    let ended = receiver.send(parcel, &mut |step, said| {
        let line = writeln!(out, "  ok      {:<12}  {}", step.to_string(), printable(said));
        if written.is_ok() {
            written = line;
        }
    });
    written?;
    match ended {
        Ok(_) => {
            writeln!(out, "  taken   as <{}>, {} bytes", parcel.name, parcel.body.len())?;
            Ok(true)
        }
        Err(failure) => {
            writeln!(out, "  failed  {failure}")?;
            writeln!(out, "  change  {}", advice(&failure, mail))?;
            Ok(false)
        }
    }
}

/// What to change, by the step that failed and why.
fn advice(failure: &Failure, mail: &MailSettings) -> String {
    let host = printable(&mail.host);
    match (failure.step, &failure.cause) {
        (Step::Setup, _) => "the configuration: it says what is wrong with it".to_owned(),
        (Step::Resolve, _) => format!("`host`: no address is known for {host}; is it spelt so, and does DNS work here?"),
        (Step::Connect, Cause::Network(_) | Cause::TimeIsUp) => format!(
            "`host` and `port`: nothing that speaks SMTP answers at {host} port {}; a firewall may be in between, \
             and many networks close port 25{}",
            mail.port,
            other_port(mail)
        ),
        (_, Cause::Tls(words)) => tls_advice(words, mail),
        (Step::Connect, _) => "the server does not want this machine to connect: ask who runs it".to_owned(),
        (Step::StartTls, Cause::NotOffered(_)) => {
            "`tls`: the server offers no STARTTLS on this port. Nothing was sent. Port 465 with `tls = \"tls\"` may work; \
             if it should offer it, somebody in between may have taken it away"
                .to_owned()
        }
        (Step::Auth, Cause::NotOffered(_)) => {
            "`username`: the server takes no user on this port. Take 587 or 465, or leave `username` and the password out"
                .to_owned()
        }
        (Step::Auth, Cause::Permanent(..)) => {
            "`username` or the password: the server does not accept them. Many providers want a password made for this \
             program (an app password)"
                .to_owned()
        }
        (Step::Mail, Cause::Permanent(..)) => {
            "`from`: the server does not let this user send as this address, or wants a user first".to_owned()
        }
        (Step::Rcpt, Cause::NotOffered(_)) => "`to`: the server takes no addresses beyond ASCII".to_owned(),
        (Step::Rcpt, Cause::Permanent(_, words)) if words.to_ascii_lowercase().contains("relay") => {
            "`username`: the server delivers to others only for users it knows".to_owned()
        }
        (Step::Rcpt, Cause::Permanent(..)) => "`to`: the server does not know this recipient".to_owned(),
        (_, Cause::Permanent(..)) => "the server does not like the message itself: ask who runs it".to_owned(),
        (_, Cause::Transient(..)) => {
            "nothing yet: the server asks to try again later (greylisting is usual). `watch` does so by itself".to_owned()
        }
        _ => "nothing yet: the connection broke off. `watch` tries again by itself; if it stays so, `timeout` may be short"
            .to_owned(),
    }
}

fn other_port(mail: &MailSettings) -> &'static str {
    match (mail.tls, mail.port) {
        (Tls::StartTls, 465) => ". Port 465 goes with `tls = \"tls\"`",
        (Tls::Implicit, 587 | 25) => ". Ports 587 and 25 go with `tls = \"starttls\"`",
        _ => "",
    }
}

fn tls_advice(words: &str, mail: &MailSettings) -> String {
    if words.contains("UnknownIssuer") {
        return "`ca_file`: the certificate of the server is signed by nobody this system trusts. Name the certificate of \
                your organisation (PEM)"
            .to_owned();
    }
    if words.contains("NotValidForName") || words.contains("not valid for") {
        return format!(
            "`host`: the certificate is for another name than {}; write the name that is in it",
            printable(&mail.host)
        );
    }
    if words.contains("Expired") || words.contains("expired") {
        return "the certificate of the server has expired, or the clock of this machine is wrong".to_owned();
    }
    format!(
        "`tls` and `port`: what answers on port {} does not speak TLS as `tls` says{}",
        mail.port,
        other_port(mail)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_key_to_change() {
        let mail = |tls, port| MailSettings {
            host: "mail.example.org".to_owned(),
            port,
            tls,
            username: None,
            password: None,
            from: "a@example.org".to_owned(),
            to: Vec::new(),
            reply_to: None,
            ca_file: None,
            timeout: std::time::Duration::from_secs(1),
        };
        let words = |text: &str| text.to_owned();
        let cases = [
            (Step::Resolve, Cause::Network(words("unknown")), "`host`"),
            (Step::Connect, Cause::Network(words("refused")), "`port`"),
            (
                Step::Connect,
                Cause::Tls(words("invalid peer certificate: UnknownIssuer")),
                "`ca_file`",
            ),
            (Step::StartTls, Cause::Tls(words("NotValidForName")), "`host`"),
            (Step::StartTls, Cause::NotOffered("STARTTLS"), "`tls`"),
            (Step::Auth, Cause::Permanent(535, words("no")), "password"),
            (Step::Mail, Cause::Permanent(550, words("no")), "`from`"),
            (
                Step::Rcpt,
                Cause::Permanent(554, words("Relay access denied")),
                "`username`",
            ),
            (Step::Rcpt, Cause::Permanent(550, words("no such user")), "`to`"),
            (Step::Rcpt, Cause::Transient(450, words("greylisted")), "later"),
        ];
        for (step, cause, wanted) in cases {
            let failure = Failure { step, cause };
            let advice = advice(&failure, &mail(Tls::StartTls, 587));
            assert!(advice.contains(wanted), "{failure}: {advice}");
        }
        let failure = Failure {
            step: Step::Connect,
            cause: Cause::TimeIsUp,
        };
        assert!(advice(&failure, &mail(Tls::StartTls, 465)).contains("`tls = \"tls\"`"));
    }
}
