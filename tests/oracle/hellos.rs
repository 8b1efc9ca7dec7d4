//! What hellos and plain alerts of TLS say, as tshark and as our analyser read them.

use meshsniff::exchange::Connection;
use meshsniff::testing::Seen;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// Rows of tshark: the connection's number, and of each field every value that a frame has.
pub(crate) fn rows(capture: &Path, filter: &str, fields: &[&str]) -> Vec<(u64, Vec<Vec<String>>)> {
    let mut command = Command::new("tshark");
    command.args([
        "-n",
        "-2",
        "-Y",
        filter,
        "-T",
        "fields",
        "-E",
        "separator=|",
    ]);
    command.args(["-E", "aggregator=;", "-e", "tcp.stream"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let done = command
        .arg("-r")
        .arg(capture)
        .stderr(Stdio::null())
        .output()
        .expect("tshark runs");
    let text = String::from_utf8(done.stdout).expect("UTF-8");
    let values = |cell: &str| {
        let values = cell.split(';').filter(|value| !value.is_empty());
        values.map(str::to_owned).collect()
    };
    text.lines()
        .filter_map(|line| {
            let mut cells = line.split('|');
            let stream = cells.next()?.parse().ok()?;
            Some((stream, cells.map(values).collect()))
        })
        .collect()
}

fn number(text: &str) -> Option<u16> {
    match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Holds every hello and every plain alert that tshark has against ours. Returns how many.
pub(crate) fn compare(name: &str, capture: &Path, seen: &Seen, wrong: &mut Vec<String>) -> usize {
    let of = |stream: u64| -> Option<&Connection> {
        let mut connections = seen.connections.iter();
        connections.find(|one| one.id == stream && one.tls.is_some())
    };
    let mut differ = |stream: u64, what: &str, theirs: String, ours: String| {
        if theirs != ours {
            wrong.push(format!(
                "{name}: connection {stream}: {what}: tshark has {theirs}, ours is {ours}"
            ));
        }
    };
    let mut compared = 0;
    let client = [
        "tls.handshake.extensions_server_name",
        "tls.handshake.extensions_alpn_str",
    ];
    let mut first = BTreeMap::new();
    for (stream, cells) in rows(capture, "tls.handshake.type == 1", &client) {
        first.entry(stream).or_insert(cells);
    }
    for (stream, cells) in first {
        let Some(tls) = of(stream).and_then(|one| one.tls.as_deref()) else {
            differ(
                stream,
                "a client's hello",
                "one".to_owned(),
                "none".to_owned(),
            );
            continue;
        };
        compared += 1;
        let sni: Vec<&str> = tls.sni.iter().map(|sni| sni.as_str()).collect();
        differ(stream, "SNI", format!("{:?}", cells[0]), format!("{sni:?}"));
        let offered: Vec<&str> = tls.alpn_offered.iter().map(|one| one.as_str()).collect();
        differ(
            stream,
            "ALPN",
            format!("{:?}", cells[1]),
            format!("{offered:?}"),
        );
    }
    let server = [
        "tls.handshake.ciphersuite",
        "tls.handshake.version",
        "tls.handshake.extensions.supported_version",
    ];
    // The last: the first may ask for another hello of the client.
    let last: BTreeMap<u64, Vec<Vec<String>>> = rows(capture, "tls.handshake.type == 2", &server)
        .into_iter()
        .collect();
    for (stream, cells) in last {
        let Some(tls) = of(stream).and_then(|one| one.tls.as_deref()) else {
            differ(
                stream,
                "a server's hello",
                "one".to_owned(),
                "none".to_owned(),
            );
            continue;
        };
        compared += 1;
        let chosen = cells[0].last().and_then(|text| number(text));
        differ(
            stream,
            "cipher",
            format!("{chosen:?}"),
            format!("{:?}", tls.cipher.map(|one| one.0)),
        );
        let version = cells[2].last().or(cells[1].last());
        let version = version.and_then(|text| number(text));
        differ(
            stream,
            "version",
            format!("{version:?}"),
            format!("{:?}", tls.version.map(|one| one.0)),
        );
    }
    for (stream, cells) in rows(
        capture,
        "tls.alert_message.desc > 0",
        &["tls.alert_message.desc"],
    ) {
        let alert = of(stream).and_then(Connection::alert);
        let ours = alert.and_then(|alert| alert.description).map(u16::from);
        let theirs = cells[0].first().and_then(|text| number(text));
        compared += 1;
        differ(stream, "alert", format!("{theirs:?}"), format!("{ours:?}"));
    }
    compared
}
