//! TLS between a connection's bytes and what reads them: what is seen of it without keys, and, with
//! them, the stream events of what is inside.

use super::alert::Alert;
use super::keylog::Keys;
use super::plain::{Plain, Teller};
use super::session::{Farewell, Session};
use super::told::Tls;
use crate::tcp::{Ack, Offset, Side, StreamEvent};
use std::sync::Arc;

/// TLS on one connection.
#[derive(Debug)]
pub struct Layer {
    session: Session,
    plain: Option<Box<Plain>>,
}

impl Layer {
    /// Over a session. `keys` are those of many.
    #[must_use]
    pub fn new(session: Session, keys: Option<&Arc<Keys>>) -> Self {
        let keys = keys.filter(|keys| !keys.is_empty());
        let plain = keys.map(|keys| Box::new(Plain::new(Arc::clone(keys))));
        Self { session, plain }
    }

    /// What is seen without keys.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Takes bytes of a side, or that they are missing, and tells what is inside of them. Other
    /// events are not its concern.
    pub fn tell(&mut self, side: Side, event: StreamEvent<'_>, inside: Teller<'_>) {
        let Self { session, plain } = self;
        match event {
            StreamEvent::Bytes(run, at) => {
                session.bytes(side, run.bytes, run.segment_start, run.mark);
                if let Some(plain) = plain {
                    plain.bytes(session, side, run, &at, inside);
                }
            }
            StreamEvent::Missing(missing, at) => {
                session.missing(side, missing.extent.len());
                if let Some(plain) = plain {
                    plain.missing(session, side, missing, &at, inside);
                }
            }
            _ => {}
        }
    }

    /// Hears of an acknowledgment of what a side sent. Whoever reads hears of it, too.
    pub fn acknowledged(&mut self, side: Side, ack: Ack) {
        if let Some(plain) = self.plain.as_mut().filter(|_| side == Side::Client) {
            plain.acknowledged(ack);
        }
    }

    /// The connection is over.
    pub fn end(&mut self, inside: Teller<'_>) {
        if let Some(plain) = &mut self.plain {
            plain.end(inside);
        }
    }

    /// Whether what is inside is read.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.plain.as_ref().is_some_and(|plain| plain.is_read())
    }

    /// Bytes that the record a side is sending still lacks, where that is known.
    #[must_use]
    pub fn remaining(&self, side: Side) -> Option<u64> {
        self.plain.as_ref()?.remaining(side)
    }

    /// Where the last of what a side said inside ended, if no more has begun.
    #[must_use]
    pub fn ended(&self, side: Side) -> Option<Offset> {
        self.plain.as_ref()?.ended(side)
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn weight(&self) -> usize {
        let plain = self.plain.as_ref().map_or(0, |plain| plain.weight());
        self.session.weight() + plain
    }

    /// The alert inside the encryption, where that is read, that is no goodbye.
    #[must_use]
    pub fn alert_inside(&self) -> Option<Alert> {
        self.plain.as_ref()?.alert()
    }

    /// The first of what the sides said before they close.
    #[must_use]
    pub fn farewell(&self) -> Option<Farewell> {
        match &self.plain {
            Some(plain) if plain.is_read() => plain.farewell(),
            _ => self.session.farewell(),
        }
    }

    /// What a report says of it.
    #[must_use]
    pub fn told(&self) -> Tls {
        let mut told = self.session.told();
        if let Some(plain) = &self.plain {
            told.keys = plain.is_read();
            if told.keys {
                told.close_notify = plain.farewells().map(|said| Some(said.is_some()));
            }
            told.not_read = plain.not_read();
            told.early_data_taken = plain.takes_early().filter(|_| told.early_data);
            told.alpn = told.alpn.or_else(|| plain.alpn().cloned());
            told.client_certificate = told.client_certificate.or(plain.certificate_request());
        }
        told
    }
}
