//! Images in memory, from JPEG, PNG, TIFF and BMP files: 1 to 16 bits, grey, RGB or from a palette. The format is told by
//! the content, and limits are checked in the header, before memory is taken for pixels.
//!
//! JPEG leaves the last bit of a pixel to the decoder. Networks are trained on what libjpeg-turbo makes of it (Pillow,
//! OpenCV, torchvision), so a decoder that gives the same pixels is used here.
//!
//! Pixels are kept as the file has them, 8 or 16 bits, and become float32 on the scale 0 to 255 when they are read.
//!
//! Left out: alpha is dropped, a pixel keeps the colour that stands in the file; the orientation that a camera notes in
//! EXIF is not applied, as Pillow's `Image.open` does not apply it either; palettes in TIFF, and pixels of real numbers.
//!
//! Not noticed: a JPEG scan that ends early and properly, end marker and all. It is filled up as libjpeg fills it.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use libjpeg_turbo_rs::{DecodeLimits, Decoder, JpegError, PixelFormat};

use super::tiff::overlong_entry;
use crate::error::{Error, Result};

/// Pixels an image has at most: far above any crop, and refused from the header, before memory is taken.
pub const MAX_PIXELS: u64 = 64_000_000;

/// Rows and columns an image has at most: bounds what scaling needs beside the image.
pub const MAX_SIDE: usize = 32_768;

/// Bytes an image file has at most.
const MAX_BYTES: u64 = 512 << 20;

/// Bytes that decoding may take at most, the image included.
const MAX_MEMORY: u64 = 768 << 20;

/// Formats told by their content, beside JPEG.
const FORMATS: [ImageFormat; 3] = [ImageFormat::Png, ImageFormat::Tiff, ImageFormat::Bmp];

/// Passes over the image a progressive JPEG takes at most.
const MAX_SCANS: usize = 200;

/// An image: grey or RGB, each value from 0 to 255. Images of 16 bits keep their fraction: a value is v / 257.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    height: usize,
    width: usize,
    channels: usize,
    samples: Samples,
}

/// H·W·C samples, channels together.
#[derive(Clone, Debug, PartialEq)]
enum Samples {
    Byte(Vec<u8>),
    Word(Vec<u16>),
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

    /// An image of 8-bit pixels [H, W, C], row by row from the top, channels together: one for grey, three for RGB.
    ///
    /// # Errors
    /// [`Error::Shape`] when `pixels` is not height · width · channels values, there are none, or more than
    /// [`MAX_PIXELS`] or [`MAX_SIDE`] allow.
    pub fn from_pixels(height: usize, width: usize, channels: usize, pixels: &[u8]) -> Result<Self> {
        check_shape(height, width, channels, pixels.len())?;
        Ok(Image { height, width, channels, samples: Samples::Byte(pixels.to_vec()) })
    }

    /// As [`Image::from_pixels`], with 16 bits a sample: 65535 is white.
    ///
    /// # Errors
    /// As [`Image::from_pixels`].
    pub fn from_pixels_u16(height: usize, width: usize, channels: usize, pixels: &[u16]) -> Result<Self> {
        check_shape(height, width, channels, pixels.len())?;
        Ok(Image { height, width, channels, samples: Samples::Word(pixels.to_vec()) })
    }

    fn read_jpeg(path: &Path, bytes: &[u8]) -> Result<Self> {
        let limits = DecodeLimits {
            max_pixels: MAX_PIXELS,
            max_width: MAX_SIDE,
            max_height: MAX_SIDE,
            max_scans: MAX_SCANS,
            max_memory: Some(MAX_MEMORY),
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
        check_shape(decoded.height, decoded.width, channels, decoded.data.len())
            .map_err(|e| Error::image(path, format!("cannot be decoded: {e}")))?;
        let (height, width) = (decoded.height, decoded.width);
        Ok(Image { height, width, channels, samples: Samples::Byte(decoded.data) })
    }

    fn read(path: &Path, bytes: &[u8]) -> Result<Self> {
        let broken = |e: ImageError| Error::image(path, describe(&e));
        let reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|e| Error::io(path, "read", e))?;
        if !reader.format().is_some_and(|format| FORMATS.contains(&format)) {
            // DICOM PS3.10, 7.1: after 128 bytes of preamble.
            let problem = match bytes.get(128..132) {
                Some(b"DICM") => "is DICOM: export the crop as PNG, which loses nothing",
                _ => "is no JPEG, PNG, TIFF or BMP image",
            };
            return Err(Error::image(path, problem));
        }
        if reader.format() == Some(ImageFormat::Tiff)
            && let Some((tag, count)) = overlong_entry(bytes)
        {
            let problem =
                format!("cannot be decoded: it has no room for the {count} values of its tag {tag}");
            return Err(Error::image(path, problem));
        }
        let mut decoder = reader.into_decoder().map_err(broken)?;
        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 || pixels > MAX_PIXELS || width.max(height) as usize > MAX_SIDE {
            let problem = format!(
                "has {width}×{height} pixels: an image must have 1 to {MAX_PIXELS}, and {MAX_SIDE} a side"
            );
            return Err(Error::image(path, problem));
        }
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(MAX_MEMORY);
        decoder.set_limits(limits).map_err(broken)?;
        let decoded = DynamicImage::from_decoder(decoder).map_err(broken)?;
        Self::of(path, decoded)
    }

