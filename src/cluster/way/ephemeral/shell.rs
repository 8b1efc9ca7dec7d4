//! An agent that is carried into an ephemeral container, which can have no volumes of its own: by a
//! shell of the target's own image.
//!
//! The container is of the image of one of the pod's containers that has a shell. Its shell waits
//! until the loader and the agent have come through `exec`, starts them, and removes them at the
//! end: what can be written there is a layer of the container's own, which stays as long as the pod.

use crate::carried::{Architecture, Carried};
use crate::cluster::bringing::{Brought, Carrier};
use crate::cluster::connect::Cluster;
use crate::cluster::error::Doing;
use crate::cluster::talk::Talk;
use crate::cluster::target::Target;
use crate::cluster::target::pod::images;
use crate::cluster::waiting::LOOK;
use crate::cluster::way::way_in::{Container, WayError};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use meshsniff_loader::{FOLDER, LOADER, PART};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

/// How long a shell may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a container may take to start that was ended with its pod's sandbox: the kubelet waits
/// longer each time.
const STARTS: Duration = Duration::from_secs(45);
/// How long the agent may take to come.
const ARRIVES: Duration = Duration::from_secs(120);
/// The most of its words.
const MOST_SAID: u64 = 4096;
/// The file that says that all has come.
const WHOLE: &str = "whole";
/// What is used of the image, beside the shell.
const PROGRAMS: &str = "head tail chmod mkdir rm sleep uname";

/// The carrier for a pod: the image of its first container that has a shell and what it takes.
pub(super) async fn find(
    cluster: &Cluster,
    target: &Target,
    agents: &[Carried],
    talk: &Talk,
) -> Option<Carrier> {
    for (container, image) in containers(cluster, target, talk).await {
        // `uname -m` names the machine, as an image for several architectures does not.
        let script = format!(
            "for one in {PROGRAMS}; do command -v $one >/dev/null || exit 1; done; uname -m"
        );
        let place = (target.namespace.as_str(), target.name.as_str());
        let said = run(cluster, place, &container, &script, &[]);
        let Ok(Ok(said)) = tokio::time::timeout(PATIENCE, said).await else {
            continue;
        };
        let machine = match said.trim() {
            "x86_64" => Architecture::Amd64,
            "aarch64" => Architecture::Arm64,
            _ => continue,
        };
        let agent = agents.iter().find(|one| one.architecture == machine);
        return agent.map(|agent| Carrier {
            agent: *agent,
            image,
            pull_secrets: Vec::new(),
        });
    }
    None
}

/// The containers that run, and their images. Those of a pod that runs again may be about to start.
async fn containers(cluster: &Cluster, target: &Target, talk: &Talk) -> Vec<(String, String)> {
    let api: Api<Pod> = cluster.api(Some(&target.namespace));
    let deadline = Instant::now() + STARTS;
    let mut found = target.images.clone();
    if found.is_empty() {
        talk.say(&format!(
            "no container of pod {} runs: one is waited for, to see whether it has a shell",
            target.full_name()
        ));
    }
    while found.is_empty() && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
        if let Ok(pod) = api.get(&target.name).await {
            found = images(&pod);
        }
    }
    found
}

/// The command of the container: waits for the agent, then is nothing but its shell.
pub(super) fn command(carrier: &Carrier, hold: &[String]) -> Vec<String> {
    let agent = Brought::Carried(carrier.clone()).command();
    let agent = [&agent[..], hold].concat().join(" ");
    let seconds = ARRIVES.as_secs();
    let script = format!(
        "n=0; until [ -e {FOLDER}/{WHOLE} ]; do n=$((n + 1)); [ $n -le {seconds} ] || exit 1; sleep 1; \
         done; {agent} & hold=$!; trap 'kill $hold' TERM INT; wait $hold; wait $hold; status=$?; \
         rm -rf {FOLDER}; exit $status"
    );
    vec!["sh".to_owned(), "-c".to_owned(), script]
}

/// Brings the agent into the container, whose shell waits for it.
///
/// # Errors
/// If it does not get there.
pub(super) async fn bring(
    cluster: &Cluster,
    container: &Container,
    agent: &Carried,
) -> Result<(), WayError> {
    let bytes = [agent.loader, agent.packed].concat();
    let (all, loader) = (bytes.len(), agent.loader.len());
    // One reader of standard input: some `head`s read further than they print.
    let script = format!(
        "mkdir -p {FOLDER} && cd {FOLDER} && head -c {all} >all && head -c {loader} all >{LOADER} && \
         tail -c +{behind} all >{PART}0 && rm all && chmod 555 {LOADER} && : >{WHOLE}",
        behind = loader + 1
    );
    let Container {
        namespace,
        pod,
        name,
        ..
    } = container;
    let place = (namespace.as_str(), pod.as_str());
    let brought = run(cluster, place, name, &script, &bytes);
    match tokio::time::timeout(ARRIVES, brought).await {
        Ok(brought) => brought.map(drop),
        Err(_) => Err(WayError::NotThere(ARRIVES.as_secs())),
    }
}

/// Runs a script in a container, with these bytes as its standard input; returns what it printed.
async fn run(
    cluster: &Cluster,
    (namespace, pod): (&str, &str),
    container: &str,
    script: &str,
    input: &[u8],
) -> Result<String, WayError> {
    let failed = || Doing::request("create", "pods/exec", namespace, format!("pod {pod}")).failed();
    let api: Api<Pod> = cluster.api(Some(namespace));
    let params = AttachParams::default()
        .container(container)
        .stdin(!input.is_empty())
        .stdout(true)
        .stderr(true);
    let mut process = api
        .exec(pod, ["sh", "-c", script], &params)
        .await
        .map_err(failed())?;
    let (status, stdin) = (process.take_status(), process.stdin());
    let (stdout, stderr) = (process.stdout(), process.stderr());
    let ended = async {
        // Open until the script has ended: a server that cannot close one direction closes both.
        let mut stdin = stdin;
        if let Some(stdin) = &mut stdin {
            // What did not get through is seen by the script's end.
            let _ = stdin.write_all(input).await;
            let _ = stdin.flush().await;
        }
        status?.await
    };
    let (ended, printed, said) = tokio::join!(ended, text(stdout), text(stderr));
    let ended = ended.unwrap_or_default();
    if ended.status.as_deref() == Some("Success") {
        return Ok(printed);
    }
    let why = [said.trim(), ended.message.as_deref().unwrap_or_default()];
    let why: Vec<&str> = why.into_iter().filter(|why| !why.is_empty()).collect();
    Err(WayError::Shell(container.to_owned(), why.join(": ")))
}

/// What comes, as far as anybody reads it.
async fn text(from: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let _ = from.take(MOST_SAID).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
