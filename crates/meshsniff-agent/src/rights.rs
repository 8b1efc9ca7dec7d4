//! The end of every right that is not needed any more.
//!
//! Rights are given up once the handles are open and before the first packet is looked at, while
//! there is only one thread: the threads it starts afterwards inherit none. From then on a packet
//! that takes over this process finds a process without capabilities that may read, write, wait and
//! end.

use nix::sys::prctl;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
use std::collections::BTreeMap;
use std::io;
use thiserror::Error;

/// A right could not be given up. To go on with it would be worse than not to capture.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "their sentences say it")]
pub enum RightsError {
    #[error(
        "rights could not be given up ({what}: {error}): the kernel is too old, or a policy \
         forbids it"
    )]
    Refused {
        what: &'static str,
        error: io::Error,
    },
    #[error(
        "the seccomp filter could not be installed ({0}): the kernel lacks CONFIG_SECCOMP_FILTER"
    )]
    Seccomp(String),
}

/// [`give_up_capabilities`], and allows only the system calls that capturing, analysing and ending
/// take.
///
/// # Errors
/// If anything of that fails.
pub fn give_up() -> Result<(), RightsError> {
    give_up_capabilities()?;
    let filter = filter().map_err(|error| RightsError::Seccomp(error.to_string()))?;
    seccompiler::apply_filter(&filter).map_err(|error| RightsError::Seccomp(error.to_string()))
}

/// Drops all capabilities of this thread, forbids new ones, and keeps other processes of the same
/// user from reading this one's memory.
///
/// # Errors
/// If anything of that fails.
pub fn give_up_capabilities() -> Result<(), RightsError> {
    let refused = |what, error: io::Error| RightsError::Refused { what, error };
    for number in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << number);
        // Without CAP_SETPCAP the bounding set stays: no_new_privs makes it useless.
        if capability_is_in_bounding_set(one).unwrap_or(false) {
            let _ = remove_capability_from_bounding_set(one);
        }
    }
    // Kernels before 4.3 have no ambient set to clear.
    let _ = clear_ambient_capability_set();
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(|error| refused("capset", error.into()))?;
    set_no_new_privs(true).map_err(|error| refused("no_new_privs", error.into()))?;
    prctl::set_dumpable(false).map_err(|error| refused("dumpable", error.into()))
}

/// Allows memory, threads, time, signals, waiting, and reading and writing what is open. All other
/// system calls, such as those that open, connect, execute or trace, fail with EPERM.
fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let allowed = ALLOWED.iter().map(|&number| (number, Vec::new()));
    let filter = SeccompFilter::new(
        allowed.collect::<BTreeMap<_, _>>(),
        SeccompAction::Errno(1),
        SeccompAction::Allow,
        ARCH,
    )?;
    filter.try_into()
}

#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;

use nix::libc;

const ALLOWED: &[i64] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_madvise,
    // Threads, and how the C library starts them.
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_prctl,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Time and chance.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
    // Signals: to be waited for, and to end by.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_tgkill,
    libc::SYS_restart_syscall,
    // Reading, writing and waiting for what is open.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_ppoll,
    libc::SYS_eventfd2,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    // The ring's counters, the filter, and libpcap's look at the interface.
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_ioctl,
    libc::SYS_fcntl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::thread;

    #[test]
    fn nothing_is_left() {
        // On a thread of its own: the other tests need their rights.
        let status = thread::spawn(|| {
            let mut file = File::open("/proc/thread-self/status").unwrap();
            give_up().unwrap();
            let opened = fs::read("/proc/self/status").map_err(|error| error.raw_os_error());
            assert_eq!(opened, Err(Some(1)));
            io::read_to_string(&mut file).unwrap()
        })
        .join()
        .unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line[name.len()..].trim().to_owned()
        };
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(field(set), "0000000000000000", "{set}");
        }
        assert_eq!(field("NoNewPrivs:"), "1");
        assert_eq!(field("Seccomp:"), "2");
    }
}
