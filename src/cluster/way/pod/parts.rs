//! The `ConfigMap`s in which an agent that is carried comes.
//!
//! They are called after what is in them, so that runs side by side have them in common, and owned
//! by the Jobs of these runs: the garbage collector deletes them after the last one. Nobody can
//! change what is in one that is immutable; whoever may delete and create `ConfigMap`s can put
//! another in its place, before the kubelet mounts it. Of the agent that makes no difference
//! (`meshsniff_loader`). Of the loader it would: so they are looked at again once the helper runs,
//! before anything is asked of it.

use crate::carried::Carried;
use crate::cluster::connect::Cluster;
use crate::cluster::error::{Cause, Doing};
use crate::cluster::manifest::{self, HelperOptions, MANAGED_BY};
use crate::cluster::traces::{Fate, Leftover};
use crate::cluster::way::way_in::WayError;
use futures_util::future::{join_all, try_join_all};
use k8s_openapi::ByteString;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt as _};
use meshsniff_loader::{FOLDER, LOADER, PART, SPARE_FOLDER};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Bytes of the agent in one `ConfigMap`, which holds 1 MiB (`MaxSecretSize` of Kubernetes' API) and
/// may hold the loader, too.
const PIECE: usize = 880 << 10;
/// The most that a loader takes of the rest.
const MOST_OF_LOADER: usize = (1 << 20) - PIECE - 1024;

/// How often something is tried that somebody else may be about to do.
const TRIES: u32 = 40;
/// Between two of these.
const PAUSE: Duration = Duration::from_millis(250);

/// What to do where the cluster refuses them.
pub(super) const OR_AN_IMAGE: &str = ": the agent is carried there in ConfigMaps; --agent image does \
                                      without, with an image of it that the node can pull (--image)";

/// The volumes' names.
const VOLUME: &str = "meshsniff-agent";
const SPARE: &str = "meshsniff-memory";

/// The names of the `ConfigMap`s.
fn names(agent: &Carried) -> impl Iterator<Item = String> {
    let loader = meshsniff_loader::digest(agent.loader);
    let loader: String = loader.iter().take(8).copied().map(char::from).collect();
    let own: String = agent.digest.chars().take(8).collect();
    let count = agent.packed.chunks(PIECE).count();
    let architecture = agent.architecture;
    (0..count).map(move |number| {
        format!(
            "{}agent-{architecture}-{own}-{loader}-{number}",
            manifest::PREFIX
        )
    })
}

/// Puts the agent's volumes into a pod's spec, whose container is this.
pub(super) fn mount(agent: &Carried, spec: &mut Value, container: &mut Value) {
    let sources: Vec<Value> = names(agent)
        .map(|name| json!({"configMap": {"name": name}}))
        .collect();
    spec["volumes"] = json!([
        // What is executed there is the loader.
        {"name": VOLUME, "projected": {"defaultMode": 0o555, "sources": sources}},
        {"name": SPARE, "emptyDir": {"medium": "Memory", "sizeLimit": "32Mi"}},
    ]);
    container["volumeMounts"] = json!([
        {"name": VOLUME, "mountPath": FOLDER, "readOnly": true},
        {"name": SPARE, "mountPath": SPARE_FOLDER},
    ]);
}

/// The `ConfigMap`s of an agent, in words.
pub(super) fn told(agent: &Carried) -> String {
    let names: Vec<String> = names(agent).collect();
    format!(
        "owned by it, with the agent in them: configmaps {}",
        names.join(" and ")
    )
}

/// The `ConfigMap`s of an agent.
fn config_maps(options: &HelperOptions, agent: &Carried) -> Vec<ConfigMap> {
    debug_assert!(agent.loader.len() <= MOST_OF_LOADER, "{agent:?}");
    let pieces = agent.packed.chunks(PIECE).zip(names(agent)).enumerate();
    let maps = pieces.map(|(number, (piece, name))| {
        let piece = (format!("{PART}{number}"), ByteString(piece.to_vec()));
        let loader = (LOADER.to_owned(), ByteString(agent.loader.to_vec()));
        let loader = (number == 0).then_some(loader);
        let mut map = ConfigMap {
            binary_data: Some(
                [piece]
                    .into_iter()
                    .chain(loader)
                    .collect::<BTreeMap<_, _>>(),
            ),
            immutable: Some(true),
            ..ConfigMap::default()
        };
        map.metadata.name = Some(name);
        let fixed = [("app.kubernetes.io/name", "meshsniff"), MANAGED_BY];
        let fixed = fixed.map(|(key, value)| (key.to_owned(), value.to_owned()));
        // Those of whoever made them first: other runs have them in common.
        let labels = options.labels.iter().cloned().chain(fixed);
        map.metadata.labels = Some(labels.collect());
        map.metadata.annotations = Some(options.annotations.iter().cloned().collect());
        map
    });
    maps.collect()
}

/// The `ConfigMap`s of a Job.
pub(super) struct Parts {
    api: Api<ConfigMap>,
    namespace: String,
    maps: Vec<ConfigMap>,
    /// Those that are there: their UIDs, in the same order.
    uids: Vec<String>,
}

impl Parts {
    /// Brings them there, and makes a Job one of their owners.
    ///
    /// # Errors
    /// If the cluster refuses, or others are there by these names.
    pub(super) async fn bring(
        cluster: &Cluster,
        namespace: &str,
        options: &HelperOptions,
        agent: &Carried,
        (job, uid): (&str, &str),
    ) -> Result<Self, WayError> {
        let mut parts = Self {
            api: cluster.api(Some(namespace)),
            namespace: namespace.to_owned(),
            maps: config_maps(options, agent),
            uids: Vec::new(),
        };
        let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": uid});
        let brought = parts.maps.iter().map(|map| parts.bring_one(map, &owner));
        parts.uids = try_join_all(brought).await?;
        Ok(parts)
    }

    fn failed(&self, verb: &'static str, map: &ConfigMap) -> impl FnOnce(kube::Error) -> WayError {
        let namespace = self.namespace.clone();
        let what = format!("configmap {}", map.name_any());
        move |error| {
            let error = Doing::request(verb, "configmaps", namespace, what).failed()(error);
            match error.cause() {
                Cause::Refused(_) | Cause::MissingRight => WayError::Refused(error, OR_AN_IMAGE),
                _ => error.into(),
            }
        }
    }

    /// Returns the UID of what is there by this name, and is the same.
    async fn bring_one(&self, map: &ConfigMap, owner: &Value) -> Result<String, WayError> {
        let name = map.name_any();
        let owned = Patch::Strategic(json!({"metadata": {"ownerReferences": [owner]}}));
        let mut new = map.clone();
        new.metadata.owner_references = serde_json::from_value(json!([owner])).ok();
        let params = PatchParams::default();
        for _ in 0..TRIES {
            // Another run may have brought it. What is somebody else's is not made ours: it would go
            // with our Job.
            match self.api.get_opt(&name).await {
                Ok(Some(found)) if found.binary_data != map.binary_data => {
                    return Err(WayError::Foreign(self.namespace.clone(), name));
                }
                Ok(Some(found)) => {
                    let patched = self.api.patch_metadata(&name, &params, &owned).await;
                    match patched {
                        Ok(owned) if owned.uid() == found.uid() => {
                            let goes = owned.metadata.deletion_timestamp.is_some();
                            if let (false, Some(uid)) = (goes, owned.uid()) {
                                return Ok(uid);
                            }
                        }
                        Ok(_) => {}
                        Err(error) if may_pass(&error) => {}
                        Err(error) => return Err(self.failed("patch", map)(error)),
                    }
                }
                Ok(None) => match self.api.create(&PostParams::default(), &new).await {
                    Ok(made) => return Ok(made.uid().unwrap_or_default()),
                    Err(error) if may_pass(&error) => {}
                    Err(error) => return Err(self.failed("create", map)(error)),
                },
                Err(error) if may_pass(&error) => {}
                Err(error) => return Err(self.failed("get", map)(error)),
            }
            // It goes with its last owner, others were faster, or the server is away for a moment.
            tokio::time::sleep(PAUSE).await;
        }
        Err(WayError::NoAnswer((PAUSE * TRIES).as_secs()))
    }

    /// Checks that they are still the same objects: what was mounted meanwhile was mounted of them.
    ///
    /// # Errors
    /// If one has gone or is another.
    pub(super) async fn are_the_same(&self) -> Result<(), WayError> {
        let look = self.maps.iter().zip(&self.uids).map(async |(map, uid)| {
            let name = map.name_any();
            match self.api.get_metadata(&name).await {
                Ok(found) if found.uid().as_ref() == Some(uid) => Ok(()),
                Ok(_) => Err(WayError::Replaced(self.namespace.clone(), name)),
                Err(error) if Cause::of(&error) == Cause::NotFound => {
                    Err(WayError::Replaced(self.namespace.clone(), name))
                }
                Err(error) => Err(self.failed("get", map)(error)),
            }
        });
        try_join_all(look).await.map(drop)
    }
}

/// Deletes those of an agent that no Job owns but this one, which has ended. The garbage collector
/// would, too, but not those that somebody orphaned with the Job.
pub(super) async fn remove(cluster: &Cluster, namespace: &str, agent: &Carried, job: &str) {
    let api: Api<ConfigMap> = cluster.api(Some(namespace));
    let removed = names(agent).map(async |name| {
        let found = api.get_metadata(&name).await?;
        if !is_for_nobody_else(&found, job) {
            return Ok(());
        }
        // Whoever makes them theirs meanwhile changes the version.
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: found.uid(),
                resource_version: found.resource_version(),
            }),
            ..DeleteParams::background()
        };
        api.delete(&name, &params).await.map(drop)
    });
    // Whoever may not delete them leaves it to the garbage collector.
    let _: Vec<kube::Result<()>> = join_all(removed).await;
}

