//! JWS and JWK: Wycheproof, the IETF cookbook (RFC 7520, 7797, 8037), the examples of RFC 7515.
//!
//! **In:** tokens and keys of the vectors, each token under the keys of its own group. **Out:** rows of `KeySet` and `verify_compact`, which
//! every JWT of a request goes through.

use palisade_engine::env::MemoryStore;
use palisade_engine::stages::token::Algorithm;
use palisade_engine::stages::token::jwk::{JwkRules, KeySet};
use palisade_engine::stages::token::jws::verify_compact;
use serde_json::{Value, json};

use super::{INVALID, Row, VALID, vectors};

/// Shared secrets are keys here, and all algorithms permitted: what a row is about decides.
fn rules() -> JwkRules {
    JwkRules {
        algorithms: Algorithm::ALL.to_vec(),
        symmetric: true,
        stronger_hash: false,
    }
}

/// Reads a set, then verifies a token under what is usable of it.
fn verify(set: &Value, rules: &JwkRules, token: &str) -> Result<Vec<u8>, String> {
    let text = set.to_string();
    let set = KeySet::read(text.as_bytes(), rules).map_err(|error| error.word().to_owned())?;
    let payload = verify_compact(set.keys(), &mut MemoryStore::default(), token.as_bytes());
    payload.map_err(|error| {
        let skipped: Vec<&str> = set.skipped().iter().map(|key| key.error.word()).collect();
        if set.keys().is_empty() {
            format!("no key: {}", skipped.join(" "))
        } else {
            error.word().to_owned()
        }
    })
}

pub(crate) fn rows() -> Vec<Row> {
    [wycheproof_jws(), wycheproof_jwk(), cookbook(), rfc7515()]
        .into_iter()
        .flatten()
        .collect()
}

fn result(case: &Value) -> &'static str {
    if case["result"] == "valid" {
        VALID
    } else {
        INVALID
    }
}

/// The verification key of a group: the public one where there is one.
fn key(group: &Value) -> &Value {
    if group["public"].is_null() {
        &group["private"]
    } else {
        &group["public"]
    }
}

fn wycheproof_jws() -> Vec<Row> {
    const SUITE: &str = "wycheproof-jws";
    let Some(file) = vectors("jose/wycheproof_json_web_signature_test.json") else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    // Tokens that the file calls valid: the same bytes cannot be invalid as well.
    let mut good = Vec::new();
    for group in file["testGroups"].as_array().unwrap() {
        let key = key(group);
        for case in group["tests"].as_array().unwrap() {
            let token = case["jws"].as_str().unwrap();
            let expected = result(case);
            let mut rules = rules();
            // Two tokens are of PS384, their key says PS256: the rule for such issuers, off otherwise, is theirs.
            let named = case["comment"].as_str().unwrap_or_default();
            rules.stronger_hash = key["alg"] == "PS256" && named.starts_with("Figure");
            let decision = match case["tcId"].as_u64() {
                Some(372 | 373) => Some(
                    "a `?` within base64url: the file's decoder skips it, ours is strict (RFC 7515 §2)",
                ),
                _ if expected == INVALID && good.contains(&(key, token)) => Some(
                    "byte for byte a token that the file calls valid: what made it invalid got lost in the file",
                ),
                _ => None,
            };
            if expected == VALID {
                good.push((key, token));
            }
            let verdict = verify(&json!({ "keys": [key] }), &rules, token).map(drop);
            rows.push(Row::new(SUITE, &case["tcId"], expected, verdict).decided(decision));
        }
    }
    rows
}

fn wycheproof_jwk() -> Vec<Row> {
    let Some(file) = vectors("jose/wycheproof_json_web_key_test.json") else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for group in file["testGroups"].as_array().unwrap() {
        for case in group["tests"].as_array().unwrap() {
            let token = case["jws"].as_str().unwrap();
            let verdict = verify(key(group), &rules(), token).map(drop);
            rows.push(Row::new(
                "wycheproof-jwk",
                &case["tcId"],
                result(case),
                verdict,
            ));
        }
    }
    rows
}

