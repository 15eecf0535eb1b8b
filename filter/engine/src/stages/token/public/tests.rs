//! What is checked before anybody verifies, who verifies, and mutations of good signatures.

use alloc::string::ToString as _;

use super::*;
use crate::env::{Cas, CounterStore, StoreError, Worker};
use crate::stages::token::jwk::JwkRules;
use crate::stages::token::{Key, base64url, vectors};

/// A host that answers what it is told to, and keeps what it was asked.
struct Host {
    answer: HostVerdict,
    asked: Vec<(HashName, Vec<u8>, Vec<u8>)>,
    worker: Worker,
}

impl Host {
    fn answering(answer: HostVerdict) -> Self {
        Self {
            answer,
            asked: Vec::new(),
            worker: Worker::default(),
        }
    }
}

impl CounterStore for Host {
    fn load(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<Cas, StoreError> {
        Err(StoreError::Failed)
    }

    fn compare_and_swap(&mut self, _: &[u8], _: &[u8], _: Cas) -> Result<(), StoreError> {
        Err(StoreError::Failed)
    }
}

impl Outside for Host {
    fn worker(&mut self) -> &mut Worker {
        &mut self.worker
    }

    fn verify_signature(
        &mut self,
        hash: HashName,
        key: &[u8],
        _: &[u8],
        signature: &[u8],
    ) -> HostVerdict {
        self.asked.push((hash, key.to_vec(), signature.to_vec()));
        self.answer
    }
}

/// A key with a message and its signature, of Wycheproof's valid tokens; one for each algorithm there.
struct Signed {
    key: Key,
    message: Vec<u8>,
    signature: Vec<u8>,
}

/// RFC 8037 A.4.
const ED_KEY: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const ED_MESSAGE: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
const ED_SIGNATURE: &str =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

fn signed() -> Vec<Signed> {
    let mut found: Vec<Signed> = Vec::new();
    let decode = |text: &str| base64url::decode_vec(text.as_bytes()).unwrap();
    let ed_key = Key::from_jwk(ED_KEY.as_bytes(), &JwkRules::public(Vec::new())).unwrap();
    found.push(Signed {
        key: ed_key,
        message: ED_MESSAGE.into(),
        signature: decode(ED_SIGNATURE),
    });
    let Some(file) = vectors("wycheproof_json_web_signature_test.json") else {
        return found;
    };
    for group in file["testGroups"].as_array().unwrap() {
        let rules = JwkRules::public(Vec::new());
        let Ok(key) = Key::from_jwk(group["public"].to_string().as_bytes(), &rules) else {
            continue;
        };
        for case in group["tests"].as_array().unwrap() {
            let (message, signature) = match case["jws"].as_str().unwrap().rsplit_once('.') {
                Some(parts) if case["result"] == "valid" => parts,
                _ => continue,
            };
            let signature = decode(signature);
            let new = found.iter().all(|it| it.key.algorithm() != key.algorithm());
            if new
                && key.verify(
                    &mut Host::answering(HostVerdict::Absent),
                    message.as_bytes(),
                    &signature,
                )
            {
                found.push(Signed {
                    key: key.clone(),
                    message: message.into(),
                    signature,
                });
            }
        }
    }
    assert_eq!(found.len(), 9, "EdDSA, ES256, ES512 and six of RSA");
    found
}

const fn is_the_hosts(algorithm: Algorithm) -> bool {
    !matches!(
        algorithm.family(),
        Family::RsaPss | Family::Ed25519 | Family::Hmac
    )
}

/// The host's word counts where it is asked; where it has none, ours does. PSS and EdDSA are never asked.
#[test]
fn who_verifies() {
    for Signed {
        key,
        message,
        signature,
    } in signed()
    {
        let algorithm = key.algorithm();
        let asked = usize::from(is_the_hosts(algorithm));
        for (answer, expected) in [
            (HostVerdict::Valid, true),
            (HostVerdict::Invalid, asked == 0),
            (HostVerdict::Absent, true),
        ] {
            let mut host = Host::answering(answer);
            let verdict = key.verify(&mut host, &message, &signature);
            assert_eq!(verdict, expected, "{} {answer:?}", algorithm.name());
            assert_eq!(host.asked.len(), asked, "{}", algorithm.name());
            for (hash, spki, given) in host.asked {
                assert_eq!(hash, algorithm.hash());
                assert!(Spki::read(&spki).is_some());
                if algorithm.family() == Family::RsaPkcs1 {
                    assert_eq!(given, signature);
                } else {
                    assert_eq!(given, der::ecdsa(&signature));
                }
            }
        }
    }
}

/// What RustCrypto refuses for its form never reaches a host, whatever it would say.
#[test]
fn the_host_is_not_asked_what_we_refuse() {
    for Signed {
        key,
        message,
        signature,
    } in signed()
    {
        let name = key.algorithm().name();
        let half = signature.len() / 2;
        let (r, s) = signature.split_at(half);
        let zeros = alloc::vec![0; half];
        let mut forms = alloc::vec![
            Vec::new(),
            signature[1..].to_vec(),
            signature[..signature.len() - 1].to_vec(),
            [signature.as_slice(), &[0]].concat(),
            [&[0], signature.as_slice()].concat(),
            alloc::vec![0xff; signature.len()],
            der::ecdsa(&signature),
        ];
        let order: Option<&[u8]> = match key.algorithm().family() {
            Family::P256 => Some(&P256_ORDER),
            Family::P384 => Some(&P384_ORDER),
            Family::P521 => Some(&P521_ORDER),
            _ => None,
        };
        if let Some(order) = order {
            forms.extend([
                [&zeros, s].concat(),
                [r, &zeros].concat(),
                [order, s].concat(),
                [r, order].concat(),
            ]);
        }
        for form in forms {
            let mut host = Host::answering(HostVerdict::Valid);
            assert!(!key.verify(&mut host, &message, &form), "{name} {form:x?}");
            assert!(host.asked.is_empty(), "{name} {form:x?}");
        }
    }
}

/// The orders are those of the curves: one less is a number the verifier reads, the order itself is not.
#[test]
fn orders() {
    let less = |order: &[u8]| {
        let mut less = order.to_vec();
        *less.last_mut().unwrap() -= 1;
        less
    };
    let p256 = |n: &[u8]| p256::ecdsa::Signature::from_slice(&[n, n].concat()).is_ok();
    let p384 = |n: &[u8]| p384::ecdsa::Signature::from_slice(&[n, n].concat()).is_ok();
    let p521 = |n: &[u8]| p521::ecdsa::Signature::from_slice(&[n, n].concat()).is_ok();
    assert!(p256(&less(&P256_ORDER)) && !p256(&P256_ORDER));
    assert!(p384(&less(&P384_ORDER)) && !p384(&P384_ORDER));
    assert!(p521(&less(&P521_ORDER)) && !p521(&P521_ORDER));
}

/// A high `s` is the same signature with n - s; JOSE does not forbid it.
#[test]
fn a_high_s_is_accepted() {
    let all = signed();
    let Some(es) = all.iter().find(|it| it.key.algorithm() == Algorithm::Es256) else {
        return;
    };
    let mut other = es.signature.clone();
    let mut borrow = 0_i32;
    for at in (0..32).rev() {
        let digit = i32::from(P256_ORDER[at]) - i32::from(es.signature[32 + at]) - borrow;
        borrow = i32::from(digit < 0);
        other[32 + at] = u8::try_from(digit & 0xff).unwrap();
    }
    assert_ne!(other, es.signature);
    let mut host = Host::answering(HostVerdict::Absent);
    assert!(es.key.verify(&mut host, &es.message, &other));
}

/// xorshift, seeded: the same mutations on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap();
        usize::try_from(self.next().checked_rem(bound).unwrap()).unwrap()
    }

    fn mutate(&mut self, bytes: &mut [u8]) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            let byte = &mut bytes[at];
            match self.below(5) {
                0 => *byte ^= 1 << (self.next() & 7),
                1 => *byte = 0,
                2 => *byte = 0xff,
                3 => *byte = byte.wrapping_add(1),
                _ => *byte = u8::try_from(self.next() & 0xff).unwrap(),
            }
        }
        if self.below(16) == 0 {
            let start = self.below(bytes.len());
            let fill = if self.below(2) == 0 { 0 } else { 0xff };
            bytes[start..].fill(fill);
        }
    }
}

