//! Whole conversations of many kinds, each a good capture: what the tests that damage captures
//! start from.

use meshsniff::testing::End::{Client, Server};
use meshsniff::testing::{ACK, FIN, Packet, RST, SYN, Talk};

const GET: &[u8] = b"GET /items HTTP/1.1\r\nHost: catalog\r\n\r\n";
const OTHER: &[u8] = b"GET /other HTTP/1.1\r\nHost: catalog\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const UNTIL_CLOSE: &[u8] = b"HTTP/1.0 200 OK\r\n\r\n";

fn goodbye(talk: &mut Talk) {
    talk.fin(Client).ack(Server).fin(Server).ack(Client);
}

/// The server closes first.
fn hangs_up(talk: &mut Talk) {
    talk.fin(Server).ack(Client).fin(Client).ack(Server);
}

type Build = fn(&mut Talk);

const AFTER_HANDSHAKE: &[(&str, Build)] = &[
    ("keep-alive", |t| {
        for request in [GET, OTHER, GET] {
            t.say(Client, request)
                .ack(Server)
                .wait(2.0)
                .say(Server, OK)
                .ack(Client)
                .wait(9.0);
        }
        goodbye(t);
    }),
    ("keep-alive-without-bare-acks", |t| {
        t.say(Client, GET)
            .say(Server, OK)
            .say(Client, OTHER)
            .say(Server, NOT_FOUND)
            .say(Client, GET)
            .say(Server, OK);
        goodbye(t);
    }),
    ("gave-up-late-answer", |t| {
        t.say(Client, GET)
            .ack(Server)
            .wait(500.0)
            .fin(Client)
            .ack(Server);
        t.wait(1_500.0).say(Server, OK).bare_rst(Client);
    }),
    ("gave-up-server-closes", |t| {
        t.say(Client, GET)
            .ack(Server)
            .wait(500.0)
            .fin(Client)
            .ack(Server)
            .fin(Server)
            .ack(Client);
    }),
    ("gave-up-server-fin-acks", |t| {
        t.say(Client, GET)
            .ack(Server)
            .wait(500.0)
            .fin(Client)
            .fin(Server)
            .ack(Client);
    }),
    ("gave-up-by-rst", |t| {
        t.say(Client, GET).ack(Server).wait(500.0).rst(Client);
    }),
    ("gave-up-after-good-ones", |t| {
        t.say(Client, GET).say(Server, OK).ack(Client).wait(9.0);
        t.say(Client, OTHER)
            .ack(Server)
            .wait(500.0)
            .fin(Client)
            .ack(Server);
        t.wait(900.0).say(Server, NOT_FOUND).bare_rst(Client);
    }),
    ("crossing-answer", |t| {
        t.say(Client, GET).ack(Server).wait(500.0).say(Server, OK);
        t.unaware(Client, FIN.with(ACK), b"").bare_rst(Client);
    }),
    ("half-close", |t| {
        t.say(Client, GET)
            .fin(Client)
            .ack(Server)
            .wait(80.0)
            .say(Server, OK)
            .ack(Client)
            .fin(Server)
            .ack(Client);
    }),
    ("half-close-in-pieces", |t| {
        t.packet(Client, FIN.with(ACK), GET)
            .ack(Server)
            .say(Server, &OK[..20])
            .ack(Client);
        t.say(Server, &OK[20..]).ack(Client).fin(Server).ack(Client);
    }),
    ("server-closes-unanswered", |t| {
        t.say(Client, GET).ack(Server).wait(3.0);
        hangs_up(t);
    }),
    ("server-closes-with-the-ack", |t| {
        t.say(Client, GET);
        hangs_up(t);
    }),
    ("server-resets-unanswered", |t| {
        t.say(Client, GET).ack(Server).wait(3.0).rst(Server);
    }),
    ("both-close-at-once", |t| {
        t.say(Client, GET)
            .ack(Server)
            .wait(3.0)
            .fin(Server)
            .unaware(Client, FIN.with(ACK), b"")
            .ack(Server)
            .ack(Client);
    }),
    ("truncated-length", |t| {
        t.say(Client, GET)
            .ack(Server)
            .say(Server, &OK[..41])
            .ack(Client)
            .wait(1.0);
        hangs_up(t);
    }),
    ("truncated-length-with-fin", |t| {
        t.say(Client, GET)
            .say(Server, &OK[..30])
            .packet(Server, FIN.with(ACK), &OK[30..41])
            .ack(Client)
            .fin(Client)
            .ack(Server);
    }),
    ("truncated-by-one-byte", |t| {
        t.say(Client, GET)
            .say(Server, &OK[..OK.len() - 1])
            .ack(Client);
        hangs_up(t);
    }),
    ("truncated-chunked", |t| {
        t.say(Client, GET)
            .say(Server, CHUNKED)
            .say(Server, b"5\r\nhello\r\n")
            .ack(Client);
        hangs_up(t);
    }),
    ("truncated-by-rst", |t| {
        t.say(Client, GET)
            .say(Server, &OK[..41])
            .ack(Client)
            .wait(1.0)
            .rst(Server);
    }),
    ("chunked", |t| {
        t.say(Client, GET)
            .say(Server, CHUNKED)
            .say(Server, b"5\r\nhello\r\n")
            .say(Server, b"3\r\nyou\r\n");
        t.ack(Client)
            .say(Server, b"0\r\n\r\n")
            .ack(Client)
            .wait(4.0)
            .say(Client, OTHER)
            .say(Server, NOT_FOUND)
            .ack(Client);
        goodbye(t);
    }),
    ("chunked-in-pieces", |t| {
        t.say(Client, GET)
            .say(Server, CHUNKED)
            .say(Server, b"10\r\n01234567")
            .say(Server, b"89abcdef\r\n0\r\n\r\n")
            .ack(Client);
        hangs_up(t);
    }),
    ("until-close", |t| {
        t.say(Client, GET)
            .say(Server, UNTIL_CLOSE)
            .say(Server, b"hello")
            .ack(Client)
            .wait(4.0);
        hangs_up(t);
    }),
    ("until-close-with-fin", |t| {
        t.say(Client, GET)
            .say(Server, UNTIL_CLOSE)
            .packet(Server, FIN.with(ACK), b"hello")
            .ack(Client)
            .fin(Client)
            .ack(Server);
    }),
    ("until-close-given-up", |t| {
        t.say(Client, GET)
            .say(Server, UNTIL_CLOSE)
            .say(Server, b"hello")
            .ack(Client)
            .wait(90.0)
            .fin(Client)
            .ack(Server);
        t.say(Server, b"more").bare_rst(Client);
    }),
    ("answer-in-pieces", |t| {
        t.say(Client, GET)
            .ack(Server)
            .say(Server, &OK[..12])
            .ack(Client)
            .say(Server, &OK[12..36])
            .say(Server, &OK[36..])
            .ack(Client);
        goodbye(t);
    }),
    ("answer-with-fin", |t| {
        t.say(Client, GET)
            .ack(Server)
            .packet(Server, FIN.with(ACK), OK)
            .ack(Client)
            .fin(Client)
            .ack(Server);
    }),
    ("answer-in-pieces-with-fin", |t| {
        t.say(Client, GET)
            .ack(Server)
            .say(Server, &OK[..40])
            .packet(Server, FIN.with(ACK), &OK[40..]);
        t.ack(Client).fin(Client).ack(Server);
    }),
    ("gave-up-mid-response", |t| {
        t.say(Client, GET)
            .ack(Server)
            .say(Server, &OK[..41])
            .ack(Client)
            .wait(200.0)
            .fin(Client)
            .ack(Server);
        t.say(Server, &OK[41..]).bare_rst(Client);
    }),
    ("gave-up-mid-response-by-rst", |t| {
        t.say(Client, GET)
            .ack(Server)
            .say(Server, &OK[..41])
            .ack(Client)
            .wait(200.0)
            .rst(Client);
    }),
    ("gave-up-mid-chunks", |t| {
        t.say(Client, GET)
            .say(Server, CHUNKED)
            .say(Server, b"5\r\nhello\r\n")
            .ack(Client)
            .wait(200.0)
            .fin(Client)
            .ack(Server);
        t.say(Server, b"0\r\n\r\n").bare_rst(Client);
    }),
    ("answered-then-reset", |t| {
        t.say(Client, GET)
            .say(Server, OK)
            .ack(Client)
            .wait(50.0)
            .rst(Client);
    }),
    ("answered-then-reset-by-server", |t| {
        t.say(Client, GET)
            .say(Server, OK)
            .ack(Client)
            .wait(50.0)
            .rst(Server);
    }),
    ("request-in-pieces", |t| {
        t.say(Client, &GET[..9])
            .say(Client, &GET[9..])
            .ack(Server)
            .say(Server, OK)
            .ack(Client);
        t.say(Client, OTHER).say(Server, NOT_FOUND).ack(Client);
        goodbye(t);
    }),
    ("post", |t| {
        t.say(Client, b"POST /post HTTP/1.1\r\nContent-Length: 10\r\n\r\n")
            .say(Client, b"01234")
            .say(Client, b"56789");
        t.ack(Server).say(Server, OK).ack(Client);
        goodbye(t);
    }),
    ("post-chunked", |t| {
        t.say(
            Client,
            b"POST /post HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .say(Client, b"5\r\n01234\r\n");
        t.say(Client, b"0\r\n\r\n")
            .ack(Server)
            .say(Server, OK)
            .ack(Client)
            .say(Client, OTHER)
            .say(Server, NOT_FOUND)
            .ack(Client);
        goodbye(t);
    }),
    ("post-given-up", |t| {
        t.say(Client, b"POST /post HTTP/1.1\r\nContent-Length: 10\r\n\r\n")
            .say(Client, b"01234")
            .say(Client, b"56789");
        t.ack(Server)
            .wait(500.0)
            .fin(Client)
            .ack(Server)
            .fin(Server)
            .ack(Client);
    }),
    ("post-aborted", |t| {
        t.say(Client, b"POST /post HTTP/1.1\r\nContent-Length: 10\r\n\r\n")
            .say(Client, b"01234")
            .ack(Server)
            .wait(5.0);
        goodbye(t);
    }),
    ("post-aborted-by-rst", |t| {
        t.say(Client, b"POST /post HTTP/1.1\r\nContent-Length: 10\r\n\r\n")
            .say(Client, b"01234")
            .ack(Server)
            .wait(5.0)
            .rst(Client);
    }),
    ("head-aborted", |t| {
        t.say(Client, &GET[..25]).ack(Server).wait(5.0);
        goodbye(t);
    }),
    ("expect-continue", |t| {
        t.say(
            Client,
            b"POST /post HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        )
        .ack(Server);
        t.say(Server, b"HTTP/1.1 100 Continue\r\n\r\n")
            .ack(Client)
            .say(Client, b"01234")
            .ack(Server)
            .say(Server, OK)
            .ack(Client);
        goodbye(t);
    }),
    ("early-answer", |t| {
        t.say(Client, b"POST /post HTTP/1.1\r\nContent-Length: 10\r\n\r\n")
            .say(Client, b"01234")
            .ack(Server);
        t.say(Server, b"HTTP/1.1 413 Big\r\nContent-Length: 0\r\n\r\n")
            .ack(Client);
        hangs_up(t);
    }),
    ("pipelining", |t| {
        t.say(Client, GET)
            .say(Client, OTHER)
            .say(Client, GET)
            .ack(Server);
        t.say(Server, OK)
            .say(Server, NOT_FOUND)
            .ack(Client)
            .say(Server, OK)
            .ack(Client);
        goodbye(t);
    }),
    ("pipelining-staggered", |t| {
        t.say(Client, GET)
            .say(Client, OTHER)
            .say(Server, OK)
            .say(Client, GET)
            .say(Server, NOT_FOUND)
            .say(Server, OK)
            .ack(Client);
        goodbye(t);
    }),
    ("pipelining-in-one-segment", |t| {
        t.say(Client, &[GET, OTHER, GET].concat())
            .say(Server, &[OK, NOT_FOUND].concat())
            .say(Server, OK)
            .ack(Client);
        goodbye(t);
    }),
    ("pipelining-cut-short", |t| {
        t.say(Client, GET)
            .say(Client, OTHER)
            .say(Client, GET)
            .ack(Server)
            .say(Server, OK)
            .ack(Client)
            .wait(3.0);
        hangs_up(t);
    }),
    ("pipelining-given-up", |t| {
        t.say(Client, GET)
            .say(Client, OTHER)
            .ack(Server)
            .say(Server, OK)
            .ack(Client)
            .wait(300.0)
            .fin(Client)
            .ack(Server);
        t.say(Server, NOT_FOUND).bare_rst(Client);
    }),
    ("keep-alive-race", |t| {
        t.say(Client, GET).say(Server, OK).ack(Client).wait(5_000.0);
        t.fin(Server).unaware(Client, ACK, OTHER).bare_rst(Server);
    }),
    ("keep-alive-race-acknowledged", |t| {
        t.say(Client, GET).say(Server, OK).ack(Client).wait(5_000.0);
        t.fin(Server).say(Client, OTHER).bare_rst(Server);
    }),
    ("upgrade", |t| {
        t.say(
            Client,
            b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        );
        t.say(
            Server,
            b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n",
        )
        .ack(Client);
        t.say(Client, b"\x81\x81....x")
            .say(Server, b"\x81\x01a")
            .ack(Client);
        goodbye(t);
    }),
    ("connect", |t| {
        t.say(Client, b"CONNECT a:443 HTTP/1.1\r\n\r\n")
            .say(Server, b"HTTP/1.1 200 OK\r\n\r\n")
            .ack(Client);
        t.say(Client, GET).say(Server, OK).ack(Client);
        goodbye(t);
    }),
    ("garbage", |t| {
        t.say(Client, GET)
            .say(Server, b"-ERR what?\r\n")
            .ack(Client);
        hangs_up(t);
    }),
    ("head-204-304", |t| {
        t.say(Client, b"HEAD /h HTTP/1.1\r\n\r\n")
            .say(Server, b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
            .ack(Client);
        t.say(Client, GET)
            .say(Server, b"HTTP/1.1 204 No\r\n\r\n")
            .ack(Client);
        t.say(Client, GET)
            .say(Server, b"HTTP/1.1 304 Not\r\nContent-Length: 900\r\n\r\n")
            .ack(Client);
        goodbye(t);
    }),
    ("zero-window", |t| {
        t.say(
            Client,
            b"POST /post HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc",
        )
        .window(Server, 0)
        .ack(Server);
        let (seq, ack) = (t.next_seq(Client), t.next_seq(Server));
        t.wait(200.0)
            .raw(Client, ACK, seq, ack, b"d")
            .ack(Server)
            .wait(200.0)
            .raw(Client, ACK, seq, ack, b"d")
            .ack(Server);
        t.window(Server, 64_000)
            .ack(Server)
            .say(Client, b"def")
            .ack(Server)
            .say(Server, OK)
            .ack(Client);
        goodbye(t);
    }),
    ("tcp-keep-alives", |t| {
        t.say(Client, GET).ack(Server);
        let (seq, ack) = (t.next_seq(Client).wrapping_sub(1), t.next_seq(Server));
        t.wait(9_000.0)
            .raw(Client, ACK, seq, ack, b"")
            .ack(Server)
            .wait(9_000.0)
            .raw(Client, ACK, seq, ack, b"")
            .ack(Server);
        t.say(Server, OK).ack(Client);
        goodbye(t);
    }),
    ("retransmissions", |t| {
        t.say(Client, GET)
            .wait(200.0)
            .again()
            .ack(Server)
            .say(Server, OK)
            .wait(200.0)
            .again()
            .ack(Client);
        goodbye(t);
    }),
    ("fin-retransmitted", |t| {
        t.say(Client, GET)
            .ack(Server)
            .wait(500.0)
            .fin(Client)
            .wait(200.0)
            .again()
            .ack(Server)
            .fin(Server)
            .ack(Client);
    }),
    ("seen-twice", |t| {
        t.say(Client, GET)
            .on_another_interface()
            .ack(Server)
            .on_another_interface();
        t.wait(500.0)
            .fin(Client)
            .on_another_interface()
            .ack(Server)
            .on_another_interface();
        t.fin(Server)
            .on_another_interface()
            .ack(Client)
            .on_another_interface();
    }),
    ("port-used-again", |t| {
        t.say(Client, GET).say(Server, OK).ack(Client);
        goodbye(t);
        t.uncaptured(Client, 77_777)
            .uncaptured(Server, 99_999)
            .wait(5.0)
            .open();
        t.say(Client, OTHER).ack(Server).wait(500.0);
        goodbye(t);
    }),
];

const FROM_NOTHING: &[(&str, Build)] = &[
    ("syn-retries", |t| {
        t.packet(Client, SYN, b"")
            .wait(1_000.0)
            .again()
            .packet(Server, SYN.with(ACK), b"")
            .ack(Client);
        t.say(Client, GET).say(Server, OK).ack(Client);
        goodbye(t);
    }),
    ("refused", |t| {
        t.packet(Client, SYN, b"")
            .packet(Server, RST.with(ACK), b"");
    }),
];

/// Every scenario's name and packets.
pub fn all() -> Vec<(&'static str, Vec<Packet>)> {
    let opened = AFTER_HANDSHAKE.iter().map(|(name, build)| {
        let mut talk = Talk::opened(name);
        build(&mut talk);
        (*name, talk.packets().to_vec())
    });
    let bare = FROM_NOTHING.iter().map(|(name, build)| {
        let mut talk = Talk::new(name);
        build(&mut talk);
        (*name, talk.packets().to_vec())
    });
    opened.chain(bare).collect()
}
