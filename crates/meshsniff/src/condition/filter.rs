//! The filter language: `--filter-http 'method=GET path=/items* status=5xx'`.
//!
//! Terms are separated by blanks, and all of them must hold. Values of a term are separated by
//! commas, and one of them must hold. A leading `!` negates a term. Whoever needs more has `-o
//! jsonl` and `jq`.

use crate::exchange::{
    Connection, Doubt, EnvoyFlags, ErrorCode, Exchange, FindingKind, Side, Status, Verdict,
};
use crate::packet::Endpoint;
use compact_str::CompactString;
use std::net::{IpAddr, SocketAddr};

/// Why a filter cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// A term without `=`, or with an unknown name.
    #[error(
        "“{0}” is not a term of a filter: method=, path=, status=, verdict=, host=, request-id=, \
         client=, server=, certainty=, finding=, envoy=, protocol=, reset= and grpc-status= are, \
         each with a value"
    )]
    Term(String),
    /// A value that the term does not take.
    #[error("“{value}” is not {expected}")]
    Value {
        /// The value.
        value: String,
        /// The values that the term takes.
        expected: String,
    },
}

/// A filter of exchanges. The default one selects all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    negated: bool,
    any_of: Vec<Test>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Method(CompactString),
    Path(Glob),
    /// The lowest and the highest status.
    Status(u16, u16),
    NoStatus,
    Verdict(Verdict),
    NotOk,
    Certain,
    Uncertain,
    Doubt(Doubt),
    AnyFinding,
    Finding(FindingKind),
    Envoy(&'static str),
    Http2(bool),
    AnyReset,
    ResetBy(Side),
    Reset(ErrorCode),
    NoCall,
    GrpcStatus(Status),
    Host(Glob),
    RequestId(Glob),
    Client(Address),
    Server(Address),
}

/// An address, a port, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Address {
    ip: Option<IpAddr>,
    port: Option<u16>,
}

/// Text in which `*` stands for any number of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Glob(String);

/// An exchange or a connection that terms are tested on. No value fits a field that it does not
/// have.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Exchange(&'a Exchange),
    Connection(&'a Connection),
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// If a term cannot be read; the sentence says what is allowed.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let terms = text.split_whitespace().map(Term::parse);
        Ok(Self {
            terms: terms.collect::<Result<_, _>>()?,
        })
    }

    /// A filter that selects what both filters select.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.terms.extend(other.terms);
        self
    }

    /// Whether the filter selects everything.
    #[must_use]
    pub fn selects_all(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether the filter only tests addresses, which connections that never opened have as well.
    #[must_use]
    pub fn is_about_ends(&self) -> bool {
        self.terms.iter().all(Term::is_about_ends)
    }

    /// Whether the filter only tests methods and paths, which routes have as well.
    #[must_use]
    pub fn is_about_routes(&self) -> bool {
        let mut tests = self.terms.iter().flat_map(|term| &term.any_of);
        tests.all(|test| matches!(test, Test::Method(_) | Test::Path(_)))
    }

    /// Whether the filter tests for something that only connections have which never opened.
    #[must_use]
    pub fn asks_for_connects(&self) -> bool {
        let mut tests = self.terms.iter().flat_map(|term| &term.any_of);
        tests.any(|test| {
            matches!(test, Test::Verdict(verdict) if verdict.is_of_connection())
                || matches!(test, Test::Envoy("UF" | "URX"))
        })
    }

    /// Whether the filter tests a path, a host or a request id.
    #[must_use]
    pub fn asks_for_names(&self) -> bool {
        let tests = self.terms.iter().flat_map(|term| &term.any_of);
        let mut names =
            tests.filter(|test| matches!(test, Test::Path(_) | Test::Host(_) | Test::RequestId(_)));
        names.next().is_some()
    }

    /// Whether the filter selects an exchange.
    #[must_use]
    pub fn exchange(&self, exchange: &Exchange) -> bool {
        let subject = Subject::Exchange(exchange);
        self.terms.iter().all(|term| term.holds(subject))
    }

    /// Whether the filter selects a connection. Of one that opened, only its ends are tested: its
    /// exchanges stand for the rest. One that never opened stands for itself, and has no method,
    /// path or status.
    #[must_use]
    pub fn connection(&self, connection: &Connection) -> bool {
        let subject = Subject::Connection(connection);
        self.terms.iter().all(|term| {
            (connection.verdict.is_none() && !term.is_about_ends()) || term.holds(subject)
        })
    }
}

