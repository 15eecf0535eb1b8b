//! The rate limit service's two messages, and the name of its cluster, in protobuf's wire form.
//!
//! **In:** descriptors and hits; the bytes of an answer. **Out:** bytes of a request; [`Answer`], or nothing.
//! **Invariant:** an answer is read only if every byte of it fits; what it does not say clearly (no code, an unknown
//! one) is no answer. Fields this filter does not use are skipped, whatever they hold.
//! **Source:** `envoy/service/ratelimit/v3/rls.proto`, `envoy/extensions/common/ratelimit/v3/ratelimit.proto`,
//! `envoy/config/core/v3/grpc_service.proto`, protobuf's encoding guide.
//! **Cost:** linear; at most [`MAX_ANSWER_BYTES`] are read.

use alloc::vec::Vec;

/// Bytes of an answer that are read; a longer one is garbage.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

// Wire types, in the low three bits of a tag.
const VARINT: u64 = 0;
const I64: u64 = 1;
const LENGTH: u64 = 2;
const I32: u64 = 5;

/// What a service says of one descriptor, or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// It does not say.
    Unknown,
    Ok,
    OverLimit,
}

/// What it says of one descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) code: Code,
    /// Milliseconds until its counter starts afresh, rounded up.
    pub(super) reset_ms: Option<u64>,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Some limit is exceeded.
    pub(super) over: bool,
    /// In the order of the descriptors; empty when the service says nothing of them.
    pub(super) statuses: Vec<Status>,
}

/// `envoy.config.core.v3.GrpcService` of a cluster: a bare name could be read as a message.
pub(super) fn grpc_service(cluster: &[u8]) -> Vec<u8> {
    let mut inner = Vec::new();
    bytes_field(1, cluster, &mut inner);
    let mut out = Vec::new();
    bytes_field(1, &inner, &mut out);
    out
}

/// `RateLimitDescriptor` of these entries.
pub(super) fn descriptor<'a>(entries: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut entry = Vec::new();
    for (key, value) in entries {
        entry.clear();
        bytes_field(1, key, &mut entry);
        bytes_field(2, value, &mut entry);
        bytes_field(1, &entry, &mut out);
    }
    out
}

/// `RateLimitRequest`. Each descriptor comes with its hits; where they differ each names its own, and the request the
/// most: a service that knows only the request's counts too much, not too little.
pub(super) fn request<'a>(
    domain: &[u8],
    descriptors: impl Iterator<Item = (&'a [u8], u32)> + Clone,
) -> Vec<u8> {
    let most = descriptors
        .clone()
        .fold(0_u32, |most, (_, hits)| most.max(hits));
    let mut out = Vec::new();
    bytes_field(1, domain, &mut out);
    let mut whole = Vec::new();
    for (descriptor, hits) in descriptors {
        whole.clear();
        whole.extend_from_slice(descriptor);
        if hits != most {
            let mut wrapped = Vec::new();
            number_field(1, u64::from(hits), &mut wrapped);
            bytes_field(3, &wrapped, &mut whole);
        }
        bytes_field(2, &whole, &mut out);
    }
    number_field(3, u64::from(most), &mut out);
    out
}

/// `RateLimitResponse`.
pub(super) fn answer(message: &[u8]) -> Option<Answer> {
    if message.len() > MAX_ANSWER_BYTES {
        return None;
    }
    let mut overall = Code::Unknown;
    let mut statuses = Vec::new();
    let mut fields = Fields(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Number(code)) => overall = Code::of(code),
            (2, Value::Bytes(message)) => statuses.push(status(message)?),
            // Another wire type for a known field is another message.
            (1 | 2, _) => return None,
            _ => {}
        }
    }
    let over = match overall {
        Code::Ok => false,
        Code::OverLimit => true,
        Code::Unknown => return None,
    };
    Some(Answer { over, statuses })
}

impl Code {
    const fn of(code: u64) -> Self {
        match code {
            1 => Self::Ok,
            2 => Self::OverLimit,
            _ => Self::Unknown,
        }
    }
}

/// `DescriptorStatus`.
fn status(message: &[u8]) -> Option<Status> {
    let mut status = Status {
        code: Code::Unknown,
        reset_ms: None,
    };
    let mut fields = Fields(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Number(code)) => status.code = Code::of(code),
            (4, Value::Bytes(message)) => status.reset_ms = Some(duration_ms(message)?),
            (1 | 4, _) => return None,
            _ => {}
        }
    }
    Some(status)
}

/// `google.protobuf.Duration`, rounded up; a negative one is over.
fn duration_ms(message: &[u8]) -> Option<u64> {
    let (mut seconds, mut nanos) = (0_u64, 0_u64);
    let mut fields = Fields(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Number(number)) => seconds = number,
            (2, Value::Number(number)) => nanos = number,
            (1 | 2, _) => return None,
            _ => {}
        }
    }
    // Negative numbers are written as huge ones.
    if i64::try_from(seconds).is_err() || i64::try_from(nanos).is_err() {
        return Some(0);
    }
    let fraction = nanos.min(999_999_999).div_ceil(1_000_000);
    Some(seconds.saturating_mul(1000).saturating_add(fraction))
}

