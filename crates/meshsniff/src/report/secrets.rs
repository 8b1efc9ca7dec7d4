//! Credentials in request targets, which are left out of what is made to be passed on.

use crate::exchange::Exchange;
use crate::redacted::MASK;
use std::borrow::Cow;

/// Parameters of a query whose values are credentials: of OAuth 2.0 (RFC 6749 and 6750), of signed
/// URLs of AWS, Azure and Google, and what else they are commonly called.
const PARAMETERS: [&str; 20] = [
    "access_token",
    "api_key",
    "apikey",
    "auth_token",
    "client_assertion",
    "client_secret",
    "id_token",
    "jwt",
    "passwd",
    "password",
    "private_token",
    "refresh_token",
    "secret",
    "sig",
    "signature",
    "token",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-credential",
    "x-goog-signature",
];

/// A request target with such values masked, and the names of the parameters that had them; `None`
/// if there is none.
pub(super) fn masked(target: &[u8]) -> Option<(Vec<u8>, Vec<&'static str>)> {
    let start = memchr::memchr(b'?', target)? + 1;
    let (mut plain, mut names) = (target[..start].to_vec(), Vec::new());
    for (index, parameter) in target[start..].split(|&byte| byte == b'&').enumerate() {
        if index > 0 {
            plain.push(b'&');
        }
        let end = memchr::memchr(b'=', parameter).unwrap_or(parameter.len());
        let (name, value) = parameter.split_at(end);
        let known = PARAMETERS.iter().copied();
        let mut known = known.filter(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        match known.next().filter(|_| value.len() > 1) {
            Some(known) => {
                plain.extend(name);
                plain.push(b'=');
                plain.extend(MASK.as_bytes());
                if !names.contains(&known) {
                    names.push(known);
                }
            }
            None => plain.extend(parameter),
        }
    }
    (!names.is_empty()).then_some((plain, names))
}

/// An exchange without them.
pub(super) fn exchange(exchange: &Exchange) -> Cow<'_, Exchange> {
    let path = exchange.path.as_deref().unwrap_or_default();
    let masked = masked(path.as_bytes()).and_then(|(path, _)| String::from_utf8(path).ok());
    match masked {
        None => Cow::Borrowed(exchange),
        Some(path) => Cow::Owned(Exchange {
            path: Some(path.into()),
            ..exchange.clone()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_of_credentials_are_masked() {
        let text = |target: &[u8]| {
            masked(target).map(|(plain, names)| (String::from_utf8(plain).unwrap(), names))
        };
        let known = text(b"/a?q=token&Access_Token=x%3d&&sig=y=z&password=&token&SIG=1#f");
        let plain = "/a?q=token&Access_Token=redacted&&sig=redacted&password=&token&SIG=redacted";
        assert_eq!(known, Some((plain.to_owned(), vec!["access_token", "sig"])));
        assert_eq!(text(b"/token=1?q=2&x"), None);
        assert_eq!(text(b"token=1"), None);
    }
}
