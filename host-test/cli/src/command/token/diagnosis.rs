//! The engine's word for what failed, in sentences: why, and what would make the token pass.
//!
//! **In:** reason and check as the engine's finding has them, the provider as the policy has it, the token taken apart.
//! **Invariant:** a word that is not known here is told as it is. What is said besides comes from policy and token, and is no verdict.

use serde_json::Value;

use super::anatomy::Anatomy;

/// Why a provider refused, and the way out.
pub(super) fn explain(
    reason: &str,
    check: &str,
    provider: &Value,
    token: &Anatomy,
) -> (String, String) {
    let algorithm = token.header_text("alg").unwrap_or_default();
    let claim = |name: &str| {
        token
            .claim(name)
            .map_or_else(|| "none".to_owned(), Value::to_string)
    };
    let setting = |name: &str| {
        provider
            .get(name)
            .map_or_else(String::new, Value::to_string)
    };
    let keys = key_names(provider);
    let own = |why: &str, fix: &str| (why.to_owned(), fix.to_owned());
    match (reason, check) {
        ("token_missing", _) => own(
            "the request carries no credential where this provider looks",
            &format!("send it in {}", place(provider)),
        ),
        ("multiple_credentials", _) => own(
            "the request carries more than one credential",
            "send exactly one: a proxy and an application may pick different ones",
        ),
        ("keys_unavailable", _) => own(
            "the provider's keys come from a URL, and nothing is fetched here",
            "give the key set with --jwks-file PROVIDER=FILE",
        ),
        ("introspection_unavailable", _) => own(
            "the provider asks a service about the token, and nobody is asked here",
            "try it on a gateway: `palisade serve --clusters NAME=URL`",
        ),
        ("token_revoked", _) => own(
            "it was revoked: it is on the policy's list, or was revoked while the gateway ran",
            "log in anew",
        ),
        ("replayed", _) => own("it was used before", "make a new one for each request"),
        ("credentials_invalid", _) => own(
            "no key or user of this provider has this secret",
            "compare with what `palisade token api-key` or `palisade token hash` made for the policy; spaces and line breaks count",
        ),
        ("certificate_invalid", _) => own(
            "the client certificate fits no rule of this provider",
            "compare its subject, URI, DNS name and hash with the rules; certificates are seen on a gateway only",
        ),
        ("csrf_failed", _) => own(
            "an unsafe method needs the session's CSRF token, and must come from the same site",
            "send the CSRF token in its header, with an `origin` of the site",
        ),
        ("signature_expired", _) => own(
            &format!(
                "the time that is signed is too far from now ({})",
                if check == "future" { "ahead" } else { "behind" }
            ),
            "sign at the time of sending; set the clocks right, or widen the window",
        ),
        ("digest_mismatch", _) => own(
            "the body is not the one whose digest was signed",
            "send the body as it was signed, byte for byte (--body FILE here)",
        ),
        ("signature_invalid", _) => own(
            &format!("the signature does not hold over what this provider signs (`{check}`)"),
            "sign the bytes that are sent, with a key of the provider (--body FILE here)",
        ),
        ("dpop_invalid", _) => own(
            &format!("the DPoP proof does not belong to this request and token (`{check}`)"),
            "make a proof for this method, this address and this token",
        ),
        (_, "key") | ("token_key_unknown", _) if algorithm.eq_ignore_ascii_case("none") => own(
            "it is not signed (`alg` is `none`): an attempt to pass without a key, or a test token",
            "sign it; no setting of the policy accepts unsigned tokens",
        ),
        (_, "key") | ("token_key_unknown", _) if confused(algorithm, provider) => own(
            &format!(
                "it is signed with {algorithm}, a shared secret, but this provider has public keys only: key confusion, where an attacker \
                 signs with the public key as if it were a secret"
            ),
            &format!("sign it with {keys}"),
        ),
        (_, "key") | ("token_key_unknown", _) => {
            let kid = token
                .header_text("kid")
                .map_or_else(|| "no kid".to_owned(), |kid| format!("kid `{kid}`"));
            (
                format!(
                    "no key of this provider serves it: the token says alg `{algorithm}` and {kid}, the provider has {keys}"
                ),
                "sign it with one of these keys, name its `kid` as the policy does, or add the key to the policy".to_owned(),
            )
        }
        (_, "signature") => (
            format!("the signature does not hold under {keys}: another key signed it, or it was altered afterwards"),
            "get a token of this issuer; check that the policy's key is the one that signs (raw, base64 or hex?)".to_owned(),
        ),
        (_, "extension") => own(
            "its header asks for something that is never followed: a key of its own, an extension (`crit`), an unencoded payload (`b64`)",
            "have the issuer leave `crit`, `b64`, `jku`, `jwk`, `x5u` and `x5c` out of the header",
        ),
        (_, "type") => own(
            &format!(
                "its `typ` is `{}`: a token of another kind",
                token.header_text("typ").unwrap_or_default()
            ),
            "send an access token; accepted are `JWT`, `at+jwt`, and no `typ`",
        ),
        (_, "malformed") => own(
            &format!("it is not of the provider's form (it looks like: {})", token.form),
            "send a credential of this provider, whole and unchanged (a JWT is three parts in base64url without padding, each name once)",
        ),
        (_, "payload") => own(
            "what is signed is not a JSON object that can be read in one way only (each name once, at most 128)",
            "the issuer must write a plain object",
        ),
        (_, "size") => own("it is longer than any token may be", "send a shorter one"),
        (_, "exp") if reason == "token_expired" => (
            format!("it has expired: `exp` is {}", claim("exp")),
            "get a fresh token; `leeway` of the provider is for clocks that differ, not for old tokens".to_owned(),
        ),
        (_, "lifetime" | "idle") if reason == "token_expired" => (
            format!(
                "the session is over: issued at {}, lifetime {}, idle {}",
                claim("iat"),
                or(&setting("lifetime"), "1h"),
                or(&setting("idle"), "not limited")
            ),
            "log in again".to_owned(),
        ),
        ("token_expired", "expires") => own(
            "the policy's entry for it has ended (`expires`)",
            "give its owner a new one",
        ),
        (_, "max_age" | "max_lifetime") => (
            format!("it was issued for longer, or longer ago, than the provider allows ({check} {})", setting(check)),
            "get a fresh token; have the issuer make shorter ones".to_owned(),
        ),
        (_, "exp") => own(
            "it has no usable `exp`, and this provider asks for one",
            "have the issuer set `exp`, or set `require_exp: false` (a token then holds for ever)",
        ),
        (_, "nbf") => (
            format!("it does not hold yet, or its `nbf` is no time: {}", claim("nbf")),
            "wait, or set the clocks right".to_owned(),
        ),
        (_, "iat") => (
            format!("its `iat` is in the future, missing or no time: {}", claim("iat")),
            "set the issuer's clock right, or widen `leeway`".to_owned(),
        ),
        (_, "iss") => (
            format!("its issuer is {}, the provider asks for {}", claim("iss"), setting("issuer")),
            "send a token of that issuer, or correct `issuer`".to_owned(),
        ),
        (_, "aud") => (
            format!("it is for {}, the provider accepts {}", claim("aud"), setting("audiences")),
            "ask the issuer for a token for this service, or add its audience to `audiences`".to_owned(),
        ),
        (_, "require") => (
            format!("a claim is missing that the provider requires: {}", setting("require")),
            "have the issuer set it, or take it out of `require`".to_owned(),
        ),
        (_, "roles") => (
            format!("its roles at {} are neither texts nor a list of texts", or(&setting("roles"), "/roles")),
            "point `roles` at the right claim".to_owned(),
        ),
        (_, "forward") => own(
            "a claim that is to be forwarded cannot stand in a header: an object, a comma in a list, or a control byte",
            "forward another claim, or have the issuer write a plain text",
        ),
        (_, "sub" | "sid") => own(&format!("`{check}` is missing, empty or no text"), "have the issuer set it"),
        ("token_not_bound", _) => own(
            &format!("it was issued to another client (`{check}`)"),
            "use it from where it was issued (--client ADDRESS here), or log in again",
        ),
        _ => (
            format!("check `{check}` failed ({reason})"),
            "see `tokens` in the reference of the policy (filter/README.md)".to_owned(),
        ),
    }
}

