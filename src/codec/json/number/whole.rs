//! Integers that are not written as such: `1.0`, `1e3`, and those of twenty digits.

/// Why a number's text is no 64-bit integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotWhole {
    Fraction,
    TooLarge,
}

/// The sign and magnitude of a JSON number that has no fraction, however it is written.
pub fn whole(text: &str) -> Result<(bool, u64), NotWhole> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = before.bytes().chain(after.bytes());
    if digits.clone().all(|digit| digit == b'0') {
        return Ok((negative, 0));
    }
    // An exponent beyond 64 bits decides by its sign alone.
    let limit = if exponent.starts_with('-') { i64::MIN } else { i64::MAX };
    let point = exponent.parse().unwrap_or(limit).saturating_add(before.len() as i64);
    let mut magnitude = 0_u64;
    for (position, digit) in digits.enumerate() {
        if position as i64 >= point {
            if digit != b'0' {
                return Err(NotWhole::Fraction);
            }
            continue;
        }
        magnitude = push(magnitude, digit - b'0').ok_or(NotWhole::TooLarge)?;
    }
    for _ in (before.len() + after.len()) as i64..point {
        magnitude = push(magnitude, 0).ok_or(NotWhole::TooLarge)?;
    }
    Ok((negative, magnitude))
}

fn push(magnitude: u64, digit: u8) -> Option<u64> {
    magnitude.checked_mul(10)?.checked_add(u64::from(digit))
}
