//! DNS messages in a TCP stream: each after its length in two bytes (RFC 7766, 8).

use super::Message;
use crate::packet::Mark;
use crate::tcp::{Side, StreamEvent};

/// Messages that may wait to be taken.
const MAX_WAITING: usize = 64;

/// The messages of both streams of a connection.
#[derive(Debug, Default)]
pub struct OverTcp {
    streams: [Half; 2],
    messages: Vec<(Side, Message, Mark)>,
}

#[derive(Debug, Default)]
struct Half {
    /// The message that is not whole yet, with its length: at most 64 KiB.
    begun: Vec<u8>,
    /// Whether bytes are missing, so that no message's begin is known any more.
    lost: bool,
}

impl OverTcp {
    /// Bytes that what it keeps takes.
    pub fn weight(&self) -> usize {
        let begun = self.streams.iter().map(|half| half.begun.capacity());
        begun.sum::<usize>() + self.messages.capacity() * size_of::<(Side, Message, Mark)>()
    }

    /// Takes what a connection tells.
    pub fn tell(&mut self, side: Side, event: &StreamEvent<'_>) {
        let half = &mut self.streams[usize::from(side == Side::Server)];
        match event {
            StreamEvent::Bytes(run, _) if !half.lost => {
                let mut bytes = run.bytes;
                while let Some(message) = half.next(&mut bytes) {
                    if self.messages.len() < MAX_WAITING {
                        self.messages.push((side, message, run.mark));
                    }
                }
            }
            StreamEvent::Missing(..) => {
                *half = Half {
                    lost: true,
                    ..Half::default()
                };
            }
            _ => {}
        }
    }

    /// The sides were taken for each other so far.
    pub fn swap_sides(&mut self) {
        self.streams.swap(0, 1);
        for (side, ..) in &mut self.messages {
            *side = match side {
                Side::Client => Side::Server,
                Side::Server => Side::Client,
            };
        }
    }

    /// Hands out the messages that came, with the side that sent each.
    pub fn take(&mut self) -> impl Iterator<Item = (Side, Message, Mark)> {
        self.messages.drain(..)
    }
}

impl Half {
    /// The next message, of which `bytes` has the rest. One that cannot be read is stepped over.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<Message> {
        loop {
            let wanted = match self.begun.first_chunk::<2>() {
                Some(length) => 2 + usize::from(u16::from_be_bytes(*length)),
                None => 2,
            };
            let more = (wanted - self.begun.len()).min(bytes.len());
            self.begun.extend_from_slice(&bytes[..more]);
            *bytes = &bytes[more..];
            if self.begun.len() < wanted {
                return None;
            }
            if wanted > 2 {
                let message = Message::read(&self.begun[2..]);
                self.begun.clear();
                if message.is_some() {
                    return message;
                }
            } else if self.begun == [0, 0] {
                self.begun.clear();
            }
        }
    }
}
