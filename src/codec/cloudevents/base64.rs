//! Base64 (RFC 4648, section 4), for the bytes of events that are JSON: what `data_base64` holds.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Stands among [`VALUES`] for what is no digit.
const NONE: u8 = 64;
const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut digit = 0;
    while digit < 64 {
        values[ALPHABET[digit as usize] as usize] = digit;
        digit += 1;
    }
    values
}

/// Appends bytes as text, padded.
pub fn encode(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len().div_ceil(3) * 4);
    let digit = |bits: u32| ALPHABET[(bits & 63) as usize];
    let (triples, rest) = bytes.as_chunks::<3>();
    for &[a, b, c] in triples {
        let bits = u32::from_be_bytes([0, a, b, c]);
        out.extend_from_slice(&[digit(bits >> 18), digit(bits >> 12), digit(bits >> 6), digit(bits)]);
    }
    match *rest {
        [a] => out.extend_from_slice(&[digit(u32::from(a) >> 2), digit(u32::from(a) << 4), b'=', b'=']),
        [a, b] => {
            let bits = u32::from_be_bytes([0, 0, a, b]) << 2;
            out.extend_from_slice(&[digit(bits >> 12), digit(bits >> 6), digit(bits), b'=']);
        }
        _ => {}
    }
}

/// The bytes of a text; its padding may be missing. `Err`: the index of what does not belong there.
pub fn decode(text: &str) -> Result<Vec<u8>, usize> {
    let digits = text.trim_end_matches('=').as_bytes();
    let padding = text.len() - digits.len();
    if digits.len() % 4 == 1 || padding > 2 || (padding > 0 && !text.len().is_multiple_of(4)) {
        return Err(digits.len());
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for (index, four) in digits.chunks(4).enumerate() {
        let mut bits = 0;
        for (place, digit) in four.iter().enumerate() {
            let value = VALUES[usize::from(*digit)];
            if value == NONE {
                return Err(index * 4 + place);
            }
            bits |= u32::from(value) << (18 - 6 * place);
        }
        let [_, triple @ ..] = bits.to_be_bytes();
        bytes.extend_from_slice(&triple[..four.len() * 3 / 4]);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        encode(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_is_that_of_the_rfc() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!((&*encoded(bytes.as_bytes()), decode(text).as_deref()), (text, Ok(bytes.as_bytes())));
        }
        assert_eq!(encoded(&[0xFB, 0xFF]), "+/8=");
        assert_eq!(decode("Zm8").as_deref(), Ok(&b"fo"[..]), "without its padding");
        for (wrong, at) in [("Zm9v!", 5), ("Zm9v-A==", 4), ("Zm8= ", 3), ("Zg=", 2), ("====", 0), ("é", 0)] {
            assert!(decode(wrong).is_err_and(|found| found == at), "{wrong}: {:?}", decode(wrong));
        }
    }

    proptest! {
        #[test]
        fn bytes_survive(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encoded(&bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_is_taken_or_refused(text: String) {
            drop(decode(&text));
        }
    }
}
