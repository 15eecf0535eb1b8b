//! The state machine of fetched keys, in virtual time: leases, the bucket, pauses, an hour without the provider.

use alloc::vec;

use super::*;
use crate::stages::token::Algorithm;

/// RFC 7517 §A.1, the P-256 key.
const SET: &[u8] = br#"{"keys":[{"kty":"EC","crv":"P-256","kid":"one","alg":"ES256",
"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

fn rules() -> RemoteKeys {
    RemoteKeys {
        cluster: b"idp".to_vec(),
        authority: b"id.example.com".to_vec(),
        path: b"/jwks.json".to_vec(),
        refresh_ms: 600_000,
        max_stale_ms: 86_400_000,
        wait_ms: 2_000,
        rules: JwkRules::public(vec![Algorithm::Es256]),
        name: [0; 16],
    }
}

const REFRESH: u64 = 600_000;

fn taken(control: &Control, want: Want, now: u64) -> Control {
    match control.plan(want, now, REFRESH) {
        Plan::Fetch(taken) => taken,
        other => panic!("{other:?} at {now}"),
    }
}

#[test]
fn an_entry_is_read_as_written_and_anything_else_is_none() {
    let control = Control {
        lease: 1,
        taken: 2,
        until: 3,
        stamp: 4,
        fetched: 5,
        good: 6,
        next: 7,
        full: u64::MAX,
        failures: 9,
        told_stale: true,
    };
    let bytes = control.encode();
    assert_eq!(bytes.len(), CONTROL_BYTES);
    assert_eq!(Control::decode(&bytes), control);
    for cut in 0..bytes.len() {
        assert_eq!(Control::decode(&bytes[..cut]), Control::default());
    }
    let other = [&[2], &bytes[1..]].concat();
    assert_eq!(Control::decode(&other), Control::default());
    assert_eq!(
        decode_document(&encode_document(7, b"x")),
        Some((7, &b"x"[..]))
    );
    assert_eq!(decode_document(b"short"), None);
}

#[test]
fn one_flight_and_a_lease_that_ends_by_itself() {
    let start = Control::default();
    let flying = taken(&start, Want::Schedule, 1_000);
    for want in [Want::Schedule, Want::Unknown, Want::Cold] {
        assert_eq!(
            flying.plan(want, 1_000 + LEASE_MS - 1, REFRESH),
            Plan::InFlight
        );
    }
    // Its holder died: the next one takes it over, and what the first still brings is lost.
    let second = taken(&flying, Want::Cold, 1_000 + LEASE_MS);
    assert_eq!(second.lease, flying.lease + 1);
    assert_eq!(
        second.succeeded(flying.lease, true, 7_500, 600_000, 0),
        None
    );
    assert_eq!(second.failed(flying.lease, 7_500, 1, 0), None);
    let good = second
        .succeeded(second.lease, true, 7_500, 600_000, 0)
        .unwrap();
    assert_eq!(
        (good.stamp, good.fetched, good.good),
        (second.lease, 7_500, second.lease)
    );
    // Given back once.
    assert_eq!(good.succeeded(second.lease, true, 7_600, 600_000, 0), None);
    assert_eq!(
        good.plan(Want::Schedule, 7_501, REFRESH),
        Plan::Later(607_500)
    );
    // A provider that shares the entry asks more often.
    assert!(matches!(
        good.plan(Want::Schedule, 17_500, 10_000),
        Plan::Fetch(_)
    ));
    assert_eq!(
        good.plan(Want::Schedule, 17_499, 10_000),
        Plan::Later(607_500)
    );
    taken(&good, Want::Schedule, 607_500);
}

#[test]
fn unknown_keys_fetch_through_a_bucket() {
    let mut control = taken(&Control::default(), Want::Cold, 0)
        .succeeded(1, true, 100, 3_600_000, 0)
        .unwrap();
    let mut fetches = Vec::new();
    // A flood for ten minutes, a request each 100 ms, answers at once.
    for now in (1_000..601_000).step_by(100) {
        match control.plan(Want::Unknown, now, REFRESH) {
            Plan::Fetch(taken) => {
                fetches.push(now);
                control = taken
                    .succeeded(taken.lease, false, now, 3_600_000, 0)
                    .unwrap();
            }
            Plan::Refused => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fetches.get(..2), Some(&[1_000, 1_100][..]));
    assert_eq!(fetches.len(), 21, "{fetches:?}");
    // A provider that fails is not asked by clients.
    let flying = taken(&control, Want::Unknown, 700_000);
    let failing = flying.failed(flying.lease, 700_100, 86_400_000, 0).unwrap();
    assert_eq!(failing.plan(Want::Unknown, 700_200, REFRESH), Plan::Refused);
}

#[test]
fn pauses_after_failures_grow_to_five_minutes_and_vary() {
    for dice in [0, 1, 12_345, u32::MAX / 2, u32::MAX] {
        let mut control = Control::default();
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..40 {
            let flying = taken(&control, Want::Schedule, now);
            control = flying.failed(flying.lease, now, 86_400_000, dice).unwrap();
            pauses.push(control.next - now);
            now = control.next;
        }
        assert!((750..=1_250).contains(&pauses[0]), "{pauses:?}");
        assert!((1_500..=2_500).contains(&pauses[1]), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= 300_000), "{pauses:?}");
        assert!(pauses[39] >= 225_000, "{pauses:?}");
        let flying = taken(&control, Want::Schedule, now);
        let good = flying
            .succeeded(flying.lease, true, now, 600_000, dice)
            .unwrap();
        assert_eq!(good.failures, 0);
        assert!((540_000..=600_000).contains(&(good.next - now)));
    }
}

