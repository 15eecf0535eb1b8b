//! Scores the injection stage on JSONL corpora: `cargo run --release -p palisade-engine --example score -- DIR [VERDICTS.jsonl]`.
//!
//! **In:** a folder of corpus files (rows `{id, source, class, label, request}`). **Out:** caught and blocked per source and class,
//! verdict rows `{"id","blocked","score","reasons"}`, and the time per request. Rows without a body are judged twice more by one
//! worker's memory of clean fields, which must change nothing.
//! A quick loop while detectors are tuned (it builds in seconds under the profile `tune`); the command is `palisade score`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a development tool stops at the first fault"
)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Instant;

use palisade_engine::finding::Findings;
use palisade_engine::request::RequestHead;
use palisade_engine::stages::injection::{Clean, Here, InjectionStage};
use palisade_engine::units::UnixTime;
use serde_json::Value;

fn base64(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = (bits << 6) | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xFF).unwrap());
        }
    }
    out
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments
        .next()
        .or_else(|| std::env::var("PALISADE_CORPORA").ok())
        .unwrap_or_else(|| "../shared/corpora".into());
    let mut verdicts = arguments
        .next()
        .map(|path| std::fs::File::create(path).unwrap());
    let level = std::env::var("LEVEL")
        .ok()
        .and_then(|level| level.parse().ok())
        .unwrap_or(1);
    let rounds: u32 = std::env::var("ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(1);
    let stage = InjectionStage::new(level, 5);
    let here = Here::new(b"", UnixTime(0));
    let mut clean = Clean::new([1; 16]);
    let mut table: BTreeMap<(String, String), [u32; 4]> = BTreeMap::new();
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for path in files.iter().filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "jsonl")
    }) {
        let (mut nanos, mut rows) = (0_u128, 0_u128);
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let request = &row["request"];
            let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = vec![
                (
                    b":method".to_vec(),
                    request["method"].as_str().unwrap().into(),
                ),
                (b":path".to_vec(), request["path"].as_str().unwrap().into()),
            ];
            for pair in request["headers"].as_array().unwrap() {
                pairs.push((
                    pair[0].as_str().unwrap().to_lowercase().into(),
                    pair[1].as_str().unwrap().into(),
                ));
            }
            let body = base64(request["body_b64"].as_str().unwrap_or(""));
            let head = RequestHead::decode(
                pairs
                    .iter()
                    .map(|(name, value)| (name.as_slice(), value.as_slice())),
            );
            let kind = palisade_engine::request::body::kind(&head);
            let judge = || {
                let mut found = Findings::default();
                let mut steps = palisade_engine::budget::MAX_STEPS;
                let mut denied = stage
                    .inspect_head(&head, here, &mut steps, &mut found)
                    .err();
                if denied.is_none() && !body.is_empty() {
                    denied = stage
                        .inspect_body(kind, &body, here, &mut steps, &mut found)
                        .err();
                }
                (found, denied)
            };
            let (found, denied) = judge();
            if body.is_empty() {
                // What was found clean before changes nothing, however often it comes.
                for _ in 0..2 {
                    let (mut steps, mut known) =
                        (palisade_engine::budget::MAX_STEPS, Findings::default());
                    let again = stage
                        .inspect_known_head(&head, here, &mut clean, &mut steps, &mut known)
                        .err();
                    assert_eq!(again, denied, "{}", row["id"]);
                    assert_eq!(known.as_slice(), found.as_slice(), "{}", row["id"]);
                }
            }
            let blocked = denied.is_some();
            let start = Instant::now();
            for _ in 0..rounds {
                std::hint::black_box(judge());
            }
            nanos += start.elapsed().as_nanos();
            rows += 1;
            let key = (
                row["source"].as_str().unwrap().to_owned(),
                row["class"].as_str().unwrap().to_owned(),
            );
            let counts = table.entry(key).or_default();
            match row["label"].as_str().unwrap() {
                "attack" => {
                    counts[0] += u32::from(blocked);
                    counts[1] += 1;
                }
                "benign" => {
                    counts[2] += u32::from(blocked);
                    counts[3] += 1;
                }
                _ => {}
            }
            if let Some(file) = &mut verdicts {
                let mut reasons: Vec<Value> = found
                    .as_slice()
                    .iter()
                    .map(|finding| {
                        serde_json::json!({
                            "class": String::from_utf8_lossy(&finding.rule),
                            "place": String::from_utf8_lossy(&finding.place),
                            "evidence": String::from_utf8_lossy(&finding.evidence),
                            "score": finding.score,
                        })
                    })
                    .collect();
                if let Some(denial) = denied {
                    reasons.push(denial.reason.row().code.into());
                }
                let score: u32 = found.as_slice().iter().map(|finding| finding.score).sum();
                let verdict = serde_json::json!({"id": row["id"], "blocked": blocked, "score": score, "reasons": reasons});
                writeln!(file, "{verdict}").unwrap();
            }
        }
        println!(
            "{:<24}{rows:>7} rows{:>9} ns a request",
            path.file_stem().unwrap().to_string_lossy(),
            nanos / (rows * u128::from(rounds)).max(1)
        );
    }
    println!(
        "{:<18}{:<12}{:>8}{:>8}{:>8}{:>8}",
        "source", "class", "caught", "of", "blocked", "of"
    );
    for ((source, class), [caught, attacks, blocked, benign]) in &table {
        if attacks + benign > 0 {
            println!("{source:<18}{class:<12}{caught:>8}{attacks:>8}{blocked:>8}{benign:>8}");
        }
    }
}
