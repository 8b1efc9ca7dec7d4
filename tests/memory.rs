//! Traffic made to fill one table after another: analyser and report, as an agent has them, take no
//! more memory than they were given.
//!
//! Each attack in a process of its own: memory is measured of the whole process. What had to be given
//! up is counted, and what came before is judged all the same.

#[path = "memory/relay.rs"]
mod relay;
#[path = "memory/tables.rs"]
mod tables;

use libtest_mimic::{Arguments, Failed, Trial};
use meshsniff::event::{Capture, Report as _, ReportEvent, ReportSink};
use meshsniff::packet::{Frame, FrameId, LinkType};
use meshsniff::relay::RelayWriter;
use meshsniff::relay::aggregate::{Aggregating, Aggregation};
use meshsniff::time::Timestamp;
use meshsniff::{Analyzer, Options};
use peak_alloc::PeakAlloc;
use std::env;
use std::io;
use std::process::{Command, ExitCode};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What open connections may take, and what all of the analyser may.
const GIVEN: usize = 16 << 20;
const MOST: usize = 32 << 20;

const SYN: u8 = 2;
const RST: u8 = 4;
const PUSH_ACK: u8 = 24;
const SYN_ACK: u8 = 18;
const ACK: u8 = 16;
const FIN_ACK: u8 = 17;

/// An analyser that is attacked, and the report that an agent makes of it.
struct Attacked {
    analyzer: Analyzer,
    frames: u64,
    report: Aggregating<'static, RelayWriter<io::Sink>>,
}

/// One end: the last three bytes of an address in 10.0.0.0/8, and a port.
type End = (u32, u16);

const SERVER: End = (1, 80);

impl Attacked {
    fn new() -> Self {
        Self {
            analyzer: Analyzer::new(Options {
                memory: Some(GIVEN),
                asks_kernel: true,
                ..Options::default()
            }),
            frames: 0,
            report: Aggregating::new(
                RelayWriter::new(io::sink()),
                Aggregation {
                    slowest: 5,
                    ..Aggregation::default()
                },
                || true,
            ),
        }
    }

    /// A segment from one end to another, 10 µs after the one before.
    fn send(&mut self, from: End, to: End, seq: u32, ack: u32, flags: u8, payload: &[u8]) {
        let mut data = head([from, to], 6, 20 + payload.len());
        data.extend(seq.to_be_bytes());
        data.extend(ack.to_be_bytes());
        data.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        data.extend(payload);
        self.frame(&data);
    }

    /// A datagram.
    fn datagram(&mut self, from: End, to: End, payload: &[u8]) {
        let mut data = head([from, to], 17, 8 + payload.len());
        data.extend((8 + payload.len() as u16).to_be_bytes());
        data.extend([0, 0]);
        data.extend(payload);
        self.frame(&data);
    }

    fn frame(&mut self, data: &[u8]) {
        self.frames += 1;
        let frame = Frame {
            id: FrameId::new(0, self.frames),
            time: Timestamp::from_nanos(self.frames as i64 * 10_000),
            interface: 0,
            link: LinkType::Raw,
            wire_len: data.len() as u32,
            data,
        };
        let mut sink = ReportSink::of_frame(&mut self.report, frame.id, frame.time);
        self.analyzer.frame(&frame, &mut sink);
        sink.done().expect("a sink takes everything");
    }

    /// Opens the connection of a client; its next byte has the number 1.
    fn open(&mut self, client: End) {
        self.open_to(client, SERVER);
    }

    fn open_to(&mut self, client: End, server: End) {
        self.send(client, server, 0, 0, SYN, b"");
        self.send(server, client, 0, 1, SYN_ACK, b"");
        self.send(client, server, 1, 1, ACK, b"");
    }

    /// A connection with one exchange, closed by the client. Without an answer it has left.
    fn exchange(&mut self, client: End, server: End, request: &[u8], answer: &[u8]) {
        self.open_to(client, server);
        self.send(client, server, 1, 1, PUSH_ACK, request);
        let (asked, answered) = (1 + request.len() as u32, 1 + answer.len() as u32);
        self.send(server, client, 1, asked, PUSH_ACK, answer);
        self.send(client, server, asked, answered, FIN_ACK, b"");
        self.send(server, client, answered, asked + 1, FIN_ACK, b"");
        self.send(client, server, asked + 1, answered + 1, ACK, b"");
    }

    /// Sends a client's bytes in segments of the usual size.
    fn say(&mut self, client: End, mut seq: u32, bytes: &[u8]) -> u32 {
        for piece in bytes.chunks(1_448) {
            self.send(client, SERVER, seq, 1, PUSH_ACK, piece);
            seq = seq.wrapping_add(piece.len() as u32);
        }
        seq
    }
}

/// The headers of IPv4, and the ports.
fn head(ends: [End; 2], protocol: u8, length: usize) -> Vec<u8> {
    let mut data = vec![0x45, 0];
    data.extend((20 + length as u16).to_be_bytes());
    data.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
    for (address, _) in ends {
        data.extend((10 << 24 | address).to_be_bytes());
    }
    for (_, port) in ends {
        data.extend(port.to_be_bytes());
    }
    data
}

