//! The command finds the naive limiter's lost update and says how to see it again; our own filter keeps its limit under races, failing
//! hostcalls, crashes, restarts and skewed clocks.
//!
//! `PALISADE_LONG=1` runs 10,000 seeds where the daily run has 150.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; a failure is the test's"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn palisade(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_palisade"))
        .current_dir(root())
        .arg("simulate")
        .args(arguments)
        .output()
        .unwrap()
}

/// Runs with `--json`; checks the exit code.
fn json(arguments: &[&str], code: i32) -> Value {
    let done = palisade(&[arguments, &["--json"]].concat());
    assert_eq!(done.status.code(), Some(code), "{done:?}");
    serde_json::from_slice(&done.stdout).unwrap()
}

/// The naive limiter, built once.
fn limiter() -> &'static str {
    static FILE: OnceLock<String> = OnceLock::new();
    FILE.get_or_init(|| {
        let target = root().join("target/guests");
        let built = Command::new(env!("CARGO"))
            .current_dir(root())
            .args(["build", "--release", "--target", "wasm32-unknown-unknown"])
            .args(["-p", "sdk-naive-limiter", "--target-dir"])
            .arg(&target)
            .status()
            .unwrap();
        assert!(built.success(), "the guest does not build");
        let file = target.join("wasm32-unknown-unknown/release/sdk_naive_limiter.wasm");
        file.display().to_string()
    })
}

/// Our filter as it is shipped, built if it is not there.
fn ours() -> &'static str {
    static FILE: OnceLock<String> = OnceLock::new();
    FILE.get_or_init(|| {
        let file = root().join("target/palisade.wasm");
        if !file.is_file() {
            let built = Command::new(env!("CARGO"))
                .current_dir(root())
                .args(["run", "--quiet", "-p", "xtask", "--", "wasm"])
                .status()
                .unwrap();
            assert!(built.success(), "the filter does not build");
        }
        file.display().to_string()
    })
}

fn seeds() -> &'static str {
    if std::env::var_os("PALISADE_LONG").is_some() {
        "10000"
    } else {
        "150"
    }
}

#[test]
fn a_lost_update_is_found_shortened_and_replayed() {
    let race = [
        "--module",
        limiter(),
        "--config-text",
        "50",
        "--limit",
        "50",
    ];
    let report = json(&[&race[..], &["--seeds", "100"]].concat(), 1);
    let violation = &report["violation"];
    assert_eq!(violation["property"], "admitted <= 50");
    assert_eq!(violation["shortest"]["interruptions"], 1);
    let seed = violation["run"]["seed"].to_string();
    let schedule = violation["shortest"]["schedule"].as_str().unwrap();

    // The seed alone is the same run; its short schedule breaks the same property.
    let again = json(&[&race[..], &["--seed", &seed]].concat(), 1);
    assert_eq!(again["fingerprint"], violation["run"]["fingerprint"]);
    assert_eq!(again["violations"][0]["property"], "admitted <= 50");
    let short = ["--seed", &seed, "--schedule", schedule, "--trace"];
    let again = json(&[&race[..], &short].concat(), 1);
    assert_eq!(again["fingerprint"], violation["shortest"]["fingerprint"]);
    assert!(again["events"].as_array().unwrap().len() > 100);

    // For people: the seed, the interruption, and command lines that can be pasted.
    let done = palisade(&[&race[..], &["--seeds", "100"]].concat());
    let text = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(1));
    for part in [
        "FAIL admitted <= 50: ",
        &format!("  seed {seed} ("),
        "the shortest schedule found has 1:",
        "get_shared_data \"count of 203.0.113.1\" -> ",
        &format!("--limit 50 --seed {seed} --trace"),
        &format!("--schedule '{schedule}' --trace"),
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn compare_and_swap_is_clean_for_each_of_several_clients() {
    let report = json(
        &[
            "--module",
            limiter(),
            "--config-text",
            "20 cas",
            "--limit",
            "20",
            "--at-least",
            "--clients",
            "4",
            "--restart",
            "0.05",
            "--seeds",
            seeds(),
        ],
        0,
    );
    assert_eq!(report["violation"], Value::Null);
    // 25 requests each, 20 of them admitted.
    assert_eq!(report["admitted"]["least"], 80);
    assert_eq!(report["admitted"]["most"], 80);
}

const LIMITS: &str = r#"{"limits":[{"name":"per-client","key":["client"],"quota":"50/10m"}],"routes":[{"name":"all","match":{"path":"/*"},"token":"none"}]}"#;

#[test]
fn our_limit_is_kept_to_the_request() {
    let race = ["--module", ours(), "--config-text", LIMITS, "--limit", "50"];
    let report = json(
        &[&race[..], &["--at-least", "--seeds", seeds()]].concat(),
        0,
    );
    assert_eq!(report["admitted"]["least"], 50);
    assert_eq!(report["admitted"]["most"], 50);
    // Workers whose clocks disagree, ticks among the requests.
    let wrong = [
        "--skew",
        "2s",
        "--step",
        "200ms",
        "--restart",
        "0.02",
        "--seeds",
        seeds(),
    ];
    let report = json(&[&race[..], &wrong].concat(), 0);
    assert!(report["restarts"].as_u64() > Some(0));
}

/// The trace of the operator's reference: the picture there is what comes out, byte for byte.
#[test]
fn a_trace_is_replayed_and_drawn() {
    let picture = root().join("target/scraper.svg");
    let file = picture.display().to_string();
    let trace = [
        "--module",
        ours(),
        "--policy",
        "examples/traces/scraper.yaml",
        "--replay",
        "examples/traces/scraper.txt",
        "--per",
        "1m",
    ];
    let held = ["--limit", "60", "--svg", &file];
    let report = json(&[&trace[..], &held].concat(), 0);
    assert_eq!(report["requests"], 526);
    assert_eq!(report["clients"], 6);
    assert_eq!(report["most"]["admitted"], 60);
    assert_eq!(report["most"]["client"], "203.0.113.66");
    let refused = report["refused"]["palisade_rate_limited"].as_u64().unwrap();
    assert_eq!(report["admitted"].as_u64().unwrap() + refused, 526);
    let kept = std::fs::read_to_string(root().join("examples/traces/scraper.svg")).unwrap();
    let drawn = std::fs::read_to_string(&picture).unwrap();
    assert!(
        kept == drawn,
        "examples/traces/scraper.svg is not what filter/README.md says makes it; the new one is {file}"
    );
    // The property can fail, and a trace that is none is said so.
    let report = json(&[&trace[..], &["--limit", "59"]].concat(), 1);
    assert_eq!(report["ok"], false);
    let broken = ["--policy", "examples/traces/scraper.yaml", "--replay"];
    let done = palisade(&[&broken[..], &["examples/traces/scraper.yaml"]].concat());
    assert_eq!(done.status.code(), Some(2), "{done:?}");
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.contains("scraper.yaml:2: "), "{said}");
}

