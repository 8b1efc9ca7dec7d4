//! What the kernel of the target's network namespace knows: its sockets, asked one by one through
//! a `NETLINK_SOCK_DIAG` socket (sock_diag(7)), and what it counts, in `/proc/net`.
//!
//! Both are opened inside the namespace before rights are given up, and need none afterwards. A
//! question is written and its answer is there when the write returns: no system call is needed
//! beside `write` and `read`. The socket could do no harm either: to destroy other sockets through
//! it takes CAP_NET_ADMIN, which is gone.

use super::clock;
use meshsniff::kernel::{Answer, Counters, Listener, Socket};
use meshsniff::packet::Endpoint;
use meshsniff::time::Span;
use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NlasIterator, Parseable as _,
};
use netlink_packet_sock_diag::constants::{
    AF_INET, AF_INET6, INET_DIAG_INFO, IPPROTO_TCP, TCP_CLOSE_WAIT, TCP_CLOSING, TCP_ESTABLISHED,
    TCP_LAST_ACK, TCP_LISTEN, TCP_SYN_RECV, TCP_TIME_WAIT,
};
use netlink_packet_sock_diag::inet::nlas::{TcpInfo, TcpInfoBuffer};
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponseBuffer, InetResponseHeader, SocketId, StateFlags,
};
use netlink_packet_sock_diag::{SOCK_DIAG_BY_FAMILY, SockDiagMessage};
use nix::ifaddrs::getifaddrs;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::IpAddr;

/// `NLMSG_ERROR` and `NLMSG_DONE` (netlink(7)): an error number follows, 0 if there is none.
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// An answer has some 300 bytes.
const MAX_ANSWER: usize = 4_096;
/// All of `/proc/net/netstat`, `snmp` and `snmp6` together has some 20 kB.
const MAX_COUNTERS: u64 = 256 << 10;

/// What can be asked of a network namespace.
pub(super) struct Kernel {
    /// Or else why the kernel answers no questions about its sockets.
    socket: io::Result<File>,
    sequence: u32,
    counted: Vec<File>,
    before: Counters,
    /// The namespace's own addresses: only sockets with one of them are in it.
    own: Vec<IpAddr>,
}

/// A socket as it is found by its two ends.
struct Found {
    header: InetResponseHeader,
    info: Option<TcpInfo>,
}

impl Kernel {
    /// Opens all of it. Called inside the namespace.
    pub(super) fn open() -> Self {
        let files = ["netstat", "snmp", "snmp6"];
        let files = files.map(|name| File::open(format!("/proc/thread-self/net/{name}")));
        let mut kernel = Self {
            socket: open_socket(),
            sequence: 0,
            // Without IPv6 the last of them is missing.
            counted: files.into_iter().flatten().collect(),
            before: Counters::default(),
            own: own_addresses(),
        };
        kernel.before = kernel.counters();
        if kernel.socket.is_ok()
            && let Err(error) = kernel.try_out()
        {
            kernel.socket = Err(error);
        }
        kernel
    }

    /// Why the kernel says nothing about its sockets; `None` if it does.
    pub(super) fn refusal(&self) -> Option<String> {
        let why = self.socket.as_ref().err()?;
        Some(format!(
            "the kernel says nothing about sockets ({why}): whether a program has read a request \
             stays unknown (it takes the module tcp_diag)"
        ))
    }

    /// What the kernel counted since the begin; `None` if it shows no counters.
    pub(super) fn counted(&mut self) -> Option<Counters> {
        (!self.counted.is_empty()).then(|| self.counters().since(&self.before))
    }

    fn counters(&mut self) -> Counters {
        let mut text = Vec::new();
        for file in &mut self.counted {
            if file.rewind().is_ok() {
                // What cannot be read is not counted.
                let _ = file.take(MAX_COUNTERS).read_to_end(&mut text);
            }
        }
        Counters::read(&String::from_utf8_lossy(&text))
    }

