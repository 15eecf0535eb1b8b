//! `palisade score` as a user meets it: numbers that add up, verdict rows, gates, and files that are wrong.

use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use serde_json::{Value, json};

fn file(name: &str, text: &str) -> Result<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("score");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}

fn row(id: &str, class: &str, label: &str, path: &str) -> Value {
    json!({
        "id": id, "source": "small", "class": class, "label": label, "place": "query",
        "request": { "method": "GET", "path": path, "headers": [["Host", "www.example.com"]] },
    })
}

/// Two attacks that are caught, one row that is said to be one, three honest rows, one that is not scored.
fn corpus(name: &str) -> Result<PathBuf> {
    // user=' OR 1=1-- as a form.
    let post = json!({
        "id": "a3", "source": "small", "class": "sqli", "label": "attack", "place": "query",
        "request": {
            "method": "POST", "path": "/login",
            "headers": [["Content-Type", "application/x-www-form-urlencoded"]],
            "body_b64": "dXNlcj0lMjcrT1IrMSUzRDEtLSs=",
        },
    });
    let rows = [
        row("a1", "sqli", "attack", "/?q=1%27%20OR%201=1--%20"),
        row("a2", "sqli", "attack", "/?q=hello"),
        post,
        row("b1", "benign", "benign", "/?q=shoes"),
        row("b2", "benign", "benign", "/?q=Tim+O%27Reilly"),
        row(
            "b3",
            "benign",
            "benign",
            "/?q=%3Cscript%3Ealert(1)%3C/script%3E",
        ),
        row(
            "c1",
            "xss",
            "ambiguous",
            "/?q=%3Cscript%3Ealert(1)%3C/script%3E",
        ),
    ];
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    file(name, &lines.join("\n"))
}

fn score(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(env!("CARGO_BIN_EXE_palisade"))
        .arg("score")
        .args(arguments)
        .output()?)
}

fn text(done: &Output) -> String {
    String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
}

#[test]
fn what_is_counted_is_what_is_in_the_verdicts() -> Result<()> {
    let corpus = corpus("counted.jsonl")?;
    let corpus = corpus.to_str().context("path")?;
    let verdicts = file("counted.out", "")?;
    let report = file("counted.json", "")?;
    let done = score(&[
        corpus,
        "--verdicts",
        verdicts.to_str().context("path")?,
        "--json",
        report.to_str().context("path")?,
        "--jobs",
        "3",
    ])?;
    assert!(done.status.success(), "{}", text(&done));
    assert!(!text(&done).contains('\x1b'), "colour without a terminal");
    let rows: Vec<Value> = std::fs::read_to_string(&verdicts)?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let told: Vec<(&str, bool)> = rows
        .iter()
        .map(|row| (row["id"].as_str().unwrap_or(""), row["blocked"] == true))
        .collect();
    let expected = [
        ("a1", true),
        ("a2", false),
        ("a3", true),
        ("b1", false),
        ("b2", false),
        ("b3", true),
        ("c1", true),
    ];
    assert_eq!(told, expected);
    assert!(rows[0]["score"].as_u64() >= Some(5), "{}", rows[0]);
    assert_eq!(rows[1]["score"], 0);
    assert_eq!(rows[2]["reasons"][0]["place"], "body:user");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&report)?)?;
    assert_eq!(
        report["tables"]["total"],
        json!({ "attacks": 3, "caught": 2, "benign": 3, "blocked": 1 })
    );
    assert_eq!(report["tables"]["ambiguous"], 1);
    assert_eq!(report["misses"][0]["id"], "a2");
    assert_eq!(report["false_alarms"][0]["id"], "b3");
    Ok(())
}

#[test]
fn lists_show_the_rows_and_what_was_found_in_them() -> Result<()> {
    let corpus = corpus("listed.jsonl")?;
    let corpus = corpus.to_str().context("path")?;
    let missed = text(&score(&[corpus, "--list", "fn"])?);
    assert!(missed.contains("misses: 1 of 1"), "{missed}");
    assert!(missed.contains("a2 sqli in query, score 0"), "{missed}");
    let alarms = text(&score(&[corpus, "--list", "fp"])?);
    assert!(alarms.contains("b3 benign in query"), "{alarms}");
    assert!(
        alarms.contains("found xss in query:q, 5 points: <script"),
        "{alarms}"
    );
    Ok(())
}

