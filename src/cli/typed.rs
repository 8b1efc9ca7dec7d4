//! Words of a command line, told apart without checking them: for completion and for help.

use clap::{Arg, Command};

/// Words of a command line so far.
pub(super) struct Typed<'a> {
    pub(super) command: &'a Command,
    /// Options, each with its value; an empty one for those that take none.
    options: Vec<(&'a Arg, String)>,
    /// Words that are no options.
    pub(super) plain: Vec<String>,
    /// The option whose value comes next.
    pub(super) pending: Option<&'a Arg>,
    /// Whether `--` was typed.
    pub(super) only_plain: bool,
}

impl<'a> Typed<'a> {
    /// Reads the words behind the program's name. `root` has to be built.
    pub(super) fn read(root: &'a Command, words: &[String]) -> Self {
        let mut typed = Self {
            command: root,
            options: Vec::new(),
            plain: Vec::new(),
            pending: None,
            only_plain: false,
        };
        for word in words {
            typed.word(word);
        }
        typed
    }

    fn word(&mut self, word: &str) {
        if let Some(option) = self.pending.take() {
            self.options.push((option, word.to_owned()));
        } else if self.only_plain || !word.starts_with('-') || word == "-" {
            let first = self.plain.is_empty() && !self.only_plain;
            match self.command.find_subcommand(word).filter(|_| first) {
                Some(command) => self.command = command,
                None => self.plain.push(word.to_owned()),
            }
        } else if word == "--" {
            self.only_plain = true;
        } else if let Some((option, value)) = self.option(word) {
            match value {
                Some(value) => self.options.push((option, value)),
                None if option.get_action().takes_values() => self.pending = Some(option),
                None => self.options.push((option, String::new())),
            }
        }
    }

    /// The option that a word is, and the value in the same word.
    pub(super) fn option(&self, word: &str) -> Option<(&'a Arg, Option<String>)> {
        let mut options = self.command.get_arguments();
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let option = options.find(|option| option.get_long() == Some(name))?;
            return Some((option, value));
        }
        let mut letters = word.strip_prefix('-')?.chars();
        let letter = letters.next()?;
        let option = options.find(|option| option.get_short() == Some(letter))?;
        let rest = letters.as_str();
        let value = (!rest.is_empty() && option.get_action().takes_values())
            .then(|| rest.trim_start_matches('=').to_owned());
        Some((option, value))
    }

    /// Whether an option was typed, with a value or without.
    pub(super) fn has(&self, id: &str) -> bool {
        self.value(id).is_some()
    }

    /// The last value of an option.
    pub(super) fn value(&self, id: &str) -> Option<String> {
        let mut options = self.options.iter().rev();
        options
            .find(|(option, _)| option.get_id() == id)
            .map(|(_, value)| value.clone())
    }
}
