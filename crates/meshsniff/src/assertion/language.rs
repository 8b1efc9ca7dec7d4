//! The language of assertions.
//!
//! ```text
//! assertion = [ "require" ] condition [ "where" terms ]
//!                                               terms as of --filter-http; require: what must be,
//!                                               otherwise it says what must not be
//! condition = what [ operator value ]           what alone means what>0
//! operator  = > >= < <= == !=                   = is ==
//! what      = exchanges                         how many there are
//!           | VERDICT | not-ok | not-good       exchanges that ended so
//!           | findings | findings.KIND          exchanges with such a finding
//!           | terms                             exchanges that fit: certainty=uncertain, status=5xx
//!           | connects_failed                   connections refused or timed out
//!           | connect-refused | connect-timeout | tls-failed | tls-left-waiting | …
//!           | tls.handshake_ms | tls.server_ms | tls.client_ms
//!                                               any TLS handshake, or a side's part of it
//!           | GAP                               any exchange's gap: ack_to_client_close>400ms
//!           | GAP.min .p50 .p90 .p95 .p99 .max  a percentile (nearest rank) of a gap; p99(GAP) is
//!                                               the same
//!           | problems | problem.KIND           problems; only those of a kind include notes
//!           | 5xx | 503                         status=5xx, status=503
//!           | client_side | server_side         a success rate: client_side<99%
//!           | dropped                           packets that the kernel lost
//! value     = 3 | 1.5% | 400ms | 1.5s
//! ```

use super::near;
use crate::condition::{self, AssertionError, Condition, Filter, Operator, Order, same};
use crate::exchange::{FindingKind, Gap, Verdict};
use crate::protocol::tls::Part;
use crate::statistics::ProblemKind;
use crate::statistics::gap_values::Percentile;
use crate::time::Span;

/// An assertion: a condition that must not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    pub(super) typed: String,
    pub(super) what: Measure,
    pub(super) bound: Bound,
    /// Which exchanges the assertion is about.
    pub(super) only: Filter,
}

