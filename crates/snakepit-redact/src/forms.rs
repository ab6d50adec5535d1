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
    forms.extend(behind_backslashes(value).map(String::into_bytes));
    forms.retain(|form| form.len() >= SHORTEST);
    forms.insert(value.as_bytes().to_vec());
    forms
}

/// Returns the value with escapes for what is not ASCII, as `backslashreplace` of Python writes it,
/// if a backslash stands before such a character: two in a row look like one that is escaped.
fn behind_backslashes(value: &str) -> Option<String> {
    let pairs = value.chars().zip(value.chars().skip(1));
    let mut pairs = pairs.filter(|(first, second)| *first == '\\' && !second.is_ascii());
    pairs.next()?;
    let mut written = String::new();
    for c in value.chars() {
        match u32::from(c) {
            ..0x80 => written.push(c),
            code @ ..0x100 => written.push_str(&format!("\\x{code:02x}")),
            code @ ..0x1_0000 => written.push_str(&format!("\\u{code:04x}")),
            code => written.push_str(&format!("\\U{code:08x}")),
        }
    }
    Some(written)
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
