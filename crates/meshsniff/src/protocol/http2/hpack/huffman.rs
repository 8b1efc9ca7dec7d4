//! The Huffman code of header strings (RFC 7541, 5.2 and appendix B).

/// The longest code that is looked up in one step, in bits. Only rare characters have longer ones.
const SHORT: u8 = 8;

/// Symbols by the length of their codes in bits. The code is canonical: codes count up along this
/// table, so the table says it all. EOS follows the last symbol.
const SYMBOLS: [(u8, &[u8]); 21] = [
    (5, b"012aceiost"),
    (6, b" %-./3456789=A_bdfghlmnpru"),
    (7, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, b"&*,;XZ"),
    (10, b"!\"()?"),
    (11, b"'+|"),
    (12, b"#>"),
    (13, b"\0$@[]~"),
    (14, b"^}"),
    (15, b"<`{"),
    (19, b"\\\xc3\xd0"),
    (20, b"\x80\x82\x83\xa2\xb8\xc2\xe0\xe2"),
    (21, b"\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6"),
    (
        22,
        b"\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\xc4\
          \xc6\xe4\xe8\xe9",
    ),
    (
        23,
        b"\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\xa8\xae\xaf\xb4\
          \xb6\xb7\xbc\xbf\xc5\xe7\xef",
    ),
    (24, b"\x09\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed"),
    (25, b"\xc7\xcf\xea\xeb"),
    (
        26,
        b"\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff",
    ),
    (
        27,
        b"\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe",
    ),
    (
        28,
        b"\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b\
          \x1c\x1d\x1e\x1f\x7f\xdc\xf9",
    ),
    (30, b"\x0a\x0d\x16"),
];

/// The codes of one length.
#[derive(Clone, Copy)]
struct Row {
    bits: u8,
    /// The first code, from the left of 32 bits.
    first: u32,
    /// The first code of the next row, or EOS.
    end: u32,
    symbols: &'static [u8],
}

const ROWS: [Row; SYMBOLS.len()] = rows();

/// The symbol and the length of the code that some bits begin with; of a longer code, no length.
const STEPS: [(u8, u8); 1 << SHORT] = steps();

const fn rows() -> [Row; SYMBOLS.len()] {
    let mut rows = [Row {
        bits: 0,
        first: 0,
        end: 0,
        symbols: &[],
    }; SYMBOLS.len()];
    let (mut row, mut code) = (0, 0);
    while row < rows.len() {
        let (bits, symbols) = SYMBOLS[row];
        let end = code + ((symbols.len() as u32) << (32 - bits));
        rows[row] = Row {
            bits,
            first: code,
            end,
            symbols,
        };
        code = end;
        row += 1;
    }
    rows
}

const fn steps() -> [(u8, u8); 1 << SHORT] {
    let mut steps = [(0, 0); 1 << SHORT];
    let mut row = 0;
    while row < ROWS.len() && ROWS[row].bits <= SHORT {
        let Row {
            bits,
            first,
            symbols,
            ..
        } = ROWS[row];
        let each = 1 << (SHORT - bits);
        let mut step = 0;
        while step < symbols.len() * each {
            steps[(first >> (32 - SHORT)) as usize + step] = (symbols[step / each], bits);
            step += 1;
        }
        row += 1;
    }
    steps
}

/// The symbol and the length of the code that `window` begins with; `None` for EOS.
fn symbol(window: u32) -> Option<(u8, u8)> {
    let step = STEPS[(window >> (32 - SHORT)) as usize];
    if step.1 > 0 {
        return Some(step);
    }
    let row = ROWS.iter().find(|row| window < row.end)?;
    let place = (window - row.first) >> (32 - row.bits);
    row.symbols
        .get(place as usize)
        .map(|&symbol| (symbol, row.bits))
}

/// Bits still to be read, from the left of a word.
struct Window<'a> {
    word: u64,
    bits: u32,
    rest: &'a [u8],
}

impl Window<'_> {
    /// Has at least 32 bits afterwards, or all that are left.
    fn fill(&mut self) {
        if self.bits >= 32 {
            return;
        }
        if let Some((next, rest)) = self.rest.split_first_chunk::<4>() {
            self.word |= u64::from(u32::from_be_bytes(*next)) << (32 - self.bits);
            self.bits += 32;
            self.rest = rest;
            return;
        }
        for &next in self.rest {
            self.word |= u64::from(next) << (56 - self.bits);
            self.bits += 8;
        }
        self.rest = &[];
    }

    /// The bits, with 1s behind them.
    const fn padded(&self) -> u64 {
        self.word | u64::MAX >> self.bits
    }
}