#[test]
fn gates_decide_the_exit_code() -> Result<()> {
    let corpus = corpus("gated.jsonl")?;
    let corpus = corpus.to_str().context("path")?;
    for (arguments, code) in [
        (&["--min-caught", "66"][..], 0),
        (&["--min-caught", "67"], 1),
        (&["--max-blocked", "33.4"], 0),
        (&["--max-blocked", "33"], 1),
    ] {
        let done = score(&[&[corpus], arguments].concat())?;
        assert_eq!(
            done.status.code(),
            Some(code),
            "{arguments:?}: {}",
            text(&done)
        );
        assert_eq!(text(&done).contains("MISSED"), code == 1);
    }
    Ok(())
}

#[test]
fn level_and_threshold_are_those_asked_for() -> Result<()> {
    let corpus = corpus("strict.jsonl")?;
    let corpus = corpus.to_str().context("path")?;
    let done = score(&[corpus, "--threshold", "1000", "--max-blocked", "0"])?;
    assert!(
        done.status.success(),
        "nothing reaches 1000: {}",
        text(&done)
    );
    let policy = file(
        "policy.yaml",
        "injection: { except: [{ field: q }] }\nlimits: [{ name: few, key: [client], quota: 1/1h }]\n",
    )?;
    let done = score(&[
        corpus,
        "--policy",
        policy.to_str().context("path")?,
        "--list",
        "fn",
    ])?;
    let told = text(&done);
    assert!(
        told.contains("misses: 2 of 2"),
        "only `user` is left: {told}"
    );
    Ok(())
}

#[test]
fn what_cannot_be_read_is_named() -> Result<()> {
    let good = row("x", "sqli", "attack", "/").to_string();
    for (name, content, expected) in [
        (
            "label.jsonl",
            good.replace("attack", "evil"),
            "label.jsonl:1",
        ),
        (
            "twice.jsonl",
            format!("{good}\n{good}"),
            "two rows have the id `x`",
        ),
        ("cut.jsonl", format!("{good}\n{{\"id\":"), "cut.jsonl:2"),
        ("empty.jsonl", String::new(), "there are no rows"),
    ] {
        let path = file(name, &content)?;
        let done = score(&[path.to_str().context("path")?])?;
        assert_eq!(done.status.code(), Some(2), "{name}");
        assert!(text(&done).contains(expected), "{name}: {}", text(&done));
    }
    let done = score(&["/nowhere.jsonl"])?;
    assert_eq!(done.status.code(), Some(2));
    Ok(())
}

/// Any filter can be scored: this one refuses what has a query.
#[test]
fn a_filter_that_is_not_ours_is_scored_by_its_replies() -> Result<()> {
    let module = file(
        "theirs.wat",
        r#"(module
  (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
    (i32.const 1)))"#,
    )?;
    let corpus = corpus("theirs.jsonl")?;
    let done = score(&[
        corpus.to_str().context("path")?,
        "--module",
        module.to_str().context("path")?,
        "--config-text",
        "",
        "--min-caught",
        "100",
    ])?;
    assert!(done.status.success(), "{}", text(&done));
    Ok(())
}

const OWN: &str = r#"class: sqli
about: SQL in values.
attacks:
  - family: tautologies
    source: a manual
    values: ["' OR 1=1-- x", "nothing wrong here"]
  - family: a whole body
    as: json
    values: ['{"q": "1 union select null,null-- "}']
benign:
  - family: prose
    values: ["select the best from our union"]
"#;

