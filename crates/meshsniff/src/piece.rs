//! Sentences put together from pieces that are pushed straight into a `String`.
//!
//! The program's own words are `&'static str`. Text from the wire is [`Shown`] or [`Html`], so that
//! hostile text cannot pass for a word.

use crate::packet::Endpoint;
use crate::time::Span;
use crate::{escape, number};

/// Pushes pieces into a `String`, one behind the other.
macro_rules! push {
    ($out:expr; $($piece:expr),+ $(,)?) => {{
        let out: &mut String = $out;
        $($crate::piece::Piece::push($piece, out);)+
    }};
}
/// Puts pieces together into a new `String`.
macro_rules! said {
    ($($piece:expr),+ $(,)?) => {{
        let mut out = String::new();
        $crate::piece::push!(&mut out; $($piece),+);
        out
    }};
}
pub(crate) use {push, said};

/// A piece of a sentence.
pub(crate) trait Piece {
    /// Pushes the piece.
    fn push(self, out: &mut String);
}

impl Piece for &'static str {
    fn push(self, out: &mut String) {
        out.push_str(self);
    }
}

impl<P: Piece> Piece for Option<P> {
    fn push(self, out: &mut String) {
        if let Some(piece) = self {
            piece.push(out);
        }
    }
}

impl<A: Piece, B: Piece> Piece for (A, B) {
    fn push(self, out: &mut String) {
        push!(out; self.0, self.1);
    }
}

impl<A: Piece, B: Piece, C: Piece> Piece for (A, B, C) {
    fn push(self, out: &mut String) {
        push!(out; self.0, self.1, self.2);
    }
}

macro_rules! pieces {
    ($($(#[$doc:meta])* $name:ident($type:ty) => $push:path;)+) => {
        $(
            $(#[$doc])*
            pub(crate) struct $name(pub(crate) $type);

            impl Piece for $name {
                fn push(self, out: &mut String) {
                    $push(out, self.0);
                }
            }
        )+
    };
}

pieces! {
    /// A whole number.
    Number(u64) => number::unsigned;
    /// A whole number with a comma at each thousand: `1,234,567`.
    Grouped(u64) => number::grouped;
    /// A number of bytes: `31.7 kB`.
    Bytes(u64) => number::bytes;
    /// A duration as a person says it: `501.7 ms`.
    Spoken(Span) => number::spoken;
    /// Milliseconds with exactly three decimals, without their unit: `501.683`.
    Exact(Span) => number::millis_exact;
    /// A gap beside a line: `501.683 ms`, `6 min 12 s`.
    Beside(Span) => number::gap;
    /// A timeout as it is configured: `500 ms`.
    Timeout(Span) => number::timeout;
    /// An address and a port.
    At(Endpoint) => number::endpoint;
}

/// A number and what it counts, with the words for one and for many: `2 exchanges`.
pub(crate) struct Counted(
    pub(crate) u64,
    pub(crate) &'static str,
    pub(crate) &'static str,
);

impl Piece for Counted {
    fn push(self, out: &mut String) {
        let Self(count, one, many) = self;
        push!(out; Grouped(count), " ", if count == 1 { one } else { many });
    }
}

/// A share as a percentage, `99.99 %`, or a dash if it is a share of nothing.
pub(crate) struct Percent(pub(crate) u64, pub(crate) u64);

impl Piece for Percent {
    fn push(self, out: &mut String) {
        if !number::percent(out, self.0, self.1) {
            out.push('–');
        }
    }
}

/// Text from the wire for a person, cut to a number of characters.
pub(crate) struct Shown<'a>(pub(crate) &'a str, pub(crate) usize);

impl Piece for Shown<'_> {
    fn push(self, out: &mut String) {
        escape::shown(out, self.0, self.1);
    }
}

/// Text from the wire for a page.
pub(crate) struct Html<'a>(pub(crate) &'a str);

impl Piece for Html<'_> {
    fn push(self, out: &mut String) {
        escape::html(out, self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_each_other() {
        let mut out = String::from("begin: ");
        let hostile = "a\u{1b}b<c";
        push!(&mut out; Counted(1, "byte", "bytes"), ", ", Counted(1_000, "byte", "bytes"));
        push!(&mut out; ", ", Shown(hostile, 3), ", ", Html(hostile), ", ", Number(7));
        assert_eq!(out, "begin: 1 byte, 1,000 bytes, a\\x1bb…, a\\x1bb&lt;c, 7");
    }
}
