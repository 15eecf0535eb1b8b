//! The codec of header maps: any bytes decode or are refused, and what decodes encodes to the same map.
#![no_main]
#![allow(dead_code, reason = "the library uses the rest")]

#[path = "../../../host-test/src/state/headers.rs"]
mod headers;
#[path = "../../../host-test/src/abi/pairs.rs"]
mod pairs;
/// Where the codec looks for `headers`.
mod state {
    pub(crate) use crate::headers;
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(fields) = pairs::decode(bytes) else {
        return;
    };
    let written = pairs::encode(&fields);
    assert_eq!(written.len(), pairs::encoded_size(&fields));
    assert!(written.len() <= bytes.len());
    assert_eq!(pairs::decode(&written), Some(fields));
});
