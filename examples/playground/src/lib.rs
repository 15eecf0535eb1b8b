//! The engine in a browser: `decide(policy, request)` → verdict, both JSON texts.
//!
//! **In:** a policy as JSON text; a request `{"method","path","headers":[[name,value]…],"body","peer","now",
//! "env":{NAME:VALUE}}`, all but `method` and `path` optional. **Out:** `{"verdict","reason","status","findings"…}`
//! or `{"errors":[…]}`.
//! **Invariant:** depends on the engine alone: this package fails to build when the engine stops being host-free.

use palisade_engine::engine::{Answer, Engine, Report, Resumed, Verdict, Wait};
use palisade_engine::env::{Connection, Env, MemoryStore};
use palisade_engine::policy::Policy;
use palisade_engine::request::{RequestHead, client_addr};
use palisade_engine::units::{Monotonic, UnixTime};
use serde_json::{Value, json};
use wasm_bindgen::prelude::wasm_bindgen;

/// Decides one request under a policy; counters start empty at each call.
#[wasm_bindgen]
#[must_use]
pub fn decide(policy: &str, request: &str) -> String {
    let out = match serde_json::from_str::<Value>(request) {
        Ok(request) => judge(policy, &request),
        Err(error) => json!({ "errors": [format!("request: {error}")] }),
    };
    out.to_string()
}

fn judge(policy: &str, request: &Value) -> Value {
    let text = |key: &str| request.get(key).and_then(Value::as_str);
    let secrets = |name: &str| {
        request
            .get("env")
            .and_then(|env| env.get(name))
            .and_then(Value::as_str)
            .map(|value| value.as_bytes().to_vec())
    };
    let policy = match Policy::from_plugin_bytes(policy.as_bytes(), &secrets) {
        Ok(policy) => policy,
        Err(errors) => {
            return json!({ "errors": errors.iter().map(ToString::to_string).collect::<Vec<_>>() });
        }
    };
    let engine = Engine::new(policy);
    let mut pairs = vec![
        (":method", text("method").unwrap_or("GET")),
        (":path", text("path").unwrap_or("/")),
        (":authority", text("host").unwrap_or("localhost")),
    ];
    for header in request
        .get("headers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        if let (Some(name), Some(value)) = (
            header.get(0).and_then(Value::as_str),
            header.get(1).and_then(Value::as_str),
        ) {
            pairs.push((name, value));
        }
    }
    let head = RequestHead::decode(
        pairs
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
    );
    let connection = Connection {
        peer: client_addr::parse_peer(text("peer").unwrap_or("192.0.2.1").as_bytes()),
        certificate: None,
    };
    let now = request.get("now").and_then(Value::as_u64).unwrap_or(0);
    let mut counters = MemoryStore::default();
    let mut env = Env {
        now: Monotonic(now.saturating_mul(1000)),
        wall: UnixTime(now),
        counters: &mut counters,
    };
    let body = text("body").unwrap_or_default();
    let mut memory = engine.memory();
    let mut verdict = engine.decide_head(&head, connection, body.is_empty(), &mut memory, &mut env);
    while let Verdict::Need(wait, suspended) = verdict {
        let resumed = Resumed {
            answer: match wait {
                Wait::Body { .. } => Answer::Body(body.as_bytes()),
                // A page makes no call-outs.
                Wait::Keys { .. } | Wait::Callout { .. } | Wait::Fleet(_) => Answer::Unanswered,
            },
            body: Some(body.as_bytes()),
            head: suspended.needs_head().then_some(&head),
            connection,
        };
        verdict = engine.resume(suspended, resumed, &mut memory, &mut env);
    }
    match verdict {
        Verdict::Allow(pass) => {
            let set: Vec<_> = pass
                .edits
                .set
                .iter()
                .map(|(name, value)| json!([show(name), show(value)]))
                .collect();
            json!({ "verdict": "allow", "set": set, "findings": pass.report.as_ref().map(findings) })
        }
        Verdict::Deny(refusal) => {
            let row = refusal.denial.reason.row();
            json!({ "verdict": "deny", "reason": row.code, "status": row.status, "findings": findings(&refusal.report) })
        }
        // All waits were answered.
        Verdict::Need(..) => json!({ "errors": ["the engine still waits"] }),
    }
}

fn findings(report: &Report) -> Value {
    let list = report.findings.as_slice().iter();
    list.map(|f| {
        json!({ "reason": f.reason.row().code, "rule": show(&f.rule), "place": show(&f.place),
                "evidence": show(&f.evidence), "score": f.score })
    })
    .collect()
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::decide;

    const POLICY: &str = r#"{ "injection": { "inspect": ["target", "body"] }, "headers": { "methods": ["GET", "POST"] } }"#;

    #[test]
    fn decides() {
        for (request, expected) in [
            (
                r#"{"method":"GET","path":"/?q=shoes"}"#,
                r#""verdict":"allow""#,
            ),
            (
                r#"{"method":"GET","path":"/?q=%27%20OR%201=1--"}"#,
                r#""reason":"injection""#,
            ),
            (
                r#"{"method":"PUT","path":"/"}"#,
                r#""reason":"method_not_allowed""#,
            ),
            (
                r#"{"method":"POST","path":"/","headers":[["content-type","application/json"]],"body":"{\"a\":\"<script>alert(1)</script>\"}"}"#,
                r#""place":"body:a""#,
            ),
            ("{", r#""errors":["request: "#),
        ] {
            let answer = decide(POLICY, request);
            assert!(answer.contains(expected), "{request}: {answer}");
        }
        let answer = decide(r#"{"injektion":{}}"#, "{}");
        assert!(answer.contains("injection"), "a suggestion: {answer}");
    }
}
