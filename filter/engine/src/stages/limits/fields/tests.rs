//! The fields, as a parser of structured fields that is not ours reads them.

use alloc::string::String;

use sfv::{BareItem, ListEntry, Parser};

use super::*;
use crate::stages::limits::Algorithm;

const SECRET: [u8; 16] = [3; 16];

fn met(index: usize, limit: &Limit, remaining: u64, wait_ms: Option<u64>) -> Met {
    Met {
        index,
        quota: limit.quota,
        remaining,
        wait_ms,
        key: Some(7),
        taken: 1,
    }
}

fn texts(limits: &[Limit], met: &[Met]) -> Vec<(&'static str, String)> {
    let mut fields = Vec::new();
    let told = met.iter().map(|met| (&limits[met.index], *met));
    write(told, &SECRET, &mut fields);
    fields
        .into_iter()
        .map(|(name, value)| (name, String::from_utf8(value).unwrap()))
        .collect()
}

/// Names and parameters of a list of items whose values are strings.
fn parse(field: &str) -> Vec<(String, Vec<(String, BareItem)>)> {
    let list: sfv::List = Parser::new(field).parse().unwrap();
    let items = list.into_iter().map(|entry| {
        let ListEntry::Item(item) = entry else {
            panic!("an inner list");
        };
        let name = item.bare_item.as_string().unwrap().as_str().to_owned();
        let params = item.params.into_iter();
        let params = params.map(|(key, value)| (key.as_str().to_owned(), value));
        (name, params.collect())
    });
    items.collect()
}

#[test]
fn all_limits_are_listed_with_their_units() {
    let minute = Limit::sample(b"permin", 50, 60_000);
    let mut bytes = Limit::sample(b"bytes", 100, 1_001);
    bytes.cost = Cost::Body(1024);
    bytes.telling.partition = true;
    let mut flight = Limit::sample(b"flight", 8, 0);
    flight.algorithm = Algorithm::Concurrency;
    let odd = Limit::sample(b"q\"\\\r\n\x80", u32::MAX, u64::MAX);
    let limits = [minute, bytes, flight, odd];
    let met = [
        met(0, &limits[0], 49, Some(59_001)),
        met(1, &limits[1], 3, Some(1)),
        met(2, &limits[2], 0, None),
        met(3, &limits[3], u64::MAX, Some(u64::MAX)),
    ];
    let fields = texts(&limits, &met);
    let [("ratelimit", state), ("ratelimit-policy", policy)] = &fields[..] else {
        panic!("{fields:?}");
    };
    let key = state.split(";pk=").nth(1).unwrap();
    let key = key.split(',').next().unwrap();
    assert_eq!(
        *state,
        std::format!(
            "\"permin\";r=49;t=60, \"bytes\";r=3072;t=1;pk={key}, \"flight\";r=0, \"q\\\"\\\\\";r=999999999999999;t=999999999999999"
        )
    );
    assert_eq!(
        *policy,
        std::format!(
            "\"permin\";q=50;w=60, \"bytes\";q=102400;qu=\"content-bytes\";w=2;pk={key}, \
             \"flight\";q=8;qu=\"concurrent-requests\", \"q\\\"\\\\\";q=4294967295;w=999999999999999"
        )
    );
    for (field, required) in [(state, "r"), (policy, "q")] {
        let items = parse(field);
        let names: Vec<_> = items.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["permin", "bytes", "flight", "q\"\\"]);
        for (name, params) in &items {
            for (key, value) in params {
                let fits = match key.as_str() {
                    "r" | "q" => value.as_integer().is_some_and(|it| i64::from(it) >= 0),
                    "t" | "w" => value.as_integer().is_some_and(|it| i64::from(it) > 0),
                    "qu" => value.as_string().is_some(),
                    "pk" => value.as_byte_sequence().is_some_and(|it| it.len() == 8),
                    _ => false,
                };
                assert!(fits, "{name}: {key}");
            }
            assert!(params.iter().any(|(key, _)| key == required), "{name}");
        }
    }
    assert!(texts(&limits, &[]).is_empty());
}

#[test]
fn base64_is_that_of_everybody() {
    for (bytes, text) in [
        (0, "AAAAAAAAAAA="),
        (u64::MAX, "//////////8="),
        (0x0123_4567_89ab_cdef, "ASNFZ4mrze8="),
    ] {
        let mut out = Vec::new();
        push_base64(&mut out, bytes);
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }
}

#[test]
fn older_fields_tell_of_the_tightest_limit() {
    let mut wide = Limit::sample(b"wide", 50, 60_000);
    wide.telling.legacy = true;
    let mut tight = Limit::sample(b"tight", 9, 60_000);
    tight.telling.legacy = true;
    let silent = Limit::sample(b"silent", 5, 60_000);
    let limits = [wide, tight, silent];
    let met = [
        met(0, &limits[0], 49, Some(1)),
        met(1, &limits[1], 2, Some(1_001)),
        met(2, &limits[2], 0, None),
    ];
    let fields = texts(&limits, &met);
    let older: Vec<_> = fields.iter().skip(2).cloned().collect();
    let expected = [
        ("x-ratelimit-limit", "9"),
        ("x-ratelimit-remaining", "2"),
        ("x-ratelimit-reset", "2"),
    ];
    assert_eq!(
        older,
        expected.map(|(name, value)| (name, value.to_owned()))
    );
}
