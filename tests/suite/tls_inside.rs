//! What is inside of TLS is judged as if it were not encrypted: the same talk, in plain text and in
//! records whose keys are known, has the same verdicts.

use crate::cli::keys::key_log;
use crate::corpus;
use meshsniff::exchange::{Doubt, Exchange, Side, Verdict};
use meshsniff::testing::{
    End::{self, Client, Server},
    Talk, TlsSession, analyse, keys,
};

/// What carries a talk.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Carrier {
    Plain,
    Tls12,
    Tls13,
}

/// A talk in plain text or in records.
struct Inside {
    talk: Talk,
    session: Option<TlsSession>,
}

const fn side(end: End) -> Side {
    match end {
        Client => Side::Client,
        Server => Side::Server,
    }
}

impl Inside {
    fn new(carrier: Carrier) -> Self {
        let mut talk = Talk::opened("inside");
        let mut session = (carrier != Carrier::Plain).then(|| {
            let session = TlsSession::new(carrier == Carrier::Tls13);
            keys().add(session.log(true).as_bytes());
            if carrier == Carrier::Tls13 {
                keys().add(session.handshake_log().as_bytes());
            }
            session
        });
        if let Some(session) = &mut session {
            for end in [Client, Server] {
                talk.say(end, &session.hello(side(end)));
            }
            if carrier == Carrier::Tls12 {
                for end in [Client, Server] {
                    talk.say(end, &session.change_cipher());
                }
            }
            for end in [Server, Client] {
                talk.say(end, &session.finished(side(end)));
            }
            talk.ack(Client);
        }
        Self { talk, session }
    }

    /// The bytes that carry these.
    fn sealed(&mut self, end: End, bytes: &[u8]) -> Vec<u8> {
        match &mut self.session {
            Some(session) => session.data(side(end), bytes),
            None => bytes.to_vec(),
        }
    }

    fn say(&mut self, end: End, bytes: &[u8]) -> &mut Self {
        let bytes = self.sealed(end, bytes);
        self.talk.say(end, &bytes);
        self
    }

    /// All but the last `left` bytes of what carries these.
    fn begin(&mut self, end: End, bytes: &[u8], left: usize) -> &mut Self {
        let bytes = self.sealed(end, bytes);
        self.talk.say(end, &bytes[..bytes.len() - left]);
        self
    }

    /// Says that it closes. Only the server's FIN follows, unless nothing but a FIN says so.
    fn leave(&mut self, end: End) -> &mut Self {
        match &mut self.session {
            Some(session) => {
                let alert = session.alert(side(end), CLOSE_NOTIFY);
                self.talk.say(end, &alert);
                if end == Server {
                    self.talk.fin(Server);
                }
            }
            None => {
                self.talk.fin(end);
            }
        }
        self
    }

    /// The FIN of a side that has said that it closes.
    fn end(&mut self, end: End) -> &mut Self {
        match self.session {
            Some(_) => self.talk.fin(end),
            None => self.talk.ack(end),
        };
        self
    }

    /// What the capture lacks.
    fn lose(&mut self, end: End, bytes: &[u8]) -> &mut Self {
        let length = self.sealed(end, bytes).len();
        self.talk.uncaptured(end, length as u32);
        self
    }

    fn seen(&self) -> Vec<Exchange> {
        analyse(self.talk.packets()).exchanges
    }
}

const CLOSE_NOTIFY: u8 = 0;
const GET: &[u8] = b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n";

/// What became of the exchanges of a talk, however it is carried.
fn judged(talk: impl Fn(&mut Inside)) -> Vec<(Verdict, Option<Doubt>, Option<u16>)> {
    let each = [Carrier::Plain, Carrier::Tls12, Carrier::Tls13].map(|carrier| {
        let mut inside = Inside::new(carrier);
        talk(&mut inside);
        let exchanges = inside.seen();
        let judged = exchanges
            .iter()
            .map(|one| (one.verdict, one.doubt, one.status));
        (carrier, judged.collect::<Vec<_>>())
    });
    for (carrier, judged) in &each {
        assert_eq!(judged, &each[0].1, "{carrier:?} and plain text");
    }
    each[0].1.clone()
}

