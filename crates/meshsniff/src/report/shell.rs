//! Words of commands that a reader copies into a shell.

use crate::escape;
use crate::piece::{Piece, Shown, push};

/// A word, quoted if it must be.
pub(super) struct Word<'a>(pub(super) &'a str);

impl Piece for Word<'_> {
    fn push(self, out: &mut String) {
        let Self(word) = self;
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            return push!(out; Shown(word, usize::MAX));
        }
        out.push('\'');
        let mut quoted = String::new();
        escape::push_shown(&mut quoted, word);
        out.push_str(&quoted.replace('\'', r"'\''"));
        out.push('\'');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::piece::said;

    #[test]
    fn a_shell_takes_them_as_one_word() {
        for (word, written) in [
            ("shop/catalog-7d9f", "shop/catalog-7d9f"),
            ("", "''"),
            ("two words", "'two words'"),
            ("it's; rm -rf $HOME", r"'it'\''s; rm -rf $HOME'"),
            ("a\u{1b}b", r"'a\x1bb'"),
        ] {
            assert_eq!(said!(Word(word)), written);
        }
    }
}
