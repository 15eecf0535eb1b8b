//! A curl command line, as a shell would split it and curl would send it.
//!
//! **In:** one command, browsers' "copy as cURL" too (`$'…'`, line continuations). **Out:** the request curl would send.
//! **Invariant:** an option that changes the request and is not known is an error; one that cannot change it is ignored.
//! **Source:** curl 8's manual: `-d` joins with `&` and makes a form, `--json` joins as is, dot segments are squashed.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::input::{Draft, percent, url};
use super::shell::split;

/// Options without a value that change nothing of the request here.
const IGNORED: &[&str] = &[
    "-k",
    "--insecure",
    "-s",
    "--silent",
    "-S",
    "--show-error",
    "-i",
    "--include",
    "-v",
    "--verbose",
    "-L",
    "--location",
    "-f",
    "--fail",
    "--fail-with-body",
    "-N",
    "--no-buffer",
    "-#",
    "--progress-bar",
    "-g",
    "--globoff",
    "--http1.1",
    "-0",
    "--http1.0",
    "--http2",
    "--http2-prior-knowledge",
    "--http3",
    "--tlsv1.2",
    "--tlsv1.3",
    "-4",
    "--ipv4",
    "-6",
    "--ipv6",
    "--no-keepalive",
    "-O",
    "--remote-name",
    "-J",
    "--no-progress-meter",
    "-q",
    "--disable",
    "--tr-encoding",
    "--location-trusted",
];
/// The same, with a value.
const IGNORED_WITH_VALUE: &[&str] = &[
    "-o",
    "--output",
    "-w",
    "--write-out",
    "-m",
    "--max-time",
    "--connect-timeout",
    "--resolve",
    "--connect-to",
    "--cacert",
    "--capath",
    "-E",
    "--cert",
    "--key",
    "--retry",
    "--retry-delay",
    "--ciphers",
    "-x",
    "--proxy",
    "-c",
    "--cookie-jar",
    "-D",
    "--dump-header",
    "--interface",
    "--limit-rate",
    "--max-redirs",
    "--noproxy",
    "--stderr",
    "--trace",
    "--trace-ascii",
];
/// Short options with a value; the value may follow without a blank.
const SHORT_WITH_VALUE: &[u8] = b"XHdbAeuFowmEcxDT";

#[derive(Default)]
struct Command {
    urls: Vec<String>,
    method: Option<String>,
    draft: Draft,
    /// Headers that `-H 'Name:'` takes out.
    removed: Vec<String>,
    data: Option<Vec<u8>>,
    json: bool,
    parts: Vec<String>,
    to_query: bool,
    head: bool,
    as_is: bool,
    cookies: Vec<String>,
    user: Option<String>,
    compressed: bool,
}

pub(super) fn read(text: &str) -> Result<Draft> {
    let mut words = split(text)?.into_iter();
    let program = words.next().context("it is empty")?;
    if !program.ends_with("curl") && !program.ends_with("curl.exe") {
        bail!("it begins with `{program}`, not with `curl`");
    }
    let mut command = Command::default();
    while let Some(word) = words.next() {
        if word == "--" {
            command.urls.extend(words.by_ref());
            break;
        }
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (format!("--{name}"), Some(value.to_owned())),
                None => (word.clone(), None),
            };
            command.option(&name, || value.or_else(|| words.next()))?;
        } else if word.len() > 1 && word.starts_with('-') {
            command.short(&word, &mut words)?;
        } else {
            command.urls.push(word);
        }
    }
    command.finish()
}

impl Command {
    /// `-sSk`, `-XPOST`, `-H 'a: b'`.
    fn short(&mut self, word: &str, words: &mut impl Iterator<Item = String>) -> Result<()> {
        let letters = word.get(1..).unwrap_or_default();
        for (at, letter) in letters.char_indices() {
            let takes = u8::try_from(letter).is_ok_and(|byte| SHORT_WITH_VALUE.contains(&byte));
            let name = format!("-{letter}");
            if takes {
                let rest = letters.get(at.saturating_add(letter.len_utf8())..);
                let rest = rest.filter(|rest| !rest.is_empty()).map(str::to_owned);
                return self.option(&name, || rest.or_else(|| words.next()));
            }
            self.option(&name, || None)?;
        }
        Ok(())
    }

