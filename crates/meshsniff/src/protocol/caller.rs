//! Who asked, as proxies pass it on.
//!
//! Behind a sidecar the client of a connection is the sidecar itself. Envoy says who called it in
//! [`x-forwarded-client-cert`][xfcc], Istio also in `x-envoy-peer-metadata-id`.
//!
//! [xfcc]: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert

use compact_str::CompactString;

/// Bytes of an identity that are kept.
const MAX_LENGTH: usize = 256;

/// The identity (SAN of the type URI) of the caller's certificate in `x-forwarded-client-cert`. Of
/// several elements the last is of who called the last proxy.
#[must_use]
pub(super) fn by_certificate(value: &[u8]) -> Option<CompactString> {
    let element = split(value, b',').last()?;
    split(element, b';').find_map(|pair| {
        let (name, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=')?);
        let value = value[1..].trim_ascii();
        let value = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""))
            .unwrap_or(value);
        let is_uri = name.trim_ascii().eq_ignore_ascii_case(b"uri");
        is_uri.then(|| kept(value))?
    })
}

/// The pod and its namespace in `x-envoy-peer-metadata-id`:
/// `sidecar~10.0.0.1~catalog-7d9f.shop~shop.svc.cluster.local`.
#[must_use]
pub(super) fn by_metadata(value: &[u8]) -> Option<CompactString> {
    let mut parts = value.split(|byte| *byte == b'~');
    let (_, _, pod, _) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then(|| kept(pod))?
}

fn kept(identity: &[u8]) -> Option<CompactString> {
    let text = std::str::from_utf8(identity).ok()?;
    let fits = !text.is_empty() && text.len() <= MAX_LENGTH;
    fits.then(|| CompactString::new(text))
}

/// Splits a value where a separator stands outside of quotes.
fn split(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |&byte| {
        if escaped {
            escaped = false;
            return false;
        }
        match byte {
            b'"' => quoted = !quoted,
            b'\\' => escaped = quoted,
            _ => {}
        }
        !quoted && byte == separator
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_certificate_is_the_callers() {
        let gateway = "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway";
        let own = format!(
            "By=spiffe://cluster.local/ns/shop/sa/catalog;Hash=1a2b;Subject=\"\";URI={gateway}"
        );
        assert_eq!(by_certificate(own.as_bytes()).as_deref(), Some(gateway));
        let chain = format!("By=a;URI=spiffe://outside,{own}");
        assert_eq!(by_certificate(chain.as_bytes()).as_deref(), Some(gateway));
        let quoted = format!("Subject=\"CN=a;b,URI=no\\\",\";URI=\"{gateway}\"");
        assert_eq!(by_certificate(quoted.as_bytes()).as_deref(), Some(gateway));
        for none in ["", "URI=", "By=spiffe://a;Hash=1", "URI", "Subject=\"URI=x"] {
            assert_eq!(by_certificate(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn the_peer_names_its_pod() {
        let id = b"sidecar~10.0.0.1~catalog-7d9f.shop~shop.svc.cluster.local";
        assert_eq!(by_metadata(id).as_deref(), Some("catalog-7d9f.shop"));
        for none in [&b"sidecar"[..], b"a~b~~c", b"a~b~c~d~e", b"a~b~\xff~c"] {
            assert_eq!(by_metadata(none), None);
        }
    }

    #[test]
    fn what_is_too_long_is_left_out() {
        let long = format!("URI=spiffe://{}", "a".repeat(MAX_LENGTH));
        assert_eq!(by_certificate(long.as_bytes()), None);
    }
}
