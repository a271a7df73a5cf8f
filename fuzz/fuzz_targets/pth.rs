//! Any bytes as a `.pth`, and any bytes as the pickle inside one: opening and reading every tensor ends in a value or an
//! error.
#![no_main]

use std::io::Write;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use nodal::Weights;

fuzz_target!(|data: &[u8]| {
    read(data.to_vec());
    read(archive(data));
});

fn read(bytes: Vec<u8>) {
    if let Ok(weights) = Weights::from_bytes(Path::new("fuzz"), bytes) {
        let names: Vec<String> = weights.names().map(str::to_string).collect();
        for name in names {
            let _ = (weights.f32(&name), weights.f64(&name), weights.i64(&name));
        }
    }
}

/// A whole archive around `pickle`, with two storages of 64 bytes.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [("m/data.pkl", pickle), ("m/data/0", &[1; 64]), ("m/data/1", &[2; 64])] {
        archive.start_file(name, options).expect("a record begins");
        archive.write_all(bytes).expect("memory takes it");
    }
    archive.finish().expect("the archive ends").into_inner()
}