#[test]
fn answers_and_those_who_leave() {
    let answered = judged(|it| {
        it.say(Client, GET)
            .say(Server, HEAD)
            .say(Server, &[b'a'; 400]);
        it.talk.ack(Client).fin(Client).fin(Server).ack(Client);
    });
    assert_eq!(answered, [(Verdict::Ok, None, Some(200))]);
    let left = judged(|it| {
        it.say(Client, GET)
            .talk
            .ack(Server)
            .wait(500.0)
            .fin(Client)
            .ack(Server);
    });
    assert_eq!(left, [(Verdict::ClientGaveUp, None, None)]);
    let closed = judged(|it| {
        it.say(Client, GET)
            .talk
            .ack(Server)
            .fin(Server)
            .ack(Client)
            .fin(Client);
    });
    assert_eq!(closed, [(Verdict::ServerClosedUnanswered, None, None)]);
}

/// Whoever hears that the other leaves may have its FIN out first.
#[test]
fn who_says_first_that_it_closes_leaves_first() {
    let left = judged(|it| {
        it.say(Client, GET).talk.ack(Server).wait(500.0);
        it.leave(Client).leave(Server).end(Client);
    });
    assert_eq!(left, [(Verdict::ClientGaveUp, None, None)]);
    let closed = judged(|it| {
        it.say(Client, GET).talk.ack(Server).wait(500.0);
        it.leave(Server).leave(Client).end(Client);
    });
    assert_eq!(closed, [(Verdict::ServerClosedUnanswered, None, None)]);
}

/// Two bytes are as long as a farewell, and no farewell ends what still comes.
#[test]
fn what_is_no_farewell() {
    let post = b"POST /p HTTP/1.1\r\nContent-Length: 2\r\n\r\n";
    let closed = judged(|it| {
        it.say(Client, post).talk.wait(50.0);
        it.say(Client, b"{}")
            .talk
            .ack(Server)
            .fin(Server)
            .ack(Client)
            .fin(Client);
    });
    assert_eq!(closed, [(Verdict::ServerClosedUnanswered, None, None)]);
    let until_close = b"HTTP/1.1 200 OK\r\n\r\nall";
    let answered = judged(|it| {
        it.say(Client, post)
            .say(Client, b"{}")
            .say(Server, until_close);
        it.leave(Server).leave(Client).end(Client);
    });
    assert_eq!(answered, [(Verdict::Ok, None, Some(200))]);
    // Who says that it sends no more waits for the answer.
    let half_closed = judged(|it| {
        it.say(Client, GET);
        it.leave(Client).talk.ack(Server);
        it.say(Server, until_close).leave(Server);
        it.talk.ack(Client);
        it.end(Client);
    });
    assert_eq!(half_closed, [(Verdict::Ok, None, Some(200))]);
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc";
    let left = judged(|it| {
        it.say(Client, GET)
            .say(Server, chunked)
            .say(Server, b"\r\n");
        it.talk
            .ack(Client)
            .wait(2.0)
            .fin(Client)
            .ack(Server)
            .fin(Server);
    });
    assert_eq!(left, [(Verdict::ClientGaveUpMidResponse, None, Some(200))]);
    // Far away, the server's answer to it is late.
    let far = judged(|it| {
        it.say(Client, GET).talk.ack(Server).wait(5000.0);
        it.leave(Client).talk.wait(60.0);
        it.leave(Server).end(Client);
    });
    assert_eq!(far, [(Verdict::ClientGaveUp, None, None)]);
}

#[test]
fn who_leaves_inside_a_record_leaves_inside_the_message() {
    let body = [b'a'; 400];
    let by_fin = judged(|it| {
        it.say(Client, GET)
            .say(Server, HEAD)
            .begin(Server, &body, 60);
        it.talk.fin(Server).ack(Client).fin(Client).ack(Server);
    });
    assert_eq!(
        by_fin,
        [(Verdict::ServerTruncatedResponse, None, Some(200))]
    );
    let by_rst = judged(|it| {
        it.say(Client, GET)
            .say(Server, HEAD)
            .begin(Server, &body, 60);
        it.talk.rst(Server);
    });
    assert_eq!(
        by_rst,
        [(Verdict::ServerTruncatedResponse, None, Some(200))]
    );
    // Bytes of a tag are missing, too, or of the body.
    for left in [5, 60] {
        let by_client = judged(|it| {
            it.say(Client, GET)
                .say(Server, HEAD)
                .begin(Server, &body, left);
            it.talk.ack(Client).rst(Client);
        });
        let gave_up = Verdict::ClientGaveUpMidResponse;
        assert_eq!(by_client, [(gave_up, None, Some(200))], "{left} left");
    }
    let post = b"POST /p HTTP/1.1\r\nContent-Length: 400\r\n\r\n";
    let aborted = judged(|it| {
        it.say(Client, post).begin(Client, &body, 60);
        it.talk.fin(Client).ack(Server).fin(Server);
    });
    assert_eq!(aborted, [(Verdict::ClientAbortedRequest, None, None)]);
}

