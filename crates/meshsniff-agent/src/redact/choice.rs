//! What is to be removed.

/// Choice of what is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    /// Everything of a TCP segment that is no HTTP/1 head.
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
