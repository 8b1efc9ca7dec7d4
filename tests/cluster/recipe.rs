//! The recipe for CI, as it stands in `manifests/ci`: the same files, with images that this cluster
//! has.

use super::file::{folder, packets, whole};
use super::lab::{Checked, Lab, Namespace, wait_until};
use super::plugin::PROGRAM;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

type Check = fn(&Lab) -> Checked;

const CHECKS: [(&str, Check); 4] = [
    ("the workflow fails with the reason", workflow_fails),
    ("the workflow passes where nobody gives up", workflow_passes),
    ("the Job fails with the reason", job_fails),
    ("the Job passes where nobody gives up", job_passes),
];

/// The files.
const RECIPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/ci");
/// What may be named instead of the public images, name and tag: nodes of this machine pull
/// nothing.
const IMAGES: [(&str, &str, &str); 3] = [
    ("busybox", "local/app", "1"),
    ("curlimages/curl", "local/app", "1"),
    ("envoyproxy/envoy", "local/envoy", "1"),
];
/// Steps of the workflow that take what is not here: kind, docker, minutes of compiling.
const NOT_HERE: [&str; 2] = [
    "Create the cluster",
    "Build the plugin and the agent's image",
];
/// A namespace that says what is less than restricted, and admits it: the helper goes there, too.
const RESTRICTED: [&str; 1] = ["pod-security.kubernetes.io/warn=restricted"];
/// The Job, with its own 15 s, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);
/// What the app takes is longer than the first and shorter than the second.
const TIMEOUTS: [&str; 2] = ["0.5s", "5s"];

pub(crate) fn trials(lab: &Arc<Lab>) -> Vec<Trial> {
    let trial = |(name, check): (&str, Check)| {
        let lab = Arc::clone(lab);
        Trial::test(format!("recipe: {name}"), move || check(&lab))
    };
    CHECKS.into_iter().map(trial).collect()
}

fn contains(what: &str, text: &str, words: &[&str]) -> Checked {
    for words in words {
        if !text.contains(words) {
            return Err(format!("{what} does not say {words:?}, but: {text}").into());
        }
    }
    Ok(())
}

// ---- the workflow ----

/// A folder that looks to the workflow's steps like a checkout on a runner.
struct Runner {
    folder: tempfile::TempDir,
    environment: BTreeMap<String, String>,
}

