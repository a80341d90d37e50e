//! The receiver of mails against servers that misbehave: what is answered, what is sent, and in what time.

use std::time::{Duration, Instant};

use assert_cmd::Command;
use gradwatch::alert::{Alarm, Bulletin, Fingerprint, Occasion, Standing};
use gradwatch::app::pipeline::judge_run;
use gradwatch::app::record::Recorders;
use gradwatch::config::{MailSettings, SecretSource, Settings, Tls};
use gradwatch::deliver::{Answer, Composer, MAIL, Parcel, Receiver, SmtpReceiver};
use gradwatch::model::{Finding, Severity};
use gradwatch::report::LayerPicture;
use gradwatch::rules::builtin;
use gradwatch::source::discover;
use jiff::Timestamp;

use crate::support::root;
use crate::support::smtp::{Reply, SmtpServer};

const PASSWORD: &str = "cH9tPs5word";
const LETTER: &[u8] = b"Subject: loss is NaN\r\n\r\nline\r\n.leading dot\r\nend\r\n";

fn settings(server: &SmtpServer) -> MailSettings {
    MailSettings {
        host: "127.0.0.1".to_owned(),
        port: server.address.port(),
        tls: Tls::None,
        username: None,
        password: None,
        from: "gradwatch@example.org".to_owned(),
        to: Vec::new(),
        reply_to: None,
        ca_file: None,
        timeout: Duration::from_secs(10),
    }
}

fn parcel(to: &str) -> Parcel {
    Parcel {
        receiver: MAIL,
        address: to.to_owned(),
        name: "a-1.0@example.org".to_owned(),
        body: LETTER.to_vec(),
    }
}

fn answer(settings: MailSettings) -> Answer {
    SmtpReceiver::new(settings).deliver(&parcel("me@example.org"))
}

fn text(answer: &Answer) -> &str {
    match answer {
        Answer::Taken(it) | Answer::Later(it) | Answer::Refused(it) | Answer::Misconfigured(it) => it,
    }
}

/// The answer's kind when the server says this at that command.
fn kind_at(command: &str, reply: impl Into<Reply>) -> &'static str {
    let server = SmtpServer::start(&[(command, reply.into())]);
    match answer(settings(&server)) {
        Answer::Taken(_) => "taken",
        Answer::Later(_) => "later",
        Answer::Refused(_) => "refused",
        Answer::Misconfigured(_) => "misconfigured",
    }
}

/// Settings with a user whose password is in a file.
fn with_user(mut settings: MailSettings) -> (MailSettings, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    std::fs::write(&path, format!("{PASSWORD}\n")).unwrap();
    settings.username = Some("alert".to_owned());
    settings.password = Some(SecretSource::File(path));
    (settings, dir)
}

#[test]
fn a_letter_is_handed_over_byte_for_byte() {
    let server = SmtpServer::start(&[]);
    let answer = answer(settings(&server));
    assert_eq!(answer, Answer::Taken("250 2.0.0 queued as 42".to_owned()));
    let heard = server.heard();
    assert!(heard.contains("MAIL FROM:<gradwatch@example.org>\r\n"), "{heard}");
    assert!(heard.contains("RCPT TO:<me@example.org>\r\n"));
    // RFC 5321, section 4.5.2: a leading dot is doubled on the way.
    assert!(
        heard.contains("\r\n\r\nline\r\n..leading dot\r\nend\r\n"),
        "{heard}"
    );
    assert!(!heard.contains("AUTH"));
}

#[test]
fn what_is_not_now_is_tried_again() {
    for command in ["", "EHLO", "MAIL", "RCPT", "DATA", "."] {
        assert_eq!(
            kind_at(command, "451 4.3.0 try again later"),
            "later",
            "{command:?}"
        );
        assert_eq!(
            kind_at(command, "421 4.3.2 shutting down"),
            "later",
            "{command:?}"
        );
        assert_eq!(kind_at(command, Reply::Close), "later", "{command:?}");
        assert_eq!(kind_at(command, "this is no mail server"), "later", "{command:?}");
    }
}

