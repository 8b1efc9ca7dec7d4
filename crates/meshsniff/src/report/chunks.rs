//! The content of a body that was sent in chunks.

use httparse::Status;

/// What chunks carry (RFC 9112, 7.1), as far as it is there, and whether the last of them is.
pub(super) fn unchunked(mut body: &[u8]) -> (Vec<u8>, bool) {
    let mut content = Vec::with_capacity(body.len());
    while let Ok(Status::Complete((line, size))) = httparse::parse_chunk_size(body) {
        if size == 0 {
            return (content, true);
        }
        body = &body[line..];
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(body.len());
        content.extend(&body[..size]);
        let rest = &body[size..];
        let Some(next) = rest.strip_prefix(b"\r\n").or(rest.strip_prefix(b"\n")) else {
            break;
        };
        body = next;
    }
    (content, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_as_far_as_they_are_there() {
        let body = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n";
        assert_eq!(unchunked(body), (b"abcde".to_vec(), true));
        for end in 0..body.len() - 15 {
            let (content, whole) = unchunked(&body[..end]);
            assert!(!whole && b"abcde".starts_with(content.as_slice()), "{end}");
        }
        assert_eq!(
            unchunked(b"ffffffffffffffff\r\nabc"),
            (b"abc".to_vec(), false)
        );
        assert_eq!(
            unchunked(b"3\r\nabcd\r\n0\r\n\r\n"),
            (b"abc".to_vec(), false)
        );
    }
}
