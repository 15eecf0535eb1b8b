//! Whether a value is a geometry as well-known text: `SRID=4326;LINESTRING(13.4 52.5, 13.5 52.6)`.
//!
//! **In:** a value in which a function of a data base was found. **Out:** a yes or no.
//! **Invariant:** nothing but names of shapes, numbers, commas and brackets is one: no name of anything else, no string, no operator.
//! **Source:** OGC 06-103r4, §7 (well-known text); `SRID=` as PostGIS writes it.
//! **Cost:** one pass, only after such a hit; it ends at the first other word.

use super::words::{Key, Words};

static SHAPES: Words<32> = Words::new(&[
    (b"point", 1),
    (b"linestring", 1),
    (b"polygon", 1),
    (b"multipoint", 1),
    (b"multilinestring", 1),
    (b"multipolygon", 1),
    (b"geometrycollection", 1),
    (b"circularstring", 1),
    (b"curvepolygon", 1),
    (b"triangle", 1),
    (b"tin", 1),
    (b"empty", 1),
    (b"z", 1),
    (b"m", 1),
    (b"zm", 1),
    (b"srid", 1),
]);

/// Whether the value is shapes and nothing else; two numbers make a place, so a shape without a blank between them is a call.
pub(super) fn is_geometry(value: &[u8]) -> bool {
    let mut key = Key::EMPTY;
    let mut length = 0_usize;
    let (mut places, mut shaped) = (false, false);
    let mut before = b' ';
    for &byte in value.iter().chain(b" ") {
        if byte.is_ascii_alphabetic() {
            if before.is_ascii_digit() {
                return false;
            }
            key.push(byte);
            length = length.saturating_add(1);
        } else {
            if length > 0 && SHAPES.kind(key) == 0 {
                return false;
            }
            shaped |= length > 2;
            (key, length) = (Key::EMPTY, 0);
            places |= byte.is_ascii_digit() && before == b' ';
            let plain = matches!(byte, b'(' | b')' | b',' | b'.' | b' ' | b';' | b'=')
                || byte.is_ascii_digit()
                || (byte == b'-' && matches!(before, b' ' | b'(' | b','));
            if !plain {
                return false;
            }
        }
        before = byte;
    }
    places && shaped
}

#[cfg(test)]
mod tests {
    use super::is_geometry;

    #[test]
    fn shapes_of_numbers_are_geometries() {
        for value in [
            "LINESTRING(30 10, 10 30, 40 40)",
            "SRID=4326;LINESTRING(148.36997 -55.5705,46.13877 18.21092)",
            "MULTIPOLYGON(((30 20, 45 40, 10 40, 30 20)),((15 5, 40 10, 10 20, 5 10, 15 5)))",
            "GEOMETRYCOLLECTION(POINT(40 10),LINESTRING(10 10,20 20))",
        ] {
            assert!(is_geometry(value.as_bytes()), "{value}");
        }
        for value in [
            "linestring(1,2)",
            "geometrycollection((select 1))",
            "multipoint((select*from(select user())a))",
            "1 or linestring(30 10, 10 30)",
            "LINESTRING(30 10, 10 30)--",
            "LINESTRING(30 10, 10 30)=LINESTRING(30 10, 10 30) or 1",
            "polygon((1 2,@@version))",
            "POINT(1 2)'",
            "1 =1",
            "(1 =1) z",
        ] {
            assert!(!is_geometry(value.as_bytes()), "{value}");
        }
    }
}
