//! Pictures as text: base64 as people and libraries write it, alone or in a data URI.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::fetch::is_url;
use crate::problem::{Code, Problem};

/// Base64 (RFC 4648, section 4) with its padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a data URI begins with; like `base64` in it, in letters of either case (RFC 2397).
const DATA: &str = "data:";

/// The texts that may be a picture or the URL of one (ECMA 262).
pub(crate) const PATTERN: &str = concat!(
    r"^[ \t\n\f\r]*(",
    r"[A-Za-z0-9+/_-][A-Za-z0-9+/_ \t\n\f\r-]*(=[ \t\n\f\r]*){0,2}",
    r"|[Dd][Aa][Tt][Aa]:[^,]*;[ \t\n\f\r]*[Bb][Aa][Ss][Ee]64[ \t\n\f\r]*,[A-Za-z0-9+/_=% \t\n\f\r-]+",
    r"|[Hh][Tt][Tt][Pp][Ss]?://.+[ \t\n\f\r]*",
    r")$"
);

/// Whether a text says itself what it is: a data URI or a URL.
pub(crate) fn is_uri(text: &str) -> bool {
    let text = text.trim_ascii_start();
    is_url(text) || data(text).is_some()
}

/// The bytes of base64 or of a data URI.
///
/// # Errors
///
/// If it is neither.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, Problem> {
    let text = text.trim_ascii();
    let Some(uri) = data(text) else { return decode(text, plain) };
    let (head, encoded) = uri.split_once(',').unwrap_or_default();
    let mark = head.rsplit_once(';').map(|(_, mark)| mark.trim_ascii());
    match mark.is_some_and(|mark| mark.eq_ignore_ascii_case("base64")) {
        true => decode(encoded, |encoded| plain(&unescaped(encoded))),
        false => Err(invalid("a data URI must be base64: data:image/png;base64,...")),
    }
}

/// What stands behind the scheme of a data URI.
fn data(text: &str) -> Option<&str> {
    let (scheme, uri) = text.split_at_checked(DATA.len())?;
    scheme.eq_ignore_ascii_case(DATA).then_some(uri)
}

/// Decodes what is written in one piece and in the standard alphabet, as nearly all is, where it
/// stands; anything else is copied to that form first.
fn decode(encoded: &str, plain: impl Fn(&[u8]) -> Vec<u8>) -> Result<Vec<u8>, Problem> {
    let decoded = BASE64.decode(encoded).or_else(|_| BASE64.decode(plain(encoded.as_bytes())));
    decoded.map_err(|error| invalid(&format!("no base64: {error}")))
}

/// Without white space, such as the ends of lines (RFC 2045), and with the letters of the standard
/// alphabet for those of the one that is safe in URLs (RFC 4648, section 5).
fn plain(encoded: &[u8]) -> Vec<u8> {
    let letters = encoded.iter().filter(|byte| !byte.is_ascii_whitespace());
    letters
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            byte => *byte,
        })
        .collect()
}

/// With the bytes that `%2B` and the like stand for (RFC 3986); what is no such escape stays.
fn unescaped(mut text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    while let [byte, rest @ ..] = text {
        let escape = rest.split_first_chunk().filter(|_| *byte == b'%');
        let escape = escape.and_then(|(digits, rest)| Some((hexadecimal(*digits)?, rest)));
        let (byte, rest) = escape.unwrap_or((*byte, rest));
        bytes.push(byte);
        text = rest;
    }
    bytes
}

fn hexadecimal([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

fn invalid(detail: &str) -> Problem {
    Problem::new(Code::InvalidImage, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In base64 it has both letters that the alphabets differ in.
    const BYTES: [u8; 4] = [0xfb, 0xef, 0xff, 0xfe];

    #[test]
    fn base64_and_data_uris_are_read() {
        for text in [
            "++///g==",
            "++///g",
            "--___g==",
            "-+_//g",
            " ++///g== ",
            "++//\r\n/g==\r\n",
            "\n+ +\t/\x0c/\n/g=\n=",
            "data:image/png;base64,++///g==",
            "data:;base64,++///g",
            "DATA:image/png;BASE64,++///g==",
            "Data:image/png;name=a;Base64,++///g==",
            "data:image/png;base64, ++///g==\n",
            "\tdata:image/png; base64 ,++//\n/g==",
            "data:image/png;base64,%2B%2b%2F%2f/g%3D%3d",
            "data:image/png;base64,%2B-_//g%3D%3D%0A",
        ] {
            assert_eq!(bytes(text), Ok(BYTES.to_vec()), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_said_to_be_neither() {
        for text in [
            "https://example.org/cat.png",
            "data:text/plain,hi",
            "data:",
            "data:base64,aGk=",
            "a?b",
            "%2B%2B///g==",
            "data:;base64,%2",
            "data:;base64,%zz",
            "data:;base64,aG%=",
        ] {
            assert_eq!(bytes(text).unwrap_err().code, Code::InvalidImage, "{text}");
        }
    }

    #[test]
    fn a_text_may_say_what_it_is() {
        for text in ["data:,", " DATA:;base64,aGk=", "http://a", "\nHTTPS://a/b"] {
            assert!(is_uri(text), "{text:?}");
        }
        for text in ["", "aGk=", "dat", "http", "\u{fffd}PNG"] {
            assert!(!is_uri(text), "{text:?}");
        }
    }
}
