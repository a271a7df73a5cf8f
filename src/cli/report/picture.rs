//! Pictures inside the page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use nodal::Image;

/// A PNG as a `data:` address, from height, width and its grey or red, green and blue pixels.
///
/// # Errors
/// When they are no picture.
pub fn png(height: usize, width: usize, pixels: &[u8]) -> anyhow::Result<String> {
    let color = if pixels.len() == height * width { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(pixels, u32::try_from(width)?, u32::try_from(height)?, color)?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(bytes)))
}

/// An image at its own size.
///
/// # Errors
/// When it cannot be encoded.
pub fn of_image(image: &Image) -> anyhow::Result<String> {
    let pixels: Vec<u8> = image.values().iter().map(|value| value.round() as u8).collect();
    png(image.height(), image.width(), &pixels)
}
