//! Where tshark 4.0 falls short, one by one: what it says, what is true (which is what our analyser
//! says), and why.

use super::compare::{Difference, Mistaken};
use std::collections::BTreeSet;

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The captures, by a tshark that knows which ports carry HTTP.
    Captures,
    /// The conversations.
    Conversations,
    /// A capture, by a tshark that does not know.
    UntoldPort,
}

/// Differences in single captures and conversations.
///
/// ```text
/// # why, for all rows up to the next one of these
/// place | subject | what tshark says | what is true
/// ```
const CAPTURES: &str = "
# Answers while later requests wait: tshark ties the next answer to the last request it has read, and every further one to none
pipelining.pcap | GET /items/1 | 200 at response_end, not paired | 200 at response_end, paired, timed
pipelining.pcap | GET /items/2 | 200 at response_end, not paired | 200 at response_end, paired, timed
pipelining.pcap | GET /items/3 | 200 at response_end, not paired | 200 at response_end, paired, timed
pipelining.pcap | GET /items/4 | 200 at response_end, not paired | 200 at response_end, paired, timed
pipelining.pcap | GET /items/5 | 200 at response_end, not paired | 200 at response_end, paired, timed
pipelining.pcap | POST /items?delay=200 | 200 at response_end, not paired | 200 at response_end, paired, timed
# For the same reason it does not know that this one answers a HEAD: it waits for a body, takes the next answer for it and shows both as one
pipelining.pcap | HEAD /items/7 | 200 at another frame, not paired | 200 at response_end, paired, timed
pipelining.pcap | GET /missing | 404 nowhere | 404 at response_end, paired, timed
# An answer that comes before the request is whole: tshark knows no request by then
early-413.pcap | POST /too-large?then=close | 413 at response_end, not paired | 413 at response_end, paired, timed
early-413.pcap | POST /too-large?then=drain | 413 at response_end, not paired | 413 at response_end, paired, timed
early-413.pcap | POST /too-large?then=reset | 413 at response_end, not paired | 413 at response_end, paired, timed
expect-100.pcap | POST /expect | 100 at interim, not paired | 100 at interim, paired, timed
expect-100.pcap | PUT /expect | 100 at interim, not paired | 100 at interim, paired, timed
expect-100.pcap | PUT /expect-forever | 100 at interim, not paired | 100 at interim, paired, timed
expect-100.pcap | PUT /expect-failed | 417 at response_end, not paired | 417 at response_end, paired, timed
# An interim answer is an answer like any other to tshark, and leaves no request for the final one
early-hints.pcap | GET /early-hints | 200 at response_end, not paired | 200 at response_end, paired, timed
# A body that ends with the connection: tshark shows it with the FIN, which may come long after the last byte
event-stream.pcap | GET /until-close | 200 at the server's FIN, paired, timed | 200 at response_end, paired, timed
closes.pcap | GET /until-close | 200 at the server's FIN, paired, timed | 200 at response_end, paired, timed
half-close.pcap | GET /until-close | 200 at the server's FIN, paired, timed | 200 at response_end, paired, timed
until-close.pcap | GET /until-close | 200 at the server's FIN, paired, timed | 200 at response_end, paired, timed
# Requests inside a tunnel are none of the proxy's; what answers them is no answer of the proxy either
connect-tunnel.pcap | GET /items/1 | a request | no exchange
connect-tunnel.pcap | GET /items/2 | a request | no exchange
connect-tunnel.pcap | responses of no exchange | 2 | 0
# The capture begins inside a body: tshark takes what is left of it for a head that goes on into the next request
mid-stream.pcap | GET /items/4 | request nowhere | request at request_end
mid-stream.pcap | GET /items/4 | 200 at response_end, not paired | 200 at response_end, paired, timed
# Heads cut by a snap length: tshark cannot tell where their bodies end, and what it ties to what is chance
snaplen-96.pcap | GET /chunked | 200 at response_start, not paired | 200 at response_end, paired, timed
snaplen-96.pcap | GET /missing | 404 at response_end, not paired | 404 at response_end, paired, timed
snaplen-96.pcap | GET /stall?late=1 | 200 at late_response, not paired | 200 at late_response, paired, timed
";

