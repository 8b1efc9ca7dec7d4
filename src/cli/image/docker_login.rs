//! The credentials that docker has for a registry: those in its `config.json`, and those that the
//! credential helpers named there keep.

use anyhow::{Context as _, bail};
use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::secrets::RegistryAuth;
use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::PathBuf;

/// Docker Hub, and the name under which docker keeps credentials for it.
const HUB: &str = "docker.io";
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Environment variable that names the folder of docker's configuration.
const FOLDER: &str = "DOCKER_CONFIG";

/// What a helper prints that has nothing for a registry (docker's `credentials.errCredentialsNotFound`).
const NOTHING_KEPT: &str = "credentials not found in native keychain";

/// Finds the credentials for a registry; none is no error.
///
/// # Errors
/// If docker's configuration names some that cannot be had.
pub(super) fn credentials(registry: &str) -> anyhow::Result<RegistryAuth> {
    let Some(path) = config_file() else {
        return Ok(RegistryAuth::Anonymous);
    };
    let file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(RegistryAuth::Anonymous),
        file => file.with_context(|| {
            let path = path.display();
            format!("docker's {path} cannot be read: see who may, or name a folder in {FOLDER}")
        })?,
    };
    let key = if registry == HUB { HUB_KEY } else { registry };
    let found = docker_credential::get_credential_from_reader(BufReader::new(file), key);
    understood(registry, found)
}

/// Where docker keeps its configuration, whether it is there or not.
fn config_file() -> Option<PathBuf> {
    let named = std::env::var_os(FOLDER).filter(|folder| !folder.is_empty());
    let folder = match named {
        Some(folder) => PathBuf::from(folder),
        None => std::env::home_dir()?.join(".docker"),
    };
    Some(folder.join("config.json"))
}

fn understood(
    registry: &str,
    found: Result<DockerCredential, CredentialRetrievalError>,
) -> anyhow::Result<RegistryAuth> {
    use CredentialRetrievalError as Error;
    match found {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(RegistryAuth::Basic(user, password))
        }
        Ok(DockerCredential::IdentityToken(_)) => bail!(
            "docker keeps an identity token for {registry}, which takes docker itself: log in with \
             a user and a password or access token (docker login -u USER {registry}), or push the \
             archive of image save with another program"
        ),
        Err(Error::NoCredentialConfigured | Error::ConfigNotFound) => Ok(RegistryAuth::Anonymous),
        Err(Error::HelperFailure {
            helper,
            stdout,
            stderr,
        }) => {
            if stdout.contains(NOTHING_KEPT) || stderr.contains(NOTHING_KEPT) {
                return Ok(RegistryAuth::Anonymous);
            }
            let said = [stderr.trim(), stdout.trim()];
            let said = said.into_iter().find(|said| !said.is_empty());
            bail!(
                "{helper}, which docker's configuration names for {registry}, failed: {}; see \
                 whether docker login {registry} works",
                said.unwrap_or("it does not say why")
            )
        }
        Err(Error::HelperCommunicationError) => bail!(
            "the credential helper that docker's configuration names for {registry} cannot be \
             started: install it (docker-credential-… on the PATH), or take it out of config.json"
        ),
        Err(Error::MalformedHelperResponse) => bail!(
            "the credential helper that docker's configuration names for {registry} answers what \
             is no credential: see whether docker login {registry} works"
        ),
        Err(error) => bail!(
            "docker's config.json cannot be used for {registry} ({error}): mend it, or run docker \
             login {registry} again"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn helper(stdout: &str, stderr: &str) -> anyhow::Result<RegistryAuth> {
        let failure = CredentialRetrievalError::HelperFailure {
            helper: "docker-credential-x".to_owned(),
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        };
        understood("registry.example", Err(failure))
    }

    #[test]
    fn who_has_no_credentials_is_anonymous_and_who_cannot_get_them_is_told() {
        let none = "credentials not found in native keychain\n";
        assert_eq!(helper(none, "").unwrap(), RegistryAuth::Anonymous);
        for error in [
            CredentialRetrievalError::NoCredentialConfigured,
            CredentialRetrievalError::ConfigNotFound,
        ] {
            let found = understood("registry.example", Err(error)).unwrap();
            assert_eq!(found, RegistryAuth::Anonymous);
        }
        let locked = helper("", "the keychain is locked\n").unwrap_err();
        let locked = locked.to_string();
        assert!(locked.starts_with("docker-credential-x, "), "{locked}");
        assert!(
            locked.contains("failed: the keychain is locked; "),
            "{locked}"
        );
    }
}
