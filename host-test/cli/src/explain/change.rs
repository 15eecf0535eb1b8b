//! A change of a policy: made to its tree, and written as YAML to paste.
//!
//! **In:** a key path and a value. **Out:** the changed tree, and the same change as text.
//! **Invariant:** what is printed is what was tried: both come from one [`Edit`].

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::decide::merge;

/// One change.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// To paste.
    pub yaml: String,
    /// Whether it is one more item of its list, or takes the place of what has its key (in a named item: of that item's keys).
    pub how: How,
    /// What else it lets pass.
    pub warning: String,
    #[serde(skip)]
    pub(super) edit: Edit,
}

/// How a change goes into a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// One more item.
    Add,
    /// In the place of what is there.
    Replace,
}

#[derive(Debug, Clone)]
pub(super) enum Edit {
    /// Appends to the list at a key path.
    Append(&'static [&'static str], Json),
    /// Sets the value at a key path.
    Set(&'static [&'static str], Json),
    /// Merges keys into an item of `routes`, by name.
    Route(String, Json),
    /// Replaces the item of a list that has this name.
    Limit(String, Json),
}

impl Change {
    pub(super) fn new(edit: Edit, warning: String) -> Self {
        Self {
            yaml: edit.yaml(),
            how: match edit {
                Edit::Append(..) => How::Add,
                Edit::Set(..) | Edit::Route(..) | Edit::Limit(..) => How::Replace,
            },
            warning,
            edit,
        }
    }
}

impl Edit {
    /// Changes a policy.
    pub(super) fn apply(&self, policy: &mut Json) -> Result<()> {
        match self {
            Self::Append(path, item) => {
                let mut patch = json!([item]);
                if let Some(list) = items_mut(policy, path) {
                    list.push(item.clone());
                    return Ok(());
                }
                for key in path.iter().rev() {
                    patch = json!({ *key: patch });
                }
                merge(policy, &patch)
            }
            Self::Set(path, value) => {
                let mut patch = value.clone();
                for key in path.iter().rev() {
                    patch = json!({ *key: patch });
                }
                merge(policy, &patch)
            }
            Self::Route(name, patch) => named(policy, "routes", name, patch),
            Self::Limit(name, patch) => named(policy, "limits", name, patch),
        }
    }

    fn yaml(&self) -> String {
        let (path, item): (Vec<&str>, String) = match self {
            Self::Append(path, item) => (path.to_vec(), format!("- {}", flow(item))),
            Self::Set(path, value) => {
                let (last, path) = path
                    .split_last()
                    .map_or(("", &[][..]), |(last, path)| (*last, path));
                (path.to_vec(), format!("{last}: {}", flow(value)))
            }
            Self::Route(name, patch) | Self::Limit(name, patch) => {
                let mut item = Map::new();
                item.insert("name".to_owned(), json!(name));
                item.extend(patch.as_object().cloned().unwrap_or_default());
                let list = if matches!(self, Self::Route(..)) {
                    "routes"
                } else {
                    "limits"
                };
                (vec![list], format!("- {}", flow(&Json::Object(item))))
            }
        };
        let mut text = String::new();
        for (depth, key) in path.iter().enumerate() {
            text.push_str(&format!("{}{key}:\n", "  ".repeat(depth)));
        }
        text.push_str(&format!("{}{item}", "  ".repeat(path.len())));
        text
    }
}

fn named(policy: &mut Json, list: &'static str, name: &str, patch: &Json) -> Result<()> {
    let items = items_mut(policy, &[list]).into_iter().flatten();
    for item in items {
        if item.get("name").and_then(Json::as_str) == Some(name) {
            return merge(item, patch);
        }
    }
    anyhow::bail!("there is no `{name}` in `{list}`")
}

pub(super) fn items<'p>(policy: &'p Json, path: &[&str]) -> Vec<&'p Json> {
    let mut at = Some(policy);
    for key in path {
        at = at.and_then(|node| node.get(key));
    }
    at.and_then(Json::as_array).into_iter().flatten().collect()
}

fn items_mut<'p>(policy: &'p mut Json, path: &[&str]) -> Option<&'p mut Vec<Json>> {
    let mut at = policy;
    for key in path {
        at = at.get_mut(key)?;
    }
    at.as_array_mut()
}

/// A list without one item.
pub(super) fn without(policy: &Json, path: &'static [&'static str], gone: &Json) -> Edit {
    let left: Vec<&Json> = items(policy, path)
        .into_iter()
        .filter(|item| *item != gone)
        .collect();
    Edit::Set(path, json!(left))
}

/// A list, with its default written out, and one more item.
pub(super) fn listed(
    policy: &Json,
    path: &'static [&'static str],
    default: &[&str],
    item: String,
    warning: String,
) -> Change {
    if items(policy, path).is_empty() {
        let mut all: Vec<String> = default.iter().map(|text| (*text).to_owned()).collect();
        all.push(item);
        return Change::new(Edit::Set(path, json!(all)), warning);
    }
    Change::new(Edit::Append(path, json!(item)), warning)
}

pub(super) fn plain(value: &Json) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// YAML in one line.
pub(super) fn flow(value: &Json) -> String {
    match value {
        Json::Object(map) => {
            // As people write them: the name first, then where, then what.
            const FIRST: [&str; 5] = ["name", "match", "path", "route", "field"];
            let first = FIRST.iter().filter_map(|name| map.get_key_value(*name));
            let rest = map
                .iter()
                .filter(|(name, _)| !FIRST.contains(&name.as_str()));
            let pairs: Vec<String> = first
                .chain(rest)
                .map(|(name, value)| format!("{name}: {}", flow(value)))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Json::Array(list) => {
            let list: Vec<String> = list.iter().map(flow).collect();
            format!("[{}]", list.join(", "))
        }
        Json::String(text) => {
            let bare = text
                .bytes()
                .next()
                .is_some_and(|byte| byte.is_ascii_alphabetic())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
                && !matches!(
                    text.to_ascii_lowercase().as_str(),
                    "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
                );
            if bare {
                text.clone()
            } else {
                value.to_string()
            }
        }
        other => other.to_string(),
    }
}