/// Why the request as a whole is refused though a provider verified it.
pub(super) fn explain_demand(reason: &str, demand: &Value) -> (String, String) {
    let asked = |name: &str| demand.get(name).map_or_else(String::new, Value::to_string);
    match reason {
        "missing_role" => (
            format!("the subject has none of the roles {}", asked("roles")),
            "give the subject one of these roles, or ask for another on the route".to_owned(),
        ),
        "missing_scope" => (
            format!("the token lacks a scope of {}", asked("scopes")),
            "ask the issuer for a token with these scopes".to_owned(),
        ),
        other => (
            format!("the route's demand is not met ({other})"),
            "see `routes` in the reference of the policy (filter/README.md)".to_owned(),
        ),
    }
}

/// HMAC against a provider that has no secrets.
fn confused(algorithm: &str, provider: &Value) -> bool {
    let text = provider
        .get("keys")
        .map_or_else(String::new, Value::to_string);
    algorithm.starts_with("HS") && !text.is_empty() && !text.contains("\"HS")
}

/// The provider's keys in words.
fn key_names(provider: &Value) -> String {
    let mut names = Vec::new();
    collect(provider.get("keys").unwrap_or(&Value::Null), &mut names);
    if names.is_empty() {
        return "its keys".to_owned();
    }
    names.join(", ")
}

fn collect(keys: &Value, names: &mut Vec<String>) {
    match keys {
        Value::Array(list) => list.iter().for_each(|key| collect(key, names)),
        Value::Object(key) => {
            for nested in ["jwk", "jwks", "keys"] {
                if let Some(nested) = key.get(nested) {
                    collect(nested, names);
                    return;
                }
            }
            let text = |name: &str| key.get(name).and_then(Value::as_str);
            let algorithm = text("algorithm").or_else(|| text("alg")).unwrap_or("a key");
            names.push(match text("id").or_else(|| text("kid")) {
                Some(id) => format!("{algorithm} `{id}`"),
                None => algorithm.to_owned(),
            });
        }
        _ => {}
    }
}

/// Where a provider looks.
fn place(provider: &Value) -> String {
    match provider.get("from") {
        Some(Value::Object(from)) => from
            .iter()
            .filter_map(|(kind, name)| Some(format!("{kind} `{}`", name.as_str()?)))
            .collect::<Vec<_>>()
            .join(", "),
        _ if provider.get("type").and_then(Value::as_str) == Some("basic") => {
            "`authorization: Basic …`".to_owned()
        }
        _ => "`authorization: Bearer …`".to_owned(),
    }
}

fn or(text: &str, absent: &str) -> String {
    if text.is_empty() { absent } else { text }.to_owned()
}
