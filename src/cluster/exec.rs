//! A process in a container, over the API server's `exec` (WebSocket, `v5.channel.k8s.io` or `v4`).
//!
//! The messages are read here and not by a ready-made client, for one reason: the heartbeat has to
//! go out while the output waits for a slow reader. Each message is a byte that names a channel,
//! and what is on it.
//!
//! An exec's status proves nothing: a runtime that restarts ends it with success and half the data.
//! Only a stream's own trailer shows that it is whole.

use super::error::{ApiError, Doing};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Client;
use kube::api::AttachParams;
use kube::core::Request;
use meshsniff_contract::stdin;
use meshsniff_contract::times::{HEARTBEAT_EVERY, SILENCE, STOPPED_WITHIN};
use std::io::{self, Read};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError, Message};

/// Messages of output that may wait for their reader: some 32 MiB, as the server makes them.
const MAX_WAITING: usize = 1024;
/// Bytes of a line of standard error that are looked at.
const MAX_LINE: usize = 64 << 10;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;

/// How an exec ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The server says that the process ended; if not with exit status 0, in the server's words.
    #[error("{}", .0.as_deref().unwrap_or(ENDED_WELL))]
    Exited(Option<String>),
    /// The connection broke; in words.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// Nothing came for too long.
    #[error("nothing came for {} s", SILENCE.as_secs())]
    Silent,
    /// It was asked to stop, and did not say its last word in time.
    #[error("its last word was not waited for any longer")]
    NoTrailer,
    /// The reader of its output has left.
    #[error("its output was not read")]
    Unread,
}

const ENDED_WELL: &str =
    "the cluster says that it ended well, which it also says when a container runtime is restarted";

const CLOSED: &str = "the API server, or something on the way to it, closed it";

/// Why a connection broke, in words of this program where the libraries' are about themselves.
fn broken(error: &WsError) -> String {
    match error {
        WsError::Io(error) => match error.kind() {
            io::ErrorKind::UnexpectedEof => format!("{CLOSED} without a farewell"),
            io::ErrorKind::ConnectionReset => {
                "the API server, or something on the way to it, reset it".to_owned()
            }
            io::ErrorKind::TimedOut => "the API server is not reached any more".to_owned(),
            _ => error.to_string(),
        },
        WsError::ConnectionClosed
        | WsError::AlreadyClosed
        | WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            format!("{CLOSED} without a farewell")
        }
        error => error.to_string(),
    }
}

/// A running process.
pub struct Exec {
    /// Its standard output.
    pub output: Output,
    /// Lines of its standard error.
    pub lines: mpsc::Receiver<String>,
    /// How it ends.
    pub ended: JoinHandle<Ended>,
    stop: mpsc::Sender<()>,
}

/// A handle that asks a process to stop.
#[derive(Clone)]
pub struct Stopper(mpsc::Sender<()>);

impl Stopper {
    /// Asks the process to write its trailer and to end.
    pub async fn stop(&self) {
        // One that has ended already hears nothing.
        let _ = self.0.send(()).await;
    }
}

/// Standard output, for a thread that may wait.
pub struct Output {
    messages: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.messages.blocking_recv() {
                Some(message) => self.current = message,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.current.len());
        buffer[..length].copy_from_slice(&self.current[..length]);
        self.current = self.current.slice(length..);
        Ok(length)
    }
}

/// Starts `command` in a container.
///
/// # Errors
/// As the API server refuses it.
pub async fn start(
    client: &Client,
    namespace: &str,
    pod: &str,
    container: &str,
    command: &[String],
) -> Result<Exec, ApiError> {
    let doing = Doing::request("create", "pods/exec", namespace, format!("pod {pod}"));
    let params = AttachParams::default()
        .container(container)
        .stdin(true)
        .stdout(true)
        .stderr(true)
        .tty(false);
    let path = <Pod as kube::Resource>::url_path(&(), Some(namespace));
    let request = Request::new(path).exec(pod, command, &params);
    let connection = match request {
        Ok(request) => client.connect(request).await,
        Err(error) => Err(kube::Error::BuildRequest(error)),
    };
    Ok(drive(connection.map_err(doing.failed())?.into_stream()))
}

