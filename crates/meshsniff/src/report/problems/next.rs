//! What finds out more.

use crate::event::Source;
use crate::exchange::{FindingKind, Verdict};
use crate::names::Names;
use crate::number;
use crate::piece::{At, Number, Piece, push};
use crate::report::shell::Word;
use crate::statistics::problems::{Problem, ProblemKind};

/// Pushes what finds out more of this problem rather than of any; nothing if there is nothing.
pub(super) fn own(out: &mut String, problem: &Problem, source: Option<&Source>, names: &Names) {
    let server = problem.server;
    match problem.kind {
        ProblemKind::ProcessEnd => out.push_str("kubectl get events, and the end of its log"),
        ProblemKind::Verdict(Verdict::ConnectRefused)
        | ProblemKind::Finding(FindingKind::AcceptQueueFull) => {
            push!(out; "on the server: ss -lnt 'sport = :",
            Number(u64::from(server.port)), "'")
        }
        ProblemKind::Verdict(Verdict::ConnectTimeout)
        | ProblemKind::Finding(
            FindingKind::RequestUnacknowledged
            | FindingKind::Retransmission
            | FindingKind::SynRetry,
        ) if !server.ip().is_loopback() => {
            push!(out; "on the client: ip route get ");
            number::address(out, server.ip());
        }
        ProblemKind::Finding(FindingKind::ResponseUnacknowledged) => {
            push!(out; "on the server: ip route get ", Client(problem));
        }
        _ if problem.readings.not_accepted > 0 || problem.readings.unread > 0 => {
            push!(out; "on the server: ss -tinp 'sport = :", Number(u64::from(server.port)),
                "', and what that process does (its stack)");
        }
        ProblemKind::Verdict(Verdict::TlsFailed | Verdict::TlsUnanswered) => {
            push!(out; "openssl s_client -connect ", At(server));
        }
        ProblemKind::Lookups
        | ProblemKind::Finding(FindingKind::DnsRetry | FindingKind::DnsSlow) => {
            out.push_str("in the client's container: cat /etc/resolv.conf");
        }
        ProblemKind::Finding(FindingKind::KeepaliveRace) | ProblemKind::KeepAlive => {
            out.push_str(
                "let clients drop idle connections sooner than the server, or the server later",
            );
        }
        ProblemKind::Finding(FindingKind::WebsocketNoClose) => {
            out.push_str("the log of who ended it, and the idle timeouts of proxies on the way");
        }
        // The cause is at the one that the proxy waited for.
        ProblemKind::ProxyAnswer if is_live(source) => {
            let behind = problem.behind.first();
            if let Some(name) = behind.and_then(|one| names.of(one.server.ip())) {
                report_of(out, name);
            }
        }
        // Whose timer it was is for whoever asked to say.
        ProblemKind::Verdict(verdict) if verdict.ended_by_client() && is_live(source) => {
            if let [caller] = problem.callers.as_slice() {
                report_of(out, caller);
            }
        }
        _ => {}
    }
}

/// Pushes what finds out more of any exchange that was captured: of number `exchange`, or of one
/// whose number the reader takes from the report. Nothing if there is nothing.
pub(super) fn common(out: &mut String, source: Option<&Source>, exchange: Option<u64>) {
    let Some(source) = source else { return };
    if source.kind == "file" {
        push!(out; "kubectl meshsniff follow ", Word(&source.name));
        push!(out; " --exchange ");
        match exchange {
            Some(number) => push!(out; Number(number)),
            None => out.push('N'),
        }
    } else if let Some((namespace, pod)) = source.target() {
        push!(out; "kubectl meshsniff report ");
        // A node is in no namespace.
        if namespace == "node" {
            push!(out; Word(&source.name));
        } else {
            push!(out; Word(pod));
            push!(out; " -n ", Word(namespace));
        }
        push!(out; " -w capture.pcapng, then follow one in it");
    }
}

/// Whether it is of a cluster that is there to be asked: in a file any host has a name.
fn is_live(source: Option<&Source>) -> bool {
    source.is_some_and(|source| source.kind == "live")
}

/// Pushes the command that looks at a pod or a service, by the name that its address has: `POD.NS`,
/// or `SERVICE.NS.svc`. Nothing if it is another name.
fn report_of(out: &mut String, name: &str) {
    let (kind, name) = match name.strip_suffix(".svc") {
        Some(service) => ("svc/", service),
        None => ("", name),
    };
    // A pod's name may have dots, a namespace's has none (RFC 1123, as Kubernetes has it).
    let label = |text: &str| {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        !text.is_empty() && text.bytes().all(plain) && !text.starts_with('-')
    };
    if let Some((name, namespace)) = name.rsplit_once('.')
        && name.split('.').all(label)
        && label(namespace)
    {
        push!(out; "kubectl meshsniff report ", kind, Word(name), " -n ", Word(namespace));
    }
}

/// The address of the client of the example.
struct Client<'a>(&'a Problem);

impl Piece for Client<'_> {
    fn push(self, out: &mut String) {
        match &self.0.example {
            Some(example) => number::address(out, example.client().ip()),
            None => out.push_str("the client's address"),
        }
    }
}
