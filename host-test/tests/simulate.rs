//! Races found and races not found: the naive limiter loses updates, with compare-and-swap it does not, and a seed says the same thing twice.
//!
//! `PALISADE_LONG=1` runs 10,000 seeds where the daily run has 300.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; a failure is the test's"
)]

use std::time::Duration;

use palisade_host::{
    Module, Request,
    simulate::{Action, Failure, Property, Simulation, Traffic},
};

const LIMIT: u64 = 50;

/// The limiter in `examples/`, built once, with a configuration.
fn limiter(configuration: &str) -> Simulation {
    let simulation = Simulation {
        plugin_configuration: configuration.as_bytes().to_vec(),
        ..Simulation::new(Module::from_package("sdk-naive-limiter").unwrap())
    };
    simulation.check().unwrap();
    simulation
}

/// A filter written by hand; `body` is its request headers callback.
fn written(imports: &str, body: &str) -> Simulation {
    let text = format!(
        r#"(module {imports}
          (memory (export "memory") 1) (data (i32.const 0) "k") (data (i32.const 8) "v")
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "malloc") (param i32) (result i32) (i32.const 1024))
          (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {body}))"#
    );
    Simulation::new(Module::load(text.as_bytes()).unwrap())
}

fn race(count: usize) -> Traffic {
    Traffic::race(&Request::get("/"), count)
}

fn properties() -> Vec<Property> {
    let mut properties = Property::sane();
    properties.push(Property::at_most(LIMIT));
    properties.push(Property::at_least(LIMIT));
    properties
}

fn seeds() -> u64 {
    if std::env::var_os("PALISADE_LONG").is_some() {
        10_000
    } else {
        300
    }
}

#[test]
fn a_naive_limiter_is_caught_and_its_seed_replays() {
    let simulation = limiter("50");
    let report = simulation.run_seeds(0..50, &race(100), &properties());
    let violation = report.violation.expect("the lost update is not found");
    assert_eq!(violation.property, "admitted <= 50");
    assert!(violation.run.seed < 10, "seed {}", violation.run.seed);

    // The printed seed shows the same again, event by event.
    let again = simulation.record(violation.run.seed, &race(100));
    assert_eq!(again.events, violation.run.events);
    assert_eq!(again.answers, violation.run.answers);

    // One interruption is enough for a lost update: between a read and its write. And the schedule replays from its text.
    let shortest = &violation.shortest;
    assert_eq!(
        shortest.schedule.interruptions(),
        1,
        "{}",
        shortest.schedule
    );
    let schedule = shortest.schedule.to_string().parse().unwrap();
    let replayed = simulation.replay(shortest.seed, &race(100), &schedule);
    assert_eq!(replayed.fingerprint, shortest.fingerprint);
    assert!(Property::at_most(LIMIT).breaks(&replayed).is_some());
    let interrupted = shortest
        .schedule
        .switches
        .iter()
        .find(|switch| switch.at.is_some());
    let victim = interrupted.map(|switch| switch.from);
    let at = shortest.events.windows(2).position(|pair| {
        let [before, after] = pair else { return false };
        Some(before.worker) == victim && after.worker != before.worker
    });
    let before = at
        .and_then(|at| shortest.events.get(at))
        .map(|event| &event.action);
    assert!(
        matches!(
            before,
            Some(Action::Call {
                name: "proxy_get_shared_data",
                ..
            })
        ),
        "{before:?}"
    );
}

