//! Syntax of the texts that stand for other values; the patterns in `_hints/text_forms.py` accept
//! the same texts.

/// Returns whether a text has the form `YYYY-MM-DD`. Python checks that the day exists.
pub(super) fn is_date(text: &str) -> bool {
    fits(text, "dddd-dd-dd")
}

/// Returns whether a text is a date and a time with a `T` or a space between them.
pub(super) fn is_date_time(text: &str) -> bool {
    let Some((date, rest)) = text.split_at_checked(10) else {
        return false;
    };
    is_date(date) && rest.starts_with(['T', 't', ' ']) && is_time(&rest[1..])
}

/// Returns whether a text is `HH:MM`, with optional seconds, fraction and zone.
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

/// Returns whether a text is a UUID in five groups.
pub(super) fn is_uuid(text: &str) -> bool {
    fits(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
}

/// Returns whether a text is a decimal number, NaN or an infinity.
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

/// Returns whether a text is an integer as JSON writes it, of at most 1000 digits.
pub(super) fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    text == "0" || is_digits(digits) && !digits.starts_with('0') && digits.len() <= 1000
}

/// Returns whether a text is a number as JSON writes it.
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

/// Splits a number at its exponent; returns what is before it, and its digits.
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

/// Returns whether a text has this form: `d` stands for a digit, `x` for a hexadecimal digit, any
/// other character for itself.
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
