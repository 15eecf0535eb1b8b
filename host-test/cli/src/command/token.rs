//! `palisade token`: tokens for trying a policy by hand.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use palisade_cli::mint;
use palisade_cli::scenario::time::{Moment, Step};
use serde_json::{Map, Value};

/// Mint a token to try a policy with; its key comes from an environment variable.
#[derive(Debug, Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// A JWT.
    Jwt(Jwt),
    /// A session token.
    Session(Session),
}

#[derive(Debug, Args)]
struct Jwt {
    /// Environment variable that holds the key.
    #[arg(long, value_name = "NAME")]
    env_key: String,
    /// Subject.
    #[arg(long)]
    sub: String,
    /// A role; may be repeated.
    #[arg(long = "role")]
    roles: Vec<String>,
    /// How long it holds; negative: it has expired.
    #[arg(long, default_value = "1h", allow_hyphen_values = true)]
    exp: String,
    /// Issuer.
    #[arg(long)]
    iss: Option<String>,
    /// Audience.
    #[arg(long)]
    aud: Option<String>,
    /// Key id.
    #[arg(long)]
    kid: Option<String>,
    /// HS256, HS384 or HS512.
    #[arg(long, default_value = "HS256")]
    algorithm: String,
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
    /// Address the token is bound to (`v1`).
    #[arg(long)]
    client: Option<String>,
    /// A role (`v1`); may be repeated.
    #[arg(long = "role")]
    roles: Vec<String>,
    /// When it was issued: `-10m`, or seconds since 1970.
    #[arg(long, default_value = "-0s", allow_hyphen_values = true)]
    issued: String,
}

impl Token {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .context("the clock is before 1970")?
            .as_secs();
        let token = match self.kind {
            Kind::Jwt(jwt) => jwt.mint(now)?,
            Kind::Session(session) => session.mint(now)?,
        };
        say!("{}", String::from_utf8_lossy(&token));
        Ok(ExitCode::SUCCESS)
    }
}

impl Jwt {
    fn mint(self, now: u64) -> Result<Vec<u8>> {
        let mut header = Map::new();
        header.insert("alg".to_owned(), self.algorithm.clone().into());
        header.insert("typ".to_owned(), "JWT".into());
        header.extend(self.kid.map(|kid| ("kid".to_owned(), kid.into())));
        let mut claims = Map::new();
        claims.insert("sub".to_owned(), self.sub.into());
        claims.insert("iat".to_owned(), now.into());
        claims.insert(
            "exp".to_owned(),
            now.saturating_add_signed(Step::parse(&self.exp)?.ms / 1000)
                .into(),
        );
        claims.extend(self.iss.map(|iss| ("iss".to_owned(), iss.into())));
        claims.extend(self.aud.map(|aud| ("aud".to_owned(), aud.into())));
        if !self.roles.is_empty() {
            claims.insert("roles".to_owned(), self.roles.into());
        }
        mint::jwt(
            &self.algorithm,
            key(&self.env_key)?.as_bytes(),
            &Value::Object(header).to_string(),
            &Value::Object(claims).to_string(),
        )
    }
}

impl Session {
    fn mint(self, now: u64) -> Result<Vec<u8>> {
        let key = key(&self.env_key)?;
        let issued = Moment::parse(&self.issued)?.at(now);
        match self.format.as_str() {
            "v1" => mint::session(
                key.as_bytes(),
                self.kid.as_deref(),
                &self.sub,
                &self.sid,
                issued,
                self.client.as_deref(),
                &self.roles,
            ),
            "colon" => mint::colon(key.as_bytes(), &self.sub, issued),
            other => bail!("`{other}` is not one of v1, colon"),
        }
    }
}

fn key(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("the key's environment variable {name} is not set"))
}
