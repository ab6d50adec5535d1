//! Payloads within a value that is encoded: their bytes are copied as they are.
//!
//! A serializer of serde accepts no raw bytes. So a value is first encoded as usual. If that meets
//! a payload, the encoding starts again, into a buffer that the payload can access. Values without
//! payloads pay nothing for this.

use std::any::type_name;
use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::rc::Rc;

use bytes::Bytes;
use rmp_serde::config::{DefaultConfig, StructMapConfig};
use serde::ser::Error as _;
use serde::{Serialize, Serializer};

use super::Payload;
use crate::value::Value;

type Config = StructMapConfig<DefaultConfig>;
type Plain<'a, 'b> = &'a mut rmp_serde::Serializer<&'b mut Vec<u8>, Config>;
type Spliced<'a> = &'a mut rmp_serde::Serializer<Buffer, Config>;

/// Encoded values up to this size in bytes are copied out of the buffer, which is kept.
const COPIED: usize = 1024;

thread_local! {
    /// The buffer for the next value, empty.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static MODE: Cell<Mode> = const { Cell::new(Mode::None) };
    static BUFFER: RefCell<Option<Buffer>> = const { RefCell::new(None) };
}

/// The kind of encoding in progress on this thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    None,
    Plain,
    /// A plain encoding that met a payload, so its result must be discarded.
    Met,
}

/// The bytes so far, shared with the payloads that are met.
#[derive(Clone, Debug, Default)]
struct Buffer(Rc<RefCell<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Restores the previous mode of the thread, also after a panic.
struct Restore<F: FnMut()>(F);

impl<F: FnMut()> Drop for Restore<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Encodes a value.
///
/// # Errors
/// The value cannot be encoded, for this reason.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, String> {
    let mut bytes = SCRATCH.take();
    let encoded = encode_into(value, &mut bytes);
    if bytes.len() > COPIED {
        return encoded.map(|()| bytes.into());
    }
    // A copy has memory of its exact size, and needs one block where a longer vector needs two.
    let encoded = encoded.map(|()| Bytes::copy_from_slice(&bytes));
    bytes.clear();
    SCRATCH.set(bytes);
    encoded
}

fn encode_into<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) -> Result<(), String> {
    let (done, met) = {
        let outer = MODE.replace(Mode::Plain);
        let _restore = Restore(|| MODE.set(outer));
        let mut serializer = rmp_serde::Serializer::new(&mut *bytes).with_struct_map();
        let done = value.serialize(&mut serializer);
        (done, MODE.get() == Mode::Met)
    };
    if met {
        *bytes = splice(value)?;
        return Ok(());
    }
    done.map_err(|error| error.to_string())
}

fn splice<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, String> {
    let buffer = Buffer::default();
    {
        let mut outer = BUFFER.replace(Some(buffer.clone()));
        let _restore = Restore(|| drop(BUFFER.replace(outer.take())));
        let mut serializer = rmp_serde::Serializer::new(buffer.clone()).with_struct_map();
        let done = value.serialize(&mut serializer);
        done.map_err(|error| error.to_string())?;
    }
    Ok(buffer.0.take())
}

/// Writes one encoded value as it is, if the serializer is the one of [`Payload::encode`]; any
/// other serializer is given back.
pub(crate) fn raw<S: Serializer>(
    serializer: S,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), &'static str>,
) -> Result<Result<S::Ok, S::Error>, S> {
    let kind = type_name::<S>();
    if kind == type_name::<Plain<'_, '_>>() && MODE.get() != Mode::None {
        MODE.set(Mode::Met);
        return Ok(Err(S::Error::custom("encoded bytes within another value")));
    }
    let buffer = BUFFER.with_borrow(Clone::clone);
    let Some(buffer) = buffer.filter(|_| kind == type_name::<Spliced<'_>>()) else {
        return Err(serializer);
    };
    let begin = buffer.0.borrow().len();
    // The serializer requires that something is written; the bytes replace it.
    Ok(serializer.serialize_unit().and_then(|done| {
        let mut bytes = buffer.0.borrow_mut();
        bytes.truncate(begin);
        write(&mut bytes).map_err(S::Error::custom)?;
        Ok(done)
    }))
}

/// Within another value that is encoded with [`Payload::encode`], the encoded bytes are copied as
/// they are. For any other serializer they are decoded first.
impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.bytes.is_empty() {
            return serializer.serialize_unit();
        }
        let done = raw(serializer, |out| {
            out.extend_from_slice(&self.bytes);
            Ok(())
        });
        match done {
            Ok(done) => done,
            Err(serializer) => {
                let value: Value = self.decode().map_err(S::Error::custom)?;
                value.serialize(serializer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    struct Outer<A, B> {
        before: A,
        inner: B,
        after: Vec<A>,
    }

    fn outer<B>(inner: B) -> Outer<i64, B> {
        Outer {
            before: -5,
            inner,
            after: vec![1, 2],
        }
    }

    #[test]
    fn bytes_are_taken_as_they_are_at_any_depth() {
        let inner = outer(("text", [1.5, f64::NAN], Some(())));
        let payload = Payload::encode(&inner).unwrap();
        let direct = Payload::encode(&outer(outer(&inner))).unwrap();
        let spliced = Payload::encode(&outer(outer(payload.clone()))).unwrap();
        assert_eq!(direct, spliced);
        assert_eq!(Payload::encode(&payload).unwrap(), payload);
        let both = Payload::encode(&(&payload, 1, &payload)).unwrap();
        assert_eq!(both, Payload::encode(&(&inner, 1, &inner)).unwrap());
    }

    #[test]
    fn bytes_are_not_written_anew() {
        // 5 in nine bytes: an encoder would write one.
        let long = Payload::from_msgpack(vec![0xd3, 0, 0, 0, 0, 0, 0, 0, 5]);
        let encoded = Payload::encode(&outer((&long, [&long]))).unwrap();
        let found = encoded.bytes.windows(long.bytes.len());
        assert_eq!(found.filter(|bytes| *bytes == &long.bytes[..]).count(), 2);
    }

    #[test]
    fn other_serializers_get_the_value() {
        let payload = Payload::encode(&outer("x")).unwrap();
        let json = serde_json::to_value(&payload).unwrap();
        assert_eq!(json, serde_json::to_value(outer("x")).unwrap());
        let nothing = Payload::default();
        assert_eq!(
            serde_json::to_value(&nothing).unwrap(),
            serde_json::json!(null)
        );
    }

    /// Encodes another value during its own encoding, in two ways.
    struct Encodes(Payload);

    impl Serialize for Encodes {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let other = Payload::encode(&(1, &self.0)).map_err(S::Error::custom)?;
            let json = serde_json::to_string(&self.0).map_err(S::Error::custom)?;
            (other, json, &self.0).serialize(serializer)
        }
    }

    #[test]
    fn values_may_be_encoded_while_a_value_is_encoded() {
        let payload = Payload::encode(&7).unwrap();
        let direct = Payload::encode(&((1, 7), "7", 7)).unwrap();
        assert_eq!(Payload::encode(&Encodes(payload)).unwrap(), direct);
        assert_eq!(MODE.get(), Mode::None);
        assert!(BUFFER.with_borrow(Option::is_none));
    }
}
