//! The narrowest change of the policy that lets a request pass: found by trying, proved by running.
//!
//! **In:** a refused request. **Out:** [`Exception`]: changes as YAML, what else they let pass; the module ran with them and let it
//! pass, and without any one of them it did not. For a request that passed: [`Nearest`], what would have refused it.
//! **Invariant:** candidates go from narrow to wide; a refusal that no policy can be told to overlook (a broken path, two lengths, a
//! forged token) is answered by what to change in the request.

use anyhow::Result;
use palisade_engine::budget::MAX_STEPS;
use palisade_host::Request;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::change::{Change, Edit, items, listed, plain, without};
use super::decide::{Desk, Explanation, Finding, Verdict, merge};

/// What would let a refused request pass.
#[derive(Debug, Clone, Serialize)]
pub struct Exception {
    /// Changes of the policy; empty when there is none to make.
    pub changes: Vec<Change>,
    /// Proved: the module let the request pass under the changed policy.
    pub proved: bool,
    /// What to do where the policy has no answer.
    pub advice: Option<String>,
    /// Policies tried.
    pub runs: u32,
}

/// What a request that passed came close to.
#[derive(Debug, Clone, Serialize)]
pub struct Nearest {
    /// `injection.level` at which it would be refused.
    pub level: u8,
    /// Class and place of what weighed most.
    pub what: String,
    /// Score at that level.
    pub score: u32,
    /// Threshold.
    pub threshold: u32,
}

/// How many refusals in a row are looked at.
const MOST: usize = 12;

/// Searches.
///
/// # Errors
/// The module faults.
pub fn search(
    desk: &Desk,
    policy: &Json,
    request: &Request,
    explained: &Explanation,
) -> Result<Exception> {
    let mut changes: Vec<Change> = Vec::new();
    let mut now = explained.clone();
    let mut current = policy.clone();
    let mut runs = 0;
    for _ in 0..MOST {
        let Verdict::Denied { reason, .. } = now.verdict.clone() else {
            break;
        };
        let mut stepped = false;
        let candidates = candidates(&current, request, &now, &reason);
        for candidate in candidates {
            let mut next = current.clone();
            if candidate.edit.apply(&mut next).is_err() || next == current {
                continue;
            }
            runs += 1;
            let Ok(after) = desk.explain(&next, request) else {
                // The policy does not take it.
                continue;
            };
            if progresses(&now, &after) {
                changes.push(candidate);
                current = next;
                now = after;
                stepped = true;
                break;
            }
        }
        if !stepped {
            return Ok(Exception {
                changes: Vec::new(),
                proved: false,
                advice: Some(advice(&reason, &now)),
                runs,
            });
        }
    }
    if !matches!(now.verdict, Verdict::Allowed { .. }) {
        return Ok(Exception {
            changes: Vec::new(),
            proved: false,
            advice: Some("more stages refuse it than exceptions should be made for".to_owned()),
            runs,
        });
    }
    // A later, wider change may have made an earlier one idle.
    let mut at = 0;
    while changes.len() > 1 && at < changes.len() {
        let mut fewer = changes.clone();
        fewer.remove(at);
        let mut without = policy.clone();
        let applied = fewer
            .iter()
            .try_for_each(|change| change.edit.apply(&mut without));
        runs += 1;
        if applied.is_ok() && matches!(desk.denial(&without, request), Ok(None)) {
            changes = fewer;
        } else {
            at += 1;
        }
    }
    let changes = joined(changes);
    let mut last = policy.clone();
    changes
        .iter()
        .try_for_each(|change| change.edit.apply(&mut last))?;
    runs += 1;
    Ok(Exception {
        proved: desk.denial(&last, request)?.is_none(),
        changes,
        advice: None,
        runs,
    })
}

