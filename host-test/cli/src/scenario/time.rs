//! Moments and spans of a scenario's virtual clock.

use std::fmt;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// A point in time: relative to now, or absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Seconds from now.
    Relative(i64),
    /// Seconds since 1970.
    Absolute(u64),
}

impl Default for Moment {
    fn default() -> Self {
        Self::Relative(0)
    }
}

impl Moment {
    /// Reads `+1h`, `-10m` or a number.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self> {
        if text.starts_with(['+', '-']) {
            return Ok(Self::Relative(Step::parse(text)?.ms / 1000));
        }
        Ok(Self::Absolute(
            text.parse()
                .with_context(|| format!("`{text}` is no time"))?,
        ))
    }

    /// Seconds since 1970, if now is `wall`.
    #[must_use]
    pub const fn at(self, wall: u64) -> u64 {
        match self {
            Self::Relative(seconds) => wall.saturating_add_signed(seconds),
            Self::Absolute(seconds) => seconds,
        }
    }
}

/// A signed span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Step {
    /// Milliseconds.
    pub ms: i64,
}

/// Milliseconds of the longest span: with it no clock overflows.
const LONGEST: i64 = 100 * 365 * 86_400_000;

impl Step {
    /// Reads `10m`, `-90s`, `+1h`, `250ms`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let (sign, rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        let (number, unit) = rest.split_at_checked(digits).unwrap_or((rest, ""));
        let number: i64 = number.parse().with_context(|| {
            format!("`{text}` is no span of time; write a number and a unit such as `10s`")
        })?;
        let unit = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => bail!("`{text}` has no unit; write one of ms, s, m, h, d"),
        };
        let ms = number.checked_mul(unit).filter(|ms| *ms <= LONGEST);
        let ms = ms.with_context(|| format!("`{text}` is more than a hundred years"))?;
        Ok(Self { ms: sign * ms })
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MomentVisitor;
        impl Visitor<'_> for MomentVisitor {
            type Value = Moment;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a span such as `-10m`, or seconds since 1970")
            }
            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Moment, E> {
                Ok(Moment::Absolute(seconds))
            }
            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Moment, E> {
                u64::try_from(seconds)
                    .map(Moment::Absolute)
                    .map_err(de::Error::custom)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
                Moment::parse(text).map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(MomentVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_an_end() {
        for (text, fits) in [
            ("36500d", true),
            ("-36500d", true),
            ("36501d", false),
            ("-9223372036854775807d", false),
            ("9223372036854775808ms", false),
        ] {
            assert_eq!(Step::parse(text).is_ok(), fits, "{text}");
        }
    }

    #[test]
    fn spans_are_read() {
        for (text, ms) in [
            ("10m", 600_000),
            ("-90s", -90_000),
            ("+1h", 3_600_000),
            ("250ms", 250),
            ("2d", 172_800_000),
        ] {
            assert_eq!(Step::parse(text).expect(text).ms, ms);
        }
        for text in ["", "10", "m", "1w", "1.5h", "--1s"] {
            assert!(Step::parse(text).is_err(), "{text}");
        }
        assert_eq!(Moment::parse("-10s").expect("relative").at(100), 90);
        assert_eq!(Moment::parse("77").expect("absolute").at(100), 77);
    }
}
