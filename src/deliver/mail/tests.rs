//! The bytes of a mail: same in, same out; threads; nothing from a log makes a header or a tag.

use super::letter::LETTER_BYTES_MAX;
use super::{Inline, MailWriter, id_part, message_host};
use crate::alert::{Bulletin, Digest, Gathered, Occasion};
use crate::config::{MailSettings, Tls};
use crate::deliver::Parcel;
use crate::deliver::fixture::{alarm, at, bulletin, vanishing};

fn writer(to: &[&str]) -> MailWriter {
    let settings = MailSettings {
        host: "mail.example.org".to_owned(),
        port: 587,
        tls: Tls::StartTls,
        username: None,
        password: None,
        from: "Watchdog <gradwatch@example.org>".to_owned(),
        to: to.iter().map(|it| (*it).to_owned()).collect(),
        reply_to: Some("team@example.org".to_owned()),
        ca_file: None,
        timeout: std::time::Duration::from_secs(60),
    };
    MailWriter::new(&settings, "gpu1").unwrap()
}

fn mails(bulletin: &Bulletin, picture: Option<&Inline>) -> Vec<Parcel> {
    writer(&["me@example.org"]).bulletin(bulletin, picture)
}

fn text(parcel: &Parcel) -> String {
    String::from_utf8(parcel.body.clone()).unwrap()
}

/// Soft line ends of quoted-printable taken out.
fn unfolded(parcel: &Parcel) -> String {
    text(parcel).replace("=\r\n", "").replace("\r\n ", " ")
}

#[test]
fn the_same_bulletin_gives_the_same_bytes() {
    let picture = Inline {
        png: vec![0x89, 0x50, 1, 2, 3],
        alt: "norms".to_owned(),
    };
    let first = mails(&bulletin(), Some(&picture));
    assert_eq!(first, mails(&bulletin(), Some(&picture)));
    assert_eq!(first[0].name, "a1b2c3-4.0@gpu1.example.org");
    assert!(text(&first[0]).is_ascii(), "goes through every server");
}

#[test]
fn each_recipient_gets_a_mail_of_his_own() {
    let parcels = writer(&["a@example.org", "Bea <b@example.org>"]).bulletin(&bulletin(), None);
    let addresses: Vec<&str> = parcels.iter().map(|it| it.address.as_str()).collect();
    assert_eq!(addresses, ["a@example.org", "b@example.org"]);
    assert_eq!(parcels[0].name, parcels[1].name);
    assert!(!text(&parcels[0]).contains("b@example.org"));
    assert!(text(&parcels[1]).contains("To: Bea <b@example.org>\r\n"));
}

#[test]
fn all_mails_of_an_incident_refer_to_its_first() {
    let first = text(&mails(&bulletin(), None)[0]);
    assert!(
        first.contains("Message-ID: <a1b2c3-4.0@gpu1.example.org>\r\n"),
        "{first}"
    );
    assert!(!first.contains("In-Reply-To:") && !first.contains("References:"));
    let mut second = bulletin();
    second.sequence = 1;
    second.occasion = Occasion::Reminder;
    let second = text(&mails(&second, None)[0]);
    assert!(second.contains("Message-ID: <a1b2c3-4.1@gpu1.example.org>\r\n"));
    assert!(second.contains("In-Reply-To: <a1b2c3-4.0@gpu1.example.org>\r\n"));
    assert!(second.contains("References: <a1b2c3-4.0@gpu1.example.org>\r\n"));
}

#[test]
fn a_mail_says_that_no_person_wrote_it_and_when() {
    let mail = text(&mails(&bulletin(), None)[0]);
    for header in [
        "Auto-Submitted: auto-generated\r\n",
        "List-Id: gradwatch alerts <gradwatch.gpu1.example.org>\r\n",
        "Date: Wed, 18 Nov 2026 11:07:10 +0000\r\n",
        "Reply-To: team@example.org\r\n",
        "MIME-Version: 1.0\r\n",
    ] {
        assert!(mail.contains(header), "{header} in {mail}");
    }
}