/// Quantity that an assertion measures.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Measure {
    /// The number of exchanges.
    Exchanges,
    /// The number of exchanges that a filter selects.
    Fitting(Filter),
    /// The number of exchanges that are not good.
    NotGood,
    /// The number of connections with one of these verdicts.
    Connects(&'static [Verdict]),
    /// The number of connections whose TLS handshake, or a part of it, took longer, or less long,
    /// than the bound.
    Handshakes(Part),
    /// The number of exchanges whose gap is beyond the bound.
    EachGap(Gap),
    /// A percentile of a gap.
    Percentile(Gap, Percentile),
    /// The share of exchanges that went well, as the client or as the server sees it.
    SuccessRate { of_server: bool },
    /// The number of problems, of one kind or of all but notes.
    Problems(Option<ProblemKind>),
    /// The number of packets that the kernel lost.
    Dropped,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bound {
    pub(super) operator: Operator,
    pub(super) value: BoundValue,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum BoundValue {
    Count(u64),
    /// A share, in millionths.
    Share(u64),
    Span(Span),
}

impl Bound {
    /// More than none.
    const ANY: Self = Self {
        operator: Operator::More,
        value: BoundValue::Count(0),
    };

    /// What must not be, if this must be.
    ///
    /// # Errors
    /// If it is not said how many there must be of what should not be at all.
    fn required(self, what: &Measure, name: &str) -> Result<Self, String> {
        if self != Self::ANY {
            return Ok(Self {
                operator: self.operator.opposite(),
                ..self
            });
        }
        match what {
            // Terms are required of all.
            Measure::Fitting(_) if !what_is_bad(name) || name.contains('=') || is_good(name) => {
                Ok(Self {
                    operator: Operator::Less,
                    value: BoundValue::Share(1_000_000),
                })
            }
            _ => Err(format!("say how many there must be, such as {name}==0")),
        }
    }
}

const CONNECTS: [(&str, &[Verdict]); 8] = [
    (
        "connects_failed",
        &[Verdict::ConnectRefused, Verdict::ConnectTimeout],
    ),
    ("connect-refused", &[Verdict::ConnectRefused]),
    ("connect-timeout", &[Verdict::ConnectTimeout]),
    ("tls-unanswered", &[Verdict::TlsUnanswered]),
    ("tls-failed", &[Verdict::TlsFailed]),
    ("tls-left-waiting", &[Verdict::TlsLeftWaiting]),
    ("tls-refused-plain", &[Verdict::TlsRefusedPlain]),
    ("plain-refused-tls", &[Verdict::PlainRefusedTls]),
];

/// What an assertion begins with that says what must be.
pub(super) const REQUIRE: &str = "require";

impl Assertion {
    /// Reads what must be: the opposite of what [`Assertion::parse`] reads.
    ///
    /// # Errors
    /// Those of [`Assertion::parse`].
    pub fn require(text: &str) -> Result<Self, AssertionError> {
        Self::parse(&format!("{REQUIRE} {}", text.trim()))
    }

    /// Reads an assertion.
    ///
    /// # Errors
    /// If `text` is not an assertion, or could never fail or never pass.
    pub fn parse(text: &str) -> Result<Self, AssertionError> {
        let typed = text.trim();
        let required = typed
            .strip_prefix(REQUIRE)
            .filter(|rest| rest.starts_with(char::is_whitespace))
            .map(str::trim);
        let condition = Condition::parse(required.unwrap_or(typed))?;
        let condition = condition.ok_or_else(|| AssertionError::Empty(typed.to_owned()))?;
        let sense = |wrong: String| AssertionError::Sense {
            assertion: typed.to_owned(),
            wrong,
        };
        let (what, mut bound) = read(&condition, &sense)?;
        if required.is_some() {
            bound = bound.required(&what, condition.name).map_err(&sense)?;
        } else if let Some(opposite) = wish(&condition, &what, &bound) {
            return Err(sense(format!(
                "an assertion says what must not be, and that reads like what should be: write \
                 {opposite}, or --require '{}'",
                condition.text
            )));
        }
        let only = condition.only;
        check(&what, &bound, &only).map_err(sense)?;
        Ok(Self {
            typed: typed.to_owned(),
            what,
            bound,
            only,
        })
    }

    /// Reads a file of assertions: one on each line, `#` begins a comment.
    ///
    /// # Errors
    /// If a line cannot be read; the sentence begins with its number.
    pub fn parse_lines(text: &str) -> Result<Vec<Self>, String> {
        let mut assertions = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = match line.split_once('#') {
                // In the middle of a word, as in a path, `#` begins no comment.
                Some((before, _)) if before.is_empty() || before.ends_with(char::is_whitespace) => {
                    before
                }
                _ => line,
            };
            if !line.trim().is_empty() {
                let read = Self::parse(line).map_err(|error| format!("line {number}: {error}"));
                assertions.push(read?);
            }
        }
        Ok(assertions)
    }

    /// Whether the assertion is about connections that never opened, which have addresses and
    /// nothing else.
    #[must_use]
    pub fn is_about_connects(&self) -> bool {
        matches!(self.what, Measure::Connects(_) | Measure::Handshakes(_))
    }

    /// Whether the assertion is about problems, which are found in the whole report.
    #[must_use]
    pub(super) const fn is_about_problems(&self) -> bool {
        matches!(self.what, Measure::Problems(_))
    }

    /// Whether the assertion needs what a redacted report lacks.
    #[must_use]
    pub fn asks_for_redacted(&self) -> bool {
        let fitting = match &self.what {
            Measure::Fitting(filter) => filter.asks_for_names(),
            _ => false,
        };
        fitting || self.only.asks_for_names()
    }

    /// The assertion as it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.typed
    }
}

