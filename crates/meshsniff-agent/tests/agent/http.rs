//! A small HTTP server and its clients, in network namespaces.

use crate::netns::Netns;
use crate::tools::{FOR_EVER, IP, can};
use nix::sys::socket::{Shutdown, shutdown};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::ops::Deref;
use std::os::fd::AsRawFd as _;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// A server that answers `/busy` with 503, `/bytes/N` with N bytes, `/never` not at all, and all
/// else with a word.
pub(crate) struct Server {
    listener: TcpListener,
    pub(crate) port: u16,
    unanswered: Receiver<()>,
}

impl Server {
    pub(crate) fn start(netns: &Netns) -> Self {
        Self::start_on(netns, 0)
    }

    pub(crate) fn start_on(netns: &Netns, port: u16) -> Self {
        let (sender, unanswered) = mpsc::channel();
        let listener = netns.inside(|| {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("a port");
            let accepting = listener.try_clone().expect("a listener");
            thread::spawn(move || {
                for stream in accepting.incoming() {
                    // Shut down: there will be no other.
                    let Ok(stream) = stream else { return };
                    let sender = sender.clone();
                    thread::spawn(move || serve(stream, &sender));
                }
            });
            listener
        });
        Self {
            port: listener.local_addr().expect("an address").port(),
            listener,
            unanswered,
        }
    }

    pub(crate) fn local(&self) -> SocketAddr {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn at(&self, address: [u8; 4]) -> SocketAddr {
        SocketAddrV4::new(address.into(), self.port).into()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ends the thread that accepts.
        let _ = shutdown(self.listener.as_raw_fd(), Shutdown::Both);
    }
}

/// Answers requests until the client closes.
fn serve(stream: TcpStream, unanswered: &Sender<()>) {
    let mut lines = BufReader::new(&stream).lines();
    while let Some(Ok(request)) = lines.next() {
        // The rest of the head. Requests have no bodies here.
        while lines
            .next()
            .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
        {}
        let path = request.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match path.strip_prefix("/bytes/") {
            Some(count) => ("200 OK", vec![b'x'; count.parse().expect("a number")]),
            None if path.starts_with("/busy") => ("503 Service Unavailable", b"busy".to_vec()),
            None if path.starts_with("/never") => {
                let _ = unanswered.send(());
                continue;
            }
            None => ("200 OK", b"hello".to_vec()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let response = [head.as_bytes(), &body].concat();
        if (&stream).write_all(&response).is_err() {
            return;
        }
    }
}

/// A network namespace with a server in it.
pub(crate) struct Pod {
    netns: Netns,
    pub(crate) server: Server,
}

impl Deref for Pod {
    type Target = Netns;

    fn deref(&self) -> &Netns {
        &self.netns
    }
}

impl Pod {
    /// `None` where there can be none; it is said.
    #[track_caller]
    pub(crate) fn new() -> Option<Self> {
        can(&[IP]).then(Self::start)
    }

    pub(crate) fn start() -> Self {
        let netns = Netns::new();
        let server = Server::start(&netns);
        Self { netns, server }
    }

    /// A connection inside.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self, self.server.local())
    }

    /// A connection inside with some requests, closed at its end.
    pub(crate) fn talk(&self, requests: usize) {
        talk(self, self.server.local(), requests);
    }
}

/// A connection.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(netns: &Netns, server: SocketAddr) -> Self {
        let stream = netns.inside(|| TcpStream::connect_timeout(&server, FOR_EVER));
        let stream = stream.expect("a connection");
        stream.set_read_timeout(Some(FOR_EVER)).expect("a timeout");
        Self(BufReader::new(stream))
    }

    /// Its own address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.get_ref().local_addr().expect("an address")
    }

    /// Sends a request.
    pub(crate) fn send(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
        let stream = self.0.get_mut();
        stream.write_all(request.as_bytes()).expect("a request");
    }

    /// Sends a request and returns the status of its response, once that is whole.
    pub(crate) fn get(&mut self, path: &str) -> u16 {
        self.send(path);
        self.receive()
    }

    /// The status of a response, once that is whole.
    pub(crate) fn receive(&mut self) -> u16 {
        let (mut status, mut length, mut line) = (0, 0, String::new());
        while line != "\r\n" {
            line.clear();
            assert_ne!(self.0.read_line(&mut line).expect("a head"), 0, "cut");
            let lower = line.to_ascii_lowercase();
            if let Some(count) = lower.strip_prefix("content-length: ") {
                length = count.trim().parse().expect("a length");
            } else if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest[..3].parse().expect("a status");
            }
        }
        self.0.read_exact(&mut vec![0; length]).expect("a body");
        status
    }

    /// Sends a request that is never answered, and closes once the server has it.
    pub(crate) fn give_up(mut self, server: &Server) {
        self.send("/never");
        let got = server.unanswered.recv_timeout(FOR_EVER);
        got.expect("the request at the server");
    }
}

/// A connection with some requests of different sizes, closed at its end.
pub(crate) fn talk(netns: &Netns, server: SocketAddr, requests: usize) {
    let mut client = Client::connect(netns, server);
    for number in 0..requests {
        let path = match number % 3 {
            0 => "/hello".to_owned(),
            1 => format!("/bytes/{}", number * 10_007),
            _ => "/busy".to_owned(),
        };
        client.get(&path);
    }
}
