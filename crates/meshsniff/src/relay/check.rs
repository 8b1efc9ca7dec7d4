//! Checks of what arrives on a relay: the ranges that everything behind it relies on.
//!
//! They do not look for lies. Whoever controls the program beside the target can make up any
//! exchange; the checks make sure that it is one.

use crate::analyzer::Totals;
use crate::dns::Dns;
use crate::event::{Capture, Source};
use crate::exchange::{Connection, Exchange, Frames};
use crate::kernel::Counters;
use crate::packet::{FrameId, Mark};
use crate::statistics::{MAX_COUNT, MAX_NANOS};
use crate::time::{Span, Timestamp};
use compact_str::CompactString;

/// Sums of bytes: 72 petabytes.
const MAX_BYTES: u64 = 1 << 56;
/// Entries of a list inside an exchange: the analyser has 64 at most of each.
const MAX_ENTRIES: usize = 128;
/// Interfaces of a source, and bytes of each of its texts.
const MAX_INTERFACES: usize = 1_024;
const MAX_NAME: usize = 1_024;
/// Letters of a flag in a log.
const MAX_FLAG: usize = 8;
/// Bytes of a comment. Live captures have none.
const MAX_COMMENT: usize = 64 << 10;
/// Errors of a capture, and bytes of each.
const MAX_ERRORS: usize = 100;
const MAX_ERROR_TEXT: usize = 4_096;

/// An error is what is wrong.
pub(super) type Checked = Result<(), &'static str>;

fn ensure(right: bool, wrong: &'static str) -> Checked {
    if right { Ok(()) } else { Err(wrong) }
}

pub(super) fn time(time: Timestamp) -> Checked {
    let right = (0..=MAX_NANOS).contains(&time.as_nanos());
    ensure(right, "a time that is not of this age")
}

pub(super) fn frame(frame: FrameId) -> Checked {
    ensure(frame.number() > 0, "a frame without a number")
}

pub(super) fn comment(text: &str) -> Checked {
    ensure(text.len() <= MAX_COMMENT, "a comment that is too long")
}

pub(super) fn count(count: u64) -> Checked {
    ensure(count <= MAX_COUNT, "a count that cannot be")
}

fn bytes(bytes: u64) -> Checked {
    ensure(bytes <= MAX_BYTES, "more bytes than can be")
}

fn spans(spans: impl IntoIterator<Item = Option<Span>>) -> Checked {
    let possible = -MAX_NANOS..=MAX_NANOS;
    let right = spans
        .into_iter()
        .flatten()
        .all(|span| possible.contains(&span.as_nanos()));
    ensure(right, "a span that is not of this age")
}

fn status(status: Option<u16>) -> Checked {
    ensure(status.is_none_or(|status| status <= 999), "a status")
}

/// Checks a mark and attributes it to `source`.
fn mark(mark: &mut Mark, source: u16) -> Checked {
    time(mark.time)?;
    frame(mark.frame)?;
    mark.frame = FrameId::new(source, mark.frame.number());
    Ok(())
}

fn marks<'a>(marks: impl IntoIterator<Item = &'a mut Mark>, source: u16) -> Checked {
    marks.into_iter().try_for_each(|one| mark(one, source))
}

