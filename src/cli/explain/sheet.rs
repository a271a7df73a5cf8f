//! One picture: lines of text, and panels side by side, each with a title, its map with a scale of colours.

use font8x8::UnicodeFonts;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use nodal::explain::colour;

/// One part of the picture.
pub struct Panel {
    pub picture: RgbImage,
    pub title: String,
    /// The value of the brightest colour, inner `None` where nothing is above 0; `None` for a panel without a map.
    pub scale: Option<Option<f32>>,
}

/// The longer side of a panel.
const SIDE: u32 = 400;
/// Between and around panels.
const GAP: u32 = 20;
/// Pixels of a character, a letter of eight twice as large.
const LETTER: u32 = 16;
/// From one line of text to the next.
const LINE: u32 = 26;
/// Height of a scale of colours.
const BAR: u32 = 14;
const PAPER: Rgb<u8> = Rgb([250, 250, 250]);
const INK: Rgb<u8> = Rgb([30, 30, 30]);

/// `header` above `panels`.
pub fn draw(header: &[String], panels: &[Panel]) -> RgbImage {
    let pictures: Vec<RgbImage> = panels.iter().map(|panel| enlarged(&panel.picture)).collect();
    let highest = pictures.iter().map(RgbImage::height).max().unwrap_or(0);
    let width = GAP + pictures.iter().map(|picture| picture.width().max(SIDE) + GAP).sum::<u32>();
    let top = GAP + LINE * header.len() as u32 + GAP / 2;
    let mut sheet = RgbImage::from_pixel(width, top + LINE + highest + GAP / 2 + BAR + LINE + GAP / 2, PAPER);
    for (i, line) in header.iter().enumerate() {
        write(&mut sheet, line, GAP, GAP + LINE * i as u32, width - 2 * GAP);
    }
    let mut left = GAP;
    for (panel, picture) in panels.iter().zip(&pictures) {
        let own = picture.width().max(SIDE);
        write(&mut sheet, &panel.title, left, top, own);
        imageops::replace(&mut sheet, picture, left.into(), (top + LINE).into());
        if let Some(scale) = panel.scale {
            bar(&mut sheet, scale, left, top + LINE + highest + GAP / 2, own);
        }
        left += own + GAP;
    }
    sheet
}

/// `picture` with its longer side as a panel has it.
fn enlarged(picture: &RgbImage) -> RgbImage {
    let (w, h) = picture.dimensions();
    let side = |side: u32| (side * SIDE).div_ceil(w.max(h)).max(1);
    imageops::resize(picture, side(w), side(h), FilterType::Triangle)
}

/// The colours from 0 to `largest`, with both numbers below.
fn bar(sheet: &mut RgbImage, largest: Option<f32>, left: u32, top: u32, width: u32) {
    let Some(largest) = largest else {
        return write(sheet, "nothing above 0", left, top, width);
    };
    for x in 0..width {
        let value = colour(x as f32 / (width - 1).max(1) as f32);
        (0..BAR).for_each(|y| sheet.put_pixel(left + x, top + y, value));
    }
    write(sheet, "0", left, top + BAR + 6, width);
    let text = number(largest);
    let room = LETTER * text.chars().count() as u32;
    write(sheet, &text, left + width.saturating_sub(room), top + BAR + 6, room);
}

/// Three digits that count.
fn number(value: f32) -> String {
    match value {
        value if (0.001..1000.0).contains(&value) => {
            let digits = (2.0 - value.log10().floor()).clamp(0.0, 5.0) as usize;
            format!("{value:.digits$}")
        }
        value => format!("{value:.2e}"),
    }
}

/// `text` in one line of `width` pixels; one that is longer loses its middle. What the font lacks is a question mark.
fn write(sheet: &mut RgbImage, text: &str, left: u32, top: u32, width: u32) {
    let letters: Vec<char> = text.chars().collect();
    let room = (width / LETTER) as usize;
    let shown: Vec<char> = match letters.len() {
        count if count <= room => letters,
        count => {
            let end = room.saturating_sub(2) / 2;
            let begin = room.saturating_sub(2 + end);
            [&letters[..begin], &['.', '.'], &letters[count - end..]].concat()
        }
    };
    for (i, letter) in shown.into_iter().enumerate() {
        let glyph = glyph(letter).or_else(|| glyph('?')).unwrap_or_default();
        for (y, row) in (0..).zip(glyph) {
            for x in (0..8).filter(|x| row >> x & 1 == 1) {
                ink(sheet, left + LETTER * i as u32 + 2 * x, top + 2 * y);
            }
        }
    }
}

/// Rows of a letter, its first column the lowest bit.
fn glyph(letter: char) -> Option<[u8; 8]> {
    font8x8::BASIC_FONTS
        .get(letter)
        .or_else(|| font8x8::LATIN_FONTS.get(letter))
        .or_else(|| font8x8::GREEK_FONTS.get(letter))
}

/// Two by two pixels, those of them that lie on the sheet.
fn ink(sheet: &mut RgbImage, left: u32, top: u32) {
    for (x, y) in [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(x, y)| (left + x, top + y)) {
        if x < sheet.width() && y < sheet.height() {
            sheet.put_pixel(x, y, INK);
        }
    }
}
