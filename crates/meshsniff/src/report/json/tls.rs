//! The object of a connection that speaks TLS.

use crate::protocol::tls::{Cipher, Tls, Version};
use crate::report::encode::{List, Millis, Object, Quoted, Seconds, Word, fields};
use crate::time::Timestamp;

/// Pushes the inside of `tls`, with times since `origin`.
pub(super) fn encrypted(out: &mut String, tls: &Tls, origin: Timestamp) {
    let Tls {
        version,
        sni,
        alpn,
        alpn_offered,
        cipher,
        resumed,
        early_data,
        early_data_taken,
        retried,
        client_certificate,
        handshake,
        server,
        client,
        alert,
        close_notify,
        bursts,
        last_record_by: _,
        keys,
        not_read,
        steps,
    } = tls;
    fields!(out, {
        "version": version.map(|Version(number)| Quoted(move |out: &mut String| {
            named(out, Version(number).name(), number);
        })),
        "sni": sni.as_deref(),
        "alpn": alpn.as_deref(),
        "alpn_offered": List(alpn_offered.iter().map(|one| one.as_str())),
        "cipher": cipher.map(|Cipher(number)| Quoted(move |out: &mut String| {
            named(out, Cipher(number).name(), number);
        })),
        "resumed": *resumed,
        "early_data": *early_data,
        "early_data_accepted": *early_data_taken,
        "hello_retry": *retried,
        "client_certificate_requested": *client_certificate,
        "handshake_ms": handshake.map(Millis),
        "server_ms": server.map(Millis),
        "client_ms": client.map(Millis),
        "alert": alert.map(|alert| Object(move |out: &mut String| {
            fields!(out, {
                "by": Word(alert.by.name()),
                "description": alert.description.map(|_| Word(alert.name())),
            });
        })),
        "close_notify": Object(|out: &mut String| {
            let [client, server] = *close_notify;
            fields!(out, { "client": client, "server": server });
        }),
        "bursts": Object(|out: &mut String| {
            fields!(out, {
                "client": bursts.client,
                "server": bursts.server,
                "longest_wait_ms": bursts.longest_wait.map(Millis),
                "longest_wait_frame": bursts.longest_wait_ended.map(|mark| mark.frame.number()),
            });
        }),
        "keys": *keys,
        "keys_reason": not_read.map(|why| Word(why.name())),
        "events": List(steps.iter().map(|step| Object(move |out: &mut String| {
            fields!(out, {
                "kind": Word(step.kind.name()),
                "by": Word(step.by.name()),
                "frame": step.mark.frame.number(),
                "t": Seconds(step.mark.time - origin),
            });
        }))),
    });
}

/// A name, or the number in hexadecimal digits where there is none.
fn named(out: &mut String, name: Option<&'static str>, number: u16) {
    use std::fmt::Write as _;
    match name {
        Some(name) => out.push_str(name),
        None => {
            let _ = write!(out, "0x{number:04x}");
        }
    }
}
