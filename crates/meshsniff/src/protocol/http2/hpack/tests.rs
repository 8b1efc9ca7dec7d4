mod encoder;

use super::table::Found;
use super::*;
use encoder::{As, Encoder, Said, integer, string};
use proptest::prelude::*;

/// A field that was told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    name: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    secret: bool,
}

fn told(field: Field<'_>) -> Told {
    Told {
        name: field.name.map(<[u8]>::to_vec),
        value: field.value.map(<[u8]>::to_vec),
        secret: field.never_indexed,
    }
}

fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Told>, Malformed> {
    let mut fields = Vec::new();
    decoder.decode(block, |field| fields.push(told(field)))?;
    Ok(fields)
}

fn text(bytes: Option<&[u8]>) -> String {
    bytes.map_or("?".into(), |bytes| {
        String::from_utf8(bytes.to_vec()).unwrap()
    })
}

/// The fields of a block, as "name: value"; with a "?" for what is not known.
fn lines(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, Malformed> {
    let fields = decoded(decoder, block)?.into_iter();
    Ok(fields
        .map(|field| {
            let secret = if field.secret { " (secret)" } else { "" };
            let (name, value) = (text(field.name.as_deref()), text(field.value.as_deref()));
            format!("{name}: {value}{secret}")
        })
        .collect())
}

/// The known entries of the table, the newest first.
fn entries(decoder: &Decoder) -> Vec<String> {
    let found = (62..).map_while(|index| match decoder.table.get(index) {
        Ok(found @ Found::Dynamic(..)) => Some(found.parts()),
        _ => None,
    });
    found
        .map(|(name, value)| format!("{}: {}", text(name), text(value)))
        .collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks_exact(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}

/// Decodes blocks one after the other, and holds the fields and the table against what they are.
fn follow(decoder: &mut Decoder, blocks: &[(&str, &[&str], &[&str])]) {
    for (block, fields, table) in blocks {
        assert_eq!(lines(decoder, &bytes(block)).unwrap(), *fields);
        assert_eq!(entries(decoder), *table);
        assert!(decoder.is_whole());
    }
}

/// A literal that is added to the table.
fn added(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0x40];
    string(&mut out, name.as_bytes(), false);
    string(&mut out, value.as_bytes(), false);
    out
}

/// The same, with an index for the name.
fn added_as(name: u32, value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    integer(&mut out, 0x40, 6, name);
    string(&mut out, value.as_bytes(), false);
    out
}

fn index(of: u32) -> Vec<u8> {
    let mut out = Vec::new();
    integer(&mut out, 0x80, 7, of);
    out
}

fn size(bytes: u32) -> Vec<u8> {
    let mut out = Vec::new();
    integer(&mut out, 0x20, 5, bytes);
    out
}

// RFC 7541, appendix C.

#[test]
fn representations_of_fields() {
    let block = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    let field = "custom-key: custom-header";
    follow(&mut Decoder::new(true), &[(block, &[field], &[field])]);
    let block = "040c 2f73 616d 706c 652f 7061 7468";
    let field = ":path: /sample/path";
    follow(&mut Decoder::new(true), &[(block, &[field], &[])]);
    let block = "1008 7061 7373 776f 7264 0673 6563 7265 74";
    let field = "password: secret (secret)";
    follow(&mut Decoder::new(true), &[(block, &[field], &[])]);
    follow(&mut Decoder::new(true), &[("82", &[":method: GET"], &[])]);
}

#[test]
fn requests_with_and_without_huffman() {
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let coded = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    let host = ":authority: www.example.com";
    let (cache, custom) = ("cache-control: no-cache", "custom-key: custom-value");
    let (get, http, https) = (":method: GET", ":scheme: http", ":scheme: https");
    for [first, second, third] in [plain, coded] {
        follow(
            &mut Decoder::new(true),
            &[
                (first, &[get, http, ":path: /", host], &[host]),
                (
                    second,
                    &[get, http, ":path: /", host, cache],
                    &[cache, host],
                ),
                (
                    third,
                    &[get, https, ":path: /index.html", host, custom],
                    &[custom, cache, host],
                ),
            ],
        );
    }
}

#[test]
fn responses_with_and_without_huffman() {
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a \
         3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 \
         677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 \
         553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    let coded = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e \
         919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 \
         821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed \
         4ee5 b106 3d50 07",
    ];
    let (found, moved) = (":status: 302", ":status: 307");
    let (private, gzip) = ("cache-control: private", "content-encoding: gzip");
    let date = "date: Mon, 21 Oct 2013 20:13:21 GMT";
    let later = "date: Mon, 21 Oct 2013 20:13:22 GMT";
    let place = "location: https://www.example.com";
    let cookie = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
    for [first, second, third] in [plain, coded] {
        let mut decoder = Decoder::new(true);
        assert_eq!(lines(&mut decoder, &size(256)), Ok(vec![]));
        follow(
            &mut decoder,
            &[
                (
                    first,
                    &[found, private, date, place],
                    &[place, date, private, found],
                ),
                (
                    second,
                    &[moved, private, date, place],
                    &[moved, place, date, private],
                ),
                (
                    third,
                    &[":status: 200", private, later, place, gzip, cookie],
                    &[cookie, gzip, later],
                ),
            ],
        );
    }
}

