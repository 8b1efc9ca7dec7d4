//! An image of one program for several platforms, and its archives.

use crate::elf::{self, Unfit};
use crate::json::{
    CONFIG, Config, Descriptor, ForDocker, History, INDEX, Index, LAYER, Layout, MANIFEST,
    Manifest, Platform, RootFs, Run, Texts,
};
use crate::name::Name;
use crate::packing::{Entry, Files, gzip, tar};
use crate::program::{Architecture, Program};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::io;
use thiserror::Error;

/// A program for one architecture.
#[derive(Clone, Copy, Debug)]
pub struct Binary<'a> {
    /// The architecture.
    pub architecture: Architecture,
    /// The static ELF file.
    pub bytes: &'a [u8],
}

/// Why there is no image.
#[derive(Debug, Error)]
pub enum BadImage {
    /// A binary cannot run in it.
    #[error("the program for linux/{0} does not go into an image: {1}")]
    Unfit(Architecture, Unfit),
    /// One architecture was given twice, or none at all.
    #[error("an image takes one program for each architecture, and at least one")]
    Architectures,
    /// The time is not one.
    #[error(
        "SOURCE_DATE_EPOCH={0} is no date that an image can have: it takes seconds since 1970, or \
         none"
    )]
    Time(String),
    /// What cannot be written.
    #[error("the image cannot be written: {0}")]
    Io(#[from] io::Error),
    /// What cannot be written.
    #[error("the image cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

/// Reads what `SOURCE_DATE_EPOCH` says: seconds since 1970, 0 if it is empty.
///
/// # Errors
/// If it is no time that can stand in an image.
pub fn epoch(text: &str) -> Result<u64, BadImage> {
    let epoch = match text {
        "" => Some(0),
        text => text.parse().ok(),
    };
    let epoch = epoch.filter(|epoch| written(*epoch).is_some());
    epoch.ok_or_else(|| BadImage::Time(text.to_owned()))
}

/// A part of an image: its bytes, and their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// What it is.
    pub media_type: &'static str,
    /// `sha256:` and the hexadecimal digits of its SHA-256.
    pub digest: String,
    /// The bytes.
    pub content: Vec<u8>,
}

impl Blob {
    fn new(media_type: &'static str, content: Vec<u8>) -> Self {
        Self {
            media_type,
            digest: digest(&content),
            content,
        }
    }

    fn of_json(media_type: &'static str, value: &impl Serialize) -> Result<Self, BadImage> {
        Ok(Self::new(media_type, serde_json::to_vec(value)?))
    }

    fn descriptor(&self) -> Descriptor<'_> {
        Descriptor {
            annotations: Texts::new(),
            digest: &self.digest,
            media_type: self.media_type,
            platform: None,
            size: self.content.len(),
        }
    }

    /// Its path in a layout.
    fn path(&self) -> String {
        format!("blobs/{}", self.digest.replace(':', "/"))
    }
}

/// The image for one platform.
#[derive(Clone, Debug)]
pub struct OfPlatform {
    /// The architecture.
    pub architecture: Architecture,
    /// What names the two others.
    pub manifest: Blob,
    /// What is run, and as whom.
    pub config: Blob,
    /// The layer.
    pub layer: Blob,
}

/// An image.
#[derive(Clone, Debug)]
pub struct Image {
    /// By architecture.
    pub platforms: Vec<OfPlatform>,
    /// The index of the platforms: its digest is the image's.
    pub index: Blob,
    epoch: u64,
}

