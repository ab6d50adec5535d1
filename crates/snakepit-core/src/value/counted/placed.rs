//! The destination of a value.

use serde::de::{DeserializeSeed, Deserializer};

use super::{Budget, Counted};

/// A seed whose value goes to a destination of this size.
pub(super) struct Placed<'b, S> {
    pub(super) seed: S,
    pub(super) budget: &'b Budget,
    pub(super) place: usize,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Placed<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        let counted = Counted::new(inner, self.budget, self.place);
        self.seed.deserialize(counted)
    }
}
