//! `report`: a capture is read, a report is written.

use super::Done;
use super::annotate::Annotated;
use super::args::ReportOptions;
use super::formats::Until;
use super::local::Agent;
use super::progress::Progress;
use super::watch::{self, Endable, Watch};
use anyhow::Context as _;
use meshsniff::Options;
use meshsniff::capture::{Input, ReadError};
use meshsniff::event::Report;
use meshsniff::pipeline::Pipeline;
use meshsniff_contract::arguments::Capture;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes gathered for one write to stdout.
const BUFFER: usize = 64 << 10;
/// The exit status after a second signal, as a shell has it for SIGINT.
const SIGNALLED: i32 = 130;

/// Reads and reports as asked; what comes back is what could not be read, and the assertions that failed.
///
/// # Errors
/// If nothing could be read, or the report could not be written.
pub(super) fn run(mut options: ReportOptions) -> anyhow::Result<Done> {
    if let Some(live) = options.cluster.take() {
        return super::live::run(*live, options);
    }
    let out = buffered(io::stdout());
    let Some((local, packets)) = options.local.take() else {
        let mut inputs = std::mem::take(&mut options.inputs);
        let stdin = inputs
            .iter()
            .position(|input| matches!(input, Input::Stdin));
        let Some(stdin) = stdin else {
            return write(inputs, options, None, out, true);
        };
        // A key or a signal must be able to end what is read, whoever writes it: then the report comes.
        let Endable { reader, end, cut } = watch::endable_stdin()?;
        inputs[stdin] = Input::from_reader("-", reader);
        options.cut = Some(Arc::clone(&cut));
        let on_signal = Arc::clone(&end);
        let handler = move || {
            if cut.load(Ordering::Acquire) {
                // Once more: nobody waits for the report.
                std::process::exit(SIGNALLED);
            }
            on_signal();
        };
        ctrlc::set_handler(handler).context("Ctrl-C cannot be waited for")?;
        let watch = match &options.look.watched {
            Some(shared) => Some(Watch::start(Arc::clone(shared), move || end())?),
            None => None,
        };
        return write(inputs, options, watch, out, true);
    };
    let (agent, stream) = Agent::start(&local, &packets, Capture::default())?;
    let watch = match &options.look.watched {
        Some(shared) => Some(Watch::start(Arc::clone(shared), agent.stopper())?),
        None => None,
    };
    let input = Input::Live {
        name: local.name(),
        reader: Box::new(stream),
    };
    agent.finish(write(vec![input], options, watch, out, false))
}

/// Standard output, with room for what is written at once.
pub(super) fn buffered<W: Write>(out: W) -> BufWriter<W> {
    BufWriter::with_capacity(BUFFER, out)
}

/// As [`run`], to any writer; `watch` ends before anything is written at the end. `watched`: somebody may be looking at
/// stderr.
pub(super) fn write(
    inputs: Vec<Input>,
    options: ReportOptions,
    watch: Option<Watch>,
    out: impl Write + Send,
    watched: bool,
) -> anyhow::Result<Done> {
    let pipeline = Pipeline::open(
        inputs,
        Options {
            ports: options.ports,
        },
    )?;
    let progress = if watched && watch.is_none() {
        Progress::of(pipeline.reader(), !options.look.is_text())
    } else {
        Progress::none()
    };
    let driver = Driver {
        pipeline,
        progress,
        watch,
        cut: options.cut,
    };
    let mut reports = options.look.start(out)?;
    let look = &options.look;
    let annotated = options.annotated.map(|(from, to)| {
        let (annotated, report) = Annotated::new(from, to, look.filter.clone(), look.probes);
        reports.add(report);
        annotated
    });
    let report = &mut reports.report;
    let mut errors = match options.until {
        Some(until) => driver.drive(&mut Until::new(&options.look, report, until)),
        None => driver.drive(report),
    }?;
    let failures = reports.done()?;
    // The reports are there whatever becomes of the copy; what of the capture could not be read was said already.
    match annotated.map(|annotated| annotated.write()) {
        Some(Ok(written)) => {
            for lacking in written.lacking {
                watch::tell(&format!("warning: {lacking}"));
            }
        }
        Some(Err(error)) => errors.push(format!("{error:#}")),
        None => {}
    }
    Ok(Done { errors, failures })
}

