//! `palisade token api-key`, `password`, `hash`, `seal` and `open`: secrets, and what a policy holds of them.

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use palisade_cli::keys::{random_bytes, sha256_hex};
use palisade_engine::policy::sealed::{self, SealError, SealKey};
use palisade_engine::stages::token::basic;
use serde_json::json;
use sha2::Sha256;

use super::{key, now, tell};

/// Iterations of PBKDF2 unless said otherwise: as many as a policy accepts, because the filter computes them.
const ITERATIONS: u32 = basic::MAX_ITERATIONS;
/// What a policy accepts.
const BOUNDS: std::ops::RangeInclusive<i64> =
    basic::MIN_ITERATIONS as i64..=basic::MAX_ITERATIONS as i64;
/// Longest secret that is read.
const LONGEST: u64 = 12 * 1024;

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Make an API key: printed once, with the entry of the policy that holds its SHA-256.
#[derive(Debug, Args)]
pub(super) struct ApiKey {
    /// Whose it is: the subject.
    #[arg(long, default_value = "client")]
    id: String,
    /// A role of its owner; may be repeated.
    #[arg(long = "role")]
    roles: Vec<String>,
    /// When it ends, such as `2027-01-01`.
    #[arg(long)]
    expires: Option<String>,
    /// What it begins with, so that leaked keys are found.
    #[arg(long, default_value = "palisade_")]
    prefix: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Make a password, with its hashes for users of a policy (`type: basic`).
#[derive(Debug, Args)]
pub(super) struct Password {
    /// Letters and digits of it; 22 hold 128 bits.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(12..=128))]
    length: u16,
    /// Iterations of PBKDF2.
    #[arg(long, default_value_t = ITERATIONS, value_parser = clap::value_parser!(u32).range(BOUNDS))]
    iterations: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Hash a password for a policy. It is read from the terminal, without echo, or from standard input.
#[derive(Debug, Args)]
pub(super) struct Hash {
    /// Iterations of PBKDF2.
    #[arg(long, default_value_t = ITERATIONS, value_parser = clap::value_parser!(u32).range(BOUNDS))]
    iterations: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Seal a secret for a policy (Fernet). It is read from a variable, from the terminal, or from standard input.
#[derive(Debug, Args)]
pub(super) struct Seal {
    /// Environment variable that holds the sealing key (`palisade token keygen --algorithm fernet`).
    #[arg(long, value_name = "NAME")]
    env_key: String,
    /// Environment variable that holds the secret.
    #[arg(long, value_name = "NAME")]
    env_secret: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Open a sealed secret and print it.
#[derive(Debug, Args)]
pub(super) struct Open {
    /// Environment variable that holds the key it was sealed with.
    #[arg(long, value_name = "NAME")]
    env_key: String,
    /// The sealed secret, `gAAAA…`; absent or `-`: standard input.
    sealed: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl ApiKey {
    pub(super) fn run(self) -> Result<ExitCode> {
        let plain = |text: &str| {
            (1..=32).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        };
        if !plain(&self.prefix) {
            bail!(
                "--prefix: `{}` is not 1 to 32 letters, digits, `_` or `-`",
                self.prefix
            );
        }
        // 43 letters of 62 hold 256 bits.
        let key = format!("{}{}", self.prefix, letters(43)?);
        let hash = sha256_hex(key.as_bytes());
        let mut entry = json!({ "id": self.id, "sha256": hash });
        let mut snippet = format!("{{ id: {}, sha256: \"{hash}\"", json!(self.id));
        if !self.roles.is_empty() {
            snippet.push_str(&format!(", roles: {}", json!(self.roles)));
            if let Some(entry) = entry.as_object_mut() {
                entry.insert("roles".to_owned(), json!(self.roles));
            }
        }
        if let Some(expires) = &self.expires {
            snippet.push_str(&format!(", expires: {}", json!(expires)));
            if let Some(entry) = entry.as_object_mut() {
                entry.insert("expires".to_owned(), json!(expires));
            }
        }
        snippet.push_str(" }");
        let human = format!(
            "{key}\n\n# It is shown this once. In the policy, among the keys of a provider of `type: api_key`:\n- {snippet}"
        );
        tell(self.json, &json!({ "key": key, "policy": entry }), &human);
        Ok(ExitCode::SUCCESS)
    }
}

impl Password {
    pub(super) fn run(self) -> Result<ExitCode> {
        let password = letters(usize::from(self.length))?;
        let [pbkdf2, sha256] = hashes(&password, self.iterations)?;
        // log2(62) is 5.954.
        let bits = u32::from(self.length) * 5954 / 1000;
        let human = format!(
            "{password}\n\n# {bits} bits. Either hash will do: this password is too long to be guessed from the fast one.\n{pbkdf2}\n{sha256}"
        );
        tell(
            self.json,
            &json!({ "password": password, "bits": bits, "hashes": { "pbkdf2": pbkdf2, "sha256": sha256 } }),
            &human,
        );
        Ok(ExitCode::SUCCESS)
    }
}

impl Hash {
    pub(super) fn run(self) -> Result<ExitCode> {
        let password = read_secret("Password: ")?;
        if password.contains(['\n', '\r']) {
            bail!("the password has a line break in it: give one line");
        }
        let [pbkdf2, sha256] = hashes(&password, self.iterations)?;
        let weak = "# The second is fast to guess from: only for long random passwords (`palisade token password`).";
        tell(
            self.json,
            &json!({ "hashes": { "pbkdf2": pbkdf2, "sha256": sha256 } }),
            &format!("{pbkdf2}\n{sha256}\n{weak}"),
        );
        Ok(ExitCode::SUCCESS)
    }
}

impl Seal {
    pub(super) fn run(self) -> Result<ExitCode> {
        let opener = sealing_key(&self.env_key)?;
        let secret = match &self.env_secret {
            Some(name) => key(name)?,
            None => read_secret("Secret: ")?,
        };
        let iv = random_bytes(16)?;
        let iv: [u8; 16] = iv.first_chunk().copied().context("randomness")?;
        let sealed = sealed::seal(&opener, iv, now()?, secret.as_bytes());
        let entry = json!({ "env": self.env_key, "sealed": sealed });
        tell(self.json, &entry, &sealed);
        Ok(ExitCode::SUCCESS)
    }
}

impl Open {
    pub(super) fn run(self) -> Result<ExitCode> {
        let opener = sealing_key(&self.env_key)?;
        let sealed = match self.sealed.as_deref() {
            None | Some("-") => read_secret("Sealed: ")?,
            Some(text) => text.to_owned(),
        };
        match sealed::open(&opener, sealed.trim()) {
            Ok(secret) => {
                let secret = String::from_utf8_lossy(&secret);
                tell(self.json, &json!({ "secret": secret }), &secret);
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                let what = match error {
                    SealError::Mac => {
                        format!("the key in {} does not open it: {error}", self.env_key)
                    }
                    other => other.to_string(),
                };
                if self.json {
                    say!("{:#}", json!({ "error": what }));
                } else {
                    complain!("palisade: {what}");
                }
                Ok(ExitCode::from(1))
            }
        }
    }
}

fn sealing_key(name: &str) -> Result<SealKey> {
    SealKey::parse(key(name)?.as_bytes()).map_err(|error| {
        anyhow::anyhow!(
            "{name}: {error} (value not shown); `palisade token keygen --algorithm fernet` makes one"
        )
    })
}

/// From the terminal without echo, else standard input without its last line break.
fn read_secret(prompt: &str) -> Result<String> {
    let text = if std::io::stdin().is_terminal() {
        rpassword::prompt_password(prompt).context("cannot read from the terminal")?
    } else {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .take(LONGEST + 1)
            .read_to_string(&mut text)
            .context("standard input is not text")?;
        text
    };
    if text.len() as u64 > LONGEST {
        bail!("more than {LONGEST} bytes: that is no secret of a policy");
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        bail!("nothing was given on standard input");
    }
    Ok(text.to_owned())
}

/// As a policy has them: PBKDF2, then plain SHA-256.
fn hashes(password: &str, iterations: u32) -> Result<[String; 2]> {
    let salt = random_bytes(16)?;
    let mut hash = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt, iterations, &mut hash);
    let base64 = |bytes: &[u8]| {
        use base64ct::{Base64, Encoding};
        Base64::encode_string(bytes)
    };
    Ok([
        format!(
            "pbkdf2-sha256${iterations}${}${}",
            base64(&salt),
            base64(&hash)
        ),
        format!("sha256:{}", sha256_hex(password.as_bytes())),
    ])
}

/// Letters and digits, each as likely as the other.
fn letters(count: usize) -> Result<String> {
    let mut text = String::new();
    while text.len() < count {
        // Of 256 values the first 248 stand for four letters each; the rest would favour some.
        let bytes = random_bytes(2 * count)?;
        let fair = bytes.iter().filter(|byte| **byte < 248);
        let letters = fair.filter_map(|byte| LETTERS.get(usize::from(*byte % 62)));
        text.extend(
            letters
                .take(count - text.len())
                .map(|byte| char::from(*byte)),
        );
    }
    Ok(text)
}