// Joined late, and lost.

#[test]
fn who_joins_late_knows_what_comes() {
    let mut decoder = Decoder::new(false);
    assert!(!decoder.is_whole());
    let first = [index(2), index(62), index(999), added("a", "1"), index(62)].concat();
    assert_eq!(
        lines(&mut decoder, &first).unwrap(),
        [":method: GET", "?: ?", "?: ?", "a: 1", "a: 1"]
    );
    let second = [added("b", "2"), index(63), index(64)].concat();
    assert_eq!(
        lines(&mut decoder, &second).unwrap(),
        ["b: 2", "a: 1", "?: ?"]
    );
    assert!(!decoder.is_whole());
}

#[test]
fn a_value_is_known_where_its_name_is_not() {
    let mut decoder = Decoder::new(false);
    let block = [added_as(70, "x"), index(62), added_as(62, "y")].concat();
    assert_eq!(
        lines(&mut decoder, &block).unwrap(),
        ["?: x", "?: x", "?: y"]
    );
    let block = [added_as(4, "/"), index(62), index(63), index(64)].concat();
    assert_eq!(
        lines(&mut decoder, &block).unwrap(),
        [":path: /", ":path: /", "?: y", "?: x"]
    );
}

#[test]
fn what_was_lost_is_not_guessed() {
    let mut decoder = Decoder::new(true);
    decoded(&mut decoder, &added("a", "1")).unwrap();
    decoder.lose();
    assert!(!decoder.is_whole());
    assert_eq!(lines(&mut decoder, &index(62)).unwrap(), ["?: ?"]);
    let block = [added("b", "2"), index(62), index(63)].concat();
    assert_eq!(
        lines(&mut decoder, &block).unwrap(),
        ["b: 2", "b: 2", "?: ?"]
    );
}

#[test]
fn a_table_that_was_emptied_is_known() {
    for empty in [size(0), size(31), [size(0), size(4096)].concat()] {
        let mut decoder = Decoder::new(false);
        decoded(&mut decoder, &added("a", "1")).unwrap();
        assert_eq!(decoded(&mut decoder, &empty), Ok(vec![]));
        assert!(decoder.is_whole() && entries(&decoder).is_empty());
        assert_eq!(
            decoded(&mut decoder, &index(62)),
            Err(Malformed::IndexOfNothing)
        );
        assert!(!decoder.is_whole());
    }
}

#[test]
fn a_table_that_is_full_of_known_entries_is_known() {
    let mut decoder = Decoder::new(false);
    assert_eq!(decoded(&mut decoder, &size(100)), Ok(vec![]));
    let block = [added("a", "1"), added("b", "2")].concat();
    decoded(&mut decoder, &block).unwrap();
    // 68 bytes, and 32 left: an empty entry may lie beneath.
    assert!(!decoder.is_whole());
    decoded(&mut decoder, &added("c", "")).unwrap();
    assert!(decoder.is_whole());
    assert_eq!(entries(&decoder), ["c: ", "b: 2"]);
    // Of a table that was lost, the limit is still known.
    decoder.limit(Some(64));
    decoder.lose();
    decoded(&mut decoder, &added("d", "4")).unwrap();
    assert!(decoder.is_whole());
    // But if that may have changed, it is not.
    decoder.limit(None);
    assert!(!decoder.is_whole());
    assert_eq!(entries(&decoder), ["d: 4"]);
}

