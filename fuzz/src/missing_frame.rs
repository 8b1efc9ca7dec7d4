//! Two proper ends, and a capture of them that lacks one frame.
//!
//! The ends keep to TCP and to HTTP: they send what they have in order, answer requests in turn,
//! close in any phase, and a socket that is gone answers data with a RST. Whatever single frame the
//! capture lacks, no exchange may then be certain and wrong.

use super::choices::Choices;
use meshsniff::exchange::{Exchange, Verdict};
use meshsniff::packet::{Flags, LinkType};
use meshsniff::testing::{ACK, CLIENT, FIN, Packet, RST, SERVER, SYN, TcpSegment, analyse};
use std::collections::VecDeque;

const MAX_PACKETS: usize = 48;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    Not,
    /// It still reads.
    Half,
    /// Its socket is gone.
    Whole,
}

#[derive(Debug)]
struct End {
    next: u32,
    acked: u32,
    pending: VecDeque<u8>,
    closed: Closed,
}

#[derive(Debug)]
struct Talk {
    ends: [End; 2],
    packets: Vec<Packet>,
    nanos: i64,
    /// Bytes of the client's that are to cross before each request is whole, and its method.
    asked: VecDeque<(usize, u8)>,
    crossed: usize,
    enqueued: usize,
    requests: u8,
    responses: u16,
    /// The server announced no length: it must close to end its answer.
    must_close: bool,
    over: bool,
}

/// How the ends begin, then their steps.
pub fn check(data: &[u8]) {
    let packets = packets(data);
    let whole = analyse(&packets).exchanges;
    for lost in &packets {
        let rest = packets.iter().filter(|packet| packet.number != lost.number);
        for exchange in analyse(rest).exchanges.iter().filter(|x| x.doubt.is_none()) {
            let truths = truths(&whole, exchange);
            assert!(
                truths.iter().any(|truth| agrees(truth, exchange)),
                "without frame {}: certain of {:?}, but the whole capture shows {:?}",
                lost.number,
                claim(exchange),
                truths.into_iter().map(claim).collect::<Vec<_>>()
            );
        }
    }
}

/// Whether they say the same. What the whole capture leaves open cannot be contradicted; what is
/// not known of the request is no claim, nor is the status of a cut response.
fn agrees(truth: &Exchange, damaged: &Exchange) -> bool {
    let left_open = truth.doubt.is_some() && truth.verdict != Verdict::Unanswered;
    let same = truth.verdict == damaged.verdict
        && (truth.status == damaged.status
            || damaged.status.is_none() && damaged.verdict != Verdict::Ok)
        && (damaged.method.is_none() || damaged.method == truth.method)
        && (damaged.path.is_none() || damaged.path == truth.path);
    left_open || same
}

type Claim<'a> = (Verdict, Option<u16>, Option<&'a str>, Option<&'a str>);

fn claim(exchange: &Exchange) -> Claim<'_> {
    let (method, path) = (exchange.method.as_deref(), exchange.path.as_deref());
    (exchange.verdict, exchange.status, method, path)
}

/// What the whole capture shows of the same request: the one for the same path, or, where the path
/// is lost, those that began in the same frame.
fn truths<'a>(whole: &'a [Exchange], damaged: &Exchange) -> Vec<&'a Exchange> {
    let start = damaged.events.request_start.frame;
    let same = |x: &&Exchange| match &damaged.path {
        Some(path) => x.path.as_ref() == Some(path),
        None => x.events.request_start.frame == start,
    };
    whole.iter().filter(same).collect()
}

/// The packets of `data`.
pub fn packets(data: &[u8]) -> Vec<Packet> {
    let mut choices = Choices(data);
    let end = |next| End {
        next,
        acked: 0,
        pending: VecDeque::new(),
        closed: Closed::Not,
    };
    let mut talk = Talk {
        ends: [end(u32::MAX - 50), end(1_000)],
        packets: Vec::new(),
        nanos: 1_700_000_000_000_000_000,
        asked: VecDeque::new(),
        crossed: 0,
        enqueued: 0,
        requests: 0,
        responses: 0,
        must_close: false,
        over: false,
    };
    talk.send(0, SYN, &[], true);
    talk.send(1, SYN.with(ACK), &[], true);
    talk.send(0, ACK, &[], true);
    while let Some(step) = choices.another() {
        if talk.over || talk.packets.len() >= MAX_PACKETS {
            break;
        }
        talk.step(step, &mut choices);
    }
    talk.packets
}

