use super::bars::Busy;
use super::model::Many;
use super::*;
use crate::event::{Aggregate, Capture, Lost};
use crate::exchange::{Close, Connection, Exchange, Side, Verdict};
use crate::names::Names;
use crate::statistics::Summary;
use crate::testing::fixtures;
use crate::time::{Span, Timestamp};

/// A good exchange with this number that began so late and took so long, in microseconds.
fn exchange(id: u64, at: i64, wait: i64) -> Exchange {
    let mut exchange = Exchange {
        id,
        connection: id % 7,
        ..fixtures::ok()
    };
    exchange.events.request_start = fixtures::mark(1, at);
    exchange.events.response_end = Some(fixtures::mark(2, at + wait));
    exchange.gaps.wait = Some(Span::from_micros(wait));
    exchange
}

fn drawn(exchanges: &[Exchange], connections: &[Connection], capture: &Capture) -> Drawing {
    let mut gathering = Gathering::default();
    let mut summary = Summary::new(false);
    for exchange in exchanges {
        summary.exchange(exchange);
        gathering.exchange(exchange);
    }
    for connection in connections {
        summary.connection(connection);
        gathering.connection(connection);
    }
    let drawing = gathering.drawing(&summary, capture, &Names::default());
    drawing.expect("something to draw")
}

fn of(drawing: &Drawing, class: Class) -> &Many {
    let mut classes = drawing.classes.iter();
    classes.find(|many| many.class == class).expect("the class")
}

#[test]
fn every_verdict_has_its_class() {
    let exchanges = fixtures::every_verdict();
    let drawing = drawn(&exchanges, &[], &Capture::default());
    let counts = drawing.classes.iter().map(|many| (many.class, many.count));
    assert_eq!(
        counts.collect::<Vec<_>>(),
        [
            (Class::Good, 2),
            (Class::Unknown, 2),
            (Class::Answered, 1),
            (Class::Client, 3),
            (Class::Server, 4),
        ]
    );
    let unanswered = of(&drawing, Class::Unknown).dots.iter();
    let unanswered = unanswered.filter(|dot| dot.verdict == Verdict::Unanswered);
    assert!(unanswered.clone().count() == 1 && unanswered.clone().all(|dot| dot.wait.is_none()));
}

#[test]
fn few_are_dots_and_many_are_cells() {
    let few: Vec<_> = (0..1_500)
        .map(|id| exchange(id, 1_000 * id as i64, 1_234))
        .collect();
    let drawing = drawn(&few, &[], &Capture::default());
    let good = of(&drawing, Class::Good);
    assert_eq!((good.dots.len(), good.cells.len()), (1_500, 0));
    let mut many = few;
    many.push(exchange(1_500, 5_000_000_000, 10));
    many.push(fixtures::gave_up());
    let drawing = drawn(&many, &[], &Capture::default());
    let good = of(&drawing, Class::Good);
    assert_eq!((good.dots.len(), good.count), (0, 1_501));
    let sum: u64 = good.cells.iter().map(|cell| cell.count).sum();
    assert_eq!(sum, 1_501);
    // Of the other class there are few: it stays what it was.
    assert_eq!(of(&drawing, Class::Client).dots.len(), 1);
    // 1.234 ms are in the first tenth of the decade from 1 ms on, 10 µs in that from there.
    let rows: Vec<_> = good.cells.iter().map(|cell| cell.row).collect();
    assert!(
        rows[..rows.len() - 1].iter().all(|row| *row == Some(30)),
        "{rows:?}"
    );
    assert_eq!(rows.last(), Some(&Some(10)));
}

