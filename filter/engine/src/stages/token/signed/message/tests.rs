//! The examples of RFC 9421 appendix B.2, its component examples, and ways to be wrong.

use alloc::string::String;
use alloc::vec::Vec;

use super::*;
use crate::env::MemoryStore;
use crate::stages::token::jwk::JwkRules;
use crate::stages::token::{HmacAlgorithm, Secret};

const WINDOW: Window = Window {
    now: 1_618_884_473,
    seconds: 300,
};

type Pairs = Vec<(String, String)>;

fn head(pairs: &Pairs) -> RequestHead<'_> {
    RequestHead::decode(
        pairs
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
    )
}

fn pairs(list: &[(&str, &str)]) -> Pairs {
    list.iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

/// The pairs of a message in HTTP/1.1; a response has a status.
fn parse(text: &str) -> (Pairs, Option<String>) {
    let (head, _) = text.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let start: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let (mut pairs, status) = if start[0].starts_with("HTTP/") {
        (Vec::new(), Some(start[1].into()))
    } else {
        let pairs = pairs(&[
            (":method", start[0]),
            (":path", start[1]),
            (":scheme", "https"),
        ]);
        (pairs, None)
    };
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let name = name.to_ascii_lowercase();
        let name = if name == "host" {
            ":authority".into()
        } else {
            name
        };
        pairs.push((name, value.into()));
    }
    (pairs, status)
}

fn asked() -> Asked {
    Asked {
        label: None,
        tag: None,
        required: Vec::new(),
        nonce: false,
    }
}

fn vectors() -> Option<serde_json::Value> {
    let folder = std::env::var_os("PALISADE_VECTORS").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        std::path::PathBuf::from,
    );
    let path = folder.join("rfc9421/appendix_b.json");
    match std::fs::read(&path) {
        Ok(text) => Some(serde_json::from_slice(&text).unwrap()),
        Err(_) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "no {}: CI skips nothing, set PALISADE_VECTORS",
                path.display()
            );
            std::eprintln!("SKIPPED: no {}; set PALISADE_VECTORS", path.display());
            None
        }
    }
}

fn key(file: &serde_json::Value, id: &str, algorithm: Algorithm) -> Key {
    let entry = &file["keys"][id];
    if let Some(secret) = entry["base64"].as_str() {
        let secret = base64::decode(secret.as_bytes()).unwrap();
        let id = Some(id.as_bytes().to_vec());
        return Key::new(id, HmacAlgorithm::Sha256, &Secret(secret)).unwrap();
    }
    let mut jwk = serde_json::Map::new();
    for name in ["kty", "crv", "kid", "x", "y", "n", "e"] {
        if let Some(value) = entry["jwk"].get(name) {
            jwk.insert(name.into(), value.clone());
        }
    }
    let text = serde_json::Value::Object(jwk).to_string();
    Key::from_jwk(text.as_bytes(), &JwkRules::public(alloc::vec![algorithm])).unwrap()
}

#[test]
fn appendix_b_2() {
    let Some(file) = vectors() else { return };
    let mut verified = 0;
    for case in file["cases"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap();
        let (mut pairs, status) = parse(file[text("message")].as_str().unwrap());
        if text("label") == "sig-b24" {
            // The digest of the printed message is not the one that was signed.
            for (name, value) in &mut pairs {
                if name == "content-digest" {
                    *value = "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:".into();
                }
            }
        }
        pairs.push(("signature".into(), text("signature").into()));
        let algorithm = match text("alg") {
            "rsa-pss-sha512" => Algorithm::Ps512,
            "ecdsa-p256-sha256" => Algorithm::Es256,
            "hmac-sha256" => Algorithm::Hs256,
            "ed25519" => Algorithm::EdDsa,
            other => panic!("{other}"),
        };
        let keys = [key(&file, text("keyid"), algorithm)];
        assert_eq!(name_of(algorithm), Some(text("alg")));
        let verdict = |pairs: &Pairs| {
            let head = head(pairs);
            let asked = asked();
            let input = text("signature_input").as_bytes();
            let found = asked
                .find(&keys, &head, input, WINDOW)
                .map_err(|failure| failure.what)?;
            let message = Message {
                head: &head,
                status: status.as_deref().map(str::as_bytes),
            };
            let base = found.base(message).map_err(|failure| failure.what)?;
            let holds = found
                .key
                .verify(&mut MemoryStore::default(), &base, found.signature());
            Ok::<_, &'static str>((holds, String::from_utf8(base).unwrap()))
        };
        let label = text("label");
        let expected = text("signature_base");
        assert_eq!(verdict(&pairs), Ok((true, expected.into())), "{label}");
        verified += 1;
        for place in 0..pairs.len() {
            let mut other = pairs.clone();
            if other[place].0 == "signature" {
                continue;
            }
            other[place].1.push('x');
            let changed = verdict(&other).unwrap_or((false, String::new()));
            assert_eq!(
                changed.0,
                changed.1 == expected,
                "{label}: {:?}",
                other[place]
            );
        }
        let mut other = pairs.clone();
        let signature = &mut other.last_mut().unwrap().1;
        let first = if signature.as_bytes()[12] == b'A' {
            "B"
        } else {
            "A"
        };
        signature.replace_range(12..13, first);
        assert_eq!(verdict(&other), Ok((false, expected.into())), "{label}");
    }
    assert_eq!(verified, 6);
}

