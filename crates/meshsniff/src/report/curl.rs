//! An exchange as a `curl` command that sends its request again.
//!
//! The request is what the packets say, as [`Conversation`](crate::conversation::Conversation)
//! reads them. What curl would add by itself is taken out, and what cannot be sent again is said in
//! comments. These have neither quotes nor text from the wire: zsh, at a prompt, takes a comment
//! for a command.

use super::chunks::unchunked;
use super::secrets;
use super::shell::{Exact, Printed};
use crate::conversation::{Entry, What};
use crate::escape;
use crate::exchange::{Exchange, Side};
use crate::number;
use crate::piece::{At, Bytes, Counted, Number, push};
use crate::time::Span;

/// The longest body that is written into a command, as it was sent.
pub const MAX_BODY: usize = 8 << 10;

/// Fields that curl sends unless it is told otherwise.
const BY_ITSELF: [&str; 2] = ["User-Agent", "Accept"];

/// A request as it was captured.
struct Request<'a> {
    method: &'a [u8],
    target: &'a [u8],
    /// The minor version of HTTP/1, as a digit.
    minor: &'a [u8],
    fields: Vec<(&'a [u8], Vec<u8>)>,
    /// Lines of the head that are no field.
    odd: u64,
    /// Whether all of the head is there.
    whole: bool,
    body: Body<'a>,
    /// Whether it was inside of TLS.
    encrypted: bool,
}

/// What follows the head.
enum Body<'a> {
    None,
    Whole(&'a [u8]),
    /// So many bytes, and not all of them are there.
    Cut(u64),
    Long(u64),
}

/// Pushes the command. `nth`: which of the requests that begin in its frame it is, from 0.
/// `secret`: the fields that are left out, in lower case. `credentials`: whether those of a query are
/// shown. Returns `false` if the capture does not have its request line.
#[must_use]
pub fn push_command(
    out: &mut String,
    exchange: &Exchange,
    entries: &[Entry],
    nth: usize,
    secret: &[String],
    credentials: bool,
) -> bool {
    let Some(mut request) = Request::find(exchange, entries, nth) else {
        return false;
    };
    request.encrypted = exchange.encrypted;
    let mut comments = Vec::new();
    let masked = secrets::masked(request.target).filter(|_| !credentials);
    if let Some((target, names)) = &masked {
        request.target = target;
        comments.push(format!(
            "left out as secret, of the query: {}",
            names.join(", ")
        ));
    }
    let mut options = Vec::new();
    let mut piped = None;
    let mut data = Vec::new();
    let sent = request.body(&mut comments, &mut piped, &mut data);
    request.line(exchange, secret, sent, &mut options);
    request.fields(secret, sent, &mut comments, &mut options);
    options.append(&mut data);
    if let Some((limit, why)) = limit(exchange) {
        let mut text = String::from("max-time is ");
        push!(&mut text; why);
        comments.push(text);
        let mut option = String::from("--max-time ");
        // No time at all is no limit to curl.
        number::decimal(&mut option, number::micros(limit).max(1_000) / 1_000, 3, 0);
        options.push(option);
    }
    push!(out; "# exchange ", Number(exchange.id), ": ", exchange.verdict.name(), "\n");
    for comment in comments {
        out.push_str("# ");
        out.push_str(&comment);
        out.push('\n');
    }
    if let Some(bytes) = piped {
        push!(out; Printed(&bytes), " | ");
    }
    out.push_str("curl");
    for (index, option) in options.iter().enumerate() {
        out.push_str(if index > 0 { " \\\n  " } else { " " });
        out.push_str(option);
    }
    out.push('\n');
    true
}

/// How long the caller waited or meant to wait, and how that is known.
fn limit(exchange: &Exchange) -> Option<(Span, &'static str)> {
    let announced = exchange.expected_timeout.filter(|span| *span > Span::ZERO);
    let measured = exchange.gaps.wait;
    let measured = measured.filter(|_| exchange.verdict.ended_by_client());
    announced
        .map(|span| (span, "the timeout that the request announces"))
        .or(exchange
            .timeout_guess
            .map(|span| (span, "the timer that fits the close of the client")))
        .or(measured.map(|span| (span, "the time after which the client closed")))
}

impl<'a> Request<'a> {
    fn find(exchange: &Exchange, entries: &'a [Entry], nth: usize) -> Option<Self> {
        let start = exchange.events.request_start.order;
        let begins = |entry: &&Entry| {
            matches!(entry.what, What::Line { first: true, .. }) && entry.mark.order == start
        };
        let said = entries.iter().filter(|entry| entry.from == Side::Client);
        let mut said = said.skip_while(|entry| !begins(entry));
        let mut line = said.next()?;
        for _ in 0..nth {
            line = said.find(begins)?;
        }
        let What::Line { line, cut, .. } = &line.what else {
            return None;
        };
        let (method, target, minor) = request_line(line)?;
        let mut request = Self {
            method,
            target,
            minor,
            fields: Vec::new(),
            odd: 0,
            whole: false,
            encrypted: false,
            body: Body::None,
        };
        if !cut {
            request.read(said);
        }
        Some(request)
    }

