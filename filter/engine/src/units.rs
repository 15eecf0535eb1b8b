//! Numbers with units: sizes, durations, quotas, times.
//!
//! **In:** policy text. **Out:** newtypes whose unit is in the type.
//! **Invariant:** parsing never rounds or saturates: what does not fit is refused.

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// Reads `512`, `512B`, `32KiB` or `1MiB`. Decimal units are refused: `KB` means two things.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (number, unit) = split_number(text)?;
        let scale = match unit {
            "" | "B" => 1,
            "KiB" => 1024,
            "MiB" => 1024 * 1024,
            _ => return None,
        };
        number.checked_mul(scale).map(Self)
    }
}

/// A span of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span {
    /// Milliseconds.
    pub ms: u64,
}

impl Span {
    /// Reads `500ms`, `30s`, `10m`, `1h` or `7d`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (number, unit) = split_number(text)?;
        let scale = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        number.checked_mul(scale).map(|ms| Self { ms })
    }
}

/// `count` per `window`, or `count` at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests admitted in any window, or in flight.
    pub count: u32,
    /// Length of the window; 0: none, requests in flight.
    pub window: Span,
}

impl Quota {
    /// Reads `100/10m`, or `50` (which may stand as `50.0`); the count is at least 1.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (count, window) = match text.split_once('/') {
            Some((count, window)) => (count, Span::parse(window).filter(|window| window.ms > 0)?),
            None => (text.strip_suffix(".0").unwrap_or(text), Span::default()),
        };
        let (count, rest) = split_number(count)?;
        let count = u32::try_from(count).ok().filter(|count| *count > 0)?;
        rest.is_empty().then_some(Self { count, window })
    }
}

/// Seconds since 1970-01-01T00:00:00Z (wall clock; tokens and events only).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct UnixTime(pub u64);

/// Milliseconds on the monotonic clock (limits, bans, and how long answers are remembered).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Monotonic(pub u64);

/// Leading decimal digits (at least one) and what follows them.
fn split_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        const CASES: &[(&str, Option<u64>)] = &[
            ("0", Some(0)),
            ("512", Some(512)),
            ("512B", Some(512)),
            ("32KiB", Some(32 * 1024)),
            ("1MiB", Some(1024 * 1024)),
            ("17592186044415MiB", Some(17_592_186_044_415 * 1024 * 1024)),
            ("17592186044416MiB", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("KiB", None),
            ("32 KiB", None),
            ("32KB", None),
            ("-1", None),
            ("1.5KiB", None),
        ];
        for (text, expected) in CASES {
            assert_eq!(
                ByteSize::parse(text).map(|size| size.0),
                *expected,
                "{text}"
            );
        }
    }

    #[test]
    fn spans() {
        const CASES: &[(&str, Option<u64>)] = &[
            ("0s", Some(0)),
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("10m", Some(600_000)),
            ("1h", Some(3_600_000)),
            ("7d", Some(604_800_000)),
            ("213503982334d", Some(18_446_744_073_657_600_000)),
            ("213503982335d", None),
            ("10", None),
            ("10x", None),
            ("m", None),
            ("1h30m", None),
        ];
        for (text, expected) in CASES {
            assert_eq!(Span::parse(text).map(|span| span.ms), *expected, "{text}");
        }
    }

    #[test]
    fn quotas() {
        const CASES: &[(&str, Option<(u32, u64)>)] = &[
            ("100/10m", Some((100, 600_000))),
            ("1/1s", Some((1, 1000))),
            ("4294967295/1s", Some((u32::MAX, 1000))),
            ("4294967296/1s", None),
            ("0/1s", None),
            ("1/0s", None),
            ("50", Some((50, 0))),
            ("50.0", Some((50, 0))),
            ("0", None),
            ("", None),
            ("50.5", None),
            ("50.0/1s", None),
            ("10x", None),
            ("10/", None),
            ("/10m", None),
            ("10x/1m", None),
        ];
        for (text, expected) in CASES {
            let quota = Quota::parse(text).map(|quota| (quota.count, quota.window.ms));
            assert_eq!(quota, *expected, "{text}");
        }
    }
}