#[test]
fn entries_without_a_name_leave_the_table_last() {
    let mut decoder = Decoder::new(false);
    let block = [size(70), added_as(62, "1"), added_as(62, "22")].concat();
    decoded(&mut decoder, &block).unwrap();
    // Their names take room that is not known of, but there is none for a third entry.
    assert_eq!(entries(&decoder), ["?: 22", "?: 1"]);
    assert!(!decoder.is_whole());
    assert_eq!(
        decoded(&mut decoder, &index(64)),
        Err(Malformed::IndexOfNothing)
    );
}

// Sizes.

#[test]
fn the_oldest_entries_leave_a_full_table() {
    let mut decoder = Decoder::new(true);
    let block = [size(102), added("a", "1"), added("b", "2"), added("c", "3")].concat();
    decoded(&mut decoder, &block).unwrap();
    assert_eq!(entries(&decoder), ["c: 3", "b: 2", "a: 1"]);
    // The name of an entry may be that of one which leaves for it.
    assert_eq!(lines(&mut decoder, &added_as(64, "44")).unwrap(), ["a: 44"]);
    assert_eq!(entries(&decoder), ["a: 44", "c: 3"]);
    decoded(&mut decoder, &size(40)).unwrap();
    assert_eq!(entries(&decoder), ["a: 44"]);
    decoded(&mut decoder, &size(34)).unwrap();
    assert!(entries(&decoder).is_empty() && decoder.is_whole());
}

#[test]
fn an_entry_too_large_empties_the_table() {
    for whole in [true, false] {
        let mut decoder = Decoder::new(whole);
        let block = [size(100), added("a", "1"), added("b", &"2".repeat(68))].concat();
        assert_eq!(decoded(&mut decoder, &block).unwrap().len(), 2);
        assert!(entries(&decoder).is_empty() && decoder.is_whole());
    }
    // Where the size is not known it may have been added, and what is added next is the newest.
    let mut decoder = Decoder::new(false);
    let large = "1".repeat(5000);
    let block = [added("a", &large), added("b", "2"), index(62), index(64)].concat();
    let last = lines(&mut decoder, &block).unwrap().split_off(2);
    assert_eq!(last, ["b: 2", "?: ?"]);
}

#[test]
fn a_large_table_is_kept_in_part() {
    let mut decoder = Decoder::new(true);
    decoder.limit(Some(1 << 20));
    let mut block = size(1 << 20);
    for n in 0..300 {
        block.extend(added(&format!("{n:03}"), &"x".repeat(1000)));
    }
    decoded(&mut decoder, &block).unwrap();
    assert!(!decoder.is_whole());
    let known = entries(&decoder);
    assert_eq!(known.len(), MAX_TABLE / 1035);
    assert!(known[0].starts_with("299"));
    assert_eq!(lines(&mut decoder, &index(62 + 299)).unwrap(), ["?: ?"]);
    // One that is too large to be kept takes a place.
    let block = [added("a", &"1".repeat(70_000)), added("b", "2")].concat();
    decoded(&mut decoder, &block).unwrap();
    assert_eq!(entries(&decoder), ["b: 2"]);
    assert_eq!(lines(&mut decoder, &index(63)).unwrap(), ["?: ?"]);
    // A table that fits again is known again.
    decoded(&mut decoder, &size(60)).unwrap();
    assert!(decoder.is_whole());
}

#[test]
fn sizes_change_within_the_limit() {
    let mut decoder = Decoder::new(true);
    let two = [size(4096), size(10), size(4000), index(2)].concat();
    assert_eq!(lines(&mut decoder, &two).unwrap(), [":method: GET"]);
    let above = Err(Malformed::UpdateAboveLimit);
    assert_eq!(decoded(&mut decoder, &size(4097)), above);
    decoder.limit(Some(8192));
    assert_eq!(decoded(&mut decoder, &size(8192)), Ok(vec![]));
    assert_eq!(decoded(&mut decoder, &size(8193)), above);
    // Somebody who joined late has not heard of one.
    let mut decoder = Decoder::new(false);
    assert_eq!(decoded(&mut decoder, &size(u32::MAX)), Ok(vec![]));
}

