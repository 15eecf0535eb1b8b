//! Scenario files of any filter: the ones in `tests/corpora/scenarios`, each expectation shown to fail when it is wrong, and the
//! command's ways of reporting.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; a failure is the test's"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Once;

use palisade_cli::scenario::harness::Harness;
use palisade_cli::scenario::{parse, report};
use palisade_host::Module;

const GUESTS: [&str; 5] = [
    "sdk-body",
    "sdk-callout",
    "sdk-config",
    "sdk-headers",
    "sdk-hello",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map(PathBuf::from)
        .unwrap()
}

/// Builds the filters once; returns their folder.
fn guests() -> PathBuf {
    static BUILT: Once = Once::new();
    let target = root().join("target/guests");
    BUILT.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .current_dir(root())
            .args(["build", "--quiet", "--release", "--target"])
            .args(["wasm32-unknown-unknown", "--target-dir"])
            .arg(&target);
        for guest in GUESTS {
            cargo.args(["-p", guest]);
        }
        assert!(
            cargo.status().unwrap().success(),
            "the filters do not build"
        );
    });
    target.join("wasm32-unknown-unknown/release")
}

fn palisade(arguments: &[&str]) -> Output {
    guests();
    Command::new(env!("CARGO_BIN_EXE_palisade"))
        .current_dir(root())
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn scenarios_of_other_filters_pass() {
    let output = palisade(&["test", "tests/corpora/scenarios"]);
    let printed = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{printed}{}",
        text(&output.stderr)
    );
    assert!(printed.contains(" passed, 0 failed"), "{printed}");
}

