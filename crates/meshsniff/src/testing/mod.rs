//! What tests of this crate and of those on top of it are made from.
//!
//! | here | holds |
//! |---|---|
//! | [`fixtures`] | exchanges and connections, as the analyser would settle them |

pub mod fixtures;
