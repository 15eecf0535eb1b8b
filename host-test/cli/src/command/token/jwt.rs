//! `palisade token jwt`: a JWT with any claims, under any algorithm.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use palisade_cli::keys::{ALGORITHMS, Described, Private, base64url, random_bytes};
use palisade_cli::mint;
use palisade_cli::scenario::time::Moment;
use serde_json::{Map, Value, json};

use super::{key, now, tell};

/// Mint a JWT. Times are relative to now (`+1h`, `-10m`), seconds since 1970, or `none` to leave the claim out.
#[derive(Debug, Args)]
pub(super) struct Jwt {
    /// Environment variable that holds the key: a secret of HMAC, or a private JWK or PEM.
    #[arg(long, value_name = "NAME", conflicts_with = "key")]
    env_key: Option<String>,
    /// File that holds the key: a private JWK or PEM; for HMAC any bytes.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// HS256, HS384, HS512, RS…, PS…, ES256, ES384, ES512, EdDSA or none; absent: what the key is for, HS256 for a secret.
    #[arg(long)]
    algorithm: Option<String>,
    /// Key id; absent: that of the JWK.
    #[arg(long)]
    kid: Option<String>,
    /// Subject.
    #[arg(long)]
    sub: Option<String>,
    /// Issuer.
    #[arg(long)]
    iss: Option<String>,
    /// Audience; may be repeated.
    #[arg(long)]
    aud: Vec<String>,
    /// A role (claim `roles`); may be repeated.
    #[arg(long = "role")]
    roles: Vec<String>,
    /// A scope (claim `scope`); may be repeated.
    #[arg(long = "scope")]
    scopes: Vec<String>,
    /// When it expires; in the past: it has.
    #[arg(long, default_value = "1h", allow_hyphen_values = true)]
    exp: String,
    /// When it begins to hold.
    #[arg(long, allow_hyphen_values = true)]
    nbf: Option<String>,
    /// When it was issued.
    #[arg(long, default_value = "+0s", allow_hyphen_values = true)]
    iat: String,
    /// Token id; without a value: a random one.
    #[arg(long, num_args = 0..=1, default_missing_value = "")]
    jti: Option<String>,
    /// Any claim: JSON, or a text where it is none; `null` removes the claim. May be repeated.
    #[arg(long = "claim", value_name = "NAME=JSON")]
    claims: Vec<String>,
    /// Any member of the header, likewise.
    #[arg(long = "header", value_name = "NAME=JSON")]
    header: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Jwt {
    pub(super) fn run(self) -> Result<ExitCode> {
        let now = now()?;
        let (bytes, place) = match (&self.env_key, &self.key) {
            (Some(name), _) => (key(name)?.into_bytes(), format!("the key in {name}")),
            (None, Some(path)) => (
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?,
                format!("the key in {}", path.display()),
            ),
            (None, None) if self.algorithm.as_deref() == Some("none") => {
                (Vec::new(), String::new())
            }
            (None, None) => bail!(
                "which key signs? --env-key NAME or --key FILE (`palisade token keygen` makes one)"
            ),
        };
        let described = Described::read(&bytes).ok();
        let algorithm = self
            .algorithm_of(described.as_ref())
            .with_context(|| place.clone())?;
        let private = Private::for_algorithm(&algorithm, &bytes).with_context(|| place.clone())?;
        let kid = self
            .kid
            .clone()
            .or_else(|| described.and_then(|key| key.id));
        let mut header = Map::new();
        header.insert("alg".to_owned(), algorithm.as_str().into());
        header.insert("typ".to_owned(), "JWT".into());
        header.extend(kid.map(|kid| ("kid".to_owned(), kid.into())));
        members("--header", &self.header, &mut header)?;
        let claims = self.claims(now)?;
        let (header, claims) = (Value::Object(header), Value::Object(claims));
        let token = mint::jws(
            &algorithm,
            &private,
            &header.to_string(),
            claims.to_string().as_bytes(),
        )
        .with_context(|| place)?;
        let token = String::from_utf8(token)?;
        tell(
            self.json,
            &json!({ "token": token, "header": header, "claims": claims }),
            &token,
        );
        Ok(ExitCode::SUCCESS)
    }

    /// What is asked for, or what the key is for.
    fn algorithm_of(&self, key: Option<&Described>) -> Result<String> {
        let said = key.and_then(|key| key.algorithm.as_deref());
        let asked = self.algorithm.as_deref();
        if let Some(asked) = asked.filter(|asked| *asked != "none" && !ALGORITHMS.contains(asked)) {
            bail!(
                "--algorithm: `{asked}` is not one of {}, none",
                ALGORITHMS.join(", ")
            );
        }
        let private = key.and_then(|key| key.private.as_ref());
        if asked.is_none() && key.is_some() && private.is_none() {
            bail!("it is a public key: signing needs the private one");
        }
        Ok(match (asked, said) {
            (Some(asked), Some(said))
                if asked != said && asked != "none" && !asked.starts_with("HS") =>
            {
                bail!("its JWK is for {said}: leave --algorithm {asked} out, or use another key")
            }
            (Some(asked), _) => asked.to_owned(),
            (None, Some(said)) => said.to_owned(),
            (None, None) => match private.map(Private::algorithms) {
                Some([first, ..]) => (*first).to_owned(),
                _ => "HS256".to_owned(),
            },
        })
    }

    fn claims(&self, now: u64) -> Result<Map<String, Value>> {
        let mut claims = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            claims.extend(value.map(|value| (name.to_owned(), value)));
        };
        let time = |flag: &str, text: &str| -> Result<Option<Value>> {
            if text == "none" {
                return Ok(None);
            }
            // `1h` is an hour from now: a bare number is seconds since 1970.
            let relative = text.ends_with(|c: char| c.is_ascii_alphabetic());
            let signed = if relative && !text.starts_with(['+', '-']) {
                format!("+{text}")
            } else {
                text.to_owned()
            };
            let moment = Moment::parse(&signed).with_context(|| {
                format!(
                    "{flag}: `{text}` is no time; write `+1h`, `-10m`, seconds since 1970 or `none`"
                )
            })?;
            Ok(Some(moment.at(now).into()))
        };
        put("sub", self.sub.clone().map(Value::from));
        put("iss", self.iss.clone().map(Value::from));
        put(
            "aud",
            match self.aud.as_slice() {
                [] => None,
                [only] => Some(only.as_str().into()),
                several => Some(several.into()),
            },
        );
        put("iat", time("--iat", &self.iat)?);
        put("exp", time("--exp", &self.exp)?);
        if let Some(nbf) = &self.nbf {
            put("nbf", time("--nbf", nbf)?);
        }
        if let Some(jti) = &self.jti {
            let id = if jti.is_empty() {
                base64url(&random_bytes(16)?)
            } else {
                jti.clone()
            };
            put("jti", Some(id.into()));
        }
        if !self.roles.is_empty() {
            put("roles", Some(self.roles.as_slice().into()));
        }
        if !self.scopes.is_empty() {
            put("scope", Some(self.scopes.join(" ").into()));
        }
        members("--claim", &self.claims, &mut claims)?;
        Ok(claims)
    }
}

/// `NAME=JSON` arguments.
fn members(flag: &str, given: &[String], into: &mut Map<String, Value>) -> Result<()> {
    for text in given {
        let (name, value) = text
            .split_once('=')
            .with_context(|| format!("{flag}: `{text}` is not written NAME=JSON"))?;
        match serde_json::from_str(value).unwrap_or_else(|_| value.into()) {
            Value::Null => into.remove(name),
            value => into.insert(name.to_owned(), value),
        };
    }
    Ok(())
}
