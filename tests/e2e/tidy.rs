//! The repository's own rules, as tests.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: failing here is failing the test"
)]

use std::fs;
use std::path::{Path, PathBuf};

use palisade_engine::policy::Policy;
use palisade_engine::verdict::Reason;
use palisade_tests::root;

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            out.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            out.push(path);
        }
    }
    out.sort();
    out
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn unsafe_code_and_hostcalls_stay_in_the_abi_layer() {
    for folder in ["filter", "host-test", "examples", "tests"] {
        for path in files(&root().join(folder), ".rs") {
            if path.ends_with("filter/plugin/src/abi.rs")
                || path.ends_with("examples/probe/src/abi.rs")
                || path.ends_with("tests/e2e/tidy.rs")
            {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                assert!(
                    !code.contains("unsafe {") && !code.contains("extern \"C\""),
                    "{}:{}",
                    path.display(),
                    number + 1
                );
            }
        }
    }
}

#[test]
fn stages_do_not_import_siblings_policy_or_engine() {
    let folder = root().join("filter/engine/src/stages");
    for path in files(&folder, ".rs") {
        let own = path
            .strip_prefix(&folder)
            .unwrap()
            .iter()
            .next()
            .unwrap()
            .to_string_lossy()
            .replace(".rs", "");
        let text = fs::read_to_string(&path).unwrap();
        for stage in ["access", "headers", "injection", "limits", "token"] {
            let import = format!("stages::{stage}");
            assert!(
                own == stage || own == "mod" || !text.contains(&import),
                "{} imports {import}",
                path.display()
            );
        }
        for outside in ["crate::policy", "crate::engine"] {
            assert!(
                !text.contains(outside),
                "{} imports {outside}",
                path.display()
            );
        }
    }
}

#[test]
fn every_source_file_says_what_it_is() {
    for folder in ["filter", "host-test", "examples", "tests"] {
        for path in files(&root().join(folder), ".rs") {
            let text = fs::read_to_string(&path).unwrap();
            let first = text
                .lines()
                .find(|line| !line.starts_with("#!") && !line.is_empty())
                .unwrap_or_default();
            assert!(first.starts_with("//!"), "{} has no header", path.display());
        }
    }
}

/// The policies inside the Envoy configurations are those in `examples/policies`.
#[test]
fn the_policy_in_the_envoy_configurations_is_the_example() {
    for (name, example) in [
        ("body", "shop"),
        ("edge", "shop"),
        ("tls", "shop"),
        ("fleet", "fleet"),
    ] {
        let policy = read(&format!("examples/policies/{example}.yaml"));
        let config = read(&format!("envoy/{name}.yaml"));
        let indented: String = policy
            .lines()
            .map(|line| format!("{}{line}\n", " ".repeat(26)))
            .collect();
        assert!(
            config.contains(&indented),
            "envoy/{name}.yaml holds another policy than examples/policies/{example}.yaml"
        );
    }
}

/// Every `Envoy` configuration keeps the edge's promises.
#[test]
fn every_envoy_configuration_is_hardened() {
    for path in files(&root().join("envoy"), ".yaml") {
        let text = fs::read_to_string(&path).unwrap();
        for needed in [
            "failure_policy: FAIL_RELOAD",
            "use_remote_address: true",
            "xff_num_trusted_hops: ",
            "normalize_path: true",
            "merge_slashes: true",
            "path_with_escaped_slashes_action: ",
            "headers_with_underscores_action: ",
        ] {
            assert!(text.contains(needed), "{}: no `{needed}`", path.display());
        }
    }
}

