//! An API server that holds Jobs and pods, and changes them as a mutating webhook would.
//!
//! It knows no more of Kubernetes than these tests take: labels select, a Job makes one pod, and
//! with a Job goes the pod that it owns.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a watch looks for news.
const LOOK: Duration = Duration::from_millis(20);

/// What a webhook does to an object.
pub(crate) type Webhook = fn(&mut Value);

/// What the server does with what is made.
#[derive(Clone, Copy)]
pub(crate) struct Ways {
    pub(crate) of_jobs: Webhook,
    pub(crate) of_pods: Webhook,
    /// Of the target's pod, when an ephemeral container is added.
    pub(crate) of_target: Webhook,
    /// Whether pods may be deleted.
    pub(crate) may_delete_pods: bool,
}

impl Default for Ways {
    fn default() -> Self {
        let nothing: Webhook = |_| {};
        Self {
            of_jobs: nothing,
            of_pods: nothing,
            of_target: nothing,
            may_delete_pods: true,
        }
    }
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) jobs: Vec<Value>,
    pub(crate) pods: Vec<Value>,
    /// The target's node; null where it may not be looked at.
    pub(crate) node: Value,
    /// Verb and path of each request, and its body.
    pub(crate) requests: Vec<(String, String, Value)>,
    /// Rises with each change.
    version: u64,
}

/// A server that runs until the tests end.
pub(crate) struct Server {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) fn start(ways: Ways) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let target = json!({"kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": "app", "namespace": "shop", "uid": "u-1"},
            "spec": {"nodeName": "n1", "containers": [{"name": "app", "image": "app:1"}]},
            "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}]}});
        lock(&state).pods.push(target);
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &state, ways));
            }
        });
        Self { address, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Waits until the state is like this.
    pub(crate) fn wait_until(&self, what: &str, is: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !is(&self.state()) {
            assert!(Instant::now() < deadline, "not within 30 s: {what}");
            thread::sleep(LOOK);
        }
    }
}

impl State {
    /// Deletes the Jobs, and leaves their pods: `kubectl delete job --cascade=orphan`.
    pub(crate) fn orphan(&mut self) {
        self.jobs.clear();
        for pod in &mut self.pods {
            pod["metadata"]["ownerReferences"] = json!([]);
        }
        self.version += 1;
    }

    /// The pods beside the target.
    pub(crate) fn helpers(&self) -> Vec<&Value> {
        let pods = self.pods.iter();
        pods.filter(|pod| pod["metadata"]["name"] != "app")
            .collect()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves one connection.
fn serve(mut stream: TcpStream, state: &Mutex<State>, ways: Ways) {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match lines.read_line(&mut head) {
                Ok(1..) => {}
                _ => return,
            }
        }
        let lower = head.to_ascii_lowercase();
        let length = lower.split("content-length: ").nth(1).map_or(0, |rest| {
            let digits = rest.split("\r\n").next().unwrap_or_default();
            digits.parse().unwrap_or(0)
        });
        let mut body = vec![0; length];
        if lines.read_exact(&mut body).is_err() {
            return;
        }
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let mut words = head.split(' ');
        let verb = words.next().unwrap_or_default().to_owned();
        let url = words.next().unwrap_or_default().replace("%3D", "=");
        let url = url.replace("%2F", "/");
        if url.contains("watch=true") {
            watch(&mut stream, state, &url);
            return;
        }
        let (code, answer) = answer(state, ways, &verb, &url, body);
        let text = answer.to_string();
        let head = format!(
            "HTTP/1.1 {code} OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            text.len()
        );
        if stream.write_all((head + &text).as_bytes()).is_err() {
            return;
        }
    }
}

fn status(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let success = if code == 200 { "Success" } else { "Failure" };
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": success,
        "reason": reason, "message": message, "code": code});
    (code, status)
}

fn selected(url: &str, pod: &Value) -> bool {
    let wanted = |name: &str| {
        let rest = url.split(name).nth(1)?;
        Some(rest.split('&').next().unwrap_or_default().to_owned())
    };
    if let Some(selector) = wanted("labelSelector=") {
        let (key, value) = selector.split_once('=').unwrap_or((&selector, ""));
        return pod["metadata"]["labels"][key] == value;
    }
    match wanted("fieldSelector=metadata.name=") {
        Some(name) => pod["metadata"]["name"] == name,
        None => true,
    }
}

