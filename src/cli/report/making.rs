//! Makes a report of captures.

use crate::cli::analysis::{Onlookers, analyse};
use crate::cli::annotate::Annotated;
use crate::cli::done::Done;
use crate::cli::formats::{BoxedReport, Look, Until};
use crate::cli::watch;
use crate::cluster::stop::Stop;
use meshsniff::Options;
use meshsniff::capture::Input;
use meshsniff::pipeline::Pipeline;
use meshsniff::protocol::tls::Keys;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes gathered for one write to stdout.
const BUFFER: usize = 64 << 10;

/// Options of a report, wherever its packets come from.
pub(super) struct Making {
    pub(super) look: Look,
    pub(super) ports: Vec<u16>,
    /// Bytes of each body to keep, with the heads; `None` for nothing.
    pub(super) messages: Option<usize>,
    /// Keys of TLS sessions.
    pub(super) keys: Arc<Keys>,
    /// A capture, and where a copy with comments goes.
    pub(super) annotated: Option<(PathBuf, PathBuf)>,
    /// Whether the copy gets the keys, too.
    pub(super) with_keys: bool,
    /// Reports that nobody asked for.
    pub(super) also: Vec<BoxedReport<'static>>,
    /// Number of exchanges that did not go well after which the capture ends, and who is told.
    pub(super) until: Option<(u64, Stop)>,
}

/// Buffers standard output.
pub(super) fn buffered<W: Write>(out: W) -> BufWriter<W> {
    BufWriter::with_capacity(BUFFER, out)
}

/// Makes a report of `inputs`; what of it goes to standard output goes to `out`.
///
/// # Errors
/// If nothing could be read, or the report could not be written.
pub(super) fn write(
    inputs: Vec<Input>,
    making: Making,
    mut onlookers: Onlookers,
    out: impl Write + Send,
) -> anyhow::Result<Done> {
    let Making {
        look,
        ports,
        messages,
        keys,
        annotated,
        with_keys,
        also,
        until,
    } = making;
    let pipeline = Pipeline::open(
        inputs,
        Options {
            ports,
            messages,
            keys: Some(Arc::clone(&keys)),
            ..Options::default()
        },
    )?;
    onlookers.output_flows = !look.is_text();
    let mut reports = look.start(out)?;
    for report in also {
        reports.add(report);
    }
    let annotated = annotated.map(|(from, to)| {
        let (mut annotated, report) = Annotated::new(from, to, look.filter.clone(), look.probes);
        annotated.keys = with_keys.then_some(keys);
        reports.add(report);
        annotated
    });
    let report = &mut reports.report;
    let mut errors = match until {
        Some(until) => analyse(pipeline, onlookers, &mut Until::new(&look, report, until)),
        None => analyse(pipeline, onlookers, report),
    }?;
    let failures = reports.done()?;
    // The reports are there whatever becomes of the copy; what of the capture could not be read was
    // said already.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::{Format, Output};
    use meshsniff::assertion::Rules;
    use meshsniff::condition::Filter;
    use meshsniff::redacted::Redacted;
    use meshsniff::report::svg::SvgOf;
    use meshsniff::testing::End::{Client, Server};
    use meshsniff::testing::{Talk, pcap};
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A capture of one request, answered, and of one that the client gave up.
    fn two_requests() -> Vec<u8> {
        let request = b"GET /items HTTP/1.1\r\nHost: catalog\r\n\r\n";
        let mut talk = Talk::opened("two_requests");
        talk.say(Client, request);
        talk.say(Server, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        talk.say(Client, request).ack(Server);
        talk.fin(Client).fin(Server).ack(Client);
        pcap(talk.packets())
    }

    fn options(format: Format) -> Making {
        Making {
            keys: Arc::default(),
            annotated: None,
            with_keys: false,
            also: Vec::new(),
            until: None,
            ports: Vec::new(),
            messages: None,
            look: Look {
                outputs: vec![Output { format, file: None }],
                rules: Rules::default(),
                watched: None,
                redacted: Redacted::default(),
                more: false,
                all: false,
                slowest: 5,
                limit: 50,
                filter: Filter::default(),
                probes: false,
                colour: false,
                live: false,
                pictured: SvgOf::Worst,
                drawn: false,
            },
        }
    }

    fn report(bytes: Vec<u8>, options: Making) -> (String, Vec<String>) {
        let mut out = Vec::new();
        let input = Input::from_bytes("two.pcap", bytes);
        let done = write(vec![input], options, Onlookers::default(), &mut out).unwrap();
        (String::from_utf8(out).unwrap(), done.errors)
    }

    #[test]
    fn from_bytes_to_a_verdict() {
        let (text, errors) = report(two_requests(), options(Format::Text));
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
        let bytes = two_requests();
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
        let mut bytes = two_requests();
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
        let (text, _) = report(two_requests(), options);
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
            let input = Input::from_bytes("two.pcap", two_requests());
            let mut options = options(Format::Jsonl);
            options.look.live = live;
            write(vec![input], options, Onlookers::default(), out).unwrap();
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
            Format::Csv,
            Format::Har,
            Format::Svg,
        ] {
            let input = Input::from_bytes("two.pcap", two_requests());
            let error =
                write(vec![input], options(format), Onlookers::default(), Gone).unwrap_err();
            assert!(crate::cli::root::is_broken_pipe(&error), "{error:#}");
        }
    }

    #[test]
    fn what_is_no_capture_is_an_error() {
        let input = Input::from_bytes("notes.txt", b"dear diary, today I met a pcap".to_vec());
        let error = write(
            vec![input],
            options(Format::Text),
            Onlookers::default(),
            io::sink(),
        )
        .unwrap_err();
        assert!(format!("{error:#}").contains("notes.txt"), "{error:#}");
    }
}