/// Limits to 3 by a count that only compare-and-swap writes, and is wrong all the same.
fn subtle(charge: &str, log: &str) -> Simulation {
    let text = format!(
        r#"
      (import "env" "proxy_get_shared_data" (func $get (param i32 i32 i32 i32 i32) (result i32)))
      (import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))
      (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
      ;; The count and its version go where the caller says.
      (func $read (param $to i32)
        (i64.store (local.get $to) (i64.const 0))
        (if (i32.eqz (call $get (i32.const 0) (i32.const 1) (i32.const 16) (i32.const 20) (i32.const 24)))
          (then
            (i32.store (local.get $to) (i32.load (i32.load (i32.const 16))))
            (i32.store (i32.add (local.get $to) (i32.const 4)) (i32.load (i32.const 24))))))
      ;; Adds to what was read there; true if somebody was faster.
      (func $write (param $from i32) (param $more i32) (result i32)
        (i32.store (i32.const 8) (i32.add (i32.load (local.get $from)) (local.get $more)))
        (call $set (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 4)
          (i32.load (i32.add (local.get $from) (i32.const 4)))))
      (func $place (param $context i32) (result i32)
        (i32.add (i32.const 4096) (i32.mul (i32.const 8) (i32.and (local.get $context) (i32.const 1023)))))
      (func (export "proxy_on_configure") (param i32 i32) (result i32) (local $at i32)
        ;; A key that is there has a version; the first write finds none.
        (call $read (i32.const 4096))
        (if (i32.eqz (i32.load (i32.const 4100))) (then (drop (call $write (i32.const 4096) (i32.const 0)))))
        (i32.const 1))
      (func (export "proxy_on_log") (param i32) {log})"#
    );
    let body = format!(
        "(call $read (call $place (local.get 0)))
        (if (i32.ge_u (i32.load (call $place (local.get 0))) (i32.const 3)) (then
          (i32.store (call $place (local.get 0)) (i32.const -1))
          (drop (call $reply (i32.const 429) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
          (return (i32.const 1))))
        {charge}
        i32.const 0"
    );
    let simulation = written(&text, &body);
    simulation.check().unwrap();
    simulation
}

#[test]
fn a_charge_that_is_lost_or_made_twice_is_found() {
    let retry = |more: u32| {
        format!(
            "(if (call $write (call $place (local.get 0)) (i32.const 1)) (then (loop $again
              (call $read (call $place (local.get 0)))
              (br_if $again (call $write (call $place (local.get 0)) (i32.const {more}))))))"
        )
    };
    // Reads in one callback, writes in another, and gives up when somebody was faster.
    let late = "(if (i32.lt_u (i32.load (call $place (local.get 0))) (i32.const 3)) (then
        (drop (call $write (call $place (local.get 0)) (i32.const 1)))))";
    let cases = [
        (subtle("", late), "admitted <= 3"),
        // It tries again without a second look at the limit.
        (subtle(&retry(1), ""), "admitted <= 3"),
        // It thinks that its first write counts.
        (subtle(&retry(2), ""), "admitted >= min(3, requests)"),
    ];
    for (number, (simulation, property)) in cases.into_iter().enumerate() {
        let wanted = if property.contains('<') {
            Property::at_most(3)
        } else {
            Property::at_least(3)
        };
        let report = simulation.run_seeds(0..200, &race(8), std::slice::from_ref(&wanted));
        let violation = report
            .violation
            .unwrap_or_else(|| panic!("{number}: {property}"));
        assert_eq!(violation.property, property, "{number}");
        assert!(
            violation.run.seed < 50,
            "{number}: seed {}",
            violation.run.seed
        );
        // The shortest schedule shows it again, and one request alone does not.
        let shortest = &violation.shortest;
        let schedule = shortest.schedule.to_string().parse().unwrap();
        let replayed = simulation.replay(shortest.seed, &race(8), &schedule);
        assert!(wanted.breaks(&replayed).is_some(), "{number}");
        let alone = simulation.run_seeds(0..20, &race(1), &[wanted]);
        assert!(alone.violation.is_none(), "{number}");
    }
}

#[test]
fn compare_and_swap_is_clean() {
    let report = limiter("50 cas").run_seeds(0..seeds(), &race(100), &properties());
    assert!(report.violation.is_none(), "{:?}", report.violation);
    assert_eq!((report.seeds, report.stopped), (seeds(), false));
    assert_eq!(report.admitted, Some((LIMIT, LIMIT)));
    let rate = report.seeds as f64 / report.elapsed.as_secs_f64();
    eprintln!(
        "cas limiter: {} seeds in {:?}, {rate:.0} a second",
        report.seeds, report.elapsed
    );
}