    /// Reads what follows the request line.
    fn read(&mut self, said: impl Iterator<Item = &'a Entry>) {
        let mut can_fold = false;
        for entry in said {
            match &entry.what {
                What::Line { first: true, .. } => break,
                // What is cut may be cut anywhere.
                What::Line { cut: true, .. } => break,
                What::Line { line, .. } if line.is_empty() => self.whole = true,
                What::Line {
                    line,
                    folds: Some(_),
                    ..
                } => {
                    if let Some((_, value)) = self.fields.last_mut().filter(|_| can_fold) {
                        // A line break inside a value stands for a blank (RFC 9112, 5.2).
                        value.push(b' ');
                        value.extend(line.trim_ascii());
                    }
                }
                What::Line { line, .. } => {
                    let field = field(line);
                    can_fold = field.is_some();
                    self.odd += u64::from(field.is_none());
                    self.fields.extend(field);
                }
                What::Body {
                    size, begin, whole, ..
                } => {
                    self.body = if *size > MAX_BODY as u64 {
                        Body::Long(*size)
                    } else if *whole && begin.len() as u64 == *size {
                        Body::Whole(begin)
                    } else {
                        Body::Cut(*size)
                    };
                    break;
                }
                _ => {}
            }
        }
    }

    /// The value of a field.
    fn value(&self, wanted: &str) -> Option<&[u8]> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
        found.map(|(_, value)| &**value)
    }

    fn is_chunked(&self) -> bool {
        let coding = self.value("transfer-encoding").unwrap_or_default();
        coding.to_ascii_lowercase().ends_with(b"chunked")
    }

    /// Its scheme, and the port that is not said.
    const fn scheme(&self) -> (&'static str, u16) {
        if self.encrypted {
            ("https", 443)
        } else {
            ("http", 80)
        }
    }

    /// Pushes the method, the URL, and where it goes. `sent`: whether there is a body.
    fn line(&self, exchange: &Exchange, secret: &[String], sent: bool, options: &mut Vec<String>) {
        // The answer to a HEAD has no body, and curl waits for one unless it asks by itself.
        match self.method {
            b"GET" if !sent => {}
            b"HEAD" => options.push("--head".to_owned()),
            method => options.push(option("--request", method)),
        }
        if self.minor == b"0" {
            options.push("--http1.0".to_owned());
        }
        let server = exchange.server;
        let (scheme, usual) = if exchange.encrypted {
            ("https", 443)
        } else {
            ("http", 80)
        };
        let host = self.value("host");
        let host = host.and_then(|host| plain_host(host, usual));
        let host = host.filter(|_| !is_secret(b"host", secret));
        let mut url = format!("{scheme}://");
        match host {
            Some(host) => {
                url.push_str(host);
                let to = format!("::{server}");
                options.push(option("--connect-to", to.as_bytes()));
            }
            None => push!(&mut url; At(server)),
        }
        if is_plain_target(self.target) {
            url.push_str(std::str::from_utf8(self.target).unwrap_or("/"));
            // Else curl resolves dots, encoded ones too, and reads lists in brackets.
            if self
                .target
                .windows(2)
                .any(|two| two == b"/." || two == b"%2")
            {
                options.push("--path-as-is".to_owned());
            }
            if self.target.iter().any(|byte| b"[]{}".contains(byte)) {
                options.push("--globoff".to_owned());
            }
        } else {
            url.push('/');
            options.push(option("--request-target", self.target));
        }
        options.push(option("--url", url.as_bytes()));
    }

    /// Pushes the body. Returns whether it is sent.
    fn body(
        &self,
        comments: &mut Vec<String>,
        piped: &mut Option<Vec<u8>>,
        options: &mut Vec<String>,
    ) -> bool {
        let mut comment = String::from("left out: the body of ");
        let bytes = match self.body {
            Body::None => return false,
            Body::Whole(_) if self.method == b"HEAD" => {
                comment.push_str("a HEAD, which curl does not send");
                comments.push(comment);
                return false;
            }
            Body::Whole(bytes) => bytes,
            Body::Cut(size) => {
                push!(&mut comment; Bytes(size), ", which the capture does not have as a whole");
                comments.push(comment);
                return false;
            }
            Body::Long(size) => {
                push!(&mut comment; Bytes(size), ", which is too long for a command");
                comments.push(comment);
                return false;
            }
        };
        let decoded = self.is_chunked().then(|| unchunked(bytes));
        let bytes = match decoded {
            None => bytes.to_vec(),
            Some((bytes, true)) => bytes,
            Some((_, false)) => {
                comment.push_str("chunks that cannot be read");
                comments.push(comment);
                return false;
            }
        };
        let text = std::str::from_utf8(&bytes).ok();
        if text.is_some_and(|text| escape::is_harmless(text, &['\n'])) {
            options.push(option("--data-raw", &bytes));
        } else {
            options.push("--data-binary @-".to_owned());
            *piped = Some(bytes);
        }
        true
    }

    /// Pushes the header fields. `sent`: whether there is a body, of which curl tells the length.
    fn fields(
        &self,
        secret: &[String],
        sent: bool,
        comments: &mut Vec<String>,
        options: &mut Vec<String>,
    ) {
        let mut masked: Vec<&str> = Vec::new();
        let mut odd = self.odd;
        for (name, value) in &self.fields {
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
            if let Some(known) = secret.iter().find(|known| is(known)) {
                // The word is one that was given here, not one from the wire.
                if !masked.contains(&known.as_str()) {
                    masked.push(known);
                }
                continue;
            }
            // The URL says it.
            if is("host") && plain_host(value, self.scheme().1).is_some() {
                continue;
            }
            let has_length = is("content-length");
            let has_body = !matches!(self.body, Body::None);
            if has_length && (sent || has_body) || is("transfer-encoding") && !sent {
                continue;
            }
            if value.contains(&0) {
                odd += 1;
                continue;
            }
            let mut line = name.to_vec();
            if value.is_empty() {
                // With a colon and nothing behind it curl leaves a field out.
                line.push(b';');
            } else {
                line.extend(b": ");
                line.extend(value);
            }
            options.push(option("--header", &line));
        }
        let without = |name: &str| self.value(name).is_none() || is_secret(name.as_bytes(), secret);
        let typed = sent.then_some("Content-Type");
        let host = self.value("host").is_none().then_some("Host");
        for name in BY_ITSELF.into_iter().chain(typed).chain(host) {
            if without(name) {
                options.push(format!("--header {name}:"));
            }
        }
        if !masked.is_empty() {
            let plain = |name: &&&str| {
                let mut bytes = name.bytes();
                bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            };
            let names: Vec<&str> = masked.iter().filter(plain).copied().collect();
            comments.push(format!("left out as secret: {}", names.join(", ")));
        }
        if odd > 0 {
            let mut text = String::from("left out: ");
            push!(&mut text; Counted(odd, "line", "lines"), " of the head that curl cannot send");
            comments.push(text);
        }
        if !self.whole {
            comments.push("left out: the rest of the head, which the capture lacks".to_owned());
        }
    }
}

