//! The program: `loader SHA-256 [ARGUMENT…]` becomes the agent with these arguments.
//!
//! It has no standard library, because it has to fit into a `ConfigMap` beside the agent's first
//! part: C's startup, memory and `fexecve` are all it links (musl, statically), and the system
//! calls are rustix's.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::ffi::{CStr, c_char, c_int};
use core::fmt::{self, Display, Write as _};
use meshsniff_loader::{AGENT, FOLDER, MOST_PARTS, OWN_VARIABLES, PART, SPARE_FOLDER, Unfit, open};
use rustix::fd::OwnedFd;
use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::io::Errno;

/// How it ends without having become the agent: as a shell that finds no program.
const FAILED: c_int = 127;
/// How much is read at once.
const PIECE: usize = 64 << 10;

/// C's memory.
struct Memory;

#[allow(
    unsafe_code,
    reason = "without a standard library this is how memory is had"
)]
// SAFETY: malloc's memory fits whatever needs no more than its alignment, and so does that of
// aligned_alloc for what needs more; free takes both.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= align_of::<libc::max_align_t>() {
            unsafe { libc::malloc(layout.size()).cast() }
        } else {
            unsafe { libc::aligned_alloc(layout.align(), layout.size()).cast() }
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, _: Layout) {
        unsafe { libc::free(memory.cast()) }
    }
}

#[global_allocator]
static MEMORY: Memory = Memory;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    say(&"the loader failed");
    exit()
}

/// Ends the process.
fn exit() -> ! {
    #[allow(
        unsafe_code,
        reason = "no crate ends a process without a standard library"
    )]
    // SAFETY: it takes a number.
    unsafe {
        libc::_exit(FAILED)
    }
}

/// Standard error.
struct Stderr;

impl fmt::Write for Stderr {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        #[allow(
            unsafe_code,
            reason = "the standard library is who says that it is open"
        )]
        // SAFETY: nobody closes it here.
        let stderr = unsafe { rustix::stdio::stderr() };
        write_all(stderr, text.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// Writes a line like the agent's own (`meshsniff_contract::stderr`).
fn say(sentence: &impl Display) {
    // Nothing is left to do if nobody can be told. (No `format!`: its code unwinds.)
    let _ = writeln!(Stderr, r#"{{"message":"{sentence}","type":"error"}}"#);
}

fn write_all(to: rustix::fd::BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Why there will be no agent.
enum Failed {
    Usage,
    Parts(Unfit),
    Read(Errno),
    Unpack(Errno),
    Execute(Errno),
}

impl Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, error) = match self {
            Self::Usage => return f.write_str("usage: loader SHA-256 [ARGUMENT...]"),
            Self::Parts(why) => return why.fmt(f),
            Self::Read(error) => ("the agent in the ConfigMaps cannot be read", error),
            Self::Unpack(error) => ("there is no memory for the agent", error),
            Self::Execute(error) => ("the agent cannot be executed", error),
        };
        write!(f, "{what} (errno {})", error.raw_os_error())
    }
}

/// A path in a folder.
fn path(folder: &str, name: &str, number: i32) -> String {
    let mut path = String::new();
    // Memory that cannot be had ends the program before it is an error here.
    let _ = write!(path, "{folder}/{name}{number}");
    path
}

/// The parts, joined.
fn packed() -> Result<Vec<u8>, Failed> {
    let mut packed = Vec::new();
    for number in 0..MOST_PARTS {
        let path = path(FOLDER, PART, number);
        let part = match rustix::fs::open(path.as_str(), OFlags::RDONLY, Mode::empty()) {
            Ok(part) => part,
            Err(Errno::NOENT) if number > 0 => break,
            Err(error) => return Err(Failed::Read(error)),
        };
        loop {
            let length = packed.len();
            packed.resize(length + PIECE, 0);
            let read = rustix::io::read(&part, &mut packed[length..]);
            packed.truncate(length + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(Failed::Read(error)),
            }
        }
    }
    Ok(packed)
}

