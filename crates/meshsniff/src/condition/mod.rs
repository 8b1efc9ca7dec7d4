//! The condition language, as users type it: for `--filter-http` and for the `--fail-on` of
//! `report` and of `compare`.
//!
//! ```text
//! assertion = condition [ "where" terms ]       terms: see filter
//! condition = name [ operator value ] | terms
//! operator  = > >= < <= == !=                   = is ==
//! ```
//!
//! This module takes an assertion apart. [`crate::assertion`] and [`crate::compare`] decide what a
//! name stands for and which values make sense with it. The parser is written by hand: it is 60
//! lines of the language. The rest is names and error sentences, which no parser generator would
//! shorten.

pub mod filter;

pub use filter::{Filter, FilterError};

use crate::exchange::{Gap, Verdict};
use crate::time::{Span, parse_duration};

/// Why an assertion cannot be read or makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssertionError {
    /// An empty text, or a `where` without a condition or terms.
    #[error(
        "“{0}” says nothing that could be: name a verdict, a gap or the like, as in \
         client-gave-up or ack_to_client_close>400ms"
    )]
    Empty(String),
    /// An unknown name.
    #[error(
        "“{name}” is nothing that can be asserted{} What can be stands at --fail-on in kubectl \
         meshsniff report --help",
        did_you_mean(near)
    )]
    Name {
        /// The name.
        name: String,
        /// Those that come near, the nearest first.
        near: Vec<String>,
    },
    /// A filter that cannot be read.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Anything else, as a sentence.
    #[error("in “{assertion}”: {wrong}")]
    Sense {
        /// The assertion.
        assertion: String,
        /// What is wrong, and what would be right.
        wrong: String,
    },
}

fn did_you_mean(near: &[String]) -> String {
    match near {
        [] => ".".to_owned(),
        [one] => format!(": did you mean {one}?"),
        [some @ .., last] => format!(": did you mean {} or {last}?", some.join(", ")),
    }
}

/// A comparison of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    More,
    AtLeast,
    Less,
    AtMost,
    Equal,
    Unequal,
}

impl Operator {
    /// The signs of the operators. A sign stands before those that begin it.
    const SIGNS: [(&'static str, Self); 7] = [
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        ("==", Self::Equal),
        ("!=", Self::Unequal),
        (">", Self::More),
        ("<", Self::Less),
        ("=", Self::Equal),
    ];

    pub(crate) fn holds<T: PartialOrd>(self, found: T, bound: T) -> bool {
        match self {
            Self::More => found > bound,
            Self::AtLeast => found >= bound,
            Self::Less => found < bound,
            Self::AtMost => found <= bound,
            Self::Equal => found == bound,
            Self::Unequal => found != bound,
        }
    }

    /// The operator that holds where this one does not.
    pub(crate) const fn opposite(self) -> Self {
        match self {
            Self::More => Self::AtMost,
            Self::AtLeast => Self::Less,
            Self::Less => Self::AtLeast,
            Self::AtMost => Self::More,
            Self::Equal => Self::Unequal,
            Self::Unequal => Self::Equal,
        }
    }

    /// The sign, as it is typed.
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::More => ">",
            Self::AtLeast => ">=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Equal => "==",
            Self::Unequal => "!=",
        }
    }

    /// Whether larger values are the ones that fail.
    pub(crate) const fn is_upper(self) -> bool {
        matches!(self, Self::More | Self::AtLeast)
    }
}

/// An assertion, taken apart.
pub(crate) struct Condition<'a> {
    /// Everything before `where`.
    pub(crate) text: &'a str,
    /// The name: everything before the operator.
    pub(crate) name: &'a str,
    /// The operator and the value.
    pub(crate) order: Order<'a>,
    /// The terms behind `where`.
    pub(crate) only: Filter,
}

/// The part of a condition behind its name.
pub(crate) enum Order<'a> {
    /// Nothing.
    None,
    /// An operator and a value.
    Of(Operator, &'a str),
    /// A sign that is no operator, as in the term `!status=5xx`.
    Unknown,
}

impl<'a> Condition<'a> {
    /// Takes an assertion apart. Returns `None` if nothing stands before or behind `where`.
    ///
    /// # Errors
    /// If the terms cannot be read.
    pub(crate) fn parse(typed: &'a str) -> Result<Option<Self>, FilterError> {
        let (text, terms) = split_where(typed);
        if text.is_empty() || terms.is_some_and(str::is_empty) {
            return Ok(None);
        }
        let only = Filter::parse(terms.unwrap_or_default())?;
        // `<` and `>` tell a comparison from terms, which know only `=` and `!=`.
        let sign = text.find(['<', '>']).or_else(|| text.find(['=', '!']));
        let (name, rest) = text.split_at(sign.unwrap_or(text.len()));
        let mut signs = Operator::SIGNS.into_iter();
        let found = signs.find_map(|(sign, one)| Some((one, rest.strip_prefix(sign)?.trim())));
        Ok(Some(Self {
            text,
            name: name.trim(),
            order: match (sign, found) {
                (None, _) => Order::None,
                (_, Some((operator, value))) => Order::Of(operator, value),
                _ => Order::Unknown,
            },
            only,
        }))
    }
}

fn split_where(typed: &str) -> (&str, Option<&str>) {
    // `where` may stand among blanks of any kind and number, in letters of any case.
    let lower = typed.to_ascii_lowercase();
    let mut from = 0;
    while let Some(at) = lower[from..].find("where") {
        let (begin, end) = (from + at, from + at + "where".len());
        let (before, after) = (&typed[..begin], &typed[end..]);
        let alone = (before.is_empty() || before.ends_with(char::is_whitespace))
            && (after.is_empty() || after.starts_with(char::is_whitespace));
        if alone {
            return (before.trim(), Some(after.trim()));
        }
        from = end;
    }
    (typed, None)
}

/// Whether two names are the same, if `-` and `_` are.
pub(crate) fn same(one: &str, other: &str) -> bool {
    let plain = |c: u8| if c == b'-' { b'_' } else { c };
    one.bytes().map(plain).eq(other.bytes().map(plain))
}

/// The gap with this name.
#[must_use]
pub fn gap(name: &str) -> Option<Gap> {
    Gap::ALL.into_iter().find(|gap| same(gap.name(), name))
}

/// The verdict with this name.
pub(crate) fn verdict(name: &str) -> Option<Verdict> {
    let mut verdicts = Verdict::ALL.into_iter();
    verdicts.find(|verdict| same(verdict.name(), name))
}

/// Reads a time such as `400ms`.
pub(crate) fn span(text: &str) -> Option<Span> {
    let nanos = parse_duration(text).ok()?.as_nanos();
    Some(Span::from_nanos(i64::try_from(nanos).ok()?))
}

/// Reads a percentage such as `20%`. Returns `None` for any other text, an error for a number that
/// is not allowed.
pub(crate) fn percent(
    text: &str,
    allowed: std::ops::RangeInclusive<f64>,
) -> Option<Result<f64, ()>> {
    let number = text.strip_suffix('%')?.trim().parse().ok();
    Some(number.filter(|number| allowed.contains(number)).ok_or(()))
}
