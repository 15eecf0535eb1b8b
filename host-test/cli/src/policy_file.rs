//! Policy files: YAML or JSON text → tree, lines of its keys, compiled policy.
//!
//! **Invariant:** what `palisade check` accepts is what the plugin gets: [`json_text`] hands it the same tree.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use palisade_engine::policy::node::Node;
use palisade_engine::policy::{Policy, PolicyError};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A policy's text, read.
#[derive(Debug)]
pub struct Document {
    /// The tree.
    pub node: Node,
    lines: Option<Lines>,
}

/// Why text is no tree.
#[derive(Debug, Clone)]
pub struct SyntaxError {
    /// Line, from 1, when known.
    pub line: Option<u64>,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub help: String,
}

/// What a reader of YAML says, without its own settings and without the line, which is told apart.
fn syntax(line: Option<u64>, said: &str) -> SyntaxError {
    let said = said.lines().next().unwrap_or_default();
    let (said, column) = match said.rsplit_once(" at line ") {
        Some((before, place)) => (
            before,
            place
                .rsplit_once("column ")
                .map_or_else(String::new, |(_, column)| format!(" (column {column})")),
        ),
        None => (said, String::new()),
    };
    let (what, help) = if let Some(key) = said.strip_prefix("duplicate mapping key: ") {
        let key = key.split(',').next().unwrap_or(key);
        (
            format!("`{key}` stands twice in one map"),
            "keep one of them",
        )
    } else if said.starts_with("tabs disallowed") {
        (
            "a tab stands where YAML takes blanks only".to_owned(),
            "indent with blanks",
        )
    } else if said.contains("bracket") {
        (
            said.to_owned(),
            "close every `[` with `]` and every `{` with `}`, and quote texts that have brackets",
        )
    } else {
        (
            said.to_owned(),
            "indent alike what belongs together; quote texts that begin with one of `*&!%@[{` or hold `: ` or ` #`",
        )
    };
    SyntaxError {
        line,
        problem: format!("{what}{column}"),
        help: help.to_owned(),
    }
}

impl Document {
    /// Reads YAML, of which JSON is a part.
    ///
    /// # Errors
    /// Text that is neither.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let node = serde_saphyr::from_str::<Node>(text).map_err(|error| {
            syntax(
                error.location().map(|location| location.line()),
                &error.without_snippet().to_string(),
            )
        })?;
        Ok(Self {
            node,
            lines: serde_saphyr::from_str(text).ok(),
        })
    }

    /// The line of a key path such as `routes[2].token.any[0]`; of its nearest parent when it is not there.
    #[must_use]
    pub fn line(&self, path: &str) -> Option<u64> {
        let mut lines = self.lines.as_ref()?;
        let mut line = None;
        for step in path.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
            let next = match lines {
                Lines::Map(entries) => entries
                    .iter()
                    .find(|(name, _)| name == step)
                    .map(|(_, next)| next),
                Lines::List(list) => step.parse::<usize>().ok().and_then(|index| list.get(index)),
                Lines::Leaf => None,
            };
            let Some(next) = next else { break };
            line = Some(next.referenced.line());
            lines = &next.value;
        }
        line
    }

    /// The tree as JSON text, as the plugin takes it.
    #[must_use]
    pub fn json(&self) -> String {
        to_json(&self.node).to_string()
    }
}

/// Reads a policy file as JSON text.
///
/// # Errors
/// It cannot be read, or is neither YAML nor JSON.
pub fn json_text(path: &Path) -> Result<String> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let document =
        Document::parse(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    Ok(document.json())
}

/// Compiles a tree with the secrets of an environment.
///
/// # Errors
/// Every error of the policy.
pub fn compile(node: &Node, env: &BTreeMap<String, String>) -> Result<Policy, Vec<PolicyError>> {
    Policy::from_node(node, &|name| {
        env.get(name).map(|value| value.as_bytes().to_vec())
    })
}

fn to_json(node: &Node) -> serde_json::Value {
    use serde_json::Value;
    match node {
        Node::Null => Value::Null,
        Node::Bool(value) => (*value).into(),
        // Numbers are text in the tree; those JSON cannot hold stay text, which the policy reads alike.
        Node::Number(text) => text
            .parse::<serde_json::Number>()
            .map_or_else(|_| text.clone().into(), Value::Number),
        Node::String(text) => text.clone().into(),
        Node::List(list) => list.iter().map(to_json).collect(),
        Node::Map(entries) => entries
            .iter()
            .map(|(name, node)| (name.clone(), to_json(node)))
            .collect(),
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}; {}", self.problem, self.help),
            None => write!(f, "{}; {}", self.problem, self.help),
        }
    }
}

/// Where the values of a tree stand.
#[derive(Debug)]
enum Lines {
    Leaf,
    List(Vec<Spanned<Self>>),
    Map(Vec<(String, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LinesVisitor;
        impl<'de> Visitor<'de> for LinesVisitor {
            type Value = Lines;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Lines, E> {
                Ok(Lines::Leaf)
            }
            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Lines, E> {
                Ok(Lines::Leaf)
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Lines, E> {
                Ok(Lines::Leaf)
            }
            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Lines, E> {
                Ok(Lines::Leaf)
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Lines, E> {
                Ok(Lines::Leaf)
            }
            fn visit_str<E: de::Error>(self, _: &str) -> Result<Lines, E> {
                Ok(Lines::Leaf)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Lines, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element()? {
                    list.push(item);
                }
                Ok(Lines::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lines, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Lines::Map(entries))
            }
        }
        deserializer.deserialize_any(LinesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_key_paths() {
        let document = Document::parse(
            "mode: enforce\nroutes:\n  - name: a\n    token:\n      any: [x, z]\n  - name: b\n",
        )
        .expect("YAML");
        for (path, line) in [
            ("mode", Some(1)),
            ("routes[0].name", Some(3)),
            ("routes[0].token.any[1]", Some(5)),
            ("routes[1].name", Some(6)),
            ("routes[1].token", Some(6)),
            ("nothing", None),
        ] {
            assert_eq!(document.line(path), line, "{path}");
        }
        assert_eq!(
            document.json(),
            r#"{"mode":"enforce","routes":[{"name":"a","token":{"any":["x","z"]}},{"name":"b"}]}"#
        );
    }

    /// YAML 1.1 takes `on` and `off` for booleans, and so does Envoy, but not for keys.
    #[test]
    fn on_is_a_key_and_off_a_word() {
        let document = Document::parse(
            "limits: [{ name: a, quota: 1/1m, headers: off }]\ninjection: {}\n\
             signals: { ban: [{ on: injection, after: 1, window: 1m, for: 1h }] }\n",
        )
        .expect("YAML");
        compile(&document.node, &BTreeMap::new()).expect("a policy");
        assert!(document.json().contains(r#""on":"injection""#));
    }

    #[test]
    fn numbers_and_faults() {
        let document =
            Document::parse("{\"a\": 5, \"b\": 1.5, \"c\": \"010\", \"d\": null}").expect("JSON");
        assert_eq!(document.json(), r#"{"a":5,"b":1.5,"c":"010","d":null}"#);
        let error = Document::parse("a: 1\nb: [\n").expect_err("unclosed");
        assert!(error.line.is_some());
    }
}
