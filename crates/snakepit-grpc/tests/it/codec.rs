//! Properties of the pure parts.

use bytes::{BufMut as _, Bytes};
use proptest::prelude::*;
use snakepit_grpc::frame::{FLAG_LAST, FLAG_PART, HEADER_LEN, Header, Kind, MAX_HEAD};
use snakepit_grpc::link::{Parsed, Parser, decode_items, decode_results, encode_items};
use snakepit_grpc::preamble::{FIXED_LEN, Preamble, Role, Token};

use crate::peer::frame;

const KINDS: [Kind; 6] = [
    Kind::Reply,
    Kind::Error,
    Kind::Chunk,
    Kind::End,
    Kind::ManyReply,
    Kind::Described,
];

/// Returns every frame that the parser reads from these pieces. `None` after an error.
fn parse(pieces: &[&[u8]], limit: usize) -> Option<Vec<Parsed>> {
    let mut parser = Parser::new(limit);
    let mut all = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let buffer = parser.buffer();
            let count = rest.len().min(buffer.capacity() - buffer.len());
            assert!(count > 0, "there is always room");
            buffer.put_slice(&rest[..count]);
            rest = &rest[count..];
            loop {
                match parser.next_frame() {
                    Ok(Parsed::Incomplete) => break,
                    Ok(parsed) => all.push(parsed),
                    Err(_) => return None,
                }
            }
        }
    }
    Some(all)
}

proptest! {
    #[test]
    fn headers_survive(kind in 0..6usize, flags: u8, head in 0..=MAX_HEAD as u32, body: u64, call: u64) {
        let header = Header { kind: KINDS[kind], flags, head_len: head, body_len: body, call };
        prop_assert_eq!(Header::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn arbitrary_headers_do_not_panic(bytes: [u8; HEADER_LEN]) {
        if let Ok(header) = Header::decode(&bytes) {
            prop_assert_eq!(header.encode(), bytes);
        }
    }

    #[test]
    fn preambles_survive(slot in proptest::option::of(any::<u16>()), token: [u8; 32], id in "[a-z0-9-]{1,128}") {
        let role = slot.map_or(Role::Control, Role::Slot);
        let bytes = Preamble::encode(role, &Token(token), &id);
        let preamble = Preamble::decode(bytes.first_chunk().unwrap()).unwrap();
        prop_assert_eq!(preamble.role, role);
        prop_assert_eq!(preamble.token.0, token);
        prop_assert_eq!(&bytes[FIXED_LEN..], id.as_bytes());
        prop_assert_eq!(preamble.worker_id_len, id.len());
        let hex = Token(token).to_hex();
        prop_assert!(Token::from_hex(&hex).unwrap().matches(&Token(token)));
    }

    #[test]
    fn arbitrary_preambles_do_not_panic(mut bytes in proptest::collection::vec(any::<u8>(), FIXED_LEN), real: bool) {
        if real {
            bytes[..8].copy_from_slice(b"SNAKEPT1");
        }
        let _ = Preamble::decode(bytes.first_chunk().unwrap());
    }

    #[test]
    fn items_survive(items in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..20)) {
        let body = Bytes::from(encode_items(items.iter().map(Vec::as_slice)));
        prop_assert_eq!(decode_items(&body).unwrap(), items);
    }

    #[test]
    fn arbitrary_items_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let bytes = Bytes::from(bytes);
        let _ = (decode_items(&bytes), decode_results(&bytes));
    }

    #[test]
    fn frames_do_not_depend_on_how_they_arrive(
        frames in proptest::collection::vec((0..4usize, any::<u64>(), 0..40usize, 0..40_000usize), 1..6),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        limit in 20_000..40_000usize,
    ) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (kind, call, head, body) in frames {
            let (head, body) = (vec![1; head], vec![2; body]);
            let encoded = frame(KINDS[kind], call, 0, &head, &body);
            let header = Header::decode(encoded.first_chunk().unwrap()).unwrap();
            bytes.extend_from_slice(&encoded);
            expected.push(if body.len() > limit {
                Parsed::TooLarge { header }
            } else {
                Parsed::Frame { header, head: head.into(), body: body.into() }
            });
        }
        let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<_> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(parse(&pieces, limit).unwrap(), expected);
    }

    #[test]
    fn a_body_in_parts_is_that_of_one_frame(
        bodies in proptest::collection::vec(
            (0..3usize, any::<u64>(), proptest::collection::vec(0..9_000usize, 1..8), any::<bool>()),
            1..5,
        ),
        between in any::<bool>(),
        size in 1..70_000usize,
        limit in 10_000..40_000usize,
    ) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        let small = frame(Kind::Error, 7, 0, b"h", b"small");
        for (kind, call, parts, last) in bodies {
            let kind = [Kind::Reply, Kind::Chunk, Kind::HostCall][kind];
            let flags = if last { FLAG_LAST } else { 0 };
            let whole: Vec<u8> = (0..).zip(&parts).flat_map(|(n, len)| vec![n; *len]).collect();
            let encoded = frame(kind, call, flags, b"", &whole);
            let header = Header::decode(encoded.first_chunk().unwrap()).unwrap();
            let mut at = 0;
            for (index, length) in parts.iter().enumerate() {
                let part = &whole[at..at + length];
                at += length;
                let last = index + 1 == parts.len();
                let flag = if last { 0 } else { FLAG_PART };
                bytes.extend_from_slice(&frame(kind, call, flags | flag, b"", part));
                if last && whole.len() > limit {
                    expected.push(Parsed::TooLarge { header });
                } else if last {
                    let (head, body) = (Bytes::new(), whole.clone().into());
                    expected.push(Parsed::Frame { header, head, body });
                }
                if between {
                    bytes.extend_from_slice(&small);
                    let header = Header::decode(small.first_chunk().unwrap()).unwrap();
                    let (head, body) = (Bytes::from_static(b"h"), Bytes::from_static(b"small"));
                    expected.push(Parsed::Frame { header, head, body });
                }
            }
        }
        let pieces: Vec<_> = bytes.chunks(size).collect();
        prop_assert_eq!(parse(&pieces, limit).unwrap(), expected);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..8)) {
        let pieces: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
        let _ = parse(&pieces, 1000);
    }

    #[test]
    fn hostile_lengths_do_not_panic(kind in 0..6usize, head: u32, body: u64, rest in proptest::collection::vec(any::<u8>(), 0..100)) {
        let header = Header { kind: KINDS[kind], flags: 0, head_len: head, body_len: body, call: 1 };
        let _ = parse(&[&header.encode(), &rest], 1000);
    }
}