fn read(
    condition: &Condition<'_>,
    sense: &impl Fn(String) -> AssertionError,
) -> Result<(Measure, Bound), AssertionError> {
    let &Condition { text, name, .. } = condition;
    let bound = |operator, value| -> Result<Bound, AssertionError> {
        let value = read_value(value).map_err(sense)?;
        Ok(Bound { operator, value })
    };
    match (&condition.order, what(name)) {
        (&Order::Of(operator, value), Some(what)) => Ok((what, bound(operator, value)?)),
        (&Order::Of(operator, value), None) if text.contains(['<', '>']) => {
            if let Some(statuses) = statuses(name, operator, value) {
                return Ok((Measure::Fitting(Filter::parse(&statuses)?), Bound::ANY));
            }
            if !name.contains('=') {
                return Err(unknown(name, text));
            }
            let fitting = Measure::Fitting(Filter::parse(name)?);
            Ok((fitting, bound(operator, value)?))
        }
        (Order::Of(..) | Order::Unknown, _) => {
            // One verdict may be a connection's, which is no exchange.
            let verdict = text.strip_prefix("verdict=").and_then(what);
            let fitting = || Filter::parse(text).map(Measure::Fitting);
            Ok((verdict.map_or_else(fitting, Ok)?, Bound::ANY))
        }
        (Order::None, Some(what)) => match what {
            Measure::Fitting(_)
            | Measure::NotGood
            | Measure::Connects(_)
            | Measure::Problems(_)
            | Measure::Dropped => Ok((what, Bound::ANY)),
            Measure::Exchanges => Err(sense(
                "say how many: exchanges<1 fails where there was none".to_owned(),
            )),
            Measure::SuccessRate { .. } => Err(sense(format!("say below what: {text}<99%"))),
            Measure::EachGap(_) | Measure::Percentile(..) | Measure::Handshakes(_) => {
                Err(sense(format!("say how long: {text}>400ms")))
            }
        },
        (Order::None, None) => Err(unknown(text, text)),
    }
}

fn unknown(name: &str, text: &str) -> AssertionError {
    let rest = text.strip_prefix(name).unwrap_or_default();
    // A percentile is one of something.
    if Percentile::parse(name).is_some() {
        let of = [Gap::RequestToResponse, Gap::Wait];
        return AssertionError::Name {
            name: name.to_owned(),
            near: of.map(|gap| format!("{}.{name}{rest}", gap.name())).into(),
        };
    }
    AssertionError::Name {
        near: near::names(name),
        name: name.to_owned(),
    }
}

/// The terms for a comparison of the status, such as `status>=500`.
fn statuses(name: &str, operator: Operator, value: &str) -> Option<String> {
    if name != "status" {
        return None;
    }
    let status: u16 = value.parse().ok()?;
    let (lowest, highest) = match operator {
        Operator::More => (status.checked_add(1)?, 999),
        Operator::AtLeast => (status, 999),
        Operator::Less => (100, status.checked_sub(1)?),
        Operator::AtMost => (100, status),
        Operator::Equal | Operator::Unequal => return None,
    };
    Some(format!("status={lowest}-{highest}"))
}

/// What the opposite would be of a condition that would fail where all is well; `None` if it would
/// not.
fn wish(condition: &Condition<'_>, what: &Measure, bound: &Bound) -> Option<String> {
    let Order::Of(_, value) = condition.order else {
        return None;
    };
    // Of a term, such as verdict=ok, the sign belongs to the term.
    let (name, operator) = (condition.name, bound.operator);
    let to_be_few = match what {
        Measure::SuccessRate { .. } => {
            let up = matches!(
                operator,
                Operator::More | Operator::AtLeast | Operator::Equal
            );
            let fails_below = if operator == Operator::More {
                "<="
            } else {
                "<"
            };
            return up.then(|| format!("{name}{fails_below}{value}"));
        }
        Measure::NotGood | Measure::Connects(_) | Measure::Problems(_) | Measure::Dropped => true,
        Measure::Fitting(_) => {
            // Of terms nobody knows how many there should be.
            what_is_bad(name) && !is_good(name)
        }
        Measure::Exchanges
        | Measure::EachGap(_)
        | Measure::Percentile(..)
        | Measure::Handshakes(_) => false,
    };
    let few = match operator {
        Operator::Less | Operator::AtMost => true,
        Operator::Equal => matches!(bound.value, BoundValue::Count(0) | BoundValue::Share(0)),
        _ => false,
    };
    let none = matches!(bound.value, BoundValue::Count(0) | BoundValue::Share(0));
    (to_be_few && few).then(|| match none {
        true => name.to_owned(),
        false => format!("{name}{}{value}", operator.opposite().sign()),
    })
}