#[test]
fn an_answer_that_the_connections_end_ends() {
    let ended = judged(|it| {
        it.say(Client, GET).say(Server, b"HTTP/1.1 200 OK\r\n\r\n");
        it.say(Server, b"to the end");
        it.talk
            .ack(Client)
            .fin(Server)
            .ack(Client)
            .fin(Client)
            .ack(Server);
    });
    assert_eq!(ended, [(Verdict::Ok, None, Some(200))]);
}

#[test]
fn what_was_lost_before_anything_is_not_forgotten() {
    for carrier in [Carrier::Plain, Carrier::Tls12, Carrier::Tls13] {
        let mut it = Inside::new(carrier);
        let second = b"GET /two HTTP/1.1\r\nHost: a\r\n\r\n";
        it.lose(Client, GET).say(Client, second).talk.ack(Server);
        it.say(Server, b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
        it.say(Server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        it.talk.ack(Client);
        for one in it.seen() {
            assert!(
                one.doubt.is_some() || one.status == Some(200),
                "{carrier:?}: {one:?}"
            );
        }
    }
}

#[test]
fn keys_of_one_side_read_neither() {
    let mut it = Inside::new(Carrier::Tls13);
    let session = TlsSession::new(true);
    let log = session.log(true);
    let (of_client, _) = log.split_once('\n').expect("two lines");
    let keys = meshsniff::protocol::tls::Keys::default();
    keys.add(of_client.as_bytes());
    it.say(Client, GET).say(Server, HEAD);
    let mut analyzer = meshsniff::Analyzer::new(meshsniff::Options {
        keys: Some(std::sync::Arc::new(keys)),
        ..meshsniff::Options::default()
    });
    let mut seen = meshsniff::testing::Seen::default();
    for packet in it.talk.packets() {
        analyzer.frame(&packet.frame(), &mut seen);
    }
    analyzer.finish(&mut seen);
    assert!(seen.exchanges.is_empty());
    let tls = seen.connections[0].tls.as_deref().expect("TLS");
    let why = meshsniff::protocol::tls::NotRead::NoKeys;
    assert_eq!((tls.keys, tls.not_read), (false, Some(why)));
}

/// Whenever the keys of a session with 0-RTT are logged, what was held for them is read, or nothing.
#[test]
fn early_data_whose_keys_are_logged_late() {
    let packets = corpus::packets(&corpus::own_folder().join("tls-keys.pcapng"));
    let early = |one: &&Exchange| one.server.port == 8446;
    let whole = analyse(&packets).exchanges;
    let last = whole.iter().rfind(early).expect("0-RTT");
    let first = last.events.request_start.frame.number();
    let of_it: Vec<_> = packets
        .iter()
        .filter(|packet| packet.number + 8 > first)
        .collect();
    let mut read = 0;
    for known in 0..20 {
        let log = tempfile::NamedTempFile::new().expect("a file");
        let keys = meshsniff::protocol::tls::Keys::default();
        keys.open(log.path()).expect("a log");
        let mut analyzer = meshsniff::Analyzer::new(meshsniff::Options {
            keys: Some(std::sync::Arc::new(keys)),
            ..meshsniff::Options::default()
        });
        let mut seen = meshsniff::testing::Seen::default();
        for (number, packet) in of_it.iter().enumerate() {
            if number == known {
                std::fs::write(log.path(), key_log()).expect("the keys");
            }
            analyzer.frame(&packet.frame(), &mut seen);
        }
        analyzer.finish(&mut seen);
        for one in seen.exchanges.iter().filter(early) {
            assert_eq!(
                (one.verdict, one.status),
                (Verdict::Ok, Some(200)),
                "{known}"
            );
            read += 1;
        }
    }
    assert!(read > 5, "{read}");
}
