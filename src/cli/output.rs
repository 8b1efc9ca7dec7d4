//! `-o FORMAT[=FILE]`: formats of reports, and where each goes.

use super::files::{is_special, resolved};
use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, ValueEnum};
use std::ffi::OsStr;
use std::path::PathBuf;

/// Format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For a person at a terminal
    Text,
    /// One document
    Json,
    /// One object a line, as soon as it is settled
    Jsonl,
    /// Test cases for CI, one for each --fail-on
    Junit,
    /// For a pull request or a GitHub step summary
    #[value(alias = "md")]
    Markdown,
    /// A page for a colleague: one file, no network
    Html,
    /// A row for each exchange, for spreadsheets and pandas
    Csv,
    /// An HTTP Archive, for HTTP tools and developer tools of browsers
    Har,
    /// A picture of one exchange, for a ticket: --exchange or --problem says which
    Svg,
}

impl Format {
    /// Whether it is a list of exchanges, of no use without the good ones.
    pub(super) const fn has_every_exchange(self) -> bool {
        matches!(self, Self::Csv | Self::Har)
    }
}

/// A format and where it goes: `-o json` or `-o junit=report.xml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) format: Format,
    /// The file; `None` for standard output.
    pub(super) file: Option<PathBuf>,
}

/// Parser of an [`Output`].
#[derive(Clone, Debug)]
pub(super) struct OutputParser;

impl TypedValueParser for OutputParser {
    type Value = Output;

    fn parse_ref(
        &self,
        command: &Command,
        _arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Output, clap::Error> {
        let invalid = |typed: &str| {
            let mut error = clap::Error::new(ErrorKind::InvalidValue).with_cmd(command);
            let formats = Format::value_variants().iter();
            let formats = formats
                .filter_map(|format| Some(format.to_possible_value()?.get_name().to_owned()));
            for (kind, value) in [
                (
                    ContextKind::InvalidArg,
                    ContextValue::String("--output <FORMAT[=FILE]>".to_owned()),
                ),
                (
                    ContextKind::InvalidValue,
                    ContextValue::String(typed.to_owned()),
                ),
                (
                    ContextKind::ValidValue,
                    ContextValue::Strings(formats.collect()),
                ),
            ] {
                error.insert(kind, value);
            }
            error
        };
        let text = value.to_string_lossy();
        let (name, _) = text.split_once('=').unwrap_or((&text, ""));
        let format = Format::from_str(name, false).map_err(|_| invalid(name))?;
        let file = value.as_encoded_bytes().get(name.len() + 1..);
        let file = match file {
            None => None,
            Some(b"" | b"-") => {
                return Err(clap::Error::raw(
                    ErrorKind::InvalidValue,
                    format!("-o {text} names no file: -o {name} alone writes to standard output\n"),
                )
                .with_cmd(command));
            }
            Some(_) => text.split_once('=').map(|(_, file)| PathBuf::from(file)),
        };
        Ok(Output { format, file })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let formats = Format::value_variants().iter();
        Some(Box::new(formats.filter_map(ValueEnum::to_possible_value)))
    }
}

/// Refuses two outputs that would go to one place.
pub(super) fn a_place_each(outputs: &[Output]) -> Result<(), String> {
    let files = outputs.iter().map(|output| output.file.as_deref());
    let files = files.filter(|file| !file.is_some_and(is_special));
    let mut files: Vec<_> = files.map(|file| file.map(resolved)).collect();
    files.sort();
    let twice = files.windows(2).find(|pair| pair[0] == pair[1]);
    match twice.map(|pair| &pair[0]) {
        None => Ok(()),
        Some(None) => Err(
            "only one report can go to standard output: give the others files, as in -o \
             json=report.json"
                .to_owned(),
        ),
        Some(Some(path)) => Err(format!(
            "two reports cannot go to one file: {}",
            path.display()
        )),
    }
}
