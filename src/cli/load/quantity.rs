//! Numbers as people write them: `200k`, `2M`, `3000/s`.

use std::str::FromStr;

/// How many requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u64);

impl FromStr for Count {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = number(text).filter(|number| number.fract() == 0.0 && *number <= 1e12);
        number.map(|number| Self(number as u64)).ok_or("expected a whole number, such as 5000, 200k or 2M")
    }
}

/// Requests per second; above zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(pub f64);

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = number(text.strip_suffix("/s").unwrap_or(text)).filter(|number| *number > 0.0);
        number.map(Self).ok_or("expected a number above zero, such as 3000/s or 50k/s")
    }
}

fn number(text: &str) -> Option<f64> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1e3),
        b'M' => (&text[..text.len() - 1], 1e6),
        _ => (text, 1.0),
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'_'));
    let number: f64 = digits.replace('_', "").parse().ok().filter(|_| plain)?;
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_as_people_write_them() {
        let counts = ["5000", "200k", "2M", "1.5k", "200_000"].map(str::parse::<Count>);
        assert_eq!(counts, [5_000, 200_000, 2_000_000, 1_500, 200_000].map(|count| Ok(Count(count))));
        for wrong in ["", "k", "-1", "0.5", "1e3", "ten", "inf"] {
            assert!(wrong.parse::<Count>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_are_above_zero() {
        assert_eq!(["3000/s", "0.5", "50k/s"].map(str::parse), [Ok(Rate(3e3)), Ok(Rate(0.5)), Ok(Rate(5e4))]);
        assert!("0/s".parse::<Rate>().is_err() && "NaN".parse::<Rate>().is_err());
    }
}
