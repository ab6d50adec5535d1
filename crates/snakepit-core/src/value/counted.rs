//! A deserializer that counts the memory of the values that it reads.
//!
//! A codec does not know their sizes, but types have sizes: an item of a list or a map takes the
//! size of its type, and so does a value behind a pointer. A value that lies within another one, as
//! a field does in its struct, is a part of it. Texts and bytes are no longer than the input.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::shared;

/// Memory that the values of an input may take, in bytes: this much, and [`PER_BYTE`] for each byte
/// of the input. A byte of MessagePack may be an item of a list, and an item of a tree takes 32
/// bytes and more: without a limit, 64 MiB could become several gigabytes.
const ALLOWED: usize = 64 << 20;

/// Memory for each byte of the input, in bytes. See [`ALLOWED`].
const PER_BYTE: usize = 4;

/// Largest size of values that are not counted. Numbers take at most eight times their input, and
/// lists of them are common.
const NUMBER: usize = 8;

/// The memory that the values of one input may still take.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Cell<usize>,
    input: usize,
}

impl Budget {
    /// Creates the budget of an input of this many bytes.
    pub(crate) const fn of(input: usize) -> Self {
        Self {
            left: Cell::new(ALLOWED + input.saturating_mul(PER_BYTE)),
            input,
        }
    }

    /// Deducts the memory of `items` values of a size, before they are read.
    fn take<E: Error>(&self, items: usize, size: usize) -> Result<(), E> {
        if size <= NUMBER {
            return Ok(());
        }
        let left = self.left.get();
        let left = left.checked_sub(items.saturating_mul(size));
        self.left.set(left.ok_or_else(|| too_large(items))?);
        Ok(())
    }
}

#[cold]
fn too_large<E: Error>(items: usize) -> E {
    shared::refuse();
    E::custom(format_args!(
        "{items} more items would take more than {} MiB and {PER_BYTE} bytes of memory for each byte of the payload: send less at a time, \
         or an array of numbers",
        ALLOWED >> 20,
    ))
}

/// A deserializer with the budget of its input. `place` is the size of the destination of the
/// value, which is already deducted.
#[derive(Debug)]
pub(crate) struct Counted<'b, D> {
    inner: D,
    budget: &'b Budget,
    place: usize,
}

impl<'b, D> Counted<'b, D> {
    /// Creates a deserializer for a destination of this size.
    pub(crate) const fn new(inner: D, budget: &'b Budget, place: usize) -> Self {
        Self {
            inner,
            budget,
            place,
        }
    }

    /// Deducts the value of a visitor, unless it lies in its destination. `within` says that its
    /// items are parts of it.
    #[inline]
    fn visit<'de, V: Visitor<'de>, E: Error>(
        budget: &'b Budget,
        place: usize,
        visitor: V,
        within: bool,
    ) -> Result<Watched<'b, V>, E> {
        let size = size_of::<V::Value>();
        if size > place {
            budget.take(1, size - place)?;
        }
        Ok(Watched {
            visitor,
            budget,
            place: place.max(size),
            within,
        })
    }
}

