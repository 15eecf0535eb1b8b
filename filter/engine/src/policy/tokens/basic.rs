//! `type: basic`: users and what is stored of their passwords.
//!
//! **In:** a list of users, or lines as `htpasswd` writes them. **Out:** [`Basic`], or errors that say what to write instead.
//! **Invariant:** what is stored of a password is never repeated in an error.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use serde_json::{Value, json};

use super::api_key::ROLES;
use super::{Forwarded, decode_base64, decode_hex};
use crate::policy::compile::Compiler;
use crate::policy::node::Node;
use crate::policy::read::{Errors, FromNode, Located, Named, Path, section};
use crate::policy::values::{BasicTag, Duration, Realm, Text, Time, UserName, user_name};
use crate::stages::token::accounts::{Account, Grants, Hash, MAX_ACCOUNTS};
use crate::stages::token::basic::{
    Basic, MAX_ITERATIONS, MIN_ITERATIONS, SALT_BYTES, Stored, User,
};
use crate::stages::token::{Provider, ProviderKind, Source};

section! {
    /// Users and passwords in `authorization: Basic` (RFC 7617).
    struct BasicConfig {
        /// `basic`.
        r#type: BasicTag,
        /// What browsers show when they ask for the password.
        realm: Realm = "palisade",
        /// The users.
        users: Vec<Located<BasicUser>> = [],
        /// More users, a line each, as `htpasswd` writes them: `name:{SHA256}…` or `name:pbkdf2-sha256$…`.
        htpasswd: Option<Lines>,
        /// How long a worker remembers that a password was right, to spare itself the work; `0s`: never.
        cache: Duration = "1m",
        /// Headers to set: header name to JSON Pointer; `/sub` is the user's name.
        forward: Named<Forwarded> = {},
    }
}

section! {
    /// A user.
    struct BasicUser {
        /// The name, without a colon; case counts.
        name: UserName,
        /// `pbkdf2-sha256$ITERATIONS$SALT$HASH` in base64, or for long random passwords `sha256:HEX` or `{SHA256}BASE64`.
        password: Password,
        /// Roles of the user.
        roles: Vec<Text> = [],
        /// Scopes of the user.
        scopes: Vec<Text> = [],
        /// From when on the password holds no longer: a day (its first second in UTC) or a time.
        expires: Option<Time>,
    }
}

/// What is stored of a password.
#[derive(Debug, Clone)]
pub(crate) struct Password(Stored);

impl FromNode for Password {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        match stored(node.as_text().unwrap_or_default()) {
            Ok(stored) => Some(Self(stored)),
            Err((problem, help)) => {
                errors.push(at, problem, help);
                None
            }
        }
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^(pbkdf2-sha256\\$[0-9]+\\$|sha256:|\\{SHA256\\})" })
    }

    fn help() -> String {
        FORMATS.to_owned()
    }
}

/// Lines of an `htpasswd` file.
#[derive(Debug, Clone)]
pub(crate) struct Lines(Vec<(usize, Vec<u8>, Stored)>);

impl FromNode for Lines {
    fn read(node: &Node, at: &Path, errors: &mut Errors) -> Option<Self> {
        let Some(text) = node.as_text() else {
            errors.push(at, "not text (value not shown)", Self::help());
            return None;
        };
        let mut lines = Vec::new();
        for (number, line) in (1_usize..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let read = line
                .split_once(':')
                .ok_or_else(|| ("has no colon".to_owned(), Self::help()))
                .and_then(|(name, password)| {
                    let name = user_name(name).ok_or_else(|| {
                        let help = "write a name of 1 to 256 bytes before the colon";
                        ("names nobody".to_owned(), help.to_owned())
                    })?;
                    Ok((number, name, stored(password)?))
                });
            match read {
                Ok(line) => lines.push(line),
                Err((problem, help)) => {
                    errors.push(at, format!("line {number}: {problem}"), help);
                }
            }
        }
        Some(Self(lines))
    }

    fn schema() -> Value {
        json!({ "type": "string" })
    }

    fn help() -> String {
        "write lines such as `name:pbkdf2-sha256$10000$SALT$HASH`".to_owned()
    }
}

const FORMATS: &str = "write `pbkdf2-sha256$10000$SALT$HASH` in base64, or `sha256:HEX` for a password of 16 random bytes \
    and more (`palisade token` makes both)";