/// Whether a change got the request any further: passed, or refused by something else.
fn progresses(before: &Explanation, after: &Explanation) -> bool {
    match (&before.verdict, &after.verdict) {
        (_, Verdict::Allowed { .. }) => true,
        (Verdict::Denied { reason, .. }, Verdict::Denied { reason: other, .. })
            if reason == other =>
        {
            let left = |explained: &Explanation| -> Vec<Finding> {
                let mut list = explained.findings.clone();
                list.retain(|finding| finding.reason == *reason);
                list
            };
            // The same reason elsewhere, or for less.
            left(before).first() != left(after).first()
        }
        (Verdict::Denied { .. }, Verdict::Denied { .. }) => after.steps.len() >= before.steps.len(),
        _ => false,
    }
}

/// What could be tried against a refusal, narrow first.
fn candidates(policy: &Json, request: &Request, now: &Explanation, reason: &str) -> Vec<Change> {
    let mut list = Vec::new();
    let first = now.findings.iter().find(|finding| finding.reason == reason);
    let rule = first.map_or("", |finding| finding.rule.as_str());
    let field = |name: &str| {
        let value = request.headers.get(name).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    match reason {
        "injection" => injection(now, &mut list),
        "address_denied" if rule == "allow" => list.push(Change::new(
            Edit::Append(&["access", "allow"], json!(now.client)),
            format!("every request of {}", now.client),
        )),
        "address_denied" => {
            for entry in items(policy, &["access", "deny"]) {
                list.push(Change::new(
                    without(policy, &["access", "deny"], entry),
                    format!("everybody in `{}`: `deny` wins over `allow`, so there is no narrower way", plain(entry)),
                ));
            }
        }
        "method_not_allowed" => list.push(listed(
            policy,
            &["headers", "methods"],
            &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            field(":method"),
            format!("every {} on every route that takes it", field(":method")),
        )),
        "host_not_allowed" => {
            let whole = field(":authority");
            let host = match whole.rsplit_once(':') {
                Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
                _ => &whole,
            };
            list.push(Change::new(
                Edit::Append(&["headers", "hosts"], json!(host)),
                format!("requests for {host}"),
            ));
        }
        "content_type_not_allowed" if rule != "content-encoding" => {
            let kind = field("content-type");
            let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            list.push(Change::new(
                Edit::Append(&["headers", "content_types"], json!(kind)),
                format!("bodies of {kind}, on every route"),
            ));
        }
        "forbidden_header" => {
            let forbidden = ["x-original-url", "x-rewrite-url"].map(|name| json!(name));
            let list_now = items(policy, &["headers", "forbid"]);
            let old: Vec<Json> = if list_now.is_empty() { forbidden.to_vec() } else { list_now.into_iter().cloned().collect() };
            let new: Vec<Json> = old.into_iter().filter(|name| name.as_str().is_none_or(|name| !name.eq_ignore_ascii_case(rule))).collect();
            list.push(Change::new(
                Edit::Set(&["headers", "forbid"], json!(new)),
                format!("the header `{rule}`, from anybody"),
            ));
        }
        "missing_header" => {
            let new: Vec<&Json> = items(policy, &["headers", "require"])
                .into_iter()
                .filter(|name| name.as_str().is_none_or(|name| !name.eq_ignore_ascii_case(rule)))
                .collect();
            list.push(Change::new(
                Edit::Set(&["headers", "require"], json!(new)),
                format!("requests without `{rule}`"),
            ));
        }
        "headers_too_large" | "target_too_large" => bounds(request, rule, &mut list),
        "malformed_path" if rule == "hidden_slash" || rule.contains("slash") => list.push(Change::new(
            Edit::Set(&["headers", "escaped_slash"], json!("keep")),
            "paths with an encoded slash, on every route: an upstream that decodes it sees another path".to_owned(),
        )),
        "body_too_large" => {
            let size: usize = request.chunks.iter().map(Vec::len).sum();
            let kib = size.div_ceil(1024).max(1);
            list.push(Change::new(
                Edit::Set(&["body", "max"], json!(format!("{kib}KiB"))),
                format!("bodies up to {kib} KiB on every route: each held request takes that much memory"),
            ));
            stream(now, &mut list);
        }
        "inspection_budget" => steps(policy, now, &mut list),
        "malformed_body" => stream(now, &mut list),
        "content_type_not_allowed" => stream(now, &mut list),
        "rate_limited" | "banned" => {
            for limit in items(policy, &["limits"]) {
                if limit.get("name").and_then(Json::as_str) == Some(rule) {
                    quotas(limit, rule, &mut list);
                }
            }
        }
        "token_missing" => list.push(Change::new(
            Edit::Route(now.route.clone(), json!({ "token": { "optional": true } })),
            format!("everybody without a token on route `{}`; a bad token is still refused", now.route),
        )),
        "missing_role" => list.push(Change::new(
            Edit::Route(now.route.clone(), json!({ "token": { "roles": [] } })),
            format!("every verified subject on route `{}`, whatever their roles; better give this subject the role", now.route),
        )),
        "route_not_found" => {
            let path = field(":path");
            let path = path.split('?').next().unwrap_or_default();
            list.push(Change::new(
                Edit::Append(
                    &["routes"],
                    json!({ "name": "explained", "match": { "path": path, "methods": [field(":method")] }, "token": "none" }),
                ),
                format!("{} {path} from anybody, without a token", field(":method")),
            ));
        }
        _ => {}
    }
    list
}

/// Exceptions for the values that were seen, from one class in one field on one route to whole classes.
fn injection(now: &Explanation, list: &mut Vec<Change>) {
    // The finding that refused is of the worst value; its fellows in the same value go with it.
    for value in &now.values {
        let mut classes: Vec<String> = Vec::new();
        for seen in value
            .matches
            .iter()
            .filter(|seen| !seen.excepted && seen.points > 0)
        {
            if !classes.contains(&seen.class) {
                classes.push(seen.class.clone());
            }
        }
        let found = now
            .findings
            .iter()
            .any(|finding| finding.stage == "injection" && finding.place == value.place);
        if found && !classes.is_empty() {
            // Hits that are not the surest go without the surest.
            let counted = value.matches.iter();
            let counted = counted.filter(|seen| !seen.excepted && seen.points > 0);
            let level = counted.map(|seen| seen.level).min().unwrap_or(1);
            let narrow = |classes: &[String]| except(&now.route, &value.name, classes, level);
            for class in &classes {
                list.push(narrow(std::slice::from_ref(class)));
            }
            if classes.len() > 1 {
                list.push(narrow(&classes));
            }
        }
    }
    list.push(except(&now.route, "", &[], 1));
}

fn except(route: &str, field: &str, classes: &[String], level: u8) -> Change {
    let mut item = Map::new();
    item.insert("route".to_owned(), json!(route));
    if !field.is_empty() {
        item.insert("field".to_owned(), json!(field));
    }
    if !classes.is_empty() {
        item.insert("classes".to_owned(), json!(classes));
    }
    let mut what = if classes.is_empty() {
        "every attack".to_owned()
    } else {
        classes.join(" and ")
    };
    if level > 1 {
        item.insert("level".to_owned(), json!(level));
        what.push_str(&format!(" of level {level} or less sure"));
    }
    let place = if field.is_empty() {
        format!("anywhere in requests of route `{route}`")
    } else {
        format!("in any parameter, header, cookie or body field named `{field}` on route `{route}`")
    };
    let edit = Edit::Append(&["injection", "except"], Json::Object(item));
    Change::new(edit, format!("{what} {place}, from anybody"))
}

/// Exceptions for the same field on the same route, written as one.
fn joined(changes: Vec<Change>) -> Vec<Change> {
    let parts = |change: &Change| match &change.edit {
        Edit::Append(["injection", "except"], item) => {
            let text = |key: &str| {
                let value = item.get(key).and_then(Json::as_str);
                value.unwrap_or_default().to_owned()
            };
            let classes = item.get("classes").and_then(Json::as_array)?;
            let classes = classes.iter().filter_map(Json::as_str).map(str::to_owned);
            let level = item.get("level").and_then(Json::as_u64).unwrap_or(1);
            let level = u8::try_from(level).unwrap_or(1);
            Some((
                text("route"),
                text("field"),
                classes.collect::<Vec<_>>(),
                level,
            ))
        }
        _ => None,
    };
    let mut out: Vec<Change> = Vec::new();
    for change in changes {
        let same = parts(&change).and_then(|(route, field, classes, level)| {
            let mut list = out.iter_mut();
            list.find_map(|earlier| match parts(earlier)? {
                (other, name, mut all, least) if other == route && name == field => {
                    all.extend(classes.clone());
                    *earlier = except(&route, &field, &all, level.min(least));
                    Some(())
                }
                _ => None,
            })
        });
        if same.is_none() {
            out.push(change);
        }
    }
    out
}

fn bounds(request: &Request, rule: &str, list: &mut Vec<Change>) {
    let length = |bytes: Option<&[u8]>| bytes.unwrap_or_default().len();
    let target = request.headers.get(":path").unwrap_or_default();
    let kib = |bytes: usize| json!(format!("{}KiB", bytes.div_ceil(1024).max(1)));
    let fields: Vec<(&[u8], &[u8])> = request
        .headers
        .iter()
        .filter(|(name, _)| !name.starts_with(b":"))
        .collect();
    let (key, value): (&'static [&'static str], Json) = match rule {
        ":path" => (&["headers", "max", "target"], kib(target.len())),
        "params" => (
            &["headers", "max", "params"],
            json!(target.split(|byte| *byte == b'&').count()),
        ),
        "count" => (&["headers", "max", "count"], json!(fields.len())),
        "value" => {
            let longest = fields
                .iter()
                .map(|(_, value)| value.len())
                .max()
                .unwrap_or(0);
            let longest = longest.max(length(request.headers.get(":authority")));
            (&["headers", "max", "value"], kib(longest))
        }
        "bytes" => {
            let all = fields
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum();
            (&["headers", "max", "bytes"], kib(all))
        }
        _ => {
            let pairs = request.headers.get_all("cookie");
            let count: usize = pairs
                .map(|line| line.split(|byte| *byte == b';').count())
                .sum();
            (&["headers", "max", "cookies"], json!(count))
        }
    };
    list.push(Change::new(
        Edit::Set(key, value),
        "requests up to this bound, on every route".to_owned(),
    ));
}