#[test]
fn a_lower_limit_is_no_change_of_size() {
    let mut decoder = Decoder::new(true);
    decoded(&mut decoder, &added("a", "1")).unwrap();
    decoder.limit(Some(0));
    assert_eq!(entries(&decoder), ["a: 1"]);
    decoded(&mut decoder, &size(0)).unwrap();
    assert!(entries(&decoder).is_empty());
}

// What is wrong.

#[test]
fn malformed_blocks_lose_the_table() {
    use Malformed::*;
    let cases: &[(&[u8], Malformed)] = &[
        (&[0x80], IndexOfNothing),
        (&[0xbf], IndexOfNothing),
        (&[0x7f, 0x00, 0x00], IndexOfNothing),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 0x0f], Integer),
        (&[0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], Integer),
        (&[0xff], Cut),
        (&[0xff, 0x80], Cut),
        (&[0x40], Cut),
        (&[0x40, 0x01], Cut),
        (&[0x40, 0x01, b'a'], Cut),
        (&[0x44, 0x02, b'/'], Cut),
        (&[0x04, 0x7f, 0xff, 0xff, 0xff, 0xff, 0x0e], Cut),
        (&[0x44, 0x81, 0x18], Huffman),
        (&[0x44, 0x81, 0xff], Huffman),
        (&[0x44, 0x84, 0xff, 0xff, 0xff, 0xff], Huffman),
        (&[0x40, 0x81, 0x18, 0x01, b'a'], Huffman),
        (&[0x82, 0x20], LateUpdate),
        (&[0x3f, 0xe2, 0x1f], UpdateAboveLimit),
    ];
    for (block, wrong) in cases {
        let mut decoder = Decoder::new(true);
        decoded(&mut decoder, &added("a", "1")).unwrap();
        assert_eq!(decoded(&mut decoder, block), Err(*wrong), "{block:x?}");
        assert!(!decoder.is_whole() && entries(&decoder).is_empty());
    }
}

#[test]
fn fields_before_what_is_wrong_stand() {
    let mut decoder = Decoder::new(true);
    let mut fields = Vec::new();
    let result = decoder.decode(&[0x82, 0x84, 0x80, 0x86], |field| fields.push(told(field)));
    assert_eq!(result, Err(Malformed::IndexOfNothing));
    assert_eq!(fields.len(), 2);
}

#[test]
fn integers_may_be_longer_than_they_need_to_be() {
    let mut decoder = Decoder::new(true);
    let host = [":authority: "];
    assert_eq!(lines(&mut decoder, &[0x81]).unwrap(), host);
    decoded(&mut decoder, &added("a", "1".repeat(127 + 128).as_str())).unwrap();
    // 127 and nothing more, in two bytes and in five.
    for block in [
        &[0x00, 0x01, b'a', 0x7f, 0x00][..],
        &[0x00, 0x01, b'a', 0x7f, 0x80, 0x80, 0x00],
    ] {
        let block = [block, &[b'x'; 127]].concat();
        assert_eq!(decoded(&mut decoder, &block).unwrap().len(), 1);
    }
}

// Bounds.

#[test]
fn bombs_cost_no_memory() {
    let mut decoder = Decoder::new(true);
    decoded(&mut decoder, &added("bomb", &"x".repeat(4000))).unwrap();
    let before = decoder.weight();
    let mut told = 0;
    let count = |field: Field<'_>| told += field.value.unwrap().len();
    decoder.decode(&[0xbe; 100_000], count).unwrap();
    assert_eq!(told, 400_000_000);
    assert_eq!(decoder.weight(), before);
}

#[test]
fn an_indexed_name_is_not_copied() {
    let mut decoder = Decoder::new(true);
    decoder.limit(Some(1 << 16));
    // Two bytes each, and a name of 2,000.
    let block = [size(1 << 16), added(&"n".repeat(2000), "")].concat();
    decoded(&mut decoder, &block).unwrap();
    let mut names = Vec::new();
    let each = |field: Field<'_>| names.push(field.name.unwrap().as_ptr());
    decoder.decode(&[0x7e, 0x00].repeat(1000), each).unwrap();
    names.dedup();
    assert_eq!(names.len(), 1);
}

/// The most a decoder weighs: names and values as often as the least and the largest room for them,
/// and entries.
const MAX_WEIGHT: usize = 7 * MAX_TABLE;

