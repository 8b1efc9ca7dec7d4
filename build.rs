//! Puts the agents that `images/agents` has made into the plugin: the folder that `MESHSNIFF_AGENTS`
//! names. Without it the plugin carries none, and says so when it should.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

const VARIABLE: &str = "MESHSNIFF_AGENTS";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let folder = env::var_os(VARIABLE).filter(|folder| !folder.is_empty());
    let written = folder.map(PathBuf::from).map(|folder| embedded(&folder));
    let written = written.unwrap_or_else(|| Ok("[]".to_owned()));
    let out = env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .unwrap_or_default();
    let written = written.and_then(|written| {
        fs::write(out.join("agents.rs"), written).map_err(|error| error.to_string())
    });
    if let Err(error) = written {
        println!("cargo::error={error}: {VARIABLE}=$(images/agents) makes and names them");
    }
}

/// The expression of a list of agents.
fn embedded(folder: &Path) -> Result<String, String> {
    let folder = folder
        .canonicalize()
        .map_err(|error| format!("{VARIABLE}={}: {error}", folder.display()))?;
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let file = |name: &str| {
        let file = folder.join(name);
        println!("cargo::rerun-if-changed={}", file.display());
        if file.is_file() {
            Ok(file)
        } else {
            Err(format!("{} is missing", file.display()))
        }
    };
    let text = |name: &str| {
        let text = fs::read_to_string(file(name)?);
        text.map(|text| text.trim().to_owned())
            .map_err(|error| error.to_string())
    };
    let theirs = text("VERSION")?;
    if theirs != version {
        return Err(format!(
            "the agents in {} are of version {theirs}, this plugin is {version}",
            folder.display()
        ));
    }
    let mut list = "[".to_owned();
    for (name, variant) in [("amd64", "Amd64"), ("arm64", "Arm64")] {
        let agent = file(&format!("{name}.agent"))?;
        let loader = file(&format!("{name}.loader"))?;
        let digest = text(&format!("{name}.sha256"))?;
        let _ = write!(
            list,
            "Carried {{ architecture: Architecture::{variant}, packed: include_bytes!({agent:?}), \
             digest: {digest:?}, loader: include_bytes!({loader:?}) }},"
        );
    }
    list.push(']');
    Ok(list)
}
