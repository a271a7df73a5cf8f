//! Images in memory, from JPEG, PNG, TIFF and BMP files: 8 and 16 bits, grey or RGB. The format is told by the content.
//!
//! JPEG leaves the last bit of a pixel to the decoder. Networks are trained on what libjpeg-turbo makes of it (Pillow,
//! OpenCV, torchvision), so a decoder that gives the same pixels is used here.
//!
//! Left out: alpha is dropped; the orientation that a camera notes in EXIF is not applied, as Pillow's `Image.open`
//! does not apply it either.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};
use libjpeg_turbo_rs::{DecodeLimits, Decoder, JpegError, PixelFormat};

use crate::error::{Error, Result};

/// Pixels an image has at most: far above any crop, and refused from the header, before memory is taken.
pub const MAX_PIXELS: u64 = 64_000_000;

/// Bytes an image file has at most.
const MAX_BYTES: u64 = 1 << 30;

/// Passes over the image a progressive JPEG takes at most.
const MAX_SCANS: usize = 200;

/// An image: grey or RGB, each value from 0 to 255. Images of 16 bits keep their fraction.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    height: usize,
    width: usize,
    channels: usize,
    /// C·H·W values.
    values: Vec<f32>,
}

impl Image {
    /// Decodes the file at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read, [`Error::Image`] when it is no image that can be used.
    pub fn open(path: &Path) -> Result<Self> {
        let about = std::fs::metadata(path).map_err(|e| Error::io(path, "read", e))?;
        // Asked before reading: a pipe would wait for its other end.
        if !about.is_file() {
            let what = if about.is_dir() { "a folder" } else { "no regular file" };
            return Err(Error::image(path, format!("is {what} where an image belongs")));
        }
        if about.len() > MAX_BYTES {
            let problem = format!("has {} bytes: an image file may have {MAX_BYTES}", about.len());
            return Err(Error::image(path, problem));
        }
        Self::from_bytes(path, &std::fs::read(path).map_err(|e| Error::io(path, "read", e))?)
    }

