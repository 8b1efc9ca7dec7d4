//! Packets as they come, from libpcap, on one or several interfaces.
//!
//! Interfaces are opened inside the target's namespace and read anywhere: a socket stays where it
//! was made. One thread reads all of them, each a ring of its own, whole blocks at a time
//! (TPACKET_V3, which libpcap uses unless it is told to be immediate).

use super::ending::{Ending, Reason};
use super::ignore_outgoing;
use super::interfaces::{Interface, Role};
use meshsniff::packet::{LinkType, UnsupportedLink};
use meshsniff::pcapng::blocks::Direction;
use meshsniff::time::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap::{Active, Capture, Linktype, Precision};
use std::io::{self, PipeReader};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;
use thiserror::Error;

/// How long the kernel gathers packets of a block that does not fill up, in milliseconds.
const BLOCK_TIMEOUT: i32 = 50;

/// The name that stands for all interfaces, those that come later included.
pub const ANY: &str = "any";

/// `DLT_LINUX_SLL2`.
const DLT_COOKED_2: i32 = 276;

/// Which packets to capture, and how much of them.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes kept of each packet.
    pub snaplen: u32,
    /// Bytes of each interface's ring.
    pub buffer: u32,
    /// In libpcap's language; empty for everything.
    pub filter: String,
    /// What is left out whatever the filter says, in the same language; empty for nothing.
    pub left_out: String,
}

impl Options {
    /// The filter and what is left out as one expression.
    ///
    /// What is left out stands first: a filter with `vlan` in it moves the place where everything
    /// behind it looks.
    #[must_use]
    pub fn expression(&self) -> String {
        match (self.left_out.as_str(), self.filter.trim()) {
            ("", _) => self.filter.clone(),
            (left_out, "") => left_out.to_owned(),
            (left_out, filter) => format!("{left_out} and ({filter})"),
        }
    }
}

/// Why an interface cannot be captured on.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "their sentences say it")]
pub enum OpenError {
    #[error("there is no interface {name} here: name one of these: {there}")]
    NoInterface { name: String, there: String },
    #[error("no interface is up here: is the target's network set up already?")]
    NoneUp,
    #[error("capturing on {0} is not allowed: CAP_NET_RAW is missing; run as root with it")]
    NoRight(String),
    #[error("the filter «{filter}» does not compile: {words}; see pcap-filter(7)")]
    Filter { filter: String, words: String },
    #[error("{name} cannot be captured on: {words}")]
    Other { name: String, words: String },
}

/// An interface being captured on.
pub struct Tap {
    handle: Capture<Active>,
    /// Its name.
    pub name: String,
    /// `LINKTYPE_…`.
    pub link_type: u16,
    address: Option<[u8; 6]>,
    /// The kernel's count of lost packets when last asked: 32 bits, so that it may wrap.
    last_dropped: u32,
    dropped: u64,
    /// Set when it cannot be read any more.
    gone: bool,
}

/// A packet, borrowed from the ring.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Which interface, counted from 0.
    pub interface: usize,
    /// When the kernel saw it.
    pub time: Timestamp,
    /// Bytes on the wire.
    pub wire_len: u32,
    /// Which way it went.
    pub direction: Direction,
    /// Its kept bytes.
    pub data: &'a [u8],
}

