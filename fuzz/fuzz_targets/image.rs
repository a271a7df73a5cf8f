//! Any bytes as an image: decoding ends in an image or an error.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use nodal::Image;

fuzz_target!(|data: &[u8]| {
    let _ = Image::from_bytes(Path::new("fuzz"), data);
});
