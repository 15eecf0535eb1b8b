//! Brotli: messages of another encoder, broken ones, bombs, any bytes.

use super::*;
use crate::testing::Random;

const TEXT: &str = "{\"q\":\"1 union select password from users -- \"}";
/// Stored as it is.
const STORED: &str = "8b16807b2271223a223120756e696f6e2073656c6563742070617373776f72642066726f6d207573657273202d2d20227d03";
const PACKED: &str =
    "1b2d00088dd4624d98efd422202d7b3b4627ae0f38e4c0e17b10615ab272c0bf88efd823b20156b22d03";
/// Two blocks with an empty one of metadata behind each.
const PIECES: &str = "0b01806f6e651800082074776f03";
/// Words of the dictionary, changed and unchanged.
const QUICK: &str =
    "The quick brown fox jumps over the lazy dog. This is the most important information. ";
const WORDS: &str = "1b5400a09c09762c64328ab0435e5385a1bd493233b63cc3d36b1097b9bce090038703067924b5051ec3eb1b25a7221a1ba212d3b1e001f47e563e8e8cfd1204";
const MANY: &str = "Привет мир, Información, Größe, 中文維基百科, Español, более подробно";
const LETTERS: &str = "1b6400a88dd45acd9c9b33dba14c35f12eb0301a4641dd35082603f909749f204772e090039723b5302800093c64b94af67522406838b8d9be79cc966a745868911ae5d0d6d7c7e19c5dc8ac100f52252b1cdb02";
/// Codes of its own and long copies; with contexts and several types of blocks.
const CODES: &str = "e2ac0080c0a7ee99c7a8c523f6eedaaec54904929f800028eb04fa796a9456a99d692da1262881878342b14885da263f1c0ed2585499d2dc733ffeb9782cfbb39e\
        9febf75eafeb7f5f7b757ff9de1833201a413c86c44d4172539272cf428ec73e487b1d848c77245eb15bec60f67099044998044999063e687021412a9120d54890\
        1612a40ba41948168164d1489642b23c48b390969aa9a5e5eca7a5e59caaa5e8d848d61ce4987b92acfd613fc7315f59a3398383e493ec0b20172a05c95eb8a224\
        7b118529d98bac6f";
const CONTEXTS: &str = "e2ac0087e3c08da579cbcb8bcf0d67aa0f1110993ccddef04a8185a7af1bd0e15fbb457a185a804d1a0612698c0147110f03f08c5ff80fc973a5affee1eb7f3016\
        45cb32abe29b213b5ac94ce48d2b37b1748e7f080f01c488a4d83449c969642b2d251b7ab9ca7564ea8447841a20c624e52cd355c979916db494bcc8eb53e97296\
        ee338f0c5a809850f412329b5cc9e586b6d25ad2d0eba474b54ddd2b02";
/// Two hundred thousand bytes.
const BOMB: &str = "5b3f0d835f02261e0b04f2090600";

fn read(input: &[u8], most: usize) -> (Result<(), Fault>, Vec<u8>) {
    let mut out = Vec::new();
    let result = decode(input, most, &mut { u64::MAX }, &mut out);
    assert!(out.len() <= most);
    (result, out)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap().to_le_bytes()[0];
    let (pairs, _) = hex.as_bytes().as_chunks::<2>();
    pairs
        .iter()
        .map(|[high, low]| digit(*high) << 4 | digit(*low))
        .collect()
}

fn counted() -> String {
    (0..40_u32)
        .map(|n| format!("{n}: the quick brown fox, {} times\n", n.pow(2)))
        .collect()
}

fn cases() -> [(Vec<u8>, String); 7] {
    [
        (bytes(STORED), TEXT.to_owned()),
        (bytes(PACKED), TEXT.to_owned()),
        (bytes(PIECES), "one two".to_owned()),
        (bytes(WORDS), QUICK.to_owned()),
        (bytes(LETTERS), MANY.to_owned()),
        (bytes(CODES), counted()),
        (bytes(CONTEXTS), counted()),
    ]
}

#[test]
fn messages_are_read() {
    for (input, expected) in cases() {
        let most = expected.len();
        assert_eq!(read(&input, most), (Ok(()), expected.clone().into_bytes()));
        let cut = expected.as_bytes()[..most - 1].to_vec();
        assert_eq!(read(&input, most - 1), (Err(Fault::TooLong), cut));
    }
    // Nothing, in the windows of both ends and in between.
    for empty in ["06", "3b", "33", "81 01", "a1 01"] {
        let empty = bytes(&empty.replace(' ', ""));
        assert_eq!(read(&empty, 0), (Ok(()), Vec::new()), "{empty:x?}");
    }
}

#[test]
fn what_is_cut_or_followed_by_more_is_a_fault() {
    for (message, expected) in cases() {
        for end in 0..message.len() {
            let (result, out) = read(&message[..end], 4096);
            assert_eq!(result, Err(Fault::Truncated), "{end}");
            assert!(expected.as_bytes().starts_with(&out));
        }
        let more = [&message[..], b"\0"].concat();
        assert_eq!(read(&more, 4096).0, Err(Fault::Malformed));
    }
}

