//! `follow`: one conversation of a capture as text.

use super::done::Done;
use super::options::{ColorArgs, KeyArgs, PortArgs};
use anyhow::{Context as _, bail};
use clap::Args;
use hashbrown::HashMap;
use meshsniff::capture::{CaptureReader, Input, OpenError};
use meshsniff::conversation::{Conversation, Entry, What};
use meshsniff::event::{Report, ReportEvent};
use meshsniff::exchange::Side;
use meshsniff::names::Names;
use meshsniff::packet::{Decoded, Decoder, Endpoint, Mark};
use meshsniff::protocol::tls::Keys;
use meshsniff::report::curl;
use meshsniff::report::text::{
    ConversationOptions, SECRET_FIELDS, conversation, push_ends, push_explanation,
};
use meshsniff::time::Timestamp;
use meshsniff::{Connection, Exchange, Options, Pipeline, Sink};
use std::io::{self, Write as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most exchanges of one connection whose gaps are shown.
const MAX_EXCHANGES: usize = 10_000;
/// Most connections among which that of a frame is looked for.
const MAX_CONNECTIONS: usize = 1 << 20;

/// Most exchanges on the connection of a frame among which that of a stream is looked for.
const MAX_STREAMS: usize = 1 << 20;
/// Streams named where a frame has several.
const MAX_NAMED: usize = 8;

/// Show one conversation of a capture as text, with frames, times and gaps beside the lines
///
/// Like "Follow TCP Stream" of Wireshark, but in the order of time, and with the pauses. Bodies are
/// shown by their size and credentials masked, unless --body and --show-secrets say otherwise.
#[derive(Debug, Args)]
pub(super) struct FollowArgs {
    /// Capture: pcap or pcapng, also compressed
    file: PathBuf,

    /// Exchange with this number, as report shows it
    #[arg(long, value_name = "N", group = "which")]
    exchange: Option<u64>,

    /// Exchange of which this frame is part, of HTTP/2 by the stream whose frame begins in it, else
    /// the last one before it on its connection
    #[arg(
        long,
        value_name = "N",
        group = "which",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    frame: Option<u64>,

    /// Exchange whose x-request-id is this, or the only one that begins with it
    #[arg(long, value_name = "ID", group = "which")]
    request_id: Option<String>,

    /// Show the whole connection, not only the exchange
    #[arg(long)]
    connection: bool,

    /// Show all streams of HTTP/2 as they were interleaved, not only the exchange's
    #[arg(long)]
    all_streams: bool,

    /// Print the request as a curl command that sends it again, without credentials
    #[arg(long, conflicts_with_all = ["connection", "all_streams", "body", "acks"])]
    curl: bool,

    /// Bytes of each body to show; of HTTP/2 of each piece or message
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(..=1 << 20)
    )]
    body: u32,

    /// Header fields whose values to mask, too
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    redact: Vec<String>,

    /// Show the values of authorization, cookie and the like
    #[arg(long)]
    show_secrets: bool,

    /// Show every segment without data, not only those that mean something
    #[arg(long)]
    acks: bool,

    /// Which ports.
    #[command(flatten)]
    port: PortArgs,

    /// Which keys.
    #[command(flatten)]
    keys: KeyArgs,

    /// The keys, opened.
    #[arg(skip)]
    opened: Arc<Keys>,

    /// Whether in colour.
    #[command(flatten)]
    color: ColorArgs,
}

