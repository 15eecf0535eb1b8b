//! Keys and sets: every way to be refused, and Wycheproof's decisions.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;

use super::*;
use crate::env::MemoryStore;
use crate::stages::token::jws::verify_compact;
use crate::stages::token::vectors;

pub(super) const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"04N0xi21hshyvBp7I167sbE_bXqyqkAPfefdklMO7wY","y":"UI8exy-C06a7DUnjIdENkxeFtHM4-l_41LqEw9nVgmw"}"#;
const ED: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const OCT: &str = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
/// RFC 7515 A.2.
const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

fn all() -> JwkRules {
    JwkRules {
        algorithms: Algorithm::ALL.to_vec(),
        symmetric: true,
        stronger_hash: false,
    }
}

/// A key with more members.
fn with(key: &str, members: &str) -> String {
    format!("{},{members}}}", key.strip_suffix('}').unwrap())
}

fn rsa(n: &str, e: &str) -> String {
    format!(r#"{{"kty":"RSA","alg":"RS256","n":"{n}","e":"{e}"}}"#)
}

fn encoded(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    base64url::encode(bytes, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn keys_that_are_refused() {
    use JwkError::{
        Algorithm as Alg, Ambiguous, Curve, Encoding, Exponent, KeyId, KeyType, Malformed, Modulus,
        Operations, Point, Private, Roca, Short, Size, Use,
    };
    let n = base64url::decode_vec(RSA_N.as_bytes()).unwrap();
    let even = encoded(&[&n[..255], &[n[255] & 0xfe]].concat());
    let small = encoded(&[&[0x7f], &n[1..]].concat());
    let large = encoded(&[&[0xc1], &vec![0x11; 1024][..]].concat());
    let cases: Vec<(String, JwkError)> = vec![
        (String::new(), Malformed),
        ("[]".into(), Malformed),
        (r#"{"kty":"EC""#.into(), Malformed),
        ("{}".into(), Malformed),
        (r#"{"kty":1}"#.into(), Malformed),
        (r#"{"kty":"ec"}"#.into(), KeyType),
        (r#"{"kty":"AKP"}"#.into(), KeyType),
        (with(EC, r#""kty":"EC""#), Malformed),
        (with(EC, r#""cr\u0076":"P-256""#), Malformed),
        (with(EC, r#""alg":"ES384""#), Alg),
        (with(EC, r#""alg":"ES521""#), Alg),
        (with(EC, r#""alg":"HS256""#), Alg),
        (with(EC, r#""alg":"ECDH-ES""#), Alg),
        (with(EC, r#""alg":"es256""#), Alg),
        (with(EC, r#""alg":null"#), Malformed),
        (with(EC, r#""use":"enc""#), Use),
        (with(EC, r#""use":"SIG""#), Use),
        (with(EC, r#""use":["sig"]"#), Malformed),
        (with(EC, r#""key_ops":[]"#), Operations),
        (with(EC, r#""key_ops":["sign"]"#), Operations),
        (with(EC, r#""key_ops":["verify","verify"]"#), Operations),
        (with(EC, r#""key_ops":"verify""#), Malformed),
        (with(EC, r#""use":"sig","key_ops":["encrypt"]"#), Operations),
        (with(EC, r#""kid":7"#), Malformed),
        (with(EC, &format!(r#""kid":"{}""#, "k".repeat(257))), KeyId),
        (with(EC, r#""d":"AA""#), Private),
        (with(ED, r#""d":"AA""#), Private),
        (with(&rsa(RSA_N, "AQAB"), r#""d":"AA""#), Private),
        (with(&rsa(RSA_N, "AQAB"), r#""oth":[]"#), Private),
        (EC.replace("P-256", "P-384"), Encoding),
        (EC.replace("P-256", "secp256k1"), Curve),
        (EC.replace("gmw\"", "gnw\""), Point),
        (EC.replace("gmw\"", "gmx\""), Encoding),
        (EC.replace("gmw\"", "gmw=\""), Encoding),
        (EC.replace("\"UI8", "\"AFCP"), Encoding),
        (
            EC.replace(
                "04N0xi21hshyvBp7I167sbE_bXqyqkAPfefdklMO7wY",
                &"A".repeat(43),
            )
            .replace(
                "UI8exy-C06a7DUnjIdENkxeFtHM4-l_41LqEw9nVgmw",
                &"A".repeat(43),
            ),
            Point,
        ),
        (ED.replace("Ed25519", "X25519"), Curve),
        (ED.replace("Ed25519", "Ed448"), Curve),
        (ED.replace("11qY", "11q"), Encoding),
        // The neutral element, a point of order 8, the same y unreduced, and y = p - 1.
        (
            r#"{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#
                .into(),
            Point,
        ),
        (
            r#"{"kty":"OKP","crv":"Ed25519","x":"JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU"}"#
                .into(),
            Point,
        ),
        (
            format!(
                r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#,
                encoded(&[&[0xee][..], &[0xff; 30], &[0x7f]].concat())
            ),
            Point,
        ),
        (
            format!(
                r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#,
                encoded(&[&[0xec][..], &[0xff; 30], &[0x7f]].concat())
            ),
            Point,
        ),
        (rsa(RSA_N, "AQ"), Exponent),
        (rsa(RSA_N, "AQAA"), Exponent),
        (rsa(RSA_N, "Ag"), Exponent),
        (rsa(RSA_N, "AgAAAAE"), Exponent),
        (rsa(RSA_N, ""), Encoding),
        (rsa(RSA_N, "AAEAAQ"), Encoding),
        (rsa(&format!("AA{RSA_N}"), "AQAB"), Encoding),
        (rsa(&even, "AQAB"), Modulus),
        (rsa(&small, "AQAB"), Modulus),
        (rsa(&large, "AQAB"), Modulus),
        (rsa("rJBI", "AQAB"), Modulus),
        (
            rsa(
                "AanFpofbj7KjD4Lf-N2hVMKR7yewSyXhhbirIMTGpfYEhZ_lnt5UoK98DnKIgArXGTu3MaW_HhFw16HGaTDUHqPrId7fe4r11CqRw09yBFuW79V8sYIwHdzCaWflUI6auImYbVfoN9_nD5n8N8SY9DwXw7mwZM9wREPXoDPgOoIWl6q_MPsp7n0zs3Z5ZaiQWOOzl1S9OhwAfSiiOwz6efnXEaxuTEtPd7BjSx7NaFka8Dx9U7YqXy2RFj1O9PjyaDGuRh7YXsX3iMUSP_wSyHQg_c_qHRtKUsNSGCT7OZg0hzm2KphtjnayKJvC64vAbROBR4Ubg6Bxg9IQVZ-QYyE",
                "AQAB",
            ),
            Roca,
        ),
        (
            rsa(RSA_N, "AQAB").replace(r#""alg":"RS256","#, ""),
            Ambiguous,
        ),
        (with(OCT, r#""alg":"A256GCM""#), Alg),
        (with(OCT, r#""alg":"ES256""#), Alg),
        (r#"{"kty":"oct","k":"AyM","alg":"HS256"}"#.into(), Short),
        (r#"{"kty":"oct","k":"","alg":"HS512"}"#.into(), Short),
        (r#"{"kty":"oct","alg":"HS256"}"#.into(), Malformed),
        (
            with(EC, &format!(r#""x5c":["{}"]"#, "A".repeat(16 * 1024))),
            Size,
        ),
    ];
    for (text, expected) in cases {
        let read = Key::from_jwk(text.as_bytes(), &all());
        assert_eq!(read.err(), Some(expected), "{text}");
    }
    let public = JwkRules::public(vec![Algorithm::Hs256, Algorithm::Es256]);
    let read = |text: &str| Key::from_jwk(text.as_bytes(), &public).err();
    assert_eq!(
        read(&with(OCT, r#""alg":"HS256""#)),
        Some(JwkError::Symmetric)
    );
    assert_eq!(read(ED), Some(JwkError::NotPermitted));
    assert_eq!(read(&rsa(RSA_N, "AQAB")), Some(JwkError::NotPermitted));
}

#[test]
fn keys_that_are_taken() {
    let cases = [
        (EC.to_string(), Algorithm::Es256),
        (
            with(EC, r#""alg":"ES256","use":"sig","key_ops":["verify"]"#),
            Algorithm::Es256,
        ),
        // Certificates are not looked at, whatever they are; nor are members of others.
        (
            with(
                EC,
                r#""x5c":7,"x5t":"x","x5u":"http://x","x5t#S256":null,"ext":true"#,
            ),
            Algorithm::Es256,
        ),
        (ED.to_string(), Algorithm::EdDsa),
        (with(OCT, r#""alg":"HS512""#), Algorithm::Hs512),
        (rsa(RSA_N, "AQAB"), Algorithm::Rs256),
        (rsa(RSA_N, "Aw"), Algorithm::Rs256),
        (
            rsa(RSA_N, "AQAB").replace("RS256", "PS512"),
            Algorithm::Ps512,
        ),
    ];
    for (text, algorithm) in cases {
        let key = Key::from_jwk(text.as_bytes(), &all()).unwrap_or_else(|e| panic!("{e:?} {text}"));
        assert_eq!(key.algorithm(), algorithm);
        assert_eq!(key.id(), None);
    }
    let kid = "k".repeat(256);
    let key = Key::from_jwk(with(EC, &format!(r#""kid":"{kid}""#)).as_bytes(), &all()).unwrap();
    assert_eq!(key.id(), Some(kid.as_bytes()));
}

fn names(rules: &JwkRules, set: &str) -> Result<Vec<&'static str>, JwkError> {
    let set = KeySet::parse(set.as_bytes(), rules)?;
    Ok(set
        .keys()
        .iter()
        .map(|key| key.algorithm().name())
        .collect())
}

#[test]
fn one_key_for_each_algorithm_that_fits() {
    let set = |key: &str| format!(r#"{{"keys":[{key}]}}"#);
    let plain = rsa(RSA_N, "AQAB").replace(r#""alg":"RS256","#, "");
    let six = names(&all(), &set(&plain)).unwrap();
    assert_eq!(six, ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]);
    let some = JwkRules::public(vec![Algorithm::Ps256, Algorithm::Es256, Algorithm::Rs512]);
    assert_eq!(names(&some, &set(&plain)).unwrap(), ["RS512", "PS256"]);
    assert_eq!(
        names(&some, &set(&rsa(RSA_N, "AQAB"))),
        Err(JwkError::Unusable)
    );
    // Without a list a key must say which it means; a curve does.
    let open = JwkRules::public(Vec::new());
    assert_eq!(
        Key::from_jwk(plain.as_bytes(), &open).err(),
        Some(JwkError::Ambiguous)
    );
    assert_eq!(names(&open, &set(EC)).unwrap(), ["ES256"]);
    assert_eq!(names(&open, &set(&rsa(RSA_N, "AQAB"))).unwrap(), ["RS256"]);
    let stronger = JwkRules {
        stronger_hash: true,
        ..all()
    };
    let named = rsa(RSA_N, "AQAB").replace("RS256", "PS384");
    assert_eq!(names(&stronger, &set(&named)).unwrap(), ["PS384", "PS512"]);
    assert_eq!(names(&all(), &set(&named)).unwrap(), ["PS384"]);
    let secret = with(OCT, r#""alg":"HS256""#);
    assert_eq!(names(&stronger, &set(&secret)).unwrap(), ["HS256"]);
    let short = format!(r#"{{"kty":"oct","k":"{}"}}"#, encoded(&[7; 48]));
    assert_eq!(names(&all(), &set(&short)).unwrap(), ["HS256", "HS384"]);
}

#[test]
fn sets() {
    use JwkError::{
        DuplicateKeyId, Encoding, KeyType, Malformed, Mixed, NotPermitted, Symmetric, Unusable, Use,
    };
    let rules = JwkRules::public(vec![Algorithm::Es256, Algorithm::EdDsa]);
    let skipped = |set: &str| {
        KeySet::read(set.as_bytes(), &rules).map(|set| {
            let skipped = set
                .skipped()
                .iter()
                .map(|it| (it.index, it.error))
                .collect::<Vec<_>>();
            (set.keys().len(), skipped)
        })
    };
    let mixed = format!(
        r#"{{"keys":[{EC},{{"kty":"x"}},{OCT},{},{ED},3],"more":1}}"#,
        rsa(RSA_N, "AQAB")
    );
    let (used, left_out) = skipped(&mixed).unwrap();
    assert_eq!(used, 2);
    assert_eq!(
        left_out,
        [
            (1, KeyType),
            (2, Symmetric),
            (3, NotPermitted),
            (5, Malformed)
        ]
    );
    // A kid names one key of an algorithm; another algorithm may share it.
    let twice = format!(
        r#"{{"keys":[{a},{b},{a},{EC},{EC}]}}"#,
        a = with(EC, r#""kid":"k""#),
        b = with(ED, r#""kid":"k""#)
    );
    let (used, left_out) = skipped(&twice).unwrap();
    assert_eq!(
        (used, left_out),
        (3, vec![(0, DuplicateKeyId), (2, DuplicateKeyId)])
    );
    // So does a broken key that names it; one for another purpose does not.
    for (other, kept) in [(r#""x":"!""#, 0), (r#""use":"enc""#, 1)] {
        let key = with(EC, r#""kid":"k""#);
        let other = with(r#"{"kty":"EC","crv":"P-256","y":"AA","kid":"k"}"#, other);
        let (used, left_out) = skipped(&format!(r#"{{"keys":[{key},{other}]}}"#)).unwrap();
        let error = if kept == 1 { Use } else { Encoding };
        assert_eq!((used, left_out[0]), (kept, (1, error)));
    }
    for (set, error) in [
        ("", Malformed),
        ("[]", Malformed),
        ("{}", Malformed),
        (r#"{"keys":{}}"#, Malformed),
        (r#"{"keys":[],"keys":[]}"#, Malformed),
        (r#"{"keys":[]"#, Malformed),
        (r#"{"keys":[]}"#, Unusable),
        (r#"{"keys":[{"kty":"x"}]}"#, Unusable),
    ] {
        assert_eq!(names(&rules, set), Err(error), "{set}");
    }
    let both = format!(r#"{{"keys":[{OCT},{EC}]}}"#);
    assert_eq!(names(&all(), &both), Err(Mixed));
    assert_eq!(
        names(&rules, &both).unwrap(),
        ["ES256"],
        "the secret is left out"
    );
}

#[test]
fn caps() {
    let rules = JwkRules::public(vec![Algorithm::Es256]);
    let set = |count: usize| format!(r#"{{"keys":[{}]}}"#, vec![EC; count].join(","));
    assert_eq!(names(&rules, &set(MAX_KEYS)).unwrap().len(), MAX_KEYS);
    assert_eq!(names(&rules, &set(MAX_KEYS + 1)), Err(JwkError::Count));
    let padded = |length: usize| {
        let set = set(1);
        let blanks = " ".repeat(length - set.len());
        format!("{set}{blanks}")
    };
    assert!(names(&rules, &padded(MAX_SET_BYTES)).is_ok());
    assert_eq!(
        names(&rules, &padded(MAX_SET_BYTES + 1)),
        Err(JwkError::Size)
    );
    let room = MAX_KEY_BYTES - with(EC, r#""x5u":"""#).len();
    let long = |length| with(EC, &format!(r#""x5u":"{}""#, "a".repeat(length)));
    assert!(Key::from_jwk(long(room).as_bytes(), &rules).is_ok());
    assert_eq!(
        Key::from_jwk(long(room + 1).as_bytes(), &rules).err(),
        Some(JwkError::Size)
    );
    let members = |count: usize| {
        let more: Vec<String> = (0..count).map(|i| format!(r#""m{i}":0"#)).collect();
        with(EC, &more.join(","))
    };
    assert!(Key::from_jwk(members(28).as_bytes(), &rules).is_ok());
    assert_eq!(
        Key::from_jwk(members(29).as_bytes(), &rules).err(),
        Some(JwkError::Malformed)
    );
}

/// Every cut and many changed bytes of a set: an answer, never a panic.
#[test]
fn hostile_bytes() {
    let set = format!(r#"{{"keys":[{EC},{ED},{}]}}"#, rsa(RSA_N, "AQAB"));
    for cut in 0..set.len() {
        let _ = KeySet::read(&set.as_bytes()[..cut], &all());
    }
    let mut other = set.into_bytes();
    for place in 0..other.len() {
        for byte in [0, b'"', b'A'] {
            let old = core::mem::replace(&mut other[place], byte);
            let _ = KeySet::read(&other, &all());
            other[place] = old;
        }
    }
}

/// Every row of Wycheproof's key sets is decided as the file says: see the table in `filter/README.md`.
#[test]
fn wycheproof_sets() {
    let Some(file) = vectors("wycheproof_json_web_key_test.json") else {
        return;
    };
    let mut rows = 0;
    for group in file["testGroups"].as_array().unwrap() {
        let set = if group["public"].is_null() {
            &group["private"]
        } else {
            &group["public"]
        };
        let keys = KeySet::parse(set.to_string().as_bytes(), &all());
        for case in group["tests"].as_array().unwrap() {
            let token = case["jws"].as_str().unwrap();
            let verdict = keys.as_ref().map_err(|error| error.word()).and_then(|set| {
                verify_compact(set.keys(), &mut MemoryStore::default(), token.as_bytes())
                    .map_err(|error| error.word())
            });
            assert_eq!(
                verdict.is_ok(),
                case["result"] == "valid",
                "{case}: {verdict:?}"
            );
            rows += 1;
        }
    }
    assert_eq!(rows, 26);
}

/// A private key is refused with its set's other keys left as they are: the private sets of the same file.
#[test]
fn wycheproof_private_sets() {
    let Some(file) = vectors("wycheproof_json_web_key_test.json") else {
        return;
    };
    for group in file["testGroups"].as_array().unwrap() {
        if group["public"].is_null() {
            continue;
        }
        let set = KeySet::read(group["private"].to_string().as_bytes(), &all()).unwrap();
        assert!(set.keys().is_empty(), "{group}");
    }
}
