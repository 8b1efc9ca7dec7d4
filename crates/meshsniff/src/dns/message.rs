//! DNS messages (RFC 1035, 4), as far as a lookup needs them.

use compact_str::{CompactString, format_compact};
use domain::base::iana::{Rcode, Rtype};
use domain::base::name::ToLabelIter as _;
use domain::base::wire::ParseError;
use domain::base::{Name, ParsedName, ParsedRecord};
use domain::rdata::{A, Aaaa};
use std::net::IpAddr;

/// Addresses of an answer that are kept: more than a name usually has.
const MAX_ADDRESSES: usize = 16;

/// A query, or an answer to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number, which an answer repeats.
    pub id: u16,
    /// Whether it is an answer.
    pub is_answer: bool,
    /// The response code; 0 is success.
    pub code: u8,
    /// The name that is asked for, in lower case, without the last dot.
    pub name: CompactString,
    /// The type that is asked for, by its number.
    pub kind: u16,
    /// Addresses in the answer: the first 16.
    pub addresses: Vec<IpAddr>,
}

impl Message {
    /// Reads a message, of which a snap length may have cut the end. `None` if it is not an
    /// ordinary query or the answer to one, or is cut before the end of its question.
    ///
    /// What follows the question is read as far as it can be: a broken record ends the addresses.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let message = domain::base::Message::from_slice(bytes).ok()?;
        let header = message.header();
        if header.opcode() != domain::base::iana::Opcode::QUERY {
            return None;
        }
        let question = message.first_question()?;
        let mut addresses = Vec::new();
        if header.qr()
            && message.header_counts().ancount() > 0
            && let Ok(answer) = message.answer()
        {
            let records = answer.map_while(|record| address_in(&record.ok()?).ok());
            addresses.extend(records.flatten().take(MAX_ADDRESSES));
        }
        Some(Self {
            id: header.id(),
            is_answer: header.qr(),
            code: header.rcode().to_int(),
            name: in_lower_case(question.qname()),
            kind: question.qtype().to_int(),
            addresses,
        })
    }
}

/// The address that a record holds, if it is of a type that holds one.
fn address_in(record: &ParsedRecord<'_, [u8]>) -> Result<Option<IpAddr>, ParseError> {
    Ok(match record.rtype() {
        Rtype::A => {
            let record = record.to_record::<A>()?;
            record.map(|record| record.data().addr().into())
        }
        Rtype::AAAA => {
            let record = record.to_record::<Aaaa>()?;
            record.map(|record| record.data().addr().into())
        }
        _ => None,
    })
}

/// A name without its last dot. Bytes that names of hosts do not have are escaped (RFC 1035, 5.1).
fn in_lower_case(name: &ParsedName<&[u8]>) -> CompactString {
    plain_in_lower_case(name).unwrap_or_else(|| {
        let mut text = format_compact!("{name}");
        text.make_ascii_lowercase();
        text
    })
}

/// A name all of whose bytes are such as names of hosts have. `None` of the root, too.
fn plain_in_lower_case(name: &ParsedName<&[u8]>) -> Option<CompactString> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'*');
    // Each label with a dot is as long as with its length, which it has on the wire.
    let mut text = [0; Name::MAX_LEN];
    let mut length = 0;
    for label in name.iter_labels().take_while(|label| !label.is_root()) {
        if !label.iter().all(is_plain) {
            return None;
        }
        let end = length + label.len();
        text.get_mut(length..end)?.copy_from_slice(label.as_slice());
        *text.get_mut(end)? = b'.';
        length = end + 1;
    }
    let text = text.get_mut(..length.checked_sub(1)?)?;
    text.make_ascii_lowercase();
    str::from_utf8(text).ok().map(CompactString::from)
}

/// The name of a type: `AAAA`.
#[must_use]
pub fn type_name(kind: u16) -> String {
    Rtype::from_int(kind).to_string()
}

/// The name of a response code: `NXDOMAIN`.
#[must_use]
pub fn code_name(code: u8) -> String {
    Rcode::checked_from_int(code).map_or_else(|| code.to_string(), |code| code.to_string())
}
