//! Names of addresses: pods and services, wherever somebody knows them.
//!
//! They come from the cluster, and from the name resolution blocks of pcapng files.

use crate::escape;
use crate::packet::Endpoint;
use crate::piece::{At, Number, Piece, push, said};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;

/// Most addresses that have a name. More are not named.
const MAX_ADDRESSES: usize = 16_384;
/// Characters of a name: a pod's and a namespace's, each of 63 at most, fit.
const MAX_NAME: usize = 128;

/// Names by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// `None` where two names were told.
    by_address: BTreeMap<IpAddr, Option<String>>,
    /// How many addresses have a name.
    addresses: BTreeMap<String, usize>,
}

impl Names {
    /// Names an address. Returns whether that was news: an address has one name, and none once two
    /// are told, as of captures of two clusters that use the same addresses.
    ///
    /// Loopback addresses have none: every pod has its own.
    pub fn add(&mut self, address: IpAddr, name: &str) -> bool {
        if address.is_loopback() || address.is_unspecified() || name.is_empty() {
            return false;
        }
        let name: String = name.chars().take(MAX_NAME).collect();
        let room = self.by_address.len() < MAX_ADDRESSES;
        match self.by_address.entry(address) {
            Entry::Vacant(free) if room => {
                *self.addresses.entry(name.clone()).or_default() += 1;
                free.insert(Some(name));
                true
            }
            Entry::Vacant(_) => false,
            Entry::Occupied(mut known) => match known.get() {
                Some(first) if *first != name => {
                    if let Some(count) = self.addresses.get_mut(first) {
                        *count -= 1;
                    }
                    known.insert(None);
                    true
                }
                _ => false,
            },
        }
    }

    /// Returns the name of an address. Whoever shows it escapes it: a capture's maker chose it.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Option<&str> {
        self.by_address.get(&address)?.as_deref()
    }

    /// An endpoint as it stands in a table, harmless to a terminal: `catalog-v2.shop:3000`.
    #[must_use]
    pub fn shown(&self, endpoint: Endpoint) -> String {
        said!(self.brief(endpoint))
    }

    /// An endpoint in a sentence: `catalog-v2.shop (10.244.0.12:3000)`.
    pub(crate) fn at(&self, endpoint: Endpoint) -> Named<'_> {
        self.piece(endpoint, Form::Sentence)
    }

    /// An endpoint in parentheses: `10.244.0.12:3000, catalog-v2.shop`.
    pub(crate) fn beside(&self, endpoint: Endpoint) -> Named<'_> {
        self.piece(endpoint, Form::Beside)
    }

    /// An endpoint in a table: `catalog-v2.shop:3000`; by its address if others have that name, too.
    pub(crate) fn brief(&self, endpoint: Endpoint) -> Named<'_> {
        let name = self.of(endpoint.ip());
        let name = name.filter(|name| self.addresses.get(*name) == Some(&1));
        Named(name, endpoint, Form::Brief)
    }

    fn piece(&self, endpoint: Endpoint, form: Form) -> Named<'_> {
        let name = self.of(endpoint.ip());
        Named(name, endpoint, form)
    }
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Sentence,
    Beside,
    Brief,
}

/// An endpoint with its name, if it has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a>(Option<&'a str>, Endpoint, Form);

impl Named<'_> {
    /// Pushes it, with the name as `show` makes it harmless, which is given the most characters.
    pub(crate) fn push_as(self, out: &mut String, show: fn(&mut String, &str, usize)) {
        let Self(name, endpoint, form) = self;
        let Some(name) = name else {
            return push!(out; At(endpoint));
        };
        match form {
            Form::Sentence => {
                show(out, name, MAX_NAME);
                push!(out; " (", At(endpoint), ")");
            }
            Form::Beside => {
                push!(out; At(endpoint), ", ");
                show(out, name, MAX_NAME);
            }
            Form::Brief => {
                show(out, name, MAX_NAME);
                push!(out; ":", Number(u64::from(endpoint.port)));
            }
        }
    }

    /// Pushes it, with the name as HTML.
    pub(crate) fn push_html(self, out: &mut String) {
        self.push_as(out, |out, name, _| escape::html(out, name));
    }
}

impl Piece for Named<'_> {
    fn push(self, out: &mut String) {
        self.push_as(out, escape::shown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_name_or_none() {
        let (pod, other) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let mut names = Names::default();
        assert!(names.add(pod, "catalog.shop"));
        assert!(!names.add(pod, "catalog.shop"), "no news");
        assert!(!names.add([127, 0, 0, 6].into(), "istio-inbound"));
        assert!(!names.add(other, ""));
        assert_eq!(
            (names.of(pod), names.of(other)),
            (Some("catalog.shop"), None)
        );
        assert!(names.add(pod, "catalog.staging"));
        assert!(!names.add(pod, "catalog.shop"), "it stays contested");
        assert_eq!(names.of(pod), None);
    }

    #[test]
    fn there_is_an_end_to_names() {
        let mut names = Names::default();
        let address = |n: usize| IpAddr::from(std::net::Ipv6Addr::from(n as u128 + 2));
        for n in 0..=MAX_ADDRESSES {
            assert_eq!(names.add(address(n), &"n".repeat(1_000)), n < MAX_ADDRESSES);
        }
        assert_eq!(names.of(address(0)).map(str::len), Some(MAX_NAME));
    }

    #[test]
    fn names_stand_beside_addresses() {
        let mut names = Names::default();
        names.add([10, 0, 0, 1].into(), "catalog\u{1b}.shop");
        let [known, unknown] = [1, 2].map(|last| Endpoint::v4([10, 0, 0, last], 80));
        let all = |end| {
            let (at, beside, brief) = (names.at(end), names.beside(end), names.brief(end));
            said!(at, " | ", beside, " | ", brief)
        };
        let shown = r"catalog\x1b.shop";
        assert_eq!(
            all(known),
            format!("{shown} (10.0.0.1:80) | 10.0.0.1:80, {shown} | {shown}:80")
        );
        assert_eq!(all(unknown), "10.0.0.2:80 | 10.0.0.2:80 | 10.0.0.2:80");
        // In a table nothing else would tell them apart.
        names.add([10, 0, 0, 2].into(), "catalog\u{1b}.shop");
        let names = &names;
        let brief = |end| said!(names.brief(end));
        assert_eq!(
            (brief(known), brief(unknown)),
            ("10.0.0.1:80".into(), "10.0.0.2:80".into())
        );
        assert_eq!(said!(names.at(unknown)), format!("{shown} (10.0.0.2:80)"));
    }
}
