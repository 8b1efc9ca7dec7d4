//! Frames of WebSocket, as tshark and as our analyser read them. It reads those in HTTP/1 alone.

use crate::hellos::rows;
use meshsniff::exchange::WebSocket;
use meshsniff::testing::Seen;
use std::collections::BTreeMap;
use std::path::Path;

/// Frames of each side by their opcodes, and the codes of the Closes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Read {
    frames: [BTreeMap<u8, u64>; 2],
    codes: Vec<u16>,
}

fn ours(websocket: &WebSocket) -> [BTreeMap<u8, u64>; 2] {
    websocket.frames.map(|frames| {
        let opcodes = [1, 2, 0, 9, 10, 8].into_iter();
        let all = opcodes.zip(frames.each());
        all.filter(|(_, count)| *count > 0).collect()
    })
}

/// Holds every frame that tshark has against ours. Returns how many.
pub(crate) fn compare(name: &str, capture: &Path, seen: &Seen, wrong: &mut Vec<String>) -> usize {
    let fields = [
        "tcp.srcport",
        "websocket.opcode",
        "websocket.payload.close.status_code",
    ];
    let mut theirs: BTreeMap<u64, Read> = BTreeMap::new();
    let mut compared = 0;
    for (stream, cells) in rows(capture, "websocket", &fields) {
        let Some(connection) = seen.connections.iter().find(|one| one.id == stream) else {
            wrong.push(format!("{name}: connection {stream} is not there"));
            continue;
        };
        let port = cells[0].first().and_then(|port| port.parse().ok());
        let side = usize::from(port == Some(connection.server.port));
        let read = theirs.entry(stream).or_default();
        for opcode in &cells[1] {
            let opcode = opcode.parse().expect("an opcode");
            *read.frames[side].entry(opcode).or_default() += 1;
            compared += 1;
        }
        let codes = cells[2]
            .iter()
            .map(|code| code.parse::<u16>().expect("a code"));
        read.codes.extend(codes);
    }
    for (stream, theirs) in theirs {
        let mut exchanges = seen.exchanges.iter();
        let ours_is = exchanges.find(|one| one.connection == stream && one.websocket.is_some());
        let Some(websocket) = ours_is.and_then(|one| one.websocket.as_deref()) else {
            wrong.push(format!("{name}: connection {stream} has no WebSocket"));
            continue;
        };
        let frames = ours(websocket);
        if frames != theirs.frames {
            wrong.push(format!(
                "{name}: connection {stream}: tshark has {:?}, ours are {frames:?}",
                theirs.frames
            ));
        }
        if theirs.codes.first().copied() != websocket.close_code {
            wrong.push(format!(
                "{name}: connection {stream}: tshark has {:?}, ours is {:?}",
                theirs.codes, websocket.close_code
            ));
        }
    }
    compared
}
