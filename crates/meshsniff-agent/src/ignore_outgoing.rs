//! One socket option that no crate has: the only `unsafe` code of the agent.
#![allow(unsafe_code)]

use nix::libc;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// `PACKET_IGNORE_OUTGOING` of linux/if_packet.h, since Linux 4.20.
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

/// Asks the kernel for each packet of a loopback interface once, as it comes in, and not on its way
/// out as well. libpcap leaves the second one out in any case; this way it takes no room in the
/// ring and is not counted as lost. Older kernels refuse, which costs only that.
pub(super) fn set(socket: BorrowedFd<'_>) {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open while it is borrowed, and the kernel reads one int from the
    // address given, of the size given. The option changes nothing but which packets this socket is
    // handed.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            PACKET_IGNORE_OUTGOING,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        );
    }
}
