//! Why a block cannot be read on.

/// A reason why a block cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// An index of 0, or one beyond everything that the table can hold.
    #[error("an index that points to nothing")]
    IndexOfNothing,
    /// An integer of more than 32 bits, or in too many bytes.
    #[error("an integer that is too long")]
    Integer,
    /// The block ends in the middle of a field.
    #[error("a field that is cut off")]
    Cut,
    /// A wrong padding, or an EOS.
    #[error("a Huffman-coded string without a proper end")]
    Huffman,
    /// A change of the table's size behind a field (RFC 7541, 4.2).
    #[error("a change of the table's size behind a field")]
    LateUpdate,
    /// A change of the table's size to more than the receiver allows.
    #[error("a change of the table's size above its limit")]
    UpdateAboveLimit,
}
