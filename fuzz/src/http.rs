//! Heads and bodies, whole and in pieces.

use super::choices::Choices;
use meshsniff::protocol::detect::{self, Opening};
use meshsniff::protocol::http1::body::{Body, Fed, Framing};
use meshsniff::protocol::http1::head::{self, Parsed};
use meshsniff::protocol::proxy_header;

/// How many cuts, where they are, and the message.
pub fn check(data: &[u8]) {
    let mut choices = Choices(data);
    let count = usize::from(choices.byte() % 8);
    let framing = choices.byte();
    let mut cuts: Vec<usize> = (0..count).map(|_| usize::from(choices.byte())).collect();
    let bytes = choices.0;
    cuts.retain(|&cut| cut < bytes.len());
    cuts.sort_unstable();

    heads(bytes, &cuts, head::request, |head| head.framing);
    heads(bytes, &cuts, head::response, |head| head.framing);
    openings(bytes, &cuts);
    ends(bytes, &cuts);
    for framing in [
        Framing::Chunked,
        Framing::Length(u64::from(framing)),
        Framing::UntilClose,
    ] {
        body(framing, bytes, &cuts);
    }
}

fn heads<T>(
    bytes: &[u8],
    cuts: &[usize],
    parse: fn(&[u8]) -> Parsed<T>,
    framing: fn(&T) -> Framing,
) {
    let end = head::end_of_head(bytes, 0);
    if detect::skip_blank_lines(bytes).len() == bytes.len()
        && let Some(end) = end
    {
        assert!(
            !matches!(parse(&bytes[..end]), Parsed::Partial),
            "an ended head goes on"
        );
    }
    let Parsed::Whole(whole, used) = parse(bytes) else {
        return;
    };
    assert!(used <= bytes.len());
    if detect::skip_blank_lines(bytes).len() == bytes.len() {
        assert_eq!(end, Some(used), "the blank line is elsewhere");
    }
    match parse(&bytes[..used]) {
        Parsed::Whole(alone, same) => {
            assert_eq!(same, used);
            assert_eq!(framing(&alone), framing(&whole));
        }
        _ => panic!("a head depends on what follows it"),
    }
    for &cut in cuts.iter().filter(|&&cut| cut < used) {
        assert!(
            matches!(parse(&bytes[..cut]), Parsed::Partial),
            "{cut} bytes of a head are no part of it"
        );
    }
    body(framing(&whole), &bytes[used..], cuts);
}

/// The end of a body, or that it has none, is the same whatever the pieces.
fn body(framing: Framing, bytes: &[u8], cuts: &[usize]) {
    let whole = feed(framing, [bytes].into_iter());
    if let Fed::Done(end) = whole {
        assert!(end <= bytes.len());
        assert_eq!(feed(framing, [&bytes[..end]].into_iter()), whole);
    }
    let mut from = 0;
    let places = cuts.iter().copied().filter(|&cut| cut < bytes.len());
    let pieces = places.chain([bytes.len()]).map(|to| {
        let piece = &bytes[from..to];
        from = to;
        piece
    });
    assert_eq!(feed(framing, pieces), whole, "{framing:?} in pieces");
    assert_eq!(
        feed(framing, bytes.chunks(1)),
        whole,
        "{framing:?} byte by byte"
    );
}

fn feed<'a>(framing: Framing, pieces: impl Iterator<Item = &'a [u8]>) -> Fed {
    let mut body = Body::new(framing);
    if body.is_done() {
        return Fed::Done(0);
    }
    let mut taken = 0;
    for piece in pieces {
        match body.feed(piece) {
            Fed::More => taken += piece.len(),
            Fed::Done(more) => return Fed::Done(taken + more),
            Fed::Broken => return Fed::Broken,
        }
    }
    Fed::More
}

/// What opens a request still may become one wherever it is cut.
fn openings(bytes: &[u8], cuts: &[usize]) {
    for forced in [false, true] {
        if detect::client_opening(bytes, forced) != Opening::Request {
            continue;
        }
        for &cut in cuts {
            // So much of HTTP/2's preface is believed, whatever else it may become.
            if bytes.starts_with(b"PRI *") {
                break;
            }
            let opening = detect::client_opening(&bytes[..cut], forced);
            assert!(
                matches!(opening, Opening::Request | Opening::PerhapsRequest),
                "{cut} bytes of a request are {opening:?} (forced: {forced})"
            );
        }
    }
    if detect::begins_response(bytes) == Some(true) {
        for &cut in cuts {
            assert_ne!(
                detect::begins_response(&bytes[..cut]),
                Some(false),
                "{cut} bytes of a response"
            );
        }
    }
    let _ = detect::partial_status(bytes);
    let _ = detect::is_tls_record(bytes);
    let header = proxy_header::read(bytes);
    assert!(header.is_none_or(|(_, len)| len > 0 && len <= bytes.len()));
    let _ = detect::begins_request(bytes);
}

/// The search for the blank line can go on anywhere before it.
fn ends(bytes: &[u8], cuts: &[usize]) {
    let whole = head::end_of_head(bytes, 0);
    for &cut in cuts {
        match head::end_of_head(&bytes[..cut], 0) {
            Some(end) => assert_eq!(whole, Some(end)),
            None => assert_eq!(head::end_of_head(bytes, cut), whole),
        }
    }
}
