//! Behaviours one by one, each built packet by packet.
//!
//! | here | holds |
//! |---|---|
//! | `answers` | answers: how many, of which kind, and to what |
//! | `closes` | closes by either side, in every phase of an exchange |
//! | `connecting` | connections that open late, twice or not at all |
//! | `gaps_in_the_capture` | what the capture lacks: a direction, the beginning, the end, bytes |
//! | `giving_up` | a client that gives up, and what only looks like it |
//! | `segments` | segments that come again, wait or carry nothing |

mod answers;
mod closes;
mod connecting;
mod gaps_in_the_capture;
mod giving_up;
mod segments;

use meshsniff::exchange::{Doubt, Exchange, Verdict};
use meshsniff::testing::End::{Client, Server};
use meshsniff::testing::Talk;

const GET: &[u8] = b"GET /items HTTP/1.1\r\nHost: catalog\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn verdict(exchange: &Exchange) -> (Verdict, Option<u16>, Option<Doubt>) {
    (exchange.verdict, exchange.status, exchange.doubt)
}

fn ms(span: Option<meshsniff::time::Span>) -> f64 {
    span.expect("a gap").as_millis()
}

/// The tutorial's case: request, ACK, FIN at the timeout, an answer too late, RST.
fn gave_up(name: &'static str) -> Talk {
    let mut talk = Talk::opened(name);
    talk.say(Client, GET)
        .ack(Server)
        .wait(501.66)
        .fin(Client)
        .ack(Server);
    talk.wait(1_500.0).say(Server, OK).bare_rst(Client);
    talk
}
