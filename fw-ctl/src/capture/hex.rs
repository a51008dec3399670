//! Bytes as hexadecimal digits, in JSON.

use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serializer};

const DIGITS: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
];

pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let text: String = digits.map(|digit| DIGITS[usize::from(digit)]).collect();
    serializer.serialize_str(&text)
}

pub fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let bytes = pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    let bytes: Option<Vec<u8>> = bytes.collect();
    match bytes {
        Some(bytes) if rest.is_empty() => Ok(bytes),
        _ => Err(D::Error::custom("not pairs of hexadecimal digits")),
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Wrapper(#[serde(with = "super")] Vec<u8>);

    #[test]
    fn bytes_come_back_and_anything_else_is_refused() {
        let bytes = Wrapper((0..=255).collect());
        let text = serde_json::to_string(&bytes).unwrap();
        assert!(text.starts_with("\"000102") && text.ends_with("fdfeff\""));
        assert_eq!(serde_json::from_str::<Wrapper>(&text).unwrap(), bytes);
        for wrong in ["\"0\"", "\"0g\"", "\"+1\"", "\"é\"", "1"] {
            assert!(serde_json::from_str::<Wrapper>(wrong).is_err(), "{wrong}");
        }
    }
}
