//! `palisade token keygen` and `palisade token jwks`: keys, and the public set of them.
//!
//! **Invariant:** a private key goes into a new file that only its owner can read, or to the terminal when `--print` asks for it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use palisade_cli::keys::{
    ALGORITHMS, Described, Private, Public, RSA_BITS, base64url, random_bytes,
};
use serde_json::{Value, json};

use super::tell;

/// Make a key: for signatures (JWK and PEM), for HMAC, or for sealing the secrets of a policy.
///
/// A key pair goes into four files of --out; an HMAC secret and a Fernet key are printed, as a variable of the environment holds them.
#[derive(Debug, Args)]
pub(super) struct Keygen {
    /// HS256, …, RS256, …, PS256, …, ES256, ES384, ES512, EdDSA, or fernet.
    #[arg(long)]
    algorithm: String,
    /// Key id; absent: the key's thumbprint (RFC 7638), none for a secret.
    #[arg(long)]
    kid: Option<String>,
    /// Folder for the files; they must not be there yet.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the private key instead.
    #[arg(long, conflicts_with = "out")]
    print: bool,
    /// Bits of an RSA key.
    #[arg(long, default_value_t = RSA_BITS)]
    bits: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Print the public JWK set of keys: JWKs, JWK sets and PEMs, public or private.
#[derive(Debug, Args)]
pub(super) struct Jwks {
    /// Key files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Algorithm of RSA keys that name none: a key of a policy has one.
    #[arg(long)]
    algorithm: Option<String>,
}

impl Keygen {
    pub(super) fn run(self) -> Result<ExitCode> {
        if self.algorithm == "fernet" {
            // Fernet's keys have their padding.
            let key = format!("{}=", base64url(&random_bytes(32)?));
            return self.secret(&key, &json!({ "algorithm": "fernet", "key": key }));
        }
        let private = Private::generate(&self.algorithm, self.bits)
            .map_err(|error| anyhow::anyhow!("--algorithm {}: {error:#}", self.algorithm))?;
        let mut key = Described::from(private);
        key.id = self.kid.clone().or_else(|| key.thumbprint());
        key.algorithm = Some(self.algorithm.clone());
        let private = key.private.as_ref().context("a new key")?;
        if let Private::Secret(secret) = private {
            let text = base64url(secret);
            let json = json!({ "algorithm": self.algorithm, "key": text, "encoding": "base64" });
            return self.secret(&text, &json);
        }
        let (jwk, pem) = (key.private_jwk()?, private.pem()?);
        let public_jwk = key.public_jwk()?;
        if self.print {
            let shown = json!({ "private": jwk, "public": public_jwk, "pem": pem });
            tell(self.json, &shown, &format!("{jwk:#}"));
            return Ok(ExitCode::SUCCESS);
        }
        let Some(folder) = &self.out else {
            bail!("where should the private key go? --out DIR for files of your own, or --print")
        };
        let name = file_name(key.id.as_deref().unwrap_or_default(), &self.algorithm);
        let public_pem = key.public.as_ref().map(Public::pem).transpose()?;
        std::fs::create_dir_all(folder)
            .with_context(|| format!("--out: cannot make {}", folder.display()))?;
        let mut files = Vec::new();
        for (suffix, text, hidden) in [
            ("private.jwk", format!("{jwk:#}\n"), true),
            ("private.pem", pem, true),
            ("public.jwk", format!("{public_jwk:#}\n"), false),
            ("public.pem", public_pem.unwrap_or_default(), false),
        ] {
            let path = folder.join(format!("{name}.{suffix}"));
            write_new(&path, &text, hidden)?;
            files.push(path.display().to_string());
        }
        let human = format!("{}\n{public_jwk:#}", files.join("\n"));
        tell(
            self.json,
            &json!({ "files": files, "public": public_jwk }),
            &human,
        );
        Ok(ExitCode::SUCCESS)
    }

    fn secret(&self, text: &str, json: &Value) -> Result<ExitCode> {
        let Some(folder) = &self.out else {
            tell(self.json, json, text);
            return Ok(ExitCode::SUCCESS);
        };
        std::fs::create_dir_all(folder)
            .with_context(|| format!("--out: cannot make {}", folder.display()))?;
        let kid = self.kid.as_deref().unwrap_or_default();
        let path = folder.join(format!("{}.key", file_name(kid, &self.algorithm)));
        write_new(&path, &format!("{text}\n"), true)?;
        let file = path.display().to_string();
        tell(self.json, &json!({ "files": [file] }), &file);
        Ok(ExitCode::SUCCESS)
    }
}

impl Jwks {
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut keys: Vec<Value> = Vec::new();
        let mut ids = Vec::new();
        for path in &self.files {
            let file = path.display();
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {file}"))?;
            for mut key in Described::read_all(&bytes).with_context(|| file.to_string())? {
                if key.id.is_none() {
                    key.id = key.thumbprint();
                }
                if key.algorithm.is_none() {
                    key.algorithm = self.algorithm_of(&key).with_context(|| file.to_string())?;
                }
                let named = (key.id.clone(), key.algorithm.clone());
                if ids.contains(&named) {
                    bail!(
                        "{file}: the key id `{}` is that of an earlier key; a set names each of its keys once",
                        key.id.unwrap_or_default()
                    );
                }
                ids.push(named);
                keys.push(key.public_jwk().with_context(|| file.to_string())?);
            }
        }
        say!("{:#}", json!({ "keys": keys }));
        Ok(ExitCode::SUCCESS)
    }

    fn algorithm_of(&self, key: &Described) -> Result<Option<String>> {
        let only = match &key.public {
            None => return Ok(None),
            Some(Public::Rsa(_)) => None,
            Some(Public::P256(_)) => Some("ES256"),
            Some(Public::P384(_)) => Some("ES384"),
            Some(Public::P521(_)) => Some("ES512"),
            Some(Public::Ed25519(_)) => Some("EdDSA"),
        };
        if let Some(only) = only {
            return Ok(Some(only.to_owned()));
        }
        match self.algorithm.as_deref() {
            Some(asked @ ("RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512")) => {
                Ok(Some(asked.to_owned()))
            }
            Some(other) => bail!(
                "--algorithm: `{other}` is none of RSA; of {} write one that begins with RS or PS",
                ALGORITHMS.join(", ")
            ),
            None => bail!(
                "an RSA key that names no algorithm: say which it is for with --algorithm RS256 (a key serves one)"
            ),
        }
    }
}

/// Letters, digits and `-_.` of an id; else the algorithm.
fn file_name(id: &str, algorithm: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.is_empty() || id.len() > 64 || id.starts_with('.') || !id.chars().all(fits) {
        return algorithm.to_lowercase();
    }
    id.to_owned()
}

/// Writes a file that is not there yet; `hidden`: only its owner may read it.
fn write_new(path: &Path, text: &str, hidden: bool) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(if hidden { 0o600 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _ = hidden;
    let mut file = options.open(path).with_context(|| {
        format!(
            "cannot make {}: a key is never written over",
            path.display()
        )
    })?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}