fn base_of(list: &[(&str, &str)], input: &str) -> Result<String, &'static str> {
    let mut pairs = pairs(list);
    pairs.push(("signature".into(), "s=:AAAA:".into()));
    let head = head(&pairs);
    let key = Key::new(
        Some(b"k".to_vec()),
        HmacAlgorithm::Sha256,
        &Secret(b"secret".to_vec()),
    );
    let input = alloc::format!("s=({input});created=1618884473;keyid=\"k\"");
    let asked = asked();
    let keys = [key.unwrap()];
    let found = asked
        .find(&keys, &head, input.as_bytes(), WINDOW)
        .map_err(|failure| failure.what)?;
    let message = Message {
        head: &head,
        status: None,
    };
    let base = found.base(message).map_err(|failure| failure.what)?;
    let base = String::from_utf8(base).unwrap();
    let (lines, _) = base.split_once("\"@signature-params\"").unwrap();
    Ok(lines.trim_end().into())
}

/// RFC 9421 §2.1, §2.2: its examples, and what is refused.
#[test]
fn components() {
    let request: &[(&str, &str)] = &[
        (":method", "POST"),
        (":scheme", "HTTPS"),
        (":authority", "WWW.Example.com:443"),
        (
            ":path",
            "/path?param=value&foo=bar&baz=batman&qux=&var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something&twice=1&twice=2&odd=%FF",
        ),
        ("x-empty-header", ""),
        ("cache-control", "max-age=60"),
        ("cache-control", "   must-revalidate  "),
        ("example-dict", "  a=1,    b=2;x=1;y=2,   c=(a   b   c), d"),
        ("priority", "u=1,   i"),
        ("broken", "a=1,"),
    ];
    let cases: &[(&str, Result<&str, &str>)] = &[
        ("\"@method\"", Ok("POST")),
        ("\"@authority\"", Ok("www.example.com")),
        ("\"@scheme\"", Ok("https")),
        ("\"@path\"", Ok("/path")),
        ("\"@query-param\";name=\"baz\"", Ok("batman")),
        ("\"@query-param\";name=\"qux\"", Ok("")),
        (
            "\"@query-param\";name=\"var\"",
            Ok("this%20is%20a%20big%0Amultiline%20value"),
        ),
        (
            "\"@query-param\";name=\"bar\"",
            Ok("with%20plus%20whitespace"),
        ),
        (
            "\"@query-param\";name=\"fa%C3%A7ade%22%3A%20\"",
            Ok("something"),
        ),
        ("\"@query-param\";name=\"twice\"", Err("component_twice")),
        ("\"@query-param\";name=\"none\"", Err("component_missing")),
        ("\"@query-param\";name=\"odd\"", Err("component_value")),
        ("\"@query-param\"", Err("component_parameter")),
        ("\"x-empty-header\"", Ok("")),
        ("\"cache-control\"", Ok("max-age=60, must-revalidate")),
        (
            "\"cache-control\";bs",
            Ok(":bWF4LWFnZT02MA==:, :bXVzdC1yZXZhbGlkYXRl:"),
        ),
        (
            "\"example-dict\"",
            Ok("a=1,    b=2;x=1;y=2,   c=(a   b   c), d"),
        ),
        ("\"example-dict\";key=\"a\"", Ok("1")),
        ("\"example-dict\";key=\"d\"", Ok("?1")),
        ("\"example-dict\";key=\"b\"", Ok("2;x=1;y=2")),
        ("\"example-dict\";key=\"c\"", Ok("(a b c)")),
        ("\"example-dict\";key=\"e\"", Err("component_missing")),
        ("\"example-dict\";sf", Err("component_parameter")),
        ("\"priority\";sf", Ok("u=1, i")),
        ("\"priority\";sf;key=\"u\"", Ok("1")),
        ("\"broken\";key=\"a\"", Err("component_value")),
        ("\"priority\";bs;sf", Err("component_parameter")),
        ("\"@method\";req", Err("component_parameter")),
        ("\"priority\";req", Err("component_parameter")),
        ("\"priority\";tr", Err("component_parameter")),
        ("\"priority\";other", Err("component_parameter")),
        ("\"x-none\"", Err("component_missing")),
        ("\"Priority\"", Err("component")),
        ("\"@status\"", Err("component")),
        ("\"@other\"", Err("component")),
        ("\"@signature-params\"", Err("component")),
        ("\"\"", Err("component")),
        ("priority", Err("component")),
        ("\"priority\" \"priority\"", Err("component_twice")),
        (
            "\"priority\";sf;key=\"u\" \"priority\";key=\"u\";sf",
            Err("component_twice"),
        ),
    ];
    for (component, expected) in cases {
        let expected = expected.map(|value| {
            let line = alloc::format!("{component}: {value}");
            String::from(line.trim_end())
        });
        assert_eq!(base_of(request, component), expected, "{component}");
    }
    let root = &[(":path", ""), (":authority", "a:80"), (":scheme", "http")];
    for (component, expected) in [
        ("\"@path\"", "\"@path\": /"),
        ("\"@query\"", "\"@query\": ?"),
        ("\"@authority\"", "\"@authority\": a"),
        ("\"@target-uri\"", "\"@target-uri\": http://a/"),
    ] {
        assert_eq!(base_of(root, component), Ok(expected.into()));
    }
}

