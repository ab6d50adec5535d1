//! The macro for tables that become a part of a pool's settings.

/// Declares a table whose keys are all optional: `table! { Name for field { key: kind => |value|
/// plain, } }`.
macro_rules! table {
    ($(#[$doc:meta])* $name:ident for $field:ident { $($key:ident: $kind:ty => |$value:ident| $plain:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $($key: Option<$kind>,)*
        }

        impl $name {
            /// Fills unset keys from the defaults.
            pub(super) fn over(self, defaults: Self) -> Self {
                Self {
                    $($key: self.$key.or(defaults.$key),)*
                }
            }

            /// Applies the set keys to the settings of a pool.
            pub(super) fn apply(self, config: &mut crate::PoolConfig) {
                $(if let Some($value) = self.$key {
                    config.$field.$key = $plain;
                })*
            }
        }
    };
}

pub(super) use table;
