//! Secrets of TLS sessions, as the programs that have them log them (RFC 9850, `SSLKEYLOGFILE`).
//!
//! Of TLS 1.2 some log less, so that secrets have to be tried:
//!
//! - Agents that take the secrets out of Java log the master secret under the session's identifier,
//!   as Wireshark reads it: `RSA Session-ID:… Master-Key:…`. Where the server gave the session a
//!   ticket and no identifier, it is one that Java made up, and no packet of that connection has it.
//! - Go logs nothing for a connection that takes a session up, whose master secret is that of the
//!   session's first.

use super::hello::Random;
use hashbrown::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Sessions whose secrets are kept.
const MAX_SESSIONS: usize = 1 << 20;
/// Master secrets that are tried on a connection: the latest.
const MAX_TRIED: usize = 1024;
/// Secrets that are tried in vain, on all connections: whoever opens many for nothing gets no more of
/// our time.
const MAX_IN_VAIN: usize = 1 << 18;
/// A line is not longer: a label, and two values in hexadecimal digits.
const MAX_LINE: usize = 512;
/// A secret is as long as the hash of its suite: SHA-256, or SHA-384 and of TLS 1.2 the master secret.
const SECRETS: [usize; 2] = [32, 48];
/// Bytes of a session's identifier (RFC 5246, 7.4.1.2).
const MAX_SESSION_ID: usize = 32;

/// Names of the lines that are read.
const MASTER: &[u8] = b"CLIENT_RANDOM";
const EARLY: &[u8] = b"CLIENT_EARLY_TRAFFIC_SECRET";
const CLIENT_HANDSHAKE: &[u8] = b"CLIENT_HANDSHAKE_TRAFFIC_SECRET";
const SERVER_HANDSHAKE: &[u8] = b"SERVER_HANDSHAKE_TRAFFIC_SECRET";
const CLIENT_TRAFFIC: &[u8] = b"CLIENT_TRAFFIC_SECRET_0";
const SERVER_TRAFFIC: &[u8] = b"SERVER_TRAFFIC_SECRET_0";
/// What stands before an identifier and its secret in such a line.
const NAMED: &[u8] = b"RSA";
const SESSION: &[u8] = b"Session-ID:";
const ITS_MASTER: &[u8] = b"Master-Key:";

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

/// A master secret that may be tried.
#[derive(Debug)]
struct Master {
    secret: Secret,
    logged: bool,
    /// Whether it was logged without the random bytes of its client, and no connection was found
    /// yet whose it is.
    alone: bool,
}

