//! `palisade bench` as a user meets it, on a small filter that is not ours: what must be the same is, budgets bite, numbers add up.

use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use serde_json::Value;

/// Asks for the header map, logs five bytes, and spends `turns` turns of a loop on each request.
fn guest(name: &str, turns: u32) -> Result<PathBuf> {
    file(
        name,
        &format!(
            r#"(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "hello")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (local $left i32)
    (drop (call $pairs (i32.const 0) (i32.const 16) (i32.const 20)))
    (drop (call $log (i32.const 2) (i32.const 0) (i32.const 5)))
    (local.set $left (i32.const {turns}))
    (loop $again
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $again (local.get $left)))
    (i32.const 0)))"#
        ),
    )
}

fn file(name: &str, text: &str) -> Result<PathBuf> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}

fn bench(module: &PathBuf, arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(env!("CARGO_BIN_EXE_palisade"))
        .arg("bench")
        .arg("--module")
        .arg(module)
        .args(arguments)
        .output()?)
}

fn json(done: &Output) -> Result<Value> {
    serde_json::from_slice(&done.stdout)
        .with_context(|| String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn fuel_hostcalls_and_bytes_are_the_same_twice() -> Result<()> {
    let module = guest("same.wat", 100)?;
    let run = || -> Result<Value> { json(&bench(&module, &["--rounds", "0", "--json"])?) };
    let (first, second) = (run()?, run()?);
    assert_eq!(first["cases"], second["cases"]);
    let cases = first["cases"].as_array().context("no cases")?;
    assert_eq!(cases.len(), 4);
    for case in cases {
        assert_eq!(case["statuses"], serde_json::json!([200]), "{case}");
        assert_eq!(
            (&case["hostcalls"], &case["returning"]),
            (&2.into(), &1.into()),
            "{case}"
        );
        assert_eq!(case["bytes_in"], 5, "{case}");
        assert_eq!(case["memory_after"], 2 * 65_536, "{case}");
        let of_callbacks: u64 = case["callbacks"]
            .as_array()
            .context("no callbacks")?
            .iter()
            .filter_map(|callback| callback["fuel"].as_u64())
            .sum();
        assert_eq!(case["fuel"].as_u64(), Some(of_callbacks));
        assert!(of_callbacks > 300, "{case}");
        assert!(
            case["guest_ns"].is_null(),
            "a time that was not taken: {case}"
        );
    }
    Ok(())
}

#[test]
fn times_come_with_their_spread() -> Result<()> {
    let module = guest("times.wat", 100)?;
    let report = json(&bench(&module, &["--rounds", "5", "--json"])?)?;
    for case in report["cases"].as_array().context("no cases")? {
        for what in ["guest_ns", "exchange_ns"] {
            let at = |name: &str| case[what][name].as_u64().unwrap_or_default();
            assert!(
                0 < at("p10") && at("p10") <= at("median") && at("median") <= at("p90"),
                "{case}"
            );
        }
    }
    assert!(report["start"]["load_cold_ms"].as_f64() > Some(0.0));
    let text = String::from_utf8(bench(&module, &["--rounds", "5"])?.stdout)?;
    for needed in [
        "mix/GET small",
        "proxy_on_request_headers",
        "proxy_log 1",
        "ms cold",
    ] {
        assert!(text.contains(needed), "no {needed} in\n{text}");
    }
    assert!(!text.contains('\x1b'), "colour without a terminal");
    Ok(())
}

#[test]
fn against_itself_every_ratio_is_one_and_against_a_slower_one_less() -> Result<()> {
    let (fast, slow) = (guest("fast.wat", 100)?, guest("slow.wat", 200)?);
    let fuel = |against: &PathBuf| -> Result<Vec<f64>> {
        let against = against.display().to_string();
        let arguments = ["--rounds", "0", "--json", "--against", &against];
        let report = json(&bench(&fast, &arguments)?)?;
        let rows = report["ratios"].as_array().context("no ratios")?;
        Ok(rows
            .iter()
            .filter(|row| {
                row["name"]
                    .as_str()
                    .is_some_and(|name| name.ends_with(": fuel"))
            })
            .filter_map(|row| row["ratio"].as_f64())
            .collect())
    };
    assert_eq!(fuel(&fast)?, [1.0; 4]);
    assert!(fuel(&slow)?.iter().all(|ratio| (0.4..0.7).contains(ratio)));
    Ok(())
}

#[test]
fn a_budget_passes_at_its_number_and_fails_one_above() -> Result<()> {
    let module = guest("budget.wat", 100)?;
    let budgets = file("budgets.yaml", "slack_percent: 0\n")?;
    let path = budgets.display().to_string();
    let gate = || bench(&module, &["--budgets", &path]);
    // A case without a budget fails.
    assert_eq!(gate()?.status.code(), Some(1));
    let done = bench(&module, &["--budgets", &path, "--update-budgets"])?;
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let done = gate()?;
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    // One less than it costs.
    let text = std::fs::read_to_string(&budgets)?;
    let (before, rest) = text
        .split_once("\"mix/GET small\":\n    fuel: ")
        .context("no such case")?;
    let (fuel, after) = rest.split_once('\n').context("no fuel")?;
    let less = fuel.parse::<u64>()? - 1;
    std::fs::write(
        &budgets,
        format!("{before}\"mix/GET small\":\n    fuel: {less}\n{after}"),
    )?;
    let done = gate()?;
    let text = String::from_utf8(done.stdout)?;
    assert_eq!(done.status.code(), Some(1), "{text}");
    let over: Vec<&str> = text.lines().filter(|line| line.contains("OVER")).collect();
    assert_eq!(over.len(), 1, "{text}");
    assert!(
        over.iter().all(|line| line.contains("mix/GET small: fuel")),
        "{text}"
    );
    // A budget whose case is gone fails too, and a key nobody knows is an error.
    std::fs::write(
        &budgets,
        format!(
            "{text_of}  gone: {{ fuel: 1, hostcalls: 1, returning: 1 }}\n",
            text_of = {
                bench(&module, &["--budgets", &path, "--update-budgets"])?;
                std::fs::read_to_string(&budgets)?
            }
        ),
    )?;
    let text = String::from_utf8(gate()?.stdout)?;
    assert!(text.contains("gone: fuel"), "{text}");
    std::fs::write(&budgets, "slack: 3\n")?;
    assert_eq!(gate()?.status.code(), Some(2));
    Ok(())
}

/// No home, an unwritable cache, none at all: the filter loads.
#[test]
fn a_cache_is_a_convenience() -> Result<()> {
    let module = guest("cache.wat", 1)?;
    let run = |set: &[(&str, &str)]| -> Result<Value> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_palisade"));
        command
            .args(["bench", "--rounds", "0", "--json", "--module"])
            .arg(&module);
        for name in [
            "HOME",
            "XDG_CACHE_HOME",
            "XDG_CONFIG_HOME",
            "PALISADE_CACHE",
        ] {
            command.env_remove(name);
        }
        let done = command.envs(set.iter().copied()).output()?;
        assert_eq!(done.status.code(), Some(0), "{set:?}: {done:?}");
        json(&done)
    };
    run(&[])?;
    run(&[("HOME", "/proc/nowhere")])?;
    let off = run(&[("PALISADE_CACHE", "off")])?;
    assert!(off["start"]["load_cached_ms"].is_null(), "{off}");
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-cache");
    let place = place.display().to_string();
    let kept = run(&[("PALISADE_CACHE", &place)])?;
    assert!(kept["start"]["load_cached_ms"].is_f64(), "{kept}");
    Ok(())
}
