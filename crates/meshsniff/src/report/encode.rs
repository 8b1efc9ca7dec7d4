//! JSON, pushed straight into a `String`: digit by digit, in whatever order the fields are named.
//!
//! A derived encoding was measured against this one: see [`Value`].

use crate::packet::Endpoint;
use crate::time::{Span, Timestamp};
use crate::{escape, number};

/// Pushes the first fields of an object, without its braces, so that others can follow.
macro_rules! fields {
    ($out:expr, { $name:literal: $value:expr $(, $more:literal: $other:expr)* $(,)? }) => {{
        let out: &mut String = $out;
        out.push_str(concat!("\"", $name, "\":"));
        $crate::report::encode::Value::push($value, out);
        $crate::report::encode::more_fields!(out, { $($more: $other),* });
    }};
}

/// Pushes further fields of an object.
macro_rules! more_fields {
    ($out:expr, { $($name:literal: $value:expr),* $(,)? }) => {{
        let out: &mut String = $out;
        $(
            out.push_str(concat!(",\"", $name, "\":"));
            $crate::report::encode::Value::push($value, out);
        )*
    }};
}
pub(super) use {fields, more_fields};

/// What can stand behind the name of a field.
pub(super) trait Value {
    /// Pushes it.
    fn push(self, out: &mut String);
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
pub(super) struct Share(pub(super) u64, pub(super) u64);

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

impl<V: Value> Value for Option<V> {
    fn push(self, out: &mut String) {
        match self {
            Some(value) => value.push(out),
            None => out.push_str("null"),
        }
    }
}

impl Value for bool {
    fn push(self, out: &mut String) {
        out.push_str(if self { "true" } else { "false" });
    }
}

impl Value for u64 {
    fn push(self, out: &mut String) {
        number::unsigned(out, self);
    }
}

impl Value for u16 {
    fn push(self, out: &mut String) {
        number::unsigned(out, u64::from(self));
    }
}

impl Value for i64 {
    fn push(self, out: &mut String) {
        number::decimal(out, self, 0, 0);
    }
}

impl Value for &str {
    fn push(self, out: &mut String) {
        escape::json(out, self);
    }
}

impl Value for Endpoint {
    fn push(self, out: &mut String) {
        Quoted(|out: &mut String| number::endpoint(out, self)).push(out);
    }
}

impl Value for Word {
    fn push(self, out: &mut String) {
        out.push('"');
        out.push_str(self.0);
        out.push('"');
    }
}

impl Value for Millis {
    fn push(self, out: &mut String) {
        number::millis(out, self.0);
    }
}

impl Value for PlainMillis {
    fn push(self, out: &mut String) {
        number::millis_plain(out, self.0);
    }
}

impl Value for Seconds {
    fn push(self, out: &mut String) {
        number::seconds(out, self.0);
    }
}

impl Value for Share {
    fn push(self, out: &mut String) {
        number::share(out, self.0, self.1);
    }
}

impl Value for Time<'_> {
    fn push(self, out: &mut String) {
        Quoted(|out: &mut String| self.0.push(out, self.1)).push(out);
    }
}

impl<F: FnOnce(&mut String)> Value for Raw<F> {
    fn push(self, out: &mut String) {
        self.0(out);
    }
}

impl<F: FnOnce(&mut String)> Value for Quoted<F> {
    fn push(self, out: &mut String) {
        out.push('"');
        self.0(out);
        out.push('"');
    }
}

impl<F: FnOnce(&mut String)> Value for Object<F> {
    fn push(self, out: &mut String) {
        out.push('{');
        self.0(out);
        out.push('}');
    }
}

impl<I: IntoIterator<Item: Value>> Value for List<I> {
    fn push(self, out: &mut String) {
        out.push('[');
        for (index, value) in self.0.into_iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            value.push(out);
        }
        out.push(']');
    }
}

impl<V: Value, I: IntoIterator<Item = (&'static str, V)>> Value for Map<I> {
    fn push(self, out: &mut String) {
        out.push('{');
        for (index, (name, value)) in self.0.into_iter().enumerate() {
            out.push_str(if index > 0 { ",\"" } else { "\"" });
            out.push_str(name);
            out.push_str("\":");
            value.push(out);
        }
        out.push('}');
    }
}
