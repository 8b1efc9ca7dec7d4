//! Memory maps of capture files. The only `unsafe` code of the library.
#![allow(unsafe_code)]

use memmap2::Mmap;
use std::fs::File;
use std::io;

/// Maps a whole file, which must not be empty, for reading from front to back.
pub(super) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the map is private to this process and only ever read as bytes, for which every value is
    // valid. What cannot be ruled out is another process changing the file meanwhile: changed bytes are
    // parsed like any hostile capture, and a file that is made shorter ends this process with SIGBUS, as it
    // does every program that maps files. Whoever wants to follow a file that is still written uses a pipe.
    let map = unsafe { Mmap::map(file)? };
    #[cfg(unix)]
    {
        // Only a hint: reading works without it.
        let _ = map.advise(memmap2::Advice::Sequential);
    }
    Ok(map)
}
