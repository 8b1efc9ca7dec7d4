//! The requests and responses of one connection, as tshark and our analyser see them.
//!
//! Frames and times are turned into the names of our events before they are compared, so that a
//! difference reads the same however often the captures are made anew.
//!
//! | tshark | ours |
//! |---|---|
//! | the frame of a message | the one that completes it: `request_end`, `response_end` |
//! | `http.request_in`, `http.response_in` | the two belong to one exchange |
//! | `http.time` | `total` − `request_duration`, that is from `request_end` to `response_end` |
//! | who sent a request | the client |
//! | nothing | a request without `request_end`, a response without `response_end` |

use super::compare::Comparison;
use super::tshark::{Head, Message, Segment};
use meshsniff::exchange::{Connection, Exchange};
use meshsniff::packet::Mark;
use meshsniff::time::Span;
use std::collections::BTreeMap;

/// Both programs tell times to the nanosecond, but a float may have come between.
const TOLERANCE_NANOS: i64 = 1_000;

pub(crate) struct Messages<'a> {
    /// When each frame of the stream was captured.
    times: BTreeMap<u64, i64>,
    /// The end that our analyser takes for the client.
    client: String,
    /// The frame of the server's FIN.
    server_fin: Option<u64>,
    /// Responses that our analyser found no request for.
    orphans: u64,
    exchanges: Vec<(String, &'a Exchange)>,
    /// What tshark shows.
    requests: Vec<(String, &'a Message)>,
    responses: Vec<&'a Message>,
}

/// An answer to an exchange as our analyser sees it.
struct Answer {
    status: u16,
    /// The event that its end is; none if it was cut.
    at: Option<&'static str>,
    mark: Mark,
    /// From the end of the request.
    time: Option<Span>,
}

impl<'a> Messages<'a> {
    pub(crate) fn new(
        stream: &[&'a Segment],
        connection: &Connection,
        exchanges: &[&'a Exchange],
    ) -> Self {
        let messages = || stream.iter().flat_map(|segment| &segment.messages);
        let request = |message: &'a Message| match &message.head {
            Head::Request { method, path } => Some((format!("{method} {path}"), message)),
            Head::Response { .. } => None,
        };
        let exchange = |exchange: &&'a Exchange| {
            let method = exchange.method.as_deref().unwrap_or("?");
            let path = exchange.path.as_deref().unwrap_or("?");
            (format!("{method} {path}"), *exchange)
        };
        let server = connection.server.to_string();
        let server_fin = |segment: &&&Segment| segment.fin && segment.src.to_string() == server;
        Self {
            times: stream
                .iter()
                .map(|segment| (segment.frame, segment.nanos))
                .collect(),
            client: connection.client.to_string(),
            server_fin: stream.iter().find(server_fin).map(|segment| segment.frame),
            orphans: connection.orphan_responses,
            exchanges: numbered(exchanges.iter().map(exchange)),
            requests: numbered(messages().filter_map(request)),
            responses: messages()
                .filter(|message| matches!(message.head, Head::Response { .. }))
                .collect(),
        }
    }

    pub(crate) fn hold(&self, comparison: &mut Comparison) {
        let mut claimed = vec![false; self.responses.len()];
        for (name, exchange) in &self.exchanges {
            let request = self.requests.iter().find(|(other, _)| other == name);
            let request = request.map(|&(_, request)| request);
            self.request(name, exchange, request, comparison);
            for answer in answers(exchange) {
                let response = self.claim(&answer, &mut claimed);
                self.response(name, exchange, request, &answer, response, comparison);
            }
        }
        for (name, request) in &self.requests {
            let from = request.from.to_string();
            comparison.hold(
                name,
                &format!("from {from}"),
                &format!("from {}", self.client),
            );
            if !self.exchanges.iter().any(|(other, _)| other == name) {
                comparison.hold(name, "a request", "no exchange");
            }
        }
        let left = claimed.iter().filter(|claimed| !**claimed).count();
        comparison.hold(
            "responses of no exchange",
            &left.to_string(),
            &self.orphans.to_string(),
        );
    }

    /// The response that tshark shows where the answer is; else the next of that status that
    /// nothing else claims.
    fn claim(&self, answer: &Answer, claimed: &mut [bool]) -> Option<&'a Message> {
        let status = Head::Response {
            status: answer.status,
        };
        let fits = |at: &usize| self.responses[*at].head == status && !claimed[*at];
        let fitting: Vec<_> = (0..self.responses.len()).filter(fits).collect();
        let there = |at: &&usize| self.responses[**at].frame == answer.mark.frame.number();
        let at = *fitting.iter().find(there).or(fitting.first())?;
        claimed[at] = true;
        Some(self.responses[at])
    }

    fn request(
        &self,
        name: &str,
        exchange: &Exchange,
        request: Option<&Message>,
        comparison: &mut Comparison,
    ) {
        let end = exchange.events.request_end;
        let ours = end.map_or("request nowhere", |_| "request at request_end");
        let tshark = match request {
            Some(request) => format!("request at {}", self.moment(exchange, request.frame)),
            None => "request nowhere".to_owned(),
        };
        comparison.compared.requests += usize::from(tshark == ours && request.is_some());
        comparison.hold(name, &tshark, ours);
    }

    fn response(
        &self,
        name: &str,
        exchange: &Exchange,
        request: Option<&Message>,
        answer: &Answer,
        response: Option<&Message>,
        comparison: &mut Comparison,
    ) {
        let status = answer.status;
        let ours = match answer.at {
            Some(at) => format!("{status} at {at}, paired, timed"),
            None => format!("{status} nowhere"),
        };
        let Some(response) = response else {
            comparison.hold(name, &format!("{status} nowhere"), &ours);
            return;
        };
        let at = self.moment(exchange, response.frame);
        let tshark = if is_pair(request, response) {
            let timing = timing(exchange, answer, response, self.times[&response.frame]);
            format!("{status} at {at}, paired, {timing}")
        } else {
            format!("{status} at {at}, not paired")
        };
        comparison.compared.responses += 1;
        comparison.compared.pairs += usize::from(tshark == ours);
        comparison.hold(name, &tshark, &ours);
    }

    /// The name of the event of this exchange that the frame is.
    fn moment(&self, exchange: &Exchange, frame: u64) -> &'static str {
        let events = &exchange.events;
        let named = [
            ("request_end", events.request_end),
            ("response_end", events.response_end),
            ("late_response", events.late_response),
            ("interim", events.interim.first().map(|&(mark, _)| mark)),
            ("request_start", Some(events.request_start)),
            ("response_start", events.response_start),
        ];
        let is_it = |mark: Option<Mark>| mark.is_some_and(|mark| mark.frame.number() == frame);
        let name = named.into_iter().find(|&(_, mark)| is_it(mark));
        match name {
            Some((name, _)) => name,
            None if self.server_fin == Some(frame) => "the server's FIN",
            None => "another frame",
        }
    }
}

