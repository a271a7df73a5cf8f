//! Images that must be refused: each with one sentence, and without memory on the file's word alone.
#![allow(clippy::unwrap_used)] // a test may panic

#[path = "weights_hostile/memory.rs"]
mod memory;

use std::fs;
use std::path::Path;

use nodal::{Error, Image};

fn file(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

/// `bytes` with those from `at` on replaced.
fn with(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

/// Where `marker` stands in `bytes`.
fn find(bytes: &[u8], marker: &[u8]) -> usize {
    bytes.windows(marker.len()).position(|w| w == marker).unwrap()
}

/// `grey.jpg` that claims another size.
fn jpeg_of(height: u16, width: u16) -> Vec<u8> {
    let whole = file("grey.jpg");
    let at = find(&whole, &[0xFF, 0xC0]) + 5;
    with(with(whole, at, &height.to_be_bytes()), at + 2, &width.to_be_bytes())
}

/// `grey.png` that claims another size, with the checksum to match.
fn png_of(height: u32, width: u32) -> Vec<u8> {
    let mut whole = with(with(file("grey.png"), 16, &width.to_be_bytes()), 20, &height.to_be_bytes());
    let mut crc = u32::MAX;
    for byte in &whole[12..29] {
        crc ^= u32::from(*byte);
        (0..8).for_each(|_| crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()));
    }
    whole[29..33].copy_from_slice(&(!crc).to_be_bytes());
    whole
}

/// A big-endian TIFF of grey bytes whose entry `tag` holds `value` instead.
fn tiff_with(tag: u16, value: u32) -> Vec<u8> {
    let whole = file("white-zero.tif");
    let at = find(&whole, &[&tag.to_be_bytes()[..], &[0]].concat()) + 8;
    with(whole, at, &value.to_be_bytes())
}

/// A TIFF whose width is a text of `count` bytes.
fn width_of_text(count: u32) -> Vec<u8> {
    let whole = file("white-zero.tif");
    let at = find(&whole, &[1, 0, 0, 4]) + 2;
    with(with(whole, at, &2u16.to_be_bytes()), at + 2, &count.to_be_bytes())
}

/// A bitmap's header with nothing behind it.
fn bmp_of(height: i32, width: i32) -> Vec<u8> {
    with(with(file("rgb.bmp")[..60].to_vec(), 18, &width.to_le_bytes()), 22, &height.to_le_bytes())
}

fn broken() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let jpeg = file("grey.jpg");
    let scan = find(&jpeg, &[0xFF, 0xDA]);
    vec![
        ("empty.jpg", vec![], "is empty"),
        ("text.jpg", b"not an image at all, only text".to_vec(), "is no JPEG, PNG, TIFF or BMP image"),
        ("animation.gif", b"GIF89a\x01\0\x01\0\0\0\0;".to_vec(), "is no JPEG, PNG, TIFF or BMP image"),
        ("web.png", b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0".to_vec(), "is no JPEG, PNG, TIFF or BMP image"),
        ("magic.jpg", vec![0xFF, 0xD8], "cannot be decoded"),
        ("header.jpg", jpeg[..20].to_vec(), "cannot be decoded"),
        ("tables.jpg", jpeg[..scan].to_vec(), "cannot be decoded"),
        ("half.jpg", jpeg[..jpeg.len() / 2 + scan / 2].to_vec(), "cannot be decoded"),
        ("no-end.jpg", jpeg[..jpeg.len() - 2].to_vec(), "cannot be decoded"),
        ("flat.jpg", jpeg_of(0, 37), "cannot be decoded"),
        ("narrow.jpg", jpeg_of(23, 0), "cannot be decoded"),
        ("huge.jpg", jpeg_of(10_000, 10_000), "is too large"),
        ("long.jpg", jpeg_of(8, 65_000), "is too large"),
        ("signature.png", file("grey.png")[..8].to_vec(), "cannot be decoded"),
        ("checksum.png", with(file("grey.png"), 29, &[1, 2, 3, 4]), "cannot be decoded"),
        ("data.png", with(file("grey.png"), 60, &[0; 40]), "cannot be decoded"),
        ("half.png", file("grey.png")[..450].to_vec(), "cannot be decoded: it is cut off"),
        ("huge.png", png_of(10_000, 10_000), "has 10000×10000 pixels"),
        ("long.png", png_of(1, 40_000), "has 40000×1 pixels"),
        ("endless.png", png_of(0x7FFF_FFFF, 0x7FFF_FFFF), "cannot be decoded: it asks for too much memory"),
        ("flat.png", png_of(0, 37), "cannot be decoded"),
        ("taller.png", png_of(5000, 37), "cannot be decoded"),
        ("huge.tif", tiff_with(256, 200_000_000), "pixels: an image must have 1 to"),
        ("flat.tif", tiff_with(257, 0), "cannot be decoded"),
        ("outside.tif", tiff_with(273, 0x7FFF_FFFF), "cannot be decoded"),
        ("method.tif", tiff_with(259, 0x0007_0000), "cannot be decoded"),
        ("text.tif", width_of_text(200_000_000), "it has no room for the 200000000 values of its tag 256"),
        ("more-text.tif", width_of_text(u32::MAX), "it has no room for the 4294967295 values of its tag 256"),
        ("big.tif", b"II\x2b\0\x08\0\0\0\x10\0\0\0\0\0\0\0".to_vec(), "is no JPEG, PNG, TIFF or BMP image"),
        ("half.tif", file("deep.tif")[..600].to_vec(), "cannot be decoded"),
        ("header.tif", b"II*\0\xff\xff\xff\xff".to_vec(), "cannot be decoded"),
        ("huge.bmp", bmp_of(10_000, 10_000), "has 10000×10000 pixels"),
        ("flat.bmp", bmp_of(0, 17), "cannot be decoded"),
        ("negative.bmp", bmp_of(29, -17), "cannot be decoded"),
        ("upside-down.bmp", bmp_of(i32::MIN, 17), "cannot be decoded"),
        ("half.bmp", file("rgb.bmp")[..700].to_vec(), "cannot be decoded: it is cut off"),
    ]
}

#[test]
fn broken_images_are_refused_with_one_sentence_and_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (name, bytes, says) in broken() {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let (result, peak) = memory::peak_bytes(|| Image::open(&path));
        let Err(error) = result else {
            wrong.push(format!("{name}: accepted"));
            continue;
        };
        let message = error.to_string();
        let start = format!("{}: ", path.display());
        let sentence = message.strip_prefix(&start).unwrap_or_default();
        let one = !sentence.contains('\n') && !sentence.contains(". ") && !sentence.ends_with('.');
        if !matches!(error, Error::Image { .. }) || !sentence.contains(says) || !one {
            wrong.push(format!("{name}: expected `{says}` in: {message}"));
        }
        // Tables and buffers of a decoder, and nothing of the size that a header claims.
        if peak > 4 << 20 {
            wrong.push(format!("{name}: took {peak} bytes"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path| Image::open(path).unwrap_err().to_string();
    assert!(refused(folder.path()).ends_with("is a folder where an image belongs"));
    assert!(refused(&folder.path().join("missing.jpg")).contains("missing.jpg: cannot read"));
    assert!(refused(&folder.path().join("\0.jpg")).contains("cannot read"));
    let dicom = folder.path().join("scan.dcm");
    std::fs::write(&dicom, [&[0; 128][..], b"DICM\x02\0\0\0"].concat()).unwrap();
    assert!(refused(&dicom).contains("scan.dcm: is DICOM: export the crop as PNG"));
    #[cfg(unix)]
    assert!(refused(Path::new("/dev/zero")).ends_with("is no regular file where an image belongs"));
}

#[test]
fn the_content_tells_the_format_not_the_name() {
    let png = file("rgb.png");
    let expected = Image::from_bytes(Path::new("rgb.png"), &png).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.jpg", "b.tif", "c", "d.txt"] {
        fs::write(folder.path().join(name), &png).unwrap();
        assert_eq!(Image::open(&folder.path().join(name)).unwrap(), expected, "{name}");
    }
}
