//! `palisade explain` on the shipped module: five attacks and five look-alikes; the trace changes no verdict.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests: failing here is failing the test"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::Result;
use palisade_cli::scenario::harness::{Harness, HarnessSession};
use palisade_cli::scenario::{Driver, Setup, load, run_file};
use palisade_host::Module;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn module() -> PathBuf {
    let path = root().join("target/palisade.wasm");
    assert!(
        path.is_file(),
        "target/palisade.wasm is missing: `cargo xtask wasm` builds it, `cargo xtask test` does so first"
    );
    path
}

fn explain(policy: &Path, arguments: &[&str], stdin: &[u8]) -> Output {
    use std::io::Write as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_palisade"))
        .args(["explain", "--at", "1800000000", "--policy"])
        .arg(policy)
        .arg("--module")
        .arg(module())
        .args([
            "--env",
            "PALISADE_JWT_KEY=demo-jwt-key-demo-jwt-key-demo-jwt-key-0",
        ])
        .args([
            "--env",
            "PALISADE_SESSION_KEY=demo-session-key-demo-session-key-demo-0",
        ])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn shop() -> PathBuf {
    root().join("examples/policies/shop.yaml")
}

/// The JSON of an explanation, and its exit code.
fn told(policy: &Path, curl: &str) -> (Value, i32) {
    let done = explain(policy, &["--json", "--curl", curl], b"");
    let text = String::from_utf8_lossy(&done.stdout);
    let value = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{curl}: {}", String::from_utf8_lossy(&done.stderr)));
    (value, done.status.code().unwrap())
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// What decoding undid, in order, for the value at `place`.
fn undone(told: &Value, place: &str) -> String {
    let values = told["explanation"]["values"].as_array().unwrap();
    let value = values
        .iter()
        .find(|value| value["place"] == place && !value["matches"].as_array().unwrap().is_empty())
        .unwrap_or_else(|| panic!("no value at {place}: {values:#?}"));
    let steps = value["steps"].as_array().unwrap();
    let steps: Vec<&str> = steps.iter().map(|step| text(step, "/by")).collect();
    steps.join(" > ")
}

/// The policy with the printed exception pasted into it.
fn pasted(told: &Value) -> Value {
    let source = std::fs::read_to_string(shop()).unwrap();
    let mut policy: Value = serde_saphyr::from_str(&source).unwrap();
    for change in told["exception"]["changes"].as_array().unwrap() {
        let add = text(change, "/how") == "add";
        let change: Value = serde_saphyr::from_str(text(change, "/yaml")).unwrap();
        paste(&mut policy, &change, add);
    }
    policy
}

/// As an operator pastes: an item is added to its list, or replaces the keys of the item with its name.
fn paste(into: &mut Value, from: &Value, add: bool) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                paste(into.entry(name.clone()).or_insert(Value::Null), value, add);
            }
        }
        (Value::Array(into), Value::Array(from)) if add => into.extend(from.clone()),
        (Value::Array(into), Value::Array(from)) if from.iter().all(Value::is_object) => {
            for item in from {
                let named = |old: &&mut Value| old.get("name") == item.get("name");
                paste(into.iter_mut().find(named).unwrap(), item, add);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

struct Case {
    name: &'static str,
    curl: &'static str,
    /// Stage, reason, last step; empty: allowed.
    refused: (&'static str, &'static str, &'static str),
    /// Place, and what decoding undid there.
    decoded: Option<(&'static str, &'static str)>,
    /// A part of the exception, or of the advice.
    way_out: &'static str,
}

const ATTACKS: [Case; 5] = [
    Case {
        name: "SQL in a query, URL-encoded twice",
        curl: "curl 'https://shop.example.com/search?q=%2527%2520OR%25201%253D1--%2520'",
        refused: ("injection", "injection", "injection(head)"),
        decoded: Some(("query:q", "percent > percent")),
        way_out: "- { route: search, field: q, classes: [sqli] }",
    },
    Case {
        name: "script in JSON, as HTML entities behind JSON escapes",
        curl: r#"curl https://shop.example.com/comments --json '{"user":{"bio":"&lt;img src=x onerror=&#97;lert(1)&gt;"}}'"#,
        refused: ("injection", "injection", "injection(body)"),
        decoded: Some(("body:user.bio", "html entity")),
        way_out: "- { route: public, field: user.bio, classes: [xss] }",
    },
    Case {
        name: "traversal in a parameter",
        curl: "curl 'https://shop.example.com/download?file=..%2f..%2f..%2fetc%2fpasswd'",
        refused: ("injection", "injection", "injection(head)"),
        decoded: Some(("query:file", "percent")),
        way_out: "- { route: public, field: file, classes: [traversal] }",
    },
    Case {
        name: "a forged token: signed with another key",
        curl: "curl https://shop.example.com/account/orders -H 'Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tIiwiYXVkIjoic2hvcCIsInN1YiI6InJvb3QiLCJyb2xlcyI6WyJhZG1pbiJdLCJleHAiOjQxMDI0NDQ4MDB9.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'",
        refused: ("token", "token_invalid", "token"),
        decoded: None,
        way_out: "get a valid one",
    },
    Case {
        name: "a shell command in a form",
        curl: "curl https://shop.example.com/ping -d 'host=127.0.0.1%3B+cat+%2Fetc%2Fpasswd'",
        refused: ("injection", "injection", "injection(body)"),
        decoded: Some(("body:host", "percent, plus")),
        way_out: "- { route: public, field: host, classes: [shell, traversal] }",
    },
];

const LOOK_ALIKES: [Case; 5] = [
    Case {
        name: "a name with an apostrophe",
        curl: r#"curl https://shop.example.com/comments --json '{"name":"Tim O'\''Reilly"}'"#,
        refused: ("", "", "injection(body)"),
        decoded: None,
        way_out: "",
    },
    Case {
        name: "words of SQL in a sentence",
        curl: "curl -G https://shop.example.com/search --data-urlencode 'q=select the best from our union'",
        refused: ("", "", "body"),
        decoded: None,
        way_out: "",
    },
    Case {
        // A false alarm, shown as it is: a comparison, `and`, a comparison.
        name: "arithmetic",
        curl: "curl -G https://shop.example.com/search --data-urlencode 'q=5 < 6 and 7 > 3'",
        refused: ("injection", "injection", "injection(head)"),
        decoded: Some(("query:q", "percent")),
        way_out: "- { route: search, field: q, classes: [sqli] }",
    },
    Case {
        name: "C++ in a comment",
        curl: r#"curl https://shop.example.com/comments --json '{"text":"for (auto it = v.begin(); it != v.end(); ++it) { std::cout << *it; }"}'"#,
        refused: ("", "", "injection(body)"),
        decoded: None,
        way_out: "",
    },
    Case {
        name: "dots in a file name",
        curl: "curl https://shop.example.com/files/report..final.v2..pdf",
        refused: ("", "", "body"),
        decoded: None,
        way_out: "",
    },
];

#[test]
fn five_attacks_are_explained_and_their_exceptions_pass_them() -> Result<()> {
    ATTACKS.iter().try_for_each(is_refused)
}

#[test]
fn four_of_five_look_alikes_pass_and_the_fifth_has_its_exception() -> Result<()> {
    let (refused, passed): (Vec<&Case>, Vec<&Case>) = LOOK_ALIKES
        .iter()
        .partition(|case| !case.refused.0.is_empty());
    assert_eq!(passed.len(), 4);
    for case in passed {
        let (told, code) = told(&shop(), case.curl);
        assert_eq!(code, 0, "{}: {told:#}", case.name);
        let steps = told["explanation"]["steps"].as_array().unwrap();
        let last = steps.last().unwrap();
        assert_eq!(
            text(last, "/step"),
            case.refused.2,
            "{}: {told:#}",
            case.name
        );
        assert!(told["exception"].is_null(), "{}", case.name);
        assert!(told.get("closest").is_some(), "{}", case.name);
    }
    refused.into_iter().try_for_each(is_refused)
}

/// Verdict, last step, cost, decoding, and an exception that passes it when pasted.
fn is_refused(case: &Case) -> Result<()> {
    let (told, code) = told(&shop(), case.curl);
    let (stage, reason, step) = case.refused;
    assert_eq!(code, 1, "{}", case.name);
    assert_eq!(
        text(&told, "/explanation/verdict/outcome"),
        "denied",
        "{}",
        case.name
    );
    assert_eq!(
        text(&told, "/explanation/verdict/stage"),
        stage,
        "{}",
        case.name
    );
    assert_eq!(
        text(&told, "/explanation/verdict/reason"),
        reason,
        "{}",
        case.name
    );
    let steps = told["explanation"]["steps"].as_array().unwrap();
    let last = steps.last().unwrap();
    assert_eq!(text(last, "/step"), step, "{}", case.name);
    assert_eq!(text(last, "/decision"), "refused", "{}", case.name);
    for row in steps {
        assert!(
            row["fuel"].as_u64().unwrap() > 0 || text(row, "/step") == "body",
            "{}: {row}",
            case.name
        );
    }
    let fuel = |pointer: &str| told.pointer(pointer).and_then(Value::as_u64).unwrap();
    let sum: u64 = steps.iter().map(|row| row["fuel"].as_u64().unwrap()).sum();
    let (rest, all) = (fuel("/explanation/rest"), fuel("/explanation/fuel"));
    assert!(
        rest > 0 && sum + rest == all,
        "{}: {sum} + {rest} is not {all}",
        case.name
    );
    if let Some((place, expected)) = case.decoded {
        assert_eq!(undone(&told, place), expected, "{}", case.name);
    }
    let exception = told["exception"].to_string().replace("\\n", "\n");
    assert!(
        exception.contains(case.way_out),
        "{}: {exception}",
        case.name
    );
    if told["exception"]["advice"].is_null() {
        assert_eq!(told["exception"]["proved"], true, "{}", case.name);
        // Not taken on trust: pasted, and asked again.
        let name = case
            .name
            .replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
        std::fs::write(&path, pasted(&told).to_string())?;
        let (again, code) = self::told(&path, case.curl);
        assert_eq!(code, 0, "{}: {again:#}", case.name);
    }
    Ok(())
}

#[test]
fn other_refusals_name_the_key_to_change() -> Result<()> {
    let cases = [
        ("curl -X PROPFIND https://shop.example.com/", "- PROPFIND"),
        (
            "curl https://shop.example.com/ -H 'X-Rewrite-Url: /admin'",
            "forbid: [x-original-url]",
        ),
        (
            "curl https://shop.example.com/account/x",
            "- { name: account, token: { optional: true } }",
        ),
        (
            "curl https://shop.example.com/upload -H 'Content-Type: text/csv' -d a,b",
            "- text/csv",
        ),
        ("curl https://shop.example.com/a%2fb", "escaped_slash: keep"),
        (
            "curl https://shop.example.com/ -H 'Transfer-Encoding: chunked' -H 'Content-Length: 3' -d abc",
            "readers would differ",
        ),
    ];
    for (curl, expected) in cases {
        let (told, code) = told(&shop(), curl);
        assert_eq!(code, 1, "{curl}");
        let exception = told["exception"].to_string();
        assert!(exception.contains(expected), "{curl}: {exception}");
        if told["exception"]["advice"].is_null() {
            assert_eq!(told["exception"]["proved"], true, "{curl}");
            let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("key.json");
            std::fs::write(&path, pasted(&told).to_string())?;
            assert_eq!(self::told(&path, curl).1, 0, "{curl}");
        }
    }
    Ok(())
}

/// A body that is not what its type says: where it breaks, and what to send.
#[test]
fn a_broken_body_is_told_where_it_breaks() -> Result<()> {
    let curl = "curl https://shop.example.com/cart/add -H 'Content-Type: application/json' -d '{\"a\": 1,}'";
    let (told, code) = told(&shop(), curl);
    assert_eq!(code, 1, "{told:#}");
    assert_eq!(text(&told, "/explanation/verdict/reason"), "malformed_body");
    assert_eq!(told["broken"]["offset"], 8);
    assert_eq!(told["broken"]["after"], "}");
    let fault = text(&told, "/broken/fault");
    assert!(fault.contains("a comma with nothing behind it"), "{fault}");
    let done = explain(&shop(), &["--curl", curl], b"");
    let printed = String::from_utf8_lossy(&done.stdout);
    assert!(
        printed.contains("broken as JSON at byte 8 of 9"),
        "{printed}"
    );
    assert!(printed.contains("fix: send JSON"), "{printed}");
    Ok(())
}

/// A body that is too laborious: which part spent the steps, and how many would do.
#[test]
fn a_spent_budget_is_told_with_the_steps_that_would_do() -> Result<()> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("steps.yaml");
    std::fs::write(&path, "injection: {steps: 65536}\nbody: {max: 64KiB}\n")?;
    let body = "Tom & Jerry's, or (b) ".repeat(2_000);
    let request = format!(
        "POST /notes HTTP/1.1\r\nhost: shop.example.com\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let done = explain(&path, &["--json", "--raw", "-"], request.as_bytes());
    let told: Value = serde_json::from_slice(&done.stdout)?;
    assert_eq!(done.status.code(), Some(1), "{told:#}");
    let reason = text(&told, "/explanation/verdict/reason");
    assert_eq!(reason, "inspection_budget");
    assert_eq!(text(&told, "/explanation/findings/0/place"), "body");
    let steps = told["explanation"]["steps"].as_array().unwrap();
    let head = steps
        .iter()
        .find(|row| text(row, "/step") == "injection(head)");
    assert_eq!(text(head.unwrap(), "/decision"), "passed", "{told:#}");
    let exception = told["exception"].to_string();
    assert!(exception.contains("steps: "), "{exception}");
    assert_eq!(told["exception"]["proved"], true, "{exception}");
    Ok(())
}

/// What is too little to refuse is told as such: nothing is monitored.
#[test]
fn findings_below_the_threshold_are_told_as_such() {
    let done = explain(
        &shop(),
        &["--curl", "curl 'https://shop.example.com/search?q=1%3D1'"],
        b"",
    );
    let printed = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{printed}");
    assert!(
        printed.contains("ALLOWED with findings below the threshold"),
        "{printed}"
    );
    assert!(
        printed.contains("closest: sqli in query:q would refuse it at level"),
        "{printed}"
    );
    assert!(!printed.contains("enforced"), "{printed}");
}

/// A policy that is no YAML: what to change, and nothing of the reader's own settings.
#[test]
fn check_tells_of_text_that_is_no_yaml() -> Result<()> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("broken.yaml");
    for (policy, line, help) in [
        (
            "injection:\n  level: 2\n  level: 3\n",
            ":3: ",
            "`level` stands twice in one map (column 3)",
        ),
        ("injection:\n\tlevel: 2\n", ":2: ", "indent with blanks"),
        ("limits: [{ key: [client }]\n", ":1: ", "close every `[`"),
        ("headers: *x\n", ":1: ", "quote texts"),
    ] {
        std::fs::write(&path, policy)?;
        let done = Command::new(env!("CARGO_BIN_EXE_palisade"))
            .arg("check")
            .arg(&path)
            .output()?;
        assert_eq!(done.status.code(), Some(1));
        let text = String::from_utf8_lossy(&done.stderr);
        assert!(text.contains(line) && text.contains(help), "{text}");
        assert!(!text.contains("Policy in Options"), "{text}");
    }
    Ok(())
}

/// One request in every form: the same verdict and the same value, and what a form lacks is said.
#[test]
fn every_form_of_a_request_tells_the_same() {
    let target = "/search?q=%27%20OR%201%3D1--%20";
    let raw = format!("GET {target} HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: x\r\n\r\n");
    let har = format!(
        r#"{{"log":{{"entries":[{{"request":{{"method":"GET","url":"https://shop.example.com{target}","headers":[{{"name":":path","value":"/"}},{{"name":"user-agent","value":"x"}}]}}}}]}}}}"#
    );
    let event = r#"[warning] wasm log: {"ts":"2026-11-21T05:23:48.042Z","action":"denied","mode":"enforce","request_id":"r","client":"198.51.100.7","method":"GET","path":"/search","route":"search","stage":"injection","reason":"injection","status":403,"body":"none","findings":[{"stage":"injection","reason":"injection","rule":"sqli","place":"query:q","evidence":"' OR 1=1-- ","score":5}]}"#;
    let curl = format!("curl 'https://shop.example.com{target}'");
    for (form, bytes) in [
        ("curl", curl.as_bytes()),
        ("raw HTTP", raw.as_bytes()),
        ("HAR", har.as_bytes()),
        ("event", event.as_bytes()),
    ] {
        let done = explain(&shop(), &["--json", "--no-exception"], bytes);
        let told: Value = serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|_| panic!("{form}: {}", String::from_utf8_lossy(&done.stderr)));
        assert_eq!(text(&told, "/form"), form);
        assert_eq!(done.status.code(), Some(1), "{form}");
        let value = &told["explanation"]["values"][0];
        assert_eq!(text(value, "/place"), "query:q", "{form}");
        assert_eq!(text(value, "/matches/0/rule"), "sqli", "{form}");
        if form == "event" {
            assert_eq!(text(&told, "/explanation/client"), "198.51.100.7");
            assert!(text(&told, "/notes/0").contains("does not hold the host"));
        }
    }
    for (bytes, code) in [
        (&b"what is this"[..], 2),
        (b"", 2),
        (b"curl", 2),
        (b"\xff\xfe", 2),
        (b"{}", 2),
    ] {
        let done = explain(&shop(), &[], bytes);
        assert_eq!(done.status.code(), Some(code), "{bytes:?}");
        assert!(
            String::from_utf8_lossy(&done.stderr).starts_with("palisade: "),
            "{bytes:?}"
        );
    }
}

/// Values of redacted names stay hidden until asked for, and no credential shows up at all.
#[test]
fn secrets_stay_secret() {
    let curl = "curl https://shop.example.com/login -d \"password=hunter2' OR 1=1-- \" -H 'Authorization: Bearer sesame.sesame.sesame'";
    let hidden = explain(&shop(), &["--curl", curl], b"");
    let text = String::from_utf8_lossy(&hidden.stdout).into_owned();
    assert!(
        text.contains("[redacted]") && !text.contains("hunter2") && !text.contains("sesame"),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "colour without a terminal");
    let shown = explain(&shop(), &["--show-secrets", "--curl", curl], b"");
    assert!(String::from_utf8_lossy(&shown.stdout).contains("hunter2"));
}

/// A policy that traces is valid, and `check` says that it is not for an edge.
#[test]
fn check_warns_of_a_policy_that_traces() -> Result<()> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("traces.yaml");
    std::fs::write(&path, "debug: { trace: true }\n")?;
    let done = Command::new(env!("CARGO_BIN_EXE_palisade"))
        .arg("check")
        .arg(&path)
        .output()?;
    assert_eq!(done.status.code(), Some(0));
    let text = String::from_utf8_lossy(&done.stderr);
    assert!(
        text.contains("warning:") && text.contains("debug.trace"),
        "{text}"
    );
    Ok(())
}