/// What an analyser that shows whole messages has to show.
fn answers(exchange: &Exchange) -> Vec<Answer> {
    let (events, gaps) = (&exchange.events, &exchange.gaps);
    let mut answers: Vec<_> = events
        .interim
        .iter()
        .map(|&(mark, status)| Answer {
            status,
            at: Some("interim"),
            mark,
            time: events.request_end.map(|end| mark.time - end.time),
        })
        .collect();
    if let (Some(status), Some(start)) = (exchange.status, events.response_start) {
        let since_start = gaps.total.zip(gaps.request_duration);
        answers.push(Answer {
            status,
            at: events.response_end.map(|_| "response_end"),
            mark: events.response_end.unwrap_or(start),
            time: since_start
                .map(|(total, request)| Span::from_nanos(total.as_nanos() - request.as_nanos())),
        });
    }
    if let (Some(status), Some(mark)) = (exchange.late_status, events.late_response) {
        let parts = gaps
            .request_to_client_close
            .zip(gaps.client_close_to_late_response);
        answers.push(Answer {
            status,
            at: Some("late_response"),
            mark,
            time: match parts {
                Some((before, after)) => Some(before.plus(after)),
                // No gap leads there if the answer was seen before the close that it was late for.
                None => events.request_end.map(|end| mark.time - end.time),
            },
        });
    }
    answers
}

/// Whether each of the two names the other's frame.
fn is_pair(request: Option<&Message>, response: &Message) -> bool {
    request.is_some_and(|request| {
        response.other == Some(request.frame) && request.other == Some(response.frame)
    })
}

/// What `http.time` of a response in a frame captured at `shown` is.
fn timing(exchange: &Exchange, answer: &Answer, response: &Message, shown: i64) -> &'static str {
    let Some(time) = response.nanos else {
        return "not timed";
    };
    let end = exchange.events.request_end;
    let since_end = end.map(|end| Span::from_nanos(shown - end.time.as_nanos()));
    let is_where_ours_is = response.frame == answer.mark.frame.number();
    let ours = if is_where_ours_is {
        answer.time
    } else {
        since_end
    };
    match ours {
        Some(ours) if (ours.as_nanos() - time).abs() <= TOLERANCE_NANOS => "timed",
        _ => "timed otherwise",
    }
}

/// Names that occur more than once get a number, from the second on.
fn numbered<T>(named: impl Iterator<Item = (String, T)>) -> Vec<(String, T)> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let number = |(name, item): (String, T)| {
        let times = times.entry(name.clone()).or_default();
        *times += 1;
        let name = match *times {
            1 => name,
            nth => format!("{name} #{nth}"),
        };
        (name, item)
    };
    named.map(number).collect()
}