fn drive<S>(socket: S) -> Exec
where
    S: Stream<Item = Result<Message, WsError>> + Sink<Message, Error = WsError> + Send + 'static,
{
    let (sink, stream) = socket.split();
    let (output, messages) = mpsc::channel(MAX_WAITING);
    let (said, lines) = mpsc::channel(64);
    let (stop, orders) = mpsc::channel(4);
    let (stopped, stopping) = mpsc::channel(1);
    let writer = tokio::spawn(write(sink, orders, stopped));
    let ended = tokio::spawn(async move {
        let mut reading = Reading {
            output,
            said,
            line: Vec::new(),
        };
        let ended = reading.read(stream, stopping).await;
        writer.abort();
        ended
    });
    Exec {
        output: Output {
            messages,
            current: Bytes::new(),
        },
        lines,
        ended,
        stop,
    }
}

impl Exec {
    /// A handle that asks it to stop.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }
}

/// Sends heartbeats, and the line that asks for the end.
async fn write<S>(
    mut sink: SplitSink<S, Message>,
    mut orders: mpsc::Receiver<()>,
    stopped: mpsc::Sender<()>,
) where
    S: Sink<Message, Error = WsError>,
{
    let mut beat = tokio::time::interval(HEARTBEAT_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopping = false;
    loop {
        let line = tokio::select! {
            _ = beat.tick() => stdin::ALIVE,
            Some(()) = orders.recv(), if !stopping => {
                stopping = true;
                // The time for the trailer runs from now, whether the line gets through or not.
                let _ = stopped.try_send(());
                stdin::STOP
            }
        };
        let message = [&[STDIN], line.as_bytes(), b"\n"].concat();
        // A connection that is broken is seen by whoever reads from it.
        if sink.send(Message::binary(message)).await.is_err() {
            return;
        }
    }
}

struct Reading {
    output: mpsc::Sender<Bytes>,
    said: mpsc::Sender<String>,
    line: Vec<u8>,
}

impl Reading {
    async fn read<S>(
        &mut self,
        mut stream: SplitStream<S>,
        mut stopping: mpsc::Receiver<()>,
    ) -> Ended
    where
        S: Stream<Item = Result<Message, WsError>>,
    {
        let mut deadline: Option<Instant> = None;
        loop {
            let until = deadline.unwrap_or_else(|| Instant::now() + SILENCE);
            let message = tokio::select! {
                message = stream.next() => message,
                Some(()) = stopping.recv() => {
                    deadline = Some(Instant::now() + STOPPED_WITHIN);
                    continue;
                }
                () = tokio::time::sleep_until(until) => {
                    return if deadline.is_some() { Ended::NoTrailer } else { Ended::Silent };
                }
            };
            let bytes = match message {
                Some(Ok(Message::Binary(bytes))) => bytes,
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Ended::Broken(broken(&error)),
                None => return Ended::Broken(CLOSED.to_owned()),
            };
            // The server opens each channel with a message that holds nothing.
            let Some((channel, true)) = bytes.first().map(|first| (*first, bytes.len() > 1)) else {
                continue;
            };
            let data = bytes.slice(1..);
            match channel {
                STDOUT => {
                    if let Some(ended) = self.pass(data, &mut stopping, &mut deadline).await {
                        return ended;
                    }
                }
                STDERR => self.listen(&data).await,
                STATUS => return Ended::Exited(failure(&data)),
                _ => {}
            }
        }
    }

    /// Hands output on; returns how the exec ends if that is not possible.
    async fn pass(
        &self,
        data: Bytes,
        stopping: &mut mpsc::Receiver<()>,
        deadline: &mut Option<Instant>,
    ) -> Option<Ended> {
        let sending = self.output.send(data);
        tokio::pin!(sending);
        loop {
            let until = deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400));
            tokio::select! {
                sent = &mut sending => return sent.is_err().then_some(Ended::Unread),
                Some(()) = stopping.recv() => *deadline = Some(Instant::now() + STOPPED_WITHIN),
                () = tokio::time::sleep_until(until) => {
                    if deadline.is_some() {
                        return Some(Ended::NoTrailer);
                    }
                }
            }
        }
    }

    async fn listen(&mut self, data: &[u8]) {
        for byte in data {
            if *byte != b'\n' {
                if self.line.len() < MAX_LINE {
                    self.line.push(*byte);
                }
                continue;
            }
            let line = String::from_utf8_lossy(&self.line).into_owned();
            self.line.clear();
            // Nobody has to listen.
            let _ = self.said.send(line).await;
        }
    }
}

