//! `image push`: the image into a registry (OCI distribution-spec), platform by platform, then the
//! index that names them.

use super::docker_login;
use super::made;
use crate::cluster::connect::block_on;
use crate::stderr;
use anyhow::{Context as _, anyhow};
use clap::Args;
use meshsniff_oci::{Blob, Image, Name};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use std::io::{self, Write as _};
use std::time::Duration;

/// How long a connection to the registry may take, and how long it may be silent.
const CONNECT: Duration = Duration::from_secs(15);
const SILENCE: Duration = Duration::from_secs(60);

/// Push the image to a registry, both platforms
///
/// It logs in as docker would: with what docker login has left in config.json, or with the
/// credential helpers named there. The certificates of this system are trusted; SSL_CERT_FILE names
/// others.
///
/// It prints the image's name with its digest, which is what --image takes.
#[derive(Debug, Args)]
pub(super) struct PushArgs {
    /// Where to push it; the tag is the version unless one is given
    #[arg(value_name = "REGISTRY/NAME[:TAG]", value_parser = in_a_registry)]
    name: Name,

    /// Speak plain HTTP with the registry
    #[arg(long)]
    insecure: bool,
}

/// Parses a name in a registry: `agent` alone would be an official image of Docker Hub.
fn in_a_registry(text: &str) -> Result<Name, String> {
    if !text.contains('/') {
        return Err(format!(
            "it takes a registry, too: REGISTRY/{text}, such as registry.example/{text}"
        ));
    }
    made::named(text).map_err(|error| error.to_string())
}

/// Pushes the image, and prints its name by digest.
///
/// # Errors
/// If there is no image, or the registry does not take it.
pub(super) fn run(args: &PushArgs) -> anyhow::Result<()> {
    let agents = made::agents()?;
    let (registry, _) = args.name.in_registry();
    let auth = docker_login::credentials(registry)?;
    let pushing = Pushing::new(&args.name, auth, args.insecure)?;
    let image = made::image(agents)?;
    block_on(pushing.push(&image))??;
    let mut out = io::stdout().lock();
    writeln!(out, "{}@{}", args.name, image.index.digest)?;
    Ok(out.flush()?)
}

struct Pushing<'a> {
    client: Client,
    name: &'a Name,
    auth: RegistryAuth,
}

impl<'a> Pushing<'a> {
    fn new(name: &'a Name, auth: RegistryAuth, insecure: bool) -> anyhow::Result<Self> {
        let protocol = if insecure {
            ClientProtocol::Http
        } else {
            ClientProtocol::Https
        };
        // The one that the connection to the cluster takes, too. Somebody may have chosen it before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = ClientConfig {
            protocol,
            // A POST and a PUT for each: every registry has to take that, and not every one takes
            // chunks.
            use_monolithic_push: true,
            connect_timeout: Some(CONNECT),
            read_timeout: Some(SILENCE),
            user_agent: concat!("kubectl-meshsniff/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config);
        let client = client.context(
            "a registry cannot be spoken with from here: where the system has no certificates, \
             name a file of some in SSL_CERT_FILE",
        )?;
        Ok(Self { client, name, auth })
    }

    /// What the registry calls a manifest: by tag, or by digest where one is given in its place.
    fn reference(&self, tag: &str) -> Reference {
        let (registry, name) = self.name.in_registry();
        Reference::with_tag(registry.to_owned(), name.to_owned(), tag.to_owned())
    }

    async fn push(&self, image: &Image) -> anyhow::Result<()> {
        let tagged = self.reference(self.name.tag());
        let push = RegistryOperation::Push;
        let entered = self.client.auth(&tagged, &self.auth, push).await;
        entered.map_err(|error| self.told(error))?;
        for platform in &image.platforms {
            for blob in [&platform.config, &platform.layer] {
                self.blob(&tagged, blob).await?;
            }
            let manifest = &platform.manifest;
            self.manifest(&manifest.digest, manifest).await?;
            let length = platform.layer.content.len();
            let architecture = platform.architecture;
            stderr::line(&format!("linux/{architecture}: layer of {length} bytes"));
        }
        self.manifest(self.name.tag(), &image.index).await
    }

    /// Pushes a blob that the registry has not got yet.
    async fn blob(&self, tagged: &Reference, blob: &Blob) -> anyhow::Result<()> {
        // Who may push may not always look: then it is sent.
        let there = self.client.blob_exists(tagged, &blob.digest).await;
        if there.is_ok_and(|there| there) {
            return Ok(());
        }
        let content = blob.content.clone();
        let pushed = self.client.push_blob(tagged, content, &blob.digest).await;
        pushed.map(drop).map_err(|error| self.told(error))
    }

    async fn manifest(&self, tag: &str, manifest: &Blob) -> anyhow::Result<()> {
        let kind = manifest.media_type.parse()?;
        let content = manifest.content.clone();
        let reference = self.reference(tag);
        let pushed = self.client.push_manifest_raw(&reference, content, kind);
        pushed.await.map(drop).map_err(|error| self.told(error))
    }

    /// An error with the next step.
    fn told(&self, error: OciDistributionError) -> anyhow::Error {
        let (registry, _) = self.name.in_registry();
        if is_refusal(&error) {
            return match &self.auth {
                RegistryAuth::Anonymous => anyhow!(
                    "{registry} takes nothing from somebody unknown ({error}): log in first, with \
                     docker login {registry}"
                ),
                _ => anyhow!(
                    "{registry} refuses to take {} with the credentials that docker has for it \
                     ({error}): see whether they may push there, or docker login {registry} again",
                    self.name
                ),
            };
        }
        if let OciDistributionError::RequestError(_) = error {
            return anyhow!(
                "{registry} does not answer as a registry does ({:#}): see whether it can be \
                 reached from here; one that speaks plain HTTP takes --insecure",
                anyhow::Error::new(error)
            );
        }
        anyhow!(
            "{registry} does not take {} ({error}): see whether it is a registry for OCI images \
             and may be written to",
            self.name
        )
    }
}

/// Whether the registry says that this user may not.
fn is_refusal(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::AuthenticationFailure(_)
        | OciDistributionError::UnauthorizedError { .. } => true,
        OciDistributionError::ServerError { code, .. } => matches!(code, 401 | 403),
        OciDistributionError::RegistryError { envelope, .. } => {
            let refusals = [OciErrorCode::Unauthorized, OciErrorCode::Denied];
            envelope
                .errors
                .iter()
                .any(|one| refusals.contains(&one.code))
        }
        _ => false,
    }
}