/// Puts what `coded` says into `out`, instead of what was there. `None` if it has no proper end: a
/// padding of more than 7 bits or of others than 1s, or EOS.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.clear();
    // The shortest code has 5 bits.
    out.reserve(coded.len().saturating_mul(8) / 5);
    let mut window = Window {
        word: 0,
        bits: 0,
        rest: coded,
    };
    loop {
        window.fill();
        let padded = window.padded();
        match symbol((padded >> 32) as u32) {
            Some((symbol, bits)) if u32::from(bits) <= window.bits => {
                out.push(symbol);
                window.word <<= bits;
                window.bits -= u32::from(bits);
            }
            // No code of 7 bits or less is all 1s.
            _ => return (window.bits < 8 && padded == u64::MAX).then_some(()),
        }
    }
}

/// The code of a star, the only printable one of those that fill a byte which is no letter.
pub(super) const STAR: u8 = 0xf9;

impl Row {
    /// The code of the symbol at this place in the row.
    const fn code(&self, place: usize) -> u32 {
        (self.first >> (32 - self.bits)) + place as u32
    }

    /// The symbol that stands for a masked one with a code as long as this row's.
    fn mask(&self) -> u32 {
        let place = match self.bits {
            5 => self.symbols.iter().position(|&symbol| symbol == b'o'),
            6 => self.symbols.iter().position(|&symbol| symbol == b'-'),
            7 => self.symbols.iter().position(|&symbol| symbol == b'x'),
            8 => self.symbols.iter().position(|&symbol| symbol == b'*'),
            _ => None,
        };
        self.code(place.unwrap_or(self.symbols.len() - 1))
    }
}

/// Rows that masked symbols are taken from: all but the last, of controls that no value has.
fn mask_rows() -> &'static [Row] {
    &ROWS[..ROWS.len() - 1]
}

/// Whether so many symbols can have so many bits.
fn is_possible(symbols: usize, bits: usize) -> bool {
    match symbols {
        0 => bits == 0,
        1 => mask_rows().iter().any(|row| usize::from(row.bits) == bits),
        // Two symbols can have any number of bits from 10 to 56, and so can more.
        _ => (5 * symbols..=28 * symbols).contains(&bits),
    }
}

/// Fills bytes with the codes of so many symbols, or as near to that as can be, and a padding.
/// Nothing else decides on what stands there then.
pub(super) fn fill(symbols: usize, bytes: &mut [u8]) {
    let room = 8 * bytes.len();
    let symbols = symbols.clamp(room.saturating_sub(7).div_ceil(28), room / 5);
    let padding = (0..8).find(|padding| is_possible(symbols, room.saturating_sub(*padding)));
    let mut left = room - padding.unwrap_or_default().min(room);
    let (mut word, mut have) = (0_u64, 0);
    let mut out = bytes.iter_mut();
    for behind in (0..symbols).rev() {
        // As near to the mean as what is behind it permits.
        let possible = |row: &&Row| {
            let bits = usize::from(row.bits);
            left >= bits && is_possible(behind, left - bits)
        };
        let from_mean = |row: &&Row| (usize::from(row.bits) * (behind + 1)).abs_diff(left);
        let Some(row) = mask_rows().iter().filter(possible).min_by_key(from_mean) else {
            break;
        };
        word = word << row.bits | u64::from(row.mask());
        have += u32::from(row.bits);
        left -= usize::from(row.bits);
        while have >= 8 {
            have -= 8;
            if let Some(byte) = out.next() {
                *byte = (word >> have) as u8;
            }
        }
    }
    if have > 0
        && let Some(byte) = out.next()
    {
        *byte = (word << (8 - have)) as u8 | 0xff >> have;
    }
    // Nothing is left but what has no symbols.
    out.for_each(|byte| *byte = STAR);
}

