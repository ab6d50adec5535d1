//! Search for the data frame libraries that a spec names.

use super::Spec;
use crate::codec::frames::Libraries;

/// Depth at which the search ends, for types that contain themselves.
const DEPTH: usize = 16;

impl Spec {
    /// Returns the libraries whose data frames the spec accepts.
    pub(crate) fn frames(&self) -> Libraries {
        self.frames_within(DEPTH)
    }

    fn frames_within(&self, depth: usize) -> Libraries {
        let Some(depth) = depth.checked_sub(1) else {
            return Libraries::NONE;
        };
        let all = |specs: &[Self]| {
            let each = specs.iter().map(|spec| spec.frames_within(depth));
            each.fold(Libraries::NONE, Libraries::and)
        };
        match self {
            Self::Frame(_, _, library) => *library,
            Self::List(item)
            | Self::Set(item, _)
            | Self::FrozenSet(item, _)
            | Self::VarTuple(item)
            | Self::Limited(item, _)
            | Self::Made(_, _, item)
            | Self::Dict(_, item) => item.frames_within(depth),
            Self::Tuple(items) | Self::Union(items) => all(items),
            Self::TupleRest(first, rest, last) => {
                all(first).and(rest.frames_within(depth)).and(all(last))
            }
            Self::Dataclass(_, _, fields)
            | Self::TypedDict(_, fields)
            | Self::NamedTuple(_, _, fields) => {
                let each = fields.iter().map(|field| field.spec.frames_within(depth));
                each.fold(Libraries::NONE, Libraries::and)
            }
            Self::Ref(definition) => definition.spec().frames_within(depth),
            _ => Libraries::NONE,
        }
    }
}
