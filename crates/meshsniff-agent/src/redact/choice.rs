//! What is to be removed.

/// Choice of what is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    /// Everything of a TCP segment that is no head of HTTP.
    pub headers_only: bool,
    /// The values of these fields, named in lower case.
    pub fields: Vec<String>,
}

impl Redaction {
    /// Whether anything is.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.headers_only || !self.fields.is_empty()
    }
}

/// Whether the value of the field of this name is to be masked, if these are.
pub(super) fn hides(fields: &[String], name: &[u8]) -> bool {
    let is = |field: &String| field.as_bytes().eq_ignore_ascii_case(name);
    fields.iter().any(is)
}