/// What a sender makes of a string.
#[cfg(any(test, feature = "testing"))]
#[must_use]
pub fn encode(plain: &[u8]) -> Vec<u8> {
    let (mut coded, mut word, mut bits) = (Vec::new(), 0_u64, 0);
    for byte in plain {
        let place = |row: &Row| row.symbols.iter().position(|symbol| symbol == byte);
        let found = ROWS.iter().find_map(|row| Some((row, place(row)?)));
        let Some((row, place)) = found else {
            continue;
        };
        word = word << row.bits | u64::from(row.code(place));
        bits += row.bits;
        while bits >= 8 {
            bits -= 8;
            coded.push((word >> bits) as u8);
        }
    }
    if bits > 0 {
        coded.push((word << (8 - bits)) as u8 | 0xff >> bits);
    }
    coded
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in super::super) use super::encode;

    fn decoded(coded: &[u8]) -> Option<Vec<u8>> {
        let mut out = b"what was there".to_vec();
        decode(coded, &mut out).map(|()| out)
    }

    #[test]
    fn every_byte_has_a_code() {
        let mut symbols: Vec<_> = ROWS.iter().flat_map(|row| row.symbols).copied().collect();
        symbols.sort_unstable();
        assert_eq!(symbols, (0..=255).collect::<Vec<u8>>());
        // What is left is EOS: thirty 1s.
        assert_eq!(ROWS.last().unwrap().end, u32::MAX << 2);
        for byte in 0..=255 {
            assert_eq!(decoded(&encode(&[byte])), Some(vec![byte]));
            assert_eq!(decoded(&encode(&[byte; 9])), Some(vec![byte; 9]));
        }
    }

    #[test]
    fn codes_are_those_of_the_appendix() {
        for (byte, code, bits) in [
            (0, 0x1ff8, 13),
            (b'\n', 0x3fff_fffc, 30),
            (b'0', 0x0, 5),
            (b'a', 0x3, 5),
            (b'Z', 0xfd, 8),
            (b'|', 0x7fc, 11),
            (128, 0xf_ffe6, 20),
            (201, 0x3ff_ffe3, 26),
            (249, 0xfff_fffe, 28),
            (255, 0x3ff_ffee, 26),
        ] {
            assert_eq!(symbol(code << (32 - bits)), Some((byte, bits)));
        }
    }

    #[test]
    fn padding_is_up_to_seven_ones() {
        assert_eq!(decoded(b""), Some(vec![]));
        assert_eq!(decoded(&[0b0001_1111]), Some(b"a".to_vec()));
        // Eight symbols of five bits need none.
        assert_eq!(decoded(&[0; 5]), Some(b"00000000".to_vec()));
        for wrong in [0b0001_1000, 0b0001_1001, 0b0001_1011, 0b0001_1110] {
            assert_eq!(decoded(&[wrong]), None);
        }
        assert_eq!(decoded(&[0xff]), None);
        assert_eq!(decoded(&[0b0001_1111, 0xff]), None);
        assert_eq!(decoded(&[0xff, 0xff, 0xff]), None);
    }

    #[test]
    fn the_end_of_a_string_is_no_part_of_one() {
        assert_eq!(decoded(&[0xff; 4]), None);
        assert_eq!(decoded(&[0b0001_1111, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xfc]), None);
    }

    proptest! {
        #[test]
        fn what_is_coded_comes_back(plain: Vec<u8>) {
            prop_assert_eq!(decoded(&encode(&plain)), Some(plain));
        }

        /// What is masked has as many characters as it had, whatever it said.
        #[test]
        fn what_is_filled_is_as_long(plain in prop::collection::vec(b' '..=b'~', 0..80)) {
            let mut coded = encode(&plain);
            fill(plain.len(), &mut coded);
            prop_assert_eq!(decoded(&coded).map(|said| said.len()), Some(plain.len()));
        }

        /// Where it cannot be, it is still a string.
        #[test]
        fn what_is_filled_is_a_string(symbols in 0..100_usize, mut coded: Vec<u8>) {
            fill(symbols, &mut coded);
            let said = decoded(&coded).map(|said| said.len());
            prop_assert!(said.is_some());
            prop_assert!(said <= Some(symbols) || symbols * 28 < coded.len() * 8);
        }

        /// What is taken has one coding only.
        #[test]
        fn what_is_taken_is_what_a_sender_makes(coded: Vec<u8>) {
            if let Some(plain) = decoded(&coded) {
                prop_assert_eq!(encode(&plain), coded);
            }
        }
    }
}
