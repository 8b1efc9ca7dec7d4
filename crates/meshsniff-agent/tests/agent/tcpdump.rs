//! tcpdump, beside the agent.

use crate::netns::Netns;
use crate::program::Program;
use crate::stream::{Capture, Stream};
use crate::tools::END;
use nix::sys::signal::Signal;
use std::process::Command;

pub(crate) struct Tcpdump {
    program: Program,
    pub(crate) stream: Stream,
}

impl Tcpdump {
    /// Captures until it is stopped, each packet as it comes.
    pub(crate) fn start(netns: &Netns, interface: &str, filter: &str) -> Self {
        let mut command = Command::new("tcpdump");
        command.args([
            "-n",
            "-U",
            "--immediate-mode",
            "-B",
            "65536",
            "-s",
            "262144",
        ]);
        command.args(["--time-stamp-precision=nano", "-Z", "root", "-w", "-"]);
        command.args(["-i", interface, filter]);
        let mut program = netns.inside(|| Program::start(command));
        program.hears_text("listening on");
        let stream = Stream::read(program.stdout());
        Self { program, stream }
    }

    /// What it captured; it must have lost nothing itself.
    pub(crate) fn stop(mut self) -> Capture {
        self.program.signal(Signal::SIGINT);
        let ended = self.program.end(END);
        let said = ended.text();
        assert!(said.contains("\n0 packets dropped by kernel"), "{said}");
        self.stream.whole()
    }
}
