//! A deserializer that counts the memory of the values that it reads.
//!
//! A codec does not know their sizes, but types have sizes: an item of a list or a map takes the
//! size of its type, and so does a value behind a pointer. A value that lies within another one, as
//! a field does in its struct, is a part of it. Texts and bytes are no longer than the input, but
//! each takes an allocation, and a container has more places than items.

mod budget;
mod placed;

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::serde_impl::is_exact;
pub(crate) use budget::Budget;
use budget::{ALLOCATION, NUMBER, PLACES};
use placed::Placed;

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

    /// Deducts the value of a visitor, unless it lies in its destination. `kind` says where its
    /// items and its text are.
    #[inline]
    fn visit<'de, V: Visitor<'de>, E: Error>(
        budget: &'b Budget,
        place: usize,
        visitor: V,
        kind: Kind,
    ) -> Result<Watched<'b, V>, E> {
        let size = size_of::<V::Value>();
        if size > place {
            budget.take(1, size - place)?;
        }
        Ok(Watched {
            visitor,
            budget,
            place: place.max(size),
            kind,
        })
    }
}

/// The place of the items and the text of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Elsewhere in memory.
    Apart,
    /// The items are parts of the value.
    Within,
    /// Nowhere: the name of a field or a variant is not kept.
    Name,
}

macro_rules! deserialize {
    ($($method:ident($($name:ident: $type:ty),*) as $kind:ident;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = Self::visit(self.budget, self.place, visitor, Kind::$kind)?;
            self.inner.$method($($name,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Counted<'_, D> {
    type Error = D::Error;

    deserialize! {
        deserialize_any() as Apart;
        deserialize_bool() as Apart;
        deserialize_i8() as Apart;
        deserialize_i16() as Apart;
        deserialize_i32() as Apart;
        deserialize_i64() as Apart;
        deserialize_i128() as Apart;
        deserialize_u8() as Apart;
        deserialize_u16() as Apart;
        deserialize_u32() as Apart;
        deserialize_u64() as Apart;
        deserialize_u128() as Apart;
        deserialize_f32() as Apart;
        deserialize_f64() as Apart;
        deserialize_char() as Apart;
        deserialize_str() as Apart;
        deserialize_string() as Apart;
        deserialize_bytes() as Apart;
        deserialize_byte_buf() as Apart;
        deserialize_option() as Apart;
        deserialize_unit() as Apart;
        deserialize_unit_struct(name: &'static str) as Apart;
        deserialize_newtype_struct(name: &'static str) as Apart;
        deserialize_seq() as Apart;
        deserialize_map() as Apart;
        deserialize_identifier() as Name;
        deserialize_ignored_any() as Apart;
        deserialize_tuple(length: usize) as Within;
        deserialize_tuple_struct(name: &'static str, length: usize) as Within;
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) as Within;
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) as Within;
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
    kind: Kind,
}

impl<'b, V> Watched<'b, V> {
    fn items<A>(&self, access: A) -> Items<'b, A> {
        Items::new(access, self.budget, self.kind == Kind::Within)
    }

    /// Deducts a text or bytes that are kept.
    fn text<E: Error>(&self, length: usize) -> Result<(), E> {
        match self.kind {
            Kind::Name => Ok(()),
            _ => self.budget.take_text(length),
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

macro_rules! visit_text {
    ($($method:ident($type:ty))*) => {$(
        #[inline]
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.text(value.len())?;
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
        visit_u32(u32) visit_u64(u64) visit_u128(u128) visit_f32(f32) visit_f64(f64) visit_char(char)
    }

    visit_text! {
        visit_str(&str) visit_borrowed_str(&'de str) visit_string(String) visit_bytes(&[u8]) visit_borrowed_bytes(&'de [u8])
        visit_byte_buf(Vec<u8>)
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
    /// The container is deducted.
    begun: bool,
    /// Number of places without items.
    spare: usize,
}

impl<'b, A> Items<'b, A> {
    const fn new(access: A, budget: &'b Budget, within: bool) -> Self {
        Self {
            access,
            budget,
            within,
            paid: 0,
            begun: false,
            spare: 0,
        }
    }

    /// Deducts the next item, and with it all items that are claimed to follow.
    fn pay<T, E: Error>(&mut self, claimed: Option<usize>) -> Result<(), E> {
        let size = size_of::<T>();
        if self.within || claimed == Some(0) || (self.begun && size <= NUMBER) {
            return Ok(());
        }
        if !self.begun {
            self.begin::<T, E>(claimed)?;
        }
        if self.paid == 0 && size > NUMBER {
            // An input cannot have more items than bytes; a larger claim fails at the end of the
            // input.
            self.paid = claimed
                .filter(|items| *items <= self.budget.input())
                .unwrap_or(1);
            self.budget.take(self.paid, size)?;
        }
        self.paid = self.paid.saturating_sub(1);
        Ok(())
    }

    /// Deducts the size of a container from the budget, before its first item.
    #[inline(never)]
    fn begin<T, E: Error>(&mut self, claimed: Option<usize>) -> Result<(), E> {
        self.begun = true;
        let (items, size) = (claimed.unwrap_or(1), size_of::<T>());
        if size <= NUMBER {
            self.budget.take(1, 2 * ALLOCATION)?;
            self.budget
                .take_numbers(items.min(self.budget.input()), size)?;
        }
        if !is_exact::<T>() {
            self.spare = PLACES.saturating_sub(items);
        }
        self.budget.take(self.spare, size)
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
        self.pay::<S::Value, _>(self.access.size_hint())?;
        let seed = self.placed(seed, size_of::<S::Value>());
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
        self.pay::<S::Value, _>(self.access.size_hint())?;
        let seed = self.placed(seed, size_of::<S::Value>());
        self.access.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let size = size_of::<S::Value>();
        if !self.within {
            self.budget
                .take(1 + std::mem::take(&mut self.spare), size)?;
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
        let variant = Items::new(access, self.budget, true);
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
            kind: Kind::Within,
        }
    }
}