#[test]
fn a_million_take_no_more_room_than_some_thousands() {
    let mut gathering = Gathering::default();
    let mut summary = Summary::new(false);
    let mut one = exchange(0, 0, 1);
    for id in 0..200_000 {
        let at = id as i64 * 500_000;
        one.id = id;
        one.events.request_start = fixtures::mark(1, at);
        one.gaps.wait = Some(Span::from_micros((id as i64 * 7_919) % 3_000_000));
        summary.exchange(&one);
        gathering.exchange(&one);
    }
    let drawing = gathering.drawing(&summary, &Capture::default(), &Names::default());
    let drawing = drawing.expect("something to draw");
    let cells = &of(&drawing, Class::Good).cells;
    assert!(
        cells.len() > 1_000 && cells.len() <= 6_000,
        "{}",
        cells.len()
    );
    assert_eq!(cells.iter().map(|cell| cell.count).sum::<u64>(), 200_000);
    assert!(cells.is_sorted_by_key(|cell| (cell.from, cell.row)));
    // Each names the slowest of its own.
    for cell in cells {
        let wait = (i64::try_from(cell.slowest).unwrap() * 7_919) % 3_000_000;
        assert_eq!(Some(cells::row(Span::from_micros(wait))), cell.row);
    }
}

#[test]
fn rows_are_tenths_of_decades() {
    for (micros, row) in [
        (0, 0),
        (1, 0),
        (2, 3),
        (10, 10),
        (12, 10),
        (13, 11),
        (999, 29),
        (1_000, 30),
    ] {
        assert_eq!(cells::row(Span::from_micros(micros)), row, "{micros}");
    }
    for row in 0..=9 {
        let decade = Span::from_micros(10_i64.pow(row));
        assert_eq!(u32::from(cells::row(decade)), 10 * row);
    }
    assert_eq!(cells::row(Span::from_secs(i64::MAX)), 90);
    assert_eq!(cells::row(Span::from_nanos(i64::MIN)), 0);
}

#[test]
fn hostile_times_are_drawn_somewhere() {
    let mut exchanges = Vec::new();
    for (id, nanos) in (0..).zip([i64::MIN, -1, 0, i64::MAX]) {
        let mut one = exchange(id, 0, 1);
        one.events.request_start.time = Timestamp::from_nanos(nanos);
        one.gaps.wait = Some(Span::from_nanos(nanos));
        exchanges.push(one);
    }
    // As dots, then as cells.
    for times in [1, 1_000] {
        let many: Vec<_> = exchanges.iter().cycle().take(4 * times).cloned().collect();
        let drawing = drawn(&many, &[], &Capture::default());
        assert_eq!(drawing.length().as_nanos(), i64::MAX);
        let since = drawing.since(Timestamp::from_nanos(i64::MIN));
        assert_eq!(since, Span::ZERO);
        assert!(ticks(drawing.length(), 8).len() <= 9);
    }
}

#[test]
fn the_axis_has_round_moments_and_whole_decades() {
    let names = |micros: i64, most| -> Vec<String> {
        let ticks = ticks(Span::from_micros(micros), most);
        ticks.into_iter().map(|(_, name)| name).collect()
    };
    assert_eq!(names(2_003_976, 5), ["0", "0.5 s", "1 s", "1.5 s", "2 s"]);
    assert_eq!(
        names(2_500, 5),
        ["0", "0.5 ms", "1 ms", "1.5 ms", "2 ms", "2.5 ms"]
    );
    assert_eq!(
        names(7_723_000_000, 4),
        ["0", "30 min", "60 min", "90 min", "2 h"]
    );
    assert_eq!(names(0, 5), ["0"]);
    for micros in [1, 999, 12_345, 59_000_000, 86_400_000_000, i64::MAX / 1_000] {
        let count = names(micros, 6).len();
        assert!((1..=7).contains(&count), "{micros}: {count}");
    }
    let around = |least, most| {
        let Decades { first, last } = Decades::around(least, most);
        (first, last)
    };
    assert_eq!(around(194, 501_402), (2, 6));
    assert_eq!(around(100, 1_000), (2, 4));
    assert_eq!(around(0, u64::MAX), (0, 9));
    assert_eq!(around(u64::MAX, u64::MAX), (7, 9));
    let decades = Decades { first: 2, last: 6 };
    assert_eq!((decades.along(100), decades.along(1_000_000)), (0.0, 1.0));
    assert_eq!(
        (decades.along(i64::MIN), decades.along(i64::MAX)),
        (0.0, 1.0)
    );
    let names: Vec<_> = decades.names().map(|(_, name)| name).collect();
    assert_eq!(names, ["0.1 ms", "1 ms", "10 ms", "100 ms", "1 s"]);
}