/// Shows as asked; returns what could not be read.
///
/// # Errors
/// If there is no such exchange, or nothing can be read.
pub(super) fn run(mut args: FollowArgs) -> anyhow::Result<Done> {
    if args.file == Path::new("-") {
        bail!(
            "a conversation is looked for first and then read again: name a file, not standard \
             input"
        );
    }
    args.opened = args.keys.open()?;
    let mut found = args.find()?;
    let (mut said, mut errors) = args.read(&found)?;
    for exchange in said.exchanges.iter_mut().chain([&mut found.exchange]) {
        for field in &args.redact {
            forget(exchange, field);
        }
    }
    let before = args.curl.then(|| begun_before(&said, &found.exchange));
    if !args.connection {
        said.exchanges.retain(|one| one.id == found.exchange.id);
    }
    let mut secret = args.redact;
    if !args.show_secrets {
        secret.extend(SECRET_FIELDS.map(str::to_owned));
    }
    if let Some(nth) = before {
        if found
            .exchange
            .stream
            .is_some_and(|_| !asked_in_lines(&said))
        {
            bail!(
                "exchange {} is HTTP/2, and --curl prints requests of HTTP/1 only: without it \
                 follow shows what was sent",
                found.exchange.id
            );
        }
        let shown = (secret.as_slice(), args.show_secrets);
        return command(&found.exchange, &said.entries, nth, shown, errors);
    }
    let mut out = String::new();
    push_ends(&mut out, &found.exchange, &said.names);
    let options = ConversationOptions {
        colour: args.color.is_wanted(),
        secret,
        unread: args.show_secrets,
        sealed: !args.show_secrets,
        acks: args.acks,
        streams: args.connection || args.all_streams,
    };
    let (exchanges, entries) = (&said.exchanges, &said.entries);
    conversation(&mut out, &options, found.origin, exchanges, entries);
    out.push('\n');
    push_explanation(&mut out, &found.exchange, &said.names);
    if said.left_out > 0 {
        errors.push(format!(
            "the conversation is longer than can be shown: {} more lines",
            said.left_out
        ));
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(out.as_bytes())?;
    stdout.flush()?;
    Ok(errors.into())
}

/// Prints the request as a command.
///
/// # Errors
/// If the capture does not have enough of it.
fn command(
    exchange: &Exchange,
    entries: &[Entry],
    nth: usize,
    (secret, credentials): (&[String], bool),
    errors: Vec<String>,
) -> anyhow::Result<Done> {
    let mut out = String::new();
    if !curl::push_command(&mut out, exchange, entries, nth, secret, credentials) {
        bail!(
            "the capture does not have the whole request line of exchange {}: capture whole \
             packets, or follow it without --curl",
            exchange.id
        );
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(out.as_bytes())?;
    stdout.flush()?;
    Ok(errors.into())
}

/// How many requests begin before this one in the same frame.
fn begun_before(said: &Said, exchange: &Exchange) -> usize {
    let frame = exchange.events.request_start.frame;
    let others = said.exchanges.iter();
    let others = others.filter(|one| one.events.request_start.frame == frame);
    others.filter(|one| one.id < exchange.id).count()
}

/// Whether the request was asked in HTTP/1, also where HTTP/2 answers.
fn asked_in_lines(said: &Said) -> bool {
    let begins = |entry: &Entry| {
        entry.from == Side::Client && matches!(entry.what, What::Line { first: true, .. })
    };
    said.entries.iter().any(begins)
}

/// Takes out of an exchange what a field says that is not to be shown.
fn forget(exchange: &mut Exchange, field: &str) {
    match field.to_ascii_lowercase().as_str() {
        "host" => exchange.authority = None,
        "x-request-id" => exchange.request_id = None,
        "traceparent" | "b3" | "x-b3-traceid" => exchange.trace_id = None,
        "x-forwarded-client-cert" | "x-envoy-peer-metadata-id" => exchange.caller = None,
        _ => {}
    }
}

/// The exchange that was asked for.
struct Found {
    exchange: Exchange,
    /// The time of the capture's first frame.
    origin: Timestamp,
    /// Places of the frames to show, in the order of the capture.
    wanted: RangeInclusive<u64>,
}

/// Frames of an exchange with a meaning for it.
fn marks(exchange: &Exchange) -> impl Iterator<Item = Mark> + '_ {
    let events = &exchange.events;
    let single = [
        Some(events.request_start),
        events.request_end,
        events.request_acked.map(|(mark, _)| mark),
        events.response_start,
        events.response_end,
        events.response_acked,
        events.client_fin,
        events.server_fin,
        events.client_rst,
        events.server_rst,
        events.late_response,
        events.request_last,
        events.response_last,
        events.client_rst_stream,
        events.server_rst_stream,
        events.goaway,
    ]
    .into_iter()
    .flatten();
    single.chain(events.interim.iter().map(|(mark, _)| *mark))
}

fn last_order(exchange: &Exchange) -> u64 {
    marks(exchange).map(|mark| mark.order).max().unwrap_or(0)
}

/// The place of its first frame: a GOAWAY may refuse a stream that begins behind it.
fn first_order(exchange: &Exchange) -> u64 {
    let start = exchange.events.request_start.order;
    let goaway = exchange.events.goaway.map(|mark| mark.order);
    goaway.map_or(start, |goaway| goaway.min(start))
}

/// Returns how surely a frame of the client, or of the server, is part of an exchange on its
/// connection; 0: not at all.
fn fit(exchange: &Exchange, frame: u64, from_client: bool) -> u8 {
    let events = &exchange.events;
    let is = |mark: Option<Mark>| mark.is_some_and(|mark| mark.frame.number() == frame);
    let within = |from: Option<Mark>, to: Option<Mark>| {
        from.is_some_and(|from| from.frame.number() <= frame)
            && to.is_some_and(|to| frame <= to.frame.number())
    };
    let start = Some(events.request_start);
    let own = [
        start,
        events.request_end,
        events.response_start,
        events.response_end,
        events.late_response,
    ];
    let mut findings = exchange.findings.iter().flat_map(|finding| &finding.frames);
    let spoken = if from_client {
        within(start, events.request_end)
    } else {
        within(events.response_start, events.response_end)
    };
    if own.into_iter().any(is) {
        4
    } else if marks(exchange).any(|mark| is(Some(mark))) || findings.any(|mark| is(Some(*mark))) {
        3
    } else if spoken {
        2
    } else {
        let end = events
            .response_end
            .or(marks(exchange).max_by_key(|mark| mark.order));
        u8::from(within(start, end))
    }
}

impl FollowArgs {
    fn input(&self) -> Input {
        Input::Path(self.file.clone())
    }

    fn open(&self) -> Result<Pipeline, OpenError> {
        let ports = self.port.port.clone();
        Pipeline::open(
            vec![self.input()],
            Options {
                ports,
                keys: Some(Arc::clone(&self.opened)),
                ..Options::default()
            },
        )
    }

    /// Returns who sent the frame that was named, and to whom.
    fn ends(&self) -> Result<Option<(Endpoint, Endpoint)>, OpenError> {
        let mut reader = CaptureReader::open(vec![self.input()])?;
        while let Some(next) = reader.next() {
            if let Ok(frame) = next
                && Some(frame.id.number()) == self.frame
                && let Decoded::Tcp(segment) = Decoder::default().decode(&frame)
            {
                return Ok(Some((segment.src, segment.dst)));
            }
        }
        Ok(None)
    }

    fn find(&self) -> anyhow::Result<Found> {
        let mut finder = Finder {
            args: self,
            ends: self.frame.map_or(Ok(None), |_| self.ends())?,
            found: None,
            fitting: None,
            by_ends: HashMap::new(),
            begins: Vec::new(),
            of_streams: Vec::new(),
            exchanges: 0,
            not_good: 0,
            ambiguous: false,
        };
        // What could not be read is said when it is read again.
        let totals = self.open()?.into_sink(&mut finder).capture.totals;
        let (origin, frames) = (totals.first.unwrap_or_default(), totals.frames);
        let name = self.file.display();
        let exchanges = finder.exchanges;
        let there_are = match exchanges {
            0 => "it holds no HTTP exchange".to_owned(),
            1 => "its only exchange has the number 0".to_owned(),
            _ => format!("its exchanges have the numbers 0 to {}", exchanges - 1),
        };
        let begins = std::mem::take(&mut finder.begins);
        let of_streams = std::mem::take(&mut finder.of_streams);
        let asked = (self.exchange, self.frame, &self.request_id);
        let exchange = finder.chosen().with_context(|| match asked {
            (Some(number), ..) => format!("{name} has no exchange {number}: {there_are}"),
            (_, Some(frame), _) if frame > frames => {
                format!("{name} has no frame {frame}: it has {frames}")
            }
            (_, Some(frame), _) => format!(
                "frame {frame} of {name} is part of no exchange, and there is none before it on \
                 its connection: {there_are}"
            ),
            (_, _, Some(id)) => format!(
                "{name} has no request with the id {id}, or several that begin so: kubectl \
                 meshsniff report --all shows them"
            ),
            _ => format!(
                "say which: --exchange N, --frame N or --request-id ID; {there_are} (kubectl \
                 meshsniff report --all shows them)"
            ),
        })?;
        let exchange = match self.frame {
            Some(frame) if exchange.stream.is_some() => {
                self.of_stream(frame, exchange, &begins, &of_streams)?
            }
            _ => exchange,
        };
        let wanted = if self.connection {
            connection_range(&exchange, &begins)
        } else if exchange.websocket.is_some() {
            // It goes on behind its 101, up to the end of what carries it.
            first_order(&exchange)..=*connection_range(&exchange, &begins).end()
        } else {
            first_order(&exchange)..=last_order(&exchange)
        };
        Ok(Found {
            exchange,
            origin,
            wanted,
        })
    }

    /// The exchange of the stream that has a share in this frame, on the HTTP/2 connection of
    /// `fitting`, which fits by its times.
    ///
    /// # Errors
    /// If several have.
    fn of_stream(
        &self,
        frame: u64,
        fitting: Exchange,
        begins: &[Begin],
        of_streams: &[OfStream],
    ) -> anyhow::Result<Exchange> {
        let (client, server) = (fitting.client, fitting.server);
        let mut reader = CaptureReader::open(vec![self.input()])?;
        let mut looking = Conversation::streams_of(client, server, frame).with_keys(&self.opened);
        let mut order = 0;
        while let Some(next) = reader.next() {
            if let Ok(frame) = next {
                order += 1;
                looking.frame(&frame, order);
            }
        }
        let streams = looking.streams();
        // The same ends may have had another connection before.
        let its = begins.iter().filter(|begin| {
            begin.frame <= frame && [(client, server), (server, client)].contains(&begin.ends)
        });
        let its = its.max_by_key(|begin| begin.frame);
        let here = of_streams
            .iter()
            .filter(|one| its.is_none_or(|its| its.id == one.connection));
        let most = here.clone().map(|one| one.fit).max().unwrap_or(0);
        let mut choice: Vec<&OfStream> = if streams.is_empty() {
            // An ACK, or what is of the whole connection.
            here.filter(|one| most > 0 && one.fit == most).collect()
        } else {
            here.filter(|one| streams.contains(&one.stream)).collect()
        };
        choice.sort_by_key(|one| one.stream);
        let all = self.connection || self.all_streams;
        let name = self.file.display();
        let id = match choice.as_slice() {
            [one] => one.id,
            [first, ..] if all => first.id,
            [] if all || streams.is_empty() => return Ok(fitting),
            [] => bail!(
                "frame {frame} of {name} is of stream {}, which has no exchange: the server pushed \
                 it, or its request is not in the capture; --connection shows it with all others",
                streams[0]
            ),
            several => bail!(
                "frame {frame} of {name} {}; name one: {}, or --all-streams for all",
                if streams.is_empty() {
                    "is no stream's own, and several were open".to_owned()
                } else {
                    format!("has pieces of {} streams", several.len())
                },
                named(several),
            ),
        };
        if id == fitting.id {
            return Ok(fitting);
        }
        let mut numbered = Numbered { id, found: None };
        // What could not be read is said when it is read again.
        let _analysed = self.open()?.into_sink(&mut numbered);
        Ok(numbered.found.unwrap_or(fitting))
    }

    /// Reads the conversation; returns what could not be read, too.
    fn read(&self, found: &Found) -> anyhow::Result<(Said, Vec<String>)> {
        let mut pipeline = self.open()?;
        let exchange = &found.exchange;
        let mut said = Said {
            connection: exchange.connection,
            exchanges: Vec::new(),
            names: Names::default(),
            entries: Vec::new(),
            left_out: 0,
        };
        let mut followed = Conversation::new(
            exchange.client,
            exchange.server,
            if self.curl {
                curl::MAX_BODY
            } else {
                self.body as usize
            },
            found.wanted.clone(),
        )
        .with_keys(&self.opened);
        let only = exchange
            .stream
            .filter(|_| !self.connection && !self.all_streams);
        if let Some(stream) = only {
            followed = followed.of_stream(stream);
        }
        let mut order = 0;
        while pipeline.step(&mut said)? {
            if let Some(frame) = pipeline.frame() {
                order += 1;
                followed.frame(&frame, order);
            }
        }
        let analysed = pipeline.finish(&mut said)?;
        (said.entries, said.left_out) = followed.finish();
        Ok((said, analysed.capture.errors))
    }
}

/// Places of the frames of an exchange's connection, in the order of the capture: the same
/// addresses and ports may have had other connections before and after.
fn connection_range(exchange: &Exchange, begins: &[Begin]) -> RangeInclusive<u64> {
    let its = begins.iter().find(|begin| begin.id == exchange.connection);
    let first = its.map_or(0, |begin| begin.order);
    let (client, server) = (exchange.client, exchange.server);
    let next = begins
        .iter()
        .filter(|begin| begin.order > first)
        .filter(|begin| [(client, server), (server, client)].contains(&begin.ends))
        .map(|begin| begin.order)
        .min();
    first..=next.map_or(u64::MAX, |next| next - 1)
}

/// An exchange on a connection that was named by a frame.
struct OfStream {
    id: u64,
    connection: u64,
    stream: u32,
    /// How surely the frame is part of it, by its times.
    fit: u8,
}

/// How to name one of several streams.
fn named(several: &[&OfStream]) -> String {
    let mut words = String::from("--exchange ");
    for (index, one) in several.iter().take(MAX_NAMED).enumerate() {
        let (before, kind) = if index == 0 {
            ("", " for stream ")
        } else {
            (", ", " for ")
        };
        words.push_str(&format!("{before}{}{kind}{}", one.id, one.stream));
    }
    if several.len() > MAX_NAMED {
        words.push_str(&format!(" and {} more", several.len() - MAX_NAMED));
    }
    words
}

/// Sink that looks for the exchange with a number.
struct Numbered {
    id: u64,
    found: Option<Exchange>,
}

impl Sink for Numbered {
    fn exchange(&mut self, exchange: &Exchange) {
        if exchange.id == self.id {
            self.found = Some(exchange.clone());
        }
    }

    fn connection(&mut self, _: &Connection) {}
}

/// Begin of a connection.
struct Begin {
    id: u64,
    order: u64,
    /// The number of its first frame.
    frame: u64,
    ends: (Endpoint, Endpoint),
}

/// Sink that looks for the exchange that was asked for.
struct Finder<'a> {
    args: &'a FollowArgs,
    /// The ends of the frame that was named.
    ends: Option<(Endpoint, Endpoint)>,
    found: Option<(Exchange, bool)>,
    /// The first exchange of those that the frame fits best into, and how well it does.
    fitting: Option<(u8, Exchange)>,
    /// The last exchange of each connection that began before the frame.
    by_ends: HashMap<(Endpoint, Endpoint), Exchange>,
    /// Begins of connections: of all, if a whole one is to be shown, else of those that have the
    /// ends of the frame that was named.
    begins: Vec<Begin>,
    /// Streams of the connections that have these ends.
    of_streams: Vec<OfStream>,
    exchanges: u64,
    not_good: u64,
    /// Whether several request ids begin like the one that was named.
    ambiguous: bool,
}

