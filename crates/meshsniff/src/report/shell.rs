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

/// Bytes that a shell gives a program exactly as they are. A NUL cannot be one of them, and a line
/// break at the end would be lost if another byte has to be written by its number.
pub(super) struct Exact<'a>(pub(super) &'a [u8]);

impl Piece for Exact<'_> {
    fn push(self, out: &mut String) {
        let Self(bytes) = self;
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,=".contains(byte);
        // To zsh a word that begins with `=` is the path of a command.
        let is_word = !bytes.is_empty() && bytes[0] != b'=' && bytes.iter().all(plain);
        let text = std::str::from_utf8(bytes).ok();
        if let Some(text) = text.filter(|_| is_word) {
            out.push_str(text);
        } else if let Some(text) = text.filter(|text| escape::is_harmless(text, &['\n'])) {
            out.push('\'');
            out.push_str(&text.replace('\'', r"'\''"));
            out.push('\'');
        } else {
            out.push_str("\"$(");
            Printed(bytes).push(out);
            out.push_str(")\"");
        }
    }
}

/// The command that prints bytes, whatever they are.
pub(super) struct Printed<'a>(pub(super) &'a [u8]);

impl Piece for Printed<'_> {
    fn push(self, out: &mut String) {
        let Self(bytes) = self;
        // `%b` takes octal digits in every shell (POSIX); in a format some shells read them once
        // more. What a shell itself might read is written by its number, too.
        out.push_str("printf %b '");
        for &byte in bytes {
            if byte.is_ascii_alphanumeric() || b" /.:,=?&_+-@{}[]".contains(&byte) {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("\\0{byte:03o}"));
            }
        }
        out.push('\'');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::piece::said;

    #[test]
    fn bytes_stay_as_they_are() {
        for (bytes, written) in [
            (&b"x-a:1"[..], "x-a:1"),
            (b"", "''"),
            (b"=ls", "'=ls'"),
            (b"it's $HOME `id` \\ !!", r"'it'\''s $HOME `id` \ !!'"),
            (b"two\nlines", "'two\nlines'"),
            ("é".as_bytes(), "'é'"),
            (b"a\x1bb'c", r#""$(printf %b 'a\0033b\0047c')""#),
            (b"\xff-", r#""$(printf %b '\0377-')""#),
            (
                "\u{202e}a".as_bytes(),
                r#""$(printf %b '\0342\0200\0256a')""#,
            ),
        ] {
            assert_eq!(said!(Exact(bytes)), written);
        }
    }

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