/// The identity provider is down for an hour: no second of it without keys, and few fetches.
#[test]
fn an_hour_without_the_provider_costs_no_key() {
    let rules = rules();
    let mut remote = Remote::default();
    let mut control = taken(&Control::default(), Want::Cold, 0);
    remote.install(1, SET, &rules.rules).unwrap();
    control = control.succeeded(1, true, 50, rules.refresh_ms, 7).unwrap();
    let (mut fetches, mut stale) = (0, 0);
    for now in (1_000..=3_600_000).step_by(1_000) {
        remote.look(&control, now, &rules);
        assert_eq!(remote.keys().len(), 1, "at {now}");
        stale += u32::from(
            control.freshness(now, rules.refresh_ms, rules.max_stale_ms) == Freshness::Stale,
        );
        if let Plan::Fetch(flying) = control.plan(Want::Schedule, now, REFRESH) {
            fetches += 1;
            control = flying
                .failed(flying.lease, now, rules.max_stale_ms, fetches)
                .unwrap();
        }
    }
    assert!((8..=30).contains(&fetches), "{fetches}");
    assert!(stale > 2_900, "{stale}");
    // A day later they serve no more, and that is told once.
    let late = 86_400_000 + 51;
    remote.look(&control, late, &rules);
    assert!(remote.keys().is_empty());
    let flying = taken(&control, Want::Cold, late);
    let told = flying
        .failed(flying.lease, late, rules.max_stale_ms, 0)
        .unwrap();
    assert!(told.told_stale && !control.told_stale);
}

#[test]
fn a_bad_document_never_replaces_a_good_one() {
    let rules = rules();
    let mut remote = Remote::default();
    remote.install(1, SET, &rules.rules).unwrap();
    let long = vec![b' '; 300 * 1024];
    let bad: [&[u8]; 6] = [
        b"",
        b"<html>",
        b"{}",
        br#"{"keys":[]}"#,
        &SET[..SET.len() - 2],
        &long,
    ];
    for document in bad {
        assert!(remote.install(2, document, &rules.rules).is_err());
        assert_eq!((remote.stamp(), remote.count()), (1, 1));
    }
}

#[test]
fn kids_a_fetch_did_not_bring_are_remembered_for_a_while() {
    let rules = rules();
    let mut remote = Remote::default();
    assert!(remote.ask(Some(b"any")), "a cold start waits");
    assert_eq!(remote.take_want(), Some(Want::Cold));
    let control = taken(&Control::default(), Want::Cold, 0)
        .succeeded(1, true, 0, rules.refresh_ms, 0)
        .unwrap();
    remote.install(1, SET, &rules.rules).unwrap();
    remote.look(&control, 1, &rules);
    assert!(remote.ask(Some(b"two")));
    assert_eq!(remote.take_want(), Some(Want::Unknown));
    remote.is_stranger(b"two");
    assert!(!remote.ask(Some(b"two")));
    assert_eq!(remote.take_want(), None);
    assert!(remote.ask(Some(b"three")) && remote.ask(None));
    // Bounded, the oldest go.
    for number in 0..10_000_u32 {
        remote.is_stranger(&number.to_le_bytes());
    }
    assert_eq!(remote.strangers.len(), STRANGERS);
    assert!(!remote.ask(Some(&9_999_u32.to_le_bytes())));
    // Forgotten after a while, and with another document.
    remote.look(&control, 1 + BUCKET_MS, &rules);
    assert!(remote.ask(Some(&9_999_u32.to_le_bytes())));
    remote.is_stranger(b"two");
    remote.install(2, SET, &rules.rules).unwrap();
    assert!(remote.ask(Some(b"two")));
}