#[test]
fn a_5xx_means_the_settings_or_the_recipient_by_where_it_comes() {
    for command in ["", "EHLO", "MAIL"] {
        assert_eq!(kind_at(command, "554 5.7.1 no"), "misconfigured", "{command:?}");
    }
    for command in ["RCPT", "DATA", "."] {
        assert_eq!(
            kind_at(command, "550 5.1.1 no such user"),
            "refused",
            "{command:?}"
        );
    }
    assert_eq!(kind_at("RCPT", "554 5.7.1 Relay access denied"), "misconfigured");
}

#[test]
fn a_connection_that_is_lost_after_the_letter_may_have_delivered_it() {
    let server = SmtpServer::start(&[(".", Reply::Close)]);
    let answer = answer(settings(&server));
    assert!(
        matches!(&answer, Answer::Later(it) if it.contains("may have been taken")),
        "{answer:?}"
    );
    assert!(server.heard().contains("leading dot"));
}

#[test]
fn a_bad_recipient_costs_nobody_else_his_mail() {
    let server = SmtpServer::start(&[("RCPT TO:<bad@", "550 5.1.1 unknown".into())]);
    let mut receiver = SmtpReceiver::new(settings(&server));
    let answers =
        ["good@example.org", "bad@example.org", "other@example.org"].map(|it| receiver.deliver(&parcel(it)));
    assert!(matches!(answers[0], Answer::Taken(_)));
    assert_eq!(
        answers[1],
        Answer::Refused("RCPT TO: 550 5.1.1 unknown".to_owned())
    );
    assert!(matches!(answers[2], Answer::Taken(_)));
}

#[test]
fn a_wrong_password_keeps_the_mail_and_is_in_no_text() {
    // A server that repeats what it was sent: AUTH PLAIN is base64 of NUL user NUL password.
    let echo = format!("535 5.7.8 bad AGFsZXJ0AGNIOXRQczV3b3Jk alert/{PASSWORD} {PASSWORD}");
    let server = SmtpServer::start(&[
        ("EHLO", "250-mail.test\r\n250 AUTH PLAIN LOGIN".into()),
        ("AUTH", Reply::Line(echo)),
    ]);
    let (settings, _dir) = with_user(settings(&server));
    let answer = answer(settings);
    assert!(matches!(answer, Answer::Misconfigured(_)), "{answer:?}");
    assert!(text(&answer).starts_with("AUTH: 535 5.7.8 bad"), "{answer:?}");
    assert!(
        !text(&answer).contains(PASSWORD) && !text(&answer).contains("AGFs"),
        "{answer:?}"
    );
    let heard = server.heard();
    assert!(
        heard.contains("AUTH PLAIN AGFsZXJ0AGNIOXRQczV3b3Jk\r\n"),
        "{heard}"
    );
    assert!(!heard.contains("MAIL FROM"));
}

#[test]
fn a_user_whose_server_asks_for_none_is_said() {
    let server = SmtpServer::start(&[]);
    let (settings, dir) = with_user(settings(&server));
    let refused = answer(settings.clone());
    assert!(matches!(refused, Answer::Misconfigured(_)), "{refused:?}");
    assert!(!server.heard().contains("AUTH") && !server.heard().contains("MAIL"));
    // The same without a file to read the password from.
    drop(dir);
    let missing = answer(settings);
    assert!(
        matches!(&missing, Answer::Misconfigured(it) if it.contains("password")),
        "{missing:?}"
    );
}

#[test]
fn without_starttls_nothing_is_sent_in_clear() {
    let server = SmtpServer::start(&[("EHLO", "250-mail.test\r\n250 AUTH PLAIN LOGIN".into())]);
    let (mut settings, _dir) = with_user(settings(&server));
    settings.tls = Tls::StartTls;
    let answer = answer(settings);
    assert!(
        matches!(&answer, Answer::Misconfigured(it) if it.contains("STARTTLS")),
        "{answer:?}"
    );
    let heard = server.heard();
    for secret in ["AUTH", "MAIL", "RCPT", "gradwatch@", "NaN"] {
        assert!(!heard.contains(secret), "{secret} in {heard}");
    }
}