#[test]
fn every_reason_is_documented_and_has_a_case() {
    let reference = read("filter/README.md");
    let cases: String = files(&root().join("tests/corpora/verdicts"), ".yaml")
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    // Cannot be caused by a request in a scenario: a failing store, a host that delivers no body, an exhausted
    // step budget, a contended counter, a table of marks full of messages. Each has a test of its own, named here.
    let elsewhere = [
        "counters_unavailable",
        "counters_contended",
        "body_unavailable",
        "inspection_budget",
        "replay_capacity",
    ];
    for reason in Reason::ALL {
        let row = reason.row();
        let documented = format!("| `{}` | {} |", row.code, row.status);
        assert!(
            reference.contains(&documented),
            "filter/README.md: no row `{documented}`"
        );
        assert!(
            cases.contains(row.code) || elsewhere.contains(&row.code),
            "no case in tests/corpora/verdicts causes {}",
            row.code
        );
    }
}

/// Every key of the policy language stands in the operator's reference.
#[test]
fn every_policy_key_is_documented() {
    fn keys(value: &serde_json::Value, out: &mut Vec<String>) {
        if let Some(properties) = value.get("properties").and_then(|p| p.as_object()) {
            out.extend(properties.keys().cloned());
        }
        match value {
            serde_json::Value::Object(map) => map.values().for_each(|v| keys(v, out)),
            serde_json::Value::Array(list) => list.iter().for_each(|v| keys(v, out)),
            _ => {}
        }
    }
    let reference = read("filter/README.md");
    let mut all = Vec::new();
    keys(&Policy::schema(), &mut all);
    assert!(all.len() > 40, "the schema names only {} keys", all.len());
    let missing: Vec<&String> = all
        .iter()
        .filter(|key| !reference.contains(&format!("`{key}`")))
        .collect();
    assert!(
        missing.is_empty(),
        "filter/README.md does not name the policy keys {missing:?}"
    );
}

/// Every path a document names exists (paths under `target/` are made by commands).
#[test]
fn every_path_named_in_a_document_exists() {
    for document in [
        "README.md",
        "filter/README.md",
        "envoy/README.md",
        "host-test/README.md",
        "host-test/ENVOY.md",
        "host-test/cli/README.md",
        "tests/README.md",
    ] {
        let text = read(document);
        for word in text.split(['`', '(', ')', ' ', '\n', '"', '\'', ',']) {
            let word = word.trim_end_matches(['.', ':', ';']);
            let word = word.split('#').next().unwrap_or(word);
            let top = [
                "filter/",
                "host-test/",
                "envoy/",
                "examples/",
                "tests/",
                ".github/",
            ]
            .iter()
            .any(|t| word.starts_with(t));
            if top && !word.contains(['*', '<', '{', '…']) {
                assert!(
                    root().join(word).exists(),
                    "{document} names {word}, which is not there"
                );
            }
        }
    }
}

/// Every experiment stands in the table of Envoy's semantics, and the table names no other.
#[test]
fn every_experiment_stands_in_the_table() {
    let experiments = [
        read("tests/corpora/semantics/experiments.yaml"),
        read("tests/corpora/semantics/failures.yaml"),
    ]
    .join("\n");
    let mut run: Vec<&str> = experiments
        .lines()
        .filter_map(|line| line.strip_prefix("- "))
        .filter_map(|line| line.trim_start_matches(['{', ' ']).strip_prefix("name: "))
        .filter_map(|rest| rest.split([',', ' ', '}']).next())
        .collect();
    // Written in the suite itself: they have no script.
    run.extend(["root-starts-1", "root-starts-2"]);
    let table = read("host-test/ENVOY.md");
    let mut named: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| line.split(" | ").nth(2))
        .flat_map(|names| names.split('`').skip(1).step_by(2))
        .collect();
    run.sort_unstable();
    named.sort_unstable();
    named.dedup();
    assert!(run.len() > 150, "{}", run.len());
    let missing: Vec<_> = run.iter().filter(|name| !named.contains(name)).collect();
    let unknown: Vec<_> = named.iter().filter(|name| !run.contains(name)).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "host-test/ENVOY.md: not named: {missing:?}; no experiments: {unknown:?}"
    );
}