    fn of(path: &Path, decoded: DynamicImage) -> Result<Self> {
        let (height, width) = (decoded.height() as usize, decoded.width() as usize);
        let (channels, samples) = match decoded {
            DynamicImage::ImageLuma8(image) => (1, Samples::Byte(image.into_raw())),
            DynamicImage::ImageLumaA8(image) => (1, Samples::Byte(without_alpha::<_, 2>(image.into_raw()))),
            DynamicImage::ImageRgb8(image) => (3, Samples::Byte(image.into_raw())),
            DynamicImage::ImageRgba8(image) => (3, Samples::Byte(without_alpha::<_, 4>(image.into_raw()))),
            DynamicImage::ImageLuma16(image) => (1, Samples::Word(image.into_raw())),
            DynamicImage::ImageLumaA16(image) => (1, Samples::Word(without_alpha::<_, 2>(image.into_raw()))),
            DynamicImage::ImageRgb16(image) => (3, Samples::Word(image.into_raw())),
            DynamicImage::ImageRgba16(image) => (3, Samples::Word(without_alpha::<_, 4>(image.into_raw()))),
            _ => {
                return Err(Error::image(
                    path,
                    "has pixels of real numbers: save it with 8 or 16 bits a channel",
                ));
            }
        };
        Ok(Image { height, width, channels, samples })
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

    /// All values [C, H, W], from 0 to 255.
    pub fn values(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.channels * self.height * self.width];
        for (row, out) in values.chunks_exact_mut(self.width).enumerate() {
            self.read_row(row / self.height, row % self.height, out);
        }
        values
    }

    /// Bytes of memory that the pixels take.
    #[cfg(feature = "train")]
    pub(super) fn memory_bytes(&self) -> usize {
        match &self.samples {
            Samples::Byte(all) => all.len(),
            Samples::Word(all) => 2 * all.len(),
        }
    }

    /// Pixels [H, W, C] of an image of 8 bits.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match &self.samples {
            Samples::Byte(all) => Some(all),
            Samples::Word(_) => None,
        }
    }

    /// One row of one channel into `out`, W values from 0 to 255.
    pub(super) fn read_row(&self, channel: usize, row: usize, out: &mut [f32]) {
        let start = row * self.width * self.channels;
        match &self.samples {
            Samples::Byte(all) => spread(&all[start..], self.channels, channel, out, f32::from),
            // 65535 becomes 255.
            Samples::Word(all) => {
                spread(&all[start..], self.channels, channel, out, |v| f32::from(v) / 257.0);
            }
        }
    }
}

/// Every `channels`-th sample from `channel` on, as many as `out` takes.
fn spread<T: Copy>(
    samples: &[T],
    channels: usize,
    channel: usize,
    out: &mut [f32],
    value: impl Fn(T) -> f32,
) {
    match channels {
        1 => out.iter_mut().zip(samples).for_each(|(y, x)| *y = value(*x)),
        _ => out.iter_mut().zip(samples.chunks_exact(channels)).for_each(|(y, x)| *y = value(x[channel])),
    }
}

/// Samples in groups of `N`, less the last of each group.
fn without_alpha<T: Copy, const N: usize>(mut samples: Vec<T>) -> Vec<T> {
    let pixels = samples.len() / N;
    for pixel in 0..pixels {
        samples.copy_within(pixel * N..pixel * N + N - 1, pixel * (N - 1));
    }
    samples.truncate(pixels * (N - 1));
    samples
}

/// Whether `got` samples make an image of this shape.
///
/// # Errors
/// [`Error::Shape`] when they do not.
fn check_shape(height: usize, width: usize, channels: usize, got: usize) -> Result<()> {
    let pixels = height.checked_mul(width);
    let fits = pixels.and_then(|n| n.checked_mul(channels)) == Some(got);
    let allowed = pixels.is_some_and(|n| n as u64 <= MAX_PIXELS) && height.max(width) <= MAX_SIDE;
    if !fits || !allowed || got == 0 || !matches!(channels, 1 | 3) {
        return Err(Error::Shape {
            what: "pixels".into(),
            expected: format!(
                "height × width × channels values, 1 or 3 channels, 1 to {MAX_PIXELS} pixels, {MAX_SIDE} a side"
            ),
            got: format!("{got} for {height}×{width}×{channels}"),
        });
    }
    Ok(())
}

/// A decoder's complaint as the rest of a sentence.
fn describe(error: &ImageError) -> String {
    let reason = match error {
        ImageError::IoError(_) => "it is cut off".to_string(),
        ImageError::Limits(_) => "it asks for too much memory".to_string(),
        ImageError::Decoding(e) => one_clause(std::error::Error::source(e).unwrap_or(e)),
        other => one_clause(other),
    };
    format!("cannot be decoded: {reason}")
}

/// What `error` says, without the ends of its sentences.
fn one_clause(error: &dyn std::error::Error) -> String {
    let text = error.to_string().replace('\n', " ").replace(". ", "; ");
    text.trim_end_matches(['.', ' ']).to_string()
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
        other => format!("cannot be decoded: {}", one_clause(other)),
    }
}