#[derive(Debug, Default)]
struct Sessions {
    known: HashMap<Random, Secrets>,
    /// In the order of the log.
    masters: Vec<Master>,
    /// The places in it of those that were logged under an identifier.
    named: HashMap<Vec<u8>, usize>,
    /// Secrets that were tried and did not fit.
    in_vain: usize,
}

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
            if !sessions.known.get(random).is_some_and(Secrets::is_whole) {
                // A log that cannot be read on has no more secrets.
                logs.retain_mut(|log| log.read_on(sessions).is_ok());
            }
            let secrets = sessions.known.get_mut(random)?;
            secrets.asked = true;
            Some(secrets.clone())
        })
    }

    /// The secrets of such a session of TLS 1.2 if they were logged under its identifier, or fit.
    /// `fits`: whether a secret does, if that can be told. Those from place `from` on are tried, of a
    /// session that was not taken up only those that were logged under an identifier; `from` is then
    /// where the next are to come.
    pub(super) fn of_session(
        &self,
        random: &Random,
        session: &[u8],
        taken_up: bool,
        from: &mut usize,
        fits: impl Fn(&Secret) -> Option<bool>,
    ) -> Option<Secrets> {
        self.locked(|known| {
            let Sessions {
                known,
                masters,
                named,
                in_vain,
            } = &mut known.sessions;
            let first = masters.len().saturating_sub(MAX_TRIED).max(*from);
            *from = masters.len();
            let its_own = named.get(session).copied();
            let told = its_own.and_then(|at| fits(&masters[at].secret));
            let its_own = its_own.filter(|_| told != Some(false));
            let place = its_own.or_else(|| {
                let before = *in_vain;
                let found = (first..masters.len()).find(|&at| {
                    let one = &masters[at];
                    let may_fit = (taken_up || one.alone) && *in_vain < MAX_IN_VAIN;
                    *in_vain += usize::from(may_fit);
                    may_fit && fits(&one.secret) == Some(true)
                });
                if found.is_some() {
                    *in_vain = before;
                }
                found
            });
            let found = &mut masters[place?];
            found.alone = false;
            let secrets = Secrets {
                master: Some(found.secret.clone()),
                logged: found.logged,
                asked: true,
                ..Secrets::default()
            };
            // An identifier is no proof: whoever only knows that has no secret of ours kept for it.
            if (its_own.is_none() || told == Some(true)) && known.len() < MAX_SESSIONS {
                let kept = known.entry(*random).or_default();
                kept.take(secrets.clone());
                kept.asked = true;
            }
            Some(secrets)
        })
    }

    /// The lines of key logs with the sessions that were found in the captures so far: whoever gets
    /// them can read those, and no other.
    #[must_use]
    pub fn log_of_captures(&self) -> Vec<u8> {
        self.locked(|known| {
            let found = known.sessions.known.iter();
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

impl Sessions {
    fn len(&self) -> usize {
        self.known.len() + self.named.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a master secret that was logged under an identifier.
    fn take_named(&mut self, session: &[u8], secret: &[u8], logged: bool) -> Option<()> {
        let session = hexadecimal(session.strip_prefix(SESSION)?)?;
        let secret = Secret(hexadecimal(secret.strip_prefix(ITS_MASTER)?)?);
        let place = self.named.get(&session);
        let is_known = place.is_some_and(|&at| self.masters[at].secret == secret);
        let is_one = (1..=MAX_SESSION_ID).contains(&session.len()) && secret.0.len() == 48;
        if is_known || !is_one || self.len() >= MAX_SESSIONS {
            return None;
        }
        let master = Master {
            secret,
            logged,
            alone: true,
        };
        match place {
            Some(&at) => self.masters[at] = master,
            None => {
                self.named.insert(session, self.masters.len());
                self.masters.push(master);
            }
        }
        Some(())
    }

    /// Takes what was logged under the random bytes of a client.
    fn take(&mut self, random: Random, secrets: Secrets) -> Option<()> {
        if self.len() >= MAX_SESSIONS && !self.known.contains_key(&random) {
            return None;
        }
        let of = self.known.entry(random).or_default();
        if let Some(secret) = secrets.master.clone().filter(|_| of.master.is_none()) {
            self.masters.push(Master {
                secret,
                logged: secrets.logged,
                alone: false,
            });
        }
        of.take(secrets);
        Some(())
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
    if label == NAMED {
        return sessions.take_named(random, secret, logged);
    }
    let random: Random = hexadecimal(random)?.try_into().ok()?;
    let secret = hexadecimal(secret).filter(|secret| SECRETS.contains(&secret.len()))?;
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
    sessions.take(random, of)
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
    fn secrets_under_the_identifiers_of_their_sessions() {
        let named = |id: u8, secret: u8| {
            let digits = |byte: u8, count: usize| format!("{byte:02X}").repeat(count);
            format!(
                "RSA Session-ID:{} Master-Key:{}\n",
                digits(id, 32),
                digits(secret, 48)
            )
        };
        let keys = Keys::default();
        let log = [
            named(1, 7),
            named(2, 8),
            named(2, 8),
            named(3, 9).replace("09", "9"),
            named(3, 9).replace("Master-Key", "Key"),
        ];
        keys.add(log.concat().as_bytes());
        assert_eq!((keys.sessions(), keys.is_empty()), (2, false));
        let tried = std::cell::RefCell::new(Vec::new());
        let of = |random: u8, id: &[u8], taken_up: bool, from: &mut usize, right: u8| {
            tried.borrow_mut().clear();
            let fits = |secret: &Secret| {
                tried.borrow_mut().push(secret.0[0]);
                (right > 0).then_some(secret.0[0] == right)
            };
            let found = keys.of_session(&[random; 32], id, taken_up, from, fits);
            let found = found.map(|one| one.master.unwrap().0[0]);
            (found, tried.borrow().clone())
        };
        // An identifier is tried alone, and kept if it fits; nothing is tried that another had.
        assert_eq!(of(10, &[2; 32], false, &mut 0, 0), (Some(8), vec![8]));
        assert!(keys.of(&[10; 32]).is_none());
        assert_eq!(of(10, &[1; 32], false, &mut 0, 9), (None, vec![7, 7]));
        assert_eq!(of(11, &[2; 32], false, &mut 0, 8), (Some(8), vec![8]));
        assert!(keys.of(&[11; 32]).is_some());
        assert_eq!(of(12, &[], false, &mut 0, 8), (None, vec![7]));
        let mut from = 0;
        assert_eq!(of(13, &[4; 32], false, &mut from, 9), (None, vec![7]));
        keys.add(named(5, 9).as_bytes());
        assert_eq!(of(13, &[4; 32], false, &mut from, 9), (Some(9), vec![9]));
        assert_eq!(of(14, &[5; 32], false, &mut 0, 9), (Some(9), vec![9]));
        assert_eq!(keys.of(&[13; 32]).unwrap().master.unwrap().0, [9; 48]);
        keys.locked(|known| known.sessions.in_vain = MAX_IN_VAIN - 1);
        assert_eq!(of(17, &[6; 32], true, &mut 0, 8), (None, vec![7]));
        assert_eq!(of(18, &[6; 32], true, &mut 0, 7), (None, vec![]));
        keys.locked(|known| known.sessions.in_vain = 0);
        // A session that is taken up may be any, logged in whichever way.
        keys.add(line("CLIENT_RANDOM", 21, 6, 48).repeat(2).as_bytes());
        let all = vec![7, 8, 9, 6];
        assert_eq!(of(15, &[6; 32], true, &mut 0, 6), (Some(6), all));
        assert_eq!(of(16, &[6; 32], false, &mut 0, 6), (None, vec![7]));
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
