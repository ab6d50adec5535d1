//! Exact comparison of numbers of different kinds.

use std::cmp::Ordering;

use crate::value::Value;

/// A number of a [`Value`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(i128),
    Float(f64),
}

impl Number {
    pub(super) const fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Int(value) => Some(Self::Whole(*value as i128)),
            Value::UInt(value) => Some(Self::Whole(*value as i128)),
            Value::Float(value) => Some(Self::Float(*value)),
            _ => None,
        }
    }

    /// Compares two numbers exactly. `None` if one of them is NaN.
    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(&b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b),
            (Self::Whole(a), Self::Float(b)) => mixed(a, b),
            (Self::Float(a), Self::Whole(b)) => mixed(b, a).map(Ordering::reverse),
        }
    }
}

/// Compares exactly, even if the integer has more digits than the float.
fn mixed(whole: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // Integers have at most 64 bits, and the cast saturates.
    let floor = float.floor();
    let order = whole.cmp(&(floor as i128));
    Some(if order == Ordering::Equal && float > floor {
        Ordering::Less
    } else {
        order
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_beyond_those_of_a_float_count() {
        let exact = Number::Whole((1 << 53) + 1);
        assert_eq!(
            exact.compare(Number::Float(9_007_199_254_740_992.0)),
            Some(Ordering::Greater)
        );
        assert_eq!(
            Number::Whole(3).compare(Number::Float(3.5)),
            Some(Ordering::Less)
        );
        assert_eq!(
            Number::Whole(-3).compare(Number::Float(-3.5)),
            Some(Ordering::Greater)
        );
        assert_eq!(
            Number::Float(f64::INFINITY).compare(exact),
            Some(Ordering::Greater)
        );
        assert_eq!(Number::Float(f64::NAN).compare(exact), None);
    }
}
