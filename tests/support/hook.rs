//! A web server that takes what is posted to it, as a webhook does.
//!
//! In: requests. Out: their bodies, in the order of arrival. Invariant: a request that ends too early does not count.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// A running server.
pub(crate) struct Hook {
    pub(crate) address: SocketAddr,
    pub(crate) bodies: Receiver<String>,
}

impl Hook {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, bodies) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                // A client that is killed in the middle is what the tests are about.
                thread::spawn(move || drop(serve(stream, &sender)));
            }
        });
        Self { address, bodies }
    }
}

fn serve(stream: TcpStream, bodies: &Sender<String>) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        lines.read_exact(&mut body)?;
        // The test may have seen enough.
        let _ = bodies.send(String::from_utf8_lossy(&body).into_owned());
        out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}