impl Term {
    fn parse(text: &str) -> Result<Self, FilterError> {
        let wrong = || FilterError::Term(text.to_owned());
        let (name, values) = text.split_once('=').ok_or_else(wrong)?;
        // `!status=5xx`, `status!=5xx` and `status=!5xx` mean the same.
        let before = name.strip_prefix('!').or_else(|| name.strip_suffix('!'));
        let after = values.strip_prefix('!');
        let name = before.unwrap_or(name);
        let values = after.unwrap_or(values);
        if before.is_some() && after.is_some() || values.is_empty() {
            return Err(wrong());
        }
        let test: fn(&str) -> Result<Test, FilterError> = match name {
            "method" => |value| Ok(Test::Method(value.to_ascii_uppercase().into())),
            "path" => |value| Ok(Test::Path(Glob(value.to_owned()))),
            "status" => status,
            "verdict" => verdict,
            "certainty" => certainty,
            "finding" => finding,
            "envoy" => envoy,
            "protocol" => protocol,
            "reset" => reset,
            "grpc-status" => grpc_status,
            "host" => |value| Ok(Test::Host(Glob(value.to_ascii_lowercase()))),
            "request-id" => |value| Ok(Test::RequestId(Glob(value.to_ascii_lowercase()))),
            "client" => |value| address(value).map(Test::Client),
            "server" => |value| address(value).map(Test::Server),
            _ => return Err(wrong()),
        };
        let any_of = values.split(',').map(|value| match value {
            "" => Err(wrong()),
            value => test(value),
        });
        Ok(Self {
            negated: before.is_some() || after.is_some(),
            any_of: any_of.collect::<Result<_, _>>()?,
        })
    }

    fn holds(&self, subject: Subject<'_>) -> bool {
        self.any_of.iter().any(|test| test.fits(subject)) != self.negated
    }

    fn is_about_ends(&self) -> bool {
        self.any_of
            .iter()
            .all(|test| matches!(test, Test::Client(_) | Test::Server(_)))
    }
}

impl Test {
    fn fits(&self, subject: Subject<'_>) -> bool {
        let (client, server, exchange, found) = match subject {
            Subject::Exchange(it) => (it.client, it.server, Some(it), Some(it.verdict)),
            Subject::Connection(it) => (it.client, it.server, None, it.verdict),
        };
        match self {
            Self::Client(address) => address.fits(client),
            Self::Server(address) => address.fits(server),
            Self::Verdict(verdict) => found == Some(*verdict),
            Self::NotOk => !matches!(found, Some(Verdict::Ok | Verdict::Upgraded)),
            Self::Envoy(flag) => match subject {
                Subject::Exchange(it) => it.envoy.has(flag),
                Subject::Connection(it) => it.envoy.has(flag),
            },
            _ => exchange.is_some_and(|exchange| self.fits_exchange(exchange)),
        }
    }