    /// Asks about the sockets of a connection; `None` if none of them is here.
    pub(super) fn ask(&mut self, client: Endpoint, server: Endpoint) -> Option<Answer> {
        self.socket.as_ref().ok()?;
        let mut answer = Answer {
            at: clock::wall(),
            ..Answer::default()
        };
        if self.is_own(server.ip())
            && let Some(found) = self.look_up(server, Some(client))
        {
            answer.listener = found.listener();
            answer.server = found.socket();
            if answer.server.is_some() {
                answer.unread = found.unread();
                answer.accepted = Some(found.is_accepted());
                answer.received = found.received();
            }
            // Whoever is not accepted waits in the queue of a socket that listens, or for room there.
            if answer.accepted != Some(true) && answer.listener.is_none() {
                let listening = self.look_up(server, None);
                answer.listener = listening.as_ref().and_then(Found::listener);
            }
        }
        // Of a connection on loopback both are here: where the server's has nothing to read, the
        // client's has nothing to tell.
        if (answer.server.is_none() || answer.unread > 0)
            && self.is_own(client.ip())
            && let Some(found) = self.look_up(client, Some(server))
        {
            answer.client = found.socket();
        }
        let known = answer.client.is_some() || answer.server.is_some() || answer.listener.is_some();
        known.then_some(answer)
    }

    fn is_own(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.own.contains(&address)
    }

    /// The socket between these two ends, or else the one that listens at the first of them.
    fn look_up(&mut self, own: Endpoint, other: Option<Endpoint>) -> Option<Found> {
        let mut id = match own.ip() {
            IpAddr::V4(_) => SocketId::new_v4(),
            IpAddr::V6(_) => SocketId::new_v6(),
        };
        (id.source_address, id.source_port) = (own.ip(), own.port);
        if let Some(other) = other {
            (id.destination_address, id.destination_port) = (other.ip(), other.port);
        }
        // Any socket, whatever its cookie.
        id.cookie = [0xff; 8];
        let request = InetRequest {
            family: match own.ip() {
                IpAddr::V4(_) => AF_INET,
                IpAddr::V6(_) => AF_INET6,
            },
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::INFO,
            states: StateFlags::all(),
            socket_id: id,
        };
        let (kind, payload) = self.exchange(request, NLM_F_REQUEST).ok()?;
        (kind == SOCK_DIAG_BY_FAMILY).then(|| Found::parse(&payload))?
    }

    /// Asks for the sockets in no state at all: an error is one of the means, not of a socket.
    fn try_out(&mut self) -> io::Result<()> {
        let request = InetRequest {
            family: AF_INET,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::empty(),
            socket_id: SocketId::new_v4(),
        };
        let (kind, payload) = self.exchange(request, NLM_F_REQUEST | NLM_F_DUMP)?;
        let number = payload.first_chunk().copied().map_or(0, i32::from_ne_bytes);
        match (kind, number) {
            (ERROR | DONE, number @ ..0) => Err(io::Error::from_raw_os_error(-number)),
            _ => Ok(()),
        }
    }

    fn exchange(&mut self, request: InetRequest, flags: u16) -> io::Result<(u16, Vec<u8>)> {
        let question = self.question(request, flags);
        self.put(&question)
    }

    fn question(&mut self, request: InetRequest, flags: u16) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let payload = NetlinkPayload::from(SockDiagMessage::InetRequest(request));
        let mut message = NetlinkMessage::new(header, payload);
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    /// Writes a question and reads what the kernel has put there meanwhile: the first message's type
    /// and what is in it.
    fn put(&mut self, question: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        let socket = self
            .socket
            .as_mut()
            .map_err(|_| io::ErrorKind::NotConnected)?;
        socket.write_all(question)?;
        let mut bytes = [0; MAX_ANSWER];
        loop {
            let read = socket.read(&mut bytes)?;
            let message = NetlinkBuffer::new_checked(&bytes[..read])
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            // Else it answers an earlier question, which nobody waited for.
            if message.sequence_number() == self.sequence {
                return Ok((message.message_type(), message.payload().to_vec()));
            }
        }
    }
}

fn open_socket() -> io::Result<File> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        Some(netlink::SOCK_DIAG),
    )?;
    Ok(socket.into())
}