fn quotas(limit: &Json, name: &str, list: &mut Vec<Change>) {
    let quota = limit
        .get("quota")
        .and_then(Json::as_str)
        .unwrap_or_default();
    let Some((count, window)) = quota.split_once('/') else {
        return;
    };
    let count: u64 = count.parse().unwrap_or(0);
    for factor in [1, 2, 4, 8, 16, 64, 256] {
        let more = if factor == 1 {
            count + 1
        } else {
            count * factor
        };
        list.push(Change::new(
            Edit::Limit(
                name.to_owned(),
                json!({ "quota": format!("{more}/{window}") }),
            ),
            format!("up to {more} requests in {window} of every key that `{name}` counts"),
        ));
    }
}

fn stream(now: &Explanation, list: &mut Vec<Change>) {
    list.push(Change::new(
        Edit::Route(now.route.clone(), json!({ "body": "stream" })),
        format!("every body on route `{}`, unseen", now.route),
    ));
}

/// More steps, twice as many each time; then none at all for bodies.
fn steps(policy: &Json, now: &Explanation, list: &mut Vec<Change>) {
    let injection = policy.get("injection");
    let own = injection.and_then(|injection| injection.get("steps"));
    let mut steps = own.and_then(Json::as_u64).unwrap_or(MAX_STEPS);
    while steps < MOST_STEPS {
        steps = steps.saturating_mul(2).min(MOST_STEPS);
        let time = steps.div_ceil(STEPS_A_MILLISECOND);
        list.push(Change::new(
            Edit::Set(&["injection", "steps"], json!(steps)),
            format!(
                "every text that spends up to {steps} steps, on every route: at the worst {time} ms of a worker's time for a body"
            ),
        ));
    }
    if now
        .findings
        .iter()
        .any(|finding| finding.reason == "inspection_budget" && finding.place.starts_with("body"))
    {
        stream(now, list);
    }
}

