//! `image`, as far as it needs no agents: a plugin that carries some has `tests/images/carried`.

use super::{file, folder, nothing_reported, program, run};
use kubectl_meshsniff::carried;
use std::fs;

#[test]
fn wrong_usage_is_status_2() {
    for args in [
        &["image"][..],
        &["image", "save"],
        &["image", "save", "a.tar", "--name", "Agent"],
        &["image", "save", "a.tar", "--name", "agent@sha256:00"],
        // It would be an official image of Docker Hub.
        &["image", "push", "agent"],
        &["image", "push", "registry.example/agent:"],
        &["image", "load", "--into", "podman"],
    ] {
        let run = run(args);
        assert_eq!(run.status, Some(2), "{args:?}: {}", run.err);
        nothing_reported(&run);
    }
}

/// Before anything else is looked at: no registry is asked, no program is missed.
#[test]
fn a_plugin_without_agents_says_which_command_makes_one_that_has_them() {
    // One that was built with them cannot say it.
    if !carried::all().is_empty() {
        return;
    }
    let folder = folder();
    let kept = file(&folder, "a.tar", b"kept");
    let path = kept.to_str().expect("a path in UTF-8");
    for args in [
        &["image", "save", path][..],
        &["image", "save", "-"],
        &["image", "push", "127.0.0.1:1/agent"],
        &["image", "load", "--into", "kind"],
        &["image", "load"],
    ] {
        let mut command = program();
        let output = command.args(args).env("PATH", folder.path()).output();
        let run = super::Run::from(output.expect("the program"));
        assert_eq!(run.status, Some(1), "{args:?}");
        nothing_reported(&run);
        let starts = "error: this plugin was built without agents, ";
        assert!(run.err.starts_with(starts), "{args:?}: {}", run.err);
        assert!(
            run.err.trim_end().ends_with(carried::MAKES_THEM),
            "{}",
            run.err
        );
    }
    assert_eq!(fs::read(&kept).expect("the file"), b"kept");
}