#[test]
fn connections_are_bars_of_what_was_on_them() {
    let mut exchanges = [exchange(0, 100, 1_000), exchange(1, 5_000, 2_000)];
    for one in &mut exchanges {
        one.connection = 0;
    }
    exchanges[1].verdict = Verdict::ClientGaveUp;
    exchanges[1].events.client_fin = Some(fixtures::mark(3, 7_000));
    let connection = Connection {
        close: Some(Close {
            by: Side::Client,
            reset: false,
            mark: fixtures::mark(3, 7_000),
        }),
        exchanges: 2,
        ..fixtures::connection()
    };
    let drawing = drawn(&exchanges, &[connection], &Capture::default());
    let [bar] = drawing.bars.as_slice() else {
        panic!("one bar");
    };
    assert_eq!((bar.exchanges, bar.bad, drawing.bars_left_out), (2, 1, 0));
    let micros = |at: Timestamp| (at - fixtures::ORIGIN).as_nanos() / 1_000;
    let busy = bar.busy.iter();
    let busy: Vec<_> = busy
        .map(|busy| (micros(busy.from), busy.to.map(micros), busy.class))
        .collect();
    assert_eq!(
        busy,
        [
            (100, Some(1_100), Class::Good),
            (5_000, Some(7_000), Class::Client)
        ]
    );
    assert_eq!(micros(bar.last), 7_000);
}

#[test]
fn the_most_telling_connections_are_kept() {
    let mut gathering = Gathering::default();
    let (mut summary, mut capture) = (Summary::new(false), Capture::default());
    for id in 0..3_000 {
        let mut one = match id % 3 {
            0 => fixtures::gave_up(),
            _ => fixtures::ok(),
        };
        one.connection = id;
        one.id = id;
        summary.exchange(&one);
        gathering.exchange(&one);
        let connection = match id % 3 {
            2 => fixtures::refused(),
            _ => fixtures::connection(),
        };
        gathering.connection(&Connection { id, ..connection });
    }
    capture.totals.connections = 3_000;
    let drawing = gathering.drawing(&summary, &capture, &Names::default());
    let drawing = drawing.expect("something to draw");
    assert_eq!((drawing.bars.len(), drawing.bars_left_out), (20, 2_980));
    let bad = drawing.bars.iter().filter(|bar| bar.bad > 0).count();
    let refused = drawing.bars.iter().filter(|bar| bar.verdict.is_some());
    assert_eq!((bad, refused.count()), (8, 4));
    // Of many that are alike not only the first: they lie all over the capture.
    let ids = drawing.bars.iter().map(|bar| bar.id);
    let (first, last) = (ids.clone().min().unwrap(), ids.max().unwrap());
    assert!(first < 600 && last > 2_400, "{first} {last}");
}

#[test]
fn a_long_connection_keeps_its_bounds_and_its_pauses() {
    // Busy for a second, idle for ten, busy again, with one that did not go well in between.
    let mut many = Vec::new();
    for id in 0..10_000 {
        let late = if id < 5_000 { 0 } else { 10_000_000 };
        many.push(exchange(id, 200 * id as i64 + late, 10));
    }
    let mut failed = exchange(10_000, 500_000, 50);
    failed.status = Some(503);
    many.push(failed);
    for one in &mut many {
        one.connection = 0;
    }
    let connection = Connection {
        exchanges: 10_001,
        ..fixtures::connection()
    };
    let drawing = drawn(&many, &[connection], &Capture::default());
    let busy = &drawing.bars[0].busy;
    assert!(busy.len() <= 257, "{}", busy.len());
    let seconds = |at: Timestamp| (at - fixtures::ORIGIN).as_secs();
    let idle = |busy: &Busy| {
        busy.to
            .is_some_and(|to| seconds(busy.from) < 1.1 && seconds(to) > 10.0)
    };
    assert!(!busy.iter().any(idle), "the pause is gone: {busy:?}");
    let bad: Vec<_> = busy
        .iter()
        .filter(|busy| busy.class == Class::Answered)
        .collect();
    assert_eq!((bad.len(), bad[0].exchange), (1, 10_000));
    assert_eq!(busy[0].from, many[0].start());
}