impl Finder<'_> {
    fn chosen(mut self) -> Option<Exchange> {
        if self.args.frame.is_some() {
            if let Some((_, exchange)) = self.fitting {
                return Some(exchange);
            }
            let (src, dst) = self.ends?;
            let found = self.by_ends.remove(&(src, dst));
            return found.or_else(|| self.by_ends.remove(&(dst, src)));
        }
        let nothing_named = self.args.exchange.is_none() && self.args.request_id.is_none();
        if nothing_named && self.not_good != 1 && self.exchanges != 1 {
            return None;
        }
        let (exchange, exact) = self.found?;
        (exact || !self.ambiguous).then_some(exchange)
    }
}

impl Sink for Finder<'_> {
    fn exchange(&mut self, exchange: &Exchange) {
        self.exchanges += 1;
        let args = self.args;
        if let Some(frame) = args.frame {
            let ends = (exchange.client, exchange.server);
            if let Some((src, dst)) = self.ends
                && [(src, dst), (dst, src)].contains(&ends)
            {
                let fit = fit(exchange, frame, src == ends.0);
                if let Some(stream) = exchange.stream
                    && self.of_streams.len() < MAX_STREAMS
                {
                    self.of_streams.push(OfStream {
                        id: exchange.id,
                        connection: exchange.connection,
                        stream,
                        fit,
                    });
                }
                if fit > self.fitting.as_ref().map_or(0, |(best, _)| *best) {
                    self.fitting = Some((fit, exchange.clone()));
                }
            }
            let before = exchange.events.request_start.frame.number() <= frame;
            if before && (self.by_ends.len() < MAX_CONNECTIONS || self.by_ends.contains_key(&ends))
            {
                self.by_ends.insert(ends, exchange.clone());
            }
        } else if let Some(number) = args.exchange {
            if exchange.id == number {
                self.found = Some((exchange.clone(), true));
            }
        } else if let Some(id) = &args.request_id {
            let its = exchange.request_id.as_deref().unwrap_or_default();
            let exact = its == id;
            let before = self.found.as_ref().map(|(_, exact)| *exact);
            match before {
                Some(true) => {}
                _ if exact => self.found = Some((exchange.clone(), true)),
                // A second one that begins so: neither is meant.
                Some(false) if its.starts_with(id.as_str()) => self.ambiguous = true,
                None if its.starts_with(id.as_str()) => {
                    self.found = Some((exchange.clone(), false))
                }
                _ => {}
            }
        } else {
            let good = exchange.good() == Some(true);
            self.not_good += u64::from(!good);
            if !good || self.found.is_none() {
                self.found = Some((exchange.clone(), true));
            }
        }
    }

    fn connection(&mut self, connection: &Connection) {
        let ends = (connection.client, connection.server);
        let named = self
            .ends
            .is_some_and(|(src, dst)| [(src, dst), (dst, src)].contains(&ends));
        if (self.args.connection || named) && self.begins.len() < MAX_CONNECTIONS {
            self.begins.push(Begin {
                id: connection.id,
                order: connection.first.order,
                frame: connection.first.frame.number(),
                ends,
            });
        }
    }
}

/// A conversation.
struct Said {
    /// The number of its connection.
    connection: u64,
    /// The exchanges on it.
    exchanges: Vec<Exchange>,
    /// Names of addresses.
    names: Names,
    /// The lines.
    entries: Vec<Entry>,
    /// Number of lines beyond those that can be shown.
    left_out: u64,
}

impl Report for Said {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        match event {
            ReportEvent::Exchange(exchange)
                if exchange.connection == self.connection
                    && self.exchanges.len() < MAX_EXCHANGES =>
            {
                self.exchanges.push(exchange.clone());
            }
            ReportEvent::Name(address, name) => {
                self.names.add(address, name);
            }
            _ => {}
        }
        Ok(())
    }
}
