//! Parts of a request that two readers read differently: findings of class `protocol`.
//!
//! **In:** a content type; a value that is suspicious in itself, and the text it came in. **Out:** findings.
//! **Invariant:** honest repetition (`tag=a&tag=b`, `filter[]=…`) is none: a repeated name counts only beside a value that another class
//! is already suspicious of.
//! **Source:** RFC 9110 §8.3 (content types); parameter pollution: servers take the first, the last, or all of a name's values.
//! **Cost:** nothing for a request without suspicion; else one more pass over the text, at most [`MAX_LOOKS`] times.

use super::bytes::{contains, has_at, upto};
use super::fields::unquoted;
use super::inspection::{Inspection, Place};
use super::{Class, Strength};

/// How often a suspicious value is compared with its namesakes.
pub(super) const MAX_LOOKS: u8 = 4;

/// Numbers of the code pages of mainframes: no letter of theirs stands where ASCII has it.
const EBCDIC: [(u32, u32); 27] = [
    (37, 38),
    (273, 297),
    (420, 424),
    (500, 500),
    (838, 838),
    (870, 871),
    (875, 875),
    (880, 880),
    (905, 905),
    (918, 918),
    (924, 924),
    (930, 931),
    (933, 933),
    (935, 935),
    (937, 939),
    (1025, 1026),
    (1047, 1047),
    (1097, 1097),
    (1112, 1112),
    (1122, 1123),
    (1130, 1132),
    (1137, 1149),
    (1153, 1160),
    (1164, 1165),
    (1364, 1371),
    (1388, 1390),
    (1399, 1399),
];

/// Names that stand in those of character sets in which other readers see other text. UTF-16 bodies are read as such by their bytes.
const ODD_CHARSETS: [&[u8]; 7] = [
    b"utf7", b"utf32", b"ucs4", b"ebcdic", b"iso2022", b"hzgb", b"ibmthai",
];

/// Bytes of a character set's name that are looked at.
const MAX_CHARSET: usize = 40;

/// Whether ASCII does not stand for itself in a character set.
pub(super) fn is_odd_charset(charset: &[u8]) -> bool {
    if charset.eq_ignore_ascii_case(b"utf-8") {
        return false;
    }
    let mut letters = [0_u8; MAX_CHARSET];
    let named = charset.iter().filter(|byte| byte.is_ascii_alphanumeric());
    for (to, from) in letters.iter_mut().zip(named) {
        *to = from.to_ascii_lowercase();
    }
    if ODD_CHARSETS.iter().any(|odd| contains(&letters, odd)) {
        return true;
    }
    // `cp037`, `IBM-1047`, `x-IBM01140`, `csIBM500`, `037`.
    let mut name = letters.as_slice();
    for prefix in [&b"x"[..], b"cs", b"ibm", b"cp", b"ccsid"] {
        name = name.strip_prefix(prefix).unwrap_or(name);
    }
    let end = name.iter().position(|&byte| byte == 0);
    let digits = upto(name, end.unwrap_or(name.len()));
    let number = digits.iter().try_fold(0_u32, |sum, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        Some(sum.saturating_mul(10).saturating_add(digit))
    });
    number.is_some_and(|page| {
        EBCDIC
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&page))
    })
}

/// The `charset`s of a content type: two readers may take different ones.
pub(super) fn content_type(
    place: Place,
    name: &[u8],
    value: &[u8],
    inspection: &mut Inspection<'_>,
) {
    if charsets(value).any(is_odd_charset) {
        inspection.also(place, name, value, Class::Protocol, Strength::Decisive);
    }
}

/// What the parameters that are called `charset` say: `charset=`, `charset =`, `charset*=`.
pub(super) fn charsets(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b';').filter_map(|parameter| {
        let parameter = parameter.trim_ascii();
        let behind = parameter
            .get(7..)
            .filter(|_| has_at(parameter, 0, b"charset"))?;
        let behind = behind.strip_prefix(b"*").unwrap_or(behind);
        let charset = behind.trim_ascii_start().strip_prefix(b"=")?;
        Some(unquoted(charset.trim_ascii()))
    })
}

/// The name of a character set as a value of its own.
pub(super) fn charset(place: Place, name: &[u8], value: &[u8], inspection: &mut Inspection<'_>) {
    if is_odd_charset(unquoted(value.trim_ascii())) {
        inspection.also(place, name, value, Class::Protocol, Strength::Decisive);
    }
}

#[cfg(test)]
mod tests {
    use super::is_odd_charset;

    #[test]
    fn charsets_without_ascii_are_odd() {
        for odd in [
            "utf-7",
            "UTF7",
            "'utf_7'",
            "unicode-1-1-utf-7",
            "csUnicode11UTF7",
            "us-ascii''utf-7",
            "utf-32be",
            "ISO-10646-UCS-4",
            "cp037",
            "IBM037",
            "ibm-1047",
            "x-IBM1047",
            "IBM01140",
            "csIBM500",
            "037",
            "CCSID 500",
            "EBCDIC-CP-US",
            "IBM-Thai",
            "iso-2022-kr",
            "hz-gb-2312",
        ] {
            assert!(is_odd_charset(odd.as_bytes()), "{odd}");
        }
        for plain in [
            "utf-8",
            "UTF8",
            "us-ascii",
            "iso-8859-1",
            "ISO_8859-15",
            "latin1",
            "windows-1252",
            "windows-31j",
            "cp1251",
            "cp932",
            "cp936",
            "IBM850",
            "IBM00858",
            "ibm866",
            "cp437",
            "shift_jis",
            "euc-jp",
            "gb2312",
            "gb18030",
            "big5-hkscs",
            "ks_c_5601-1987",
            "koi8-r",
            "x-mac-roman",
            "utf-16le",
            "undefined",
            "",
        ] {
            assert!(!is_odd_charset(plain.as_bytes()), "{plain}");
        }
    }
}
