//! The strings of a GraphQL document.
//!
//! **In:** a value that begins as a query, mutation, subscription or fragment does. **Out:** calls of [`Inspection::value`] for every
//! string in it, escapes undone, under the name of the value. Variables are JSON beside it and looked at as such.
//! **Invariant:** the document as a whole was looked at before: what is no string loses nothing.
//! **Source:** GraphQL specification (October 2021) §2.9.4.
//! **Cost:** one pass.

use alloc::vec::Vec;

use super::bytes::{byte, is_space, rest, skip_space};
use super::inspection::{Encoding, Inspection, Place};

/// Whether `text` begins as a GraphQL document.
pub(super) fn is_document(text: &[u8]) -> bool {
    let start = skip_space(text, 0);
    const WORDS: [&[u8]; 4] = [b"query", b"mutation", b"subscription", b"fragment"];
    let word = WORDS
        .iter()
        .find(|word| rest(text, start).starts_with(word));
    let (at, named) = match word {
        Some(word) => (start.saturating_add(word.len()), true),
        None => (start, false),
    };
    let behind = byte(text, at);
    if named && !is_space(behind) && !matches!(behind, b'{' | b'(') {
        return false;
    }
    // `{ field`, `query Name($a: Int) {`: a name, not a JSON string, behind the first brace.
    let head = rest(text, at);
    let head = head.get(..MAX_HEAD).unwrap_or(head);
    let Some(brace) = head.iter().position(|&byte| byte == b'{') else {
        return false;
    };
    if !named && brace != 0 {
        return false;
    }
    let field = skip_space(text, at.saturating_add(brace).saturating_add(1));
    byte(text, field).is_ascii_alphabetic() || matches!(byte(text, field), b'_' | b'.')
}

/// Bytes in which the first brace stands.
const MAX_HEAD: usize = 512;

/// Looks at all strings.
pub(super) fn strings(place: Place, name: &[u8], text: &[u8], inspection: &mut Inspection<'_>) {
    let mut left = text;
    let mut string: Vec<u8> = Vec::new();
    while let Some(open) = left.iter().position(|&byte| matches!(byte, b'"' | b'#')) {
        let here = rest(left, open);
        if here.first() == Some(&b'#') {
            let end = here.iter().position(|&byte| byte == b'\n');
            left = rest(here, end.unwrap_or(here.len()));
            continue;
        }
        let block = here.starts_with(b"\"\"\"");
        left = rest(here, if block { 3 } else { 1 });
        string.clear();
        while let Some((&head, after)) = left.split_first() {
            if head == b'"' && (!block || after.starts_with(b"\"\"")) {
                left = rest(after, if block { 2 } else { 0 });
                break;
            }
            left = after;
            let escaped = after.first().copied().filter(|_| head == b'\\');
            match escaped {
                Some(quote @ (b'"' | b'\\' | b'/')) => {
                    string.push(quote);
                    left = rest(after, 1);
                }
                _ => string.push(head),
            }
        }
        inspection.value(place, name, &string, Encoding::Plain);
    }
}

#[cfg(test)]
mod tests {
    use super::is_document;

    #[test]
    fn documents_are_told_from_json_and_prose() {
        for text in [
            "{ user(id: \"1\") { name } }",
            "query { me { id } }",
            "query Find($q: String!) { find(q: $q) { id } }",
            "\n mutation{add(a:\"b\"){id}}",
            "{...on User{id}}",
            "fragment F on User { id }",
        ] {
            assert!(is_document(text.as_bytes()), "{text}");
        }
        for text in [
            "{\"a\":1}",
            "{}",
            "query the database {",
            "queryable { a }",
            "mutations of a gene",
            "{{7*7}}",
            "",
        ] {
            assert!(!is_document(text.as_bytes()), "{text}");
        }
    }
}