    fn option(&mut self, name: &str, next: impl FnOnce() -> Option<String>) -> Result<()> {
        if IGNORED.contains(&name) {
            return Ok(());
        }
        match name {
            "-G" | "--get" => self.to_query = true,
            "-I" | "--head" => self.head = true,
            "--compressed" => self.compressed = true,
            "--path-as-is" => self.as_is = true,
            _ => {
                let known = VALUED.contains(&name) || IGNORED_WITH_VALUE.contains(&name);
                if !known {
                    bail!(
                        "option `{name}` is not known here: leave it out if it does not change the request"
                    );
                }
                let value = next().with_context(|| format!("option `{name}` lacks its value"))?;
                self.valued(name, value)?;
            }
        }
        Ok(())
    }

    fn valued(&mut self, name: &str, value: String) -> Result<()> {
        match name {
            "-X" | "--request" => self.method = Some(value),
            "--url" => self.urls.push(value),
            "-H" | "--header" => self.header(&value)?,
            "-A" | "--user-agent" => self.set("User-Agent", value),
            "-e" | "--referer" => self.set("Referer", value),
            "-u" | "--user" => self.user = Some(value),
            "--oauth2-bearer" => self.set("Authorization", format!("Bearer {value}")),
            "-b" | "--cookie" => {
                if !value.contains('=') {
                    bail!(
                        "`{name} {value}` names a file of cookies: write them as `-b 'name=value'`"
                    );
                }
                self.cookies.push(value);
            }
            "-d" | "--data" | "--data-ascii" => {
                let data = match value.strip_prefix('@') {
                    Some(path) => {
                        let mut bytes = file(path)?;
                        bytes.retain(|byte| !matches!(byte, b'\r' | b'\n'));
                        bytes
                    }
                    None => value.into_bytes(),
                };
                self.add(data, b"&");
            }
            "--data-raw" => self.add(value.into_bytes(), b"&"),
            "--data-binary" => self.add(content(&value)?, b"&"),
            "--json" => {
                self.json = true;
                self.add(content(&value)?, b"");
            }
            "--data-urlencode" => {
                let data = match value.find(['=', '@']) {
                    Some(at) => {
                        let (field, rest) = value.split_at(at);
                        let mut bytes = if field.is_empty() {
                            Vec::new()
                        } else {
                            format!("{field}=").into_bytes()
                        };
                        let rest_bytes = rest.get(1..).unwrap_or_default();
                        bytes.extend(if rest.starts_with('@') {
                            percent(&file(rest_bytes)?)
                        } else {
                            percent(rest_bytes.as_bytes())
                        });
                        bytes
                    }
                    None => percent(value.as_bytes()),
                };
                self.add(data, b"&");
            }
            "-F" | "--form" | "--form-string" => self.parts.push(value),
            "-T" | "--upload-file" => {
                self.data = Some(file(&value)?);
                self.method.get_or_insert_with(|| "PUT".to_owned());
                self.set("Content-Type", String::new());
            }
            _ => {}
        }
        Ok(())
    }

    fn header(&mut self, line: &str) -> Result<()> {
        if line.starts_with('@') {
            bail!("`-H {line}` reads a file: write the headers out");
        }
        if let Some(name) = line.strip_suffix(';').filter(|name| !name.contains(':')) {
            self.field(name, b"");
        } else if let Some((name, value)) = line.split_once(':') {
            if value.trim().is_empty() {
                self.removed.push(name.trim().to_ascii_lowercase());
            } else {
                self.field(name.trim(), value.trim().as_bytes());
            }
        } else {
            bail!("`-H {line}` is not `Name: value`");
        }
        Ok(())
    }

    fn field(&mut self, name: &str, value: &[u8]) {
        let field = (name.as_bytes().to_vec(), value.to_vec());
        self.draft.fields.push(field);
    }

    /// A header of an option of its own: `-H` wins over it.
    fn set(&mut self, name: &str, value: String) {
        if value.is_empty() {
            self.removed.push(name.to_ascii_lowercase());
        } else if !self.draft.has(name) {
            self.field(name, value.as_bytes());
        }
    }

    fn add(&mut self, data: Vec<u8>, between: &[u8]) {
        match &mut self.data {
            Some(already) => {
                already.extend_from_slice(between);
                already.extend(data);
            }
            None => self.data = Some(data),
        }
    }