/// An exception that is over is no exception: `check` says so.
#[test]
fn check_warns_of_exceptions_that_are_over() -> Result<()> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("over.yaml");
    let text = "injection: { except: [{ name: old, field: q, expires: 2020-01-01 }, { field: p, expires: 2999-01-01 }] }\n";
    std::fs::write(&path, text)?;
    let done = Command::new(env!("CARGO_BIN_EXE_palisade"))
        .arg("check")
        .arg(&path)
        .output()?;
    assert_eq!(done.status.code(), Some(0));
    let text = String::from_utf8_lossy(&done.stderr);
    let place = "injection.except[0], line 1: `old` has expired";
    assert!(text.contains(place), "{text}");
    assert_eq!(text.matches("warning:").count(), 1, "{text}");
    Ok(())
}

/// Where only a less sure hit refuses, the exception leaves the surest of its class alone.
#[test]
fn an_exception_takes_no_surer_hits_than_it_must() -> Result<()> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("level.yaml");
    std::fs::write(&path, "injection: { level: 3 }\n")?;
    let (told, code) = told(&path, "curl 'http://x/?q=%3Cform%20action%3Dx%3E'");
    assert_eq!(code, 1);
    let yaml = text(&told, "/exception/changes/0/yaml");
    assert!(yaml.contains("level: 3"), "{told:#}");
    let except = "injection: { level: 3, except: [{ field: q, classes: [xss], level: 3 }] }\n";
    std::fs::write(&path, except)?;
    let code_of = |value: &str| {
        explain(
            &path,
            &["--curl", &format!("curl 'http://x/?q={value}'")],
            b"",
        )
        .status
        .code()
    };
    let form = code_of("%3Cform%20action%3Dx%3E");
    let script = code_of("%3Cscript%3Ealert(1)%3C/script%3E");
    assert_eq!((form, script), (Some(0), Some(1)));
    Ok(())
}