/// A receiver of packets.
pub trait Receiver {
    /// Takes a packet; returns whether more are wanted.
    fn packet(&mut self, packet: &Packet<'_>) -> bool;

    /// All packets there were have been handed over. Called at least every [`Receiver::tick`].
    fn idle(&mut self, taps: &mut [Tap]);

    /// How long it may be left without a call from now on.
    fn tick(&self) -> Duration;
}

/// The interfaces to capture on: those named, or, if none is, the usual ones.
///
/// # Errors
/// If there is none.
pub fn choose(names: &[String], there: &[Interface], role: Role) -> Result<Vec<String>, OpenError> {
    let names = match names {
        [] => super::interfaces::usual(there, role),
        names => names.to_vec(),
    };
    match names.is_empty() {
        true => Err(OpenError::NoneUp),
        false => Ok(names),
    }
}

/// Opens the interfaces with these names.
///
/// # Errors
/// If one of them cannot be captured on.
pub fn open(
    names: &[String],
    there: &[Interface],
    options: &Options,
) -> Result<Vec<Tap>, OpenError> {
    let taps = names.iter().map(|name| Tap::open(name, there, options));
    taps.collect()
}

/// `LINKTYPE_…` of a `DLT_…`, where the two differ on Linux.
const fn link_type(dlt: i32) -> u16 {
    match dlt {
        12 | 14 => 101,
        other => other as u16,
    }
}

impl Tap {
    fn open(name: &str, there: &[Interface], options: &Options) -> Result<Self, OpenError> {
        let known = there.iter().find(|one| one.name == name);
        if known.is_none() && name != ANY {
            let names: Vec<_> = there.iter().map(|one| one.name.as_str()).collect();
            return Err(OpenError::NoInterface {
                name: name.to_owned(),
                there: names.join(", "),
            });
        }
        let failed = |error: pcap::Error| {
            let words = error.to_string();
            let forbidden = ["permi", "Operation not"];
            if forbidden.iter().any(|word| words.contains(word)) {
                OpenError::NoRight(name.to_owned())
            } else {
                let name = name.to_owned();
                OpenError::Other { name, words }
            }
        };
        let mut handle = Capture::from_device(name)
            .map_err(failed)?
            .snaplen(i32::try_from(options.snaplen).unwrap_or(i32::MAX))
            .buffer_size(i32::try_from(options.buffer).unwrap_or(i32::MAX))
            .timeout(BLOCK_TIMEOUT)
            .precision(Precision::Nano)
            .open()
            .map_err(failed)?;
        if name == ANY {
            // It tells which interface a packet was seen on, and so one that crossed several from
            // one that was sent again. Where libpcap is too old for it, there is the first kind.
            let _ = handle.set_datalink(Linktype(DLT_COOKED_2));
        }
        let mut tap = Self {
            link_type: link_type(handle.get_datalink().0),
            handle,
            name: name.to_owned(),
            address: known.and_then(|known| known.address),
            last_dropped: 0,
            dropped: 0,
            gone: false,
        };
        if known.is_some_and(|known| known.loopback) {
            ignore_outgoing::set(tap.handle.as_fd());
        }
        // By itself first: a filter that is none must not become one by what is put around it.
        tap.set_filter(&options.filter)?;
        if !options.left_out.is_empty() {
            tap.set_filter(&options.expression())?;
        }
        tap.handle = tap.handle.setnonblock().map_err(failed)?;
        Ok(tap)
    }

    /// Sets the filter. What came between opening and now does not count: libpcap filters what is
    /// in the ring already.
    fn set_filter(&mut self, filter: &str) -> Result<(), OpenError> {
        if filter.is_empty() {
            return Ok(());
        }
        let set = self.handle.filter(filter, true);
        set.map_err(|error| OpenError::Filter {
            filter: filter.to_owned(),
            words: error.to_string(),
        })
    }

    /// The type of its packets.
    ///
    /// # Errors
    /// If it is not known here.
    pub fn link(&self) -> Result<LinkType, UnsupportedLink> {
        LinkType::from_number(u32::from(self.link_type))
    }