fn own_addresses() -> Vec<IpAddr> {
    let Ok(entries) = getifaddrs() else {
        return Vec::new();
    };
    let addresses = entries.filter_map(|entry| {
        let address = entry.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| Some(IpAddr::V6(address.as_sockaddr_in6()?.ip())))
    });
    addresses.collect()
}

impl Found {
    fn parse(payload: &[u8]) -> Option<Self> {
        let header = InetResponseHeader::parse(payload).ok()?;
        let attributes = payload.get(size_of::<InetResponseBuffer>()..)?;
        let mut attributes = NlasIterator::new(attributes).flatten();
        let info = attributes.find(|attribute| attribute.kind() == INET_DIAG_INFO);
        let info = info.and_then(|info| {
            // What an older kernel does not know yet is 0.
            let mut padded = [0; size_of::<TcpInfoBuffer>()];
            let known = info.value().len().min(padded.len());
            padded[..known].copy_from_slice(&info.value()[..known]);
            TcpInfo::parse(&padded).ok()
        });
        Some(Self { header, info })
    }

    /// What is known of it; `None` if it is not the socket of a connection, or no more of one.
    fn socket(&self) -> Option<Socket> {
        let Self { header, info } = self;
        let listens = matches!(header.state, TCP_LISTEN | TCP_SYN_RECV | TCP_TIME_WAIT);
        let info = info.as_ref();
        (!listens).then(|| Socket {
            receive_queue: header.recv_queue,
            send_queue: header.send_queue,
            retransmits: info.map_or(0, |info| info.total_retrans),
            congestion_window: info.map_or(0, |info| info.snd_cwnd),
            rtt: Span::from_micros(info.map_or(0, |info| info.rtt.into())),
        })
    }

    fn listener(&self) -> Option<Listener> {
        let listens = self.header.state == TCP_LISTEN;
        listens.then_some(Listener {
            waiting: self.header.recv_queue,
            most: self.header.send_queue,
        })
    }

    /// Whether a program accepted it: a socket that waits to be accepted has no inode yet, nor has
    /// one whose program closed it.
    const fn is_accepted(&self) -> bool {
        let open = matches!(self.header.state, TCP_ESTABLISHED | TCP_CLOSE_WAIT);
        !open || self.header.inode != 0
    }

    /// Whether the other end's FIN came. The kernel counts it as a byte, both where it counts what
    /// came and where it counts what is not read yet.
    const fn is_closed(&self) -> bool {
        matches!(
            self.header.state,
            TCP_CLOSE_WAIT | TCP_LAST_ACK | TCP_CLOSING
        )
    }

    /// Bytes that its program has not read.
    fn unread(&self) -> u32 {
        let fin = u32::from(self.is_closed());
        self.header.recv_queue.saturating_sub(fin)
    }