/// Reads what is stored; an error is a problem and its help, without the value.
fn stored(text: &str) -> Result<Stored, (String, String)> {
    let wrong = |problem: &str| (format!("{problem} (value not shown)"), FORMATS.to_owned());
    if let Some(name) = unusable(text) {
        return Err((
            format!("`{name}` is not accepted (value not shown)"),
            format!("{}; {FORMATS}", why(name)),
        ));
    }
    if let Some(hex) = text.strip_prefix("sha256:") {
        let hash = decode_hex(hex.as_bytes()).and_then(|bytes| Hash::try_from(bytes).ok());
        return hash
            .map(Stored::Sha256)
            .ok_or_else(|| wrong("not 64 hex digits after `sha256:`"))
            .and_then(strong);
    }
    if let Some(base64) = text.strip_prefix("{SHA256}") {
        let hash = decode_base64(base64.as_bytes()).and_then(|bytes| Hash::try_from(bytes).ok());
        return hash
            .map(Stored::Sha256)
            .ok_or_else(|| wrong("not 32 bytes of base64 after `{SHA256}`"))
            .and_then(strong);
    }
    let Some(parts) = text.strip_prefix("pbkdf2-sha256$") else {
        return Err(wrong("not a stored password"));
    };
    let parts: Vec<&str> = parts.split('$').collect();
    let [iterations, salt, hash] = parts.as_slice() else {
        return Err(wrong("not iterations, salt and hash between `$`"));
    };
    let digits = iterations.bytes().all(|byte| byte.is_ascii_digit());
    let Some(count) = iterations.parse::<u32>().ok().filter(|_| digits) else {
        return Err(wrong("the iterations are not a number"));
    };
    if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&count) {
        return Err((
            format!("`{count}` iterations are out of range"),
            format!(
                "write {MIN_ITERATIONS} to {MAX_ITERATIONS}: a check holds its worker and all that it serves, in wasm \
                about 65ms for 100000; limit failures (`count: {{ failures: authentication }}`) and choose long passwords"
            ),
        ));
    }
    let salt = decode_base64(salt.as_bytes()).filter(|salt| SALT_BYTES.contains(&salt.len()));
    let Some(salt) = salt else {
        return Err(wrong("the salt is not 8 to 48 bytes of base64"));
    };
    let hash = decode_base64(hash.as_bytes()).and_then(|bytes| Hash::try_from(bytes).ok());
    hash.map(|hash| Stored::Pbkdf2 {
        iterations: count,
        salt,
        hash,
    })
    .ok_or_else(|| wrong("the hash is not 32 bytes of base64"))
}

fn strong(stored: Stored) -> Result<Stored, (String, String)> {
    match &stored {
        Stored::Sha256(hash) => match crate::stages::token::api_key::well_known(hash) {
            Some(text) => Err((
                format!("the hash of `{text}`, which everybody tries"),
                "choose a long random password (`palisade token`)".to_owned(),
            )),
            None => Ok(stored),
        },
        Stored::Pbkdf2 { .. } => Ok(stored),
    }
}

/// A scheme that others store passwords in.
fn unusable(text: &str) -> Option<&'static str> {
    const SCHEMES: &[&str] = &[
        "$2a$",
        "$2b$",
        "$2x$",
        "$2y$",
        "$argon2d$",
        "$argon2i$",
        "$argon2id$",
        "$scrypt$",
        "$7$",
        "$y$",
        "{SHA}",
        "{SSHA}",
        "$apr1$",
        "$1$",
        "$5$",
        "$6$",
    ];
    SCHEMES
        .iter()
        .find(|scheme| text.starts_with(**scheme))
        .copied()
}

const fn why(scheme: &str) -> &'static str {
    match scheme.as_bytes() {
        b"{SHA}" | b"{SSHA}" => "SHA-1 is broken, and fast to guess",
        b"$apr1$" | b"$1$" => "MD5 is broken, and fast to guess",
        _ => {
            "it is made to be slow, and a slow check holds its worker with every request it serves (bcrypt at cost 10 for \
            50ms and more in native code): verify such passwords behind an identity provider"
        }
    }
}

impl Compiler<'_> {
    pub(super) fn basic(
        &mut self,
        at: &Path,
        name: Vec<u8>,
        config: BasicConfig,
    ) -> Option<Provider> {
        let BasicTag = config.r#type;
        let mut users: Vec<User> = Vec::new();
        for Located { at, value } in config.users {
            let grants = self.grants(&at, &value.roles, &value.scopes);
            let expires = value.expires.map(|time| time.0);
            let account = Account::new(&value.name.0, &grants, expires);
            self.user(
                &at.key("name"),
                value.name.0,
                value.password.0,
                account,
                &mut users,
            );
        }
        let lines_at = at.key("htpasswd");
        for (_, name, stored) in config.htpasswd.into_iter().flat_map(|lines| lines.0) {
            let account = Account::new(&name, &Grants::default(), None);
            self.user(&lines_at, name, stored, account, &mut users);
        }
        let users_at = at.key("users");
        self.count_accounts(&users_at, users.len());
        users.truncate(MAX_ACCOUNTS);
        let accounts: Vec<Account> = users.iter().map(|user| user.account.clone()).collect();
        let cache = self.seconds(&at.key("cache"), config.cache.0, 0, 3600);
        let provider = Provider {
            name,
            from: vec![Source::Basic],
            kind: ProviderKind::Basic(Basic::new(users, cache, &config.realm.0)?),
            forward: self.forward(config.forward),
            roles: ROLES.to_vec(),
            scopes: None,
            claims: Vec::new(),
            counted: Vec::new(),
            strip: false,
        };
        self.check_accounts(&users_at, &provider, &accounts);
        Some(provider)
    }

    fn user(
        &mut self,
        at: &Path,
        name: Vec<u8>,
        stored: Stored,
        account: Account,
        users: &mut Vec<User>,
    ) {
        if users.iter().any(|user| user.name == name) {
            let name = String::from_utf8_lossy(&name);
            self.errors
                .push(at, format!("`{name}` is written twice"), "keep one of them");
            return;
        }
        users.push(User {
            name,
            stored,
            account,
        });
    }
}