    /// Packets that the kernel had no room for, so far.
    pub fn kernel_dropped(&mut self) -> u64 {
        if let Ok(stats) = self.handle.stats() {
            let more = stats.dropped.wrapping_sub(self.last_dropped);
            self.dropped += u64::from(more);
            self.last_dropped = stats.dropped;
        }
        self.dropped
    }
}

/// Which way an Ethernet frame went, by who sent it.
fn direction(link_type: u16, address: Option<[u8; 6]>, data: &[u8]) -> Direction {
    const ETHERNET: u16 = 1;
    const COOKED: u16 = 113;
    const COOKED_2: u16 = 276;
    match (link_type, address, data) {
        (ETHERNET, Some(own), [_, _, _, _, _, _, sender @ ..]) if sender.len() >= 6 => {
            if sender[..6] == own {
                Direction::Outbound
            } else {
                Direction::Inbound
            }
        }
        // The cooked header's packet type: 4 is outgoing.
        (COOKED, _, [0, kind, ..]) | (COOKED_2, _, [_, _, _, _, _, _, _, _, _, _, kind, ..]) => {
            match kind {
                4 => Direction::Outbound,
                _ => Direction::Inbound,
            }
        }
        _ => Direction::Unknown,
    }
}

/// Hands packets to `receiver` until `ending` is decided, then what the kernel still has of before.
///
/// `woken` is readable once it is decided, `target` when the target is gone.
///
/// # Errors
/// If the kernel cannot be waited for.
pub fn run(
    taps: &mut [Tap],
    ending: &Ending,
    woken: &PipeReader,
    target: Option<BorrowedFd<'_>>,
    receiver: &mut impl Receiver,
) -> io::Result<()> {
    while ending.reason().is_none() {
        let timeout = PollTimeout::try_from(receiver.tick()).unwrap_or(PollTimeout::MAX);
        let ready = wait(taps, woken, target, timeout)?;
        if ready.target {
            ending.decide(Reason::TargetGone);
        }
        for index in ready.taps {
            if !drain(index, &mut taps[index], ending, receiver) {
                break;
            }
        }
        receiver.idle(taps);
    }
    if ending.reason() != Some(&Reason::Count) {
        // A block that is not full is handed over when its time is up.
        let last = PollTimeout::try_from(BLOCK_TIMEOUT * 2).unwrap_or(PollTimeout::ZERO);
        let fds: Vec<_> = taps.iter().map(|tap| tap.handle.as_fd()).collect();
        let mut polled: Vec<_> = fds
            .iter()
            .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
            .collect();
        poll(&mut polled, last).or_else(interrupted)?;
        drop(polled);
        for (index, tap) in taps.iter_mut().enumerate() {
            drain(index, tap, ending, receiver);
        }
    }
    receiver.idle(taps);
    Ok(())
}

struct Ready {
    taps: Vec<usize>,
    target: bool,
}

fn interrupted(error: nix::Error) -> nix::Result<i32> {
    match error {
        nix::Error::EINTR => Ok(0),
        other => Err(other),
    }
}

fn wait(
    taps: &[Tap],
    woken: &PipeReader,
    target: Option<BorrowedFd<'_>>,
    timeout: PollTimeout,
) -> io::Result<Ready> {
    let of_taps = taps
        .iter()
        .map(|tap| tap.handle.as_fd())
        .zip(taps.iter().map(|tap| tap.gone));
    let mut polled = vec![PollFd::new(woken.as_fd(), PollFlags::POLLIN)];
    polled.extend(target.map(|target| PollFd::new(target, PollFlags::POLLIN)));
    let first = polled.len();
    polled.extend(of_taps.map(|(fd, gone)| {
        let events = if gone {
            PollFlags::empty()
        } else {
            PollFlags::POLLIN
        };
        PollFd::new(fd, events)
    }));
    poll(&mut polled, timeout).or_else(interrupted)?;
    let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
    Ok(Ready {
        target: first > 1 && is_ready(&polled[1]),
        taps: (0..taps.len())
            .filter(|&index| is_ready(&polled[first + index]) && !taps[index].gone)
            .collect(),
    })
}

/// Hands over what one ring holds. `false` once the end is decided.
fn drain(index: usize, tap: &mut Tap, ending: &Ending, receiver: &mut impl Receiver) -> bool {
    let (link_type, address) = (tap.link_type, tap.address);
    loop {
        let mut wanted = true;
        let read = tap.handle.dispatch(None, |packet| {
            // Those behind the last one wanted, in the same block.
            if !wanted {
                return;
            }
            let time = &packet.header.ts;
            let nanos = time.tv_sec * 1_000_000_000 + time.tv_usec;
            wanted = receiver.packet(&Packet {
                interface: index,
                time: Timestamp::from_nanos(nanos),
                wire_len: packet.header.len,
                direction: direction(link_type, address, packet.data),
                data: packet.data,
            });
        });
        match read {
            Ok(_) if !wanted => {
                ending.decide(Reason::Count);
                return false;
            }
            Ok(0) => return true,
            Ok(_) => {}
            Err(_) => {
                tap.gone = true;
                ending.decide(Reason::InterfaceGone(tap.name.clone()));
                return false;
            }
        }
        if ending.reason().is_some() {
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_left_out_whatever_the_filter_says() {
        let expression = |filter: &str, left_out: &str| {
            Options {
                snaplen: 54,
                buffer: 0,
                filter: filter.to_owned(),
                left_out: left_out.to_owned(),
            }
            .expression()
        };
        assert_eq!(expression("", ""), "");
        assert_eq!(expression("tcp or udp", ""), "tcp or udp");
        assert_eq!(expression(" ", "not (tcp port 1)"), "not (tcp port 1)");
        let both = "not (tcp port 1) and (tcp or udp)";
        assert_eq!(expression("tcp or udp", "not (tcp port 1)"), both);
    }
}