const CONVERSATIONS: &str = "
# Answers while later requests wait: tshark ties the next answer to the last request it has read, and every further one to none
pipelining | GET /items | 200 at response_end, not paired | 200 at response_end, paired, timed
pipelining | GET /other | 404 at response_end, not paired | 404 at response_end, paired, timed
pipelining | GET /items #2 | 200 at response_end, not paired | 200 at response_end, paired, timed
pipelining-staggered | GET /items | 200 at response_end, not paired | 200 at response_end, paired, timed
pipelining-staggered | GET /other | 404 at response_end, not paired | 404 at response_end, paired, timed
pipelining-staggered | GET /items #2 | 200 at response_end, not paired | 200 at response_end, paired, timed
pipelining-cut-short | GET /items | 200 at response_end, not paired | 200 at response_end, paired, timed
pipelining-given-up | GET /items | 200 at response_end, not paired | 200 at response_end, paired, timed
pipelining-given-up | GET /other | 404 at late_response, not paired | 404 at late_response, paired, timed
# And of several requests in one segment each is said to be answered by the same
pipelining-in-one-segment | GET /items | 200 at response_end, not paired | 200 at response_end, paired, timed
pipelining-in-one-segment | GET /other | 404 at response_end, not paired | 404 at response_end, paired, timed
pipelining-in-one-segment | GET /items #2 | 200 at response_end, not paired | 200 at response_end, paired, timed
# An answer that comes before the request is whole: tshark knows no request by then
early-answer | POST /post | 413 at response_end, not paired | 413 at response_end, paired, timed
expect-continue | POST /post | 100 at interim, not paired | 100 at interim, paired, timed
# A body that ends with the connection: tshark shows it with the FIN, which may come long after the last byte
until-close | GET /items | 200 at the server's FIN, paired, timed | 200 at response_end, paired, timed
# The last segment of a body that was cut bears the FIN: tshark shows the answer as if it were whole
truncated-length-with-fin | GET /items | 200 at the server's FIN, paired, timed | 200 nowhere
# One packet seen on two interfaces is no retransmission; tshark does not look at the interface
seen-twice | connection 1 | 3 retransmissions | 0 retransmissions
# A segment that ends between the last CR and LF of a chunked message: tshark calls that malformed
generated-7 | POST /items/1?by=chance | request nowhere | request at request_end
generated-7 | POST /items/1?by=chance | 503 at response_end, not paired | 503 at response_end, paired, timed
";

const UNTOLD_PORT: &str = "
# A port that tshark does not know, and a request line in two segments: neither of them looks like HTTP to it
a head in pieces | GET /items | request nowhere | request at request_end
a head in pieces | GET /items | 200 at response_end, not paired | 200 at response_end, paired, timed
";

/// The exceptions that a comparison has to find, all of them and no other.
pub(crate) fn of(source: Source) -> BTreeSet<Difference> {
    let table = match source {
        Source::Captures => CAPTURES,
        Source::Conversations => CONVERSATIONS,
        Source::UntoldPort => UNTOLD_PORT,
    };
    let mut why = None;
    let mut exceptions = BTreeSet::new();
    for line in table.lines().filter(|line| !line.is_empty()) {
        if line.starts_with("# ") {
            why = Some(line);
            continue;
        }
        assert!(why.is_some(), "no reason is given for: {line}");
        let columns: Vec<_> = line.split(" | ").map(str::trim).collect();
        let [place, subject, tshark, ours] = columns[..] else {
            panic!("not four columns: {line}");
        };
        let new = exceptions.insert(Difference {
            place: place.to_owned(),
            subject: subject.to_owned(),
            tshark: tshark.to_owned(),
            ours: ours.to_owned(),
        });
        assert!(new, "twice: {line}");
    }
    exceptions
}

/// Chance decides where these happen, so they are counted and not listed:
///
/// | condition | tshark says | true | why |
/// |---|---|---|---|
/// | a pure repeat, sooner than a round trip after a later segment | out of order | a retransmission | it goes by the time alone; whether the bytes were seen before it does not ask |
/// | a pure repeat while the sender's next number is 0 | nothing | a retransmission | 0 is its word for a number that is not known |
/// | bytes never seen before, longer than that after what overtook them | a retransmission | none: the first sighting of those bytes | it guesses that the first copy was lost before the vantage |
pub(crate) fn mistakes_still_happen(mistaken: &Mistaken) {
    let Mistaken {
        repeats_called_out_of_order,
        repeats_at_zero_unnoticed,
        fillers_called_retransmissions,
    } = *mistaken;
    let all_happen = repeats_called_out_of_order > 0
        && repeats_at_zero_unnoticed > 0
        && fillers_called_retransmissions > 0;
    assert!(
        all_happen,
        "an exception that no longer happens: {mistaken:?}"
    );
}
