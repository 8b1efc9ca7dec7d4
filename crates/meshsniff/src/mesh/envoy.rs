//! The response flags of Envoy's access log.
//!
//! Three places: the proxy that opened a connection (`client`), the proxy that called that one
//! (`client_downstream`), and the proxy that accepted it (`server`). Behind an Istio sidecar on
//! `lo` they are the sidecar, the gateway, and nobody, because the app itself accepts.

use serde::{Deserialize, Deserializer, Serialize, de};
use std::borrow::Cow;

/// Every list of flags that a place can have.
const LISTS: [&[&str]; 29] = [
    &[],
    &["DC"],
    &["DR"],
    &["DC", "DR"],
    &["SI", "DC", "DR"],
    &["UR", "UC", "UPE", "UT"],
    &["UT"],
    &["UT", "DC"],
    &["DC", "UT"],
    &["UT", "DC", "DR"],
    &["DC", "DR", "UT"],
    &["SI", "DC"],
    &["UC"],
    &["UPE"],
    &["UC", "UPE"],
    &["UF", "URX,UF"],
    &["UF"],
    &["UO"],
    &["UH"],
    &["UR"],
    &["LR"],
    &["NR"],
    &["NC"],
    &["NC", "NR"],
    &["RL"],
    &["FI"],
    &["SI"],
    &["DPE"],
    &["UMSDR"],
];

/// The list with the flag of an answer that Envoy made itself; empty if that has none.
#[must_use]
pub fn of_answer(flag: &str) -> &'static [&'static str] {
    let list: &[&str] = match flag {
        // A 503 without a body: neither a cluster nor a route.
        "NC" => &["NC", "NR"],
        flag => &[flag],
    };
    let found = LISTS.into_iter().find(|known| *known == list);
    found.unwrap_or_default()
}

/// Reads a list of flags that was written down somewhere else: one of [`LISTS`].
fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static [&'static str], D::Error> {
    let flags = Vec::<Cow<'_, str>>::deserialize(deserializer)?;
    let found = LISTS.into_iter().find(|list| flags == *list);
    found.ok_or_else(|| de::Error::custom("flags that Envoy would not log together"))
}

/// The flags that proxies in three places would log; empty where none is to be expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvoyFlags {
    /// The proxy that opened this connection.
    #[serde(deserialize_with = "known")]
    pub client: &'static [&'static str],
    /// The proxy that called that one.
    #[serde(deserialize_with = "known")]
    pub client_downstream: &'static [&'static str],
    /// The proxy that accepted this connection.
    #[serde(deserialize_with = "known")]
    pub server: &'static [&'static str],
}

impl EnvoyFlags {
    /// Every flag that any place can have.
    pub const KNOWN: [&'static str; 18] = [
        "DC", "DPE", "DR", "FI", "LR", "NC", "NR", "RL", "SI", "UC", "UF", "UH", "UMSDR", "UO",
        "UPE", "UR", "URX", "UT",
    ];

    /// Whether any of the places might log this flag.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        let places = [self.client, self.client_downstream, self.server];
        // One entry may be several flags of one line of a log: `URX,UF`.
        let flags = places.into_iter().flatten();
        flags
            .flat_map(|flags| flags.split(','))
            .any(|one| one == flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_no_place_has_are_refused() {
        let odd = r#"{"client":["XX"],"client_downstream":[],"server":[]}"#;
        assert!(serde_json::from_str::<EnvoyFlags>(odd).is_err());
    }
}