#[test]
fn a_server_that_speaks_no_tls_gets_nothing() {
    let greeting = SmtpServer::start(&[]);
    let mut implicit = settings(&greeting);
    implicit.tls = Tls::Implicit;
    let refused = answer(implicit);
    assert!(matches!(refused, Answer::Misconfigured(_)), "{refused:?}");
    assert!(!greeting.heard().contains("EHLO"));
    // It offers STARTTLS and goes on in clear.
    let liar = SmtpServer::start(&[
        ("EHLO", "250-mail.test\r\n250 STARTTLS".into()),
        (
            "STARTTLS",
            "220 go ahead\r\n250 and more that nobody asked for".into(),
        ),
    ]);
    let mut starttls = settings(&liar);
    starttls.tls = Tls::StartTls;
    let refused = answer(starttls);
    assert!(!matches!(refused, Answer::Taken(_)), "{refused:?}");
    assert!(!liar.heard().contains("MAIL"));
}

#[test]
fn plain_text_is_for_this_machine_only() {
    let server = SmtpServer::start(&[]);
    let mut far = settings(&server);
    // RFC 5737: nobody has this address.
    far.host = "192.0.2.1".to_owned();
    let begun = Instant::now();
    let answer = answer(far);
    assert!(
        matches!(&answer, Answer::Misconfigured(it) if it.contains("loopback") || it.contains("this machine")),
        "{answer:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(5), "nobody was called");
}

#[test]
fn a_server_that_is_not_there_is_tried_again() {
    let server = SmtpServer::start(&[]);
    let mut gone = settings(&server);
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    gone.port = free.local_addr().unwrap().port();
    drop(free);
    assert!(matches!(answer(gone), Answer::Later(_)));
}

#[test]
fn no_server_holds_an_attempt_beyond_its_time() {
    let slowly = |text| Reply::Drip(text, Duration::from_millis(200));
    for (command, reply) in [
        ("", Reply::Silence),
        ("RCPT", Reply::Silence),
        (".", Reply::Silence),
        ("", slowly("220 mail.test ")),
        ("MAIL", slowly("250 2.1.0 sender ")),
    ] {
        let server = SmtpServer::start(&[(command, reply.clone())]);
        let mut settings = settings(&server);
        settings.timeout = Duration::from_millis(700);
        let begun = Instant::now();
        let answer = answer(settings);
        let took = begun.elapsed();
        assert!(
            matches!(answer, Answer::Later(_)),
            "{command:?} {reply:?}: {answer:?}"
        );
        assert!(took < Duration::from_secs(3), "{command:?} {reply:?}: {took:?}");
    }
}

#[test]
fn conversations_that_hang_are_bounded() {
    let server = SmtpServer::start(&[("", Reply::Drip("220 mail.test ", Duration::from_millis(5)))]);
    let mut settings = settings(&server);
    settings.timeout = Duration::from_millis(50);
    let mut receiver = SmtpReceiver::new(settings);
    let answers: Vec<Answer> = (0..6)
        .map(|_| receiver.deliver(&parcel("me@example.org")))
        .collect();
    assert!(text(&answers[0]).contains("in time"), "{answers:?}");
    assert!(text(&answers[5]).contains("still hang"), "{answers:?}");
    assert!(answers.iter().all(|it| matches!(it, Answer::Later(_))));
}

/// The mail about a shipped run, with the picture of its layers.
fn mail_about(run: &str) -> Parcel {
    let found = discover(&[root().join("fixtures/runs").join(run)]);
    let run = found.runs.first().unwrap();
    let recorders = Recorders::default();
    let report = judge_run(
        run,
        &builtin().rules,
        &|stream| Some(recorders.listen(stream)),
        &|_| (),
    );
    let (effects, roots): (Vec<Finding>, Vec<Finding>) = report
        .findings
        .iter()
        .filter(|it| it.severity >= Severity::Warning)
        .cloned()
        .partition(|it| it.caused_by.is_some());
    let at: Timestamp = "2026-11-18T11:07:10Z".parse().unwrap();
    let alarm = |finding: Finding| Alarm {
        fingerprint: Fingerprint::of(&report.run, &finding),
        finding,
        since: at,
        standing: Standing::Firing,
    };
    let picture = LayerPicture::of(&recorders.finish(), &roots[0]);
    let bulletin = Bulletin {
        occasion: Occasion::Firing,
        run: report.run.clone(),
        root: "/data/runs".to_owned(),
        incident: "a1b2-3".to_owned(),
        sequence: 0,
        at,
        roots: roots.into_iter().map(alarm).collect(),
        consequences: effects.into_iter().map(alarm).collect(),
    };
    let mail = MailSettings {
        to: vec!["me@example.org".to_owned()],
        ..settings(&SmtpServer::start(&[]))
    };
    let settings = Settings {
        mail: Some(mail),
        ..Settings::default()
    };
    let composer = Composer::new(&settings, "gpu1").unwrap();
    composer.bulletin(MAIL, &bulletin, picture.as_ref()).remove(0)
}

#[test]
fn a_mail_about_a_shipped_run_shows_its_layers() {
    for run in ["vanishing-sigmoid", "exploding-tanh", "nan-bad-data", "dead-relu"] {
        let mail = mail_about(run);
        let text = String::from_utf8(mail.body.clone()).unwrap();
        assert!(mail.body.len() < 200_000, "{run}: {} bytes", mail.body.len());
        assert!(text.contains("Content-Type: image/png"), "{run}");
        if let Some(dir) = std::env::var_os("GRADWATCH_KEEP") {
            let path = std::path::Path::new(&dir).join(format!("{run}.eml"));
            std::fs::write(path, &mail.body).unwrap();
        }
    }
}

/// `mail-test` against a server, with more lines for `[mail]`: exit status and what was printed.
fn mail_test(server: &SmtpServer, more: &str) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), PASSWORD).unwrap();
    let config = dir.path().join("gradwatch.toml");
    let port = server.address.port();
    let text = format!(
        "[mail]\nhost = \"127.0.0.1\"\nport = {port}\nfrom = \"w@example.org\"\nto = [\"a@example.org\"]\n{more}\n"
    );
    std::fs::write(&config, text).unwrap();
    let output = Command::cargo_bin("gradwatch")
        .unwrap()
        .args(["mail-test", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(printed).unwrap())
}