macro_rules! deserialize {
    ($($method:ident($($name:ident: $type:ty),*) within $within:literal;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = Self::visit(self.budget, self.place, visitor, $within)?;
            self.inner.$method($($name,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Counted<'_, D> {
    type Error = D::Error;

    deserialize! {
        deserialize_any() within false;
        deserialize_bool() within false;
        deserialize_i8() within false;
        deserialize_i16() within false;
        deserialize_i32() within false;
        deserialize_i64() within false;
        deserialize_i128() within false;
        deserialize_u8() within false;
        deserialize_u16() within false;
        deserialize_u32() within false;
        deserialize_u64() within false;
        deserialize_u128() within false;
        deserialize_f32() within false;
        deserialize_f64() within false;
        deserialize_char() within false;
        deserialize_str() within false;
        deserialize_string() within false;
        deserialize_bytes() within false;
        deserialize_byte_buf() within false;
        deserialize_option() within false;
        deserialize_unit() within false;
        deserialize_unit_struct(name: &'static str) within false;
        deserialize_newtype_struct(name: &'static str) within false;
        deserialize_seq() within false;
        deserialize_map() within false;
        deserialize_identifier() within false;
        deserialize_ignored_any() within false;
        deserialize_tuple(length: usize) within true;
        deserialize_tuple_struct(name: &'static str, length: usize) within true;
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) within true;
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) within true;
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// A visitor whose items are counted.
struct Watched<'b, V> {
    visitor: V,
    budget: &'b Budget,
    place: usize,
    /// The items are parts of the value.
    within: bool,
}

impl<'b, V> Watched<'b, V> {
    fn items<A>(&self, access: A) -> Items<'b, A> {
        Items {
            access,
            budget: self.budget,
            within: self.within,
            paid: 0,
        }
    }

    const fn counted<D>(&self, inner: D) -> Counted<'b, D> {
        Counted::new(inner, self.budget, self.place)
    }
}

macro_rules! visit {
    ($($method:ident($type:ty))*) => {$(
        #[inline]
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watched<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    visit! {
        visit_bool(bool) visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128) visit_u8(u8) visit_u16(u16)
        visit_u32(u32) visit_u64(u64) visit_u128(u128) visit_f32(f32) visit_f64(f64) visit_char(char) visit_str(&str)
        visit_borrowed_str(&'de str) visit_string(String) visit_bytes(&[u8]) visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let inner = self.counted(inner);
        self.visitor.visit_some(inner)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let inner = self.counted(inner);
        self.visitor.visit_newtype_struct(inner)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let items = self.items(access);
        self.visitor.visit_seq(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let items = self.items(access);
        self.visitor.visit_map(items)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let items = self.items(access);
        self.visitor.visit_enum(items)
    }
}

/// The items of a list or a map, or the variant of an enum.
struct Items<'b, A> {
    access: A,
    budget: &'b Budget,
    within: bool,
    /// Number of items that are deducted and not yet read.
    paid: usize,
}

impl<'b, A> Items<'b, A> {
    /// Deducts the next item, and with it all items that are claimed to follow.
    fn pay<E: Error>(&mut self, claimed: Option<usize>, size: usize) -> Result<(), E> {
        if self.within || size <= NUMBER {
            return Ok(());
        }
        if self.paid == 0 {
            // An input cannot have more items than bytes; a larger claim fails at the end of the
            // input.
            self.paid = claimed
                .filter(|items| *items <= self.budget.input)
                .unwrap_or(1);
            self.budget.take(self.paid, size)?;
        }
        self.paid = self.paid.saturating_sub(1);
        Ok(())
    }

    const fn placed<S>(&self, seed: S, place: usize) -> Placed<'b, S> {
        Placed {
            seed,
            budget: self.budget,
            place,
        }
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Items<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let size = size_of::<S::Value>();
        self.pay(self.access.size_hint(), size)?;
        let seed = self.placed(seed, size);
        self.access.next_element_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.access.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Items<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let size = size_of::<S::Value>();
        self.pay(self.access.size_hint(), size)?;
        let seed = self.placed(seed, size);
        self.access.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let size = size_of::<S::Value>();
        if !self.within {
            self.budget.take(1, size)?;
        }
        let seed = self.placed(seed, size);
        self.access.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.access.size_hint()
    }
}

impl<'de, 'b, A: EnumAccess<'de>> EnumAccess<'de> for Items<'b, A> {
    type Error = A::Error;
    type Variant = Items<'b, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let seed = self.placed(seed, size_of::<S::Value>());
        let (value, access) = self.access.variant_seed(seed)?;
        let variant = Items {
            access,
            budget: self.budget,
            within: true,
            paid: 0,
        };
        Ok((value, variant))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Items<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.access.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.placed(seed, size_of::<S::Value>());
        self.access.newtype_variant_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.part(visitor);
        self.access.tuple_variant(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.part(visitor);
        self.access.struct_variant(fields, visitor)
    }
}

impl<'b, A> Items<'b, A> {
    /// Returns the visitor of a variant's content.
    const fn part<'de, V: Visitor<'de>>(&self, visitor: V) -> Watched<'b, V> {
        Watched {
            visitor,
            budget: self.budget,
            place: size_of::<V::Value>(),
            within: true,
        }
    }
}

/// A seed whose value goes to a destination of this size.
struct Placed<'b, S> {
    seed: S,
    budget: &'b Budget,
    place: usize,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Placed<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        let counted = Counted::new(inner, self.budget, self.place);
        self.seed.deserialize(counted)
    }
}
