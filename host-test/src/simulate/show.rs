//! Events as lines for people.
//!
//! Invariant: values are shown as far as a line goes; numbers of four or eight bytes as numbers.

use std::fmt;

use crate::simulate::{Action, Event};

/// Longest key or value shown.
const SHOWN: usize = 40;

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}  {}", self.worker, self.action)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer {
                request,
                status,
                admitted,
            } => {
                let reached = if *admitted { "admitted, " } else { "" };
                match status {
                    0 => write!(f, "request {request}: {reached}no answer"),
                    status => write!(f, "request {request}: {reached}answered {status}"),
                }
            }
            Self::Call {
                name,
                key,
                cas,
                value,
                status,
                injected,
            } => {
                let name = name.strip_prefix("proxy_").unwrap_or(name);
                write!(f, "  {name}")?;
                if *injected {
                    return write!(f, " -> {} (injected)", status_name(*status));
                }
                write!(f, " {}", text(key))?;
                if name.starts_with("set_") || name.starts_with("enqueue_") {
                    write!(f, " = {}", bytes(value))?;
                    match cas {
                        0 => {}
                        &u32::MAX => f.write_str(" if new")?,
                        cas => write!(f, " if version {cas}")?,
                    }
                    return write!(f, " -> {}", status_name(*status));
                }
                match (status, cas) {
                    (0, 0) => write!(f, " -> {}", bytes(value)),
                    (0, cas) => write!(f, " -> {}, version {cas}", bytes(value)),
                    (status, _) => write!(f, " -> {}", status_name(*status)),
                }
            }
            Self::Crash { call } => write!(f, "  VM killed in {call}"),
            Self::Request { request } => write!(f, "request {request}"),
            Self::Start => f.write_str("VM started"),
            Self::Tick => f.write_str("tick"),
        }
    }
}

fn bytes(bytes: &[u8]) -> String {
    if printable(bytes) {
        return text(bytes);
    }
    if let Ok(eight) = <[u8; 8]>::try_from(bytes) {
        return u64::from_le_bytes(eight).to_string();
    }
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return u32::from_le_bytes(four).to_string();
    }
    text(bytes)
}

fn printable(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| (b' '..=b'~').contains(byte))
}

fn text(bytes: &[u8]) -> String {
    let shown = bytes.get(..SHOWN).unwrap_or(bytes);
    let rest = if bytes.len() > SHOWN {
        format!("… ({} bytes)", bytes.len())
    } else {
        String::new()
    };
    if printable(shown) {
        return format!("{:?}{rest}", String::from_utf8_lossy(shown));
    }
    let digits = shown.iter().take(SHOWN / 2);
    let digits: String = digits.map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}… ({} bytes)", bytes.len())
}

/// A status of the ABI by its name.
fn status_name(status: i32) -> String {
    let name = match status {
        0 => "OK",
        1 => "NOT_FOUND",
        2 => "BAD_ARGUMENT",
        3 => "SERIALIZATION_FAILURE",
        4 => "PARSE_FAILURE",
        5 => "BAD_EXPRESSION",
        6 => "INVALID_MEMORY_ACCESS",
        7 => "EMPTY",
        8 => "CAS_MISMATCH",
        9 => "RESULT_MISMATCH",
        10 => "INTERNAL_FAILURE",
        11 => "BROKEN_CONNECTION",
        12 => "UNIMPLEMENTED",
        other => return other.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_lines() {
        let call = |name, cas, value: &[u8], status, injected| Action::Call {
            name,
            key: b"k".to_vec(),
            cas,
            value: value.to_vec(),
            status,
            injected,
        };
        let long = [b'a'; 41];
        let cases = [
            (
                call("proxy_get_shared_data", 3, &7_u64.to_le_bytes(), 0, false),
                r#"  get_shared_data "k" -> 7, version 3"#,
            ),
            (
                call("proxy_get_shared_data", 0, b"", 1, false),
                r#"  get_shared_data "k" -> NOT_FOUND"#,
            ),
            (
                call("proxy_set_shared_data", 3, b"on", 8, false),
                r#"  set_shared_data "k" = "on" if version 3 -> CAS_MISMATCH"#,
            ),
            (
                call("proxy_set_shared_data", u32::MAX, &[1, 2, 3], 0, false),
                r#"  set_shared_data "k" = 0x010203… (3 bytes) if new -> OK"#,
            ),
            (
                call("proxy_set_shared_data", 0, &5_u32.to_le_bytes(), 0, false),
                r#"  set_shared_data "k" = 5 -> OK"#,
            ),
            (
                call("proxy_log", 0, b"", 10, true),
                "  log -> INTERNAL_FAILURE (injected)",
            ),
            (
                call("proxy_dequeue_shared_queue", 0, &long, 0, false),
                r#"  dequeue_shared_queue "k" -> "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"… (41 bytes)"#,
            ),
            (
                Action::Answer {
                    request: 3,
                    status: 0,
                    admitted: false,
                },
                "request 3: no answer",
            ),
            (
                Action::Answer {
                    request: 3,
                    status: 200,
                    admitted: true,
                },
                "request 3: admitted, answered 200",
            ),
        ];
        for (action, line) in cases {
            assert_eq!(action.to_string(), line);
        }
    }
}
