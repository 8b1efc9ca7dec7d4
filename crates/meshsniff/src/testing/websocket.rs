//! Frames of WebSocket, for tests.

/// The mask of [`masked`].
pub const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

/// A frame of a server's; `first` is its first byte.
#[must_use]
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&header(first, 0, payload.len()), payload].concat()
}

/// A frame of a client's.
#[must_use]
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let masked = payload.iter().zip(MASK.iter().cycle());
    let payload: Vec<u8> = masked.map(|(byte, mask)| byte ^ mask).collect();
    [&header(first, 0x80, payload.len())[..], &MASK, &payload].concat()
}

fn header(first: u8, bit: u8, length: usize) -> Vec<u8> {
    let mut header = vec![first];
    match length {
        0..126 => header.push(bit | length as u8),
        126..65_536 => {
            header.push(bit | 126);
            header.extend((length as u16).to_be_bytes());
        }
        _ => {
            header.push(bit | 127);
            header.extend((length as u64).to_be_bytes());
        }
    }
    header
}
