//! Names that come near to one that nobody knows.

use crate::exchange::{FindingKind, Gap, Verdict};
use crate::protocol::tls::Part;
use crate::statistics::ProblemKind;

/// Names offered.
const MOST: usize = 3;
/// How alike they are at least, of 1.
const ALIKE: f64 = 0.55;

/// The nearest names of what can be asserted, the nearest first.
pub(super) fn names(typed: &str) -> Vec<String> {
    let plain = |name: &str| name.to_ascii_lowercase().replace('_', "-");
    let typed = plain(typed);
    let mut near: Vec<(f64, String)> = all()
        .map(|name| {
            (
                strsim::normalized_damerau_levenshtein(&typed, &plain(&name)),
                name,
            )
        })
        .filter(|(alike, _)| *alike >= ALIKE)
        .collect();
    near.sort_by(|(a, name), (b, other)| b.total_cmp(a).then_with(|| name.cmp(other)));
    near.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// Everything that has a name.
fn all() -> impl Iterator<Item = String> {
    const PLAIN: [&str; 8] = [
        "exchanges",
        "not-ok",
        "not-good",
        "findings",
        "connects_failed",
        "client_side",
        "server_side",
        "dropped",
    ];
    let plain = PLAIN.into_iter().chain(["problems"]).map(str::to_owned);
    let verdicts = Verdict::ALL.into_iter().map(|one| one.name().to_owned());
    let findings = FindingKind::ALL.into_iter();
    let findings = findings.map(|one| format!("findings.{}", one.name()));
    let problems = ProblemKind::all().map(|one| format!("problem.{}", one.name()));
    let gaps = Gap::ALL.into_iter().flat_map(|gap| {
        let percentiles = ["min", "p50", "p90", "p95", "p99", "max"];
        let percentiles = percentiles.map(|one| format!("{}.{one}", gap.name()));
        std::iter::once(gap.name().to_owned()).chain(percentiles)
    });
    let handshakes = Part::ALL.map(|part| format!("tls.{}", part.name()));
    plain
        .chain(handshakes)
        .chain(verdicts)
        .chain(findings)
        .chain(problems)
        .chain(gaps)
}
