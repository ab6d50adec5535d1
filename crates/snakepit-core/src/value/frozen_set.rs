//! Immutable sets, which can be keys.

use super::Value;
use crate::value::Payload;

/// A `frozenset` of Python, which can be a key of a map. Two sets are equal if they have the same
/// items in any order.
///
/// A type with serde's list (`Vec`, `HashSet`, `BTreeSet`) reads it, too; what such a type writes
/// is a list, or as a key a tuple.
///
/// ```
/// # use snakepit_core::value::{FrozenSet, Value};
/// let set = FrozenSet::new([1.into(), "a".into()]);
/// assert_eq!(set, FrozenSet::new(["a".into(), 1.into()]));
/// let map = Value::Map(vec![(set.into(), true.into())]);
/// assert_eq!(map.to_string(), r#"{{1, "a"}: true}"#);
/// ```
#[derive(Clone, Debug, Default)]
pub struct FrozenSet(Vec<Value>);

impl FrozenSet {
    /// Creates a set of these items. An item that occurs twice counts once in Python, so items
    /// should be distinct.
    pub fn new(items: impl IntoIterator<Item = Value>) -> Self {
        Self(items.into_iter().collect())
    }

    /// Returns the items in the order in which they were given or received.
    pub fn items(&self) -> &[Value] {
        &self.0
    }

    /// Returns the items, consuming the set.
    pub fn into_items(self) -> Vec<Value> {
        self.0
    }
}

impl From<FrozenSet> for Value {
    fn from(set: FrozenSet) -> Self {
        Self::FrozenSet(set)
    }
}

impl PartialEq for FrozenSet {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && (self.0 == other.0 || sorted(&self.0) == sorted(&other.0))
    }
}

/// Returns the identities of the items, sorted, so that sets in any order compare equal.
fn sorted(items: &[Value]) -> Vec<Vec<u8>> {
    let mut items: Vec<_> = items.iter().map(identity).collect();
    items.sort();
    items
}

/// Returns bytes that are the same for equal items.
fn identity(item: &Value) -> Vec<u8> {
    let (kind, parts) = match item {
        Value::FrozenSet(set) => (b'{', sorted(&set.0)),
        Value::List(items) => (b'[', items.iter().map(identity).collect()),
        other => {
            let encoded = Payload::encode(other).map(|payload| payload.bytes.to_vec());
            return encoded.unwrap_or_default();
        }
    };
    let mut bytes = vec![kind];
    for part in parts {
        bytes.extend_from_slice(&part.len().to_le_bytes());
        bytes.extend(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Value {
        FrozenSet::new(items.into_iter().map(Into::into)).into()
    }

    #[test]
    fn the_order_of_items_is_none_of_what_a_set_is() {
        let numbers = |items: [i64; 3]| set(items);
        assert_eq!(numbers([1, 2, 3]), numbers([3, 1, 2]));
        assert_ne!(numbers([1, 2, 3]), numbers([1, 2, 4]));
        assert_ne!(set([1_i64]), Value::List(vec![1_i64.into()]));
        let nested =
            |a: [i64; 2], b: [i64; 2]| set([set(a), Value::List(vec![set(b), "x".into()])]);
        assert_eq!(nested([1, 2], [3, 4]), nested([2, 1], [4, 3]));
        assert_ne!(nested([1, 2], [3, 4]), nested([3, 4], [1, 2]));
        assert_ne!(set([set([1_i64])]), set([Value::List(vec![1_i64.into()])]));
    }
}