    fn fits_exchange(&self, exchange: &Exchange) -> bool {
        match self {
            Self::Method(method) => exchange.method.as_ref() == Some(method),
            Self::Path(glob) => exchange.path.as_deref().is_some_and(|path| {
                // A pattern without a query fits any query.
                let bare = path.split('?').next().unwrap_or(path);
                glob.fits(path) || (!glob.0.contains('?') && glob.fits(bare))
            }),
            Self::Status(lowest, highest) => exchange
                .status
                .is_some_and(|status| (*lowest..=*highest).contains(&status)),
            Self::NoStatus => exchange.status.is_none(),
            Self::Host(glob) => exchange.authority.as_deref().is_some_and(|host| {
                let host = host.to_ascii_lowercase();
                glob.fits(&host) || glob.fits(without_port(&host))
            }),
            Self::RequestId(glob) => exchange
                .request_id
                .as_deref()
                .is_some_and(|id| glob.fits(&id.to_ascii_lowercase())),
            Self::Certain => exchange.doubt.is_none(),
            Self::Uncertain => exchange.doubt.is_some(),
            Self::Doubt(doubt) => exchange.doubt == Some(*doubt),
            Self::AnyFinding => !exchange.findings.is_empty(),
            Self::Finding(kind) => exchange.finding(*kind).is_some(),
            Self::Http2(http2) => exchange.stream.is_some() == *http2,
            Self::AnyReset => exchange.reset.is_some(),
            Self::ResetBy(side) => exchange.reset.is_some_and(|end| end.by == *side),
            Self::Reset(code) => exchange.reset.is_some_and(|end| end.code == *code),
            Self::NoCall => grpc_status_of(exchange).is_none(),
            Self::GrpcStatus(status) => grpc_status_of(exchange) == Some(*status),
            Self::Verdict(_) | Self::NotOk | Self::Envoy(_) | Self::Client(_) | Self::Server(_) => {
                false
            }
        }
    }
}

