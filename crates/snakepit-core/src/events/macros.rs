//! The macros behind [`Event`](super::Event). One row of the catalogue becomes a variant, its name,
//! its level, its fields and its `tracing` event. A further macro emits an event.

/// Emits an event into a hub: `emit!(hub, PoolClosed { pool: name.clone() })`. The fields are
/// evaluated only if the event has a recipient.
macro_rules! emit {
    ($hub:expr, $variant:ident { $($fields:tt)* }) => {
        $hub.emit($crate::events::kind::$variant, || {
            $crate::events::Event::$variant { $($fields)* }
        })
    };
}
pub(crate) use emit;

/// Defines the events. A row is `/// doc`, `Variant "name" LEVEL { field: Type, .. }`; the fields'
/// docs are in `field_docs`.
macro_rules! events {
    ($(
        $(#[doc = $doc:literal])+
        $variant:ident $name:literal $level:ident { $($field:ident: $type:ty),* $(,)? }
    )*) => {
        /// One thing that happened in a host.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum Event {
            $(
                $(#[doc = $doc])+
                #[doc = concat!("\n\nName: `", $name, "`. Level: ", stringify!($level), ".")]
                $variant { $(
                    #[doc = $crate::events::field_docs::field_doc!($field)]
                    $field: $type,
                )* },
            )*
            /// An event with a name of its own, reported by a worker or by the program.
            Custom($crate::events::CustomEvent),
        }

        /// The kinds of events.
        #[expect(non_upper_case_globals, reason = "each has the name of its event")]
        pub mod kind {
            use ::tracing::Level;
            use $crate::events::Kind;

            #[repr(u8)]
            enum Number { $($variant,)* Custom }

            $(
                #[doc = concat!("Kind of `", $name, "`.")]
                pub const $variant: Kind = Kind::new(Number::$variant as u8, Level::$level);
            )*
            /// Kind of all custom events.
            pub const Custom: Kind = Kind::new(Number::Custom as u8, Level::DEBUG);
        }

        impl Event {
            /// The catalogue, in order. Custom events are not in it.
            pub const CATALOGUE: &'static [$crate::events::EventInfo] = &[$(
                $crate::events::EventInfo {
                    name: $name,
                    level: ::tracing::Level::$level,
                    doc: concat!($($doc),+),
                    fields: &[$(
                        $crate::events::FieldInfo {
                            name: stringify!($field),
                            doc: $crate::events::field_docs::field_doc!($field),
                        },
                    )*],
                },
            )*];

            /// Returns the name without the prefix, for example `worker.recycled`.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant { .. } => $name,)*
                    Self::Custom(custom) => custom.name(),
                }
            }

            /// Returns the kind.
            pub const fn kind(&self) -> $crate::events::Kind {
                match self {
                    $(Self::$variant { .. } => kind::$variant,)*
                    Self::Custom(_) => kind::Custom,
                }
            }

            /// Returns the level in `tracing`.
            pub const fn level(&self) -> ::tracing::Level {
                self.kind().level()
            }

            /// Calls `visit` with each field, in order.
            pub fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a str, $crate::events::FieldValue<'a>)) {
                match self {
                    $(Self::$variant { $($field),* } => {
                        $(visit(stringify!($field), $crate::events::field::Field::plain($field));)*
                    })*
                    Self::Custom(custom) => custom.visit(visit),
                }
            }

            /// Emits the event to `tracing`.
            pub(super) fn trace(&self) {
                match self {
                    $(Self::$variant { $($field),* } => ::tracing::event!(
                        target: $crate::events::TARGET,
                        ::tracing::Level::$level,
                        event = $name,
                        message = concat!($($doc),+).trim_ascii_start(),
                        $($field = $crate::events::field::Field::traced($field),)*
                    ),)*
                    Self::Custom(custom) => custom.trace(),
                }
            }
        }
    };
}
pub(super) use events;