    fn finish(mut self) -> Result<Draft> {
        let address = match self.urls.as_slice() {
            [] => bail!("it has no URL"),
            [one] => one.clone(),
            [one, ..] => {
                self.draft
                    .notes
                    .push("it has several URLs: the first is explained".to_owned());
                one.clone()
            }
        };
        let (scheme, authority, mut target) = url(&address)?;
        if !self.as_is {
            let squashed = squash(&target);
            if squashed != target {
                self.draft.notes.push(format!(
                    "curl squashes dot segments: it sends `{squashed}` (`--path-as-is` sends what is written)"
                ));
                target = squashed;
            }
        }
        if let Some((user, _)) = address
            .split_once("://")
            .and_then(|(_, rest)| rest.split(['/', '?', '#']).next())
            .and_then(|authority| authority.rsplit_once('@'))
        {
            self.user.get_or_insert_with(|| user.to_owned());
        }
        if self.to_query
            && let Some(data) = self.data.take()
        {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(&String::from_utf8_lossy(&data));
        }
        if let Some(user) = self.user.take() {
            let encoded = base64(user.as_bytes());
            self.set("Authorization", format!("Basic {encoded}"));
        }
        if !self.cookies.is_empty() {
            let line = self.cookies.join("; ");
            self.set("Cookie", line);
        }
        if self.compressed {
            self.set("Accept-Encoding", "deflate, gzip, br, zstd".to_owned());
        }
        let default = if !self.parts.is_empty() {
            let (body, boundary) = multipart(&self.parts)?;
            self.data = Some(body);
            format!("multipart/form-data; boundary={boundary}")
        } else if self.json {
            self.set("Accept", "application/json".to_owned());
            "application/json".to_owned()
        } else {
            "application/x-www-form-urlencoded".to_owned()
        };
        if self.data.is_some() {
            self.set("Content-Type", default);
        }
        self.set("User-Agent", "curl/8.10.1".to_owned());
        self.set("Accept", "*/*".to_owned());
        let removed = self.removed;
        let mut draft = self.draft;
        draft.fields.retain(|(name, value)| {
            value.is_empty()
                || !removed
                    .iter()
                    .any(|gone| name.eq_ignore_ascii_case(gone.as_bytes()))
        });
        draft.method = self.method.unwrap_or_else(|| {
            let method = if self.head {
                "HEAD"
            } else if self.data.is_some() {
                "POST"
            } else {
                "GET"
            };
            method.to_owned()
        });
        draft.scheme = scheme;
        draft.authority = authority.into_bytes();
        draft.target = target.into_bytes();
        draft.body = self.data.unwrap_or_default();
        Ok(draft)
    }
}

/// Options with a value that change the request.
const VALUED: &[&str] = &[
    "-X",
    "--request",
    "--url",
    "-H",
    "--header",
    "-A",
    "--user-agent",
    "-e",
    "--referer",
    "-u",
    "--user",
    "--oauth2-bearer",
    "-b",
    "--cookie",
    "-d",
    "--data",
    "--data-ascii",
    "--data-raw",
    "--data-binary",
    "--json",
    "--data-urlencode",
    "-F",
    "--form",
    "--form-string",
    "-T",
    "--upload-file",
];

fn content(value: &str) -> Result<Vec<u8>> {
    match value.strip_prefix('@') {
        Some(path) => file(path),
        None => Ok(value.as_bytes().to_vec()),
    }
}

fn file(path: &str) -> Result<Vec<u8>> {
    super::bounded(Path::new(path))
}