/// Mutations of each: enough to reach odd numbers, few enough for every run. `PALISADE_MUTATIONS` sets more.
const MUTATIONS: usize = 300;

/// Changed signatures under good keys, through RustCrypto: refused, and never a panic.
#[test]
fn mutated_signatures_are_refused() {
    let mutations = std::env::var("PALISADE_MUTATIONS")
        .map_or(MUTATIONS, |text| text.parse().expect("a number"));
    for (
        seed,
        Signed {
            key,
            message,
            signature,
        },
    ) in (1..).zip(signed())
    {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        for _ in 0..mutations {
            let mut other = signature.clone();
            random.mutate(&mut other);
            let mut host = Host::answering(HostVerdict::Absent);
            let verdict = key.verify(&mut host, &message, &other);
            assert_eq!(
                verdict,
                other == signature,
                "{} {other:x?}",
                key.algorithm().name()
            );
        }
    }
}

/// Changed public keys: refused when read, or a key under which nothing of the sort verifies; never a panic.
#[test]
fn mutated_keys_verify_nothing() {
    let mutations = std::env::var("PALISADE_MUTATIONS")
        .map_or(MUTATIONS, |text| text.parse().expect("a number"));
    for (
        seed,
        Signed {
            key,
            message,
            signature,
        },
    ) in (1..).zip(signed())
    {
        let mut host = Host::answering(HostVerdict::Absent);
        let spki = key.spki().unwrap().to_vec();
        let mut random = Random(0xd1b5_4a32_d192_ed03_u64.wrapping_mul(seed));
        let mut read = 0;
        for _ in 0..mutations / 4 {
            let mut other = spki.clone();
            let from = if spki.len() > 200 { 33 } else { 12 };
            random.mutate(&mut other[from..]);
            let Ok(other_key) = Key::from_spki(&other, key.algorithm(), None) else {
                continue;
            };
            read += 1;
            let verdict = other_key.verify(&mut host, &message, &signature);
            assert_eq!(verdict, other == spki, "{other:x?}");
        }
        assert!(
            read > 0 || spki.len() < 200,
            "a changed modulus is a modulus half the time"
        );
    }
}
