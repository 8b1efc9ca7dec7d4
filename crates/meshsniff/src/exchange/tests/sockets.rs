//! What the kernel says of sockets while an exchange waits.

use super::talk::{
    End::{Client, Server},
    Seen, Talk,
};
use super::{BODY, EMPTY, GET, HEAD_OF_300};
use crate::exchange::model::{
    Exchange,
    FindingKind::{AcceptQueueFull, SynRetry, UnreadRequest},
    Reading, Verdict,
};
use crate::kernel::{Answer, Listener, Socket};
use crate::time::Span;

/// The server's socket holds `unread` bytes of the client's first `received`.
fn holds(unread: u32, received: u64) -> Option<Answer> {
    Some(Answer {
        server: Some(Socket::default()),
        unread,
        received: Some(received),
        accepted: Some(true),
        ..Answer::default()
    })
}

/// No socket of the server's but one that listens, with `waiting` connections of 5.
fn listens(waiting: u32) -> Option<Answer> {
    Some(Answer {
        client: Some(Socket::default()),
        listener: Some(Listener { waiting, most: 5 }),
        ..Answer::default()
    })
}

/// Who asked, and left after 500 ms.
fn gave_up() -> Talk {
    let asked = Talk::opened().say(Client, GET).ack(Server);
    asked
        .after(500.0)
        .fin(Client)
        .ack(Server)
        .say(Server, EMPTY)
        .rst(Client)
}

fn one(seen: Seen) -> Exchange {
    let [exchange] = <[_; 1]>::try_from(seen.exchanges)
        .ok()
        .expect("one exchange");
    exchange.0
}

fn millis(span: Option<Span>) -> Option<f64> {
    span.map(Span::as_millis)
}

#[test]
fn a_request_that_was_never_read_is_told_with_its_time() {
    let exchange = one(gave_up().asking(|_| holds(18, 18)));
    assert_eq!(exchange.verdict, Verdict::ClientGaveUp);
    assert_eq!(exchange.reading(), Some(Reading::Unread));
    let sockets = exchange.sockets.as_deref().unwrap();
    assert_eq!((sockets.asked, sockets.unread_bytes), (5, 18));
    assert_eq!(millis(sockets.unread), Some(320.0));
    assert_eq!(sockets.read_by, None);
    let finding = exchange.finding(UnreadRequest).unwrap();
    assert_eq!(finding.cost, Span::from_millis(320));
    assert_eq!(finding.frames, [exchange.events.request_end.unwrap()]);
}

#[test]
fn a_request_that_was_read_is_told_by_when() {
    let exchange = one(gave_up().asking(|_| holds(0, 18)));
    assert_eq!(exchange.reading(), Some(Reading::Read));
    let sockets = exchange.sockets.as_deref().unwrap();
    assert_eq!(millis(sockets.read_by), Some(20.0));
    assert_eq!(exchange.finding(UnreadRequest), None);
    // Read in the end, but late.
    let exchange = one(gave_up().asking(|at| holds(if at < 300.0 { 18 } else { 0 }, 18)));
    assert_eq!(
        exchange.reading(),
        Some(Reading::Read),
        "less than half of its time"
    );
    assert_eq!(
        exchange.finding(UnreadRequest).unwrap().cost,
        Span::from_millis(160)
    );
}

#[test]
fn what_is_answered_soon_is_not_asked_about() {
    let talk = Talk::opened()
        .say(Client, GET)
        .after(15.0)
        .say(Server, EMPTY);
    let talk = talk
        .ack(Client)
        .after(10.0)
        .say(Client, GET)
        .after(15.0)
        .say(Server, EMPTY);
    let seen = talk
        .ack(Client)
        .after(300.0)
        .fin(Client)
        .asking(|at| panic!("asked at {at}"));
    assert!(seen.exchanges.iter().all(|one| one.0.sockets.is_none()));
}