impl Image {
    /// Makes the image of a program. `epoch`, in seconds since 1970, is every time in it.
    ///
    /// # Errors
    /// If a binary cannot run alone in an image, and if it is not one for each architecture.
    pub fn new(
        program: Program,
        version: &str,
        binaries: &[Binary<'_>],
        epoch: u64,
    ) -> Result<Self, BadImage> {
        let mut binaries = binaries.to_vec();
        binaries.sort_by_key(|binary| binary.architecture);
        let twice = |two: &[Binary<'_>]| two[0].architecture == two[1].architecture;
        if binaries.is_empty() || binaries.windows(2).any(twice) {
            return Err(BadImage::Architectures);
        }
        let platforms = binaries.iter().map(|binary| {
            let architecture = binary.architecture;
            let fits = elf::check(binary.bytes, architecture);
            fits.map_err(|unfit| BadImage::Unfit(architecture, unfit))?;
            OfPlatform::new(program, version, binary, epoch)
        });
        let platforms = platforms.collect::<Result<Vec<_>, _>>()?;
        let manifests = platforms.iter().map(OfPlatform::descriptor);
        let index = index_of(manifests.collect());
        let index = Blob::of_json(INDEX, &index)?;
        Ok(Self {
            platforms,
            index,
            epoch,
        })
    }

    /// The OCI archive, in which the image has this name.
    ///
    /// # Errors
    /// If it cannot be written, which does not happen.
    pub fn archive(&self, name: &Name) -> Result<Vec<u8>, BadImage> {
        self.archived(name, None)
    }

    /// As [`Image::archive`], with `manifest.json` beside it, which says the same to a Docker
    /// engine of that architecture: those without containerd's store of images read nothing else.
    ///
    /// # Errors
    /// If there is no image for that architecture.
    pub fn archive_for_docker(
        &self,
        name: &Name,
        architecture: Architecture,
    ) -> Result<Vec<u8>, BadImage> {
        let mut platforms = self.platforms.iter();
        let platform = platforms.find(|one| one.architecture == architecture);
        let platform = platform.ok_or(BadImage::Architectures)?;
        let (config, layer) = (platform.config.path(), platform.layer.path());
        let full = name.to_string();
        let entry = ForDocker {
            config: &config,
            layers: vec![&layer],
            repo_tags: vec![&full],
        };
        self.archived(name, Some(&serde_json::to_vec(&[entry])?))
    }

    fn archived(&self, name: &Name, for_docker: Option<&[u8]>) -> Result<Vec<u8>, BadImage> {
        let full = name.to_string();
        let mut top = self.index.descriptor();
        // containerd reads the first, other tools the second, which is the tag alone.
        top.annotations = Texts::from([
            ("io.containerd.image.name", full.as_str()),
            ("org.opencontainers.image.ref.name", name.tag()),
        ]);
        let top = serde_json::to_vec(&index_of(vec![top]))?;
        let layout = serde_json::to_vec(&Layout {
            image_layout_version: "1.0.0",
        })?;
        let mut files = Files::from([
            ("blobs".to_owned(), Entry::Folder),
            ("blobs/sha256".to_owned(), Entry::Folder),
            ("index.json".to_owned(), Entry::File(&top)),
            ("oci-layout".to_owned(), Entry::File(&layout)),
        ]);
        if let Some(manifest) = for_docker {
            files.insert("manifest.json".to_owned(), Entry::File(manifest));
        }
        let parts = self.platforms.iter().flat_map(OfPlatform::blobs);
        for blob in parts.chain([&self.index]) {
            files.insert(blob.path(), Entry::File(&blob.content));
        }
        Ok(tar(&files, self.epoch)?)
    }
}

impl OfPlatform {
    fn new(
        program: Program,
        version: &str,
        binary: &Binary<'_>,
        epoch: u64,
    ) -> Result<Self, BadImage> {
        let name = program.name();
        let created = written(epoch).ok_or_else(|| BadImage::Time(epoch.to_string()))?;
        let file = Files::from([(name.to_owned(), Entry::Program(binary.bytes))]);
        let layer = tar(&file, epoch)?;
        let unpacked = digest(&layer);
        let (path, history) = (format!("/{name}"), format!("COPY {name} /"));
        let config = Config {
            architecture: binary.architecture.name(),
            config: Run {
                cmd: program.arguments(),
                entrypoint: vec![&path],
                labels: Texts::from([
                    ("org.opencontainers.image.licenses", program.licences()),
                    ("org.opencontainers.image.title", name),
                    ("org.opencontainers.image.version", version),
                ]),
                user: program.user(),
                working_dir: "/",
            },
            created: &created,
            history: vec![History {
                created: &created,
                created_by: &history,
            }],
            os: "linux",
            rootfs: RootFs {
                diff_ids: vec![&unpacked],
                kind: "layers",
            },
        };
        let config = Blob::of_json(CONFIG, &config)?;
        let layer = Blob::new(LAYER, gzip(&layer));
        let manifest = Manifest {
            config: config.descriptor(),
            layers: vec![layer.descriptor()],
            media_type: MANIFEST,
            schema_version: 2,
        };
        let manifest = Blob::of_json(MANIFEST, &manifest)?;
        Ok(Self {
            architecture: binary.architecture,
            manifest,
            config,
            layer,
        })
    }

    fn descriptor(&self) -> Descriptor<'_> {
        Descriptor {
            platform: Some(Platform {
                architecture: self.architecture.name(),
                os: "linux",
            }),
            ..self.manifest.descriptor()
        }
    }

    fn blobs(&self) -> [&Blob; 3] {
        [&self.manifest, &self.config, &self.layer]
    }
}

fn index_of(manifests: Vec<Descriptor<'_>>) -> Index<'_> {
    Index {
        manifests,
        media_type: INDEX,
        schema_version: 2,
    }
}

fn digest(bytes: &[u8]) -> String {
    let digits = Sha256::digest(bytes);
    let digits = digits.iter().map(|byte| format!("{byte:02x}"));
    format!("sha256:{}", digits.collect::<String>())
}

/// Writes a time as RFC 3339 has it, if it is before the last day of the year 9999: later years have
/// more than four digits.
fn written(epoch: u64) -> Option<String> {
    let second = i64::try_from(epoch).ok()?;
    let time = jiff::Timestamp::from_second(second).ok()?;
    Some(time.to_string())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeMap;
    use std::io::Read as _;

    /// A static ELF file of two segments that are loaded.
    pub(crate) fn binary(architecture: Architecture) -> Vec<u8> {
        let mut binary = vec![0; 64 + 2 * 56];
        binary[..6].copy_from_slice(b"\x7fELF\x02\x01");
        binary[18..20].copy_from_slice(&architecture.machine().to_le_bytes());
        binary[32] = 64;
        binary[54] = 56;
        binary[56] = 2;
        binary[64] = 1;
        binary[64 + 56] = 1;
        binary
    }

    fn image(epoch: u64) -> Image {
        let [amd64, arm64] = Architecture::ALL.map(binary);
        // Their order is not the image's.
        let binaries = [
            Binary {
                architecture: Architecture::Arm64,
                bytes: &arm64,
            },
            Binary {
                architecture: Architecture::Amd64,
                bytes: &amd64,
            },
        ];
        Image::new(Program::Agent, "1.2.3", &binaries, epoch).unwrap()
    }

    fn name() -> Name {
        "agent:1".parse().unwrap()
    }

    type Entries = BTreeMap<String, (u32, u64, Vec<u8>)>;

    /// Mode, time and content of each entry.
    fn entries(archive: &[u8]) -> Entries {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let path = entry
                .path()
                .unwrap()
                .to_str()
                .unwrap()
                .trim_end_matches('/')
                .to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let header = entry.header();
            let (mode, time) = (header.mode().unwrap(), header.mtime().unwrap());
            (path, (mode, time, content))
        });
        entries.collect()
    }

