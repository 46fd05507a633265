//! Hashes and salts as lower-case hexadecimal text, for `#[serde(with = "…")]`.

use std::fmt::Write as _;

/// Writes bytes as lower-case hexadecimal digits.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn decode<const LENGTH: usize>(text: &str) -> Result<[u8; LENGTH], String> {
    let digits = text.as_bytes();
    if digits.len() != LENGTH * 2 {
        return Err(format!("expected {} hexadecimal digits, found {} characters", LENGTH * 2, digits.len()));
    }
    let mut bytes = [0; LENGTH];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
}

fn digit(character: u8) -> Result<u8, String> {
    match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        _ => Err(format!("expected lower-case hexadecimal digits, found the byte {character:#04x}")),
    }
}

/// A value that must be there.
pub(crate) mod required {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::borrow::Cow;

    pub(crate) fn serialize<S: Serializer, const LENGTH: usize>(
        bytes: &[u8; LENGTH],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, const LENGTH: usize>(
        deserializer: D,
    ) -> Result<[u8; LENGTH], D::Error> {
        super::decode(&Cow::<'de, str>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A value that may be null or left out.
pub(crate) mod optional {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::borrow::Cow;

    pub(crate) fn serialize<S: Serializer, const LENGTH: usize>(
        bytes: &Option<[u8; LENGTH]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => serializer.serialize_str(&super::encode(bytes)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, const LENGTH: usize>(
        deserializer: D,
    ) -> Result<Option<[u8; LENGTH]>, D::Error> {
        Option::<Cow<'de, str>>::deserialize(deserializer)?
            .map(|text| super::decode(&text).map_err(D::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn only_lower_case_digits_of_the_right_length_are_read() {
        assert_eq!(decode::<2>("0aff"), Ok([0x0a, 0xff]));
        assert_eq!(encode(&[0x0a, 0xff]), "0aff");
        assert!(decode::<2>("0aF0").is_err());
        assert!(decode::<2>("0af").is_err());
        assert!(decode::<2>("é00").is_err());
    }
}