/// One signed message, posted a hundred times to four workers: it passes once. Whatever fails, never twice.
#[test]
fn a_signed_message_passes_once() {
    const POLICY: &str = r#"{"tokens":{"hooks":{"type":"hmac","scheme":"github","keys":[{"env":"HOOK"}]}},"table":{"marks":64},"routes":[{"name":"all","match":{"path":"/*"},"token":{"any":["hooks"]}}]}"#;
    // HMAC-SHA256 of no body.
    const SIGNATURE: &str = "x-hub-signature-256: sha256=4604b974e6582baba3f72f860ee8c608ee95ea4f8921d3ba44825e247997d5e3";
    let race = [
        "--module",
        ours(),
        "--config-text",
        POLICY,
        "--env",
        "HOOK=a-secret-of-a-webhook-0123456789",
        "-H",
        SIGNATURE,
        "--limit",
        "1",
        "--seeds",
        seeds(),
    ];
    let report = json(&[&race[..], &["--at-least"]].concat(), 0);
    assert_eq!(report["admitted"]["least"], 1);
    assert_eq!(report["admitted"]["most"], 1);
    let wrong = [
        "--faults",
        "0.05",
        "--crash",
        "0.01",
        "--restart",
        "0.05",
        "--skew",
        "2s",
        "--step",
        "100ms",
    ];
    let report = json(&[&race[..], &wrong].concat(), 0);
    assert!(report["admitted"]["most"].as_u64() <= Some(1), "{report}");
}

/// Workers two seconds apart: no true span of the window less that distance holds more than the quota; a window later there is room again.
#[test]
fn our_window_holds_with_clocks_that_disagree() {
    let policy = LIMITS.replace("50/10m", "20/10s");
    let race = ["--module", ours(), "--config-text", &policy];
    let race = [
        &race[..],
        &["--requests", "300", "--step", "100ms", "--skew", "1s"],
    ]
    .concat();
    let kept = ["--limit", "20", "--per", "7s", "--seeds", "60"];
    let report = json(&[&race[..], &kept].concat(), 0);
    assert!(report["admitted"]["least"].as_u64() > Some(40), "{report}");
    // The property can fail: a longer span holds two windows' worth.
    let broken = ["--limit", "20", "--per", "15s", "--seeds", "5"];
    let report = json(&[&race[..], &broken].concat(), 1);
    assert_eq!(report["violation"]["property"], "admitted <= 20 in any 15s");
}

