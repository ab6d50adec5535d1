//! The memory that a request takes once it is decoded, estimated from its bytes while they arrive:
//! an empty element of a list has two bytes on the wire, and up to 350 in memory.

include!("../../generated/shapes.rs");

/// The fields of a message that take more memory than their bytes, by number.
#[derive(Debug)]
pub(super) struct Shape(&'static [(u32, Field)]);

/// A field that takes more memory than its bytes.
#[derive(Clone, Copy, Debug)]
enum Field {
    /// A message.
    One(&'static Shape),
    /// A list of messages, or a map, with the size of one element.
    Many(usize, &'static Shape),
    /// A list of texts.
    Texts(usize),
    /// A list of numbers, which may be packed.
    Numbers(usize),
}

/// Memory of an element of a list or map, as a multiple of its size: a list that grows has its old
/// elements and room for twice as many.
const GROWTH: usize = 3;

/// Memory of a text beyond its bytes.
const TEXT: usize = 32;

/// Depth at which prost refuses a message.
const DEPTH: usize = 100;

/// A walk through a message, byte by byte. Like prost, it follows lengths that exceed the message
/// around them.
#[derive(Debug)]
pub(super) struct Walk {
    /// The messages around the next byte, each with its end.
    around: Vec<(&'static Shape, usize)>,
    at: usize,
    next: Next,
    number: u64,
    shift: u32,
    cost: usize,
}

/// The part of a message that comes next.
#[derive(Clone, Copy, Debug)]
enum Next {
    Key,
    /// The length of a field. `None` of a field without a shape.
    Length(Option<Field>),
    Number,
    /// Bytes until a position.
    Bytes(usize),
    /// Packed numbers of this size until a position.
    Packed(usize, usize),
}

/// The error of a message that prost would refuse, too.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Shape {
    /// Returns the shape of the requests of a method.
    pub(super) fn of_requests(path: &str) -> &'static Self {
        static UNKNOWN: Shape = Shape(&[]);
        let known = REQUESTS.iter().find(|(method, _)| *method == path);
        known.map_or(&UNKNOWN, |(_, shape)| shape)
    }
}

impl Walk {
    /// Begins a walk through a message of `length` bytes.
    pub(super) fn new(shape: &'static Shape, length: usize) -> Self {
        Self {
            around: vec![(shape, length)],
            at: 0,
            next: Next::Key,
            number: 0,
            shift: 0,
            cost: 0,
        }
    }

    /// Returns the memory in bytes that the walked part takes beside its own bytes.
    pub(super) const fn cost(&self) -> usize {
        self.cost
    }

    /// Walks through the next bytes of the message, which has no others.
    ///
    /// # Errors
    /// The message is malformed.
    pub(super) fn walk(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
        while let [first, rest @ ..] = bytes {
            match self.next {
                Next::Bytes(end) => {
                    let skipped = bytes.len().min(end - self.at);
                    bytes = &bytes[skipped..];
                    self.at += skipped;
                    if self.at == end {
                        self.leave()?;
                    }
                }
                Next::Packed(size, end) => {
                    let part = bytes.len().min(end - self.at);
                    let (own, others) = bytes.split_at(part);
                    let numbers = own.iter().filter(|byte| **byte < 0x80).count();
                    self.cost += numbers * size * GROWTH;
                    bytes = others;
                    self.at += part;
                    if self.at == end {
                        self.leave()?;
                    }
                }
                Next::Key | Next::Length(_) | Next::Number => {
                    bytes = rest;
                    self.at += 1;
                    if let Some(number) = self.number(*first)? {
                        self.take(number)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes one byte of a number. Returns the number after its last byte.
    fn number(&mut self, byte: u8) -> Result<Option<u64>, Malformed> {
        if self.shift > 63 {
            return Err(Malformed);
        }
        self.number |= u64::from(byte & 0x7f) << self.shift;
        self.shift += 7;
        if byte >= 0x80 {
            return Ok(None);
        }
        self.shift = 0;
        Ok(Some(std::mem::take(&mut self.number)))
    }

    fn take(&mut self, number: u64) -> Result<(), Malformed> {
        match self.next {
            Next::Key => self.key(number),
            Next::Length(field) => self.length(field, number),
            _ => self.leave(),
        }
    }

    fn key(&mut self, key: u64) -> Result<(), Malformed> {
        let key = u32::try_from(key).map_err(|_| Malformed)?;
        let field = match self.around.last() {
            Some((shape, _)) => shape.0.iter().find(|(number, _)| *number == key >> 3),
            None => None,
        };
        let field = field.map(|(_, field)| *field);
        let alone = |size: usize| match field {
            Some(Field::Numbers(size)) => size * GROWTH,
            _ => size,
        };
        match key & 7 {
            0 => {
                self.cost += alone(0);
                self.next = Next::Number;
            }
            1 => {
                self.cost += alone(0);
                self.next = Next::Bytes(self.at + 8);
            }
            2 => self.next = Next::Length(field),
            5 => {
                self.cost += alone(0);
                self.next = Next::Bytes(self.at + 4);
            }
            // Groups, which proto3 does not have, are not looked into.
            _ => return Err(Malformed),
        }
        Ok(())
    }

    fn length(&mut self, field: Option<Field>, length: u64) -> Result<(), Malformed> {
        let whole = self.around.first().map_or(0, |(_, end)| *end);
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let end = self.at.saturating_add(length);
        if end > whole {
            return Err(Malformed);
        }
        self.cost += match field {
            Some(Field::Many(size, _)) => size * GROWTH,
            Some(Field::Texts(size)) => size * GROWTH + TEXT,
            Some(Field::One(_) | Field::Numbers(_)) => 0,
            None => TEXT,
        };
        match field {
            Some(Field::One(shape) | Field::Many(_, shape)) => {
                if self.around.len() >= DEPTH {
                    return Err(Malformed);
                }
                self.around.push((shape, end));
                return self.leave();
            }
            Some(Field::Numbers(size)) => self.next = Next::Packed(size, end),
            _ => self.next = Next::Bytes(end),
        }
        if self.at == end { self.leave() } else { Ok(()) }
    }

    /// Leaves a field, and the messages that end with it.
    fn leave(&mut self) -> Result<(), Malformed> {
        self.next = Next::Key;
        while let Some((_, end)) = self.around.last() {
            if self.at < *end {
                return Ok(());
            }
            if self.at > *end {
                return Err(Malformed);
            }
            // The message itself stays: it has no further bytes.
            if self.around.len() == 1 {
                return Ok(());
            }
            self.around.pop();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::pb;

    fn cost(method: &str, bytes: &[u8]) -> Result<usize, Malformed> {
        let path = format!("/snakepit.bridge.BridgeService/{method}");
        let mut walk = Walk::new(Shape::of_requests(&path), bytes.len());
        walk.walk(bytes)?;
        Ok(walk.cost())
    }

    /// Repeats a field with this content.
    fn repeated(number: u8, content: &[u8], times: usize) -> Vec<u8> {
        let key = u16::from(number) << 3 | 2;
        let key = if number < 16 {
            vec![key as u8]
        } else {
            vec![key as u8 | 0x80, (key >> 7) as u8]
        };
        [&key[..], &[content.len() as u8], content]
            .concat()
            .repeat(times)
    }

    #[test]
    fn elements_of_every_list_and_map_are_counted() {
        const TIMES: usize = 1000;
        let parameters = repeated(3, &[], 60);
        for (method, bytes, size) in [
            (
                "RegisterTools",
                repeated(2, &[], TIMES),
                size_of::<pb::ToolRegistration>(),
            ),
            (
                "RegisterTools",
                repeated(2, &parameters, TIMES),
                60 * size_of::<pb::ParameterSpec>(),
            ),
            (
                "SetVariables",
                repeated(2, &[], TIMES),
                size_of::<pb::VariableUpdate>(),
            ),
            (
                "ExecuteTool",
                repeated(102, &[], TIMES),
                size_of::<pb::Buffer>(),
            ),
            (
                "ExecuteToolMany",
                repeated(102, &[], TIMES),
                size_of::<pb::Buffer>(),
            ),
            (
                "ExecuteTool",
                repeated(102, &repeated(2, &[1; 60], 2), TIMES),
                120 * 8,
            ),
            (
                "ExecuteTool",
                repeated(102, &[0x10, 1].repeat(40), TIMES),
                40 * 8,
            ),
            ("GetVariables", repeated(2, &[], TIMES), 24),
            (
                "ExecuteElixirTool",
                repeated(3, &[], TIMES),
                24 + size_of::<prost_types::Any>(),
            ),
            ("InitializeSession", repeated(2, &[], TIMES), 48),
        ] {
            let cost = cost(method, &bytes).unwrap();
            let bounds = TIMES * size..8 * TIMES * size;
            assert!(bounds.contains(&cost), "{method}: {cost}, not {bounds:?}");
        }
        // Data and unknown fields take what they have on the wire.
        let data = pb::ExecuteToolRequest {
            payload: vec![0x12; 1 << 20].into(),
            ..Default::default()
        };
        assert!(cost("ExecuteTool", &data.encode_to_vec()).unwrap() < 100);
        assert_eq!(cost("Nothing", &[0x08, 1]), Ok(0));
    }

    #[test]
    fn lengths_are_followed_as_prost_follows_them() {
        // A tool of two bytes whose parameter claims all that comes: prost makes its texts first.
        let beyond = [&[0x12, 2, 0x1a, 100][..], &[0; 100]].concat();
        for bad in [
            &beyond[..],
            &[0x12, 2, 0x1a],
            &[0x13],
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0x7f],
            &[0xff; 11],
            &[0xff, 0xff, 0xff, 0xff, 0x7f, 0],
        ] {
            let walked = cost("RegisterTools", bad);
            let decoded = pb::RegisterToolsRequest::decode(bad);
            assert!(decoded.is_err(), "{bad:?}");
            // The end of the bytes is no error of the walk: prost reports it.
            assert!(walked.is_err() || bad.len() == 3, "{bad:?}: {walked:?}");
        }
        let follow = [&[0x12, 2, 0x1a, 40][..], &[0x0a, 0].repeat(20)].concat();
        let mut walk = Walk::new(
            Shape::of_requests("/snakepit.bridge.BridgeService/RegisterTools"),
            follow.len(),
        );
        assert_eq!(walk.walk(&follow), Err(Malformed));
        assert!(walk.cost() >= 20 * TEXT, "{}", walk.cost());
    }

    proptest! {
        #[test]
        fn a_walk_accepts_what_prost_accepts_however_it_is_cut(
            bytes in prop::collection::vec(prop_oneof![Just(0x12_u8), Just(0x1a), Just(2), Just(0), any::<u8>()], 0..60),
            cut in 0..60_usize,
        ) {
            for method in ["RegisterTools", "ExecuteTool", "SetVariables"] {
                let path = format!("/snakepit.bridge.BridgeService/{method}");
                let shape = Shape::of_requests(&path);
                let mut whole = Walk::new(shape, bytes.len());
                let walked = whole.walk(&bytes);
                let mut parts = Walk::new(shape, bytes.len());
                let (first, second) = bytes.split_at(cut.min(bytes.len()));
                let in_parts = parts.walk(first).and_then(|()| parts.walk(second));
                prop_assert_eq!((&walked, whole.cost()), (&in_parts, parts.cost()));
                let decoded = match method {
                    "RegisterTools" => pb::RegisterToolsRequest::decode(&bytes[..]).is_ok(),
                    "ExecuteTool" => pb::ExecuteToolRequest::decode(&bytes[..]).is_ok(),
                    _ => pb::SetVariablesRequest::decode(&bytes[..]).is_ok(),
                };
                // Nobody sends groups, the only thing that prost alone accepts.
                let groups = bytes.iter().any(|byte| matches!(byte & 7, 3 | 4));
                prop_assert!(!decoded || groups || walked.is_ok(), "{method}: {bytes:?}");
            }
        }
    }
}
