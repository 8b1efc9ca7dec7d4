//! What was switched to another protocol, and server-sent events.

use super::words::{MAX_PATH, Request, known};
use crate::exchange::Exchange;
use crate::piece::{Counted, Grouped, Number, Shown, Spoken, push};
use crate::protocol::websocket::code_in_words;

pub(super) fn upgraded(out: &mut String, exchange: &Exchange) {
    let status = exchange.status;
    push!(out; Request(exchange, "The request"), " was switched to another protocol",
        status.map(|status| (" (", Number(u64::from(status)), ")")),
        known(" after ", exchange.gaps.request_to_response),
        "; what follows on the connection is not HTTP.");
}

/// Pushes what came in a WebSocket, and how it was closed.
pub(super) fn websocket(out: &mut String, exchange: &Exchange) {
    let Some(websocket) = exchange.websocket.as_deref() else {
        return;
    };
    let [client, server] = websocket.frames.map(|frames| frames.all());
    let [at_least_client, at_least_server] =
        websocket.whole.map(|whole| (!whole).then_some("at least "));
    push!(out; " It is a WebSocket: the client sent ", at_least_client,
        Counted(client, "frame", "frames"), ", the server ", at_least_server, Grouped(server),
        ", never silent for longer than ", Spoken(websocket.longest_silence));
    if let Some(pong) = websocket.longest_pong {
        push!(out; "; a Pong took ", Spoken(pong), " at most");
    }
    out.push('.');
    if !websocket.is_whole() {
        out.push_str(match websocket.violation {
            None => " Bytes are missing or not shown, so there may be more frames.",
            Some(_) => " What follows cannot be read.",
        });
    }
    let Some(by) = websocket.closed_by else {
        return;
    };
    push!(out; " The ", by.name(), " closed it");
    if let Some(code) = websocket.close_code {
        push!(out; " with ", Number(u64::from(code)), " (", code_in_words(code), ")");
    }
    if let Some(reason) = websocket.close_reason.as_deref() {
        push!(out; ": “", Shown(reason, MAX_PATH), "”");
    }
    if !websocket.close_answered {
        push!(out; ", and the ", by.other().name(), " was not seen to answer");
    }
    out.push('.');
}

/// Pushes what came of server-sent events.
pub(super) fn event_stream(out: &mut String, exchange: &Exchange) {
    let Some(stream) = exchange.event_stream else {
        return;
    };
    out.push_str(" It is a stream of server-sent events: ");
    match stream.events {
        Some(events) => push!(out; Counted(events, "event", "events")),
        None => out.push_str("how many cannot be told, as bytes are missing or hidden"),
    }
    push!(out; ", never silent for longer than ", Spoken(stream.longest_silence));
    if let Some(comments @ 1..) = stream.comments {
        push!(out; ", kept alive by ", Counted(comments, "comment", "comments"));
    }
    out.push('.');
}
