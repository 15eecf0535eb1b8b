//! What is asked, what an answer does, and what holds without one.

use alloc::vec;
use core::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::env::MemoryStore;
use crate::units::{Monotonic, UnixTime};

fn service(delivery: Delivery, on_failure: OnFailure) -> Service {
    Service {
        cluster: b"ratelimit".to_vec(),
        domain: b"edge".to_vec(),
        delivery,
        timeout_ms: 250,
        on_failure,
        interval_ms: 100,
        keys: Keys::derive(b"a secret of the fleet", b"edge"),
    }
}

fn stage(quotas: &[u32], delivery: Delivery, on_failure: OnFailure) -> LimitStage {
    let limits = quotas.iter().zip([b"one", b"two"]).map(|(quota, name)| {
        let mut limit = Limit::sample(name, *quota, 60_000);
        limit.fleet = Some(Fleet {
            service: 0,
            share: (1, 2),
        });
        limit
    });
    LimitStage {
        limits: limits.collect(),
        services: vec![service(delivery, on_failure)],
        hash_key: *b"0123456789abcdef",
        ..LimitStage::default()
    }
}

fn facts(client: u32) -> Facts<'static> {
    Facts::of(IpAddr::V4(Ipv4Addr::from_bits(client)))
}

/// One worker.
struct Worker {
    stage: LimitStage,
    store: MemoryStore,
    memory: Memory,
    now: u64,
    found: Findings,
}

/// What became of a request before anybody answered.
enum Asks {
    Nobody,
    Service(Question, Charges),
    Refused(Denial),
}

impl Worker {
    fn new(stage: LimitStage) -> Self {
        Self {
            stage,
            store: MemoryStore::default(),
            memory: Memory::default(),
            now: 1_000_000,
            found: Findings::default(),
        }
    }

    fn begin(&mut self, client: u32) -> Asks {
        let mut env = Env {
            now: Monotonic(self.now),
            wall: UnixTime(0),
            counters: &mut self.store,
        };
        let facts = facts(client);
        self.found = Findings::default();
        let found = &mut self.found;
        let mut charges = Charges::default();
        let begun = self
            .stage
            .remembered(Phase::Client, &facts, &self.memory, self.now, found)
            .and_then(|()| {
                self.stage
                    .check(Phase::Client, &facts, false, &mut env, &mut charges, found)
            })
            .and_then(|()| {
                self.stage
                    .consult(true, &mut self.memory, &mut env, &mut charges, found)
            });
        match begun {
            Ok(None) => Asks::Nobody,
            Ok(Some(question)) => Asks::Service(question, charges),
            Err(denial) => Asks::Refused(denial),
        }
    }

    fn end(&mut self, mut charges: Charges, message: Option<&[u8]>) -> Result<(), Denial> {
        let mut env = Env {
            now: Monotonic(self.now),
            wall: UnixTime(0),
            counters: &mut self.store,
        };
        let (memory, found) = (&mut self.memory, &mut self.found);
        let next = self
            .stage
            .consulted(0, message, memory, &mut env, &mut charges, found)?;
        assert_eq!(next, None, "one call a request and service");
        Ok(())
    }

    fn ask(&mut self, client: u32, message: Option<&[u8]>) -> Result<(), Denial> {
        match self.begin(client) {
            Asks::Nobody => Ok(()),
            Asks::Service(_, charges) => self.end(charges, message),
            Asks::Refused(denial) => Err(denial),
        }
    }

    fn used(&mut self, client: u32) -> u64 {
        let Asks::Service(_, mut charges) = self.begin(client) else {
            panic!("refused");
        };
        let used = charges.fleet[0].used;
        let mut env = Env {
            now: Monotonic(self.now),
            wall: UnixTime(0),
            counters: &mut self.store,
        };
        self.stage.undo(&mut charges, &mut env);
        used.saturating_sub(1)
    }

    fn rules(&self) -> Vec<(Reason, &[u8], &[u8])> {
        let found = self.found.as_slice().iter();
        found
            .map(|it| (it.reason, it.rule.as_slice(), it.place.as_slice()))
            .collect()
    }
}

const OK: &[u8] = b"\x08\x01";
/// Over, for two seconds.
const OVER: &[u8] = b"\x08\x02\x12\x06\x08\x02\x22\x02\x08\x02";

fn header<'d>(denial: &'d Denial, name: &str) -> Option<&'d [u8]> {
    let mut headers = denial.headers.iter();
    let (_, value) = headers.find(|(known, _)| *known == name)?;
    Some(value)
}