/// The most that `injection.steps` may be.
const MOST_STEPS: u64 = 67_108_864;
/// A step is at most 130 units of fuel (`tests/e2e/costs.rs`), 20 of which take V8 a nanosecond.
const STEPS_A_MILLISECOND: u64 = 150_000;

fn advice(reason: &str, now: &Explanation) -> String {
    let first = now.findings.iter().find(|finding| finding.reason == reason);
    let rule = first.map_or("", |finding| finding.rule.as_str());
    let text = match reason {
        "malformed_path" if rule == "control" => {
            "the path carries a control byte, as `%00` or as it is: the client must leave it out"
        }
        "token_missing" | "token_invalid" | "token_expired" | "token_claims"
        | "token_not_bound" => {
            "a credential that does not verify is nobody's: get a valid one (`palisade token`), or make the route public (`token: none`)"
        }
        "multiple_credentials" => "the request must carry one credential only",
        "malformed_path" => "the path can be read in several ways: the client must send it plainly",
        "malformed_header" | "framing_ambiguous" | "repeated_header" if !rule.is_empty() => {
            return format!(
                "readers would differ in what they make of `{rule}` in this head: the client must send it once and well-formed"
            );
        }
        "malformed_header" | "framing_ambiguous" | "repeated_header" => {
            "readers would differ in what they make of this head: the client must send it right"
        }
        "host_not_allowed" => {
            "the request names no host that could be listed: the client must send `host` (HTTP/2: `:authority`)"
        }
        "malformed_body" => {
            "the body is not what its content type says: the client must send it right"
        }
        "inspection_budget" => {
            "the request is more laborious to inspect than any `injection.steps` allows: it must become smaller"
        }
        "body_unavailable" => {
            "the host delivers no body: set `allow_on_headers_stop_iteration: true`"
        }
        "counters_unavailable" | "counters_contended" => {
            "the shared counters failed: it is not the request's doing"
        }
        _ => "no exception was found",
    };
    text.to_owned()
}