/// What a step printed, and its exit status.
struct Step {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Runner {
    fn new(lab: &Lab, namespace: &Namespace<'_>, timeout: &str) -> Result<Self, Failed> {
        let folder = folder()?;
        let root = folder.path();
        fs::create_dir_all(root.join("manifests/ci"))?;
        let mut manifest = fs::read_to_string(format!("{RECIPE}/reproduction.yaml"))?;
        if lab.is_here() {
            for (public, name, tag) in IMAGES {
                let image = format!("image: {public}:");
                let lines = manifest.lines().map(|line| match line.find(&image) {
                    Some(at) => format!("{}image: {name}:{tag}\n", &line[..at]),
                    None => format!("{line}\n"),
                });
                manifest = lines.collect();
            }
        }
        fs::write(root.join("manifests/ci/reproduction.yaml"), manifest)?;
        fs::create_dir(root.join("bin"))?;
        symlink(which(lab.kubectl_program())?, root.join("bin/kubectl"))?;
        release(root)?;
        // Free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let path = std::env::var("PATH").unwrap_or_default();
        let file = |name: &str| root.join(name).display().to_string();
        let environment = [
            ("PATH", format!("{}:{path}", file("bin"))),
            ("KUBECONFIG", lab.kubeconfig.display().to_string()),
            ("MESHSNIFF_IMAGE", lab.image.clone()),
            (
                "MESHSNIFF_RELEASE",
                format!("file://{}", root.join("release").display()),
            ),
            ("RUNNER_TEMP", file("temp")),
            ("GITHUB_PATH", file("path")),
            ("GITHUB_STEP_SUMMARY", file("step-summary.md")),
            ("NAMESPACE", namespace.name.clone()),
            ("PORT", port.to_string()),
            ("ROUTE_TIMEOUT", timeout.to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        let environment = BTreeMap::from(environment);
        Ok(Self {
            folder,
            environment,
        })
    }

    fn read(&self, name: &str) -> Result<String, Failed> {
        let text = fs::read_to_string(self.folder.path().join(name));
        text.map_err(|error| format!("{name}: {error}").into())
    }

    /// As GitHub runs what has `shell: bash`.
    fn step(&self, script: &str) -> Result<Step, Failed> {
        let added = fs::read_to_string(&self.environment["GITHUB_PATH"]).unwrap_or_default();
        let mut path: Vec<&str> = added.lines().collect();
        path.push(&self.environment["PATH"]);
        let output = Command::new("bash")
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
            .current_dir(self.folder.path())
            .envs(&self.environment)
            .env("PATH", path.join(":"))
            .stdin(Stdio::null())
            .output()?;
        Ok(Step {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs the steps in turn, once one has failed only those that are always run; returns them by
    /// their names.
    fn run(&self) -> Result<BTreeMap<String, Step>, Failed> {
        let workflow = fs::read_to_string(format!("{RECIPE}/github-workflow.yaml"))?;
        let workflow: Value = serde_saphyr::from_str(&workflow)?;
        let job = &workflow["jobs"]["report"];
        for name in job["env"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|set| set.0)
        {
            if !self.environment.contains_key(name) {
                return Err(format!("the workflow sets {name}, this test does not").into());
            }
        }
        let mut steps = BTreeMap::new();
        let mut failed = false;
        for step in job["steps"].as_array().into_iter().flatten() {
            let (Some(name), Some(script)) = (step["name"].as_str(), step["run"].as_str()) else {
                continue;
            };
            if NOT_HERE.contains(&name) || failed && step["if"] != "always()" {
                continue;
            }
            if script.contains("${{") {
                return Err(format!("{name}: an expression inside a script").into());
            }
            let ran = self.step(script)?;
            failed |= ran.code != Some(0);
            steps.insert(name.to_owned(), ran);
        }
        Ok(steps)
    }
}

/// A release to download. What is in the archive starts the program under test.
fn release(root: &Path) -> Checked {
    let release = root.join("release");
    fs::create_dir(&release)?;
    let program = root.join("kubectl-meshsniff");
    fs::write(&program, format!("#!/bin/sh\nexec '{PROGRAM}' \"$@\"\n"))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let version = env!("CARGO_PKG_VERSION");
    let script = format!(
        "archive=kubectl-meshsniff_v{version}_linux_amd64.tar.gz && tar -czf release/$archive kubectl-meshsniff && rm \
         kubectl-meshsniff && cd release && echo x >meshsniff.yaml && sha256sum $archive meshsniff.yaml >SHA256SUMS && rm \
         meshsniff.yaml"
    );
    let done = Command::new("sh")
        .args(["-c", &script])
        .current_dir(root)
        .status()?;
    if done.success() {
        Ok(())
    } else {
        Err("no release could be packed".into())
    }
}

fn which(program: &Path) -> Result<PathBuf, Failed> {
    let found = Command::new("which").arg(program).output()?;
    let found = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    if found.is_empty() {
        return Err(format!("there is no {}", program.display()).into());
    }
    Ok(found.into())
}

/// Runs the workflow, but for the steps that cannot run here.
fn workflow(
    lab: &Lab,
    namespace: &Namespace<'_>,
    timeout: &str,
    code: i32,
) -> Result<(Runner, Step), Failed> {
    let runner = Runner::new(lab, namespace, timeout)?;
    let mut steps = runner.run()?;
    let report = steps.remove("Report");
    for (name, step) in &steps {
        if step.code != Some(0) {
            return Err(format!("{name}: {:?}: {}{}", step.code, step.stdout, step.stderr).into());
        }
    }
    let report = report.ok_or("the report was not made")?;
    if report.code != Some(code) {
        let (code, out, said) = (report.code, &report.stdout, &report.stderr);
        return Err(format!("the report: {code:?}: {out}{said}").into());
    }
    if runner.read("step-summary.md")? != runner.read("summary.md")? {
        return Err("the summary is not the report".into());
    }
    Ok((runner, report))
}

/// The namespace that a workflow is to make.
fn unmade<'a>(lab: &'a Lab, name: &str) -> Namespace<'a> {
    let name = format!("meshsniff-test-{}-{name}", std::process::id());
    Namespace { lab, name }
}

/// One case fails, with a timeline for each give-up: how long after the ACK the client closed, the
/// timeout of 500 ms.
fn failing_case(junit: &str) -> Checked {
    let counts = "failures=\"1\" errors=\"0\"";
    contains("the JUnit report", junit, &[counts])?;
    let case = junit.split("<testcase ").nth(1).unwrap_or_default();
    let words = ["name=\"client-gave-up\"", "<failure message="];
    contains("the first case", case, &words)?;
    let gaps = case.lines().filter_map(|line| {
        let (_, gap) = line.split_once("FIN: the client closes")?;
        gap.split_whitespace().next()?.parse::<f64>().ok()
    });
    let gaps: Vec<f64> = gaps.collect();
    // The gateway's timer starts before the sidecar's connection does, and the machine may be busy.
    let near = gaps.iter().filter(|gap| (450.0..600.0).contains(*gap));
    if gaps.len() < 3 || near.count() * 10 < gaps.len() * 9 {
        return Err(format!("not about 500 ms each: {gaps:?}").into());
    }
    Ok(())
}

/// A timer is found, and it is the one of 500 ms: named so, or, on a busy machine, told by from
/// when to when it closed.
fn timer_line(report: &str) -> Checked {
    // Sentences are broken where the line ends.
    let words = report.split_whitespace().collect::<Vec<_>>().join(" ");
    let starts = words.split("the caller gave up on ").filter_map(|rest| {
        let (figures, _) = rest.split_once(" ms, a timer")?;
        let (_, figures) = figures.split_once(" after ")?;
        figures.split(['–', ' ']).next()?.parse::<f64>().ok()
    });
    if starts.clone().any(|start| (470.0..530.0).contains(&start)) {
        return Ok(());
    }
    Err(format!("no timer of 500 ms: {report}").into())
}

fn workflow_fails(lab: &Lab) -> Checked {
    let namespace = unmade(lab, "fails");
    let (runner, report) = workflow(lab, &namespace, TIMEOUTS[0], 3)?;
    contains("the report", &report.stderr, &["failed: client-gave-up"])?;
    let words = ["::error title=meshsniff::client-gave-up", "late-response"];
    contains("the report", &report.stdout, &words)?;
    timer_line(&report.stdout)?;
    failing_case(&runner.read("meshsniff.xml")?)?;
    contains("the gateway", &runner.read("gateway.log")?, &[" 504 UT "])?;
    contains("the sidecar", &runner.read("sidecar.log")?, &[" 0 DC "])?;
    let words = ["GET /cgi-bin/items?delay=2 200"];
    contains("the app", &runner.read("app.log")?, &words)?;
    let capture = runner.folder.path().join("capture.pcapng");
    if packets(&capture)? == 0 {
        return Err("no packets".into());
    }
    whole(&capture)?;
    namespace.nothing_left(&[])
}

fn workflow_passes(lab: &Lab) -> Checked {
    let namespace = unmade(lab, "passes");
    let (runner, report) = workflow(lab, &namespace, TIMEOUTS[1], 0)?;
    if report.stdout.contains("::error") {
        return Err(format!("an error is shown: {}", report.stdout).into());
    }
    contains("the client", &runner.read("load.log")?, &["200 after 2"])?;
    namespace.nothing_left(&[])
}

// ---- the Job ----

/// Applies both manifests by way of kustomize, and waits for the end of the Job; returns its
/// condition.
fn job(lab: &Lab, namespace: &Namespace<'_>, image: &str, timeout: &str) -> Result<String, Failed> {
    let folder = folder()?;
    let reproduction = fs::read_to_string(format!("{RECIPE}/reproduction.yaml"))?;
    let timeout = format!("timeout: {timeout}");
    let reproduction = reproduction.replace("timeout: 0.5s", &timeout);
    fs::write(folder.path().join("reproduction.yaml"), reproduction)?;
    let mut job = fs::read_to_string(format!("{RECIPE}/job.yaml"))?;
    let version = env!("CARGO_PKG_VERSION");
    contains(
        "job.yaml",
        &job,
        &[&format!("image: kubectl-meshsniff:{version}\n")],
    )?;
    // kustomize leaves that of a subject alone.
    let own = format!("namespace: {}", namespace.name);
    job = job.replace("namespace: meshsniff-ci", &own);
    if lab.image != format!("meshsniff-agent:{version}") {
        let named = format!("- report\n            - --image={}", lab.image);
        job = job.replace("- report", &named);
    }
    fs::write(folder.path().join("job.yaml"), job)?;
    let (name, tag) = image.rsplit_once(':').unwrap_or((image, "latest"));
    let mut images = vec![("kubectl-meshsniff", name, tag)];
    if lab.is_here() {
        images.extend(IMAGES);
    }
    let images = images.iter().map(|(public, name, tag)| {
        format!("- {{name: {public}, newName: {name}, newTag: \"{tag}\"}}\n")
    });
    let kustomization = format!(
        "namespace: {}\nresources: [reproduction.yaml, job.yaml]\nimages:\n{}",
        namespace.name,
        images.collect::<String>()
    );
    fs::write(folder.path().join("kustomization.yaml"), kustomization)?;
    let path = folder.path().to_string_lossy();
    lab.kubectl(&["apply", "--dry-run=server", "-k", &path])
        .map(drop)?;
    let applied = lab.try_kubectl(&["apply", "-k", &path])?;
    let said = String::from_utf8_lossy(&applied.stderr).into_owned();
    if !applied.status.success() || said.contains("Warning:") {
        return Err(format!("kubectl apply: {said}").into());
    }
    let mut condition = String::new();
    let waited = wait_until("the end of the Job", PATIENCE, || {
        let path = r#".status.conditions[?(@.status=="True")]"#;
        let path = format!("{path}.type}} {{{path}.reason}} {{{path}.message");
        condition = namespace.get("job/meshsniff", &path)?;
        Ok(condition.contains("Failed") || condition.contains("Complete"))
    });
    if waited.is_err() {
        let pods = namespace.kubectl(&["describe", "pods", "-l", "job-name=meshsniff"])?;
        return Err(format!("the Job does not end: {condition} {pods}").into());
    }
    Ok(condition)
}

/// The plugin's image, if the cluster was given one.
fn plugin_image() -> Option<String> {
    let image = std::env::var("MESHSNIFF_TEST_PLUGIN_IMAGE").ok();
    let image = image.filter(|image| !image.is_empty());
    if image.is_none() {
        println!(
            "SKIPPED the Job of the recipe: the cluster has no image of the plugin (images/build --plugin), or \
             MESHSNIFF_TEST_PLUGIN_IMAGE does not name it"
        );
    }
    image
}

fn terminated(namespace: &Namespace<'_>, path: &str) -> Result<String, Failed> {
    let args = ["get", "pods", "-l", "job-name=meshsniff", "-o"];
    let path =
        format!("jsonpath={{.items[*].status.containerStatuses[*].state.terminated.{path}}}");
    namespace.kubectl(&[&args[..], &[path.as_str()]].concat())
}

fn job_fails(lab: &Lab) -> Checked {
    let Some(image) = plugin_image() else {
        return Ok(());
    };
    let namespace = lab.namespace_with(&RESTRICTED)?;
    let condition = job(lab, &namespace, &image, TIMEOUTS[0])?;
    let message = terminated(&namespace, "message")?;
    let why = format!("{condition}; {message}");
    contains("the Job", &why, &["PodFailurePolicy", "exit code 3"])?;
    // The reason and nothing else: the report is in the log.
    if !message.starts_with("failed: client-gave-up: ") || message.lines().count() != 1 {
        return Err(format!("another reason: {why}").into());
    }
    if terminated(&namespace, "exitCode")? != "3" {
        return Err(format!("another exit status than 3: {why}").into());
    }
    let log = namespace.kubectl(&["logs", "job/meshsniff", "-c", "meshsniff"])?;
    timer_line(&log)?;
    namespace.nothing_left(&[])
}

fn job_passes(lab: &Lab) -> Checked {
    let Some(image) = plugin_image() else {
        return Ok(());
    };
    let namespace = lab.namespace_with(&RESTRICTED)?;
    let condition = job(lab, &namespace, &image, TIMEOUTS[1])?;
    if !condition.contains("Complete") {
        let log = namespace.kubectl(&["logs", "job/meshsniff", "-c", "meshsniff"])?;
        return Err(format!("{condition}: {log}").into());
    }
    namespace.nothing_left(&[])
}
