//! The cluster, and what tests do in it: through kubectl, as a person would.

use libtest_mimic::Failed;
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What a test says: nothing, or why it failed.
pub(crate) type Checked = Result<(), Failed>;

/// How long nothing of ours may be left in a cluster.
pub(crate) const GONE_WITHIN: Duration = Duration::from_secs(120);
/// How long what happens at once may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The cluster under test.
pub(crate) struct Lab {
    pub(crate) kubeconfig: PathBuf,
    kubectl: PathBuf,
    /// The folder of scripts of the cluster that runs on this machine.
    pub(crate) node: Option<PathBuf>,
    /// The agent's image, which the nodes have, unless the agent is carried.
    pub(crate) image: String,
    /// Whether the nodes have no image of ours, and the plugin carries the agent.
    pub(crate) carried: bool,
    pub(crate) app: String,
    next: AtomicU32,
}

impl Lab {
    pub(crate) fn from_env() -> Option<Self> {
        let named = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let text = |name, usual: &str| {
            let named = named(name).map(|value| value.to_string_lossy().into_owned());
            named.unwrap_or_else(|| usual.to_owned())
        };
        let version = env!("CARGO_PKG_VERSION");
        Some(Self {
            kubeconfig: named("MESHSNIFF_TEST_KUBECONFIG")?.into(),
            kubectl: named("MESHSNIFF_TEST_KUBECTL")
                .map_or_else(|| "kubectl".into(), PathBuf::from),
            node: named("MESHSNIFF_TEST_NODE").map(PathBuf::from),
            image: text("MESHSNIFF_IMAGE", &format!("meshsniff-agent:{version}")),
            carried: named("MESHSNIFF_TEST_CARRIED").is_some(),
            app: text("MESHSNIFF_TEST_APP_IMAGE", "local/app:1"),
            next: AtomicU32::new(0),
        })
    }

    /// Whether the nodes' processes are this machine's.
    pub(crate) const fn is_here(&self) -> bool {
        self.node.is_some()
    }

    pub(crate) fn kubectl_program(&self) -> &Path {
        &self.kubectl
    }

    pub(crate) fn kubectl_command(&self) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command
    }

    pub(crate) fn try_kubectl(&self, args: &[&str]) -> std::io::Result<Output> {
        self.kubectl_command().args(args).output()
    }

    /// What kubectl prints.
    pub(crate) fn kubectl(&self, args: &[&str]) -> Result<String, Failed> {
        let output = self.try_kubectl(args)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("kubectl {}: {said}", args.join(" ")).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub(crate) fn apply(&self, manifest: &str) -> Checked {
        let mut child = self
            .kubectl_command()
            .args(["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(manifest.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("kubectl apply: {said}").into());
        }
        Ok(())
    }

    /// A namespace of the test's own.
    pub(crate) fn namespace(&self) -> Result<Namespace<'_>, Failed> {
        self.namespace_with(&[])
    }

    /// A namespace with labels, such as those of Pod Security.
    pub(crate) fn namespace_with(&self, labels: &[&str]) -> Result<Namespace<'_>, Failed> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("meshsniff-test-{}-{number}", std::process::id());
        self.kubectl(&["create", "namespace", &name])?;
        if !labels.is_empty() {
            let label = [&["label", "namespace", name.as_str()], labels].concat();
            self.kubectl(&label)?;
        }
        let namespace = Namespace { lab: self, name };
        // A pod made before its controller has made the account is refused.
        let account = ["get", "serviceaccount", "default", "-n", &namespace.name];
        wait_until("the namespace's default account", SOON, || {
            Ok(self.try_kubectl(&account)?.status.success())
        })?;
        Ok(namespace)
    }

    /// Processes of this machine that run the agent for one of these runs.
    pub(crate) fn agents(&self, runs: &[String]) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let folder = entry.path();
            let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
            if !name.starts_with("meshsniff-agent") {
                continue;
            }
            let environment = fs::read(folder.join("environ")).unwrap_or_default();
            let environment = String::from_utf8_lossy(&environment).into_owned();
            if runs.iter().any(|run| environment.contains(run.as_str())) {
                found.push(folder.display().to_string());
            }
        }
        found
    }
}

/// Waits until `done` says so.
pub(crate) fn wait_until(
    what: &str,
    patience: Duration,
    mut done: impl FnMut() -> Result<bool, Failed>,
) -> Checked {
    let deadline = Instant::now() + patience;
    loop {
        if done()? {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(format!("not within {} s: {what}", patience.as_secs()).into());
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// A namespace; deleted with all that is in it.
pub(crate) struct Namespace<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) name: String,
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        let args = ["delete", "namespace", &self.name, "--wait=false"];
        // The next run does not care.
        let _ = self.lab.try_kubectl(&args);
    }
}

