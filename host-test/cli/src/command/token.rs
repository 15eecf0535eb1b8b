//! `palisade token`: tokens for trying a policy by hand, the keys and secrets of a policy, and what is wrong with a token.
//!
//! **Invariant:** secrets come from environment variables, files and the terminal, never from arguments, which other users of the
//! machine can read; a private key is printed only where that was asked for. Errors name the place, never the secret.

mod anatomy;
mod diagnosis;
mod jwt;
mod keygen;
mod secrets;
mod verify;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use palisade_cli::mint;
use palisade_cli::scenario::time::Moment;
use palisade_engine::stages::token::session::V1;
use serde_json::{Value, json};

/// Mint and verify tokens; make keys, API keys, passwords; seal and open the secrets of a policy.
///
/// Exit code 0: done, or the token is valid; 1: it is refused, or a sealed secret does not open; 2: wrong use.
#[derive(Debug, Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    Jwt(Box<jwt::Jwt>),
    /// Mint a session token.
    Session(Session),
    /// Print the CSRF token of a session.
    Csrf(Csrf),
    Verify(Box<verify::Verify>),
    Decode(verify::Decode),
    Keygen(keygen::Keygen),
    Jwks(keygen::Jwks),
    ApiKey(secrets::ApiKey),
    Password(secrets::Password),
    Hash(secrets::Hash),
    Seal(secrets::Seal),
    Open(secrets::Open),
}

#[derive(Debug, Args)]
struct Session {
    /// Environment variable that holds the key.
    #[arg(long, value_name = "NAME")]
    env_key: String,
    /// Subject.
    #[arg(long)]
    sub: String,
    /// `v1` or `colon`.
    #[arg(long, default_value = "v1")]
    format: String,
    /// Session id (`v1`).
    #[arg(long, default_value = "s-1")]
    sid: String,
    /// Key id (`v1`).
    #[arg(long)]
    kid: Option<String>,
    /// Address or network the token is bound to, such as `192.0.2.7` or `192.0.2.0/24` (`v1`).
    #[arg(long)]
    client: Option<String>,
    /// `user-agent` the token is bound to (`v1`).
    #[arg(long)]
    user_agent: Option<String>,
    /// SHA-256 of the client certificate the token is bound to, in lower-case hex (`v1`).
    #[arg(long)]
    certificate: Option<String>,
    /// When the session was seen last, if later than issued: `-5m`, or seconds since 1970 (`v1`).
    #[arg(long, allow_hyphen_values = true)]
    seen: Option<String>,
    /// A role (`v1`); may be repeated.
    #[arg(long = "role")]
    roles: Vec<String>,
    /// When it was issued: `-10m`, or seconds since 1970.
    #[arg(long, default_value = "-0s", allow_hyphen_values = true)]
    issued: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Csrf {
    /// Environment variable that holds the key: the first of the provider.
    #[arg(long, value_name = "NAME")]
    env_key: String,
    /// Session id.
    #[arg(long)]
    sid: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Token {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.kind {
            Kind::Jwt(jwt) => jwt.run(),
            Kind::Session(session) => {
                let json = session.json;
                let token = session.mint(now()?)?;
                let token = String::from_utf8_lossy(&token);
                tell(json, &json!({ "token": token }), &token);
                Ok(ExitCode::SUCCESS)
            }
            Kind::Csrf(csrf) => {
                let token = mint::csrf(key(&csrf.env_key)?.as_bytes(), &csrf.sid)?;
                let token = String::from_utf8_lossy(&token);
                tell(csrf.json, &json!({ "token": token }), &token);
                Ok(ExitCode::SUCCESS)
            }
            Kind::Verify(verify) => verify.run(),
            Kind::Decode(decode) => decode.run(),
            Kind::Keygen(keygen) => keygen.run(),
            Kind::Jwks(jwks) => jwks.run(),
            Kind::ApiKey(key) => key.run(),
            Kind::Password(password) => password.run(),
            Kind::Hash(hash) => hash.run(),
            Kind::Seal(seal) => seal.run(),
            Kind::Open(open) => open.run(),
        }
    }
}

impl Session {
    fn mint(self, now: u64) -> Result<Vec<u8>> {
        let key = key(&self.env_key)?;
        let issued = Moment::parse(&self.issued)?.at(now);
        match self.format.as_str() {
            "v1" => {
                let roles: Vec<&str> = self.roles.iter().map(String::as_str).collect();
                let seen = self.seen.as_deref().map(Moment::parse).transpose()?;
                let session = V1 {
                    sub: &self.sub,
                    sid: &self.sid,
                    iat: issued,
                    seen: seen.map(|seen| seen.at(now)),
                    client: self.client.as_deref().map(mint::client).transpose()?,
                    user_agent: self.user_agent.as_deref(),
                    certificate: self.certificate.as_deref(),
                    roles: &roles,
                };
                mint::session(key.as_bytes(), self.kid.as_deref(), &session)
            }
            "colon" => mint::colon(key.as_bytes(), &self.sub, issued),
            other => bail!("`{other}` is not one of v1, colon"),
        }
    }
}

/// Seconds since 1970.
pub(super) fn now() -> Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(since.context("the clock is before 1970")?.as_secs())
}

/// Prints one of the two forms.
fn tell(json: bool, value: &Value, human: &str) {
    if json {
        say!("{value:#}");
    } else {
        say!("{human}");
    }
}

/// What a variable holds; its value is never shown.
pub(super) fn key(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("the key's environment variable {name} is not set"))
}