/// Reads captures into a report that is written nowhere by itself; what comes back is what could not be
/// read.
///
/// # Errors
/// If the report fails.
pub(super) fn read_into<R: Report>(
    pipeline: Pipeline,
    report: &mut R,
) -> anyhow::Result<Vec<String>> {
    let driver = Driver {
        progress: Progress::of(pipeline.reader(), false),
        pipeline,
        watch: None,
        cut: None,
    };
    driver.drive(report)
}

/// Captures on their way into a report, and who looks on.
struct Driver {
    pipeline: Pipeline,
    progress: Progress,
    watch: Option<Watch>,
    /// Whether the user ended standard input.
    cut: Option<Arc<AtomicBool>>,
}

impl Driver {
    fn drive<R: Report>(mut self, report: &mut R) -> anyhow::Result<Vec<String>> {
        let read = self.read(report);
        self.progress.clear();
        read.context(UNWRITTEN)?;
        if self.cut.is_some_and(|cut| cut.load(Ordering::Acquire)) {
            let unfinished = |error: &ReadError| {
                matches!(error, ReadError::Cut { .. } | ReadError::Unended { .. })
            };
            self.pipeline
                .errors_mut()
                .retain(|error| !unfinished(error));
        }
        self.pipeline.settle(report).context(UNWRITTEN)?;
        // The terminal is needed for the report.
        drop(self.watch);
        let analysed = self.pipeline.finish(report).context(UNWRITTEN)?;
        Ok(analysed.capture.errors)
    }

    fn read<R: Report>(&mut self, report: &mut R) -> io::Result<()> {
        while self.pipeline.step(report)? {
            if self.progress.is_due() {
                self.progress.show(self.pipeline.reader());
            }
        }
        Ok(())
    }
}

const UNWRITTEN: &str = "the report could not be written";

#[cfg(test)]
mod tests {
    use super::super::formats::{Format, Look, Output};
    use super::*;
    use meshsniff::assertion::Rules;
    use meshsniff::condition::Filter;
    use std::sync::atomic::AtomicUsize;

    /// A pcap file of raw IPv4 packets, a millisecond apart, between 10.0.0.1:1024 and 10.0.0.2:80.
    struct Pcap {
        bytes: Vec<u8>,
        packets: u32,
    }

    const SYN: u8 = 0x02;
    const FIN_ACK: u8 = 0x11;
    const SYN_ACK: u8 = 0x12;
    const ACK: u8 = 0x10;