/// What stands in the parameters, and what the policy asks.
#[test]
fn parameters() {
    let key = |id: &str| {
        let secret = Secret(b"secret".to_vec());
        Key::new(Some(id.as_bytes().to_vec()), HmacAlgorithm::Sha256, &secret).unwrap()
    };
    let keys = [key("a"), key("b")];
    let mut strict = asked();
    strict.required = alloc::vec![
        Required::Component(b"@method".to_vec()),
        Required::Target,
        Required::Digest,
    ];
    strict.nonce = true;
    strict.tag = Some(b"app".to_vec());
    let good =
        "(\"@method\" \"@target-uri\");created=1618884473;keyid=\"a\";nonce=\"n\";tag=\"app\"";
    type Case = (&'static str, Result<(), (Reason, &'static str)>);
    let cases: &[Case] = &[
        ("s={good}", Ok(())),
        ("s={good};alg=\"hmac-sha256\"", Ok(())),
        ("s={good}, t=();created=1;keyid=\"z\"", Ok(())),
        ("s={good}, t={good};tag=\"other\"", Ok(())),
        ("s={good};expires=1618884473", Ok(())),
        ("s={good};created=1618884173", Ok(())),
        ("s={good};created=1618884773", Ok(())),
        (
            "s={good};created=1618884172",
            Err((Reason::SignatureExpired, "old")),
        ),
        (
            "s={good};created=1618884774",
            Err((Reason::SignatureExpired, "future")),
        ),
        (
            "s={good};expires=1618884472",
            Err((Reason::SignatureExpired, "expires")),
        ),
        (
            "s={good};created=-1",
            Err((Reason::SignatureInvalid, "parameter")),
        ),
        (
            "s={good};created=1618884473.0",
            Err((Reason::SignatureInvalid, "parameter")),
        ),
        (
            "s={good};expires=\"x\"",
            Err((Reason::SignatureInvalid, "parameter")),
        ),
        (
            "s={good};created",
            Err((Reason::SignatureInvalid, "parameter")),
        ),
        (
            "s={good};alg=\"ed25519\"",
            Err((Reason::SignatureInvalid, "alg")),
        ),
        (
            "s={good};alg=\"none\"",
            Err((Reason::SignatureInvalid, "alg")),
        ),
        (
            "s={good};alg=hmac-sha256",
            Err((Reason::SignatureInvalid, "parameter")),
        ),
        (
            "s={good};keyid=\"c\"",
            Err((Reason::SignatureInvalid, "key")),
        ),
        ("s={good};keyid=a", Err((Reason::SignatureInvalid, "key"))),
        (
            "s={good};tag=\"other\"",
            Err((Reason::SignatureInvalid, "key")),
        ),
        (
            "s={good};nonce=\"\"",
            Err((Reason::SignatureInvalid, "nonce")),
        ),
        (
            "s={good}, t={good}",
            Err((Reason::SignatureInvalid, "several")),
        ),
        (
            "s={good}, t={good};keyid=\"b\"",
            Err((Reason::SignatureInvalid, "several")),
        ),
        ("t={good}", Err((Reason::SignatureInvalid, "signature"))),
        ("s=\"text\"", Err((Reason::SignatureInvalid, "input"))),
        ("s={good}, t", Err((Reason::SignatureInvalid, "input"))),
        ("s={good},", Err((Reason::SignatureInvalid, "input"))),
        ("", Err((Reason::SignatureInvalid, "key"))),
        (
            "s=(\"@method\" \"@target-uri\");created=1618884473;keyid=\"a\";tag=\"app\"",
            Err((Reason::SignatureInvalid, "nonce")),
        ),
        (
            "s=(\"@method\" \"@target-uri\");keyid=\"a\";nonce=\"n\";tag=\"app\"",
            Err((Reason::SignatureInvalid, "created")),
        ),
        (
            "s=(\"@method\" \"@authority\" \"@path\");created=1618884473;keyid=\"a\";nonce=\"n\";tag=\"app\"",
            Err((Reason::SignatureInvalid, "required")),
        ),
        (
            "s=(\"@method\" \"@authority\" \"@path\" \"@query\");created=1618884473;keyid=\"a\";nonce=\"n\";tag=\"app\"",
            Ok(()),
        ),
        (
            "s=(\"@method\" \"@authority\" \"@request-target\");created=1618884473;keyid=\"a\";nonce=\"n\";tag=\"app\"",
            Ok(()),
        ),
        (
            "s=(\"@target-uri\");created=1618884473;keyid=\"a\";nonce=\"n\";tag=\"app\"",
            Err((Reason::SignatureInvalid, "required")),
        ),
    ];
    let request = pairs(&[
        (":method", "GET"),
        (":path", "/?q"),
        (":scheme", "https"),
        (":authority", "a"),
        ("signature", "s=:AAAA:"),
    ]);
    for (input, expected) in cases {
        let input = input.replace("{good}", good);
        let head = head(&request);
        let found = strict.find(&keys, &head, input.as_bytes(), WINDOW);
        let verdict = found
            .map(|found| assert!(found.digest))
            .map_err(|failure| (failure.reason, failure.what));
        assert_eq!(verdict, *expected, "{input}");
    }
}

#[test]
fn digests() {
    let cases: &[(&str, Result<(), &str>)] = &[
        (
            "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:",
            Ok(()),
        ),
        (
            "sha-512=:m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==:",
            Ok(()),
        ),
        (
            "md5=:XUFAKrxLKna5cZ2REBfFkg==:, sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:",
            Ok(()),
        ),
        ("md5=:XUFAKrxLKna5cZ2REBfFkg==:", Err("digest_algorithm")),
        (
            "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:, sha-512=:AAAA:",
            Err("digest"),
        ),
        (
            "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCU=:",
            Err("digest"),
        ),
        ("sha-256=LPJN", Err("digest")),
        ("sha-256", Err("digest")),
        ("sha-256=:L:", Err("digest_malformed")),
        ("", Err("digest_algorithm")),
    ];
    for (field, expected) in cases {
        let request = pairs(&[("content-digest", field)]);
        let verdict = digest::check(&head(&request), b"hello").map_err(|failure| failure.what);
        assert_eq!(verdict, *expected, "{field}");
    }
}
