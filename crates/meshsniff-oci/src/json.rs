//! The documents of an image (image-spec 1.0), with their fields in alphabetical order.
//!
//! They are types, not `serde_json` values: those have another order where anything that is built
//! with this asks for it (`preserve_order`).

use serde::Serialize;
use std::collections::BTreeMap;

/// Media type of an index of platforms.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of a platform's manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of its configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of its layer.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

pub(crate) type Texts<'a> = BTreeMap<&'a str, &'a str>;

/// What says where a blob is.
#[derive(Debug, Serialize)]
pub(crate) struct Descriptor<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: Texts<'a>,
    pub(crate) digest: &'a str,
    #[serde(rename = "mediaType")]
    pub(crate) media_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform<'a>>,
    pub(crate) size: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct Platform<'a> {
    pub(crate) architecture: &'a str,
    pub(crate) os: &'a str,
}

/// An index: of platforms, or `index.json`, of images.
#[derive(Debug, Serialize)]
pub(crate) struct Index<'a> {
    pub(crate) manifests: Vec<Descriptor<'a>>,
    #[serde(rename = "mediaType")]
    pub(crate) media_type: &'a str,
    #[serde(rename = "schemaVersion")]
    pub(crate) schema_version: u8,
}

/// The manifest of a platform.
#[derive(Debug, Serialize)]
pub(crate) struct Manifest<'a> {
    pub(crate) config: Descriptor<'a>,
    pub(crate) layers: Vec<Descriptor<'a>>,
    #[serde(rename = "mediaType")]
    pub(crate) media_type: &'a str,
    #[serde(rename = "schemaVersion")]
    pub(crate) schema_version: u8,
}

/// The configuration of a platform.
#[derive(Debug, Serialize)]
pub(crate) struct Config<'a> {
    pub(crate) architecture: &'a str,
    pub(crate) config: Run<'a>,
    pub(crate) created: &'a str,
    pub(crate) history: Vec<History<'a>>,
    pub(crate) os: &'a str,
    pub(crate) rootfs: RootFs<'a>,
}

/// What is run, and as whom.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Run<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cmd: Option<&'a [&'a str]>,
    pub(crate) entrypoint: Vec<&'a str>,
    pub(crate) labels: Texts<'a>,
    pub(crate) user: &'a str,
    pub(crate) working_dir: &'a str,
}

#[derive(Debug, Serialize)]
pub(crate) struct History<'a> {
    pub(crate) created: &'a str,
    pub(crate) created_by: &'a str,
}

#[derive(Debug, Serialize)]
pub(crate) struct RootFs<'a> {
    pub(crate) diff_ids: Vec<&'a str>,
    #[serde(rename = "type")]
    pub(crate) kind: &'a str,
}

/// `oci-layout`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Layout<'a> {
    pub(crate) image_layout_version: &'a str,
}

/// An entry of `manifest.json`, which is what Docker reads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ForDocker<'a> {
    pub(crate) config: &'a str,
    pub(crate) layers: Vec<&'a str>,
    pub(crate) repo_tags: Vec<&'a str>,
}