/// Memory without a name that may be executed. Kernels before 6.3 do not know the flag, and let all
/// of it be.
fn unnamed() -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC;
    match rustix::fs::memfd_create(AGENT, flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(AGENT, flags),
        made => made,
    }
}

/// The program as something that can be executed: without a name where the kernel allows it, else a
/// file in memory, which has none any more once it is open.
fn program(agent: &[u8]) -> Result<OwnedFd, Failed> {
    if let Ok(memory) = unnamed() {
        use rustix::fd::AsFd as _;
        write_all(memory.as_fd(), agent).map_err(Failed::Unpack)?;
        return Ok(memory);
    }
    in_spare_folder(agent).map_err(Failed::Unpack)
}

fn in_spare_folder(agent: &[u8]) -> Result<OwnedFd, Errno> {
    use rustix::fd::AsFd as _;
    // Several may start at once.
    let id = rustix::process::getpid().as_raw_nonzero();
    let path = path(SPARE_FOLDER, "", id.get());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::open(path.as_str(), flags, Mode::RWXU)?;
    let written = write_all(file.as_fd(), agent);
    // What is open for writing is not executed.
    drop(file);
    let opened = written.and_then(|()| {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::open(path.as_str(), flags, Mode::empty())
    });
    rustix::fs::unlink(path.as_str())?;
    opened
}

/// Becomes the agent; returns only if it cannot.
fn become_agent(arguments: &[&CStr], environment: &[&CStr]) -> Failed {
    let [_, expected, rest @ ..] = arguments else {
        return Failed::Usage;
    };
    let program = match packed().and_then(|packed| {
        let agent = open(&packed, expected.to_bytes()).map_err(Failed::Parts)?;
        program(&agent)
    }) {
        Ok(program) => program,
        Err(failed) => return failed,
    };
    let Ok(name) = CString::new(AGENT) else {
        return Failed::Usage;
    };
    let own = environment
        .iter()
        .filter(|variable| variable.to_bytes().starts_with(OWN_VARIABLES.as_bytes()));
    let arguments = pointers([name.as_c_str()].iter().chain(rest));
    let environment = pointers(own);
    execute(&program, &arguments, &environment)
}

fn pointers<'a>(of: impl Iterator<Item = &'a &'a CStr>) -> Vec<*const c_char> {
    of.map(|one| one.as_ptr())
        .chain([core::ptr::null()])
        .collect()
}

fn execute(
    program: &OwnedFd,
    arguments: &[*const c_char],
    environment: &[*const c_char],
) -> Failed {
    use rustix::fd::AsRawFd as _;
    #[allow(
        unsafe_code,
        reason = "no crate executes what is open without a standard library"
    )]
    // SAFETY: both lists end with a null pointer, and what they point to is still borrowed.
    unsafe {
        libc::fexecve(
            program.as_raw_fd(),
            arguments.as_ptr(),
            environment.as_ptr(),
        );
        Failed::Execute(Errno::from_raw_os_error(*libc::__errno_location()))
    }
}

/// The strings of a list that ends with a null pointer.
#[allow(unsafe_code, reason = "this is what C hands to a program")]
unsafe fn strings<'a>(mut list: *const *const c_char) -> Vec<&'a CStr> {
    let mut found = Vec::new();
    // SAFETY: the caller's list is C's own: each pointer in it is null, or that of a string that
    // lives as long as the process.
    unsafe {
        while !(*list).is_null() {
            found.push(CStr::from_ptr(*list));
            list = list.add(1);
        }
    }
    found
}

/// Called by C's startup.
#[allow(unsafe_code, reason = "C's startup calls it by this name")]
#[unsafe(no_mangle)]
extern "C" fn main(
    _: c_int,
    arguments: *const *const c_char,
    environment: *const *const c_char,
) -> c_int {
    // SAFETY: these are the lists that C's startup hands to a program.
    let (arguments, environment) = unsafe { (strings(arguments), strings(environment)) };
    say(&become_agent(&arguments, &environment));
    FAILED
}