/// Checks an exchange and attributes its frames to `source`.
pub(super) fn exchange(exchange: &mut Exchange, source: u16) -> Checked {
    count(exchange.connection)?;
    bytes(exchange.request_bytes)?;
    bytes(exchange.response_bytes)?;
    status(exchange.status)?;
    let trace = exchange.trace_id.as_deref().unwrap_or_default();
    let digits = trace.bytes().all(|byte| byte.is_ascii_hexdigit());
    ensure(digits && trace.len() <= 32, "a trace that has no number")?;
    status(exchange.late_status)?;
    ensure(
        exchange.minor_version.is_none_or(|minor| minor <= 9),
        "a version",
    )?;
    spans([exchange.expected_timeout, exchange.timeout_guess])?;
    spans(exchange.gaps.values())?;
    let events = &mut exchange.events;
    ensure(events.interim.len() <= MAX_ENTRIES, "too many events")?;
    marks([&mut events.request_start], source)?;
    marks(
        events.request_acked.iter_mut().map(|(mark, _)| mark),
        source,
    )?;
    for (mark, code) in &mut events.interim {
        status(Some(*code))?;
        marks([mark], source)?;
    }
    for event in [
        &mut events.request_end,
        &mut events.request_last,
        &mut events.response_last,
        &mut events.response_start,
        &mut events.response_end,
        &mut events.response_acked,
        &mut events.client_fin,
        &mut events.server_fin,
        &mut events.client_rst,
        &mut events.server_rst,
        &mut events.late_response,
        &mut events.client_rst_stream,
        &mut events.server_rst_stream,
        &mut events.goaway,
    ] {
        marks(event, source)?;
    }
    bytes(exchange.request_announced.unwrap_or(0))?;
    if let Some(grpc) = exchange.grpc.as_deref() {
        for count in grpc
            .compressed
            .into_iter()
            .chain(grpc.request)
            .chain(grpc.response)
        {
            self::count(count)?;
        }
        spans([grpc.first_message, grpc.longest_silence])?;
    }
    if let Some(websocket) = exchange.websocket.as_deref() {
        let frames = websocket.frames.iter().flat_map(Frames::each);
        for count in frames.chain(websocket.compressed) {
            self::count(count)?;
        }
        websocket.bytes.into_iter().try_for_each(bytes)?;
        spans([websocket.longest_pong, Some(websocket.longest_silence)])?;
        let reason = websocket.close_reason.as_ref();
        ensure(
            reason.is_none_or(|text| text.len() <= MAX_NAME),
            "a reason that is too long",
        )?;
    }
    if let Some(stream) = exchange.event_stream {
        for count in stream.events.into_iter().chain(stream.comments) {
            self::count(count)?;
        }
        spans([Some(stream.longest_silence)])?;
    }
    if let Some(by) = exchange.answered_by.as_deref() {
        let flag = by.flag.len() <= MAX_FLAG && by.flag.bytes().all(|b| b.is_ascii_alphabetic());
        ensure(
            flag && by.text.len() <= MAX_NAME,
            "an answer that no proxy makes",
        )?;
    }
    let relations = exchange.relations;
    for id in [
        relations.retry_of,
        relations.retried_as,
        relations.behind,
        relations.front,
    ] {
        count(id.unwrap_or(0))?;
    }
    ensure(exchange.findings.len() <= MAX_ENTRIES, "too many findings")?;
    for finding in &mut exchange.findings {
        spans([Some(finding.cost)])?;
        ensure(finding.frames.len() <= MAX_ENTRIES, "too many frames")?;
        marks(&mut finding.frames, source)?;
    }
    if let Some(sockets) = exchange.sockets.as_deref() {
        bytes(sockets.unread_bytes)?;
        spans([sockets.unread, sockets.read_by])?;
        spans([sockets.client, sockets.server].map(|one| Some(one?.rtt)))?;
    }
    Ok(())
}

/// Checks a connection and attributes its frames to `source`.
pub(super) fn connection(connection: &mut Connection, source: u16) -> Checked {
    marks([&mut connection.first], source)?;
    marks(&mut connection.syn, source)?;
    marks(
        connection.close.iter_mut().map(|close| &mut close.mark),
        source,
    )?;
    let goaway = connection.goaway.as_mut();
    marks(goaway.map(|goaway| &mut goaway.mark), source)?;
    spans([
        connection.handshake,
        connection.syn_to_synack,
        connection.idle,
        connection.silence,
    ])?;
    bytes(connection.hidden_bytes)?;
    if let Some(dns) = &connection.dns {
        queries(dns)?;
    }
    for number in [
        connection.id,
        connection.syn_retries,
        connection.exchanges,
        connection.orphan_responses,
        connection.retransmissions,
    ] {
        count(number)?;
    }
    Ok(())
}

fn queries(dns: &Dns) -> Checked {
    for number in [dns.queries, dns.repeated, dns.unanswered, dns.failed] {
        count(number)?;
    }
    spans([dns.slowest])?;
    let lists = dns.failures.len() <= Dns::MAX_FAILURES && dns.names.len() <= Dns::MAX_NAMES;
    ensure(lists, "too many names")?;
    dns.failures.iter().try_for_each(|one| count(one.count))?;
    let names = dns.failures.iter().map(|one| &one.name);
    let mut names = names.chain(&dns.names).chain(&dns.slowest_name);
    names.try_for_each(name)
}

fn name(name: &CompactString) -> Checked {
    ensure(name.len() <= MAX_NAME, "a name that is too long")
}

pub(super) fn source(source: &Source) -> Checked {
    ensure(
        source.interfaces.len() <= MAX_INTERFACES,
        "too many interfaces",
    )?;
    let mut texts = [&source.kind, &source.name]
        .into_iter()
        .chain(&source.interfaces);
    let short = texts.all(|text| text.len() <= MAX_NAME);
    ensure(short, "a name that is too long")
}

pub(super) fn capture(capture: &Capture) -> Checked {
    let mut totals = capture.totals.clone();
    totals.counts_mut().try_for_each(|count| bytes(*count))?;
    let Totals {
        first, last, dns, ..
    } = totals;
    spans([dns.slowest])?;
    let names = dns.failure.iter().map(|failure| &failure.name);
    names.chain(&dns.slowest_name).try_for_each(name)?;
    [first, last].into_iter().flatten().try_for_each(time)?;
    count(capture.dropped.unwrap_or(0))?;
    let links = &capture.unsupported_frames;
    ensure(links.len() <= MAX_INTERFACES, "too many link types")?;
    links.values().try_for_each(|frames| count(*frames))?;
    count(capture.comments_left_out)?;
    let counters = capture.kernel.iter().flat_map(Counters::counted);
    counters.map(|(_, number)| number).try_for_each(count)?;
    let short = capture
        .errors
        .iter()
        .all(|text| text.len() <= MAX_ERROR_TEXT);
    ensure(
        capture.errors.len() <= MAX_ERRORS && short,
        "too many errors",
    )
}