fn watch(stream: &mut TcpStream, state: &Mutex<State>, url: &str) {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";
    if stream.write_all(head.as_bytes()).is_err() {
        return;
    }
    let mut seen = None;
    loop {
        let mut text = String::new();
        {
            let state = lock(state);
            if seen != Some(state.version) {
                seen = Some(state.version);
                for pod in state.pods.iter().filter(|pod| selected(url, pod)) {
                    text += &json!({"type": "MODIFIED", "object": pod}).to_string();
                    text.push('\n');
                }
            }
        }
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
        thread::sleep(LOOK);
    }
}

fn answer(state: &Mutex<State>, ways: Ways, verb: &str, url: &str, body: Value) -> (u16, Value) {
    let path = url.split('?').next().unwrap_or_default().to_owned();
    let mut state = lock(state);
    let asked = (verb.to_owned(), path.clone(), body.clone());
    state.requests.push(asked);
    state.version += 1;
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let at = parts
        .iter()
        .position(|part| ["jobs", "pods"].contains(part));
    let Some(at) = at else {
        return match verb {
            "GET" if parts.last() == Some(&"n1") && !state.node.is_null() => {
                (200, state.node.clone())
            }
            "GET" if parts.last() != Some(&"n1") => (200, json!({"items": [], "metadata": {}})),
            _ => status(404, "NotFound", "not found"),
        };
    };
    let (kind, name, sub) = (parts[at], parts.get(at + 1), parts.get(at + 2));
    let is_named = |object: &Value| name.is_some_and(|name| object["metadata"]["name"] == *name);
    match (verb, kind, name) {
        ("POST", "pods", None) if url.contains("dryRun") => (201, body),
        ("POST", "jobs", None) => {
            let mut job = body;
            job["metadata"]["uid"] = json!("j-1");
            job["metadata"]["namespace"] = json!("shop");
            (ways.of_jobs)(&mut job);
            let mut pod = job["spec"]["template"].clone();
            pod["kind"] = json!("Pod");
            pod["apiVersion"] = json!("v1");
            let name = job["metadata"]["name"].clone();
            pod["metadata"]["name"] = json!(format!("{}-x", name.as_str().unwrap_or_default()));
            pod["metadata"]["namespace"] = json!("shop");
            pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] = name.clone();
            pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "batch/v1", "kind": "Job",
                "name": name, "uid": "j-1", "controller": true}]);
            pod["status"] = json!({"phase": "Pending"});
            (ways.of_pods)(&mut pod);
            state.pods.push(pod);
            state.jobs.push(job.clone());
            (201, job)
        }
        ("PATCH", "pods", Some(_)) if sub == Some(&"ephemeralcontainers") => {
            let Some(pod) = state.pods.iter_mut().find(|pod| is_named(pod)) else {
                return status(404, "NotFound", "not found");
            };
            pod["spec"]["ephemeralContainers"] = body["spec"]["ephemeralContainers"].clone();
            (ways.of_target)(pod);
            (200, pod.clone())
        }
        ("DELETE", "pods", Some(name)) if !ways.may_delete_pods => {
            let message = format!(
                "pods \"{name}\" is forbidden: User \"eve\" cannot delete resource \"pods\" in API \
                 group \"\" in the namespace \"shop\""
            );
            status(403, "Forbidden", &message)
        }
        ("DELETE", "pods", Some(_)) => {
            let before = state.pods.len();
            state.pods.retain(|pod| !is_named(pod));
            match before - state.pods.len() {
                0 => status(404, "NotFound", "not found"),
                _ => status(200, "", ""),
            }
        }
        ("DELETE", "jobs", Some(_)) => {
            let before = state.jobs.len();
            state.jobs.retain(|job| !is_named(job));
            if state.jobs.len() == before {
                return status(404, "NotFound", "not found");
            }
            // The garbage collector tells its pods to end, which those with time to spare do not
            // do at once.
            state.pods.retain(|pod| {
                pod["metadata"]["ownerReferences"][0]["kind"] != "Job"
                    || pod["spec"]["terminationGracePeriodSeconds"].as_u64() > Some(5)
                    || pod["spec"]["containers"].as_array().map_or(0, Vec::len) > 1
            });
            status(200, "", "")
        }
        ("GET" | "PATCH", _, Some(_)) => {
            let all = if kind == "jobs" {
                &state.jobs
            } else {
                &state.pods
            };
            match all.iter().find(|object| is_named(object)) {
                Some(object) => (200, object.clone()),
                None => status(404, "NotFound", "not found"),
            }
        }
        ("GET", _, None) => {
            let all = if kind == "jobs" {
                &state.jobs
            } else {
                &state.pods
            };
            let items: Vec<_> = all.iter().filter(|one| selected(url, one)).collect();
            (200, json!({"metadata": {}, "items": items}))
        }
        _ => status(405, "MethodNotAllowed", "not here"),
    }
}
