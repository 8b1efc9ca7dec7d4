//! Base64 as gRPC-Web has it: of each flush a padded piece, one behind the other.

/// Bytes that are decoded at once.
const AT_ONCE: usize = 768;

/// A decoder, given the text in any pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Decoder {
    /// Bits of the four characters that are being read.
    bits: u32,
    /// How many of the four were seen, padding among them.
    seen: u8,
    /// How many of those are padding.
    padding: u8,
}

/// The text is no base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoText;

impl Decoder {
    /// Takes the next characters and hands out what they stand for.
    pub(super) fn read(&mut self, text: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), NoText> {
        let mut decoded = [0; AT_ONCE];
        for part in text.chunks(AT_ONCE) {
            let mut len = 0;
            let read = part.iter().try_for_each(|&character| {
                let three = self.character(character)?;
                for byte in three.into_iter().flatten() {
                    decoded[len] = byte;
                    len += 1;
                }
                Ok(())
            });
            if len > 0 {
                take(&decoded[..len]);
            }
            read?;
        }
        Ok(())
    }

    /// The bytes that are whole with the next character: none, or up to three.
    fn character(&mut self, character: u8) -> Result<[Option<u8>; 3], NoText> {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' if self.seen >= 2 => {
                self.padding += 1;
                0
            }
            b'\r' | b'\n' if self.seen == 0 => return Ok([None; 3]),
            _ => return Err(NoText),
        };
        if self.padding > 0 && character != b'=' {
            return Err(NoText);
        }
        self.bits = self.bits << 6 | u32::from(value);
        self.seen += 1;
        if self.seen < 4 {
            return Ok([None; 3]);
        }
        let [_, first, second, third] = self.bits.to_be_bytes();
        let padding = self.padding;
        *self = Self::default();
        Ok([
            Some(first),
            (padding < 2).then_some(second),
            (padding < 1).then_some(third),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &[u8], size: usize) -> Result<Vec<u8>, NoText> {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        for piece in text.chunks(size) {
            decoder.read(piece, |bytes| out.extend_from_slice(bytes))?;
        }
        Ok(out)
    }

    #[test]
    fn padded_pieces_stand_one_behind_the_other() {
        let text = b"AAAAAAM=YWJjZA==eHl6\r\nAA==";
        for size in 1..=text.len() {
            let out = decoded(text, size);
            assert_eq!(out.as_deref(), Ok(&b"\0\0\0\0\x03abcdxyz\0"[..]), "{size}");
        }
    }

    #[test]
    fn what_no_base64_has_is_none() {
        for text in [
            &b"AA*A"[..],
            b"A===",
            b"=AAA",
            b"AA=A",
            b"AAA\n",
            b"\0\0\0\0",
        ] {
            assert_eq!(decoded(text, 9), Err(NoText), "{text:?}");
        }
    }
}
