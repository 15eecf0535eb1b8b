//! Holds `functions.txt` to the specification.
//!
//! In: `abi-v0.2.1.json` and `.md`, where `PALISADE_VECTORS` (or `../shared/vectors`) has them. Out: whether the list is theirs.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::functions::{Function, load};

/// The folder of the specification.
fn folder() -> PathBuf {
    let root = std::env::var_os("PALISADE_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
        PathBuf::from,
    );
    root.join("abi")
}

/// Whether the list is the specification's.
pub(crate) fn check() -> Result<(), String> {
    let folder = folder();
    if !folder.is_dir() {
        if std::env::var_os("CI").is_some() {
            let place = folder.display();
            return Err(format!(
                "no {place}: CI skips nothing, set PALISADE_VECTORS"
            ));
        }
        eprintln!("SKIPPED: no {}; set PALISADE_VECTORS", folder.display());
        return Ok(());
    }
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let json: Value = serde_json::from_str(&read("abi-v0.2.1.json")?).map_err(|e| e.to_string())?;
    let text = read("abi-v0.2.1.md")?;
    let functions = json["functions"].as_array().ok_or("no functions")?;
    let functions: Vec<Function> = functions
        .iter()
        .filter(|function| function["side"] == "host")
        .map(|function| {
            let name = function["name"].as_str().unwrap_or_default().to_owned();
            let wide = function["params"].as_array().into_iter().flatten();
            Function {
                wide: wide
                    .map(|param| param.as_str().unwrap_or_default().starts_with("i64"))
                    .collect(),
                returns: function["returns"]
                    .as_array()
                    .is_some_and(|list| !list.is_empty()),
                statuses: statuses(&text, &name),
                name,
            }
        })
        .collect();
    let ours = load();
    match functions.iter().find(|function| !ours.contains(function)) {
        Some(other) => Err(format!("functions.txt does not have this: {other:?}")),
        None if ours.len() != functions.len() => {
            Err("functions.txt has functions of its own".to_owned())
        }
        None => Ok(()),
    }
}

/// The list under "Returned `status` value is:" of one function's section.
fn statuses(text: &str, name: &str) -> Vec<String> {
    let heading = format!("#### `{name}`\n");
    let section = text.split_once(&heading).map_or("", |(_, rest)| rest);
    let section = section.split("\n#").next().unwrap_or_default();
    let Some((_, list)) = section.split_once("Returned `") else {
        return Vec::new();
    };
    list.lines()
        .filter_map(|line| line.strip_prefix("- `")?.split_once('`'))
        .map(|(status, _)| status.to_owned())
        .collect()
}