#[test]
fn parts_of_two_bodies_and_impossible_parts_break_the_protocol() {
    let part = |kind, call, size: usize| frame(kind, call, FLAG_PART, b"", &vec![0; size]);
    let good = [part(Kind::Reply, 1, 10), part(Kind::Reply, 1, 10)].concat();
    assert_eq!(parse(&[&good], 1000), Some(Vec::new()));
    for bad in [
        [part(Kind::Reply, 1, 10), part(Kind::Reply, 2, 10)].concat(),
        [part(Kind::Reply, 1, 10), part(Kind::Chunk, 1, 10)].concat(),
        part(Kind::Reply, 1, 1001),
        [
            part(Kind::Reply, 1, 10),
            frame(Kind::Reply, 1, 0, b"", &[0; 1001]),
        ]
        .concat(),
    ] {
        assert_eq!(parse(&[&bad], 1000), None);
    }
    // A body over the limit is not kept, however large it is.
    let size = 1 << 20;
    let mut parser = Parser::new(size);
    let endless = part(Kind::Reply, 1, size);
    let mut sent = 0_u64;
    let error = loop {
        parser.buffer().reserve(endless.len());
        parser.buffer().put_slice(&endless);
        match parser.next_frame() {
            Ok(parsed) => assert_eq!(parsed, Parsed::Incomplete),
            Err(error) => break error,
        }
        assert!(parser.buffer().capacity() < 4 * size);
        sent += size as u64;
    };
    assert_eq!(sent, 4 << 30, "{error}");
}
