//! Parts of an HTTP Archive that have more than one maker.

use serde::Serialize;
use std::borrow::Cow;

/// A size that is not known.
pub(super) const UNKNOWN: i64 = -1;

/// An empty object.
#[derive(Serialize)]
pub(super) struct Nothing {}

/// A header, or a parameter of a query.
#[derive(Serialize)]
pub(super) struct Pair<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) value: Cow<'a, str>,
}

/// The body of a request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PostData {
    pub(super) mime_type: String,
    pub(super) params: [Nothing; 0],
    pub(super) text: String,
    /// `base64`: HAR has a field for that in a response only.
    #[serde(rename = "_encoding", skip_serializing_if = "Option::is_none")]
    pub(super) encoding: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) comment: Option<&'static str>,
}

/// The body of a response.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Content {
    pub(super) size: i64,
    pub(super) mime_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) encoding: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) comment: Option<&'static str>,
}
