//! JSON, pushed straight into a `String`: digit by digit, in whatever order the fields are named.
//!
//! A derived encoding was measured against this one: see [`Encode`].

use crate::packet::Endpoint;
use crate::time::{Span, Timestamp};
use crate::{escape, number};

/// Pushes the first fields of an object, without its braces, so that others can follow.
macro_rules! fields {
    ($out:expr, { $name:literal: $value:expr $(, $more:literal: $other:expr)* $(,)? }) => {{
        let out: &mut String = $out;
        out.push_str(concat!("\"", $name, "\":"));
        $crate::report::encode::Encode::encode($value, out);
        $crate::report::encode::more_fields!(out, { $($more: $other),* });
    }};
}

/// Pushes further fields of an object.
macro_rules! more_fields {
    ($out:expr, { $($name:literal: $value:expr),* $(,)? }) => {{
        let out: &mut String = $out;
        $(
            out.push_str(concat!(",\"", $name, "\":"));
            $crate::report::encode::Encode::encode($value, out);
        )*
    }};
}
pub(super) use {fields, more_fields};

/// What can stand behind the name of a field.
pub(super) trait Encode {
    /// Pushes it.
    fn encode(self, out: &mut String);
}

/// Text of the program's own, in which nothing is to be escaped.
pub(super) struct Word(pub(super) &'static str);

/// Milliseconds with up to three decimals and at least one.
pub(super) struct Millis(pub(super) Span);

/// Milliseconds with no more decimals than they need: a timeout as it is configured.
pub(super) struct PlainMillis(pub(super) Span);

/// Seconds with up to nine decimals and at least one.
pub(super) struct Seconds(pub(super) Span);

/// A share of a count that is not 0, between 0.0 and 1.0.
pub(super) struct Ratio(pub(super) u64, pub(super) u64);

/// A time in RFC 3339.
pub(super) struct Time<'a>(pub(super) &'a mut number::Clock, pub(super) Timestamp);

/// What is pushed by a function as it is.
pub(super) struct Raw<F>(pub(super) F);

/// What is pushed by a function, in quotes: it pushes nothing that is to be escaped.
pub(super) struct Quoted<F>(pub(super) F);

/// What is pushed by a function, in braces.
pub(super) struct Object<F>(pub(super) F);

/// A list of values.
pub(super) struct List<I>(pub(super) I);

/// An object whose fields are known only when the program runs. Their names need no escapes.
pub(super) struct Map<I>(pub(super) I);

impl<V: Encode> Encode for Option<V> {
    fn encode(self, out: &mut String) {
        match self {
            Some(value) => value.encode(out),
            None => out.push_str("null"),
        }
    }
}

impl Encode for bool {
    fn encode(self, out: &mut String) {
        out.push_str(if self { "true" } else { "false" });
    }
}

impl Encode for u64 {
    fn encode(self, out: &mut String) {
        number::unsigned(out, self);
    }
}

impl Encode for u16 {
    fn encode(self, out: &mut String) {
        number::unsigned(out, u64::from(self));
    }
}

impl Encode for i64 {
    fn encode(self, out: &mut String) {
        number::decimal(out, self, 0, 0);
    }
}

impl Encode for &str {
    fn encode(self, out: &mut String) {
        escape::json(out, self);
    }
}

impl Encode for Endpoint {
    fn encode(self, out: &mut String) {
        Quoted(|out: &mut String| number::endpoint(out, self)).encode(out);
    }
}

impl Encode for Word {
    fn encode(self, out: &mut String) {
        out.push('"');
        out.push_str(self.0);
        out.push('"');
    }
}

impl Encode for Millis {
    fn encode(self, out: &mut String) {
        number::millis(out, self.0);
    }
}

impl Encode for PlainMillis {
    fn encode(self, out: &mut String) {
        number::millis_plain(out, self.0);
    }
}

impl Encode for Seconds {
    fn encode(self, out: &mut String) {
        number::seconds(out, self.0);
    }
}

impl Encode for Ratio {
    fn encode(self, out: &mut String) {
        number::share(out, self.0, self.1);
    }
}

impl Encode for Time<'_> {
    fn encode(self, out: &mut String) {
        Quoted(|out: &mut String| self.0.push(out, self.1)).encode(out);
    }
}

impl<F: FnOnce(&mut String)> Encode for Raw<F> {
    fn encode(self, out: &mut String) {
        self.0(out);
    }
}

impl<F: FnOnce(&mut String)> Encode for Quoted<F> {
    fn encode(self, out: &mut String) {
        out.push('"');
        self.0(out);
        out.push('"');
    }
}

impl<F: FnOnce(&mut String)> Encode for Object<F> {
    fn encode(self, out: &mut String) {
        out.push('{');
        self.0(out);
        out.push('}');
    }
}

impl<I: IntoIterator<Item: Encode>> Encode for List<I> {
    fn encode(self, out: &mut String) {
        out.push('[');
        for (index, value) in self.0.into_iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            value.encode(out);
        }
        out.push(']');
    }
}

impl<V: Encode, I: IntoIterator<Item = (&'static str, V)>> Encode for Map<I> {
    fn encode(self, out: &mut String) {
        out.push('{');
        for (index, (name, value)) in self.0.into_iter().enumerate() {
            out.push_str(if index > 0 { ",\"" } else { "\"" });
            out.push_str(name);
            out.push_str("\":");
            value.encode(out);
        }
        out.push('}');
    }
}
