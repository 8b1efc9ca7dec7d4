//! `annotate`: a copy of a capture that says in Wireshark what a report says.

use super::analysis::{Onlookers, analyse};
use super::done::Done;
use super::files::{Kept, open_whole, refuse_terminal};
use super::formats::BoxedReport;
use super::options::{KeyArgs, PortArgs, Terms, all_of, terms};
use anyhow::{Context as _, bail};
use clap::Args;
use meshsniff::Options;
use meshsniff::capture::{CaptureReader, Input, copy_annotated};
use meshsniff::condition::Filter;
use meshsniff::pipeline::Pipeline;
use meshsniff::protocol::tls::Keys;
use meshsniff::report::annotations::{Annotations, FrameComments};
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Copy a capture as pcapng, with the verdicts as packet comments
///
/// Wireshark shows them above the details of a packet, and finds them: frame.comment contains
/// "client-gave-up". The frame with which a request begins carries the verdict and what happened;
/// the other frames of the exchange carry what they did, with the gap that ended there.
///
/// Comments of others, names and statistics of a pcapng capture stay as they are, and keys with
/// --with-keys. Annotating again replaces earlier annotations.
#[derive(Debug, Args)]
pub(super) struct AnnotateArgs {
    /// Capture: pcap or pcapng, also compressed; - for standard input
    input: PathBuf,

    /// File for the copy; - for standard output
    output: PathBuf,

    /// Annotate every exchange, not only those that did not go well
    #[arg(long)]
    all: bool,

    /// Annotate only exchanges that match, as for report; repeatable
    #[arg(long, value_name = "TERMS", value_parser = terms)]
    filter_http: Vec<Terms>,

    /// Which ports.
    #[command(flatten)]
    port: PortArgs,

    /// Which keys.
    #[command(flatten)]
    keys: KeyArgs,

    /// Also write the keys of the captured sessions into the copy; whoever has it can then decrypt
    /// them
    #[arg(long)]
    with_keys: bool,

    /// Treat health checks of the kubelet and the mesh like all other requests
    #[arg(long)]
    probes: bool,
}

/// Copies as asked; returns what could not be read.
///
/// # Errors
/// If nothing could be read, or the copy could not be written.
pub(super) fn run(args: AnnotateArgs) -> anyhow::Result<Done> {
    let is_stdin = args.input == Path::new("-");
    let mut spooled = None;
    let input = if is_stdin {
        // It is read twice.
        let mut file = tempfile::NamedTempFile::new().context("no temporary file can be made")?;
        io::copy(&mut io::stdin().lock(), &mut file).context("standard input cannot be read")?;
        let path = file.path().to_owned();
        spooled = Some(file);
        path
    } else {
        args.input.clone()
    };
    let to_stdout = args.output == Path::new("-");
    if to_stdout {
        refuse_terminal()?;
    }
    let keys = args.keys.open()?;
    let options = Options {
        ports: args.port.port,
        keys: Some(Arc::clone(&keys)),
        ..Options::default()
    };
    let pipeline = Pipeline::open(vec![Input::Path(input.clone())], options);
    let pipeline = pipeline.map_err(|error| match is_stdin {
        true => anyhow::anyhow!("standard input: {error}"),
        false => error.into(),
    })?;
    let (mut annotations, comments) =
        Annotations::new(all_of(&args.filter_http), args.probes, args.all);
    let mut errors = analyse(pipeline, Onlookers::at_stderr(), &mut annotations)?;
    let annotated = Annotated {
        from: input,
        to: args.output,
        comments,
        keys: args.with_keys.then_some(keys),
    };
    let written = if to_stdout {
        annotated.copy(&mut BufWriter::new(io::stdout()))?
    } else {
        annotated.write()?
    };
    drop(spooled);
    // Whatever damage the copy met the analysis had met as well.
    if errors.is_empty() {
        errors.extend(written.damage);
    }
    let said = [vec![written.said], written.lacking].concat();
    writeln!(io::stderr(), "{}", said.join("; "))?;
    Ok(errors.into())
}

/// Outcome of a copy.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Number of frames with comments, in a sentence.
    said: String,
    /// Frames that should have a comment and have none, one sentence each.
    pub(super) lacking: Vec<String>,
    /// Why the capture could not be read to its end.
    damage: Option<String>,
}

/// A capture and its copy.
pub(super) struct Annotated {
    pub(super) from: PathBuf,
    pub(super) to: PathBuf,
    /// Keys of which the copy gets those of its sessions; `None` for a copy without any.
    pub(super) keys: Option<Arc<Keys>>,
    comments: Arc<Mutex<FrameComments>>,
}