/// Whether an object is of this program, and belongs to no Job but this one. One that somebody else
/// made under such a name has not the label, and is not touched.
fn is_for_nobody_else<K: kube::Resource>(found: &K, job: &str) -> bool {
    let (key, value) = MANAGED_BY;
    let mut owners = found.owner_references().iter();
    found.labels().get(key).is_some_and(|found| found == value)
        && owners.all(|owner| owner.uid == job)
}

/// Whether the same request may succeed in a moment.
fn may_pass(error: &kube::Error) -> bool {
    let cause = Cause::of(error);
    cause == Cause::NotFound || cause.is_transient()
}

/// Those whose Jobs have gone: the garbage collector would take them, too.
pub(super) fn without_a_job(maps: &[ConfigMap], jobs: &[Job]) -> Vec<Leftover> {
    let is_left = |map: &&ConfigMap| {
        let mut owners = map.owner_references().iter();
        !owners.any(|owner| {
            jobs.iter()
                .any(|job| job.uid().as_ref() == Some(&owner.uid))
        })
    };
    let left = maps.iter().filter(is_left).map(|map| {
        let fate = match map.metadata.deletion_timestamp {
            Some(_) => Fate::Going,
            None => Fate::Left,
        };
        Leftover::new(map, "an agent that was carried".to_owned(), fate)
    });
    left.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carried::Architecture;

    const AGENT: Carried = Carried {
        architecture: Architecture::Arm64,
        packed: &[7; 2_000_000],
        digest: "0123456789abcdef",
        loader: &[1; 100_000],
    };

    #[test]
    fn the_parts_are_the_agent_and_none_is_too_large() {
        let maps = config_maps(&HelperOptions::default(), &AGENT);
        let mut joined = Vec::new();
        for (number, map) in maps.iter().enumerate() {
            let data = map.binary_data.as_ref().unwrap();
            let size: usize = data.values().map(|value| value.0.len()).sum();
            assert!(size <= 1 << 20, "{size}");
            assert_eq!(map.immutable, Some(true));
            joined.extend_from_slice(&data[&format!("agent.{number}")].0);
            assert_eq!(data.contains_key("loader"), number == 0);
        }
        assert!(joined == AGENT.packed);
        assert!(maps.len() <= usize::try_from(meshsniff_loader::MOST_PARTS).unwrap());
    }

    #[test]
    fn they_are_called_after_what_is_in_them() {
        let names: Vec<String> = names(&AGENT).collect();
        assert_eq!(names.len(), 3);
        assert!(
            names[0].starts_with("meshsniff-agent-arm64-01234567-"),
            "{names:?}"
        );
        assert!(names[2].ends_with("-2"), "{names:?}");
        let other = Carried {
            loader: &[2; 100_000],
            ..AGENT
        };
        assert_ne!(super::names(&other).next().unwrap(), names[0]);
        let all = config_maps(&HelperOptions::default(), &AGENT);
        let all: Vec<String> = all.iter().map(ConfigMap::name_any).collect();
        assert_eq!(all, names);
    }

    #[test]
    fn one_is_left_when_its_last_job_has_gone() {
        let owned = |uids: &[&str]| {
            let owners = uids.iter().map(|uid| {
                json!({"apiVersion": "batch/v1", "kind": "Job", "name": "meshsniff-a", "uid": uid})
            });
            let owners: Vec<Value> = owners.collect();
            let map = json!({"metadata": {"name": "meshsniff-agent", "ownerReferences": owners}});
            serde_json::from_value::<ConfigMap>(map).unwrap()
        };
        let job = json!({"metadata": {"name": "meshsniff-a", "uid": "here"}});
        let jobs = [serde_json::from_value(job).unwrap()];
        let left = |uids: &[&str]| without_a_job(&[owned(uids)], &jobs).len();
        assert_eq!([left(&["here"]), left(&["gone", "here"])], [0, 0]);
        assert_eq!([left(&["gone"]), left(&[])], [1, 1]);
    }

    #[test]
    fn what_is_somebody_elses_is_not_removed() {
        let (key, value) = MANAGED_BY;
        let map = |labels: Value, owners: &[&str]| {
            let owners = owners.iter().map(|uid| {
                json!({"apiVersion": "batch/v1", "kind": "Job", "name": "meshsniff-a", "uid": uid})
            });
            let owners: Vec<Value> = owners.collect();
            let metadata = json!({"name": "x", "labels": labels, "ownerReferences": owners});
            serde_json::from_value::<ConfigMap>(json!({"metadata": metadata})).unwrap()
        };
        let ours = json!({key: value});
        for (labels, owners, removed) in [
            (&ours, &["own"][..], true),
            // As `--cascade=orphan` leaves it.
            (&ours, &[], true),
            (&ours, &["own", "other"], false),
            (&ours, &["other"], false),
            (&json!({}), &[], false),
            (&json!({key: "helm"}), &["own"], false),
        ] {
            let map = map(labels.clone(), owners);
            assert_eq!(
                is_for_nobody_else(&map, "own"),
                removed,
                "{labels} {owners:?}"
            );
        }
    }

    #[test]
    fn a_pod_mounts_all_of_them() {
        let (mut spec, mut container) = (json!({}), json!({}));
        mount(&AGENT, &mut spec, &mut container);
        let sources = spec["volumes"][0]["projected"]["sources"]
            .as_array()
            .unwrap();
        assert_eq!(sources.len(), 3);
        assert_eq!(spec["volumes"][0]["projected"]["defaultMode"], 0o555);
        let places: Vec<&str> = container["volumeMounts"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|mount| mount["mountPath"].as_str())
            .collect();
        assert_eq!(places, [FOLDER, SPARE_FOLDER]);
    }
}