/// The status of a call that ended with one.
fn grpc_status_of(exchange: &Exchange) -> Option<Status> {
    exchange.grpc.as_deref()?.status
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn status(value: &str) -> Result<Test, FilterError> {
    let code = |text: &str| {
        let number = text.parse().ok()?;
        (100..=999).contains(&number).then_some(number)
    };
    let range = || match value.as_bytes() {
        [class @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'] => {
            let lowest = u16::from(class - b'0') * 100;
            Some(Test::Status(lowest, lowest + 99))
        }
        b"none" => Some(Test::NoStatus),
        _ => {
            let (lowest, highest) = value.split_once('-').unwrap_or((value, value));
            let (lowest, highest) = (code(lowest)?, code(highest)?);
            (lowest <= highest).then_some(Test::Status(lowest, highest))
        }
    };
    range().ok_or_else(|| FilterError::Value {
        value: value.to_owned(),
        expected: "a status: 404, 1xx to 5xx, 500-504 and none are".to_owned(),
    })
}

/// The one of `all` whose name is `value`.
///
/// # Errors
/// The names that are allowed.
fn named<T: Copy>(
    value: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
    (what, more): (&str, &[&str]),
) -> Result<T, FilterError> {
    let found = all.iter().copied().find(|one| name(*one) == value);
    found.ok_or_else(|| {
        let names = more.iter().copied().chain(all.iter().map(|one| name(*one)));
        let names: Vec<&str> = names.collect();
        FilterError::Value {
            value: value.to_owned(),
            expected: format!("{what}: {} are", names.join(", ")),
        }
    })
}

fn verdict(value: &str) -> Result<Test, FilterError> {
    if value == "not-ok" {
        return Ok(Test::NotOk);
    }
    named(
        value,
        &Verdict::ALL,
        Verdict::name,
        ("a verdict", &["not-ok"]),
    )
    .map(Test::Verdict)
}

fn certainty(value: &str) -> Result<Test, FilterError> {
    match value {
        "certain" => Ok(Test::Certain),
        "uncertain" => Ok(Test::Uncertain),
        _ => named(
            value,
            &Doubt::ALL,
            Doubt::name,
            ("a certainty", &["certain", "uncertain"]),
        )
        .map(Test::Doubt),
    }
}

fn finding(value: &str) -> Result<Test, FilterError> {
    if value == "any" {
        return Ok(Test::AnyFinding);
    }
    named(
        value,
        &FindingKind::ALL,
        FindingKind::name,
        ("a finding", &["any"]),
    )
    .map(Test::Finding)
}

fn envoy(value: &str) -> Result<Test, FilterError> {
    let flags = EnvoyFlags::KNOWN;
    named(
        value,
        &flags,
        |flag| flag,
        ("a response flag that meshsniff expects", &[]),
    )
    .map(Test::Envoy)
}

fn protocol(value: &str) -> Result<Test, FilterError> {
    let protocols = [("http/1", false), ("http/2", true)];
    named(
        value,
        &protocols,
        |(name, _)| name,
        ("a protocol with exchanges", &[]),
    )
    .map(|(_, http2)| Test::Http2(http2))
}

/// Who reset a stream, or the error code that was given.
fn reset(value: &str) -> Result<Test, FilterError> {
    match value {
        "any" => return Ok(Test::AnyReset),
        "client" => return Ok(Test::ResetBy(Side::Client)),
        "server" => return Ok(Test::ResetBy(Side::Server)),
        _ => {}
    }
    if let Some(code) = ErrorCode::by_name(value) {
        return Ok(Test::Reset(code));
    }
    let names = ("the reset of a stream", &["any", "client", "server"][..]);
    named(value, ErrorCode::names(), |name| name, names).map(|_| Test::AnyReset)
}

/// The status of a call, by name or number.
fn grpc_status(value: &str) -> Result<Test, FilterError> {
    if value == "none" {
        return Ok(Test::NoCall);
    }
    if let Some(status) = Status::by_name(value) {
        return Ok(Test::GrpcStatus(status));
    }
    let names = ("the status of a call", &["none"][..]);
    named(value, Status::names(), |name| name, names).map(|_| Test::NoCall)
}

fn address(value: &str) -> Result<Address, FilterError> {
    let whole = |ip, port| Some(Address { ip, port });
    let parsed = if let Ok(both) = value.parse::<SocketAddr>() {
        whole(Some(both.ip()), Some(both.port()))
    } else if let Some(port) = value.strip_prefix(':').and_then(|port| port.parse().ok()) {
        whole(None, Some(port))
    } else {
        let bare = value
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let ip = bare.unwrap_or(value).parse().ok();
        ip.and_then(|ip: IpAddr| whole(Some(ip), None))
    };
    parsed.ok_or_else(|| FilterError::Value {
        value: value.to_owned(),
        expected: "an address: 10.0.0.1, 10.0.0.1:80, [::1]:80 and :80 are".to_owned(),
    })
}

impl Address {
    fn fits(self, end: Endpoint) -> bool {
        let ip = self.ip.is_none_or(|ip| ip.to_canonical() == end.ip());
        ip && self.port.is_none_or(|port| port == end.port)
    }
}

impl Glob {
    fn fits(&self, text: &str) -> bool {
        fits(&self.0, text)
    }
}

/// Whether `text` fits a pattern in which `*` stands for any number of characters. It takes linear
/// memory and at worst quadratic time, as it only ever goes back to the last `*`.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            last_star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star, taken)) = last_star {
            // Let the last star take one more byte.
            last_star = Some((star, taken + 1));
            p = star + 1;
            t = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::StreamReset;
    use crate::testing::fixtures;

    fn selects(filter: &str, exchange: &Exchange) -> bool {
        Filter::parse(filter).unwrap().exchange(exchange)
    }

    #[test]
    fn terms_are_and_values_are_or() {
        let gave_up = fixtures::gave_up();
        for filter in [
            "",
            "method=get",
            "method=POST,GET path=/items",
            "path=/it*s",
            "path=*",
            "status=none",
            "!status=5xx",
            "status!=5xx",
            "status=!5xx,404",
            "verdict=client-gave-up,ok",
            "verdict=not-ok",
            "certainty=certain",
            "certainty!=uncertain,snaplen",
            "finding=any",
            "finding=late-response",
            "envoy=UT",
            "host=CATALOG",
            "host=cat*",
            "request-id=D3BF*",
            "client=127.0.0.6",
            "client=127.0.0.6:48764 server=:3000",
            "server=10.244.0.5",
            "server=::ffff:10.244.0.5",
        ] {
            assert!(selects(filter, &gave_up), "{filter}");
        }
        for filter in [
            "method=POST",
            "path=/item",
            "path=/items method=PUT",
            "status=5xx",
            "!verdict=not-ok",
            "host=other",
            "client=:3000",
            "server=10.244.0.5:3001",
        ] {
            assert!(!selects(filter, &gave_up), "{filter}");
        }
    }

    #[test]
    fn statuses_paths_and_hosts() {
        let mut exchange = fixtures::ok();
        exchange.status = Some(503);
        exchange.path = Some("/items?page=2".into());
        exchange.authority = Some("Catalog:8080".into());
        for filter in [
            "status=503",
            "status=5xx",
            "status=500-504",
            "path=/items",
            "path=/items?page=2",
            "path=/items*",
            "host=catalog",
            "host=catalog:8080",
        ] {
            assert!(selects(filter, &exchange), "{filter}");
        }
        for filter in ["status=500-502", "path=/items?page=3", "host=catalog:80"] {
            assert!(!selects(filter, &exchange), "{filter}");
        }
    }

    #[test]
    fn streams_and_calls() {
        let exchange = Exchange {
            stream: Some(1),
            reset: Some(StreamReset {
                by: Side::Client,
                code: ErrorCode::CANCEL,
                by_goaway: false,
            }),
            grpc: Some(Box::new(fixtures::call())),
            ..fixtures::gave_up()
        };
        for filter in [
            "protocol=http/2",
            "reset=any",
            "reset=client",
            "reset=CANCEL",
            "reset=cancel,refused_stream",
            "grpc-status=UNAVAILABLE",
            "grpc-status=unavailable",
            "grpc-status=14",
            "!grpc-status=none",
        ] {
            assert!(selects(filter, &exchange), "{filter}");
            assert!(!selects(filter, &fixtures::gave_up()) || filter.starts_with('!'));
        }
        for filter in ["protocol=http/1", "reset=server", "grpc-status=OK"] {
            assert!(!selects(filter, &exchange), "{filter}");
        }
    }

    #[test]
    fn errors_say_what_is_allowed() {
        for (filter, allowed) in [
            ("items", "request-id="),
            ("reset=red", "REFUSED_STREAM"),
            ("grpc-status=red", "UNAVAILABLE"),
            ("protocol=red", "http/2"),
            ("colour=red", "verdict="),
            ("path=", "path="),
            ("path=a,,b", "path="),
            ("!path=!a", "path="),
            ("status=9999", "500-504"),
            ("status=504-500", "500-504"),
            ("status=ok", "5xx"),
            ("verdict=bad", "server-truncated-response"),
            ("client=localhost", "[::1]:80"),
            ("server=:70000", ":80"),
        ] {
            let error = Filter::parse(filter).unwrap_err().to_string();
            assert!(error.contains(allowed), "{filter}: {error}");
            assert!(!error.contains('\n'));
        }
    }

    #[test]
    fn connections_are_asked_only_what_they_know() {
        let selects = |filter: &str, connection: &Connection| {
            Filter::parse(filter).unwrap().connection(connection)
        };
        let (open, refused) = (fixtures::connection(), fixtures::refused());
        assert!(selects("path=/nowhere", &open));
        assert!(!selects("server=:81", &open));
        assert!(!selects("path=*", &refused));
        assert!(selects("verdict=connect-refused", &refused));
        assert!(selects("verdict=not-ok server=:3000", &refused));
        assert!(!selects("verdict=connect-timeout", &refused));
    }

    #[test]
    fn globs_end_in_time() {
        let glob = Glob(format!("{}b", "a*".repeat(50)));
        assert!(!glob.fits(&"a".repeat(10_000)));
        assert!(Glob("*b*".into()).fits("abc"));
        assert!(!Glob("*b".into()).fits("abc"));
        assert!(Glob("".into()).fits(""));
        assert!(Glob("*".into()).fits(""));
    }
}