#[test]
fn the_same_seed_is_the_same_run_and_another_is_another() {
    let simulation = Simulation {
        skew: Duration::from_secs(2),
        restart_rate: 0.05,
        crash_rate: 0.005,
        failures: vec![Failure {
            hostcall: Some("proxy_set_shared_data".to_owned()),
            status: Some(8),
            rate: 0.1,
        }],
        ..limiter("50 cas")
    };
    let mut fingerprints = Vec::new();
    for seed in 0..20 {
        let run = simulation.run(seed, &race(60));
        let again = simulation.run(seed, &race(60));
        assert_eq!(run.fingerprint, again.fingerprint, "seed {seed}");
        assert_eq!(run.schedule, again.schedule, "seed {seed}");
        assert_eq!(run.answers, again.answers, "seed {seed}");
        assert!(run.injected > 0 && run.restarts > 0, "seed {seed}");
        for property in [
            Property::at_most(LIMIT),
            Property::no_trap(),
            Property::answered_once(),
        ] {
            assert_eq!(property.breaks(&run), None, "seed {seed}");
        }
        fingerprints.push(run.fingerprint);
    }
    fingerprints.sort_unstable();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 20);
}

#[test]
fn traps_waits_and_endless_retries_are_violations() {
    let imports = r#"(import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))"#;
    let set = "(call $set (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 7))";
    let cases = [
        (String::from("unreachable"), "no trap", "trap"),
        (
            String::from("i32.const 1"),
            "every request answered once",
            "got no answer",
        ),
        // Version 7 is nobody's after the first write: it tries for ever.
        (
            format!("(loop (br_if 0 {set}) (br 0)) i32.const 0"),
            "no trap",
            "stuck",
        ),
    ];
    for (body, property, what) in cases {
        let report = written(imports, &body).run_seeds(0..3, &race(4), &Property::sane());
        let violation = report.violation.expect(property);
        assert_eq!(violation.property, property);
        assert!(violation.what.contains(what), "{}", violation.what);
        assert_eq!(violation.run.seed, 0);
        let forced = if what == "stuck" { 20 } else { 0 };
        assert!(
            violation.shortest.schedule.interruptions() <= forced,
            "{what}"
        );
    }
    // The same guests, left alone, are clean where they should be.
    let clean = written("", "i32.const 0").run_seeds(0..3, &race(4), &Property::sane());
    assert!(clean.violation.is_none());
}

/// Two workers that wait for each other's write: a schedule that never lets the other run would hang here.
#[test]
fn a_guest_that_waits_for_another_gets_its_turn() {
    let imports = r#"(import "env" "proxy_get_shared_data" (func $get (param i32 i32 i32 i32 i32) (result i32)))
      (import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))"#;
    // Takes the lock (a key only one can create, then with the version read), and is answered.
    let body = "(loop $again (br_if $again (i32.eq (i32.const 8)
        (call $set (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 1) (call $version)))))
        i32.const 0";
    let version = r#"(func $version (result i32) (if (result i32)
        (call $get (i32.const 0) (i32.const 1) (i32.const 16) (i32.const 20) (i32.const 24))
        (then (i32.const -1)) (else (i32.load (i32.const 24)))))"#;
    let simulation = written(&format!("{imports} {version}"), body);
    let report = simulation.run_seeds(0..30, &race(20), &Property::sane());
    assert!(report.violation.is_none(), "{:?}", report.violation);
    assert_eq!(report.admitted, Some((20, 20)));
}

#[test]
fn what_is_injected_is_not_the_guests_fault() {
    let simulation = Simulation {
        crash_rate: 0.2,
        ..limiter("50 cas")
    };
    let run = simulation.record(1, &race(40));
    assert!(
        run.restarts > 0 && run.faults.is_empty(),
        "{:?}",
        run.faults
    );
    assert!(
        run.events
            .iter()
            .any(|event| matches!(event.action, Action::Crash { .. }))
    );
    assert!(
        run.answers
            .iter()
            .any(|answer| answer.crashed && answer.status == 503)
    );
    assert_eq!(Property::answered_once().breaks(&run), None);
}
