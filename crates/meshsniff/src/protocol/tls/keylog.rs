//! Secrets of TLS sessions, as the programs that have them log them (RFC 9850, `SSLKEYLOGFILE`).

use super::hello::Random;
use hashbrown::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Sessions whose secrets are kept.
const MAX_SESSIONS: usize = 1 << 20;
/// A line is not longer: a label, and two values in hexadecimal digits.
const MAX_LINE: usize = 512;
/// A secret is as long as the hash of its suite: SHA-256, or SHA-384 and of TLS 1.2 the master secret.
const SECRETS: [usize; 2] = [32, 48];

/// Names of the lines that are read.
const MASTER: &[u8] = b"CLIENT_RANDOM";
const EARLY: &[u8] = b"CLIENT_EARLY_TRAFFIC_SECRET";
const CLIENT_HANDSHAKE: &[u8] = b"CLIENT_HANDSHAKE_TRAFFIC_SECRET";
const SERVER_HANDSHAKE: &[u8] = b"SERVER_HANDSHAKE_TRAFFIC_SECRET";
const CLIENT_TRAFFIC: &[u8] = b"CLIENT_TRAFFIC_SECRET_0";
const SERVER_TRAFFIC: &[u8] = b"SERVER_TRAFFIC_SECRET_0";

/// Bytes that nobody prints by mistake.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Secret(pub(super) Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secret bytes", self.0.len())
    }
}

/// What is known of one session.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    /// Of TLS 1.2.
    pub(super) master: Option<Secret>,
    /// Of TLS 1.3: the client's for data sent with its hello.
    pub(super) early: Option<Secret>,
    /// The client's and the server's in the handshake.
    pub(super) handshake: [Option<Secret>; 2],
    /// And behind it.
    pub(super) traffic: [Option<Secret>; 2],
    /// Whether they come from a log, not from the capture itself.
    logged: bool,
    /// Whether they were asked for.
    asked: bool,
}

type Sessions = HashMap<Random, Secrets>;

/// The secrets of many sessions: of key logs, which may grow while they are read, and of the blocks
/// of a capture that hold one.
#[derive(Default)]
pub struct Keys {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    sessions: Sessions,
    logs: Vec<Log>,
}

