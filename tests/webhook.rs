//! The receivers that speak HTTP against servers that misbehave: what is answered, and what is never sent or told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver as Inbox, channel};
use std::thread;

use gradwatch::config::{AlertmanagerSettings, SecretSource, WebhookSettings};
use gradwatch::deliver::{Answer, HttpReceiver, Parcel, Receiver, WEBHOOK};

const TOKEN: &str = "t0k3n-t0k3n";

/// A server that answers one request with this. Gives its origin, and the request.
fn serve_once(response: String) -> (String, Inbox<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            reader.read_line(&mut request).unwrap();
        }
        let length = request
            .lines()
            .find_map(|it| {
                it.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            })
            .unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        request.push_str(&String::from_utf8(body).unwrap());
        sender.send(request).unwrap();
        // A client that goes away early is its own business.
        let _ = stream.write_all(response.as_bytes());
    });
    (origin, receiver)
}

fn status(line: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {line}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn parcel() -> Parcel {
    Parcel {
        receiver: WEBHOOK,
        address: "http://example.org".to_owned(),
        name: "a-1.0".to_owned(),
        body: b"{\"schema\":\"gradwatch.alert/1\"}\n".to_vec(),
    }
}

fn post(url: String, token: Option<SecretSource>) -> Answer {
    HttpReceiver::webhook(&WebhookSettings { url, token }).deliver(&parcel())
}

/// A token in a file.
fn token() -> (SecretSource, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    (SecretSource::File(path), dir)
}

#[test]
fn json_and_a_token_are_posted_and_the_answer_is_told_without_the_token() {
    let (origin, request) = serve_once(status("200 OK", &format!("got {TOKEN}\r\n\u{1b}[31mred")));
    let (source, _dir) = token();
    let answer = post(format!("{origin}/hook/k3y"), Some(source));
    assert_eq!(answer, Answer::Taken("200 got *** \\u{1b}[31mred".to_owned()));
    let request = request.recv().unwrap();
    assert!(request.starts_with("POST /hook/k3y HTTP/1.1\r\n"), "{request}");
    assert!(
        request
            .to_ascii_lowercase()
            .contains(&format!("authorization: bearer {TOKEN}\r\n"))
    );
    assert!(
        request
            .to_ascii_lowercase()
            .contains("content-type: application/json\r\n")
    );
    assert!(
        request.ends_with("\r\n\r\n{\"schema\":\"gradwatch.alert/1\"}\n"),
        "{request}"
    );
}

#[test]
fn an_answer_says_whether_to_try_again() {
    let kind = |line: &str| {
        let (origin, _request) = serve_once(status(line, "words"));
        match post(origin, None) {
            Answer::Taken(_) => "taken",
            Answer::Later(_) => "later",
            Answer::Refused(_) => "refused",
            Answer::Misconfigured(_) => "misconfigured",
        }
    };
    assert_eq!(kind("202 Accepted"), "taken");
    assert_eq!(kind("503 Busy"), "later");
    assert_eq!(kind("429 Too Many"), "later");
    assert_eq!(kind("400 Bad"), "refused");
    assert_eq!(kind("401 Who"), "misconfigured");
    assert_eq!(kind("404 Where"), "misconfigured");
}

#[test]
fn a_redirect_is_not_followed() {
    let (elsewhere, stolen) = serve_once(status("200 OK", ""));
    let moved = format!("HTTP/1.1 307 Moved\r\nLocation: {elsewhere}/\r\nContent-Length: 0\r\n\r\n");
    let (origin, _request) = serve_once(moved);
    let (source, _dir) = token();
    let answer = post(origin, Some(source));
    assert!(
        matches!(&answer, Answer::Misconfigured(it) if it.contains("redirect")),
        "{answer:?}"
    );
    assert!(stolen.try_recv().is_err(), "nothing came there");
}

#[test]
fn a_token_never_goes_in_clear_to_another_machine() {
    let (source, _dir) = token();
    // RFC 5737: nobody has this address. Were it called, the answer would be another one.
    let answer = post("http://192.0.2.1/hook".to_owned(), Some(source));
    assert!(
        matches!(&answer, Answer::Misconfigured(it) if it.contains("https://")),
        "{answer:?}"
    );
}

#[test]
fn what_cannot_be_reached_is_tried_again_and_no_key_is_told() {
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let origin = format!("http://user:s3cret@{}", free.local_addr().unwrap());
    drop(free);
    let answer = post(format!("{origin}/services/k3y?x=k3y"), None);
    assert!(
        matches!(&answer, Answer::Later(it) if !it.contains("k3y") && !it.contains("s3cret")),
        "{answer:?}"
    );
    // A server that hangs up, and one that speaks no HTTP.
    for response in [String::new(), "220 mail.test ESMTP\r\n".to_owned()] {
        let (origin, _request) = serve_once(response);
        let answer = post(format!("{origin}/k3y"), None);
        assert!(
            matches!(&answer, Answer::Later(it) if !it.contains("k3y")),
            "{answer:?}"
        );
    }
}

#[test]
fn an_endless_answer_is_cut() {
    let (origin, _request) = serve_once(status("200 OK", &"x".repeat(3_000_000)));
    let answer = post(origin, None);
    assert!(
        matches!(&answer, Answer::Taken(it) if it.len() < 300),
        "{answer:?}"
    );
}

#[test]
fn an_alertmanager_is_called_by_its_api() {
    let (origin, request) = serve_once(status("200 OK", ""));
    let settings = AlertmanagerSettings {
        url: format!("{origin}/prefix/"),
    };
    let answer = HttpReceiver::alertmanager(&settings).deliver(&parcel());
    assert_eq!(answer, Answer::Taken("200".to_owned()));
    assert!(
        request
            .recv()
            .unwrap()
            .starts_with("POST /prefix/api/v2/alerts HTTP/1.1\r\n")
    );
}
