//! A mail server that does what a test tells it: the right thing, the wrong code, nothing, or one byte at a time.
//!
//! In: replies by command. Out: all that clients sent. Invariant: each connection has a thread of its own, which ends
//! when the client goes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the server does when a command comes.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Says this; several lines are separated by `\r\n`.
    Line(String),
    /// Says this, a byte at a time, forever over again.
    Drip(&'static str, Duration),
    /// Nothing, until the client goes.
    Silence,
    /// Closes the connection.
    Close,
}

impl From<&str> for Reply {
    fn from(line: &str) -> Self {
        Reply::Line(line.to_owned())
    }
}

/// What the right thing is. An empty command is the connection itself, a dot the end of a letter.
const GOOD: &[(&str, &str)] = &[
    ("", "220 mail.test ESMTP"),
    ("EHLO", "250-mail.test\r\n250 8BITMIME"),
    ("AUTH", "235 2.7.0 welcome"),
    ("MAIL", "250 2.1.0 sender ok"),
    ("RCPT", "250 2.1.5 recipient ok"),
    ("DATA", "354 go on"),
    (".", "250 2.0.0 queued as 42"),
    ("QUIT", "221 bye"),
];

type Replies = Arc<Vec<(String, Reply)>>;

/// A running server.
pub(crate) struct SmtpServer {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl SmtpServer {
    /// Starts a server that does the right thing but for these commands (by the beginning of the line).
    pub(crate) fn start(odd: &[(&str, Reply)]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
        let good = GOOD.iter().map(|it| (it.0.to_owned(), Reply::from(it.1)));
        let odd = odd.iter().map(|it| (it.0.to_owned(), it.1.clone()));
        let replies: Replies = Arc::new(odd.chain(good).collect());
        let all = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (replies, heard) = (Arc::clone(&replies), Arc::clone(&all));
                // A client that goes away in the middle is what many a test is about.
                thread::spawn(move || drop(serve(stream, &replies, &heard)));
            }
        });
        Self { address, heard }
    }

    /// All that clients have sent.
    pub(crate) fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

fn serve(stream: TcpStream, replies: &Replies, heard: &Mutex<Vec<u8>>) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream);
    let mut is_letter = false;
    let mut command = String::new();
    loop {
        if !is_letter {
            match reply(replies, &command) {
                Reply::Line(text) => write!(out, "{text}\r\n")?,
                Reply::Drip(text, every) => drip(&mut out, text, every)?,
                Reply::Silence => return drain(&mut lines, heard),
                Reply::Close => return Ok(()),
            }
            is_letter = command.starts_with("DATA")
                && matches!(reply(replies, "DATA"), Reply::Line(it) if it.starts_with('3'));
        }
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        heard.lock().unwrap().extend_from_slice(&line);
        if is_letter && line != b".\r\n" {
            continue;
        }
        is_letter = false;
        command = String::from_utf8_lossy(&line).into_owned();
    }
}

fn reply(replies: &Replies, command: &str) -> Reply {
    let is_it = |it: &&(String, Reply)| match it.0.as_str() {
        "" => command.is_empty(),
        start => command.starts_with(start),
    };
    replies
        .iter()
        .find(is_it)
        .map_or(Reply::from("500 what?"), |it| it.1.clone())
}

/// One byte, a pause, the next byte; never an end of line.
fn drip(out: &mut TcpStream, text: &str, every: Duration) -> std::io::Result<()> {
    let (_keep, clock) = channel::<()>();
    for byte in text.bytes().cycle() {
        out.write_all(&[byte])?;
        // Nobody sends: this is the pause.
        let _ = clock.recv_timeout(every);
    }
    Ok(())
}

fn drain(lines: &mut impl Read, heard: &Mutex<Vec<u8>>) -> std::io::Result<()> {
    let mut buffer = [0; 512];
    loop {
        let n = lines.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        heard.lock().unwrap().extend_from_slice(&buffer[..n]);
    }
}