    fn json(entries: &Entries, path: &str) -> Value {
        serde_json::from_slice(&entries[path].2).unwrap()
    }

    fn blob(descriptor: &Value) -> String {
        let digest = descriptor["digest"].as_str().unwrap();
        format!("blobs/{}", digest.replace(':', "/"))
    }

    #[test]
    fn an_archive_leads_from_its_index_to_each_program() {
        let archive = entries(&image(86400).archive(&name()).unwrap());
        assert_eq!(archive.len(), 4 + 1 + 2 * 3);
        assert!(archive.values().all(|(_, time, _)| *time == 86400));
        let top = &json(&archive, "index.json")["manifests"][0];
        assert_eq!(
            top["annotations"]["io.containerd.image.name"],
            "docker.io/library/agent:1"
        );
        let index = json(&archive, &blob(top));
        for (at, architecture) in Architecture::ALL.into_iter().enumerate() {
            let entry = &index["manifests"][at];
            assert_eq!(entry["platform"]["architecture"], architecture.name());
            let manifest = json(&archive, &blob(entry));
            let config = json(&archive, &blob(&manifest["config"]));
            assert_eq!(config["config"]["Entrypoint"][0], "/meshsniff-agent");
            assert_eq!(config["created"], "1970-01-02T00:00:00Z");
            let packed = &archive[&blob(&manifest["layers"][0])].2;
            assert_eq!(manifest["layers"][0]["size"], packed.len());
            // Ten bytes of header, eight at the end.
            let deflated = &packed[10..packed.len() - 8];
            let layer = miniz_oxide::inflate::decompress_to_vec(deflated).unwrap();
            assert_eq!(config["rootfs"]["diff_ids"][0], digest(&layer));
            let layer = entries(&layer);
            let (mode, time, program) = &layer["meshsniff-agent"];
            assert_eq!((*mode, *time, layer.len()), (0o755, 86400, 1));
            assert_eq!(*program, binary(architecture));
        }
    }

