//! How much an exec carries: this program's own, next to `kubectl exec`, in turn. `tests/bench-cluster` runs it.
//!
//! It takes a cluster (`MESHSNIFF_TEST_KUBECONFIG`), kubectl (`MESHSNIFF_TEST_KUBECTL`), and a pod `app` of the demo image in the
//! namespace `MESHSNIFF_BENCH_NAMESPACE`; without them it says so.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it measures, and prints what it measured"
)]

use kubectl_meshsniff::cluster::connect::{Cluster, ConnectArgs, block_on};
use kubectl_meshsniff::cluster::exec;
use std::error::Error;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Instant;

const MEGABYTES: &str = "1000";
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let named = |name: &str| std::env::var(name).ok();
    let (Some(kubeconfig), Some(kubectl), Some(namespace)) = (
        named("MESHSNIFF_TEST_KUBECONFIG"),
        named("MESHSNIFF_TEST_KUBECTL"),
        named("MESHSNIFF_BENCH_NAMESPACE"),
    ) else {
        println!("SKIPPED exec: it takes a cluster (tests/bench-cluster)");
        return Ok(());
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(own(&kubeconfig, &namespace)?);
        let mut child = Command::new(&kubectl)
            .args(["--kubeconfig", &kubeconfig, "-n", &namespace])
            .args(["exec", "app", "--", "app", "cat-zeros", MEGABYTES])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        theirs.push(rate(stdout)?);
        child.wait()?;
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!(
        "exec of {MEGABYTES} MiB: {ours:.0} MiB/s, kubectl exec {theirs:.0} MiB/s, ratio {:.2} (medians of {ROUNDS})",
        ours / theirs
    );
    Ok(())
}

fn own(kubeconfig: &str, namespace: &str) -> Result<f64, Box<dyn Error>> {
    let args = ConnectArgs {
        kubeconfig: Some(kubeconfig.into()),
        ..ConnectArgs::default()
    };
    let command = ["app", "cat-zeros", MEGABYTES].map(str::to_owned);
    let rate = block_on(async {
        let cluster = Cluster::connect(&args).await?;
        let exec = exec::start(&cluster.client, namespace, "app", "app", &command).await?;
        let output = exec.output;
        let rate = tokio::task::spawn_blocking(move || rate(output)).await?;
        Ok(rate?)
    });
    rate?
}

/// MiB a second, from the first byte on: what a start takes is not the question.
fn rate(mut from: impl Read) -> std::io::Result<f64> {
    let mut buffer = vec![0; 1 << 20];
    let mut started = None;
    let mut bytes = 0;
    loop {
        match from.read(&mut buffer)? {
            0 => break,
            length => bytes += length,
        }
        started.get_or_insert_with(Instant::now);
    }
    let seconds = started.map_or(1.0, |started| started.elapsed().as_secs_f64());
    Ok(bytes as f64 / f64::from(1 << 20) / seconds)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
