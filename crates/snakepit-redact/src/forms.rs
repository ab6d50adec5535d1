//! The forms in which a known value is searched for, beside its escapes.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::plain::Plain;
use super::unescape::layers;

/// Shortest form that is not the value itself, in bytes: shorter ones are too common.
const SHORTEST: usize = 8;

/// Returns the value, what it is if something in it looks like an escape, and its base64.
///
/// Escapes of the value are undone in the text ([`layers`]). If the text has another escape, a part
/// of the value may be undone, too, so that the layers of the value are forms of it.
pub(super) fn of(value: &str) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    layers(value, |layer| {
        forms.insert(layer.text.clone());
    });
    forms.extend(base64(value).into_iter().map(String::into_bytes));
    forms.insert(Plain::of(value).text().as_bytes().to_vec());
    // Spaces are plus signs in the queries of URLs.
    forms.insert(value.replace(' ', "+").into_bytes());
    forms.retain(|form| form.len() >= SHORTEST);
    forms.insert(value.as_bytes().to_vec());
    forms
}

/// Returns the base64 of the value inside that of a longer text: for each of the three positions of
/// its first byte, the characters that depend on the value only.
fn base64(value: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for engine in [STANDARD, URL_SAFE] {
        forms.push(engine.encode(value));
        for before in 0..3 {
            let text = [&[0; 2][..before], value.as_bytes()].concat();
            let (first, last) = ((before * 8).div_ceil(6), text.len() * 8 / 6);
            let encoded = engine.encode(&text);
            forms.extend(encoded.get(first..last).map(str::to_owned));
        }
    }
    forms
}