#[test]
fn nothing_from_a_log_makes_a_header_or_a_tag() {
    let mut hostile = bulletin();
    hostile.run = "x\r\nBcc: victim@example.org\r\n\r\n<script>alert(1)</script>".to_owned();
    hostile.roots[0].finding.message = "<img src=x onerror=\"boo\">\r\n.\r\nMAIL FROM:<a@b>".to_owned();
    hostile.roots[0].finding.tag = Some("</td>\u{1b}[31m\u{202e}".to_owned());
    hostile.incident = "a>\r\nBcc: v@e".to_owned();
    let parcels = mails(&hostile, None);
    let mail = unfolded(&parcels[0]);
    assert!(!mail.contains("\r\nBcc:"), "{mail}");
    assert!(!mail.contains('\u{1b}') && !mail.contains("=1B"));
    assert!(!mail.contains("\r\n.\r\n"));
    let html = mail.split("text/html").nth(1).unwrap();
    assert!(!html.contains("<script") && !html.contains("<img"));
    assert!(html.contains("&lt;img"));
}

/// A bulletin as large as a log and rule files can make it, out of one character.
fn huge(fill: &str) -> Bulletin {
    let mut huge = bulletin();
    let mut finding = vanishing(300);
    finding.layers.iter_mut().for_each(|it| *it = fill.repeat(400));
    finding.message = fill.repeat(2_000);
    finding.diagnosis = fill.repeat(4_000);
    finding.remedy = vec![fill.repeat(2_000); 20];
    finding.rule = fill.repeat(200);
    huge.run = fill.repeat(4_000);
    huge.root = fill.repeat(4_000);
    huge.roots = vec![alarm(finding.clone()); 9];
    huge.consequences = vec![alarm(finding); 20];
    huge
}

#[test]
fn the_largest_bulletin_makes_a_bounded_mail() {
    for fill in ["m", "ü", "層", "🔥", "\"", "<", "\u{1b}"] {
        let mail = &mails(&huge(fill), None)[0];
        assert!(
            mail.body.len() < LETTER_BYTES_MAX,
            "{} bytes of {fill:?}",
            mail.body.len()
        );
        let digest = Digest {
            gathered: Gathered::Unreachable,
            name: "d-1".to_owned(),
            at: at(0),
            bulletins: vec![huge(fill); 45],
        };
        let mail = &writer(&["a@example.org"]).digest(&digest)[0];
        assert!(
            mail.body.len() < LETTER_BYTES_MAX,
            "{} bytes of {fill:?}",
            mail.body.len()
        );
    }
}

#[test]
fn a_digest_counts_what_it_does_not_list() {
    let digest = Digest {
        gathered: Gathered::Capped,
        name: "d-1".to_owned(),
        at: at(0),
        bulletins: vec![bulletin(); 300],
    };
    let mail = &writer(&["a@example.org"]).digest(&digest)[0];
    assert!(unfolded(mail).contains("270 further runs"));
    assert_eq!(mail.name, "d-1@gpu1.example.org");
}

#[test]
fn a_picture_goes_along_unless_it_is_too_large() {
    let picture = |n: usize| Inline {
        png: vec![7; n],
        alt: "norms over depth".to_owned(),
    };
    let mail = unfolded(&mails(&bulletin(), Some(&picture(1_000)))[0]);
    assert!(mail.contains("Content-ID: <layers.a1b2c3-4.0@gpu1.example.org>\r\n"));
    assert!(mail.contains("cid:layers.a1b2c3-4.0@gpu1.example.org"));
    assert!(mail.contains("multipart/related") && mail.contains("Content-Type: image/png"));
    let mail = unfolded(&mails(&bulletin(), Some(&picture(LETTER_BYTES_MAX)))[0]);
    assert!(!mail.contains("image/png") && !mail.contains("cid:"));
}

#[test]
fn the_host_in_a_name_is_one_that_mail_takes() {
    assert_eq!(message_host("gpu1", "a@example.org"), "gpu1.example.org");
    assert_eq!(message_host("gpu1.lab", "a@example.org"), "gpu1.lab");
    assert_eq!(message_host("", "W <a@Example.org>"), "example.org");
    assert_eq!(message_host("wei rd>\r\n", "a"), "weird");
    assert_eq!(message_host("localhost", "a@example.org"), "example.org");
    assert_eq!(message_host("", ""), "gradwatch.invalid");
    assert_eq!(id_part("a b>c"), "abc");
}
