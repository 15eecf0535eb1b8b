//! The example of RFC 9449 §7.1, and proofs that are wrong in one thing each.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};

use super::*;
use crate::env::{Connection, MemoryStore};
use crate::marks::Marks;
use crate::request::RequestHead;
use crate::units::{Monotonic, UnixTime};

const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
const THUMBPRINT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
const ISSUED: u64 = 1_562_262_618;
const PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";

struct Case<'a> {
    method: &'a str,
    authority: &'a str,
    target: &'a str,
    token: &'a str,
    thumbprint: &'a str,
    now: u64,
    proofs: Vec<&'a str>,
}

impl<'a> Case<'a> {
    fn of(proof: &'a str) -> Self {
        Self {
            method: "GET",
            authority: "resource.example.org",
            target: "/protectedresource",
            token: TOKEN,
            thumbprint: THUMBPRINT,
            now: ISSUED,
            proofs: alloc::vec![proof],
        }
    }

    fn judge_in(&self, store: &mut MemoryStore) -> Result<(), &'static str> {
        let mut pairs = alloc::vec![
            (":method", self.method),
            (":scheme", "https"),
            (":authority", self.authority),
            (":path", self.target),
        ];
        pairs.extend(self.proofs.iter().map(|proof| ("dpop", *proof)));
        let head = RequestHead::decode(
            pairs
                .iter()
                .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
        );
        let ask = Ask {
            head: &head,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            connection: Connection::default(),
            body: None,
            waited: &[],
            marks: &Marks::default(),
            rehearses: false,
        };
        let mut env = Env {
            now: Monotonic(0),
            wall: UnixTime(self.now),
            counters: store,
        };
        let rules = Dpop {
            required: true,
            window: 60,
            replay: Replay::DenyWhenFull,
        };
        check(
            &rules,
            b"app",
            self.token.as_bytes(),
            self.thumbprint.as_bytes(),
            &ask,
            &mut env,
            &mut Findings::default(),
        )
        .map_err(|failure| {
            assert_eq!(failure.reason, Reason::DpopInvalid);
            failure.what
        })
    }

    fn judge(&self) -> Result<(), &'static str> {
        self.judge_in(&mut MemoryStore::default())
    }
}

#[test]
fn the_example_of_the_standard_once() {
    let mut store = MemoryStore::default();
    assert_eq!(Case::of(PROOF).judge_in(&mut store), Ok(()));
    assert_eq!(Case::of(PROOF).judge_in(&mut store), Err("replayed"));
    let late = Case {
        now: ISSUED + 60,
        ..Case::of(PROOF)
    };
    assert_eq!(late.judge_in(&mut store), Err("replayed"));
}

#[test]
fn another_request() {
    let case = || Case::of(PROOF);
    let other = PROOF.replacen("2oW9", "2oW8", 1);
    let cases: Vec<(Case<'_>, Result<(), &str>)> = alloc::vec![
        (
            Case {
                target: "/protectedresource?a=b",
                ..case()
            },
            Ok(())
        ),
        (
            Case {
                authority: "RESOURCE.example.org:443",
                ..case()
            },
            Ok(())
        ),
        (
            Case {
                now: ISSUED + 60,
                ..case()
            },
            Ok(())
        ),
        (
            Case {
                now: ISSUED - 60,
                ..case()
            },
            Ok(())
        ),
        (
            Case {
                now: ISSUED + 61,
                ..case()
            },
            Err("iat")
        ),
        (
            Case {
                now: ISSUED - 61,
                ..case()
            },
            Err("iat")
        ),
        (
            Case {
                method: "POST",
                ..case()
            },
            Err("htm")
        ),
        (
            Case {
                method: "get",
                ..case()
            },
            Err("htm")
        ),
        (
            Case {
                target: "/protectedresource/",
                ..case()
            },
            Err("htu")
        ),
        (
            Case {
                target: "/Protectedresource",
                ..case()
            },
            Err("htu")
        ),
        (
            Case {
                authority: "resource.example.org:444",
                ..case()
            },
            Err("htu")
        ),
        (
            Case {
                authority: "resource.example.com",
                ..case()
            },
            Err("htu")
        ),
        (
            Case {
                token: "another",
                ..case()
            },
            Err("ath")
        ),
        (
            Case {
                thumbprint: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4M",
                ..case()
            },
            Err("proof_other_key")
        ),
        (
            Case {
                thumbprint: "",
                ..case()
            },
            Err("proof_other_key")
        ),
        (
            Case {
                proofs: Vec::new(),
                ..case()
            },
            Err("proof_count")
        ),
        (
            Case {
                proofs: alloc::vec![PROOF, PROOF],
                ..case()
            },
            Err("proof_count")
        ),
        (Case::of(&other), Err("proof_signature")),
        (Case::of(""), Err("proof_malformed")),
        (Case::of("a.b"), Err("proof_malformed")),
        (Case::of("a.b.c.d.e"), Err("proof_malformed")),
        (Case::of("e30.e30.AA"), Err("proof_type")),
    ];
    for (index, (case, expected)) in cases.iter().enumerate() {
        assert_eq!(case.judge(), *expected, "case {index}");
    }
}