/// The error in a status; `None` for success.
fn failure(status: &[u8]) -> Option<String> {
    let status: Status = serde_json::from_slice(status).unwrap_or_default();
    if status.status.as_deref() == Some("Success") {
        return None;
    }
    Some(
        status
            .message
            .unwrap_or_else(|| "the server gives no reason".to_owned()),
    )
}

#[cfg(test)]
impl Default for Output {
    /// One that has ended before it began.
    fn default() -> Self {
        let messages = mpsc::channel(1).1;
        let current = Bytes::new();
        Self { messages, current }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::protocol::Role;

    type Socket = WebSocketStream<tokio::io::DuplexStream>;

    async fn pair() -> (Exec, Socket) {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let client = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
        let server = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
        (drive(client), server)
    }

    fn on(channel: u8, text: &str) -> Message {
        Message::binary([&[channel], text.as_bytes()].concat())
    }

    async fn read_all(mut output: Output) -> String {
        let read = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            output.read_to_string(&mut text).map(|_| text)
        });
        read.await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn channels_are_told_apart() {
        let (mut exec, mut server) = pair().await;
        for message in [
            on(STDOUT, ""),
            on(STDOUT, "ab"),
            on(STDERR, "one\ntw"),
            on(STDOUT, "cd"),
            on(STDERR, "o\n"),
            on(STATUS, r#"{"status":"Success"}"#),
        ] {
            server.send(message).await.unwrap();
        }
        assert_eq!(exec.ended.await.unwrap(), Ended::Exited(None));
        assert_eq!(read_all(exec.output).await, "abcd");
        assert_eq!(exec.lines.recv().await.unwrap(), "one");
        assert_eq!(exec.lines.recv().await.unwrap(), "two");
    }

    #[tokio::test]
    async fn a_failure_is_told_in_the_servers_words() {
        let (exec, mut server) = pair().await;
        let status = r#"{"status":"Failure","message":"command terminated with exit code 1"}"#;
        server.send(on(STATUS, status)).await.unwrap();
        let said = "command terminated with exit code 1".to_owned();
        assert_eq!(exec.ended.await.unwrap(), Ended::Exited(Some(said)));
    }

    #[tokio::test]
    async fn a_connection_that_breaks_is_no_end() {
        let (exec, mut server) = pair().await;
        server.send(on(STDOUT, "ab")).await.unwrap();
        drop(server);
        let ended = exec.ended.await.unwrap();
        assert!(matches!(ended, Ended::Broken(_)));
        let said = ended.to_string();
        assert!(
            said.ends_with("on the way to it, closed it without a farewell"),
            "{said}"
        );
        assert_eq!(read_all(exec.output).await, "ab");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_a_broken_stream() {
        let (exec, server) = pair().await;
        assert_eq!(exec.ended.await.unwrap(), Ended::Silent);
        drop(server);
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeats_go_out_while_nobody_reads_the_output() {
        let (exec, server) = pair().await;
        let (mut sink, mut stream) = server.split();
        let flood = tokio::spawn(async move {
            while sink.send(on(STDOUT, "x")).await.is_ok() {
                tokio::task::yield_now().await;
            }
        });
        for _ in 0..20 {
            let message = stream.next().await.unwrap().unwrap();
            assert_eq!(message, on(STDIN, "alive\n"));
        }
        exec.stopper().stop().await;
        assert_eq!(stream.next().await.unwrap().unwrap(), on(STDIN, "stop\n"));
        assert_eq!(exec.ended.await.unwrap(), Ended::NoTrailer);
        flood.abort();
    }
}