#[test]
fn one_call_asks_about_all_limits_and_shows_no_client() {
    let mut worker = Worker::new(stage(&[5, 3], Delivery::Sync, OnFailure::Local));
    let Asks::Service(question, _) = worker.begin(7) else {
        panic!("nobody is asked");
    };
    assert_eq!(question.upstream, b"\x0a\x0b\x0a\x09ratelimit");
    assert_eq!(question.timeout_ms, 250);
    let text = question.message.escape_ascii().to_string();
    assert!(text.starts_with(r"\n\x04edge"), "{text}");
    for part in [
        r"\x05limit\x12\x03one",
        r"\x05limit\x12\x03two",
        r"\x03key\x12 ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.ends_with(r"\x18\x01"), "{text}");
    // Another worker of the fleet, with another secret of its table, names the same counter; another client has another.
    let mut other = stage(&[5, 3], Delivery::Sync, OnFailure::Local);
    other.hash_key = *b"fedcba9876543210";
    let Asks::Service(same, _) = Worker::new(other.clone()).begin(7) else {
        panic!("nobody is asked");
    };
    assert_eq!(same, question);
    let Asks::Service(different, _) = Worker::new(other.clone()).begin(8) else {
        panic!("nobody is asked");
    };
    assert_ne!(different, question);
    // So has the same client under another secret.
    other.services[0].keys = Keys::derive(b"another secret", b"edge");
    let Asks::Service(different, _) = Worker::new(other).begin(7) else {
        panic!("nobody is asked");
    };
    assert_ne!(different, question);
    assert_eq!(alloc::format!("{:?}", Keys::derive(b"s", b"d")), "Keys(..)");
}

#[test]
fn a_refusal_is_remembered_until_the_reset_and_given_back() {
    let mut worker = Worker::new(stage(&[5], Delivery::Sync, OnFailure::Local));
    assert_eq!(worker.ask(1, Some(OK)), Ok(()));
    let refused = worker.ask(1, Some(OVER)).unwrap_err();
    assert_eq!(refused.reason, Reason::RateLimited);
    assert_eq!(header(&refused, "retry-after"), Some(&b"2"[..]));
    assert_eq!(
        worker.rules(),
        [(Reason::RateLimited, &b"one"[..], &b"fleet"[..])]
    );
    // Nobody is asked meanwhile.
    worker.now += 1_999;
    let Asks::Refused(refused) = worker.begin(1) else {
        panic!("forgotten");
    };
    assert_eq!(header(&refused, "retry-after"), Some(&b"1"[..]));
    assert!(
        matches!(worker.begin(2), Asks::Service(..)),
        "somebody else"
    );
    worker.now += 1;
    assert_eq!(worker.used(1), 1, "a refused request is not charged");
}

#[test]
fn a_reset_beyond_the_window_is_not_believed_and_one_untold_is_short() {
    for (message, wait) in [
        // A year.
        (
            &b"\x08\x02\x12\x09\x08\x02\x22\x05\x08\x80\xe7\x84\x0f"[..],
            60_000,
        ),
        (b"\x08\x02", 1_000),
        // Of another number of descriptors than asked.
        (
            b"\x08\x02\x12\x06\x08\x02\x22\x02\x08\x09\x12\x02\x08\x01",
            1_000,
        ),
        (b"\x08\x02\x12\x04\x08\x02\x22\x00", 1),
    ] {
        let mut worker = Worker::new(stage(&[5], Delivery::Sync, OnFailure::Local));
        assert!(worker.ask(1, Some(message)).is_err());
        worker.now += wait - 1;
        assert!(matches!(worker.begin(1), Asks::Refused(_)), "{wait}");
        worker.now += 1;
        assert!(matches!(worker.begin(1), Asks::Service(..)), "{wait}");
    }
}

#[test]
fn of_several_limits_the_one_that_is_over_is_remembered() {
    let mut worker = Worker::new(stage(&[5, 3], Delivery::Sync, OnFailure::Local));
    let message = b"\x08\x02\x12\x02\x08\x01\x12\x06\x08\x02\x22\x02\x08\x02";
    assert!(worker.ask(1, Some(message)).is_err());
    assert_eq!(
        worker.rules(),
        [(Reason::RateLimited, &b"two"[..], &b"fleet"[..])]
    );
    assert!(worker.memory.denied_ms(1, 0, worker.now).is_none());
    assert!(matches!(worker.begin(1), Asks::Refused(_)));
    assert_eq!(
        worker.rules(),
        [(Reason::RateLimited, &b"two"[..], &b"fleet"[..])]
    );
    worker.now += 2_000;
    assert_eq!(worker.used(1), 0, "both were given back");
    // Who does not say which is believed, but nobody is remembered.
    assert!(worker.ask(1, Some(b"\x08\x02")).is_err());
    assert!(matches!(worker.begin(1), Asks::Service(..)));
}

#[test]
fn without_an_answer_the_policy_decides() {
    for garbage in [
        None,
        Some(&b""[..]),
        Some(b"\xff"),
        Some(b"\x08\x00"),
        Some(b"<html>"),
    ] {
        // Half of four is this Envoy's share.
        let mut worker = Worker::new(stage(&[4], Delivery::Sync, OnFailure::Local));
        assert_eq!(worker.ask(1, garbage), Ok(()));
        assert_eq!(
            worker.rules(),
            [(Reason::FleetUnavailable, &b"one"[..], &b""[..])]
        );
        assert_eq!(worker.ask(1, garbage), Ok(()));
        for _ in 0..3 {
            let refused = worker.ask(1, garbage).unwrap_err();
            assert_eq!(refused.reason, Reason::RateLimited);
            assert_eq!(header(&refused, "retry-after"), Some(&b"60"[..]));
        }
        // The last two asked nobody.
        assert_eq!(worker.memory.take_failures(), 3);
        worker.now += REST_MS;
        assert_eq!(worker.ask(1, Some(OK)), Ok(()), "it is back");

        let mut worker = Worker::new(stage(&[4], Delivery::Sync, OnFailure::Deny));
        let refused = worker.ask(1, garbage).unwrap_err();
        assert_eq!(refused.reason, Reason::FleetUnavailable);
        assert_eq!(worker.used(1), 0);
        worker.now += REST_MS;

        let mut worker = Worker::new(stage(&[4], Delivery::Sync, OnFailure::Allow));
        for _ in 0..4 {
            assert_eq!(worker.ask(1, garbage), Ok(()));
            assert_eq!(worker.rules().len(), 1);
        }
        // The table here still counts.
        assert!(matches!(worker.begin(1), Asks::Refused(_)));
    }
}

#[test]
fn an_outage_holds_up_few_requests() {
    let mut worker = Worker::new(stage(&[100, 100], Delivery::Sync, OnFailure::Deny));
    let asks = |worker: &mut Worker| match worker.begin(1) {
        Asks::Service(_, charges) => Some(charges),
        Asks::Nobody => panic!("nobody decides"),
        Asks::Refused(denial) => {
            assert_eq!(denial.reason, Reason::FleetUnavailable);
            None
        }
    };
    // One that is under way when the others fail.
    let early = asks(&mut worker).unwrap();
    for _ in 0..3 {
        let charges = asks(&mut worker).unwrap();
        assert!(worker.end(charges, None).is_err());
    }
    assert!(asks(&mut worker).is_none());
    worker.now += REST_MS - 1;
    assert!(asks(&mut worker).is_none());
    // One sees whether it is back; nobody waits beside it.
    worker.now += 1;
    let first = asks(&mut worker).unwrap();
    assert!(asks(&mut worker).is_none());
    worker.now += 250;
    assert!(worker.end(first, None).is_err());
    worker.now += REST_MS - 1;
    assert!(asks(&mut worker).is_none());
    // Who went away without an answer keeps the next from asking for its time-out and a rest.
    worker.now += 1;
    let gone = asks(&mut worker).unwrap();
    worker.now += REST_MS + 249;
    assert!(asks(&mut worker).is_none());
    worker.now += 1;
    assert!(asks(&mut worker).is_some());
    drop(gone);
    // A clock that is set back keeps nobody from asking for long.
    worker.now = 5;
    assert!(asks(&mut worker).is_some());
    assert!(asks(&mut worker).is_none());
    // Any answer is the end of it.
    assert_eq!(worker.end(early, Some(OK)), Ok(()));
    for _ in 0..3 {
        assert!(asks(&mut worker).is_some());
    }
}

#[test]
fn hits_are_told_once_an_interval_with_their_number() {
    let mut worker = Worker::new(stage(&[100], Delivery::Async, OnFailure::Local));
    for client in [1, 2, 1, 1] {
        assert!(matches!(worker.begin(client), Asks::Nobody));
    }
    let reports = worker.stage.reports(&mut worker.memory, worker.now, 256);
    let mut hits: Vec<u8> = reports
        .iter()
        .map(|report| *report.question.message.last().unwrap())
        .collect();
    hits.sort_unstable();
    assert_eq!(hits, [1, 3]);
    // Nothing is told twice, nor before its time.
    assert!(
        worker
            .stage
            .reports(&mut worker.memory, worker.now, 256)
            .is_empty()
    );
    assert!(matches!(worker.begin(1), Asks::Nobody));
    worker.now += 99;
    assert!(
        worker
            .stage
            .reports(&mut worker.memory, worker.now, 256)
            .is_empty()
    );
    worker.now += 1;
    let reports = worker.stage.reports(&mut worker.memory, worker.now, 256);
    assert_eq!(reports.len(), 1);
    // Whom the service refuses is refused from then on.
    let news = worker
        .stage
        .reported(&reports[0], Some(OVER), &mut worker.memory, worker.now);
    assert_eq!(news, None);
    assert!(matches!(worker.begin(1), Asks::Refused(_)));
    assert!(matches!(worker.begin(2), Asks::Nobody));
    worker.now += 2_000;
    assert!(matches!(worker.begin(1), Asks::Nobody));
}

#[test]
fn a_service_that_is_told_and_does_not_answer_leaves_the_share() {
    let mut worker = Worker::new(stage(&[4], Delivery::Async, OnFailure::Local));
    assert!(matches!(worker.begin(1), Asks::Nobody));
    let reports = worker.stage.reports(&mut worker.memory, worker.now, 256);
    let (memory, now) = (&mut worker.memory, worker.now);
    assert_eq!(
        worker.stage.reported(&reports[0], None, memory, now),
        Some(false)
    );
    assert_eq!(worker.stage.reported(&reports[0], None, memory, now), None);
    assert!(matches!(worker.begin(1), Asks::Nobody));
    assert_eq!(
        worker.rules(),
        [(Reason::FleetUnavailable, &b"one"[..], &b""[..])]
    );
    assert!(matches!(worker.begin(1), Asks::Refused(_)));
    let (memory, now) = (&mut worker.memory, worker.now);
    assert_eq!(
        worker.stage.reported(&reports[0], Some(OK), memory, now),
        Some(true)
    );
    assert!(matches!(worker.begin(1), Asks::Nobody));
    assert!(worker.rules().is_empty());
}

#[test]
fn the_memory_is_bounded_and_what_does_not_fit_is_decided_here() {
    let mut worker = Worker::new(stage(&[4], Delivery::Async, OnFailure::Deny));
    let clients = 4 * u32::try_from(PENDING).unwrap();
    let kept = (0..clients).filter(|client| matches!(worker.begin(*client), Asks::Nobody));
    let kept = kept.count();
    assert!(kept <= PENDING && kept > PENDING / 2, "{kept}");
    let mut told = 0;
    for _ in 0..20 {
        told += worker
            .stage
            .reports(&mut worker.memory, worker.now, 256)
            .len();
    }
    assert_eq!(told, kept, "all are told, some at a time");
    // So are refusals: the newest are known.
    for client in 0..100_000 {
        worker.memory.deny(0, client, worker.now + 1);
    }
    assert_eq!(worker.memory.denied_ms(0, 99_999, worker.now), Some(1));
}

#[test]
fn a_limit_that_monitors_waits_for_nobody() {
    let mut stage = stage(&[4], Delivery::Sync, OnFailure::Deny);
    stage.limits[0].monitor = true;
    let mut worker = Worker::new(stage);
    assert!(matches!(worker.begin(1), Asks::Nobody));
    let reports = worker.stage.reports(&mut worker.memory, worker.now, 256);
    worker
        .stage
        .reported(&reports[0], Some(OVER), &mut worker.memory, worker.now);
    assert!(matches!(worker.begin(1), Asks::Nobody));
    assert_eq!(
        worker.rules(),
        [(Reason::RateLimited, &b"one"[..], &b"fleet"[..])]
    );
    worker
        .stage
        .reported(&reports[0], None, &mut worker.memory, worker.now);
    worker.now += 5_000;
    assert!(matches!(worker.begin(1), Asks::Nobody));
    assert_eq!(
        worker.rules(),
        [(Reason::FleetUnavailable, &b"one"[..], &b""[..])]
    );
}
