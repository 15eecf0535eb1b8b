//! Names and properties of the signature algorithms of JOSE (RFC 7518 §3.1, RFC 8037 §3.1).
//!
//! **Invariant:** a closed list. `none` is not in it, and what is not in it is never verified: an unknown name has no
//! key. Each public algorithm says which key it needs (type, curve), so that no key serves two families.

use crate::env::HashName;

/// A signature algorithm; a [`super::Key`] carries one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA PKCS#1 v1.5 with SHA-256.
    Rs256,
    /// RSA PKCS#1 v1.5 with SHA-384.
    Rs384,
    /// RSA PKCS#1 v1.5 with SHA-512.
    Rs512,
    /// RSA PSS with SHA-256, MGF1 with it, a salt of its length.
    Ps256,
    /// RSA PSS with SHA-384.
    Ps384,
    /// RSA PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// Ed25519. Ed448, the other curve of this name, is not supported.
    EdDsa,
}

/// What a key must be to serve an algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// A shared secret.
    Hmac,
    /// An RSA key, PKCS#1 v1.5 padding.
    RsaPkcs1,
    /// An RSA key, PSS padding.
    RsaPss,
    /// A point on P-256.
    P256,
    /// A point on P-384.
    P384,
    /// A point on P-521.
    P521,
    /// A point on the Edwards curve.
    Ed25519,
}

impl Algorithm {
    /// All of them, in the order of the standard.
    pub const ALL: [Self; 13] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// Its `alg` name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of this name; names are case-sensitive (RFC 7515 §4.1.1).
    #[must_use]
    pub const fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"HS256" => Self::Hs256,
            b"HS384" => Self::Hs384,
            b"HS512" => Self::Hs512,
            b"RS256" => Self::Rs256,
            b"RS384" => Self::Rs384,
            b"RS512" => Self::Rs512,
            b"PS256" => Self::Ps256,
            b"PS384" => Self::Ps384,
            b"PS512" => Self::Ps512,
            b"ES256" => Self::Es256,
            b"ES384" => Self::Es384,
            b"ES512" => Self::Es512,
            b"EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }

    /// What a key must be to serve it.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::Hs256 | Self::Hs384 | Self::Hs512 => Family::Hmac,
            Self::Rs256 | Self::Rs384 | Self::Rs512 => Family::RsaPkcs1,
            Self::Ps256 | Self::Ps384 | Self::Ps512 => Family::RsaPss,
            Self::Es256 => Family::P256,
            Self::Es384 => Family::P384,
            Self::Es512 => Family::P521,
            Self::EdDsa => Family::Ed25519,
        }
    }

    /// Its hash; for EdDSA the one inside (it is not a pre-hash).
    #[must_use]
    pub const fn hash(self) -> HashName {
        match self {
            Self::Hs256 | Self::Rs256 | Self::Ps256 | Self::Es256 => HashName::Sha256,
            Self::Hs384 | Self::Rs384 | Self::Ps384 | Self::Es384 => HashName::Sha384,
            Self::Hs512 | Self::Rs512 | Self::Ps512 | Self::Es512 | Self::EdDsa => HashName::Sha512,
        }
    }

    /// Whether its key is a secret that signs as well as it verifies.
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        matches!(self.family(), Family::Hmac)
    }

    /// Bits of its hash: of two algorithms of one family the larger is the stronger.
    #[must_use]
    pub(super) const fn hash_bits(self) -> u16 {
        match self.hash() {
            HashName::Sha256 => 256,
            HashName::Sha384 => 384,
            HashName::Sha512 => 512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_written_only() {
        for algorithm in Algorithm::ALL {
            let name = algorithm.name();
            assert_eq!(Algorithm::from_name(name.as_bytes()), Some(algorithm));
            for other in [
                name.to_lowercase(),
                std::format!("{name} "),
                name.replacen(char::is_alphabetic, "", 1),
            ] {
                assert_eq!(Algorithm::from_name(other.as_bytes()), None, "{other}");
            }
        }
        for name in [
            "none", "None", "", "ES256K", "ES521", "Ed448", "RSA1_5", "A256GCM", "HS1",
        ] {
            assert_eq!(Algorithm::from_name(name.as_bytes()), None, "{name}");
        }
    }
}
