//! Reports in JSON, read to their ends and not kept.
//!
//! Every text and number is looked at, but no tree is built of them: that took longer than the
//! report.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// What is to be known of a value.
#[derive(Debug, Default)]
pub struct Json {
    /// Items of a list, or the number itself.
    pub count: Option<u64>,
    /// Whether it is the text `exchange`.
    is_exchange: bool,
    /// Whether its `type` is that.
    pub of_exchange: bool,
    /// The count of its `exchanges`.
    pub exchanges: Option<u64>,
    /// The count of its `sources`.
    pub sources: Option<u64>,
    /// The count of the `exchanges` of its `summary`.
    pub summarised: Option<u64>,
}

/// Reads a text of JSON.
///
/// # Panics
/// If it is none.
pub fn read(text: &[u8]) -> Json {
    serde_json::from_slice(text).expect("it parses")
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::default())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json {
            count: Some(number),
            ..Json::default()
        })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::default())
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json {
            is_exchange: text == "exchange",
            ..Json::default()
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut count = 0;
        while items.next_element::<Json>()?.is_some() {
            count += 1;
        }
        self.visit_u64(count)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut json = Json::default();
        while let Some(name) = members.next_key()? {
            let value: Json = members.next_value()?;
            match name {
                Name::Exchanges => json.exchanges = value.count,
                Name::Sources => json.sources = value.count,
                Name::Summary => json.summarised = value.exchanges,
                Name::Type => json.of_exchange = value.is_exchange,
                Name::Other => {}
            }
        }
        Ok(json)
    }
}

/// The name of a member.
enum Name {
    Exchanges,
    Sources,
    Summary,
    Type,
    Other,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(match name {
                    "exchanges" => Name::Exchanges,
                    "sources" => Name::Sources,
                    "summary" => Name::Summary,
                    "type" => Name::Type,
                    _ => Name::Other,
                })
            }
        }
        from.deserialize_str(Reader)
    }
}
