//! Images of one static program each, for several platforms: the same bytes for the same input,
//! whatever the machine. Nothing is taken from the file system, and no clock is read.
//!
//! | here | holds |
//! |---|---|
//! | [`program`] | what the images run, and as whom |
//! | [`elf`] | whether a binary can run alone in an image |
//! | [`name`] | an image's name, as container runtimes store it |
//! | [`json`] | the documents of an image |
//! | [`packing`] | tar and gzip |
//! | [`image`] | the image: its parts, and its archives |
//!
//! An archive is a tarred OCI image layout (image-spec 1.0): an index of the platforms, and for
//! each of them a manifest, a configuration and one layer that holds one file. `images/build`
//! writes it with the program `meshsniff-oci`, and `kubectl meshsniff image save` of the agents
//! that the plugin carries, so that both write the same.

pub mod elf;
pub mod image;
pub mod json;
pub mod name;
pub mod packing;
pub mod program;

pub use image::{Binary, Blob, Image};
pub use name::Name;
pub use program::{Architecture, Program};