    /// Bytes that came in order. A kernel that does not count them says 0, and nobody asks before
    /// one came.
    fn received(&self) -> Option<u64> {
        let all = self.info.as_ref()?.bytes_received;
        (all > 0).then(|| all - u64::from(self.is_closed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rights;
    use netlink_packet_core::NLM_F_ACK;
    use netlink_packet_sock_diag::SOCK_DESTROY;
    use nix::libc;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::thread;

    fn endpoint(address: SocketAddr) -> Endpoint {
        match address {
            SocketAddr::V4(v4) => Endpoint::v4(v4.ip().octets(), v4.port()),
            SocketAddr::V6(v6) => Endpoint::v6(v6.ip().octets(), v6.port()),
        }
    }

    fn ends(client: &TcpStream) -> (Endpoint, Endpoint) {
        let ends = [client.local_addr(), client.peer_addr()];
        let [client, server] = ends.map(|end| endpoint(end.unwrap()));
        (client, server)
    }

    fn a_conversation(listener: &TcpListener, address: SocketAddr) {
        let mut kernel = Kernel::open();
        assert_eq!(kernel.refusal(), None);
        let mut client = TcpStream::connect(address).unwrap();
        let (from, to) = ends(&client);
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        // Nobody has accepted it.
        let answer = kernel.ask(from, to).unwrap();
        assert_eq!(answer.accepted, Some(false), "{answer:?}");
        assert_eq!(
            (answer.unread, answer.received),
            (18, Some(18)),
            "{answer:?}"
        );
        assert_eq!(answer.listener.map(|listener| listener.waiting), Some(1));
        // Nobody has read it.
        let (mut server, _) = listener.accept().unwrap();
        let answer = kernel.ask(from, to).unwrap();
        assert_eq!(
            (answer.accepted, answer.unread),
            (Some(true), 18),
            "{answer:?}"
        );
        assert_eq!(answer.server.unwrap().receive_queue, 18);
        assert!(answer.server.unwrap().congestion_window > 0);
        // Half of it was read.
        server.read_exact(&mut [0; 9]).unwrap();
        assert_eq!(kernel.ask(from, to).unwrap().unread, 9);
        server.read_exact(&mut [0; 9]).unwrap();
        // A FIN is no byte.
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = kernel.ask(from, to).unwrap();
        assert_eq!(
            (answer.accepted, answer.unread),
            (Some(true), 0),
            "{answer:?}"
        );
        assert_eq!(answer.received, Some(18));
    }

    /// Says that a test is left out. The harness keeps back what `eprintln!` writes, but not this.
    fn without_ipv6() {
        let what = thread::current().name().unwrap_or("kernel").to_owned();
        let _ = writeln!(io::stderr(), "SKIPPED {what}: there is no IPv6 here");
    }

    #[test]
    fn sockets_of_ipv4_are_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        a_conversation(&listener, listener.local_addr().unwrap());
    }

    #[test]
    fn sockets_of_ipv6_are_found() {
        let Ok(listener) = TcpListener::bind("[::1]:0") else {
            return without_ipv6();
        };
        a_conversation(&listener, listener.local_addr().unwrap());
    }

    #[test]
    fn sockets_that_take_both_are_found_by_ipv4() {
        let Ok(listener) = TcpListener::bind("[::]:0") else {
            return without_ipv6();
        };
        let port = listener.local_addr().unwrap().port();
        a_conversation(&listener, SocketAddr::from(([127, 0, 0, 1], port)));
    }

    #[test]
    fn what_is_elsewhere_is_not_taken_for_what_is_here() {
        // Somebody listens here on the port of another host's server.
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let elsewhere = Endpoint::v4([198, 51, 100, 7], port);
        let mut kernel = Kernel::open();
        assert_eq!(
            kernel.ask(Endpoint::v4([198, 51, 100, 8], 1), elsewhere),
            None
        );
        let own = Endpoint::v4([127, 0, 0, 1], 1);
        assert_eq!(kernel.ask(own, elsewhere), None);
    }

    #[test]
    fn it_answers_without_rights() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        // On a thread of its own: the other tests need their rights.
        thread::spawn(move || {
            let mut kernel = Kernel::open();
            let (from, to) = ends(&client);
            rights::give_up().unwrap();
            assert_eq!(kernel.ask(from, to).unwrap().accepted, Some(false));
            assert!(kernel.counted().is_some());
            // To destroy a socket takes a right that is gone; some kernels cannot do it at all.
            let request = InetRequest {
                family: AF_INET,
                protocol: IPPROTO_TCP,
                extensions: ExtensionFlags::empty(),
                states: StateFlags::all(),
                socket_id: SocketId {
                    source_address: from.ip(),
                    source_port: from.port,
                    destination_address: to.ip(),
                    destination_port: to.port,
                    cookie: [0xff; 8],
                    ..SocketId::new_v4()
                },
            };
            let mut question = kernel.question(request, NLM_F_REQUEST | NLM_F_ACK);
            question[4..6].copy_from_slice(&SOCK_DESTROY.to_ne_bytes());
            let (kind, payload) = kernel.put(&question).unwrap();
            let number = i32::from_ne_bytes(*payload.first_chunk().unwrap());
            let refused = [libc::EPERM, libc::EOPNOTSUPP].contains(&-number);
            assert!(kind == ERROR && refused, "{kind} {number}");
            assert!(kernel.ask(from, to).is_some());
        })
        .join()
        .unwrap();
    }
}