#[test]
fn our_own_corpus_stands_in_every_place_and_is_mutated() -> Result<()> {
    let own = file("own.yaml", OWN)?;
    let own = own.to_str().context("path")?;
    let report = file("own.json", "")?;
    let report = report.to_str().context("path")?;
    let run = |seed: &str| -> Result<Value> {
        let done = score(&[own, "--mutate", "4", "--seed", seed, "--json", report])?;
        assert!(done.status.success(), "{}", text(&done));
        Ok(serde_json::from_str(&std::fs::read_to_string(report)?)?)
    };
    let first = run("1")?;
    // Eight places a value, one for the body.
    assert_eq!(
        first["tables"]["total"],
        json!({ "attacks": 17, "caught": 9, "benign": 8, "blocked": 0 })
    );
    let misses = first["misses"].as_array().context("misses")?;
    assert_eq!(misses.len(), 8);
    assert_eq!(misses[0]["id"], "sqli/attack/tautologies/2@query");
    assert_eq!(misses[0]["note"], "tautologies; a manual");
    let mutants = first["tables"]["mutations"]
        .as_object()
        .context("mutants")?;
    assert!(!mutants.is_empty());
    assert_eq!(first, run("1")?, "the same seed");
    assert_ne!(
        first["tables"]["mutations"],
        run("2")?["tables"]["mutations"],
        "another"
    );
    Ok(())
}

#[test]
fn gates_and_exceptions_come_from_files() -> Result<()> {
    let corpus = corpus("from-files.jsonl")?;
    let corpus = corpus.to_str().context("path")?;
    let gates = file(
        "gates.toml",
        "[caught]\nclass = 95.0\nclasses = { sqli = 60.0 }\n[refused]\nall = 30.0\n",
    )?;
    let said = file(
        "said.toml",
        "[[row]]\nid = \"b3\"\nreason = \"live code, called benign\"\n",
    )?;
    let done = score(&[
        corpus,
        "--gates",
        gates.to_str().context("path")?,
        "--exceptions",
        said.to_str().context("path")?,
        "--list",
        "fp",
    ])?;
    let told = text(&done);
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(
        told.contains("ok sqli caught, %, at least 60: 66.67"),
        "{told}"
    );
    assert!(
        told.contains("MISSED benign rows of tier all refused, %, at most 30: 33.33"),
        "{told}"
    );
    assert!(
        told.contains("said to be wrong or artificial: live code, called benign"),
        "{told}"
    );
    assert!(
        told.contains("of them 0 are misses and 1 false alarms above"),
        "{told}"
    );
    for (name, content) in [
        ("bad.toml", "[caught]\nall = true\n"),
        ("key.toml", "cought = 1\n"),
    ] {
        let bad = file(name, content)?;
        let done = score(&[corpus, "--gates", bad.to_str().context("path")?])?;
        assert_eq!(done.status.code(), Some(2));
        assert!(text(&done).contains(name), "{}", text(&done));
    }
    Ok(())
}

#[test]
fn transplants_are_told() -> Result<()> {
    let corpus = corpus("moved.jsonl")?;
    let done = score(&[corpus.to_str().context("path")?, "--transplant", "all"])?;
    let told = text(&done);
    assert!(done.status.success(), "{told}");
    assert!(
        told.contains(
            "payloads put into honest requests         2 made        2 followed (100.00 %)"
        ),
        "{told}"
    );
    assert!(
        told.contains(
            "honest values put into attacks            2 made        2 followed (100.00 %)"
        ),
        "{told}"
    );
    Ok(())
}

#[test]
fn the_page_needs_nothing_else_and_runs_nothing() -> Result<()> {
    let corpus = corpus("page.jsonl")?;
    let page = file("page.html", "")?;
    let done = score(&[
        corpus.to_str().context("path")?,
        "--transplant",
        "all",
        "--max-blocked",
        "10",
        "--html",
        page.to_str().context("path")?,
    ])?;
    assert_eq!(done.status.code(), Some(1), "{}", text(&done));
    let page = std::fs::read_to_string(&page)?;
    for expected in [
        "default-src 'none'",
        "<b>66.67 %</b><span>of 3 attacks caught, 1 missed</span>",
        "<td>10</td><td>33.33</td><td class=\"no\">missed</td>",
        "aria-label=\"Attacks caught over benign requests refused, by threshold\"",
        "<tspan class=\"ink\">66.7 %</tspan> of 3",
        "xss in query:q, 5 points: &lt;script&gt;alert(1)&lt;/script&gt;",
        "<h2>Misses: 1</h2>",
        "threshold 5",
    ] {
        assert!(page.contains(expected), "{expected} is not in the page");
    }
    for forbidden in ["<script", "http://", "https://", "src=", "href="] {
        assert!(!page.contains(forbidden), "{forbidden} is in the page");
    }
    Ok(())
}