impl Talk {
    /// One packet; `aware`: it acknowledges all there is, rather than what its sender did before.
    fn send(&mut self, own: usize, flags: Flags, payload: &[u8], aware: bool) {
        if aware {
            self.ends[own].acked = self.ends[1 - own].next;
        }
        let ends = [CLIENT, SERVER];
        let segment = TcpSegment {
            from: ends[own],
            to: ends[1 - own],
            seq: self.ends[own].next,
            ack: if flags.has(ACK) {
                self.ends[own].acked
            } else {
                0
            },
            flags,
            window: 64_000,
            id: self.packets.len() as u16,
            options: &[],
            payload,
        };
        let extra = u32::from(flags.any(SYN.with(FIN)));
        self.ends[own].next = segment.seq.wrapping_add(payload.len() as u32 + extra);
        self.nanos += 20_000;
        let number = self.packets.len() as u64 + 1;
        let packet = Packet::new(number, self.nanos, LinkType::Raw, segment.ip());
        self.packets.push(packet);
        if own == 0 {
            self.crossed += payload.len();
        }
    }

    fn step(&mut self, step: u8, choices: &mut Choices<'_>) {
        // The low bit decides whether the packet knows of everything the other end sent.
        let aware = step & 1 == 0;
        let own = usize::from(step & 2 != 0);
        match step >> 2 & 0x0f {
            0..=2 => self.ask(choices.byte()),
            3..=5 => self.answer(choices.byte()),
            6..=9 => self.say(own, usize::MAX, aware),
            10..=11 => self.say(own, usize::from(choices.byte()), aware),
            12 if self.ends[own].closed != Closed::Whole => self.send(own, ACK, &[], true),
            13 => self.close(own, aware, choices.byte() & 1 != 0),
            14 if self.ends[own].closed != Closed::Whole && choices.byte() & 3 == 0 => {
                // A RST that crosses a FIN leaves no trace of it to whoever missed it.
                let aware = aware || self.ends[1 - own].closed != Closed::Not;
                self.send(own, RST.with(ACK), &[], aware);
                self.over = true;
            }
            _ => self.nanos += i64::from(choices.byte()) * 10_000_000,
        }
    }

    /// The client has another request to send.
    fn ask(&mut self, choice: u8) {
        if self.ends[0].closed != Closed::Not {
            return;
        }
        self.requests += 1;
        let n = self.requests;
        let (method, request) = match choice % 6 {
            0..=2 => ("GET", format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")),
            3 => (
                "POST",
                format!("POST /{n} HTTP/1.1\r\nContent-Length: 8\r\n\r\n01234567"),
            ),
            4 => ("HEAD", format!("HEAD /{n} HTTP/1.1\r\n\r\n")),
            _ => (
                "PUT",
                format!(
                    "PUT /{n} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
                ),
            ),
        };
        self.ends[0].pending.extend(request.bytes());
        self.enqueued += request.len();
        self.asked.push_back((self.enqueued, method.as_bytes()[0]));
    }

    /// The server answers the next request that it has whole.
    fn answer(&mut self, choice: u8) {
        let whole = self
            .asked
            .front()
            .is_some_and(|&(upto, _)| upto <= self.crossed);
        if !whole || self.ends[1].closed != Closed::Not || self.must_close {
            return;
        }
        let to_head = self
            .asked
            .front()
            .is_some_and(|&(_, method)| method == b'H');
        // Each its own, and none that has no body, as 204 has not.
        let status = 210 + self.responses;
        if choice & 0x80 != 0 {
            self.ends[1]
                .pending
                .extend(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.asked.pop_front();
        self.responses += 1;
        let (head, body) = match choice % 5 {
            0 | 1 => ("Content-Length: 6\r\n", "answer"),
            2 => (
                "Transfer-Encoding: chunked\r\n",
                "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n",
            ),
            3 => ("Content-Length: 0\r\n", ""),
            _ => ("Connection: close\r\n", "until the close"),
        };
        self.must_close = choice % 5 == 4;
        let head = format!("HTTP/1.1 {status} X\r\n{head}\r\n");
        self.ends[1].pending.extend(head.bytes());
        if !to_head {
            self.ends[1].pending.extend(body.bytes());
        }
    }

    /// An end sends of what it has.
    fn say(&mut self, own: usize, most: usize, aware: bool) {
        let count = most.clamp(1, 1_400).min(self.ends[own].pending.len());
        if count == 0 || self.ends[own].closed != Closed::Not {
            return;
        }
        let payload: Vec<u8> = self.ends[own].pending.drain(..count).collect();
        self.send(own, ACK, &payload, aware);
        self.meet(own);
    }

    /// An end sends its FIN, with the last of what it has if `with_data`, and lets go of the rest.
    fn close(&mut self, own: usize, aware: bool, half: bool) {
        if self.ends[own].closed != Closed::Not {
            return;
        }
        self.ends[own].pending.clear();
        self.send(own, FIN.with(ACK), &[], aware);
        self.ends[own].closed = if half { Closed::Half } else { Closed::Whole };
        if self.ends[1 - own].closed != Closed::Not {
            self.send(1 - own, ACK, &[], true);
        }
    }

    /// Data that meets a socket that is gone is answered with a RST, and that is the end.
    fn meet(&mut self, from: usize) {
        if self.ends[1 - from].closed == Closed::Whole {
            self.send(1 - from, RST, &[], false);
            self.over = true;
        }
    }
}