/// Limits by number of requests, and monitor mode: reported, not refused.
#[test]
fn limits_and_monitor_mode() -> Result<()> {
    let curl = "curl https://shop.example.com/";
    for (times, code, used) in [("100", 0, "100/100"), ("101", 1, "100/100, next in")] {
        let done = explain(&shop(), &["--times", times, "--curl", curl], b"");
        let text = String::from_utf8_lossy(&done.stdout);
        assert_eq!(done.status.code(), Some(code), "{text}");
        assert!(text.contains(&format!("per-client {used}")), "{text}");
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("monitors.yaml");
    std::fs::write(&path, "mode: monitor\ninjection: {}\n")?;
    let curl = "curl 'https://h/?q=<script>alert(1)</script>' -d 'a=%3Cscript%3Ealert(1)'";
    let (told, code) = told(&path, curl);
    assert_eq!(code, 0);
    assert_eq!(told["explanation"]["verdict"]["monitored"], true);
    let steps = told["explanation"]["steps"].as_array().unwrap();
    let reported: Vec<&str> = steps
        .iter()
        .filter(|row| row["decision"] == "reported")
        .map(|row| text(row, "/step"))
        .collect();
    assert_eq!(reported, ["injection(head)", "injection(body)"]);
    Ok(())
}

/// The same driver, its policies tracing.
struct Traced(Harness);

impl Driver for Traced {
    type Session = HarnessSession;

    fn name(&self) -> &'static str {
        "harness"
    }

    fn start(&mut self, setup: &Setup<'_>) -> Result<HarnessSession> {
        let mut policy: Value = serde_json::from_str(setup.policy()?)?;
        policy["debug"] = serde_json::json!({ "trace": true });
        let policy = policy.to_string();
        self.0.start(&Setup {
            configuration: policy.as_bytes(),
            ..*setup
        })
    }
}

