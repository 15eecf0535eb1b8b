//! Raw HTTP/1.1: head by httparse, body by its length or in chunks.
//!
//! **In:** the bytes of one request; bare line feeds are taken too, since files are saved with them.
//! **Invariant:** a body longer or shorter than its length is kept as it stands and noted.

use anyhow::{Context, Result, bail};

use super::input::{Draft, url};

pub(super) fn read(bytes: &[u8]) -> Result<Draft> {
    let bytes = bytes.trim_ascii_start();
    let mut room = [httparse::EMPTY_HEADER; 1024];
    let mut parsed = httparse::Request::new(&mut room);
    let mut padded;
    let mut body_at = match parsed.parse(bytes).context("not an HTTP/1.1 head")? {
        httparse::Status::Complete(at) => at,
        httparse::Status::Partial => {
            // Saved without its empty line: the head is all there is.
            padded = bytes.trim_ascii_end().to_vec();
            padded.extend_from_slice(b"\r\n\r\n");
            return match httparse::Request::new(&mut [httparse::EMPTY_HEADER; 1024]).parse(&padded)
            {
                Ok(httparse::Status::Complete(_)) => read(&padded),
                _ => bail!("the head is cut: no empty line ends it"),
            };
        }
    };
    let mut draft = Draft {
        method: parsed.method.unwrap_or_default().to_owned(),
        scheme: "https".to_owned(),
        ..Draft::default()
    };
    let target = parsed.path.unwrap_or_default();
    if target.starts_with("http://") || target.starts_with("https://") {
        let (scheme, authority, path) = url(target)?;
        draft.scheme = scheme;
        draft.authority = authority.into_bytes();
        draft.target = path.into_bytes();
    } else {
        draft.target = target.as_bytes().to_vec();
    }
    let mut length = None;
    let mut chunked = false;
    for field in parsed.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            length = std::str::from_utf8(field.value)
                .ok()
                .and_then(|text| text.trim().parse::<usize>().ok());
        }
        chunked |= field.name.eq_ignore_ascii_case("transfer-encoding")
            && field.value.to_ascii_lowercase().ends_with(b"chunked");
        draft
            .fields
            .push((field.name.as_bytes().to_vec(), field.value.to_vec()));
    }
    let rest = bytes.get(body_at..).unwrap_or_default();
    if chunked {
        let mut rest = rest;
        loop {
            match httparse::parse_chunk_size(rest) {
                Ok(httparse::Status::Complete((at, size))) => {
                    let size = usize::try_from(size).context("a chunk is too long")?;
                    let end = at.saturating_add(size);
                    let chunk = rest.get(at..end).context("a chunk is cut")?;
                    draft.body.extend_from_slice(chunk);
                    rest = rest.get(end..).unwrap_or_default();
                    rest = rest
                        .strip_prefix(b"\r\n")
                        .or_else(|| rest.strip_prefix(b"\n"))
                        .unwrap_or(rest);
                    if size == 0 {
                        break;
                    }
                }
                _ => bail!("a chunk's size is missing or cut"),
            }
        }
        return Ok(draft);
    }
    // An editor's line end after the body is not a part of it.
    if let Some(length) = length {
        if rest.len() > length
            && rest
                .get(length..)
                .unwrap_or_default()
                .trim_ascii()
                .is_empty()
        {
            draft.body = rest.get(..length).unwrap_or_default().to_vec();
        } else {
            draft.body = rest.to_vec();
        }
        if draft.body.len() != length {
            draft.notes.push(format!(
                "content-length says {length}, the body has {} bytes: all of them are judged",
                draft.body.len()
            ));
        }
    } else {
        body_at = rest.len();
        if body_at > 0 && !rest.trim_ascii().is_empty() {
            draft.body = rest.to_vec();
            draft
                .notes
                .push("no content-length: one was added for the body".to_owned());
        }
    }
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        const CASES: &[(&str, &str, &str)] = &[
            ("GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n", "/a?b", ""),
            ("GET /a?b HTTP/1.1\nHost: h\n", "/a?b", ""),
            (
                "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc\n",
                "/",
                "abc",
            ),
            (
                "POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nabc",
                "/",
                "abc",
            ),
            ("POST / HTTP/1.1\r\n\r\nabc", "/", "abc"),
            (
                "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
                "/",
                "abcde",
            ),
            ("GET http://h:1/x HTTP/1.1\r\n\r\n", "/x", ""),
        ];
        for (text, target, body) in CASES {
            let draft = read(text.as_bytes()).expect(text);
            assert_eq!(draft.target, target.as_bytes(), "{text:?}");
            assert_eq!(draft.body, body.as_bytes(), "{text:?}");
        }
        for text in [
            "",
            "GET",
            "GET / HTTP/9",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
