//! Exceptions for what known good traffic holds: `palisade explain --learn`.
//!
//! **In:** requests that nobody should refuse (rows of a corpus, or a HAR), a policy. **Out:** [`Learned`]: the narrowest exceptions that
//! let them pass (route, field, classes, level), each with a name, an end, how many requests need it and what it was learned from.
//! **Invariant:** only injection detection is asked. An exception names a route of the policy, a field and a class; where none of that kind
//! helps, the request is told and left. What is proposed was run: every request that is not left passes with it, and each is needed.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use palisade_host::Request;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::change::{Edit, flow, items};
use super::decide::{Desk, Finding, Verdict};
use super::exception::search;
use super::har;
use super::input::{Draft, PEER};
use crate::score::corpus::Row;
use crate::score::judge::injection_alone;

/// A request of known good traffic.
#[derive(Debug)]
pub struct Good {
    /// What it is called in its file.
    pub id: String,
    request: Request,
}

/// An exception that was learned.
#[derive(Debug, Clone, Serialize)]
pub struct Rule {
    /// Name in metrics.
    pub name: String,
    /// Route.
    pub route: String,
    /// Field.
    pub field: String,
    /// Classes.
    pub classes: Vec<String>,
    /// Level of the surest hit.
    pub level: u8,
    /// Day on which it ends.
    pub expires: String,
    /// Requests that are refused without it.
    pub needed_by: usize,
    /// The first of them.
    pub first: String,
    /// What matched in that one.
    pub evidence: String,
}

/// A request that no narrow exception lets pass.
#[derive(Debug, Clone, Serialize)]
pub struct Left {
    /// What it is called in its file.
    pub id: String,
    /// What refuses it.
    pub reason: String,
    /// Why no exception was made.
    pub why: String,
}

/// What was learned.
#[derive(Debug, Clone, Serialize)]
pub struct Learned {
    /// Requests read.
    pub requests: usize,
    /// Refused by the policy as it is.
    pub refused: usize,
    /// Exceptions.
    pub exceptions: Vec<Rule>,
    /// Requests that are still refused.
    pub left: Vec<Left>,
}

/// Exceptions of a policy at most.
const MOST: usize = 256;

/// Reads a HAR (every entry), or lines of JSON with a `request`, as corpora are written.
///
/// # Errors
/// It is neither, or a row cannot be read.
pub fn read(text: &str) -> Result<Vec<Good>> {
    let mut list = Vec::new();
    if let Ok(whole) = serde_json::from_str::<Json>(text)
        && let Some(entries) = whole.pointer("/log/entries").and_then(Json::as_array)
    {
        for (number, entry) in entries.iter().enumerate() {
            let draft = har::read(entry, 0).with_context(|| format!("entry {number}"))?;
            list.push(Good {
                id: format!("entry {number}"),
                request: draft.finish("HAR", PEER).request,
            });
        }
        return Ok(list);
    }
    for (number, line) in (1_usize..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let mut row: Json =
            serde_json::from_str(line).with_context(|| format!("line {number} is not JSON"))?;
        let Some(map) = row.as_object_mut() else {
            bail!("line {number} is not a row with a `request`");
        };
        // Recorded traffic has no labels.
        for (key, value) in [
            ("id", format!("line {number}")),
            ("source", "recorded".to_owned()),
            ("class", "benign".to_owned()),
            ("label", "benign".to_owned()),
        ] {
            map.entry(key).or_insert(Json::String(value));
        }
        if map.get("label") != Some(&json!("benign")) {
            bail!("line {number} is not labelled `benign`: only good traffic can be learned from");
        }
        let row = Row::parse(&row.to_string()).with_context(|| format!("line {number}"))?;
        list.push(good(row));
    }
    Ok(list)
}

fn good(row: Row) -> Good {
    let fields = row.request.headers.into_iter();
    let draft = Draft {
        method: row.request.method,
        scheme: "https".to_owned(),
        authority: b"example.com".to_vec(),
        target: row.request.path.into_bytes(),
        fields: fields
            .filter(|(name, _)| !name.starts_with(':'))
            .map(|(name, value)| (name.into_bytes(), value.into_bytes()))
            .collect(),
        body: row.request.body,
        ..Draft::default()
    };
    Good {
        id: row.id,
        request: draft.finish("row", PEER).request,
    }
}

