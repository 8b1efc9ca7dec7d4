//! Hostile text made harmless for a terminal, a page or JSON.
//!
//! A capture is written by whoever could send packets: a path may hold escape sequences that
//! repaint a terminal, or bidirectional controls that make one word look like another. Nothing from
//! the wire reaches an output except through here.

use std::fmt::Write as _;

/// Whether `c` could fool a terminal or a reader: control characters (C0, DEL, C1), bidirectional
/// controls, invisible format characters, line and paragraph separators.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
                | '\u{fdd0}'..='\u{fdef}'
        )
        // Noncharacters, of which XML 1.0 takes none of the first plane.
        || u32::from(c) & 0xfffe == 0xfffe
}

/// Whether no character of `text` could fool a terminal or a reader, but those `also`.
pub(crate) fn is_harmless(text: &str, also: &[char]) -> bool {
    !text.contains(|c| is_unsafe(c) && !also.contains(&c))
}

fn is_plain_ascii(text: &str) -> bool {
    // Looks at every byte rather than stopping at the first odd one: that compiles to wide
    // instructions, and odd ones are rare.
    text.bytes().fold(true, |plain, byte| {
        plain & matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\')
    })
}

/// Pushes `text` so that none of its control characters reaches a terminal.
pub fn push_shown(out: &mut String, text: &str) {
    shown(out, text, usize::MAX);
}

/// Pushes `text` for a person: `\x1b` for ESC, `\u{202e}` for a bidirectional control, and `…` in
/// place of anything beyond `most` characters.
pub(crate) fn shown(out: &mut String, text: &str, most: usize) {
    if text.len() <= most && is_plain_ascii(text) {
        out.push_str(text);
        return;
    }
    for (count, c) in text.chars().enumerate() {
        if count >= most {
            out.push('…');
            return;
        }
        if !is_unsafe(c) {
            out.push(c);
        } else if c.is_ascii() {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        } else {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
}

/// The longest prefix of `text` that has at most `most` bytes and ends between characters.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Pushes `text` for a reader of HTML: as [`shown`], with markup escaped for an element or a quoted
/// attribute.
pub(crate) fn html(out: &mut String, text: &str) {
    let mut safe = String::new();
    shown(&mut safe, text, usize::MAX);
    for c in safe.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

/// Pushes `text` as [`json`] does, for a script element of HTML: nothing in it can end the element
/// or begin a comment.
pub(crate) fn json_in_html(out: &mut String, text: &str) {
    let begin = out.len();
    json(out, text);
    if !out[begin..].contains(['<', '>', '&']) {
        return;
    }
    let plain = out.split_off(begin);
    for c in plain.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            c => out.push(c),
        }
    }
}

/// Pushes `text` as a JSON string with its quotes (RFC 8259, 7). Characters that could fool a
/// terminal are escaped beyond what JSON asks for; a parser reads the same text.
pub(crate) fn json(out: &mut String, text: &str) {
    out.push('"');
    json_inner(out, text);
    out.push('"');
}

/// Pushes `text` as [`json`] does, without the quotes.
pub(crate) fn json_inner(out: &mut String, text: &str) {
    if is_plain_ascii(text) {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unsafe(c) => push_units(out, c),
            c => out.push(c),
        }
    }
}

/// Escapes in finished JSON every character that could fool a terminal. Outside of strings JSON has
/// no such character but line breaks.
pub(crate) fn escaped_json(text: String) -> String {
    let is_odd = |c: char| is_unsafe(c) && c != '\n';
    if !text.contains(is_odd) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_odd(c) {
            push_units(&mut out, c);
        } else {
            out.push(c);
        }
    }
    out
}

/// Pushes `\u202e`, or the two escapes of a surrogate pair (RFC 8259, 7).
fn push_units(out: &mut String, c: char) {
    let mut units = [0; 2];
    for unit in c.encode_utf16(&mut units) {
        let _ = write!(out, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str =
        "/\u{fffe}\u{ffff}a\"b\\c\n\t\r\u{0}\u{1b}[2J\u{7f}\u{9b}31m\u{202e}\u{2028}\u{e0041}é漢😀";

    #[test]
    fn json_reads_back_as_it_was() {
        let mut out = String::new();
        json(&mut out, HOSTILE);
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), HOSTILE);
        assert!(!out.chars().any(is_unsafe), "{out}");
    }

    #[test]
    fn nothing_shown_can_move_a_cursor() {
        let mut out = String::new();
        shown(&mut out, HOSTILE, 100);
        assert!(!out.chars().any(is_unsafe), "{out}");
        assert!(out.contains("\\x1b[2J"), "{out}");
        assert!(out.contains("\\u{202e}"), "{out}");
    }

    #[test]
    fn no_markup_of_the_wires() {
        let hostile = format!("</script><!--<img src=x onerror='a&b'>\"{HOSTILE}");
        let mut out = String::new();
        html(&mut out, &hostile);
        assert!(!out.contains(['<', '>', '"', '\'']), "{out}");
        assert!(out.starts_with(
            "&lt;/script&gt;&lt;!--&lt;img src=x onerror=&#39;a&amp;b&#39;&gt;&quot;"
        ));
        assert!(!out.chars().any(is_unsafe), "{out}");
        out.clear();
        json_in_html(&mut out, &hostile);
        assert!(!out.contains(['<', '>', '&']), "{out}");
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), hostile);
    }

    #[test]
    fn long_text_is_cut() {
        let mut out = String::new();
        shown(&mut out, &"é".repeat(50), 10);
        assert_eq!(out, format!("{}…", "é".repeat(10)));
    }
}