/// A key log, read as far as it had been written.
struct Log {
    file: File,
    /// The line that it ended in.
    begun: Vec<u8>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// Reads a key log. What is written to it later is read when it is looked for.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(&self, path: &Path) -> io::Result<()> {
        let mut log = Log {
            file: File::open(path)?,
            begun: Vec::new(),
        };
        self.locked(|known| {
            log.read_on(&mut known.sessions)?;
            known.logs.push(log);
            Ok(())
        })
    }

    /// Adds the lines of a key log.
    pub fn add(&self, text: &[u8]) {
        self.locked(|known| {
            for line in text.split(|&byte| byte == b'\n') {
                read_line(&mut known.sessions, line, false);
            }
        });
    }

    /// Sessions that have a secret.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.locked(|known| known.sessions.len())
    }

    /// Whether a session may be found, now or later.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.locked(|known| known.logs.is_empty() && known.sessions.is_empty())
    }

    /// The secrets of the session whose client sent these random bytes.
    pub(super) fn of(&self, random: &Random) -> Option<Secrets> {
        self.locked(|known| {
            let Known { sessions, logs } = known;
            if !sessions.get(random).is_some_and(Secrets::is_whole) {
                // A log that cannot be read on has no more secrets.
                logs.retain_mut(|log| log.read_on(sessions).is_ok());
            }
            let secrets = sessions.get_mut(random)?;
            secrets.asked = true;
            Some(secrets.clone())
        })
    }

    /// The lines of key logs with the sessions that were found in the captures so far: whoever gets
    /// them can read those, and no other.
    #[must_use]
    pub fn log_of_captures(&self) -> Vec<u8> {
        self.locked(|known| {
            let found = known.sessions.iter();
            let mut found: Vec<_> = found
                .filter(|(_, secrets)| secrets.logged && secrets.asked)
                .collect();
            found.sort_by_key(|(random, _)| **random);
            let mut log = Vec::new();
            for (random, secrets) in found {
                secrets.push_lines(&mut log, random);
            }
            log
        })
    }

    fn locked<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        look(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Log {
    fn read_on(&mut self, sessions: &mut Sessions) -> io::Result<()> {
        let mut piece = vec![0; 64 << 10];
        loop {
            let count = self.file.read(&mut piece)?;
            if count == 0 {
                break;
            }
            let mut lines = piece[..count].split(|&byte| byte == b'\n');
            self.goes_on(lines.next().unwrap_or_default());
            for line in lines {
                read_line(sessions, &std::mem::take(&mut self.begun), true);
                self.goes_on(line);
            }
        }
        // The last line of a log need not have an end.
        read_line(sessions, &self.begun, true);
        Ok(())
    }

    fn goes_on(&mut self, bytes: &[u8]) {
        let room = (MAX_LINE + 1).saturating_sub(self.begun.len());
        self.begun
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// Takes a line: `LABEL CLIENT_RANDOM SECRET`. Any other is a comment, or of no use here.
fn read_line(sessions: &mut Sessions, line: &[u8], logged: bool) -> Option<()> {
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let (label, random, secret) = (words.next()?, words.next()?, words.next()?);
    if line.len() > MAX_LINE || words.next().is_some() {
        return None;
    }
    let random: Random = hexadecimal(random)?.try_into().ok()?;
    let secret = hexadecimal(secret).filter(|secret| SECRETS.contains(&secret.len()))?;
    if sessions.len() >= MAX_SESSIONS && !sessions.contains_key(&random) {
        return None;
    }
    let mut of = Secrets {
        logged,
        ..Secrets::default()
    };
    let place = match label {
        MASTER if secret.len() == 48 => &mut of.master,
        EARLY => &mut of.early,
        CLIENT_HANDSHAKE => &mut of.handshake[0],
        SERVER_HANDSHAKE => &mut of.handshake[1],
        CLIENT_TRAFFIC => &mut of.traffic[0],
        SERVER_TRAFFIC => &mut of.traffic[1],
        _ => return None,
    };
    *place = Some(Secret(secret));
    sessions.entry(random).or_default().take(of);
    Some(())
}

impl Secrets {
    /// Whether what comes behind the handshake can be opened.
    const fn is_whole(&self) -> bool {
        self.master.is_some() || matches!(self.traffic, [Some(_), Some(_)])
    }

    fn push_lines(&self, log: &mut Vec<u8>, random: &Random) {
        let [client_handshake, server_handshake] = &self.handshake;
        let [client_traffic, server_traffic] = &self.traffic;
        let lines = [
            (MASTER, &self.master),
            (EARLY, &self.early),
            (CLIENT_HANDSHAKE, client_handshake),
            (SERVER_HANDSHAKE, server_handshake),
            (CLIENT_TRAFFIC, client_traffic),
            (SERVER_TRAFFIC, server_traffic),
        ];
        for (label, secret) in lines {
            let Some(Secret(secret)) = secret else {
                continue;
            };
            log.extend_from_slice(label);
            for bytes in [&random[..], secret] {
                log.push(b' ');
                for byte in bytes {
                    log.extend_from_slice(format!("{byte:02x}").as_bytes());
                }
            }
            log.push(b'\n');
        }
    }

    fn take(&mut self, other: Self) {
        let Self {
            master,
            early,
            handshake: [client_handshake, server_handshake],
            traffic: [client_traffic, server_traffic],
            logged,
            asked: _,
        } = other;
        self.logged |= logged;
        let ([handshake, of_server], [traffic, its]) = (&mut self.handshake, &mut self.traffic);
        let places = [
            (&mut self.master, master),
            (&mut self.early, early),
            (handshake, client_handshake),
            (of_server, server_handshake),
            (traffic, client_traffic),
            (its, server_traffic),
        ];
        for (place, secret) in places {
            if secret.is_some() {
                *place = secret;
            }
        }
    }
}

fn hexadecimal(digits: &[u8]) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let bytes = pairs
        .iter()
        .map(|[high, low]| Some((value(*high)? << 4 | value(*low)?) as u8));
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn line(label: &str, random: u8, secret: u8, length: usize) -> String {
        let digits = |byte: u8, count: usize| format!("{byte:02x}").repeat(count);
        format!(
            "{label} {} {}\n",
            digits(random, 32),
            digits(secret, length)
        )
    }

    #[test]
    fn lines_of_every_kind() {
        let keys = Keys::default();
        assert!(keys.is_empty());
        let log = [
            "# a comment\n".to_owned(),
            line("CLIENT_RANDOM", 1, 7, 48),
            line("CLIENT_HANDSHAKE_TRAFFIC_SECRET", 2, 1, 32),
            line("SERVER_HANDSHAKE_TRAFFIC_SECRET", 2, 2, 32),
            line("CLIENT_TRAFFIC_SECRET_0", 2, 3, 32).replace('\n', "\r\n"),
            line("SERVER_TRAFFIC_SECRET_0", 2, 4, 32),
            line("EXPORTER_SECRET", 2, 5, 32),
            line("CLIENT_EARLY_TRAFFIC_SECRET", 2, 0xab, 48).replacen("ab", "AB", 9),
        ];
        keys.add(log.concat().as_bytes());
        assert!(!keys.is_empty());
        let first = keys.of(&[1; 32]).unwrap();
        assert_eq!(first.master, Some(Secret(vec![7; 48])));
        let second = keys.of(&[2; 32]).unwrap();
        let secrets = [
            second.early,
            second.handshake[1].clone(),
            second.traffic[0].clone(),
        ];
        assert_eq!(
            secrets.map(|secret| secret.map(|secret| secret.0)),
            [Some(vec![0xab; 48]), Some(vec![2; 32]), Some(vec![3; 32])]
        );
        assert!(keys.of(&[3; 32]).is_none());
    }

    #[test]
    fn what_is_no_line_is_passed_over() {
        let keys = Keys::default();
        for bad in [
            line("CLIENT_RANDOM", 1, 7, 47),
            line("CLIENT_TRAFFIC_SECRET_0", 1, 7, 65),
            format!("{} more", line("CLIENT_RANDOM", 1, 7, 48).trim_end()),
            line("CLIENT_RANDOM", 1, 7, 48).replace("07", "0x"),
            "CLIENT_RANDOM 0101 07".to_owned(),
            "CLIENT_RANDOM".to_owned(),
        ] {
            keys.add(bad.as_bytes());
        }
        assert_eq!(keys.sessions(), 0);
    }

    #[test]
    fn a_log_that_grows() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let second = line("CLIENT_RANDOM", 2, 8, 48);
        let (begin, end) = second.split_at(40);
        write!(file, "{}{begin}", line("CLIENT_RANDOM", 1, 7, 48)).unwrap();
        let keys = Keys::default();
        keys.open(file.path()).unwrap();
        assert!(keys.of(&[1; 32]).is_some() && keys.of(&[2; 32]).is_none());
        write!(file, "{}", end.trim_end()).unwrap();
        assert!(keys.of(&[2; 32]).is_some(), "without an end of its line");
        write!(file, "\n{}", line("CLIENT_RANDOM", 3, 9, 48)).unwrap();
        assert!(keys.of(&[3; 32]).is_some());
        assert!(keys.open(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn secrets_are_not_printed() {
        let keys = Keys::default();
        keys.add(line("CLIENT_RANDOM", 1, 7, 48).as_bytes());
        let printed = format!("{keys:?} {:?}", keys.of(&[1; 32]).unwrap());
        assert!(
            !printed.contains("7, 7") && !printed.contains("07"),
            "{printed}"
        );
        assert!(printed.contains("48 secret bytes"));
    }
}
