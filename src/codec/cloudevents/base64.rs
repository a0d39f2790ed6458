//! The bytes of events that are JSON, as `data_base64` holds them: base64 of RFC 4648, section 4.

use base64::{
    DecodeError, Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Padded as it is written; its padding may be missing as it is read.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Appends bytes as text.
pub fn encode(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    let length = base64::encoded_len(bytes.len(), true).expect("an answer is far below the limit of addresses");
    out.resize(start + length, 0);
    BASE64.encode_slice(bytes, &mut out[start..]).expect("the room is as long as the text");
}

/// The bytes of a text. `Err`: the index from which on it is none.
pub fn decode(text: &str) -> Result<Vec<u8>, usize> {
    BASE64.decode(text).map_err(|error| match error {
        DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
        DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => text.trim_end_matches('=').len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_with_and_without_padding_and_faults_are_found_where_they_are() {
        let mut out = b"x".to_vec();
        encode(&mut out, &[0xFB, 0xFF]);
        assert_eq!(out, b"x+/8=");
        for text in ["Zm8=", "Zm8"] {
            assert_eq!(decode(text).as_deref(), Ok(&b"fo"[..]), "{text}");
        }
        for (wrong, at) in [("Zm9v!", 4), ("Zm9v-A==", 4), ("é", 0)] {
            assert_eq!(decode(wrong), Err(at), "{wrong}");
        }
    }
}