impl Namespace<'_> {
    pub(crate) fn kubectl(&self, args: &[&str]) -> Result<String, Failed> {
        let args = [&["-n", self.name.as_str()], args].concat();
        self.lab.kubectl(&args)
    }

    /// A pod of the demo image: more of its spec in `spec`, which is YAML in braces.
    pub(crate) fn pod(&self, name: &str, args: &[&str], spec: &str) -> Checked {
        let args = serde_json::to_string(args).unwrap_or_default();
        let more = if spec.is_empty() {
            String::new()
        } else {
            format!(", {spec}")
        };
        self.lab.apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {}, labels: {{app: {name}}}}}\n\
             spec: {{terminationGracePeriodSeconds: 5, containers: [{{name: app, image: \"{}\", imagePullPolicy: IfNotPresent, \
             args: {args}}}]{more}}}\n",
            self.name, self.lab.app
        ))
    }

    pub(crate) fn deployment(&self, name: &str, replicas: u32, args: &[&str]) -> Checked {
        let args = serde_json::to_string(args).unwrap_or_default();
        self.lab.apply(&format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: {}}}\n\
             spec: {{replicas: {replicas}, selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: \
             {name}}}}}, spec: {{terminationGracePeriodSeconds: 1, containers: [{{name: app, image: \"{}\", imagePullPolicy: \
             IfNotPresent, args: {args}}}]}}}}}}\n",
            self.name, self.lab.app
        ))
    }

    pub(crate) fn ready(&self, what: &str) -> Checked {
        self.kubectl(&["wait", "--for=condition=Ready", what, "--timeout=60s"])
            .map(drop)
    }

    pub(crate) fn get(&self, what: &str, path: &str) -> Result<String, Failed> {
        self.kubectl(&["get", what, "-o", &format!("jsonpath={{{path}}}")])
    }

    /// A pod of the demo image that is ready.
    pub(crate) fn running(&self, name: &str, args: &[&str], spec: &str) -> Checked {
        self.pod(name, args, spec)?;
        self.ready(&format!("pod/{name}"))
    }

    /// A server called `app`.
    pub(crate) fn server(&self) -> Checked {
        self.running("app", &["serve"], "")
    }

    /// The address of what a pod serves at a path.
    pub(crate) fn url(&self, pod: &str, path: &str) -> Result<String, Failed> {
        let address = self.get(&format!("pod/{pod}"), ".status.podIP")?;
        Ok(format!("http://{address}:8080{path}"))
    }

    /// A client called `load` that asks `app` for a path every so often.
    pub(crate) fn load(&self, path: &str, every: &str) -> Checked {
        let url = self.url("app", path)?;
        self.running("load", &["get", "-every", every, &url], "")
    }

    /// A server called `app`, and a client that asks it ten times a second.
    pub(crate) fn traffic(&self) -> Checked {
        self.server()?;
        self.load("/fast", "100ms")
    }

    /// Waits for all pods of a deployment or the like.
    pub(crate) fn rolled_out(&self, what: &str) -> Checked {
        self.kubectl(&["rollout", "status", what, "--timeout=60s"])
            .map(drop)
    }

    fn objects(&self, what: &str) -> Result<Vec<Value>, Failed> {
        let selector = "app.kubernetes.io/managed-by=kubectl-meshsniff";
        let listed = self.kubectl(&["get", what, "-l", selector, "-o", "json"])?;
        let listed: Value = serde_json::from_str(&listed)?;
        Ok(listed["items"].as_array().cloned().unwrap_or_default())
    }

    /// Names of the helper's Jobs, pods and `ConfigMap`s that are here.
    pub(crate) fn helpers(&self) -> Result<Vec<String>, Failed> {
        let mut names = Vec::new();
        for what in ["jobs", "pods", "configmaps"] {
            for object in self.objects(what)? {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                names.push(format!("{what}/{name}"));
            }
        }
        Ok(names)
    }

    /// The name of the helper's pod, once there is one.
    pub(crate) fn helper_pod(&self) -> Result<String, Failed> {
        let mut found = String::new();
        wait_until("a helper's pod", SOON, || {
            let names = self.helpers()?;
            let pod = names.iter().find_map(|name| name.strip_prefix("pods/"));
            found = pod.unwrap_or_default().to_owned();
            Ok(!found.is_empty())
        })?;
        Ok(found)
    }

    /// The runs whose helpers are here now.
    pub(crate) fn runs(&self) -> Result<Vec<String>, Failed> {
        let jobs = self.objects("jobs")?;
        let run = |job: &Value| {
            let run = &job["metadata"]["labels"]["meshsniff-run"];
            run.as_str().map(str::to_owned)
        };
        Ok(jobs.iter().filter_map(run).collect())
    }

    /// Waits until nothing of ours is here, and no agent of these runs anywhere.
    pub(crate) fn nothing_left(&self, runs: &[String]) -> Checked {
        let mut left = Vec::new();
        wait_until("nothing of ours in the cluster", GONE_WITHIN, || {
            left = match self.helpers() {
                Ok(left) => left,
                // The API server itself may be away for a while.
                Err(_) => vec!["unknown".to_owned()],
            };
            if self.lab.is_here() {
                left.extend(self.lab.agents(runs));
            }
            Ok(left.is_empty())
        })
        .map_err(|_| {
            format!(
                "after {} s there still is {}",
                GONE_WITHIN.as_secs(),
                left.join(", ")
            )
            .into()
        })
    }
}