/// One case each: the filter, what happens, what is expected, and whether that is right. Each wrong one differs from a right one in one
/// place, which the difference names.
#[test]
fn each_expectation_fails_when_it_is_wrong() {
    let cases = [
        ("headers", "path: /", "allow", ""),
        ("headers", "path: /hello", "allow", "verdict"),
        ("headers", "path: /", "{ local_reply: {} }", "verdict"),
        (
            "headers",
            "path: /hello",
            "{ local_reply: { details: x } }",
            "local_reply details",
        ),
        (
            "headers",
            "path: /hello",
            "{ local_reply: { grpc_status: 7 } }",
            "local_reply grpc_status",
        ),
        ("headers", "path: /hello", "{ deny: '', status: 200 }", ""),
        ("headers", "path: /hello", "{ deny: other }", "verdict"),
        ("headers", "path: /", "{ status: 201 }", "status"),
        ("headers", "path: /", "{ paused: true }", "stream"),
        (
            "headers",
            "path: /",
            "{ reply: { present: [x-none] } }",
            "reply x-none",
        ),
        (
            "headers",
            "path: /",
            "{ reply: { absent: [powered-by] } }",
            "reply powered-by",
        ),
        (
            "headers",
            "path: /",
            "{ reply: { equal: [[powered-by, proxy]] } }",
            "reply powered-by",
        ),
        (
            "headers",
            "path: /",
            "{ reply: { contain: [[powered-by, z]] } }",
            "reply powered-by",
        ),
        (
            "headers",
            "path: /",
            "{ reply: { matches: [[powered-by, ^wasm]] } }",
            "reply powered-by",
        ),
        (
            "headers",
            "path: /",
            "{ reply: { matches: [[powered-by, wasm$]] } }",
            "",
        ),
        ("headers", "path: /", "{ reply_body: up }", "reply body"),
        (
            "headers",
            "path: /",
            "{ reply_body: { contain: [down] } }",
            "reply body",
        ),
        (
            "headers",
            "path: /",
            "{ reply_body: { lack: [stream] } }",
            "reply body",
        ),
        (
            "headers",
            "path: /",
            "{ reply_body: { matches: ^stream } }",
            "reply body",
        ),
        (
            "headers",
            "path: /",
            "{ reply_trailers: { present: [a] } }",
            "reply trailer a",
        ),
        ("headers", "path: /", "{ upstream: none }", "upstream"),
        (
            "headers",
            "path: /hello",
            "{ local_reply: {}, upstream: none }",
            "",
        ),
        (
            "headers",
            "path: /hello",
            "{ local_reply: {}, upstream_path: /hello }",
            "upstream",
        ),
        (
            "headers",
            "path: /",
            "{ upstream: { equal: [[x-marked, nope]] } }",
            "upstream x-marked",
        ),
        (
            "headers",
            "path: /",
            "{ upstream_path: /a }",
            "upstream path",
        ),
        (
            "headers",
            "{ path: /, method: POST, body: ab }",
            "{ upstream_body: ab }",
            "",
        ),
        (
            "headers",
            "{ path: /, method: POST, body: ab }",
            "{ upstream_body: a }",
            "upstream body",
        ),
        (
            "headers",
            "{ path: /, method: POST, body: ab, trailers: [[t, u]] }",
            "{ upstream_trailers: { equal: [[t, u]] } }",
            "",
        ),
        (
            "headers",
            "{ path: /, method: POST, body: ab, trailers: [[t, u]] }",
            "{ upstream_trailers: { equal: [[t, v]] } }",
            "upstream trailer t",
        ),
        ("headers", "path: /", "{ logs: ['done: 200'] }", ""),
        ("headers", "path: /", "{ logs: ['done: 201'] }", "logs[1]"),
        (
            "headers",
            "path: /",
            "{ logs: [{ matches: '^one' }] }",
            "logs[1]",
        ),
        (
            "headers",
            "path: /",
            "{ logs: [{ contains: done, level: warn }] }",
            "logs[1]",
        ),
        ("headers", "path: /", "{ logs_lack: [done] }", "logs"),
        (
            "headers",
            "path: /",
            "{ metrics: { none: 1 } }",
            "metrics none",
        ),
        (
            "headers",
            "path: /",
            "{ shared_data: { key: value } }",
            "shared_data key",
        ),
        (
            "headers",
            "path: /",
            "{ filter_state: { key: value } }",
            "filter_state key",
        ),
        (
            "headers",
            "path: /",
            "{ calls: { proxy_log: 1 } }",
            "calls proxy_log",
        ),
        ("headers", "path: /", "{ fuel: 10 }", "fuel"),
        ("headers", "path: /", "{ trap: fuel }", "trap"),
        ("headers", "path: /", "{ event: [x] }", "event"),
        ("config", "path: /", "{ trap: must be a text }", ""),
        ("config", "path: /", "{ trap: fuel }", "trap"),
        ("config", "path: /", "allow", "trap"),
        (
            "body",
            "{ method: POST, body: xattack, chunks: all }",
            "{ local_reply: {} }",
            "",
        ),
        (
            "body",
            "{ method: POST, body: xattack, chunks: all }",
            "allow",
            "verdict",
        ),
        (
            "body",
            "{ method: POST, body: nothing, chunks: all }",
            "{ local_reply: {} }",
            "verdict",
        ),
        ("hello", "step: tick", "{ metrics: { hello_ticks: 1 } }", ""),
        (
            "hello",
            "step: tick",
            "{ metrics: { hello_ticks: 2 } }",
            "metrics hello_ticks",
        ),
        (
            "hello",
            "{ step: wait, advance: 10s }",
            "{ logs: [tick 2] }",
            "",
        ),
        (
            "hello",
            "{ step: wait, advance: 10s }",
            "{ logs: [tick 3] }",
            "logs[1]",
        ),
        (
            "callout",
            "path: /a",
            "{ upstream: { equal: [[x-auth, you]] } }",
            "",
        ),
        (
            "callout",
            "path: /a",
            "{ upstream: { equal: [[x-auth, me]] } }",
            "upstream x-auth",
        ),
        (
            "callout",
            "{ path: /a, times: 2 }",
            "{ upstream: { equal: [[x-auth, you]] } }",
            "verdict",
        ),
        (
            "callout",
            "{ step: queue }",
            "allow",
            "callouts[1] (cluster auth, path /a)",
        ),
    ];
    let folder = guests();
    for (guest, request, expect, what) in cases {
        let module = Module::from_file(folder.join(format!("sdk_{guest}.wasm"))).unwrap();
        let request = request.trim_start_matches("{ ").trim_end_matches(" }");
        let callouts = if guest == "callout" {
            "[{ cluster: auth, path: /a, calls: 1, answer: { body: you } }]"
        } else {
            "[]"
        };
        let yaml = format!(
            "configuration: ''\ncases:\n  - name: one\n    callouts: {callouts}\n    requests: [{{ {request}, expect: {expect} }}]\n"
        );
        let file =
            parse(&yaml, Path::new("one.yaml")).unwrap_or_else(|error| panic!("{yaml}{error:#}"));
        let report = report(&file, &file.cases[0], &mut Harness::new(module));
        let found: Vec<&str> = report.differences.iter().map(|d| d.what.as_str()).collect();
        if what.is_empty() {
            assert!(
                report.passed(),
                "{request} {expect}: {:#?}",
                report.differences
            );
        } else {
            assert!(
                found.contains(&what),
                "{request} {expect}: {:#?}",
                report.differences
            );
        }
        assert_eq!(report.line, 3);
    }
}