/// Learns.
///
/// # Errors
/// The policy has no injection detection, or the module faults.
pub fn learn(desk: &Desk, policy: &Json, good: &[Good], days: u32) -> Result<Learned> {
    if policy.get("injection").is_none() {
        bail!("the policy has no `injection`: there is nothing to except from");
    }
    let mut base = injection_alone(Some(policy.clone()), None, None)?;
    if let Some(events) = base.get_mut("events").and_then(Json::as_object_mut) {
        // What may be shown is the policy's affair.
        events.remove("redact");
        if let Some(redact) = policy.pointer("/events/redact") {
            events.insert("redact".to_owned(), redact.clone());
        }
    }
    let mut refused = Vec::new();
    for one in good {
        if desk.denial(&base, &one.request)?.is_some() {
            refused.push(one);
        }
    }
    let expires = day(desk.at + Duration::from_secs(u64::from(days) * 86_400));
    let mut rules: Vec<Rule> = Vec::new();
    let mut left: Vec<Left> = Vec::new();
    for one in &refused {
        let current = with(&base, &rules, None)?;
        let told = desk.explain(&current, &one.request)?;
        let Verdict::Denied { reason, .. } = &told.verdict else {
            continue;
        };
        let mut leave = |why: &str| {
            left.push(Left {
                id: one.id.clone(),
                reason: reason.clone(),
                why: why.to_owned(),
            });
        };
        if reason != "injection" {
            leave("no exception from injection detection lets it pass");
            continue;
        }
        let routes = items(policy, &["routes"]);
        let named = |route: &&Json| route.get("name") == Some(&json!(told.route));
        if !routes.is_empty() && !routes.iter().any(named) {
            leave("no route of the policy takes it, so an exception has nothing to be narrow by");
            continue;
        }
        let found = search(desk, &current, &one.request, &told)?;
        let narrow: Option<Vec<Narrow>> = found
            .changes
            .iter()
            .map(|change| Narrow::of(&change.edit))
            .collect();
        let Some(narrow) = narrow.filter(|list| found.proved && !list.is_empty()) else {
            leave("it has no field that could be excepted: explain it by itself");
            continue;
        };
        for part in narrow {
            let seen = told.findings.iter().find(|found| part.made_from(found));
            part.join(&mut rules, one, seen, &expires);
        }
        if rules.len() > MOST {
            bail!(
                "more than {MOST} exceptions: this traffic is not for this policy, or its `level` is too high"
            );
        }
    }
    prune(desk, &base, &mut rules, &refused, &left)?;
    let taken = items(policy, &["injection", "except"]);
    let mut number = 0;
    for rule in &mut rules {
        loop {
            number += 1;
            rule.name = format!("learned-{number}");
            if !taken
                .iter()
                .any(|item| item.get("name") == Some(&json!(rule.name)))
            {
                break;
            }
        }
    }
    let last = with(&base, &rules, None)?;
    for one in &refused {
        let is_left = left.iter().any(|left| left.id == one.id);
        if !is_left && desk.denial(&last, &one.request)?.is_some() {
            left.push(Left {
                id: one.id.clone(),
                reason: "injection".to_owned(),
                why: "the exceptions do not do together: explain it by itself".to_owned(),
            });
        }
    }
    Ok(Learned {
        requests: good.len(),
        refused: refused.len(),
        exceptions: rules,
        left,
    })
}

/// Takes out what a later, wider rule made idle, and counts who needs the others.
fn prune(
    desk: &Desk,
    base: &Json,
    rules: &mut Vec<Rule>,
    refused: &[&Good],
    left: &[Left],
) -> Result<()> {
    let mut at = 0;
    while at < rules.len() {
        let without = with(base, rules, Some(at))?;
        let mut needed = 0;
        for one in refused {
            let is_left = left.iter().any(|left| left.id == one.id);
            needed += usize::from(!is_left && desk.denial(&without, &one.request)?.is_some());
        }
        if needed == 0 {
            rules.remove(at);
            continue;
        }
        if let Some(rule) = rules.get_mut(at) {
            rule.needed_by = needed;
        }
        at += 1;
    }
    Ok(())
}

/// A policy with rules, but for one.
fn with(base: &Json, rules: &[Rule], but: Option<usize>) -> Result<Json> {
    let mut policy = base.clone();
    for (index, rule) in rules.iter().enumerate() {
        if Some(index) != but {
            Edit::Append(&["injection", "except"], rule.item(false)).apply(&mut policy)?;
        }
    }
    Ok(policy)
}

/// An exception by route, field and class.
struct Narrow {
    route: String,
    field: String,
    classes: Vec<String>,
    level: u8,
}