/// Whether it is a verdict of exchanges that should be.
fn is_good(name: &str) -> bool {
    let name = name.strip_prefix("verdict=").unwrap_or(name);
    let good = [Verdict::Ok, Verdict::Upgraded].map(Verdict::name);
    good.iter().any(|good| same(good, name))
}

/// Whether these exchanges should not be.
fn what_is_bad(name: &str) -> bool {
    let failing = ["4", "5"].iter().any(|class| {
        let status = name.strip_prefix("status=").unwrap_or(name);
        status.len() == 3 && status.starts_with(class)
    });
    let verdict = condition::verdict(name.strip_prefix("verdict=").unwrap_or(name)).is_some();
    failing || verdict || same(name, "not-ok") || name.starts_with("findings")
}

/// The measure with this name; `-` and `_` are the same in it.
fn what(name: &str) -> Option<Measure> {
    if let Some((_, verdicts)) = CONNECTS.iter().find(|(known, _)| same(known, name)) {
        return Some(Measure::Connects(verdicts));
    }
    if let Some(part) = name.strip_prefix("tls.") {
        let mut parts = Part::ALL.into_iter();
        return parts
            .find(|one| same(one.name(), part))
            .map(Measure::Handshakes);
    }
    let plain = match name {
        "exchanges" => Some(Measure::Exchanges),
        "dropped" => Some(Measure::Dropped),
        "problems" => Some(Measure::Problems(None)),
        _ if same(name, "not-good") => Some(Measure::NotGood),
        _ if same(name, "client_side") => Some(Measure::SuccessRate { of_server: false }),
        _ if same(name, "server_side") => Some(Measure::SuccessRate { of_server: true }),
        _ => condition::gap(name).map(Measure::EachGap),
    };
    if plain.is_some() {
        return plain;
    }
    let called = name.strip_suffix(')').and_then(|name| name.split_once('('));
    let called = called.map(|(percentile, gap)| (gap, percentile));
    if let Some((name, percentile)) = called.or_else(|| name.rsplit_once('.'))
        && let Some(gap) = condition::gap(name)
    {
        return Some(Measure::Percentile(gap, Percentile::parse(percentile)?));
    }
    if let Some(kind) = name.strip_prefix("problem.") {
        let mut kinds = ProblemKind::all();
        let kind = kinds.find(|one| same(one.name(), kind))?;
        return Some(Measure::Problems(Some(kind)));
    }
    if is_status(name) {
        let status = format!("status={}", name.to_ascii_lowercase());
        return Filter::parse(&status).ok().map(Measure::Fitting);
    }
    let term = if name == "findings" {
        "finding=any".to_owned()
    } else if let Some(kind) = name.strip_prefix("findings.") {
        let kind = FindingKind::ALL
            .into_iter()
            .find(|one| same(one.name(), kind));
        format!("finding={}", kind?.name())
    } else if same(name, "not-ok") {
        "verdict=not-ok".to_owned()
    } else {
        format!("verdict={}", condition::verdict(name)?.name())
    };
    Filter::parse(&term).ok().map(Measure::Fitting)
}