#[test]
fn an_unforeseen_call_out_fails_the_case() {
    let module = Module::from_file(guests().join("sdk_callout.wasm")).unwrap();
    let yaml = "configuration: ''\nclusters: [auth]\ncases:\n  - name: one\n    requests: [{ path: /a, expect: { local_reply: {} } }]\n";
    let file = parse(yaml, Path::new("one.yaml")).unwrap();
    let report = report(&file, &file.cases[0], &mut Harness::new(module));
    assert!(
        report
            .differences
            .iter()
            .any(|d| d.what == "callouts" && d.found == "GET /a to auth"),
        "{:#?}",
        report.differences
    );
}

#[test]
fn broken_files_are_refused() {
    for (yaml, problem) in [
        (
            "cases: [{ name: a, requests: [{}] }]",
            "no policy and names no module",
        ),
        (
            "configuration: ''\ncases: [{ name: a, requests: [] }]",
            "no requests",
        ),
        (
            "configuration: ''\ncases: [{ name: a, requests: [{}] }, { name: a, requests: [{}] }]",
            "two cases",
        ),
        (
            "configuration: ''\ncases: [{ name: a, requests: [{ expect: { reply_body: { matches: '(' } } }] }]",
            "no pattern",
        ),
        (
            "configuration: ''\ncases: [{ name: a, requests: [{ expect: { replies: {} } }] }]",
            "replies",
        ),
        (
            "configuration: ''\ncases: [{ name: a, requests: [{ expect: { upstream: nothing } }] }]",
            "none",
        ),
        (
            "configuration: ''\nwithout_functions: [sign]\ncases: [{ name: a, requests: [{}] }]",
            "clear_route_cache and verify_signature",
        ),
        (
            "configuration: ''\ncases: [{ name: a, requests: [{ times: 0 }] }]",
            "times",
        ),
        (
            "configuration: ''\ncases: [{ name: a, requests: [{ step: jump }] }]",
            "jump",
        ),
        (
            "configuration: ''\ncases: [{ name: a, callouts: [{ answers: {} }], requests: [{}] }]",
            "answers",
        ),
        (
            "policy: {}\ncases: [{ name: a, requests: [{ expect: no_such_reason }] }]",
            "no reason",
        ),
    ] {
        let error = parse(yaml, Path::new("x.yaml")).expect_err(yaml);
        let text = format!("{error:#}");
        assert!(text.contains(problem), "{yaml}: {text}");
    }
}