#[test]
fn memory_is_bounded_by_the_table() {
    let mut decoder = Decoder::new(false);
    for n in 0..20_u32 {
        let long = "v".repeat(n as usize * 1000);
        let block = (0..300).flat_map(|_| added("n", &long));
        decoded(&mut decoder, &block.collect::<Vec<_>>()).unwrap();
        assert!(decoder.weight() <= MAX_WEIGHT, "{}", decoder.weight());
    }
    let block = added("", "").repeat(10_000);
    decoded(&mut decoder, &block).unwrap();
    assert!(decoder.weight() <= MAX_WEIGHT, "{}", decoder.weight());
    decoder.lose();
    assert!(decoder.weight() <= 2 * MAX_SCRATCH);
    // A usual one.
    let mut decoder = Decoder::new(true);
    for n in 0..1000 {
        decoded(&mut decoder, &added("some-name", &format!("/{n}"))).unwrap();
    }
    assert!(decoder.weight() <= 24 << 10, "{}", decoder.weight());
}

// What a sender makes.

fn said() -> impl Strategy<Value = Said> {
    let name = prop_oneof![
        prop::sample::select(vec![":authority", ":path", "accept-encoding", "user-agent"])
            .prop_map(|name| name.as_bytes().to_vec()),
        prop::sample::select(vec!["a", "x-request-id", "x-custom"])
            .prop_map(|name| name.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    let value = prop_oneof![
        prop::sample::select(vec!["", "/", "gzip", "yes"])
            .prop_map(|value| value.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..300),
    ];
    let how = prop::sample::select(vec![
        As::Index,
        As::Index,
        As::Index,
        As::Added,
        As::Plain,
        As::Secret,
    ]);
    (name, value, how, any::<bool>(), prop::bool::weighted(0.8)).prop_map(
        |(name, value, how, huffman, indexed_name)| Said {
            name,
            value,
            how,
            huffman,
            indexed_name,
        },
    )
}

fn blocks() -> impl Strategy<Value = Vec<(Vec<u32>, Vec<Said>)>> {
    let size = prop_oneof![0..4097_u32, 30..200_u32];
    let sizes = prop_oneof![
        4 => Just(vec![]),
        1 => prop::collection::vec(size, 1..3),
    ];
    prop::collection::vec((sizes, prop::collection::vec(said(), 0..12)), 1..20)
}

proptest! {
    #[test]
    fn what_is_sent_is_told(blocks in blocks()) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(true));
        for (sizes, fields) in blocks {
            let (block, sent) = encoder.block(&sizes, &fields);
            let sent: Vec<_> = sent
                .into_iter()
                .map(|sent| Told {
                    name: Some(sent.name),
                    value: Some(sent.value),
                    secret: sent.secret,
                })
                .collect();
            prop_assert_eq!(decoded(&mut decoder, &block), Ok(sent));
            prop_assert!(decoder.is_whole());
        }
    }

    /// Everything that can be known is told, from wherever it is watched again, and nothing else.
    #[test]
    fn what_can_be_known_is_told(
        blocks in blocks(),
        lost in 0..20_usize,
        from in 0..20_usize,
        joined: bool,
        limited: bool,
    ) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(!joined));
        if limited {
            decoder.limit(Some(4096));
        }
        let lost = lost.min(from);
        // Joined late: from the beginning, nothing of the table is known.
        let seen_from = if joined || lost < from { from } else { 0 };
        for (at, (sizes, fields)) in blocks.into_iter().enumerate() {
            let (block, sent) = encoder.block(&sizes, &fields);
            if at < from {
                if !joined && at < lost {
                    decoded(&mut decoder, &block).unwrap();
                } else {
                    decoder.lose();
                }
                continue;
            }
            let fields = decoded(&mut decoder, &block).unwrap();
            prop_assert_eq!(fields.len(), sent.len());
            for (field, sent) in fields.into_iter().zip(sent) {
                let expected = Told {
                    name: (seen_from <= sent.name_from).then_some(sent.name),
                    value: (seen_from <= sent.value_from).then_some(sent.value),
                    secret: sent.secret,
                };
                prop_assert_eq!(field, expected);
            }
        }
    }

    #[test]
    fn no_bytes_are_too_strange(blocks: Vec<Vec<u8>>, whole: bool) {
        let mut decoder = Decoder::new(whole);
        for block in blocks {
            let _ = decoded(&mut decoder, &block);
        }
    }
}
