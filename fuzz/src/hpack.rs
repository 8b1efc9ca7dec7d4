//! Header blocks of one direction, and which of them somebody does not see.

use super::choices::Choices;
use meshsniff::protocol::http2::hpack::{Decoder, Field, MAX_TABLE, Malformed};

/// Names and values at the least and the largest room that is made for them, and entries.
const MAX_WEIGHT: usize = 7 * MAX_TABLE;

type Told = (Option<Vec<u8>>, Option<Vec<u8>>, bool);

fn decode(decoder: &mut Decoder, block: &[u8]) -> (Vec<Told>, Result<(), Malformed>) {
    let mut fields: Vec<Told> = Vec::new();
    let result = decoder.decode(block, |field: Field<'_>| {
        // Nothing here looks at a bomb.
        let kept = |text: &[u8]| text[..text.len().min(64)].to_vec();
        fields.push((
            field.name.map(kept),
            field.value.map(kept),
            field.never_indexed,
        ));
    });
    assert!(decoder.weight() <= MAX_WEIGHT, "{}", decoder.weight());
    assert!(result.is_ok() || !decoder.is_whole());
    (fields, result)
}

fn agree(whole: &[Told], late: &[Told]) {
    assert_eq!(whole.len(), late.len());
    for (truth, said) in whole.iter().zip(late) {
        assert!(said.0.is_none() || said.0 == truth.0, "{said:?} {truth:?}");
        assert!(said.1.is_none() || said.1 == truth.1, "{said:?} {truth:?}");
        assert_eq!(said.2, truth.2);
    }
}

/// Two who watch, one of whom does not see all blocks: what he says is right.
///
/// First come the limit of the table and whether he knows it; then blocks, each with whether he
/// misses it and its length.
pub fn check(data: &[u8]) {
    let mut choices = Choices(data);
    let joins_late = choices.byte() & 1 == 0;
    let limit = choices.byte();
    let mut whole = Decoder::new(true);
    let mut late = Decoder::new(!joins_late);
    // Never less than at first: then the sender would have to name another size.
    let bytes = 4096 << (limit >> 1 & 7);
    whole.limit(Some(bytes));
    late.limit((limit & 1 == 1).then_some(bytes));
    while let Some(fate) = choices.another() {
        let len = choices.byte() as usize;
        let block = choices.bytes(len);
        let (truth, result) = decode(&mut whole, block);
        if fate & 1 == 1 {
            late.lose();
        } else {
            let (said, also) = decode(&mut late, block);
            agree(&truth, &said[..said.len().min(truth.len())]);
            // Past what is malformed there is no truth.
            assert!(result.is_err() || also.is_ok() && said.len() == truth.len());
        }
        if result.is_err() {
            return;
        }
    }
}
