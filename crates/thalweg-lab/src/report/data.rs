//! Numbers inside the page, for the scripts to read.

use serde_json::Value;

/// JSON that may stand inside an element of a page: nothing in it can be taken for markup.
pub(super) fn json(value: &Value) -> String {
    let text = value.to_string();
    // Outside of strings JSON has none of these characters.
    text.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}

/// A number as JSON: as precise as f32, and `null` for what JSON cannot say.
pub(super) fn rounded(value: f64) -> Value {
    let text = format!("{value:.6e}");
    let short = text.parse::<f64>().ok().filter(|v| v.is_finite());
    short.map_or(Value::Null, |v| {
        if v.fract() == 0.0 && v.abs() < 1e9 { (v as i64).into() } else { v.into() }
    })
}

/// Numbers as little-endian f32 in base64 (RFC 4648).
pub(super) fn packed(values: &[f32]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * i) & 63) as usize] as char;
            text.push(if i <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn floats_are_little_endian_base64() {
        assert_eq!(packed(&[]), "");
        assert_eq!(packed(&[1.0]), "AACAPw==");
        assert_eq!(packed(&[1.0, 0.0]), "AACAPwAAAAA=");
        assert_eq!(packed(&[f32::NAN, -2.5, 1e9]).len(), 16);
    }

    #[test]
    fn no_string_closes_the_script() {
        let text = json(&json!({"a": "</script><!-- & "}));
        assert!(!text.contains('<') && !text.contains('&'));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["a"], "</script><!-- & ");
    }

    #[test]
    fn numbers_are_short_and_infinity_is_null() {
        assert_eq!(rounded(0.1234567891).to_string(), "0.1234568");
        assert_eq!(rounded(30.0).to_string(), "30");
        assert!(rounded(f64::INFINITY).is_null() && rounded(f64::NAN).is_null());
    }
}