/// An option with its value.
fn option(name: &'static str, value: &[u8]) -> String {
    let mut text = String::new();
    push!(&mut text; name, " ", Exact(value));
    text
}

fn is_secret(name: &[u8], secret: &[String]) -> bool {
    let mut known = secret.iter();
    known.any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Method, target and minor version of a request line.
fn request_line(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let first = memchr::memchr(b' ', line)?;
    let (method, rest) = (&line[..first], &line[first + 1..]);
    let last = memchr::memrchr(b' ', rest)?;
    let minor = rest[last + 1..].trim_ascii().strip_prefix(b"HTTP/1.")?;
    let is_sent = |bytes: &[u8]| !bytes.is_empty() && !bytes.contains(&0);
    let target = &rest[..last];
    (is_sent(method) && is_sent(target)).then_some((method, target, minor))
}

/// Name and value of a field line; `None` if curl would take it for something else.
fn field(line: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let colon = memchr::memchr(b':', line)?;
    let name = &line[..colon];
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let is_name = !name.is_empty() && name.iter().all(is_token);
    is_name.then(|| (name, line[colon + 1..].trim_ascii().to_vec()))
}

/// A host that curl sends as it stands in the URL: without the usual port, which it would leave out.
fn plain_host(host: &[u8], usual: u16) -> Option<&str> {
    let host = std::str::from_utf8(host).ok()?;
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let is_name = name.bytes().all(plain) && name.starts_with(|c: char| c.is_ascii_lowercase());
    let is_name = is_name || name.parse::<std::net::Ipv4Addr>().is_ok();
    let fits = |port: &str| {
        let number = port.parse::<u16>();
        number.is_ok_and(|number| number != usual && number > 0 && number.to_string() == port)
    };
    (is_name && name.len() < 254 && !name.ends_with('.') && port.is_none_or(fits)).then_some(host)
}

/// Whether a target can stand in a URL and is sent as it stands there.
fn is_plain_target(target: &[u8]) -> bool {
    let plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"/?-._~%!$&'()*+,;=:@[]{}".contains(byte);
    target.starts_with(b"/") && !target.starts_with(b"//") && target.iter().all(plain)
}
