//! Signals that end a capture or a report, wherever it runs.

/// Whether this process was started with SIGHUP ignored, as `nohup` does: then it lives on when its
/// terminal is closed, and so does whatever it starts. False on systems without the signal.
#[must_use]
pub fn hangup_is_ignored() -> bool {
    #[cfg(unix)]
    return is_ignored(libc::SIGHUP);
    #[cfg(not(unix))]
    false
}

#[cfg(unix)]
#[allow(
    unsafe_code,
    reason = "no crate asks what is done with a signal without changing it"
)]
fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action nothing is changed, and the old one is written to memory of its
    // size; it is read only if the system says that it was.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
