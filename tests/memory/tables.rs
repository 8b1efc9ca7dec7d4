//! Each table of what is known of several connections together, and of what is told, exceeded by
//! itself.

use super::{Attack, Attacked, End, SERVER};
use meshsniff::kernel::{Answer, Listener, Socket};
use meshsniff::time::Timestamp;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A client of a number, each with an address of its own.
const fn client(number: u32) -> End {
    (0x10_0000 + number, 40_000)
}

fn get(path: &str, more: &str) -> Vec<u8> {
    format!("GET /{path} HTTP/1.1\r\nHost: a\r\n{more}\r\n").into_bytes()
}

/// A query of a name for its A record, or an answer that there is none.
fn message(id: u16, name: &str, answers: bool) -> Vec<u8> {
    let mut message = Vec::from(id.to_be_bytes());
    message.extend(if answers { [0x81, 0x83] } else { [1, 0] });
    message.extend([0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// Exchanges of another client each, so many of them, with what `request` makes of their numbers.
fn many(it: &mut Attacked, count: u32, answer: &[u8], request: impl Fn(u32) -> (End, Vec<u8>)) {
    for number in 0..count {
        let (server, request) = request(number);
        it.exchange(client(number), server, &request, answer);
    }
}

/// Attacks by name.
pub(super) const ATTACKS: [(&str, Attack); 11] = [
    ("connections that are over", |it| {
        many(it, 100_000, OK, |_| (SERVER, get("", "")));
    }),
    ("routes that nobody asked for before", |it| {
        many(it, 50_000, OK, |number| {
            (SERVER, get(&format!("{}{number}", "p".repeat(1_200)), ""))
        });
    }),
    ("servers that nobody asked before", |it| {
        many(it, 50_000, OK, |number| {
            ((0x20_0000 + number, 80), get("", ""))
        });
    }),
    ("request ids that are never used again", |it| {
        many(it, 50_000, OK, |number| {
            let id = format!("x-request-id: {}{number}\r\n", "i".repeat(1_000));
            (SERVER, get("", &id))
        });
    }),
    ("answers that fail on ever new routes", |it| {
        let failed = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
        many(it, 50_000, failed, |number| {
            (SERVER, get(&format!("{}{number}", "p".repeat(1_200)), ""))
        });
    }),
    ("callers that leave, on ever new servers", |it| {
        many(it, 50_000, b"", |number| {
            let caller = format!("x-forwarded-client-cert: URI=spiffe://{number}\r\n");
            ((0x20_0000 + number, 80), get(&number.to_string(), &caller))
        });
    }),
    ("answers that proxies made", |it| {
        let body = "upstream connect error or disconnect/reset before headers. reset reason: \
                    connection termination";
        let answer = format!(
            "HTTP/1.1 503 No\r\nserver: envoy\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        many(it, 30_000, answer.as_bytes(), |number| {
            ((0x20_0000 + number, 80), get(&number.to_string(), ""))
        });
    }),
    ("names that nobody looked up before", |it| {
        for number in 0..150_000_u32 {
            let name = format!("{}.{number}.example", "n".repeat(60));
            let from = (client(number).0, 30_000 + (number % 30_000) as u16);
            let id = number as u16;
            it.datagram(from, (3, 53), &message(id, &name, false));
            it.datagram((3, 53), from, &message(id, &name, true));
        }
    }),
    ("names that nobody answers for", |it| {
        for number in 0..150_000_u32 {
            let name = format!("{}.{number}.example", "n".repeat(60));
            let from = (client(number % 7).0, 30_000 + (number % 30_000) as u16);
            it.datagram(from, (3, 53), &message(number as u16, &name, false));
        }
    }),
    ("servers that end", |it| {
        for number in 0..20_000_u32 {
            let server = (0x20_0000 + number, 80);
            for one in 0..3 {
                let client = client(number * 4 + one);
                it.open_to(client, server);
                it.send(server, client, 1, 1, super::FIN_ACK, b"");
            }
            let late = client(number * 4 + 3);
            it.send(late, server, 7, 0, super::SYN, b"");
            it.send(server, late, 0, 8, super::RST | super::ACK, b"");
        }
    }),
    ("requests that the kernel is asked about", |it| {
        let answer = Answer {
            server: Some(Socket::default()),
            unread: 25,
            accepted: Some(false),
            listener: Some(Listener {
                waiting: 7,
                most: 6,
            }),
            ..Answer::default()
        };
        for number in 0..60_000 {
            it.open(client(number));
            it.say(client(number), 1, &get("", ""));
            let now = Timestamp::from_nanos(it.frames as i64 * 10_000);
            it.analyzer
                .ask(now, &mut |_, _| Some(Answer { at: now, ..answer }));
        }
    }),
];