/// The value of a field.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// The fields of a message that are left.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The next field; nothing at the end. `None`: this is no message.
    #[expect(
        clippy::option_option,
        reason = "the outer one is the `?` of a broken message, the inner one the end"
    )]
    fn next(&mut self) -> Option<Option<(u64, Value<'a>)>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        let value = match tag & 7 {
            VARINT => Value::Number(self.varint()?),
            LENGTH => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            I64 => {
                self.take(8)?;
                Value::Fixed
            }
            I32 => {
                self.take(4)?;
                Value::Fixed
            }
            _ => return None,
        };
        (number != 0).then_some(Some((number, value)))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// At most ten bytes; bits beyond the 64th make it none.
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        let mut shift = 0_u32;
        loop {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if shift >= 63 && bits > 1 {
                return None;
            }
            number |= bits.wrapping_shl(shift);
            if byte & 0x80 == 0 {
                return Some(number);
            }
            shift = shift.saturating_add(7);
            if shift > 63 {
                return None;
            }
        }
    }
}

fn bytes_field(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    push_varint(tag(number, LENGTH), out);
    push_varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(bytes);
}

fn number_field(number: u8, value: u64, out: &mut Vec<u8>) {
    push_varint(tag(number, VARINT), out);
    push_varint(value, out);
}

fn tag(number: u8, kind: u64) -> u64 {
    u64::from(number).wrapping_shl(3) | kind
}

fn push_varint(mut number: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `overall_code: OVER_LIMIT`, a status with limit, remaining and 1.5 s, a header to add.
    const OVER: &[u8] = b"\x08\x02\x12\x13\x08\x02\x12\x07\x08\x05\x10\x03\x1a\x01a\x18\x00\
        \x22\x06\x08\x01\x10\x80\xca\xb5\xee\x01\x1a\x04\x0a\x02ab";

    fn over() -> Vec<u8> {
        // The status's length is counted, not guessed.
        let status: &[u8] = b"\x08\x02\x12\x07\x08\x05\x10\x03\x1a\x01a\x18\x00\x22\x08\x08\x01\x10\x80\xca\xb5\xee\x01";
        let mut out = b"\x08\x02".to_vec();
        bytes_field(2, status, &mut out);
        bytes_field(3, b"\x0a\x02ab", &mut out);
        out
    }

    #[test]
    fn requests_are_what_a_protobuf_library_writes() {
        let one = descriptor([(&b"limit"[..], &b"api"[..]), (b"key", b"k")].into_iter());
        assert_eq!(
            one,
            b"\x0a\x0c\x0a\x05limit\x12\x03api\x0a\x08\x0a\x03key\x12\x01k"
        );
        let same = request(b"edge", [(one.as_slice(), 1_u32)].into_iter());
        let mut expected = b"\x0a\x04edge\x12\x18".to_vec();
        expected.extend_from_slice(&one);
        expected.extend_from_slice(b"\x18\x01");
        assert_eq!(same, expected);
        // The request names the most, whoever has less its own.
        let two = request(b"e", [(&b"a"[..], 300_u32), (b"b", 2)].into_iter());
        assert_eq!(
            two,
            b"\x0a\x01e\x12\x01a\x12\x05b\x1a\x02\x08\x02\x18\xac\x02"
        );
        assert_eq!(grpc_service(b"idp"), b"\x0a\x05\x0a\x03idp");
    }

    #[test]
    fn answers() {
        let status = |code, reset_ms| Status { code, reset_ms };
        let good = |over, statuses| Some(Answer { over, statuses });
        let table: [(&[u8], Option<Answer>); 16] = [
            (b"\x08\x01", good(false, Vec::new())),
            (b"\x08\x02", good(true, Vec::new())),
            // The last one counts; unknown fields are skipped.
            (b"\x08\x02\x08\x01", good(false, Vec::new())),
            (
                b"\x08\x01\x31aaaaaaaa\x35bbbb\x38\x05\x42\x01x",
                good(false, Vec::new()),
            ),
            (
                b"\x08\x01\x12\x02\x08\x01",
                good(false, [status(Code::Ok, None)].into()),
            ),
            (
                b"\x08\x01\x12\x00",
                good(false, [status(Code::Unknown, None)].into()),
            ),
            // Nothing, or nothing known, said.
            (b"", None),
            (b"\x08\x00", None),
            (b"\x08\x07", None),
            (b"\x12\x02\x08\x02", None),
            // Broken.
            (b"\x08", None),
            (b"\x08\x01\x12\x09a", None),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", None),
            (b"\x0b\x08\x01", None),
            (b"\x0a\x01a", None),
            (b"\x00\x01", None),
        ];
        for (bytes, expected) in table {
            assert_eq!(answer(bytes), expected, "{}", bytes.escape_ascii());
        }
        assert_eq!(
            answer(&over()),
            good(true, [status(Code::OverLimit, Some(1500))].into())
        );
        assert!(answer(OVER).is_none(), "a duration that is cut off");
        assert!(
            answer(
                &[
                    b"\x08\x01".as_slice(),
                    &[0x42, 1, 0].repeat(MAX_ANSWER_BYTES / 3)
                ]
                .concat()
            )
            .is_none()
        );
    }

    #[test]
    fn durations_are_rounded_up_and_never_negative() {
        let table: [(&[u8], Option<u64>); 6] = [
            (b"", Some(0)),
            (b"\x08\x02", Some(2000)),
            (b"\x10\x01", Some(1)),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Some(0)),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f", Some(u64::MAX)),
            (b"\x0a\x00", None),
        ];
        for (bytes, expected) in table {
            assert_eq!(duration_ms(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn an_answer_cut_or_changed_anywhere_is_survived() {
        let whole = over();
        for cut in 0..whole.len() {
            let found = answer(&whole[..cut]);
            // After a whole field it says less, never something else.
            assert!(found.is_none_or(|found| found.over), "cut at {cut}");
        }
        for place in 0..whole.len() {
            for byte in 0..=255 {
                let mut bytes = whole.clone();
                bytes[place] = byte;
                let _ = answer(&bytes);
            }
        }
    }
}