    /// The bytes are the contract: who pins a digest must get it again from the next build.
    #[test]
    fn the_bytes_are_always_the_same() {
        let image = image(0);
        assert_eq!(
            digest(&image.archive(&name()).unwrap()),
            "sha256:bb355be7b3cd2803adcf75e7c0c5fd6539154c866e69d1aadfdfdee239f5ec3a"
        );
        assert_eq!(
            image.index.digest,
            "sha256:689a0a0eaf1909ec49f185b2d7563c7c1952cb7c8fdedc6a2b4844e9db10e67a"
        );
    }

    #[test]
    fn docker_finds_its_own_platform_beside_the_index() {
        let image = image(0);
        let plain = entries(&image.archive(&name()).unwrap());
        for (platform, architecture) in image.platforms.iter().zip(Architecture::ALL) {
            let archive = image.archive_for_docker(&name(), architecture).unwrap();
            let mut archive = entries(&archive);
            let manifest = json(&archive, "manifest.json");
            assert_eq!(manifest[0]["Config"], platform.config.path());
            assert_eq!(manifest[0]["Layers"][0], platform.layer.path());
            assert_eq!(manifest[0]["RepoTags"][0], "docker.io/library/agent:1");
            archive.remove("manifest.json");
            assert_eq!(archive, plain);
        }
    }

    #[test]
    fn an_image_takes_each_architecture_once() {
        let amd64 = binary(Architecture::Amd64);
        let one = Binary {
            architecture: Architecture::Amd64,
            bytes: &amd64,
        };
        for binaries in [&[][..], &[one, one]] {
            let refused = Image::new(Program::Agent, "1", binaries, 0);
            assert!(matches!(refused, Err(BadImage::Architectures)));
        }
        let wrong = Binary {
            architecture: Architecture::Arm64,
            ..one
        };
        let refused = Image::new(Program::Plugin, "1", &[wrong], 0).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the program for linux/arm64 does not go into an image: it is not for arm64"
        );
    }

    #[test]
    fn times_are_written_as_the_calendar_has_them() {
        for (epoch, time) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_207_200, "9999-12-30T22:00:00Z"),
        ] {
            assert_eq!(written(epoch).as_deref(), Some(time));
        }
        assert_eq!(written(253_402_207_201), None);
        assert_eq!(epoch("").unwrap(), 0);
        assert_eq!(epoch("253402207200").unwrap(), 253_402_207_200);
        for bad in ["253402207201", "-1", "today"] {
            assert!(matches!(epoch(bad), Err(BadImage::Time(_))), "{bad}");
        }
    }
}
