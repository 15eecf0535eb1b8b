//! The working group's tests: what must parse, what must not, and the one spelling of what did.

use alloc::string::String;
use alloc::vec::Vec;

use super::*;

/// The folder `sf` of the vectors; without it nothing is run, which CI does not let pass.
fn vectors() -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("PALISADE_VECTORS").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        std::path::PathBuf::from,
    );
    let folder = folder.join("sf");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "no {}: CI skips nothing, set PALISADE_VECTORS",
        folder.display()
    );
    std::eprintln!("SKIPPED: no {}; set PALISADE_VECTORS", folder.display());
    None
}

fn canonical(kind: &str, text: &[u8]) -> Option<String> {
    let mut out = Vec::new();
    match kind {
        "dictionary" => write_dictionary(&dictionary(text, 1024)?, &mut out),
        "item" => write_item(&item(text, 1024)?, &mut out),
        "list" => {
            for (index, member) in list(text, 1024)?.iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(b", ");
                }
                write_member(member, &mut out);
            }
        }
        other => panic!("{other}"),
    }
    Some(String::from_utf8(out).unwrap())
}

#[test]
fn the_vectors_of_the_working_group() {
    let Some(folder) = vectors() else { return };
    let (mut run, mut strict) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        if file.starts_with("serialisation-tests") {
            // They write values that no text stands for: we only write what we read.
            continue;
        }
        let cases: Vec<serde_json::Value> =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for case in cases {
            let name = std::format!("{file}: {}", case["name"]);
            let lines: Vec<&str> = case["raw"]
                .as_array()
                .unwrap()
                .iter()
                .map(|line| line.as_str().unwrap())
                .collect();
            let text = lines.join(", ");
            let read = canonical(case["header_type"].as_str().unwrap(), text.as_bytes());
            run += 1;
            if case["must_fail"] == true {
                assert_eq!(read, None, "{name}");
                continue;
            }
            if read.is_none() && case["can_fail"] == true {
                strict.push(name);
                continue;
            }
            let expected = match case["canonical"].as_array() {
                Some(lines) => lines
                    .iter()
                    .map(|line| line.as_str().unwrap())
                    .collect::<Vec<_>>()
                    .join(", "),
                None => text,
            };
            assert_eq!(read.as_deref(), Some(expected.as_str()), "{name}");
        }
    }
    assert_eq!(run, 1591);
    strict.sort();
    assert_eq!(strict, STRICT, "what may fail, and does here");
}

/// Base64 that a parser may repair: we do not.
const STRICT: &[&str] = &["binary: \"bad padding\"", "binary: \"non-zero pad bits\""];

#[test]
fn containers_are_bounded() {
    for (text, most, read) in [
        (&b"a, b, c"[..], 3, true),
        (b"a, b, c", 2, false),
        (b"a=(1 2 3)", 3, true),
        (b"a=(1 2 3)", 2, false),
        (b"a;x;y;z", 3, true),
        (b"a;x;y;z", 2, false),
        (b"a, a, a", 1, true),
    ] {
        assert_eq!(dictionary(text, most).is_some(), read, "{text:?} {most}");
    }
}

#[test]
fn hostile_bytes_never_panic() {
    let mut state = 7_u32;
    let alphabet = b"a*(); ,=\"\\:?@%-.019+/Z\xff\0\t";
    for _ in 0..20_000 {
        let mut text = Vec::new();
        for _ in 0..state % 40 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = usize::try_from(state >> 16).unwrap() % alphabet.len();
            text.push(alphabet[at]);
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        for kind in ["dictionary", "item", "list"] {
            if let Some(once) = canonical(kind, &text) {
                assert_eq!(
                    canonical(kind, once.as_bytes()),
                    Some(once),
                    "writing is settled: {text:?}"
                );
            }
        }
    }
}