/// Whether it can only be a status or a class of them.
fn is_status(name: &str) -> bool {
    match name.as_bytes() {
        [b'1'..=b'5', b'x' | b'X', b'x' | b'X'] => true,
        [b'1'..=b'5', rest @ ..] => rest.len() == 2 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn read_value(text: &str) -> Result<BoundValue, String> {
    if let Some(share) = condition::percent(text, 0.0..=100.0) {
        let share = share
            .map_err(|()| format!("“{text}” is not a share: give 0% to 100%, such as 1.5%"))?;
        return Ok(BoundValue::Share((share * 10_000.0).round() as u64));
    }
    if let Ok(count) = text.parse() {
        return Ok(BoundValue::Count(count));
    }
    if let Ok(share) = text.parse::<f64>() {
        let share = Some(share).filter(|share| (0.0..1.0).contains(share));
        let share = share.ok_or_else(|| {
            format!("“{text}” is neither a whole number nor a share such as 0.99")
        })?;
        return Ok(BoundValue::Share((share * 1_000_000.0).round() as u64));
    }
    condition::span(text).map(BoundValue::Span).ok_or_else(|| {
        format!(
            "“{text}” is not a value: give a number, a share or a time, such as 3, 1.5%, 400ms or 1.5s"
        )
    })
}

/// Checks that an assertion makes sense.
///
/// # Errors
/// A sentence that says why it does not.
fn check(what: &Measure, bound: &Bound, only: &Filter) -> Result<(), String> {
    let &Bound { operator, value } = bound;
    match what {
        Measure::EachGap(_) | Measure::Percentile(..) | Measure::Handshakes(_) => {
            if !matches!(value, BoundValue::Span(_)) {
                return Err("a gap is a time and wants a unit, such as 400ms or 1.5s".to_owned());
            }
            if matches!(operator, Operator::Equal | Operator::Unequal) {
                return Err("two times are hardly ever equal: compare with < or >".to_owned());
            }
        }
        Measure::SuccessRate { .. } => {
            if !matches!(value, BoundValue::Share(_) | BoundValue::Count(0 | 1)) {
                return Err("a success rate is a share, such as 99% or 0.99".to_owned());
            }
        }
        Measure::Exchanges | Measure::Connects(_) | Measure::Problems(_) | Measure::Dropped => {
            if !matches!(value, BoundValue::Count(_)) {
                return Err("that is a number: compare it with one, such as 3".to_owned());
            }
        }
        Measure::Fitting(_) | Measure::NotGood => {
            if matches!(value, BoundValue::Span(_)) {
                return Err(
                    "exchanges are counted: compare with a number or a share, such as 3 or 1%"
                        .to_owned(),
                );
            }
        }
    }
    if let Measure::Fitting(filter) = what
        && filter.asks_for_connects()
    {
        return Err(
            "a connection that never opened is no exchange: assert connect-refused, \
             connect-timeout or connects_failed by itself"
                .to_owned(),
        );
    }
    if matches!(what, Measure::Dropped) && !only.selects_all() {
        return Err(
            "packets that the kernel lost belong to no exchange: leave the where out".to_owned(),
        );
    }
    if matches!(what, Measure::Problems(_)) && !only.selects_all() {
        return Err(
            "problems are those of the whole report: leave the where out, or select exchanges with \
             --filter-http"
                .to_owned(),
        );
    }
    if matches!(what, Measure::Connects(_) | Measure::Handshakes(_)) && !only.is_about_ends() {
        return Err(
            "this is about connections, which have a client and a server and no request: where takes \
             client= and server= here"
                .to_owned(),
        );
    }
    let (lowest, highest) = match (what, value) {
        (Measure::SuccessRate { .. }, BoundValue::Count(1)) => (false, true),
        (_, BoundValue::Count(0) | BoundValue::Share(0)) => (true, false),
        (_, BoundValue::Share(1_000_000)) => (false, true),
        _ => (false, false),
    };
    let never = matches!(
        (operator, lowest, highest),
        (Operator::Less, true, _) | (Operator::More, _, true)
    );
    let always = matches!(
        (operator, lowest, highest),
        (Operator::AtLeast, true, _) | (Operator::AtMost, _, true)
    );
    if never {
        return Err("that can never be, so it would never fail".to_owned());
    }
    if always {
        return Err("that is always so, so it would always fail".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Assertion {
        Assertion::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refused(text: &str) -> String {
        Assertion::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn what_the_documentation_names() {
        let fitting = |terms| Measure::Fitting(Filter::parse(terms).unwrap());
        for (text, what, operator, value) in [
            (
                "client-gave-up",
                fitting("verdict=client-gave-up"),
                Operator::More,
                BoundValue::Count(0),
            ),
            (
                "not-ok >= 1%",
                fitting("verdict=not-ok"),
                Operator::AtLeast,
                BoundValue::Share(10_000),
            ),
            (
                "ack_to_client_close>400ms",
                Measure::EachGap(Gap::AckToClientClose),
                Operator::More,
                BoundValue::Span(Span::from_millis(400)),
            ),
            (
                "request-to-response.p99 > 0.2s",
                Measure::Percentile(Gap::RequestToResponse, Percentile::Nearest(99)),
                Operator::More,
                BoundValue::Span(Span::from_millis(200)),
            ),
            (
                "findings.zero-window",
                fitting("finding=zero-window"),
                Operator::More,
                BoundValue::Count(0),
            ),
            (
                "certainty=uncertain",
                fitting("certainty=uncertain"),
                Operator::More,
                BoundValue::Count(0),
            ),
            (
                "status=5xx>3",
                fitting("status=5xx"),
                Operator::More,
                BoundValue::Count(3),
            ),
            (
                "status!=200",
                fitting("status!=200"),
                Operator::More,
                BoundValue::Count(0),
            ),
            (
                "exchanges<1",
                Measure::Exchanges,
                Operator::Less,
                BoundValue::Count(1),
            ),
            (
                "exchanges!=4",
                Measure::Exchanges,
                Operator::Unequal,
                BoundValue::Count(4),
            ),
            (
                "client_side<0.99",
                Measure::SuccessRate { of_server: false },
                Operator::Less,
                BoundValue::Share(990_000),
            ),
            (
                "connects_failed",
                Measure::Connects(&[Verdict::ConnectRefused, Verdict::ConnectTimeout]),
                Operator::More,
                BoundValue::Count(0),
            ),
            (
                "dropped>10",
                Measure::Dropped,
                Operator::More,
                BoundValue::Count(10),
            ),
        ] {
            let read = read(text);
            assert_eq!(read.what, what, "{text}");
            assert_eq!(read.bound, Bound { operator, value }, "{text}");
            assert!(read.only.selects_all(), "{text}");
            assert_eq!(read.as_str(), text);
        }
    }

    #[test]
    fn where_selects() {
        let read = read("  request_to_response.p99>200ms  where path=/where* status=2xx ");
        assert_eq!(read.only, Filter::parse("path=/where* status=2xx").unwrap());
        assert!(matches!(
            read.what,
            Measure::Percentile(Gap::RequestToResponse, _)
        ));
    }

    #[test]
    fn nonsense_is_refused_with_what_is_right() {
        for (text, said) in [
            ("", "says nothing"),
            ("where path=/", "says nothing"),
            ("ok where", "says nothing"),
            ("client-gaveup", "client-gave-up"),
            ("client-gaveup>3", "client-gave-up"),
            ("exchanges", "exchanges<1"),
            ("exchanges<0", "never"),
            ("exchanges>=0", "always"),
            ("exchanges>1%", "number"),
            ("client_side>100%", "write client_side<=100%"),
            ("client-gave-up==0", "write client-gave-up, or --require"),
            ("client-gave-up<5", "write client-gave-up>=5, or"),
            ("5xx==0", "write 5xx, or"),
            ("findings.zero-window=0", "write findings.zero-window, or"),
            ("connects_failed<=0", "write connects_failed, or"),
            ("dropped==0", "--require 'dropped==0'"),
            ("server_side>=99%", "write server_side<99%, or"),
            ("status=6xx", "1xx to 5xx"),
            (
                "p99>250ms",
                "request_to_response.p99>250ms or wait.p99>250ms",
            ),
            (
                "request_to_response.p999>1s",
                "did you mean request_to_response.p99",
            ),
            (
                "problem.clientgaveup",
                "did you mean problem.client-gave-up",
            ),
            ("problems where path=/", "leave the where out"),
            ("client_side<5", "share"),
            ("client_side", "client_side<99%"),
            ("not-ok>200%", "0% to 100%"),
            ("not-ok>3ms", "number or a share"),
            ("total", "total>400ms"),
            ("total>400", "unit"),
            ("total>4parsecs", "400ms"),
            ("total==400ms", "< or >"),
            ("total.p100>4ms", "nothing that can be asserted"),
            ("total.p0>4ms", "nothing that can be asserted"),
            ("findings.bad-luck", "nothing that can be asserted"),
            ("certainty=maybe", "capture-ended"),
            ("status=many", "500-504"),
            ("envoy=XX", "UT"),
            ("envoy=UF", "connects_failed"),
            ("verdict=connect-refused,client-gave-up", "by itself"),
            ("dropped where path=/", "leave the where out"),
            ("connect-refused where path=/", "client= and server="),
        ] {
            let message = refused(text);
            assert!(message.contains(said), "{text}: {message}");
        }
        assert!(Assertion::parse("connect-refused where server=:80").is_ok());
    }

    #[test]
    fn what_can_mean_one_thing_is_taken_for_it() {
        for (short, long) in [
            ("5xx", "status=5xx"),
            ("503>2", "status=503>2"),
            ("status>=500", "status=500-999"),
            (
                "p99(request_to_response)>1ms",
                "request_to_response.p99>1ms",
            ),
            (
                "client-gave-up WHERE path=/a",
                "client-gave-up where path=/a",
            ),
        ] {
            let (short, long) = (read(short), read(long));
            let parts = |one: &Assertion| (one.what.clone(), one.bound, one.only.clone());
            assert_eq!(parts(&short), parts(&long));
        }
    }

    #[test]
    fn what_is_required_is_the_opposite_of_what_must_not_be() {
        for (required, forbidden) in [
            ("client-gave-up==0", "client-gave-up!=0"),
            ("server_side>=99%", "server_side<99%"),
            ("p99(wait)<=250ms", "wait.p99>250ms"),
            ("problems==0", "problems!=0"),
            ("exchanges>=10 where path=/a", "exchanges<10 where path=/a"),
        ] {
            let (required, forbidden) = (Assertion::require(required).unwrap(), read(forbidden));
            assert_eq!(
                (required.what, required.bound),
                (forbidden.what, forbidden.bound)
            );
            assert!(required.typed.starts_with("require "));
        }
        // Terms are required of all, and of what should not be it is said how many.
        for all in [
            "status<500",
            "verdict=ok",
            "ok",
            "!status=5xx",
            "verdict!=client-gave-up",
        ] {
            let bound = Assertion::require(all).unwrap().bound;
            let (operator, value) = (Operator::Less, BoundValue::Share(1_000_000));
            assert_eq!(bound, Bound { operator, value }, "{all}");
        }
        for vague in [
            "client-gave-up",
            "not-ok",
            "problems",
            "dropped",
            "connects_failed",
        ] {
            let error = Assertion::require(vague).expect_err(vague).to_string();
            assert!(error.contains(&format!("such as {vague}==0")), "{error}");
        }
        assert!(Assertion::parse("verdict=ok<5").is_ok());
        assert!(Assertion::require("server_side<0%").is_err());
        let read = Assertion::parse_lines("require server_side>=99%\n").unwrap();
        assert_eq!(read, [Assertion::require("server_side>=99%").unwrap()]);
    }

    #[test]
    fn a_file_of_them() {
        let text = "# what must not be\n\nclient-gave-up  # ever\r\n  total>1s where path=/a#b\n";
        let typed = Assertion::parse_lines(text).unwrap();
        let typed: Vec<_> = typed.iter().map(Assertion::as_str).collect();
        assert_eq!(typed, ["client-gave-up", "total>1s where path=/a#b"]);
        let error = Assertion::parse_lines("not-ok\n\nnot-okay\n").unwrap_err();
        assert!(error.starts_with("line 3: "), "{error}");
    }
}
