//! Conversations by the dozen, made by chance: keep-alive exchanges of every framing, in segments
//! cut anywhere, some of them out of order or sent again. The same ones at every run.

use meshsniff::packet::Flags;
use meshsniff::testing::End::{self, Client, Server};
use meshsniff::testing::{ACK, Packet, Talk};

const HOW_MANY: u64 = 60;

/// Every conversation's name and packets.
pub(crate) fn all() -> Vec<(String, Vec<Packet>)> {
    (1..=HOW_MANY)
        .map(|seed| (format!("generated-{seed}"), conversation(seed)))
        .collect()
}

/// A small generator of numbers (xorshift64*); chance enough to cut messages.
struct Dice(u64);

impl Dice {
    /// Any number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        high as usize % sides
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.roll(times) == 0
    }
}

fn conversation(seed: u64) -> Vec<Packet> {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut talk = Talk::opened("generated");
    for nth in 0..=dice.roll(6) {
        let (request, method) = request(&mut dice, nth);
        send(&mut talk, &mut dice, Client, &request);
        if dice.one_in(2) {
            talk.ack(Server);
        }
        talk.wait(dice.roll(30) as f64);
        let response = response(&mut dice, method);
        send(&mut talk, &mut dice, Server, &response);
        if dice.one_in(2) {
            talk.ack(Client);
        }
        talk.wait(dice.roll(500) as f64);
    }
    match dice.roll(4) {
        0 => talk.fin(Client).ack(Server).fin(Server).ack(Client),
        1 => talk.fin(Server).ack(Client).fin(Client).ack(Server),
        2 => talk.rst(Client),
        _ => talk.ack(Client),
    };
    talk.packets().to_vec()
}

fn body(dice: &mut Dice) -> Vec<u8> {
    (0..=dice.roll(2_000))
        .map(|at| b'a' + (at % 26) as u8)
        .collect()
}

/// Header fields and body, of one framing or another.
fn framed(dice: &mut Dice, head: &str) -> Vec<u8> {
    let mut message = head.as_bytes().to_vec();
    let body = body(dice);
    if dice.one_in(2) {
        message.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
        message.extend(body);
        return message;
    }
    message.extend(b"Transfer-Encoding: chunked\r\n\r\n");
    for chunk in body.chunks(1 + dice.roll(900)) {
        message.extend(format!("{:x}\r\n", chunk.len()).bytes());
        message.extend(chunk);
        message.extend(b"\r\n");
    }
    message.extend(b"0\r\n\r\n");
    message
}

fn request(dice: &mut Dice, nth: usize) -> (Vec<u8>, &'static str) {
    let method = ["GET", "GET", "HEAD", "POST", "PUT", "DELETE"][dice.roll(6)];
    let head = format!("{method} /items/{nth}?by=chance HTTP/1.1\r\nHost: catalog\r\n");
    let message = match method {
        "POST" | "PUT" => framed(dice, &head),
        _ => format!("{head}\r\n").into_bytes(),
    };
    (message, method)
}

fn response(dice: &mut Dice, method: &str) -> Vec<u8> {
    if method == "HEAD" {
        return b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n".to_vec();
    }
    match dice.roll(6) {
        0 => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        1 => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 900\r\n\r\n".to_vec(),
        2 => framed(dice, "HTTP/1.1 503 Service Unavailable\r\n"),
        3 => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        _ => framed(dice, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"),
    }
}

/// A message in one to five segments. The last of them keeps its place: tshark shows a message in
/// the frame that fills its last hole, and our events are those of its last byte.
fn send(talk: &mut Talk, dice: &mut Dice, from: End, message: &[u8]) {
    let mut cuts: Vec<usize> = (0..dice.roll(5))
        .map(|_| dice.roll(message.len()))
        .collect();
    cuts.extend([0, message.len()]);
    cuts.sort_unstable();
    cuts.dedup();
    let mut segments: Vec<_> = cuts.windows(2).map(|cut| (cut[0], cut[1])).collect();
    if segments.len() > 2 && dice.one_in(4) {
        segments.swap(0, 1);
    }
    let (seq, ack) = (talk.next_seq(from), talk.next_seq(other(from)));
    let flags = ACK.with(Flags::PSH);
    let first = segments[0];
    let raw = |talk: &mut Talk, (start, end): (usize, usize)| {
        let seq = seq.wrapping_add(start as u32);
        talk.raw(from, flags, seq, ack, &message[start..end]);
    };
    for segment in segments {
        raw(talk, segment);
        if dice.one_in(8) {
            talk.wait(pause(dice)).again();
        }
    }
    if dice.one_in(8) {
        talk.wait(pause(dice));
        raw(talk, first);
    }
    talk.uncaptured(from, message.len() as u32);
}

/// Milliseconds before a segment is sent again: at once, as if it had only been overtaken, or after
/// a timeout.
fn pause(dice: &mut Dice) -> f64 {
    if dice.one_in(2) { 0.0 } else { 210.0 }
}

fn other(end: End) -> End {
    match end {
        Client => Server,
        Server => Client,
    }
}