fn multipart(parts: &[String]) -> Result<(Vec<u8>, &'static str)> {
    const BOUNDARY: &str = "------------------------palisadeexplain";
    let mut body = Vec::new();
    for part in parts {
        let (name, value) = part
            .split_once('=')
            .with_context(|| format!("`-F {part}` is not `name=value`"))?;
        body.extend(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"").into_bytes(),
        );
        let mut kind = None;
        if let Some(rest) = value.strip_prefix('@') {
            let mut pieces = rest.split(';');
            let path = pieces.next().unwrap_or_default();
            let mut shown = path.rsplit('/').next().unwrap_or(path).to_owned();
            for piece in pieces {
                if let Some(name) = piece.strip_prefix("filename=") {
                    shown = name.to_owned();
                } else if let Some(name) = piece.strip_prefix("type=") {
                    kind = Some(name.to_owned());
                }
            }
            let kind = kind.unwrap_or_else(|| "application/octet-stream".to_owned());
            body.extend(
                format!("; filename=\"{shown}\"\r\nContent-Type: {kind}\r\n\r\n").into_bytes(),
            );
            body.extend(file(path)?);
        } else {
            body.extend_from_slice(b"\r\n\r\n");
            body.extend_from_slice(value.as_bytes());
        }
        body.extend_from_slice(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").into_bytes());
    Ok((body, BOUNDARY))
}

/// Dot segments as curl removes them (RFC 3986 §5.2.4); encoded dots stay.
fn squash(target: &str) -> String {
    let (path, query) = match target.find('?') {
        Some(at) => target.split_at(at),
        None => (target, ""),
    };
    let mut out: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let last = segments.len().saturating_sub(1);
    for (at, segment) in segments.into_iter().enumerate() {
        match segment {
            "." if at == last => out.push(""),
            "." => {}
            ".." => {
                out.pop();
                if at == last {
                    out.push("");
                }
            }
            _ => out.push(segment),
        }
    }
    format!("/{}{query}", out.join("/"))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = (at(0) << 16) | (at(1) << 8) | at(2);
        for place in 0..4_usize {
            if place <= chunk.len() {
                let six = (bits >> (18 - 6 * place)) & 63;
                let letter = usize::try_from(six).ok().and_then(|six| LETTERS.get(six));
                out.push(char::from(letter.copied().unwrap_or(b'=')));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let draft = read(text).unwrap_or_else(|error| panic!("{text}: {error:#}"));
        let fields: Vec<String> = draft
            .fields
            .iter()
            .map(|(name, value)| {
                format!(
                    "{}={}",
                    String::from_utf8_lossy(name),
                    String::from_utf8_lossy(value)
                )
            })
            .filter(|field| !field.starts_with("User-Agent=curl") && field != "Accept=*/*")
            .collect();
        format!(
            "{} {}://{}{} [{}] {}",
            draft.method,
            draft.scheme,
            String::from_utf8_lossy(&draft.authority),
            String::from_utf8_lossy(&draft.target),
            fields.join(","),
            String::from_utf8_lossy(&draft.body)
        )
    }

    #[test]
    fn commands() {
        const FORM: &str = "Content-Type=application/x-www-form-urlencoded";
        let cases: &[(&str, String)] = &[
            ("curl h", "GET http://h/ [] ".to_owned()),
            (
                "curl -sSk https://h/a?b=1#c",
                "GET https://h/a?b=1 [] ".to_owned(),
            ),
            (
                "curl h -XPUT -H'A: b' -H 'C;' -H 'Accept:'",
                "PUT http://h/ [A=b,C=] ".to_owned(),
            ),
            (
                "curl h/x -d a=1 --data-raw b=@2",
                format!("POST http://h/x [{FORM}] a=1&b=@2"),
            ),
            (
                "curl h -G -d a=1 --data-urlencode 'q=x y&z'",
                "GET http://h/?a=1&q=x%20y%26z [] ".to_owned(),
            ),
            (
                "curl --json '{\"a\":1}' h",
                "POST http://h/ [Accept=application/json,Content-Type=application/json] {\"a\":1}"
                    .to_owned(),
            ),
            (
                "curl -u user:pass -b 'a=b' -b c=d h",
                "GET http://h/ [Authorization=Basic dXNlcjpwYXNz,Cookie=a=b; c=d] ".to_owned(),
            ),
            (
                "curl 'h/a/../b/./c?x=/../'",
                "GET http://h/b/c?x=/../ [] ".to_owned(),
            ),
            (
                "curl --path-as-is h/a/../b",
                "GET http://h/a/../b [] ".to_owned(),
            ),
            (
                "curl -I h \\\n  -A me",
                "HEAD http://h/ [User-Agent=me] ".to_owned(),
            ),
            (
                "curl $'h/?q=\\'\\u0041\\x42'",
                "GET http://h/?q='AB [] ".to_owned(),
            ),
            (
                "curl \"h/?q=\\\"a b\\\"\" | jq .",
                "GET http://h/?q=\"a b\" [] ".to_owned(),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), *expected, "{text}");
        }
    }

    #[test]
    fn what_is_refused_names_its_reason() {
        for (text, part) in [
            ("wget h", "wget"),
            ("curl", "no URL"),
            ("curl 'h", "not closed"),
            ("curl --hsts x h", "--hsts"),
            ("curl h -H", "lacks its value"),
            ("curl h -b jar.txt", "jar.txt"),
            ("curl ftp://h", "ftp://h"),
            ("curl h -d @/nonexistent/x", "/nonexistent/x"),
        ] {
            let error = format!("{:#}", read(text).expect_err(text));
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
