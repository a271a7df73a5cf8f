//! A digest that tells whether two runs saw the same data: XXH3 with 128 bits, no defence against forgery.
//!
//! Over, for each sample in order: length and bytes of its name, the name of its class, its node, patient and view (nothing counts
//! as empty), and of its file; lengths as 64-bit little-endian numbers. Where the data lie makes no difference.
//! Source of the hash: <https://github.com/Cyan4973/xxHash>, XXH3_128bits without seed.

use xxhash_rust::xxh3::Xxh3;

use super::Dataset;
use crate::error::{Error, Result};

impl Dataset {
    /// The digest of all names, labels and files, as `xxh3-128:` and 32 hexadecimal digits.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read.
    pub fn digest(&self) -> Result<String> {
        let mut hash = Xxh3::new();
        let mut add = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for sample in self.samples() {
            add(self.name(sample).as_bytes());
            add(self.classes()[sample.label].as_bytes());
            for known in [&sample.node, &sample.patient, &sample.view] {
                add(known.as_deref().unwrap_or_default().as_bytes());
            }
            let image = &sample.image;
            add(&std::fs::read(image).map_err(|e| Error::io(image, "read", e))?);
        }
        Ok(format!("xxh3-128:{:032x}", hash.digest128()))
    }
}