    /// Decodes a file in memory; `path` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Image`] when it is no image that can be used.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        match bytes {
            [] => Err(Error::image(path, "is empty: copy the image again")),
            [0xFF, 0xD8, ..] => Self::read_jpeg(path, bytes),
            _ => Self::read(path, bytes),
        }
    }

    /// An image of 8-bit pixels, row by row from the top, channels together: one for grey, three for RGB.
    ///
    /// # Errors
    /// [`Error::Shape`] when `pixels` is not height · width · channels values, or there are none.
    pub fn from_pixels(height: usize, width: usize, channels: usize, pixels: &[u8]) -> Result<Self> {
        let expected = height.checked_mul(width).and_then(|n| n.checked_mul(channels));
        if expected != Some(pixels.len()) || pixels.is_empty() || !matches!(channels, 1 | 3) {
            return Err(Error::Shape {
                what: "pixels".into(),
                expected: "height × width × channels values, at least one, 1 or 3 channels".into(),
                got: format!("{} for {height}×{width}×{channels}", pixels.len()),
            });
        }
        Ok(Self::planar(height, width, channels, channels, pixels.iter().map(|&v| f32::from(v)).collect()))
    }

    fn read_jpeg(path: &Path, bytes: &[u8]) -> Result<Self> {
        let limits = DecodeLimits {
            max_pixels: MAX_PIXELS,
            max_scans: MAX_SCANS,
            max_memory: Some(32 * MAX_PIXELS),
            ..DecodeLimits::default()
        };
        let decoded = Decoder::new_with_limits(bytes, limits)
            .map(|decoder| decoder.with_stop_on_warning(true))
            .and_then(|decoder| decoder.decode_image())
            .map_err(|e| Error::image(path, describe_jpeg(&e)))?;
        if !is_whole_jpeg(bytes) {
            return Err(Error::image(path, describe_jpeg(&JpegError::UnexpectedEof)));
        }
        let channels = match decoded.pixel_format {
            PixelFormat::Grayscale => 1,
            PixelFormat::Rgb => 3,
            _ => return Err(Error::image(path, "is neither grey nor RGB: save it as one of them")),
        };
        Self::from_pixels(decoded.height, decoded.width, channels, &decoded.data)
            .map_err(|e| Error::image(path, format!("cannot be decoded: {e}")))
    }

    fn read(path: &Path, bytes: &[u8]) -> Result<Self> {
        let broken = |e: ImageError| Error::image(path, describe(&e));
        let reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|e| Error::io(path, "read", e))?;
        if reader.format().is_none() {
            return Err(Error::image(path, "is no JPEG, PNG, TIFF or BMP image"));
        }
        let mut decoder = reader.into_decoder().map_err(broken)?;
        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 || pixels > MAX_PIXELS {
            let problem = format!("has {width}×{height} pixels: an image must have 1 to {MAX_PIXELS}");
            return Err(Error::image(path, problem));
        }
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(16 * pixels + (64 << 20));
        decoder.set_limits(limits).map_err(broken)?;
        let decoded = DynamicImage::from_decoder(decoder).map_err(broken)?;
        Self::of(path, decoded)
    }

    fn of(path: &Path, decoded: DynamicImage) -> Result<Self> {
        let (height, width) = (decoded.height() as usize, decoded.width() as usize);
        let byte = |values: Vec<u8>| values.into_iter().map(f32::from).collect();
        // 65535 becomes 255.
        let word = |values: Vec<u16>| values.into_iter().map(|v| f32::from(v) / 257.0).collect();
        let (stride, channels, values) = match decoded {
            DynamicImage::ImageLuma8(image) => (1, 1, byte(image.into_raw())),
            DynamicImage::ImageLumaA8(image) => (2, 1, byte(image.into_raw())),
            DynamicImage::ImageRgb8(image) => (3, 3, byte(image.into_raw())),
            DynamicImage::ImageRgba8(image) => (4, 3, byte(image.into_raw())),
            DynamicImage::ImageLuma16(image) => (1, 1, word(image.into_raw())),
            DynamicImage::ImageLumaA16(image) => (2, 1, word(image.into_raw())),
            DynamicImage::ImageRgb16(image) => (3, 3, word(image.into_raw())),
            DynamicImage::ImageRgba16(image) => (4, 3, word(image.into_raw())),
            _ => {
                return Err(Error::image(
                    path,
                    "has pixels of real numbers: save it with 8 or 16 bits a channel",
                ));
            }
        };
        Ok(Self::planar(height, width, stride, channels, values))
    }

    /// From values that lie pixel by pixel, `stride` of them each, of which the first `channels` count.
    fn planar(height: usize, width: usize, stride: usize, channels: usize, values: Vec<f32>) -> Self {
        let values = match stride {
            1 => values,
            _ => (0..channels).flat_map(|c| values.iter().skip(c).step_by(stride).copied()).collect(),
        };
        Image { height, width, channels, values }
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// 1 for grey, 3 for RGB.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// C·H·W values from 0 to 255.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// A decoder's complaint as the rest of a sentence.
fn describe(error: &ImageError) -> String {
    let reason = match error {
        ImageError::IoError(_) => "it is cut off".to_string(),
        ImageError::Limits(_) => "it asks for too much memory".to_string(),
        other => other.to_string().replace('\n', " "),
    };
    format!("cannot be decoded: {reason}")
}

/// Whether the end-of-image marker follows the last scan: the decoder fills up with grey what a cut-off file lacks. Neither
/// marker can stand inside a scan, where 0xFF is followed by 0x00 or a restart marker.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    let marker = |code: u8| move |pair: &[u8]| pair == [0xFF, code];
    let scan = bytes.windows(2).rposition(marker(0xDA));
    scan.is_some_and(|at| bytes[at..].windows(2).any(marker(0xD9)))
}

fn describe_jpeg(error: &JpegError) -> String {
    match error {
        JpegError::LimitExceeded { what, actual, limit } => {
            format!("is too large: its {what} of {actual} exceeds {limit}")
        }
        JpegError::UnexpectedEof => "cannot be decoded: it is cut off".to_string(),
        other => format!("cannot be decoded: {}", other.to_string().replace('\n', " ")),
    }
}
