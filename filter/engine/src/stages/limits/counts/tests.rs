//! Each kind against its bound, counted by hand.
#![expect(clippy::as_conversions, reason = "test arithmetic on small numbers")]

use super::*;

fn rule(algorithm: Algorithm, count: u32, window_ms: u64, burst: u32) -> Rule {
    let mut limit = Limit::sample(b"a", count, window_ms);
    (limit.algorithm, limit.burst) = (algorithm, burst);
    Rule::new(&limit, limit.quota)
}

/// Writes and reads, as a record does.
fn stored(counts: &Counts, rule: Rule, now: u64) -> Counts {
    let mut bytes = Vec::new();
    counts.encode(&mut bytes);
    assert!(bytes.len() as u64 <= rule.most_bytes(), "{counts:?}");
    let mut reader = Reader::new(&bytes);
    let back = Counts::decode(&mut reader, counts.shape(), rule, now).unwrap();
    assert!(reader.rest.is_empty());
    back
}

#[test]
fn a_bucket_spends_its_burst_and_then_its_rate() {
    // 4 a second: a token each 250 ms.
    let rule = rule(Algorithm::TokenBucket, 4, 1000, 3);
    let mut counts = Counts::empty(rule, 0);
    for left in [2, 1, 0] {
        assert_eq!(counts.admit(rule, 0, 1), Ok(0));
        assert_eq!(counts.remaining(rule), left);
    }
    assert_eq!(counts.admit(rule, 0, 1), Err(Exhausted { until_ms: 250 }));
    counts = stored(&counts, rule, 249);
    assert_eq!(counts.admit(rule, 249, 1), Err(Exhausted { until_ms: 250 }));
    counts = stored(&counts, rule, 250);
    assert_eq!(counts.admit(rule, 250, 1), Ok(250));
    assert_eq!(counts.admit(rule, 250, 2), Err(Exhausted { until_ms: 750 }));
    assert_eq!(
        counts.admit(rule, 250, 4),
        Err(Exhausted { until_ms: 1250 })
    );
    // What was paid since does not come back a second time.
    assert!(counts.give_back(rule, 250, 250, 1));
    assert_eq!(counts.admit(rule, 250, 1), Ok(250));
    counts = stored(&counts, rule, 500);
    assert!(!counts.give_back(rule, 500, 250, 1));
    assert_eq!(counts.remaining(rule), 1);
}

#[test]
fn a_fixed_window_starts_afresh_at_its_boundary() {
    let rule = rule(Algorithm::FixedWindow, 2, 1000, 0);
    let mut counts = Counts::empty(rule, 1999);
    assert_eq!(counts.admit(rule, 1999, 2), Ok(1));
    assert_eq!(
        counts.admit(rule, 1999, 1),
        Err(Exhausted { until_ms: 2000 })
    );
    let before = stored(&counts, rule, 1999);
    assert_eq!(before, counts);
    counts = stored(&counts, rule, 2000);
    assert!(!counts.give_back(rule, 2000, 1, 1));
    assert_eq!(counts.admit(rule, 2000, 2), Ok(2));
    assert_eq!(counts.total(rule), 2);
}

#[test]
fn costs_are_charged_whole_or_not_at_all() {
    for (rule, most) in [
        (rule(Algorithm::SlidingWindow, 10, 1600, 0), 10),
        (rule(Algorithm::SlidingWindow, 1000, 1600, 0), 1000),
        (rule(Algorithm::TokenBucket, 5, 1600, 10), 10),
        (rule(Algorithm::FixedWindow, 10, 1600, 0), 10),
    ] {
        let mut counts = Counts::empty(rule, 16_000);
        assert_eq!(
            counts.admit(rule, 16_000, most + 1),
            Err(Exhausted { until_ms: 17_600 }),
            "never"
        );
        assert_eq!(
            counts.admit(rule, 16_000, u32::MAX),
            Err(Exhausted { until_ms: 17_600 })
        );
        let mark = counts.admit(rule, 16_000, most - 3).unwrap();
        assert!(counts.admit(rule, 16_000, 4).is_err());
        assert_eq!(counts.remaining(rule), 3);
        assert!(counts.admit(rule, 16_000, 0).is_ok());
        counts = stored(&counts, rule, 16_000);
        assert!(counts.give_back(rule, 16_000, mark, most - 3));
        assert_eq!(counts.weight(), 0);
        assert!(!counts.give_back(rule, 16_000, mark, 1));
        assert!(counts.admit(rule, 16_000, most).is_ok());
    }
}