impl Annotated {
    /// Prepares a copy of `from` to `to`, which may be the same file. The report that is returned
    /// collects its comments.
    pub(super) fn new(
        from: PathBuf,
        to: PathBuf,
        filter: Filter,
        probes: bool,
    ) -> (Self, BoxedReport<'static>) {
        let (annotations, comments) = Annotations::new(filter, probes, false);
        let annotated = Self {
            from,
            to,
            keys: None,
            comments,
        };
        (annotated, Box::new(annotations))
    }

    /// Writes the copy to its file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&self) -> anyhow::Result<Written> {
        let comments = self.comments.lock();
        let none = comments.unwrap_or_else(PoisonError::into_inner).frames() == 0;
        if none && self.from == self.to && self.keys.is_none() && !self.has_keys()? {
            return Ok(Written::default());
        }
        let packed = self
            .from
            .extension()
            .is_some_and(|ending| ending == "gz" || ending == "zst");
        if packed && self.is_in_place() == Some(true) {
            bail!(
                "{} is packed and its copy would not be: name another file",
                self.to.display()
            );
        }
        let cannot = || format!("{} cannot be written", self.to.display());
        let (file, kept): (File, Option<Kept>) =
            open_whole(&self.to, false, true).with_context(cannot)?;
        if kept.is_none() && self.from == self.to {
            bail!("{} is no file that can be annotated", self.to.display());
        }
        let written = self.copy(&mut BufWriter::new(file))?;
        if let (Some(damage), Some(true)) = (&written.damage, self.is_in_place()) {
            bail!("a copy would lose what comes after: {damage}");
        }
        if let Some(kept) = kept {
            kept.done_for_good()?;
        }
        Ok(written)
    }

    /// Whether the capture has keys, which a copy does not get by itself.
    fn has_keys(&self) -> anyhow::Result<bool> {
        let keys = Arc::new(Keys::default());
        let mut reader = CaptureReader::open(vec![Input::Path(self.from.clone())])?;
        reader.give_keys(Arc::clone(&keys));
        while reader.next().is_some() {}
        Ok(!keys.is_empty())
    }

    /// Whether the copy takes the place of the capture.
    fn is_in_place(&self) -> Option<bool> {
        Some(self.from.canonicalize().ok()? == self.to.canonicalize().ok()?)
    }

    fn copy(&self, out: &mut impl io::Write) -> anyhow::Result<Written> {
        use meshsniff::capture::CopyError;
        let comments = self.comments.lock();
        let comments = comments.unwrap_or_else(PoisonError::into_inner);
        let keys = self.keys.as_ref().map(|keys| keys.log_of_captures());
        let copied = copy_annotated(&self.from, out, keys.as_deref(), |frame| comments.of(frame));
        let (copied, damage) = match copied {
            Ok(copied) => (Some(copied), None),
            Err(CopyError::Read(error)) => (None, Some(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        out.flush()?;
        let count = copied.map_or(comments.frames() as u64, |copied| copied.commented);
        let said = match count {
            0 if comments.frames() > 0 || damage.is_some() => "no frame has a comment".to_owned(),
            0 => "no frame has a comment: every exchange went well (--all comments those, too)"
                .to_owned(),
            1 => "1 frame has a comment".to_owned(),
            _ => format!("{count} frames have comments"),
        };
        let no_room = comments.left_out();
        let cannot = copied.map_or(0, |copied| copied.not_commentable);
        let keys = copied.map_or(0, |copied| copied.keys_left_out);
        let lacking = [
            (no_room, "comments found no room: --filter-http selects"),
            (
                cannot,
                "frames are in simple packet blocks, which cannot carry any: editcap makes others \
                 of them",
            ),
        ];
        let lacking = lacking.into_iter().filter(|(count, _)| *count > 0);
        let lacking = lacking.map(|(count, what)| format!("{count} {what}"));
        let blocks = match keys {
            0 => None,
            1 => Some("1 block of keys was".to_owned()),
            _ => Some(format!("{keys} blocks of keys were")),
        };
        let blocks = blocks.map(|blocks| {
            format!(
                "{blocks} left out: --with-keys keeps them, and gives them to whoever gets the copy"
            )
        });
        Ok(Written {
            said,
            lacking: blocks.into_iter().chain(lacking).collect(),
            damage,
        })
    }
}