    impl Pcap {
        fn new() -> Self {
            let mut bytes = Vec::new();
            bytes.extend(0xa1b2_c3d4_u32.to_le_bytes());
            bytes.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0]);
            bytes.extend(101_u32.to_le_bytes());
            Self { bytes, packets: 0 }
        }

        fn packet(mut self, from_client: bool, seq: u32, ack: u32, flags: u8, data: &str) -> Self {
            let length = 40 + data.len() as u32;
            let ends: [(u8, u16); 2] = if from_client {
                [(1, 1024), (2, 80)]
            } else {
                [(2, 80), (1, 1024)]
            };
            for field in [1_795_507_200, self.packets * 1_000, length, length] {
                self.bytes.extend(field.to_le_bytes());
            }
            self.packets += 1;
            self.bytes.extend([0x45, 0]);
            self.bytes.extend((length as u16).to_be_bytes());
            self.bytes
                .extend([0, self.packets as u8, 0x40, 0, 64, 6, 0, 0]);
            for (host, _) in ends {
                self.bytes.extend([10, 0, 0, host]);
            }
            for (_, port) in ends {
                self.bytes.extend(port.to_be_bytes());
            }
            self.bytes.extend(seq.to_be_bytes());
            self.bytes.extend(ack.to_be_bytes());
            self.bytes.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
            self.bytes.extend(data.as_bytes());
            self
        }

        /// One request, answered, and one that the client gave up.
        fn two_requests() -> Self {
            let (request, response) = (
                "GET /items HTTP/1.1\r\nHost: catalog\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            );
            let (asked, answered) = (request.len() as u32, response.len() as u32);
            Self::new()
                .packet(true, 100, 0, SYN, "")
                .packet(false, 500, 101, SYN_ACK, "")
                .packet(true, 101, 501, ACK, "")
                .packet(true, 101, 501, ACK, request)
                .packet(false, 501, 101 + asked, ACK, response)
                .packet(true, 101 + asked, 501 + answered, ACK, request)
                .packet(false, 501 + answered, 101 + 2 * asked, ACK, "")
                .packet(true, 101 + 2 * asked, 501 + answered, FIN_ACK, "")
                .packet(false, 501 + answered, 102 + 2 * asked, FIN_ACK, "")
                .packet(true, 102 + 2 * asked, 502 + answered, ACK, "")
        }
    }

    fn options(format: Format) -> ReportOptions {
        ReportOptions {
            cluster: None,
            until: None,
            local: None,
            inputs: Vec::new(),
            annotated: None,
            cut: None,
            ports: Vec::new(),
            look: Look {
                outputs: vec![Output { format, file: None }],
                rules: Rules::default(),
                watched: None,
                more: false,
                all: false,
                slowest: 5,
                limit: 50,
                filter: Filter::default(),
                probes: false,
                colour: false,
                live: false,
            },
        }
    }

    fn report(bytes: Vec<u8>, options: ReportOptions) -> (String, Vec<String>) {
        let mut out = Vec::new();
        let input = Input::from_bytes("two.pcap", bytes);
        let done = write(vec![input], options, None, &mut out, false).unwrap();
        (String::from_utf8(out).unwrap(), done.errors)
    }

    #[test]
    fn from_bytes_to_a_verdict() {
        let (text, errors) = report(Pcap::two_requests().bytes, options(Format::Text));
        assert!(errors.is_empty());
        for expected in [
            "2 exchanges: 1 ok, 1 client-gave-up",
            "✗ GET /items   client-gave-up",
            "50.00 %",
            "100.00 %",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }

    #[test]
    fn lines_and_document_say_the_same() {
        let bytes = Pcap::two_requests().bytes;
        let (lines, _) = report(bytes.clone(), options(Format::Jsonl));
        let (document, _) = report(bytes, options(Format::Json));
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        let mut exchanges = Vec::new();
        for line in lines.lines() {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            let kind = line.as_object_mut().unwrap().remove("type").unwrap();
            match kind.as_str().unwrap() {
                "exchange" => exchanges.push(line),
                "source" => assert_eq!(document["sources"][0], line),
                "connection" => assert_eq!(document["connections"][0], line),
                kind => assert_eq!(document[kind], line),
            }
        }
        assert_eq!(exchanges.len(), 2);
        assert_eq!(document["exchanges"], serde_json::Value::Array(exchanges));
    }

    #[test]
    fn a_cut_file_is_reported_and_an_error() {
        let mut bytes = Pcap::two_requests().bytes;
        bytes.truncate(bytes.len() - 7);
        let (text, errors) = report(bytes, options(Format::Json));
        assert_eq!(errors.len(), 1);
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["capture"]["complete"], false);
        assert_eq!(document["capture"]["errors"][0], *errors[0]);
        assert_eq!(document["summary"]["exchanges"], 2);
    }

    #[test]
    fn the_filter_is_used() {
        let mut options = options(Format::Text);
        options.look.filter = Filter::parse("status=200").unwrap();
        let (text, _) = report(Pcap::two_requests().bytes, options);
        assert!(
            text.contains("1 exchange selected of 2: 1 ok") && !text.contains("✗"),
            "{text}"
        );
    }

    #[test]
    fn live_lines_leave_at_once() {
        /// Counts how often it was told that a reader waits.
        struct Flushed<'a>(&'a AtomicUsize);
        impl Write for Flushed<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                self.0.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
        for (live, least) in [(true, 2), (false, 1)] {
            let flushes = AtomicUsize::new(0);
            let out = Flushed(&flushes);
            let input = Input::from_bytes("two.pcap", Pcap::two_requests().bytes);
            let mut options = options(Format::Jsonl);
            options.look.live = live;
            write(vec![input], options, None, out, false).unwrap();
            let flushes = flushes.into_inner();
            assert!(flushes >= least && (live || flushes == 1));
        }
    }

    #[test]
    fn a_reader_that_leaves_is_a_broken_pipe() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        for format in [
            Format::Text,
            Format::Json,
            Format::Jsonl,
            Format::Junit,
            Format::Markdown,
            Format::Html,
        ] {
            let input = Input::from_bytes("two.pcap", Pcap::two_requests().bytes);
            let error = write(vec![input], options(format), None, Gone, false).unwrap_err();
            assert!(super::super::is_broken_pipe(&error), "{error:#}");
        }
    }

    #[test]
    fn what_is_no_capture_is_an_error() {
        let input = Input::from_bytes("notes.txt", b"dear diary, today I met a pcap".to_vec());
        let error = write(vec![input], options(Format::Text), None, io::sink(), false).unwrap_err();
        assert!(format!("{error:#}").contains("notes.txt"), "{error:#}");
    }
}