/// Each file's serialisations as tokens, each key alone as a set. The cookbook says that all of them are right.
fn cookbook() -> Vec<Row> {
    const SUITE: &str = "ietf-cookbook";
    let Some(files) = vectors("jose/ietf_cookbook.json") else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for file in files.as_array().unwrap() {
        let name = file["file"].as_str().unwrap();
        let data = &file["data"];
        if !data["kty"].is_null() {
            let set =
                KeySet::read(json!({ "keys": [data] }).to_string().as_bytes(), &rules()).unwrap();
            let verdict = match set.skipped() {
                [] => Ok(()),
                skipped => Err(skipped[0].error.word().to_owned()),
            };
            let decision = if data["use"] == "enc" {
                Some("a key for encryption verifies nothing")
            } else if !data["d"].is_null() {
                Some(
                    "a private key in a set that is read to verify: whoever reads the set can sign",
                )
            } else {
                None
            };
            rows.push(Row::new(SUITE, name, VALID, verdict).decided(decision));
            continue;
        }
        let keys = match &data["input"]["key"] {
            Value::Array(keys) => keys.clone(),
            key => vec![key.clone()],
        };
        let set = json!({ "keys": keys.iter().map(public).collect::<Vec<_>>() });
        for (form, token) in data["output"].as_object().unwrap() {
            let text = token
                .as_str()
                .map_or_else(|| token.to_string(), str::to_owned);
            let verdict = verify(&set, &rules(), &text).and_then(|payload| {
                let same = data["input"]["payload"].as_str().map(str::as_bytes) == Some(&payload);
                same.then_some(()).ok_or_else(|| "other payload".to_owned())
            });
            let decision = if form != "compact" {
                Some("a bearer token is compact; no JSON serialisation is one")
            } else if name.contains("detached") {
                Some("the payload is elsewhere: nothing to judge")
            } else if name.contains("b64") {
                Some("`crit` and `b64` are refused, never followed (RFC 8725 §3.10)")
            } else if name.contains("ecdh") {
                Some("encrypted (JWE), not signed")
            } else {
                None
            };
            rows.push(Row::new(SUITE, format!("{name} {form}"), VALID, verdict).decided(decision));
        }
    }
    rows
}

/// A key without its private members, and of a key that names no algorithm the one of its curve or the issuer's.
fn public(key: &Value) -> Value {
    let mut key = key.clone();
    if let Some(members) = key.as_object_mut() {
        for private in ["d", "p", "q", "dp", "dq", "qi"] {
            members.remove(private);
        }
    }
    key
}

/// RFC 7515 appendix A: each token under its key, under the keys of the others, and without its signature.
fn rfc7515() -> Vec<Row> {
    const SUITE: &str = "rfc7515-a";
    const A1: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const A2: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    const A3: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    const A4: &str = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
    const A5: &str = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
    let keys = [
        (
            "A.1",
            A1,
            json!({ "kty": "oct", "alg": "HS256", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow" }),
        ),
        (
            "A.2",
            A2,
            json!({ "kty": "RSA", "alg": "RS256", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ" }),
        ),
        (
            "A.3",
            A3,
            json!({ "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" }),
        ),
        (
            "A.4",
            A4,
            json!({ "kty": "EC", "crv": "P-521", "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk", "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2" }),
        ),
    ];
    let mut rows = Vec::new();
    for (name, token, own) in &keys {
        for (under, _, key) in &keys {
            let expected = if own == key { VALID } else { INVALID };
            let verdict = verify(&json!({ "keys": [key] }), &rules(), token).map(drop);
            rows.push(Row::new(
                SUITE,
                format!("{name} under {under}"),
                expected,
                verdict,
            ));
        }
        let bare = token.rsplit_once('.').map_or("", |(signed, _)| signed);
        let set = json!({ "keys": [own] });
        let verdict = verify(&set, &rules(), &format!("{bare}.")).map(drop);
        rows.push(Row::new(
            SUITE,
            format!("{name} unsigned"),
            INVALID,
            verdict,
        ));
        let verdict = verify(&set, &rules(), A5).map(drop);
        rows.push(Row::new(
            SUITE,
            format!("A.5 (none) under {name}"),
            INVALID,
            verdict,
        ));
    }
    rows
}