/// The example policy while every hostcall of a request fails now and then, each with what it may answer.
#[test]
fn our_filter_fails_closed_whatever_fails() {
    // Not `get_property=NOT_FOUND`: a request without an address is a client of its own.
    let failures = [
        "get_shared_data=NOT_FOUND",
        "get_shared_data=INTERNAL_FAILURE",
        "get_shared_data=RESULT_MISMATCH",
        "set_shared_data=CAS_MISMATCH",
        "set_shared_data=INTERNAL_FAILURE",
        "set_shared_data=NOT_FOUND",
        "get_property=INTERNAL_FAILURE",
        "get_property=BAD_ARGUMENT",
        "get_header_map_pairs=NOT_FOUND",
        "get_header_map_pairs=INTERNAL_FAILURE",
        "clock_time_get=28",
        "send_local_response=BAD_ARGUMENT",
        "close_stream=INTERNAL_FAILURE",
        "replace_header_map_value=INTERNAL_FAILURE",
        "set_property=INTERNAL_FAILURE",
        "increment_metric=NOT_FOUND",
        "log=INTERNAL_FAILURE",
    ];
    let failures: Vec<String> = failures
        .iter()
        .map(|failure| format!("--fail={failure}@0.01"))
        .collect();
    let mut arguments = vec![
        "--module",
        ours(),
        "--policy",
        "examples/policies/shop.yaml",
        "--env=PALISADE_JWT_KEY=a-key-of-the-corpus-a-key-of-the-corpus",
        "--env=PALISADE_SESSION_KEY=a-key-of-the-corpus-a-key-of-the-corpus",
        "-H",
        "user-agent: simulate",
        "--limit",
        "100",
        "--requests",
        "150",
        "--skew",
        "2s",
        "--crash",
        "0.002",
        "--restart",
        "0.01",
        "--seeds",
        seeds(),
    ];
    arguments.extend(failures.iter().map(String::as_str));
    let report = json(&arguments, 0);
    assert!(report["injected"].as_u64() > Some(1000), "{report}");
    assert!(report["restarts"].as_u64() > Some(100), "{report}");
}

#[test]
fn traffic_comes_from_a_scenario_file() {
    let file = "tests/corpora/verdicts/limits.yaml";
    let race = ["--module", ours(), "--traffic", file, "--case"];
    let case = "the quota and not one more";
    // Five of one client on a path with a limit of five; the others are another client's, and a path without a limit.
    let report = json(&[&race[..], &[case, "--seeds", "50"]].concat(), 0);
    assert_eq!(report["requests"], 500);
    assert_eq!(report["admitted"]["most"], 7);
    let done = palisade(&[&race[..], &["no such case"]].concat());
    assert_eq!(done.status.code(), Some(2));
}

#[test]
fn a_secret_is_not_printed_and_bad_input_is_named() {
    let secret = "--env=TOKEN=hunter2";
    let race = ["--module", limiter(), "--config-text", "5", "--limit", "5"];
    let done = palisade(&[&race[..], &[secret, "--env", "OTHER=hunter2"]].concat());
    assert_eq!(done.status.code(), Some(1));
    let text = format!("{done:?}");
    assert!(
        !text.contains("hunter2") && text.contains("--env=TOKEN=..."),
        "{text}"
    );

    let cases: &[(&[&str], &str)] = &[
        (&["--faults", "2"], "no probability"),
        (&["--fail", "get_shared_data"], "CAS_MISMATCH@0.1"),
        (&["--fail", "get_shared_data=SOMEHOW"], "no status"),
        (
            &["--fail", "no_such_call=NOT_FOUND"],
            "no hostcall `proxy_no_such_call`",
        ),
        (&["--skew", "2"], "no unit"),
        (&["--workers", "0"], "workers"),
        (&["--at-least"], "--limit"),
        (&["--trace"], "--seed"),
        (
            &["--seed", "1", "--schedule", "0 1>2"],
            "no part of a schedule",
        ),
        (&["--config-text", "many"], "the configuration is"),
        (&["--module", "absent.wasm"], "absent.wasm"),
        (&["--requests", "100001"], "`100001` is no number"),
        (&["--skew", "99999999999999999d"], "a hundred years"),
    ];
    for (arguments, part) in cases {
        let mut all = *arguments;
        let mut given = vec![];
        if !all.contains(&"--module") {
            given.extend(["--module", limiter()]);
        }
        if !all.contains(&"--config-text") {
            given.extend(["--config-text", "5"]);
        }
        given.extend(std::mem::take(&mut all));
        let done = palisade(&given);
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
}
