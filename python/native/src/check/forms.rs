//! The forms of texts that stand for other values; the patterns of `_text_forms.py` say the same.

/// A date, `YYYY-MM-DD`. Whether there is such a day is left to Python.
pub(super) fn is_date(text: &str) -> bool {
    fits(text, "dddd-dd-dd")
}

/// A date and a time with a `T` or a space between them.
pub(super) fn is_date_time(text: &str) -> bool {
    let Some((date, rest)) = text.split_at_checked(10) else {
        return false;
    };
    is_date(date) && rest.starts_with(['T', 't', ' ']) && is_time(&rest[1..])
}

/// `HH:MM`, with seconds, a fraction of them, and a zone if they are there.
pub(super) fn is_time(text: &str) -> bool {
    let at = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(at);
    let (clock, fraction) = match clock.split_once(['.', ',']) {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (clock, None),
    };
    let has_zone = match zone.strip_prefix(['+', '-']) {
        Some(offset) => fits(offset, "dd:dd") && offset < "24:00" && &offset[3..] < "60",
        None => matches!(zone, "" | "Z" | "z"),
    };
    let clock = match fraction {
        None => fits(clock, "dd:dd") || fits(clock, "dd:dd:dd"),
        Some(digits) => fits(clock, "dd:dd:dd") && is_digits(digits),
    } && clock < "24:00";
    clock && has_zone
}

/// A UUID in its five groups.
pub(super) fn is_uuid(text: &str) -> bool {
    fits(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
}

/// A decimal number, NaN or an infinity.
pub(super) fn is_decimal(text: &str) -> bool {
    let plain = text.strip_prefix(['+', '-']).unwrap_or(text);
    if plain == "Infinity" || text == "NaN" {
        return true;
    }
    let (number, exponent) = split_exponent(plain);
    let exponent = exponent.is_none_or(|digits| is_digits(digits) && digits.len() <= 9);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all = [whole, fraction];
    exponent
        && all.iter().any(|digits| !digits.is_empty())
        && all
            .iter()
            .all(|digits| digits.is_empty() || is_digits(digits))
}

/// A whole number as JSON writes it, as a key.
pub(super) fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    text == "0" || is_digits(digits) && !digits.starts_with('0') && digits.len() <= 1000
}

/// A number as JSON writes it.
pub(super) fn is_number(text: &str) -> bool {
    let plain = text.strip_prefix('-').unwrap_or(text);
    let (number, exponent) = split_exponent(plain);
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let whole = whole == "0" || is_digits(whole) && !whole.starts_with('0');
    whole && fraction.is_none_or(is_digits) && exponent.is_none_or(is_digits)
}

/// The number before the exponent, and the digits of the exponent.
fn split_exponent(text: &str) -> (&str, Option<&str>) {
    match text.split_once(['e', 'E']) {
        Some((number, exponent)) => {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            (number, Some(digits))
        }
        None => (text, None),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `d` in the form stands for a digit, `x` for a hexadecimal one, anything else for itself.
fn fits(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text
            .bytes()
            .zip(form.bytes())
            .all(|(byte, form)| match form {
                b'd' => byte.is_ascii_digit(),
                b'x' => byte.is_ascii_hexdigit(),
                form => byte == form,
            })
}
