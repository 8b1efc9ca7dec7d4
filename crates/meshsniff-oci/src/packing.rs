//! Tar and gzip, with nothing in them but what they are given.

use std::collections::BTreeMap;
use std::io;
use tar::{Builder, EntryType, Header};

/// What an archive holds, by path.
pub(crate) type Files<'a> = BTreeMap<String, Entry<'a>>;

/// An entry of an archive.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry<'a> {
    Folder,
    /// What anybody may read.
    File(&'a [u8]),
    /// What anybody may execute.
    Program(&'a [u8]),
}

/// A tar of files: sorted, owned by 0:0, all of one time, in seconds since 1970.
///
/// # Errors
/// If a path is too long for it.
pub(crate) fn tar(files: &Files<'_>, epoch: u64) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    for (path, entry) in files {
        // USTAR: everything reads it, and it has no extension headers.
        let mut header = Header::new_ustar();
        let (kind, mode, content) = match entry {
            Entry::Folder => (EntryType::Directory, 0o755, &[][..]),
            Entry::File(content) => (EntryType::Regular, 0o644, *content),
            Entry::Program(content) => (EntryType::Regular, 0o755, *content),
        };
        // The path of a folder ends with a slash.
        let end = if kind.is_dir() { "/" } else { "" };
        header.set_path(format!("{path}{end}"))?;
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(epoch);
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive.append(&header, content)?;
    }
    archive.into_inner()
}

/// A gzip file (RFC 1952), with neither a name nor a time in it.
pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    const BEST: u8 = 9;
    // Deflate, no flags, no time, slowest, system unknown.
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
    packed.extend(miniz_oxide::deflate::compress_to_vec(content, BEST));
    packed.extend(crc32fast::hash(content).to_le_bytes());
    // The length, modulo 2^32.
    let length = (content.len() & 0xffff_ffff) as u32;
    packed.extend(length.to_le_bytes());
    packed
}