/// What a request that passed came close to: the lowest level that refuses it.
///
/// # Errors
/// The module faults.
pub fn nearest(desk: &Desk, policy: &Json, request: &Request) -> Result<Option<Nearest>> {
    let Some(injection) = policy.get("injection") else {
        return Ok(None);
    };
    let from = injection.get("level").and_then(Json::as_u64).unwrap_or(1);
    for level in from..=4 {
        let mut stricter = policy.clone();
        merge(
            &mut stricter,
            &json!({ "injection": { "level": level, "mode": "enforce" }, "mode": "enforce" }),
        )?;
        let explained = desk.explain(&stricter, request)?;
        let refused =
            matches!(&explained.verdict, Verdict::Denied { stage, .. } if stage == "injection");
        if let (true, Some(score)) = (refused, explained.score) {
            let worst = explained
                .values
                .iter()
                .flat_map(|value| value.matches.iter().map(move |seen| (value, seen)))
                .filter(|(_, seen)| !seen.excepted)
                .max_by_key(|(_, seen)| seen.points);
            return Ok(Some(Nearest {
                level: u8::try_from(level).unwrap_or(4),
                what: worst.map_or_else(String::new, |(value, seen)| {
                    format!("{} in {}", seen.rule, value.place)
                }),
                score: score.score,
                threshold: score.threshold,
            }));
        }
    }
    Ok(None)
}
