//! Configurations that are taken as they are meant, and every problem of those that are not.

use std::path::PathBuf;
use std::time::Duration;

use super::read;
use crate::config::{
    AlertSettings, MailSettings, SecretSource, Settings, SmtpAddress, Tls, WatchSettings, with_flags,
};
use crate::model::Severity;
use crate::rules::Source;

fn settings(text: &str) -> Result<Settings, Vec<String>> {
    read(&Source::new("conf/gradwatch.toml", text), "node7")
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(settings(""), Ok(Settings::default()));
    assert!(!Settings::default().has_receiver());
}

#[test]
fn every_key_is_taken() {
    let found = settings(
        r#"
        [watch]
        paths = ["/data/runs", "more"]
        rules = "team.toml"
        baseline = "twin"
        poll = "500ms"
        active_within = "2d"
        replay_max = "1GiB"
        [alerts]
        group_wait = "10s"
        repeat = ["30m", "1h30m"]
        mails_per_hour = 3
        keep_firing_for = "1m"
        send_resolved = false
        severity = "critical"
        [mail]
        host = "smtp.example.org"
        tls = "tls"
        username = "me"
        password_file = "smtp-password"
        from = "Watch <watch@example.org>"
        to = ["me@example.org", "you@example.org"]
        reply_to = "team@example.org"
        ca_file = "/etc/ca.pem"
        timeout = "20s"
        [alertmanager]
        url = "http://localhost:9093"
        [webhook]
        url = "https://example.org/hook"
        token_credential = "hook"
        [command]
        argv = ["stop-job", "--now"]
        timeout = "5m"
        [listen]
        address = "0.0.0.0:9464"
        token_file = "token"
        "#,
    )
    .unwrap();
    assert_eq!(
        found.watch,
        WatchSettings {
            paths: vec![PathBuf::from("/data/runs"), PathBuf::from("conf/more")],
            rules: vec![PathBuf::from("conf/team.toml")],
            baseline: Some(PathBuf::from("conf/twin")),
            poll: Duration::from_millis(500),
            active_within: Duration::from_secs(172_800),
            replay_max: 1 << 30,
        }
    );
    assert_eq!(
        found.alerts,
        AlertSettings {
            group_wait: Duration::from_secs(10),
            repeat: vec![Duration::from_secs(1800), Duration::from_secs(5400)],
            mails_per_hour: 3,
            keep_firing_for: Duration::from_secs(60),
            send_resolved: false,
            severity: Severity::Critical,
        }
    );
    let mail = found.mail.unwrap();
    assert_eq!((mail.port, mail.tls, mail.to.len()), (465, Tls::Implicit, 2));
    assert_eq!(
        mail.password,
        Some(SecretSource::File(PathBuf::from("conf/smtp-password")))
    );
    assert_eq!(
        found.webhook.unwrap().token,
        Some(SecretSource::Credential("hook".to_owned()))
    );
    assert_eq!(found.command.unwrap().argv, ["stop-job", "--now"]);
    assert_eq!(found.listen.unwrap().address.port(), 9464);
}

#[test]
fn all_problems_come_at_once_with_their_places_and_what_was_meant() {
    let problems = settings(
        "[watch]\npoll = 2\nactiv_within = \"2h\"\n[mial]\n[mail]\nhost = \"smtp.example.org\"\ntls = \"none\"\nuser = \"x\"\n\
         to = [\"nobody\"]\n[alerts]\nseverity = \"info\"\nrepeat = [\"1s\"]\n[listen]\naddress = \"0.0.0.0:80\"\n",
    )
    .unwrap_err();
    let expected = [
        "2:8: `poll` must be a time, not an integer, write",
        "3:1: unknown key `activ_within`, did you mean `active_within`?",
        "4:2: unknown key `mial`, did you mean `mail`?",
        "7:7: `tls = \"none\"` would send mail and password readable to `smtp.example.org`",
        "8:1: unknown key `user`",
        "9:7: `to`: `nobody` is not a mail address",
        "11:12: unknown severity `info`, known: `warning`, `critical`",
        "12:11: `repeat` must be at least `1m`",
        "14:11: `address` is open to other machines",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(
            problem.starts_with(&format!("conf/gradwatch.toml:{expected}")),
            "{problem}"
        );
    }
}

#[test]
fn a_password_in_the_file_is_refused_and_not_shown() {
    let problems = settings(
        "[mail]\nhost = \"h\"\nto = \"me@example.org\"\nusername = \"me\"\npassword = \"hunter2\"\n[webhook]\n\
         url = \"https://me:hunter2@example.org/\"\ntoken = \"hunter2\"\n",
    )
    .unwrap_err();
    let shown = problems.join("\n");
    assert!(
        shown.contains("`password` must not stand in a configuration"),
        "{shown}"
    );
    assert!(shown.contains("`token` must not stand"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn what_is_no_toml_is_said_with_its_place() {
    let problems = settings("[watch\npaths = 1").unwrap_err();
    assert!(
        problems[0].starts_with("conf/gradwatch.toml:1:7: not TOML"),
        "{problems:?}"
    );
    for text in [
        "mail = 1",
        "[mail]",
        "[command]",
        "[webhook]\nurl = \"ftp://x\"",
        "[[watch]]",
    ] {
        assert!(settings(text).is_err(), "{text}");
    }
}

#[test]
fn a_mail_server_on_the_command_line() {
    let mail = |smtp: &str| -> Result<MailSettings, String> {
        let smtp = SmtpAddress::new(smtp)?;
        let to = ["me@example.org".to_owned()];
        let password = Some(PathBuf::from("pw")).filter(|_| smtp.username.is_some());
        with_flags(None, &to, Some(&smtp), password, "node7").map(Option::unwrap)
    };
    let server = |smtp: &str| mail(smtp).map(|it| (it.host, it.port, it.tls, it.username));
    let expected =
        |host: &str, port, tls, user: Option<&str>| Ok((host.to_owned(), port, tls, user.map(str::to_owned)));
    assert_eq!(
        server("smtp://me@smtp.example.org:2587"),
        expected("smtp.example.org", 2587, Tls::StartTls, Some("me"))
    );
    assert_eq!(
        server("smtps://smtp.example.org"),
        expected("smtp.example.org", 465, Tls::Implicit, None)
    );
    assert_eq!(
        server("smtp://localhost"),
        expected("localhost", 25, Tls::None, None)
    );
    assert_eq!(
        server("smtp://[::1]:2525"),
        expected("::1", 2525, Tls::None, None)
    );
    assert_eq!(
        server("smtp://me%40example.org@h"),
        expected("h", 587, Tls::StartTls, Some("me@example.org"))
    );
    for bad in [
        "h",
        "http://h",
        "smtp://",
        "smtp://h:0",
        "smtp://h:x",
        "smtp://@h",
        "smtp://h/x",
        "smtp://[::1",
    ] {
        assert!(server(bad).is_err(), "{bad}");
    }
    let refused = server("smtp://me:hunter2@h").unwrap_err();
    assert!(refused.contains("--smtp-password-file") && !refused.contains("hunter2"));
    assert_eq!(mail("smtp://localhost").unwrap().from, "gradwatch@node7");
    let without_password = with_flags(
        None,
        &["me@example.org".to_owned()],
        Some(&SmtpAddress::new("smtp://me@h").unwrap()),
        None,
        "node7",
    );
    assert!(without_password.unwrap_err().contains("--smtp-password-file"));
}