#[test]
fn mail_test_sends_a_real_message_and_says_each_step() {
    let server = SmtpServer::start(&[]);
    let (status, printed) = mail_test(&server, "tls = \"none\"");
    assert_eq!(status, 0, "{printed}");
    for line in [
        "ok      name lookup",
        "ok      connection",
        "ok      RCPT TO       250",
        "taken   as <test-",
    ] {
        assert!(printed.contains(line), "{line} in {printed}");
    }
    assert!(
        server.heard().contains("Subject: [gradwatch] [TEST]"),
        "{}",
        server.heard()
    );
    assert!(server.heard().contains("image/png"));
}

#[test]
fn mail_test_says_what_to_change() {
    let users = ("EHLO", Reply::from("250-mail.test\r\n250 AUTH PLAIN"));
    let with_user = "username = \"me\"\npassword_file = \"password\"\n";
    let cases = [
        (vec![], "tls = \"starttls\"".to_owned(), "change  `tls`"),
        (
            vec![("RCPT", Reply::from("550 5.1.1 unknown"))],
            "tls = \"none\"".to_owned(),
            "change  `to`",
        ),
        (
            vec![("MAIL", Reply::from("553 5.7.1 not yours"))],
            "tls = \"none\"".to_owned(),
            "change  `from`",
        ),
        (
            vec![users, ("AUTH", Reply::from("535 5.7.8 wrong"))],
            format!("{with_user}tls = \"none\""),
            "change  `username` or the password",
        ),
    ];
    for (odd, more, wanted) in cases {
        let server = SmtpServer::start(&odd);
        let (status, printed) = mail_test(&server, &more);
        assert_eq!(status, 2, "{printed}");
        assert!(printed.contains(wanted), "{wanted} in {printed}");
        assert!(!printed.contains(PASSWORD), "{printed}");
        assert!(!server.heard().contains("Subject:"));
    }
}