#[test]
fn what_had_an_answer_already_is_not_asked_about() {
    let talk = Talk::opened().say(Client, GET).say(Server, HEAD_OF_300);
    let talk = talk
        .say(Server, BODY)
        .after(300.0)
        .say(Server, [b'x'; 200])
        .ack(Client);
    assert_eq!(one(talk.asking(|at| panic!("asked at {at}"))).sockets, None);
}

#[test]
fn a_request_behind_it_is_not_it() {
    // The second of two requests in one segment waits in the socket, the first was read.
    let both = [GET, GET].concat();
    let talk = Talk::opened()
        .say(Client, &both)
        .ack(Server)
        .after(100.0)
        .say(Server, EMPTY);
    let seen = talk
        .after(100.0)
        .say(Server, EMPTY)
        .ack(Client)
        .asking(|_| holds(18, 36));
    let readings = seen.exchanges.iter().map(|one| one.0.reading());
    let readings: Vec<_> = readings.collect();
    assert_eq!(readings, [Some(Reading::Read), Some(Reading::Unread)]);
}

#[test]
fn without_the_handshake_the_bytes_that_were_seen_count() {
    let talk = Talk::joined()
        .say(Client, GET)
        .ack(Server)
        .after(100.0)
        .say(Server, EMPTY);
    let talk = talk.ack(Client);
    let unread = one(talk.asking(|_| holds(18, 1_000_018)));
    assert_eq!(unread.reading(), Some(Reading::Unread));
    assert_eq!(
        one(talk.asking(|_| holds(0, 1_000_018))).reading(),
        Some(Reading::Read)
    );
}

#[test]
fn a_connection_that_nobody_accepted_is_told_from_one_that_nobody_reads() {
    let exchange = one(gave_up().asking(|_| {
        Some(Answer {
            accepted: Some(false),
            ..holds(18, 18)?
        })
    }));
    assert_eq!(exchange.reading(), Some(Reading::NotAccepted));
}

#[test]
fn a_full_accept_queue_is_told_of_a_request_that_it_held_up() {
    // The kernel threw the last packet of the handshake away, and the request with it.
    let asked = Talk::opened()
        .say(Client, GET)
        .after(200.0)
        .back(18)
        .say(Client, GET);
    let talk = asked.after(300.0).fin(Client);
    let exchange = one(talk.asking(|_| listens(6)));
    assert_eq!(exchange.reading(), Some(Reading::TurnedAway));
    let cost = exchange.finding(AcceptQueueFull).unwrap().cost;
    assert_eq!(cost, Span::from_millis(320));
    // One that has room has nothing to do with it.
    let exchange = one(talk.asking(|_| listens(5)));
    assert_eq!(
        (exchange.reading(), exchange.finding(AcceptQueueFull)),
        (None, None)
    );
}

#[test]
fn a_full_accept_queue_is_told_of_a_syn_that_it_held_up() {
    let syn = Talk::new().syn(Client).after(1_000.0).back(1).syn(Client);
    let silent = syn.clone().after(2_000.0).back(1).syn(Client);
    let connections = silent.asking(|_| listens(6)).connections;
    assert_eq!(connections[0].verdict, Some(Verdict::ConnectTimeout));
    assert_eq!(
        connections[0].accept_queue,
        Some(Listener {
            waiting: 6,
            most: 5
        })
    );
    assert_eq!(
        silent.asking(|_| listens(0)).connections[0].accept_queue,
        None
    );
    // It opened after all.
    let opened = syn
        .syn_ack()
        .ack(Client)
        .say(Client, GET)
        .say(Server, EMPTY)
        .ack(Client);
    let exchange = one(opened.asking(|_| listens(6)));
    assert_eq!(
        exchange.finding(AcceptQueueFull).unwrap().cost,
        Span::from_secs(1)
    );
    assert!(exchange.finding(SynRetry).is_some());
}

#[test]
fn sockets_that_are_elsewhere_are_asked_about_once() {
    let mut asked = 0;
    let exchange = one(gave_up().asking(|_| {
        asked += 1;
        None
    }));
    assert_eq!((asked, exchange.sockets), (1, None));
}
