//! Rows of labelled requests, as files have them.
//!
//! **In:** JSONL files and files of our own ([`super::own`]), or folders of them; a line is `{id, source, class, label, place?, note?, request: {method, path, headers, body_b64?}}`.
//! A folder may have a `split.json`, whose `tiers` sort benign sources. **Out:** [`Row`]s in the order of files and lines.
//! **Invariant:** an id stands once; a line that cannot be read is an error that names its file and line, never a row less.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64ct::{Base64, Encoding};
use serde::{Deserialize, Serialize};

use super::own::{self, Mutate};

/// What a row is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// To be refused.
    Attack,
    /// To be let through.
    Benign,
    /// Judged and counted, never scored.
    Ambiguous,
}

/// A request as a client sends it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Fields, `host` among them.
    pub headers: Vec<(String, String)>,
    /// Body; empty: none.
    pub body: Vec<u8>,
}

/// A labelled request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Name of the row, unique in a run.
    pub id: String,
    /// Which collection it is from.
    pub source: String,
    /// Kind of attack; `benign` of honest rows.
    pub class: String,
    /// Label.
    pub label: Label,
    /// Where the payload stands; empty: unknown.
    pub place: String,
    /// What its source says of it.
    pub note: String,
    /// The request.
    pub request: Request,
    /// It is another spelling of another row.
    pub mutant: Option<Mutant>,
}

/// What a row was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// The id of the row.
    pub of: String,
    /// The mutation's name.
    pub by: &'static str,
}

/// Rows, and what sorts them.
#[derive(Debug, Clone, Default)]
pub struct Corpus {
    /// Rows in order.
    pub rows: Vec<Row>,
    /// Benign tiers: name and sources.
    pub tiers: BTreeMap<String, Vec<String>>,
    /// Files read.
    pub files: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Line {
    id: String,
    source: String,
    class: String,
    label: Label,
    place: Option<String>,
    note: Option<String>,
    request: LineRequest,
}

#[derive(Deserialize)]
struct LineRequest {
    method: String,
    path: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body_b64: Option<String>,
}

#[derive(Deserialize)]
struct Split {
    #[serde(default)]
    tiers: BTreeMap<String, Vec<String>>,
}

impl Row {
    /// Reads a line.
    ///
    /// # Errors
    /// It is no row.
    pub fn parse(line: &str) -> Result<Self> {
        let line: Line = serde_json::from_str(line)?;
        let body = line.request.body_b64.unwrap_or_default();
        Ok(Self {
            id: line.id,
            source: line.source,
            class: line.class,
            label: line.label,
            place: line.place.unwrap_or_default(),
            note: line.note.unwrap_or_default(),
            request: Request {
                method: line.request.method,
                path: line.request.path,
                headers: line.request.headers,
                body: Base64::decode_vec(&body)
                    .map_err(|error| anyhow::anyhow!("body_b64: {error}"))?,
            },
            mutant: None,
        })
    }
}

impl Corpus {
    /// Reads files and folders.
    ///
    /// # Errors
    /// A file or line cannot be read, an id stands twice, or there is no row at all.
    pub fn load(named: &[PathBuf], mutate: Option<Mutate>) -> Result<Self> {
        let mut corpus = Self::default();
        for path in named {
            if path.is_dir() {
                let mut files = std::fs::read_dir(path)
                    .with_context(|| format!("cannot read {}", path.display()))?
                    .map(|entry| Ok(entry?.path()))
                    .collect::<Result<Vec<PathBuf>>>()?;
                files.retain(|file| {
                    is_own(file) || file.extension().is_some_and(|end| end == "jsonl")
                });
                files.sort();
                if files.is_empty() {
                    bail!("{} has no .jsonl or .yaml file", path.display());
                }
                for file in &files {
                    corpus.read(file, mutate)?;
                }
                corpus.split(&path.join("split.json"))?;
            } else {
                corpus.read(path, mutate)?;
                if let Some(folder) = path.parent() {
                    corpus.split(&folder.join("split.json"))?;
                }
            }
        }
        if corpus.rows.is_empty() {
            bail!("there are no rows to score");
        }
        let mut ids = BTreeSet::new();
        for row in &corpus.rows {
            if !ids.insert(row.id.as_str()) {
                bail!("two rows have the id `{}`", row.id);
            }
        }
        Ok(corpus)
    }

    fn read(&mut self, path: &Path, mutate: Option<Mutate>) -> Result<()> {
        if is_own(path) {
            self.rows.extend(own::rows(path, mutate)?);
            self.files.push(path.to_owned());
            return Ok(());
        }
        let file = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {file}"))?;
        for (line, number) in text.lines().zip(1_u64..) {
            if line.trim().is_empty() {
                continue;
            }
            let row = Row::parse(line).with_context(|| format!("{file}:{number}"))?;
            self.rows.push(row);
        }
        self.files.push(path.to_owned());
        Ok(())
    }

    fn split(&mut self, path: &Path) -> Result<()> {
        if path.is_file() {
            let file = path.display();
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {file}"))?;
            let split: Split = serde_json::from_str(&text).with_context(|| file.to_string())?;
            self.tiers.extend(split.tiers);
        }
        Ok(())
    }

    /// The tier of a source.
    #[must_use]
    pub fn tier(&self, source: &str) -> Option<&str> {
        self.tiers
            .iter()
            .find(|(_, sources)| sources.iter().any(|one| one == source))
            .map(|(tier, _)| tier.as_str())
    }
}

/// A file of our own; everything else that is named is read as lines.
fn is_own(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml")
}