type Attack = fn(&mut Attacked);

/// Attacks by name.
const ATTACKS: [(&str, Attack); 9] = [
    ("heads that never end", |it| {
        let head = [&b"GET / HTTP/1.1\r\nX: "[..], &[b'a'; 16_000]].concat();
        for client in 2..3_000 {
            it.open((client, 40_000));
            it.say((client, 40_000), 1, &head);
        }
    }),
    ("a head of one byte at a time", |it| {
        for client in 2..50 {
            it.open((client, 40_000));
            it.say((client, 40_000), 1, b"GET / HTTP/1.1\r\nX: ");
            for seq in 0..30_000 {
                it.send((client, 40_000), SERVER, 20 + seq, 1, PUSH_ACK, b"a");
            }
        }
    }),
    ("connections with holes", |it| {
        for client in 2..2_000 {
            it.open((client, 40_000));
            it.say((client, 40_000), 101, &[b'a'; 40_000]);
        }
    }),
    ("bytes that never join, downwards", |it| {
        it.open((2, 40_000));
        for number in (0..200_000).rev() {
            it.send((2, 40_000), SERVER, 101 + 2 * number, 1, PUSH_ACK, b"a");
        }
    }),
    ("bytes that never join, of many", |it| {
        for number in 0..200 {
            for client in 2..1_000 {
                it.send(
                    (client, 40_000),
                    SERVER,
                    101 + 2 * number,
                    1,
                    PUSH_ACK,
                    b"a",
                );
            }
        }
    }),
    ("stray segments", |it| {
        for number in 0..150_000 {
            it.send((2 + number, 40_000), SERVER, number, 1, PUSH_ACK, b"a");
        }
    }),
    ("requests that nobody answers", |it| {
        let request = [
            &b"GET /"[..],
            &[b'a'; 7_000],
            b" HTTP/1.1\r\nHost: a\r\n\r\n",
        ]
        .concat();
        for client in 2..20 {
            it.open((client, 40_000));
            let mut seq = 1;
            for _ in 0..1_000 {
                seq = it.say((client, 40_000), seq, &request);
            }
        }
    }),
    ("segments that are sent again and again", |it| {
        for client in 2..60 {
            it.open((client, 40_000));
            it.say((client, 40_000), 1, &[b'a'; 700_000]);
            for _ in 0..10 {
                it.say((client, 40_000), 1, &[b'a'; 700_000]);
            }
        }
    }),
    ("connections that are refused", |it| {
        for number in 0..150_000 {
            it.send((2 + number, 40_000), SERVER, 7, 0, SYN, b"");
            it.send(SERVER, (2 + number, 40_000), 0, 8, RST | ACK, b"");
        }
    }),
];

fn survives(attack: Attack) -> Result<(), Failed> {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let mut attacked = Attacked::new();
    // Somebody is served meanwhile, and is judged.
    let client = (0xff_ffff, 50_000);
    attacked.open(client);
    let seq = attacked.say(client, 1, b"GET /served HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    attacked.send(SERVER, client, 1, seq, PUSH_ACK, answer);
    attacked.send(client, SERVER, seq, 1 + answer.len() as u32, ACK, b"");
    attack(&mut attacked);
    let peak = HEAP.peak_usage() - before;
    let Attacked {
        mut analyzer,
        mut report,
        frames,
    } = attacked;
    let mut sink = ReportSink::new(&mut report);
    analyzer.finish(&mut sink);
    sink.done()?;
    if report.so_far().exchanges == 0 {
        return Err("nobody was judged".into());
    }
    // What is summed up leaves at the end, in pieces.
    report.tell(ReportEvent::Finish(&Capture {
        totals: analyzer.totals().clone(),
        ..Capture::default()
    }))?;
    let peak = peak.max(HEAP.peak_usage() - before);
    if peak > MOST {
        let mebibytes = peak as f64 / f64::from(1 << 20);
        return Err(format!("{mebibytes:.1} MiB after {frames} frames").into());
    }
    Ok(())
}

/// Set in the process of one attack.
const ALONE: &str = "MESHSNIFF_TEST_ALONE";

/// Runs this program once more, for one attack.
fn in_its_own_process(name: &str) -> Result<(), Failed> {
    let mut command = Command::new(env::current_exe()?);
    let done = command.args(["--exact", name]).env(ALONE, "1").output()?;
    if done.status.success() {
        return Ok(());
    }
    let said = [done.stdout, done.stderr].concat();
    Err(String::from_utf8_lossy(&said).into_owned().into())
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let attacks = ATTACKS.into_iter().chain(tables::ATTACKS);
    let trials = attacks.map(|(name, attack)| Trial::test(name, move || survives(attack)));
    let trials = trials.chain(relay::trials());
    let trials = if env::var_os(ALONE).is_some() {
        trials.collect()
    } else {
        let apart = trials.map(|trial| {
            let name = trial.name().to_owned();
            Trial::test(name.clone(), move || in_its_own_process(&name))
        });
        apart.collect()
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}