impl Narrow {
    fn of(edit: &Edit) -> Option<Self> {
        let Edit::Append(["injection", "except"], item) = edit else {
            return None;
        };
        let text = |key: &str| item.get(key).and_then(Json::as_str).map(str::to_owned);
        let classes = item.get("classes").and_then(Json::as_array)?;
        let level = item.get("level").and_then(Json::as_u64).unwrap_or(1);
        Some(Self {
            route: text("route")?,
            field: text("field")?,
            classes: classes
                .iter()
                .filter_map(Json::as_str)
                .map(str::to_owned)
                .collect(),
            level: u8::try_from(level).ok()?,
        })
    }

    fn made_from(&self, found: &Finding) -> bool {
        let name = found.place.split_once(':').map_or("", |(_, name)| name);
        found.stage == "injection" && name == self.field
    }

    /// One rule for a field on a route.
    fn join(self, rules: &mut Vec<Rule>, one: &Good, seen: Option<&Finding>, expires: &str) {
        let same = rules
            .iter_mut()
            .find(|rule| rule.route == self.route && rule.field == self.field);
        if let Some(rule) = same {
            rule.level = rule.level.min(self.level);
            for class in self.classes {
                if !rule.classes.contains(&class) {
                    rule.classes.push(class);
                }
            }
            return;
        }
        rules.push(Rule {
            name: String::new(),
            route: self.route,
            field: self.field,
            classes: self.classes,
            level: self.level,
            expires: expires.to_owned(),
            needed_by: 0,
            first: one.id.clone(),
            evidence: seen.map_or_else(String::new, |found| found.evidence.clone()),
        });
    }
}

impl Rule {
    fn item(&self, whole: bool) -> Json {
        let mut item = json!({ "route": self.route, "field": self.field, "classes": self.classes });
        if let Some(item) = item.as_object_mut() {
            if self.level > 1 {
                item.insert("level".to_owned(), json!(self.level));
            }
            if whole {
                item.insert("name".to_owned(), json!(self.name));
                item.insert("expires".to_owned(), json!(self.expires));
            }
        }
        item
    }
}

impl Learned {
    /// As YAML to paste, with what it was learned from.
    #[must_use]
    pub fn yaml(&self, from: &str) -> String {
        let mut text = format!(
            "# Learned from {}: {}, of which injection detection as it is refuses {}.\n",
            one_line(from),
            count(self.requests),
            self.refused
        );
        if !self.exceptions.is_empty() {
            text.push_str(
                "# Look at what each was learned from before you paste it: an attack among good traffic would be excepted too.\n\
                 injection:\n  except:\n",
            );
        }
        for rule in &self.exceptions {
            text.push_str(&format!(
                "    # needed by {}, first {}: {}\n    - {}\n",
                count(rule.needed_by),
                one_line(&rule.first),
                one_line(&rule.evidence),
                flow(&rule.item(true))
            ));
        }
        for left in &self.left {
            text.push_str(&format!(
                "# still refused, {}: {}; {}\n",
                one_line(&left.id),
                left.reason,
                left.why
            ));
        }
        if self.refused == 0 {
            text.push_str("# Nothing to except.\n");
        }
        text
    }
}

fn count(requests: usize) -> String {
    match requests {
        1 => "1 request".to_owned(),
        more => format!("{more} requests"),
    }
}

/// Without line ends and control bytes, so that it stays in its comment.
fn one_line(text: &str) -> String {
    text.chars().flat_map(char::escape_debug).collect()
}

/// The day of a time since 1970 (UTC), by the calendar of 400 years.
fn day(at: Duration) -> String {
    // Days since 1 March of the year 0.
    let days = at.as_secs() / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::{day, one_line, read};
    use std::time::Duration;

    #[test]
    fn days() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_778, "2026-11-21"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(day(Duration::from_secs(days * 86_400 + 5)), expected);
        }
    }

    #[test]
    fn traffic_is_read_from_rows_and_from_a_har() {
        let rows = "{\"request\":{\"method\":\"GET\",\"path\":\"/a\"}}\n\n{\"id\":\"x\",\"request\":{\"method\":\"POST\",\"path\":\"/b\",\"body_b64\":\"YT1i\"}}\n";
        let read_rows =
            read(rows).map(|list| list.into_iter().map(|one| one.id).collect::<Vec<_>>());
        assert_eq!(
            read_rows.ok(),
            Some(vec!["line 1".to_owned(), "x".to_owned()])
        );
        let har = "{\"log\":{\"entries\":[{\"request\":{\"method\":\"GET\",\"url\":\"https://a.example/\"}}]}}";
        assert_eq!(read(har).map(|list| list.len()).ok(), Some(1));
        for bad in [
            "[1]",
            "x",
            "{\"label\":\"attack\",\"request\":{\"method\":\"GET\",\"path\":\"/\"}}",
            "{\"a\":1}",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(one_line("a\nb"), "a\\nb");
    }
}
