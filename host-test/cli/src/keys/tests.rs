//! Known answers from standards, and every key through every form.

use serde_json::Value;

use super::*;

/// RFC 8037 appendix A.2 to A.4.
#[test]
fn ed25519_of_rfc_8037() {
    let jwk = br#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let key = Described::read(jwk).expect("a JWK");
    assert_eq!(
        key.thumbprint().as_deref(),
        Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")
    );
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = key
        .private
        .expect("d")
        .sign("EdDSA", message)
        .expect("it signs");
    assert_eq!(
        base64url(&signature),
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
}

/// RFC 7638 §3.1.
#[test]
fn thumbprint_of_rfc_7638() {
    let jwk = br#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
    let key = Described::read(jwk).expect("a JWK");
    assert_eq!(key.id.as_deref(), Some("2011-04-29"));
    assert!(key.private.is_none());
    assert_eq!(
        key.thumbprint().as_deref(),
        Some("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")
    );
}

#[test]
fn every_key_goes_through_jwk_and_pem() {
    for algorithm in ["RS256", "ES256", "ES384", "ES512", "EdDSA"] {
        let mut key = Described::from(Private::generate(algorithm, 2048).expect(algorithm));
        key.id = Some("k".to_owned());
        key.algorithm = Some(algorithm.to_owned());
        let private = key.private.clone().expect("made");
        assert!(!format!("{private:?}").contains("SecretKey"), "{private:?}");
        let jwk = key.private_jwk().expect("JWK");
        let again = Described::read(jwk.to_string().as_bytes()).expect("read");
        assert_eq!(again.private_jwk().expect("JWK"), jwk, "{algorithm}");
        let public = key.public_jwk().expect("JWK");
        for hidden in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(public.get(hidden).is_none(), "{algorithm}: {hidden}");
        }
        let from_pem = Described::read(private.pem().expect("PEM").as_bytes()).expect("read");
        assert_eq!(from_pem.thumbprint(), key.thumbprint(), "{algorithm}");
        let public_pem = key.public.as_ref().expect("public").pem().expect("PEM");
        let from_pem = Described::read(public_pem.as_bytes()).expect("read");
        assert!(from_pem.private.is_none());
        assert_eq!(from_pem.thumbprint(), key.thumbprint(), "{algorithm}");
        for name in ALGORITHMS {
            let fits = private.algorithms().contains(&name);
            assert_eq!(private.sign(name, b"x").is_ok(), fits, "{algorithm} {name}");
        }
        // A private member of another key is told.
        let mut other = jwk.clone();
        let stranger = Private::generate(algorithm, 2048).expect(algorithm);
        let stranger = Described::from(stranger).private_jwk().expect("JWK");
        other["d"] = stranger["d"].clone();
        let error = Described::read(other.to_string().as_bytes()).expect_err("a mixed key");
        let d = stranger["d"].as_str().unwrap_or_default();
        assert!(!format!("{error:#}").contains(d), "{error:#}");
    }
}

#[test]
fn what_is_no_key_says_so() {
    for (text, said) in [
        ("", "neither a PEM nor JSON"),
        ("{}", "`kty`"),
        (
            r#"{"kty":"EC","crv":"secp256k1","x":"","y":""}"#,
            "secp256k1",
        ),
        (
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
            "no point",
        ),
        (r#"{"kty":"oct"}"#, "no `k`"),
        (r#"{"kty":"oct","k":"a+b="}"#, "base64url"),
        (r#"{"keys":[]}"#, "no keys"),
        ("-----BEGIN CERTIFICATE-----\n", "certificate"),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "encrypted"),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "cannot be read",
        ),
    ] {
        let error = Described::read(text.as_bytes()).expect_err(text);
        assert!(format!("{error:#}").contains(said), "{text}: {error:#}");
    }
    assert!(Private::generate("ES999", 2048).is_err());
    assert!(Private::generate("RS256", 1024).is_err());
    let key: Value = Described::from(Private::generate("HS256", 0).expect("HS256"))
        .private_jwk()
        .expect("JWK");
    assert_eq!(key["kty"], "oct");
}
