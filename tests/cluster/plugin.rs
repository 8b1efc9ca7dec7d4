//! The program under test, as a process that can be watched and disturbed.

use super::file::File;
use super::lab::{Lab, Namespace, SOON, wait_until};
use libtest_mimic::Failed;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The plugin.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_kubectl-meshsniff");

/// A running plugin.
pub(crate) struct Plugin {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
    printed: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Plugin {
    /// The command, not yet started.
    pub(crate) fn command(lab: &Lab, args: &[&str]) -> Command {
        // Whatever started the tests may ignore signals, as `nohup` does: not these. By its full
        // path, for a case that takes PATH away.
        let mut command = Command::new("/usr/bin/env");
        command.args(["--default-signal=INT,TERM,HUP", PROGRAM]);
        Self::set_up(&mut command, lab, args);
        command
    }

    /// What every start of the plugin has in common.
    pub(crate) fn set_up(command: &mut Command, lab: &Lab, args: &[&str]) {
        command
            .args(args)
            .arg("--kubeconfig")
            .arg(&lab.kubeconfig)
            .env_remove("MESHSNIFF_IMAGE")
            .env_remove("KUBECONFIG");
        if !lab.carried {
            command.env("MESHSNIFF_IMAGE", &lab.image);
        }
    }

    pub(crate) fn start(lab: &Lab, args: &[&str]) -> Result<Self, Failed> {
        Self::spawn(Self::command(lab, args))
    }

    pub(crate) fn spawn(mut command: Command) -> Result<Self, Failed> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (said, printed) = (Arc::default(), Arc::default());
        let readers = vec![
            gather(child.stderr.take(), &said),
            gather(child.stdout.take(), &printed),
        ];
        Ok(Self {
            child,
            said,
            printed,
            readers,
        })
    }

    /// What it said so far.
    pub(crate) fn stderr(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Waits until it has said this, so many times.
    pub(crate) fn said(&mut self, words: &str, times: usize) -> Result<(), Failed> {
        let mut ended = false;
        let waited = wait_until(words, SOON, || {
            if self.stderr().matches(words).count() >= times {
                return Ok(true);
            }
            ended = self.child.try_wait()?.is_some();
            if ended {
                // What it said last may still be on its way.
                thread::sleep(Duration::from_millis(200));
                return Ok(true);
            }
            Ok(false)
        });
        if waited.is_err() || ended && self.stderr().matches(words).count() < times {
            return Err(format!("it did not say {words:?}, but: {}", self.stderr()).into());
        }
        Ok(())
    }

    /// Waits until it captures.
    pub(crate) fn captures(&mut self) -> Result<(), Failed> {
        self.said("capturing on", 1)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `INT`.
    pub(crate) fn signal(&self, name: &str) -> Result<(), Failed> {
        signal(self.child.id(), name)
    }

    pub(crate) fn is_running(&mut self) -> Result<bool, Failed> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self, patience: Duration) -> Result<Ended, Failed> {
        let mut status = None;
        let waited = wait_until("the end of the plugin", patience, || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        });
        if let Err(failed) = waited {
            let _ = self.child.kill();
            let why = failed.message().unwrap_or_default();
            return Err(format!("{why}; it said: {}", self.stderr()).into());
        }
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        let printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Ended {
            status: status.unwrap_or_default(),
            stdout: printed.clone(),
            stderr: self.stderr(),
        })
    }

    /// Interrupts it and waits for its end.
    pub(crate) fn interrupt(self) -> Result<Ended, Failed> {
        self.signal("INT")?;
        self.ended(SOON)
    }
}

impl Namespace<'_> {
    /// The command, not yet started, for targets of this namespace.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        Plugin::command(self.lab, &[args, &["-n", &self.name]].concat())
    }

    /// Starts the plugin for targets of this namespace.
    pub(crate) fn start(&self, args: &[&str]) -> Result<Plugin, Failed> {
        Plugin::spawn(self.command(args))
    }

    /// Runs the plugin to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Result<Ended, Failed> {
        self.start(args)?.ended(SOON)
    }

    /// Captures `app` to a file until packets have come; returns the runs of the helpers, too.
    pub(crate) fn capturing(
        &self,
        file: &File,
        more: &[&str],
    ) -> Result<(Plugin, Vec<String>), Failed> {
        let to_file: &[&str] = &["app", "-w", file];
        let mut plugin = self.start(&[to_file, more].concat())?;
        plugin.captures()?;
        file.has_packets()?;
        Ok((plugin, self.runs()?))
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        // A test that failed leaves none behind.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = signal(self.child.id(), "CONT");
            let _ = signal(self.child.id(), "TERM");
            for _ in 0..100 {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                thread::sleep(Duration::from_millis(100));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Ended {
    /// The document on its standard output.
    pub(crate) fn json(&self) -> Result<serde_json::Value, Failed> {
        Ok(serde_json::from_slice(&self.stdout)?)
    }

    /// Holds it to an exit status and to words that it said.
    pub(crate) fn is(&self, code: i32, words: &[&str]) -> Result<(), Failed> {
        if self.status.code() != Some(code) {
            return Err(format!("{} instead of {code}: {}", self.status, self.stderr).into());
        }
        for words in words {
            if !self.stderr.contains(words) {
                return Err(format!("it does not say {words:?}, but: {}", self.stderr).into());
            }
        }
        Ok(())
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(id: u32, name: &str) -> Result<(), Failed> {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &id.to_string()])
        .status()?;
    if sent.success() {
        Ok(())
    } else {
        Err(format!("kill -{name} {id} failed").into())
    }
}

fn gather(from: Option<impl Read + Send + 'static>, into: &Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    thread::spawn(move || {
        let Some(mut from) = from else { return };
        let mut buffer = [0; 16384];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let mut into = into.lock().unwrap_or_else(PoisonError::into_inner);
            into.extend_from_slice(&buffer[..length]);
        }
    })
}

/// What the plugin says of a capture in a file: its exit status, output and talk.
pub(crate) fn report(file: &Path, args: &[&str]) -> Result<Ended, Failed> {
    let mut command = Command::new(PROGRAM);
    command.arg("report").arg(file).args(args);
    Plugin::spawn(command)?.ended(SOON)
}