/// What explains is what runs: with the trace on, every case of the corpus ends as it does without, events and all.
#[test]
fn the_trace_changes_no_verdict() -> Result<()> {
    let mut driver = Traced(Harness::new(Module::from_file(module())?));
    let mut cases = 0;
    for entry in std::fs::read_dir(root().join("tests/corpora/verdicts"))? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            for report in run_file(&load(&path)?, &mut driver, "") {
                assert!(report.passed(), "{report:#?}");
                cases += 1;
            }
        }
    }
    assert!(cases >= 60, "{cases} cases");
    Ok(())
}

/// What good traffic needs is proposed as narrow as it can be said, and holds when it is pasted.
#[test]
fn exceptions_are_learned_from_good_traffic() {
    let folder = std::env::temp_dir().join(format!("palisade-learn-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let policy = folder.join("policy.yaml");
    let text = "injection: {}\nroutes:\n  - { name: wiki, match: { path: \"/wiki/*\" } }\n  - { name: rest, match: { path: \"/*\" } }\n";
    std::fs::write(&policy, text).unwrap();
    let row = |id: &str, path: &str| {
        format!("{{\"id\":\"{id}\",\"request\":{{\"method\":\"GET\",\"path\":\"{path}\"}}}}\n")
    };
    let mut good: String = [
        row(
            "sql",
            "/wiki/edit?text=1%27%20UNION%20SELECT%20password%20FROM%20users--",
        ),
        row("html", "/wiki/edit?text=%3Cscript%3Ealert(1)%3C/script%3E"),
        row("plain", "/wiki/edit?text=it%27s%20fine"),
        row("path", "/x/..%2f..%2f..%2fetc/passwd"),
    ]
    .concat();
    let learn = |policy: &Path, good: &str| {
        let output = explain(policy, &["--learn", "-", "--days", "10"], good.as_bytes());
        let text = String::from_utf8(output.stdout).unwrap();
        (
            output.status.code(),
            text,
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said, errors) = learn(&policy, &good);
    assert_eq!(code, Some(1), "{said}{errors}");
    let rule = "{ name: learned-1, route: wiki, field: text, classes: [sqli, xss], expires: \"2027-01-25\" }";
    assert!(said.contains(rule), "{said}");
    assert!(said.contains("needed by 2 requests, first sql: "), "{said}");
    assert!(said.contains("still refused, path: injection"), "{said}");
    assert_eq!(said.matches("learned-").count(), 1, "{said}");

    // Pasted, it holds, and for no other field.
    let pasted = text.replace("injection: {}\n", "") + &said;
    std::fs::write(&policy, pasted).unwrap();
    good = good
        .lines()
        .take(3)
        .map(|line| format!("{line}\n"))
        .collect();
    let (code, said, errors) = learn(&policy, &good);
    assert_eq!(code, Some(0), "{said}{errors}");
    assert!(
        said.contains("refuses 0.") && said.contains("Nothing to except"),
        "{said}"
    );
    let other = row(
        "other",
        "/wiki/edit?title=%3Cscript%3Ealert(1)%3C/script%3E",
    );
    let (_, said, _) = learn(&policy, &other);
    assert!(
        said.contains("name: learned-2, route: wiki, field: title, classes: [xss]"),
        "{said}"
    );

    let attack = "{\"label\":\"attack\",\"request\":{\"method\":\"GET\",\"path\":\"/\"}}";
    let (code, _, errors) = learn(&policy, attack);
    assert_eq!(code, Some(2));
    assert!(errors.contains("only good traffic"), "{errors}");
    std::fs::remove_dir_all(&folder).unwrap();
}
