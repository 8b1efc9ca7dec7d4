//! What each stage costs, one after another: the same capture in memory through ever more of them.
//!
//! `cargo bench` shows packets per second. The difference between two lines is what the second one's stage costs. A
//! whole run against other programs is `tests/bench-against-peers`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use meshsniff::capture::{CaptureReader, Input};
use meshsniff::condition::Filter;
use meshsniff::event::{Capture, Report, ReportEvent, ReportSink};
use meshsniff::exchange::{Connection, Exchange};
use meshsniff::packet::{Decoded, Decoder, Frame};
use meshsniff::report::json::{JsonReport, Style};
use meshsniff::report::text::{TextOptions, TextReport};
use meshsniff::testing::End::{Client, Server};
use meshsniff::testing::{Talk, pcap};
use meshsniff::{Analyzer, Options, Sink};
use std::hint::black_box;
use std::io;
use std::time::Duration;

const CONNECTIONS: usize = 8;
const EXCHANGES: usize = 20_000;
const BODY: usize = 4 << 10;

/// Requests on keep-alive connections in turn, each answered with head and body in two segments and acknowledged.
struct Generated {
    file: Vec<u8>,
    packets: u64,
}

impl Generated {
    fn new() -> Self {
        let request =
            b"GET /items?page=2 HTTP/1.1\r\nHost: catalog.shop.svc\r\nUser-Agent: bench\r\n\
            X-Request-Id: 6d0f2a3c-7a39-4a0e-9b5e-0c8a5d1c3e11\r\nAccept: */*\r\n\r\n";
        let head = format!(
            "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/plain\r\nContent-Length: {BODY}\r\n\r\n"
        );
        let body = vec![b'x'; BODY];
        let mut packets = Vec::new();
        for connection in 0..CONNECTIONS {
            let mut talk = Talk::new("bench");
            talk.client_addr([10, 0, 0, 1], 40_000 + connection as u16);
            // In turn: while one has its say, the others wait.
            let turn = |talk: &mut Talk, turns: usize| {
                talk.wait(turns as f64 * 0.08);
            };
            turn(&mut talk, connection);
            talk.open();
            for _ in 0..EXCHANGES / CONNECTIONS {
                turn(&mut talk, CONNECTIONS - 1);
                talk.say(Client, request);
                talk.say(Server, head.as_bytes()).say(Server, &body);
                talk.ack(Client);
            }
            packets.extend(talk.packets().iter().cloned());
        }
        packets.sort_by_key(|packet| packet.nanos);
        Self {
            file: pcap(&packets),
            packets: packets.len() as u64,
        }
    }

    fn reader(&self) -> CaptureReader {
        let input = Input::from_bytes("generated", self.file.clone());
        CaptureReader::open(vec![input]).expect("a capture")
    }
}

fn each_frame(reader: &mut CaptureReader, mut take: impl FnMut(&Frame<'_>)) {
    while let Some(frame) = reader.next() {
        take(&frame.expect("a whole capture"));
    }
}

/// Throws everything away.
struct Nothing;

impl Sink for Nothing {
    fn exchange(&mut self, exchange: &Exchange) {
        black_box(exchange);
    }

    fn connection(&mut self, connection: &Connection) {
        black_box(connection);
    }
}

fn tell(report: &mut impl Report, event: ReportEvent<'_>) {
    report.tell(event).expect("a sink takes everything");
}

fn report(reader: &mut CaptureReader, mut report: impl Report) {
    let mut analyzer = Analyzer::new(Options::default());
    each_frame(reader, |frame| {
        tell(&mut report, ReportEvent::Begin(frame.id, frame.time));
        analyzer.frame(frame, &mut ReportSink::new(&mut report));
        tell(&mut report, ReportEvent::AfterFrame);
    });
    analyzer.finish(&mut ReportSink::new(&mut report));
    let capture = Capture {
        totals: analyzer.totals().clone(),
        ..Capture::default()
    };
    tell(&mut report, ReportEvent::Finish(&capture));
}

fn stages(criterion: &mut Criterion) {
    let generated = Generated::new();
    let mut group = criterion.benchmark_group("stages");
    group.throughput(Throughput::Elements(generated.packets));
    group.sample_size(20);
    group.warm_up_time(Duration::from_secs(1));
    group.measurement_time(Duration::from_secs(5));
    let mut bench = |name: &str, run: &dyn Fn(&mut CaptureReader)| {
        group.bench_function(name, |bencher| {
            // The reader takes the capture's bytes: giving it a copy and taking that away is not what is measured.
            bencher.iter_batched_ref(
                || generated.reader(),
                run,
                criterion::BatchSize::PerIteration,
            );
        });
    };
    bench("1-reader", &|reader| {
        each_frame(reader, |frame| {
            black_box(frame);
        })
    });
    bench("2-decoder", &|reader| {
        let mut decoder = Decoder::new();
        each_frame(reader, |frame| {
            let decoded = decoder.decode(frame);
            assert!(matches!(black_box(decoded), Decoded::Tcp(_)));
        });
    });
    bench("3-analyzer", &|reader| {
        let mut analyzer = Analyzer::new(Options::default());
        each_frame(reader, |frame| analyzer.frame(frame, &mut Nothing));
        analyzer.finish(&mut Nothing);
        black_box(analyzer.totals());
    });
    bench("4-text", &|reader| {
        report(reader, TextReport::new(io::sink(), TextOptions::default()))
    });
    bench("4-jsonl", &|reader| {
        let style = Style::Lines { live: false };
        report(
            reader,
            JsonReport::new(io::sink(), style, Filter::default(), false),
        );
    });
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