#[test]
fn timers_are_lines() {
    let mut exchanges = Vec::new();
    for id in 0..4 {
        // A timer that nobody announced, and that fits the usual 500 ms.
        exchanges.push(Exchange {
            id,
            ..fixtures::gave_up()
        });
    }
    exchanges.push(Exchange {
        expected_timeout: Some(Span::from_secs(2)),
        ..fixtures::gave_up()
    });
    let drawing = drawn(&exchanges, &[], &Capture::default());
    let texts: Vec<_> = drawing
        .lines
        .iter()
        .map(|(_, text)| text.as_str())
        .collect();
    assert_eq!(texts, ["2 s, announced", "500 ms, a timer"]);
    let alone = drawn(&[fixtures::gave_up()], &[], &Capture::default());
    assert_eq!(alone.lines[0].1, "500 ms, a guess");
    let mut words = String::new();
    alone.push_words(&mut words);
    assert!(
        words.ends_with("1 left by the client. Timers: 500 ms, a guess."),
        "{words}"
    );
}

#[test]
fn ends_of_processes_and_lost_packets_are_marks() {
    let mut gathering = Gathering::default();
    let mut summary = Summary::new(false);
    let at = |micros| fixtures::ORIGIN.plus(Span::from_micros(micros));
    for id in 0..3 {
        let closed = Connection {
            id,
            close: Some(Close {
                by: Side::Server,
                reset: false,
                mark: fixtures::mark(20, 1_000_000),
            }),
            ..fixtures::connection()
        };
        summary.connection(&closed);
        gathering.connection(&closed);
    }
    let refused = Connection {
        first: fixtures::mark(30, 3_000_000),
        ..fixtures::refused()
    };
    summary.connection(&refused);
    gathering.connection(&refused);
    for count in 0..100 {
        gathering.lost(Lost {
            since: at(2_000_000),
            until: at(2_000_000 + count),
            packets: 1,
        });
    }
    let capture = Capture {
        dropped: Some(107),
        ..Capture::default()
    };
    let drawing = gathering.drawing(&summary, &capture, &Names::default());
    let marks = drawing.expect("something to draw").marks;
    let end = marks
        .iter()
        .find(|mark| mark.kind == MarkKind::End)
        .expect("an end");
    assert_eq!((end.from, end.to), (at(1_000_000), at(3_000_000)));
    assert_eq!(
        end.text,
        "10.244.0.5:3000 ended: 3 connections closed at once, 1 refused after it"
    );
    let lost: Vec<_> = marks
        .iter()
        .filter(|mark| mark.kind == MarkKind::Lost)
        .collect();
    // The stretches that were told, and what nobody knows the time of.
    assert_eq!(lost.len(), 25);
    assert!(lost.iter().any(|mark| mark.text == "77 packets lost"));
    assert!(lost.iter().any(|mark| mark.text == "7 packets lost"));
}

#[test]
fn what_was_only_counted_is_said() {
    let mut folded = Aggregate::default();
    for _ in 0..1_000 {
        folded.summary.exchange(&fixtures::ok());
    }
    let mut summary = Summary::new(false);
    summary.merge(&folded.summary);
    let mut gathering = Gathering::default();
    gathering.exchange(&fixtures::ok());
    let drawing = gathering.drawing(&summary, &Capture::default(), &Names::default());
    assert_eq!(drawing.expect("something to draw").not_drawn, 999);
    let nothing = Gathering::default();
    let nothing = nothing.drawing(&summary, &Capture::default(), &Names::default());
    assert!(nothing.is_none());
}