fn encoded(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    base64url::encode(bytes, &mut out);
    String::from_utf8(out).unwrap()
}

/// A proof by a key of ours, and the thumbprint of that key.
fn mint(header: &str, claims: &str) -> (String, String) {
    let key = SigningKey::from_slice(&[7; 32]).unwrap();
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = (encoded(point.x().unwrap()), encoded(point.y().unwrap()));
    let fill = |text: &str| {
        text.replace("{jwk}", r#"{"kty":"EC","crv":"P-256",{xy}}"#)
            .replace("{xy}", &alloc::format!(r#""x":"{x}","y":"{y}""#))
    };
    let signed = alloc::format!(
        "{}.{}",
        encoded(fill(header).as_bytes()),
        encoded(claims.as_bytes())
    );
    let signature: Signature = key.sign(signed.as_bytes());
    let print = alloc::format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    let proof = alloc::format!("{signed}.{}", encoded(&signature.to_bytes()));
    (proof, encoded(&Sha256::digest(print.as_bytes())))
}

const HEADER: &str = r#"{"typ":"dpop+jwt","alg":"ES256","jwk":{jwk}}"#;
const CLAIMS: &str = r#"{"jti":"1","htm":"GET","htu":"https://resource.example.org/protectedresource","iat":1562262618,"ath":"fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"}"#;

#[test]
fn another_proof() {
    let headers = [
        (HEADER.into(), Ok(())),
        (HEADER.replace("dpop+jwt", "JWT"), Err("proof_type")),
        (
            HEADER.replace("\"typ\":\"dpop+jwt\",", ""),
            Err("proof_type"),
        ),
        (HEADER.replace("ES256", "none"), Err("proof_algorithm")),
        (HEADER.replace("ES256", "HS256"), Err("proof_algorithm")),
        (HEADER.replace("ES256", "RS256"), Err("proof_algorithm")),
        (HEADER.replace("ES256", "ES384"), Err("proof_key")),
        (HEADER.replace("ES256", "EdDSA"), Err("proof_key")),
        (HEADER.replace(",\"jwk\":{jwk}", ""), Err("proof_key")),
        (HEADER.replace("{jwk}", "null"), Err("proof_key")),
        (
            HEADER.replace("{jwk}", r#"{"kty":"oct","k":"AAAA"}"#),
            Err("proof_private_key"),
        ),
        (
            HEADER.replace("{jwk}", r#"{"kty":"EC","crv":"P-256",{xy},"d":"AA"}"#),
            Err("proof_private_key"),
        ),
        (
            HEADER.replace("{jwk}", r#"{"kty":"EC","crv":"P-256",{xy},"alg":"ES256"}"#),
            Ok(()),
        ),
        (
            HEADER.replace("{jwk}", r#"{"kty":"EC","crv":"P-256",{xy},"alg":"ES384"}"#),
            Err("proof_key"),
        ),
        (
            HEADER.replace("{jwk}", r#"{"kty":"EC","crv":"P-384",{xy}}"#),
            Err("proof_key"),
        ),
        (
            HEADER.replace(
                "{jwk}",
                r#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#,
            ),
            Err("proof_key"),
        ),
        (
            HEADER.replace("{jwk}", r#"{"kty":"EC","crv":"P-256","crv":"P-256",{xy}}"#),
            Err("proof_key"),
        ),
        (
            HEADER.replace("\"alg\"", "\"crit\":[\"b64\"],\"alg\""),
            Err("proof_extension"),
        ),
        (
            HEADER.replace("\"alg\"", "\"jku\":\"https://evil.example\",\"alg\""),
            Err("proof_extension"),
        ),
        (
            HEADER.replace("\"alg\"", "\"x5c\":[],\"alg\""),
            Err("proof_extension"),
        ),
        (
            HEADER.replace("\"alg\"", "\"typ\":\"dpop+jwt\",\"alg\""),
            Err("proof_malformed"),
        ),
    ];
    for (header, expected) in headers {
        let (proof, thumbprint) = mint(&header, CLAIMS);
        let case = Case {
            thumbprint: &thumbprint,
            ..Case::of(&proof)
        };
        assert_eq!(case.judge(), expected, "{header}");
    }
    let claims = [
        (
            CLAIMS.replace("https://resource", "HTTPS://Resource"),
            Ok(()),
        ),
        (
            CLAIMS.replace("resource\",\"iat", "resource?x#y\",\"iat"),
            Ok(()),
        ),
        (CLAIMS.replace("https://", "http://"), Err("htu")),
        (CLAIMS.replace("https://", "https:"), Err("htu")),
        (CLAIMS.replace("\"htm\":\"GET\",", ""), Err("htm")),
        (
            CLAIMS.replace("\"htm\":\"GET\"", "\"htm\":[\"GET\"]"),
            Err("htm"),
        ),
        (CLAIMS.replace("\"htu\"", "\"hut\""), Err("htu")),
        (CLAIMS.replace("\"iat\"", "\"nbf\""), Err("iat")),
        (CLAIMS.replace("1562262618", "\"1562262618\""), Err("iat")),
        (CLAIMS.replace("1562262618", "-1"), Err("iat")),
        (CLAIMS.replace("\"ath\"", "\"hat\""), Err("ath")),
        (CLAIMS.replace("\"jti\":\"1\",", ""), Err("jti")),
        (CLAIMS.replace("\"jti\":\"1\"", "\"jti\":\"\""), Err("jti")),
        (CLAIMS.replace("\"jti\":\"1\"", "\"jti\":1"), Err("jti")),
        (
            CLAIMS.replace(
                "\"jti\":\"1\"",
                &alloc::format!("\"jti\":\"{}\"", "a".repeat(257)),
            ),
            Err("jti"),
        ),
        (
            CLAIMS.replace("{\"jti\"", "{\"jti\":\"2\",\"jti\""),
            Err("proof_malformed"),
        ),
        ("[]".into(), Err("proof_malformed")),
        (
            alloc::format!("{{\"a\":\"{}\"}}", "a".repeat(4096)),
            Err("proof_size"),
        ),
    ];
    for (claims, expected) in claims {
        let (proof, thumbprint) = mint(HEADER, &claims);
        let case = Case {
            thumbprint: &thumbprint,
            ..Case::of(&proof)
        };
        assert_eq!(case.judge(), expected, "{claims}");
    }
}

/// Keys come from whoever asks: whatever the numbers, there is an answer.
#[test]
fn hostile_keys_never_panic() {
    let mut state = 1_u32;
    let mut bytes = |length: usize| -> Vec<u8> {
        (0..length)
            .map(|place| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let [_, _, random, kind] = state.to_le_bytes();
                match kind & 3 {
                    0 => 0,
                    1 => 0xff,
                    _ if place == 0 => random & 1,
                    _ => random,
                }
            })
            .collect()
    };
    let mut accepted = 0;
    for _ in 0..400 {
        for (algorithm, kind, curve, length) in [
            (Algorithm::Es256, "EC", "P-256", 32),
            (Algorithm::Es384, "EC", "P-384", 48),
            (Algorithm::EdDsa, "OKP", "Ed25519", 32),
        ] {
            let jwk = alloc::format!(
                r#"{{"kty":"{kind}","crv":"{curve}","x":"{}","y":"{}"}}"#,
                encoded(&bytes(length)),
                encoded(&bytes(length))
            );
            if let Ok((key, _)) = key_of(jwk.as_bytes(), algorithm) {
                accepted += 1;
                let signature = bytes(length * 2);
                let outside = &mut MemoryStore::default();
                assert!(!key.verify(algorithm, outside, b"message", &signature));
            }
        }
    }
    assert!(accepted > 0, "some are points of the Edwards curve");
}
