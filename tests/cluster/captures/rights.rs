//! Only the rights it takes, and each one missing.

use crate::file::{File, packets};
use crate::lab::{Checked, Lab, Namespace, SOON, wait_until};

/// Rights: verb and resource, and whether an error has to name the right when it is missing.
fn rules(lab: &Lab, ephemeral: bool) -> Vec<(&'static str, &'static str, bool)> {
    let mut rules = vec![
        ("get", "pods", true),
        ("get", "pods/exec", true),
        ("create", "pods/exec", true),
    ];
    if ephemeral {
        rules.push(("patch", "pods/ephemeralcontainers", true));
    } else {
        rules.extend([
            ("create", "jobs", true),
            ("patch", "jobs", false),
            ("delete", "jobs", false),
            ("get", "jobs", false),
            ("list", "pods", false),
            ("watch", "pods", false),
        ]);
        if lab.carried {
            // To patch them takes it where other runs have them in common.
            rules.push(("patch", "configmaps", false));
            let verbs = ["create", "get"];
            rules.extend(verbs.map(|verb| (verb, "configmaps", true)));
        }
    }
    rules
}

/// Grants `eve` these rights and no others, and waits until the API server knows.
fn grant(
    namespace: &Namespace<'_>,
    user: &str,
    rules: &[(&str, &str, bool)],
    but: Option<usize>,
) -> Checked {
    let kept = rules
        .iter()
        .enumerate()
        .filter(|(index, _)| Some(*index) != but);
    let rule = |(_, (verb, resource, _)): (usize, &(&str, &str, bool))| {
        let group = if *resource == "jobs" { "batch" } else { "\"\"" };
        format!("{{apiGroups: [{group}], resources: [{resource}], verbs: [{verb}]}}")
    };
    let kept: Vec<String> = kept.map(rule).collect();
    namespace.lab.apply(&format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: eve, namespace: {}}}\nrules: [{}]\n",
        namespace.name,
        kept.join(", ")
    ))?;
    wait_until("the rights that were granted", SOON, || {
        for (index, (verb, resource, _)) in rules.iter().enumerate() {
            // TYPE/NAME would be a pod called exec.
            let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
            let sub = format!("--subresource={sub}");
            let may = ["auth", "can-i", verb, resource, &sub, "--as", user];
            let here = ["-n", &namespace.name];
            let answer = namespace.lab.try_kubectl(&[&may[..], &here].concat())?;
            if answer.status.success() != (Some(index) != but) {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

pub(super) fn each_one(lab: &Lab) -> Checked {
    for mode in ["pod", "ephemeral"] {
        let namespace = lab.namespace()?;
        namespace.server()?;
        let name = &namespace.name;
        namespace.kubectl(&["create", "serviceaccount", "eve"])?;
        let account = format!("--serviceaccount={name}:eve");
        namespace.kubectl(&["create", "rolebinding", "eve", "--role=eve", &account])?;
        let rules = rules(lab, mode == "ephemeral");
        let user = format!("system:serviceaccount:{name}:eve");
        let how = ["--mode", mode, "-w", "-", "--duration", "500ms"];
        let args = [&["app", "--as", &user][..], &how].concat();
        grant(&namespace, &user, &rules, None)?;
        namespace.run(&args)?.is(0, &["capturing on"])?;
        for (index, (verb, resource, is_named)) in rules.iter().enumerate() {
            if !is_named {
                continue;
            }
            grant(&namespace, &user, &rules, Some(index))?;
            let ended = namespace.start(&args)?.ended(SOON * 2)?;
            let words = format!("you may not {verb} {resource}");
            ended.is(1, &[&words, "kubectl meshsniff rbac"])?;
        }
        namespace.nothing_left(&[])?;
    }
    Ok(())
}

/// Nobody may renew the lease: the cluster ends the helper, which is no end that anybody asked for.
pub(super) fn no_renewal(lab: &Lab) -> Checked {
    let namespace = lab.namespace()?;
    namespace.traffic()?;
    let name = &namespace.name;
    namespace.kubectl(&["create", "serviceaccount", "eve"])?;
    let account = format!("--serviceaccount={name}:eve");
    namespace.kubectl(&["create", "rolebinding", "eve", "--role=eve", &account])?;
    let rules = rules(lab, false);
    let renewing = rules
        .iter()
        .position(|rule| (rule.0, rule.1) == ("patch", "jobs"));
    let user = format!("system:serviceaccount:{name}:eve");
    grant(&namespace, &user, &rules, renewing)?;
    let file = File::new()?;
    let args = ["app", "--as", &user, "-w", &file];
    let ended = namespace.start(&args)?.ended(SOON * 3)?;
    ended.is(1, &["you may not patch jobs", "the helper's lease ran out"])?;
    if packets(&file)? == 0 {
        return Err("what came until then is not there".into());
    }
    namespace.nothing_left(&[])
}