#[test]
fn exit_codes_and_reports() {
    let folder = std::env::temp_dir().join(format!("palisade-scenarios-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (file, junit) = (folder.join("a.yaml"), folder.join("junit.xml"));
    let module = guests().join("sdk_headers.wasm");
    let write = |cases: &str| {
        let yaml = format!(
            "module: {}\nconfiguration: ''\ncases:\n{cases}",
            module.display()
        );
        std::fs::write(&file, yaml).unwrap();
    };
    let good = "  - { name: good <1>, requests: [{}] }\n";
    let bad = "  - { name: bad, requests: [{ expect: { status: 201, reply_body: \"a\\nb\" } }] }\n";
    let elsewhere = "  - { name: elsewhere, drivers: [envoy], requests: [{}] }\n";
    let path = file.to_str().unwrap();
    let code = |output: &Output| output.status.code();

    write(&format!("{good}{elsewhere}"));
    let output = palisade(&["test", path, "--junit", junit.to_str().unwrap(), "--json"]);
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&json["passed"], &json["failed"], &json["skipped"]),
        (&1.into(), &0.into(), &1.into())
    );
    assert_eq!(json["cases"][1]["skipped"], "it is for envoy");

    write(&format!("{bad}{good}{elsewhere}"));
    let output = palisade(&["test", path, "--junit", junit.to_str().unwrap()]);
    assert_eq!(code(&output), Some(1));
    let printed = text(&output.stdout);
    for line in [
        "1 passed, 1 failed, 1 skipped",
        "a.yaml:4 (harness)",
        "request 1: status",
        "expected 201",
        "found    200",
        "skipped 1: it is for envoy",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    let xml = std::fs::read_to_string(&junit).unwrap();
    well_formed(&xml);
    assert!(
        xml.contains("tests=\"3\"")
            && xml.contains("failures=\"1\"")
            && xml.contains("good &lt;1&gt;"),
        "{xml}"
    );

    let output = palisade(&["test", path, "--fail-fast", "--jobs", "1", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["cases"].as_array().unwrap().len(), 1);

    let output = palisade(&["test", path, "--list"]);
    assert_eq!(
        (code(&output), text(&output.stdout).lines().count()),
        (Some(0), 3)
    );

    for arguments in [
        &["test", path, "--filter", "no such case"][..],
        &["test", path, "--filter", "elsewhere"],
        &["test", path, "--driver", "native"],
        &[
            "test",
            path,
            "--driver",
            "envoy",
            "--envoy",
            "no/such/envoy",
        ],
        &["test", "no/such/file.yaml"],
        &["test", path, "--module", "no/such/module.wasm"],
        &["test"],
        &[
            "test",
            "--suites",
            "no/such/suites.json",
            "--module",
            "x.wasm",
        ],
    ] {
        let output = palisade(arguments);
        assert_eq!(
            code(&output),
            Some(2),
            "{arguments:?}: {}",
            text(&output.stdout)
        );
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Every element that opens closes, in order, and no bare `<` or `&` is left in text.
fn well_formed(xml: &str) {
    let mut open: Vec<String> = Vec::new();
    for part in xml.split('<').skip(1) {
        let (tag, rest) = part.split_once('>').unwrap();
        assert!(!rest.contains('>') || rest.contains("&gt;"), "{rest}");
        if tag.starts_with('?') || tag.ends_with('/') {
            continue;
        }
        let name = tag.split([' ', '\n']).next().unwrap();
        match name.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop().as_deref(), Some(closed), "{xml}"),
            None => open.push(name.to_owned()),
        }
    }
    assert!(open.is_empty(), "{open:?}: {xml}");
}

/// The schema names the keys that are read, no more and no fewer: a key that is not read is refused with the list of those that are.
#[test]
fn the_schema_has_the_keys_that_are_read() {
    let schema: serde_json::Value = serde_json::from_str(palisade_cli::scenario::SCHEMA).unwrap();
    let in_case = |inner: &str| format!("configuration: ''\ncases: [{{ name: a, {inner} }}]");
    let in_request = |inner: &str| in_case(&format!("requests: [{{ {inner} }}]"));
    let in_expect = |inner: &str| in_request(&format!("expect: {{ {inner} }}"));
    for (place, yaml) in [
        ("", "zzz: 1\ncases: []".to_owned()),
        ("/$defs/Limits", "limits: { zzz: 1 }\ncases: []".to_owned()),
        ("/$defs/Case", in_case("zzz: 1")),
        ("/$defs/Request", in_request("zzz: 1")),
        ("/$defs/Answered", in_request("response: { zzz: 1 }")),
        ("/$defs/Rule", in_case("callouts: [{ zzz: 1 }]")),
        (
            "/$defs/Answer",
            in_case("callouts: [{ answer: { zzz: 1 } }]"),
        ),
        ("/$defs/ExpectTable", in_expect("zzz: 1")),
        ("/$defs/LocalReply", in_expect("local_reply: { zzz: 1 }")),
        ("/$defs/Fields", in_expect("reply: { zzz: 1 }")),
        ("/$defs/TextTable", in_expect("reply_body: { zzz: 1 }")),
        ("/$defs/LineTable", in_expect("logs: [{ zzz: 1 }]")),
    ] {
        let error = parse(&yaml, Path::new("x.yaml")).expect_err(&yaml);
        let error = format!("{error:#}");
        let (_, keys) = error.split_once("expected").expect(&error);
        let keys = keys.lines().next().unwrap();
        let mut read: Vec<&str> = keys
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| !matches!(*word, "" | "one" | "of" | "or"))
            .collect();
        read.sort_unstable();
        let properties = schema.pointer(&format!("{place}/properties")).unwrap();
        let mut written: Vec<&str> = properties
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        written.sort_unstable();
        assert_eq!(read, written, "{place}: {error}");
    }
    let output = palisade(&["schema", "--scenario"]);
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap(),
        schema
    );
}