#[test]
fn metadata_is_passed_over() {
    assert_eq!(read(b"\x2c\x01xyz\x03", 9), (Ok(()), Vec::new()));
    assert_eq!(read(b"\x2c\x01xy", 9).0, Err(Fault::Truncated));
    // Padding that is not zero; the reserved bit.
    assert_eq!(read(b"\x2c\x81xyz\x03", 9).0, Err(Fault::Malformed));
    assert_eq!(read(b"\x3c\x01xyz\x03", 9).0, Err(Fault::Malformed));
}

#[test]
fn large_windows_are_refused() {
    assert_eq!(read(b"\x11\x18\x03", 9).0, Err(Fault::Malformed));
}

#[test]
fn bombs_end_at_the_bound() {
    let (result, out) = read(&bytes(BOMB), 200_000);
    assert_eq!((result, out), (Ok(()), b"0".repeat(200_000)));
    assert_eq!(read(&bytes(BOMB), 131_072).0, Err(Fault::TooLong));
}

/// 16,384 places of a map that take no bit each, and 255 moves each.
#[test]
fn few_bits_cannot_demand_many_steps() {
    let message = |symbol: u32| {
        let mut bits = Vec::new();
        let mut put = |value: u32, count: u32| {
            bits.extend((0..count).map(|bit| value.checked_shr(bit).unwrap_or(0) & 1))
        };
        // Window; not the last, of one byte, compressed.
        put(0, 1 + 1 + 2 + 16 + 1);
        // 256 types of literals, by two codes of one symbol; one of the others.
        put(1 | 7 << 1 | 127 << 4, 11);
        put(1, 4 + 9);
        put(1, 4 + 5 + 2);
        put(0, 2 + 6 + 256 * 2);
        // 256 codes, all places with the one symbol, moved to the front.
        put(1 | 7 << 1 | 127 << 4, 11);
        put(0, 1);
        put(1 | symbol << 4, 4 + 8);
        put(1, 1);
        let bytes = bits.chunks(8);
        bytes
            .map(|bits| {
                (0..)
                    .zip(bits)
                    .map(|(at, bit)| u8::try_from(*bit << at).unwrap())
                    .sum()
            })
            .collect::<Vec<u8>>()
    };
    assert_eq!(read(&message(1), 9).0, Err(Fault::Truncated));
    assert_eq!(read(&message(255), 9).0, Err(Fault::Malformed));
}

#[test]
fn any_bytes_end() {
    let mut random = Random::new(1);
    for (message, _) in cases() {
        let mut input = message.clone();
        for round in 0..5_000 {
            input[random.below(message.len())] ^= 1 << random.below(8);
            let _ = read(&input, 10_000);
            if round % 4 == 3 {
                input.clone_from(&message);
            }
        }
    }
    for first in 0..=255_u8 {
        for second in 0..=255_u8 {
            let _ = read(&[first, second, 0xA5, first, second, 0x5A], 100);
        }
    }
}

/// What encoders meet: nothing, words, markup, JSON, code, other alphabets, noise, long repeats.
fn texts() -> Vec<Vec<u8>> {
    let noise = |length: usize| -> Vec<u8> {
        let mut random = Random::new(7);
        (0..length).map(|_| random.byte()).collect()
    };
    let schema = include_bytes!("../../policy.schema.json");
    let code = include_bytes!("mod.rs");
    let mixed = [
        &schema[..9_000],
        &noise(3_000),
        &code[..9_000],
        MANY.as_bytes(),
    ]
    .concat();
    vec![
        Vec::new(),
        b"a".to_vec(),
        b"time".to_vec(),
        QUICK.into(),
        MANY.into(),
        TEXT.into(),
        counted().into(),
        schema[..20_000].to_vec(),
        code[..16_000].to_vec(),
        noise(300),
        noise(20_000),
        vec![b'a'; 40_000],
        b"abc".repeat(9_000),
        mixed,
    ]
}

fn written(text: &[u8], quality: i32, window: i32) -> Vec<u8> {
    let params = ::brotli::enc::BrotliEncoderParams {
        quality,
        lgwin: window,
        ..Default::default()
    };
    let mut out = Vec::new();
    ::brotli::BrotliCompress(&mut &text[..], &mut out, &params).unwrap();
    out
}

#[test]
fn an_encoders_messages_are_read() {
    for text in texts() {
        for quality in [0, 1, 2, 4, 5, 7, 9, 10, 11] {
            for window in [10, 16, 22, 24] {
                let message = written(&text, quality, window);
                let (result, out) = read(&message, text.len());
                assert_eq!(result, Ok(()), "{quality} {window} {}", text.len());
                assert!(out == text, "{quality} {window} {}", text.len());
            }
        }
    }
}

#[test]
fn what_is_read_of_a_broken_message_another_decoder_reads_too() {
    const MOST: usize = 100_000;
    let mut random = Random::new(1);
    let mut read_by_both = 0;
    for text in texts().into_iter().filter(|text| text.len() < 2_000) {
        for quality in [2, 5, 11] {
            let message = written(&text, quality, 18);
            for _ in 0..400 {
                let mut broken = message.clone();
                broken[random.below(message.len())] ^= 1 << random.below(8);
                let (Ok(()), ours) = read(&broken, MOST) else {
                    continue;
                };
                let mut theirs = Vec::new();
                ::brotli::BrotliDecompress(&mut broken.as_slice(), &mut theirs).unwrap();
                assert!(ours == theirs, "{broken:x?}");
                read_by_both += 1;
            }
        }
    }
    assert!(read_by_both > 100, "{read_by_both}");
}
