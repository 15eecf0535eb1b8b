//! The portable suites on our own small filters (`examples/sdk-suites`), as `palisade test --suites` runs them.
//!
//! The vectors are not in this repository: `PALISADE_VECTORS`, else `../shared/vectors`. Where they are missing the test says so and
//! passes nothing but itself.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; a failure is the test's"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use palisade_cli::suites::{self, Suite, Test};
use palisade_host::Module;

/// What our filters pass; more is welcome, less is a defect.
const SUITES: usize = 33;
const TESTS: usize = 131;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map(PathBuf::from)
        .unwrap()
}

/// Builds the filters once and returns their folder.
fn guests() -> PathBuf {
    let target = root().join("target/guests");
    let done = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["build", "--quiet", "--release", "--target"])
        .args(["wasm32-unknown-unknown", "--target-dir"])
        .arg(&target)
        .args(["-p", "sdk-suites", "--examples"])
        .status()
        .unwrap();
    assert!(done.success(), "the filters do not build");
    target.join("wasm32-unknown-unknown/release/examples")
}

fn vectors() -> Option<PathBuf> {
    let folder = std::env::var_os("PALISADE_VECTORS")
        .map_or_else(|| root().join("../shared/vectors"), PathBuf::from);
    Some(folder.join("proxywasm-gse/suites.json")).filter(|path| path.is_file())
}

#[test]
fn our_filters_pass_a_good_part_of_the_suites() {
    let Some(path) = vectors() else {
        assert!(
            std::env::var_os("CI").is_none(),
            "no portable suites: set PALISADE_VECTORS"
        );
        eprintln!("no portable suites: set PALISADE_VECTORS; nothing was run");
        return;
    };
    let suites = suites::load(&path).unwrap();
    let folder = guests();
    let (mut passed_suites, mut passed_tests, mut tests) = (0, 0, 0);
    let mut failures = Vec::new();
    for suite in &suites {
        tests += suite.tests.len();
        let Some(file) = suite.module_in(&folder) else {
            println!("no module: {}", suite.title());
            continue;
        };
        let module = Module::from_file(file).unwrap();
        let mut whole = true;
        for test in &suite.tests {
            let lines = suites::run(suite, test, &module);
            if lines.is_empty() {
                passed_tests += 1;
            } else {
                whole = false;
                failures.push(format!("{}/{}: {lines:#?}", suite.title(), test.name));
            }
        }
        passed_suites += usize::from(whole);
    }
    println!(
        "suites passed: {passed_suites}/{}, tests {passed_tests}/{tests}",
        suites.len()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(
        passed_suites >= SUITES && passed_tests >= TESTS,
        "{passed_suites} suites, {passed_tests} tests"
    );
}

/// Each kind of expectation fails when it is wrong: a filter that adds headers, and one that answers.
#[test]
fn a_wrong_expectation_of_a_suite_fails() {
    let folder = guests();
    let module = |name: &str| Module::from_file(folder.join(format!("{name}.wasm"))).unwrap();
    let (adds, answers, bodies) = (
        module("add_request_header"),
        module("local_reply"),
        module("body_chunking"),
    );
    let cases = [
        (
            &adds,
            true,
            r#""request_headers": {"expect": {"has_header": [["message", "hello"]]}}"#,
        ),
        (
            &adds,
            false,
            r#""request_headers": {"expect": {"has_header": [["message", "other"]]}}"#,
        ),
        (
            &adds,
            false,
            r#""request_headers": {"expect": {"has_header": [["missing", ""]]}}"#,
        ),
        (
            &adds,
            false,
            r#""request_headers": {"expect": {"no_header": ["Message"]}}"#,
        ),
        (
            &adds,
            true,
            r#""request_headers": {"expect": {"headers": [{"regex": "message: h.*"}]}}"#,
        ),
        (
            &adds,
            true,
            r#""request_headers": {"expect": {"headers": [{"exact": "Message: hello"}]}}"#,
        ),
        (
            &adds,
            false,
            r#""request_headers": {"expect": {"headers": [{"regex": "essage: hello"}]}}"#,
        ),
        (
            &adds,
            false,
            r#""request_headers": {"expect": {"headers": [{"regex": "message.*", "invert": true}]}}"#,
        ),
        (
            &adds,
            false,
            r#""request_headers": {"expect": {"headers": [{"regex": "("}]}}"#,
        ),
        (
            &adds,
            false,
            r#""request_headers": {"expect": {"headers": [{}]}}"#,
        ),
        (
            &adds,
            false,
            r#""request_headers": {"expect": {"immediate": {}}}"#,
        ),
        (
            &adds,
            false,
            r#""request_headers": {"expect": {"log": [{"regex": ".*"}]}}"#,
        ),
        (&adds, false, r#""plugin_init": {"log": [{"regex": ".*"}]}"#),
        (&adds, false, r#""stream_init": {"log": [{"regex": ".*"}]}"#),
        (
            &adds,
            false,
            r#""stream_destroy": {"log": [{"regex": ".*"}]}"#,
        ),
        (
            &answers,
            true,
            r#""request_headers": {"expect": {"immediate": {"http_status": 200, "details": ""}}}"#,
        ),
        (&answers, false, r#""request_headers": {"expect": {}}"#),
        (
            &answers,
            false,
            r#""request_headers": {"expect": {"immediate": {"http_status": 201}}}"#,
        ),
        (
            &answers,
            false,
            r#""request_headers": {"expect": {"immediate": {"details": "x"}}}"#,
        ),
        (
            &answers,
            false,
            r#""request_headers": {"expect": {"immediate": {"grpc_status": 7}}}"#,
        ),
        (
            &answers,
            false,
            r#""request_headers": {"expect": {"immediate": {}, "body": [{"exact": "x"}]}}"#,
        ),
        (
            &answers,
            false,
            r#""request_headers": {"expect": {"immediate": {}}}, "response_headers": {"input": {"headers": [["a", "b"]]}, "expect": {"has_header": [["a", "b"]]}}"#,
        ),
        (
            &bodies,
            true,
            r#""num_chunks": 2, "request_body": [{"input": {"body": "1234"}, "expect": {"body": [{"exact": "12foo34foo"}]}}]"#,
        ),
        (
            &bodies,
            false,
            r#""num_chunks": 2, "request_body": [{"input": {"body": "1234"}, "expect": {"body": [{"exact": "1234foo"}]}}]"#,
        ),
        (
            &bodies,
            false,
            r#""num_chunks": 2, "request_body": [{}, {}]"#,
        ),
        (
            &bodies,
            false,
            r#""response_body": [{"input": {"body": "1"}, "expect": {"body": [{"exact": "1foo"}]}}]"#,
        ),
    ];
    for (module, passes, text) in cases {
        let test: Test = serde_json::from_str(&format!(r#"{{"name": "t", {text}}}"#)).unwrap();
        let suite: Suite = serde_json::from_str(r#"{"plugin": "p", "tests": []}"#).unwrap();
        let lines = suites::run(&suite, &test, module);
        assert_eq!(lines.is_empty(), passes, "{text}: {lines:#?}");
    }
}
