//! The images that a path names: one file, a folder of them, or a `nodes.csv` that lists them with what is known of each.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};

/// Extensions of files in a folder that count as images, in any case.
const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "tif", "tiff", "bmp"];

/// Folders inside folders that are followed.
const MAX_DEPTH: usize = 32;

/// One image and what a CSV says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Sample {
    /// The image file.
    pub image: PathBuf,
    /// The lymph node it shows.
    pub node: Option<String>,
    /// Whose node it is.
    pub patient: Option<String>,
    /// The series it was cut from.
    pub view: Option<String>,
    /// Its class.
    pub label: Option<String>,
}

/// The images that `path` names, a folder's sorted by name; whether a single file or a row can be read shows later.
///
/// # Errors
/// [`Error::Io`] when a folder or CSV cannot be read; [`Error::Image`] for a folder without images;
/// [`Error::Format`] for a CSV without an `image` column or with a broken row.
pub fn collect(path: &Path) -> Result<Vec<Sample>> {
    if path.is_dir() {
        let mut files = Vec::new();
        walk(path, 0, &mut files)?;
        files.sort();
        if files.is_empty() {
            return Err(Error::image(path, "holds no image: no .jpg, .png, .tif or .bmp in it or below"));
        }
        return Ok(files.into_iter().map(|image| Sample { image, ..Sample::default() }).collect());
    }
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")) {
        return read_csv(path);
    }
    Ok(vec![Sample { image: path.to_path_buf(), ..Sample::default() }])
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = |e| Error::io(folder, "read", e);
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // A link to a folder is not followed: it may lead back here.
        if entry.file_type().map_err(unreadable)?.is_dir() {
            if depth < MAX_DEPTH {
                walk(&path, depth + 1, files)?;
            }
        } else if path
            .extension()
            .is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)))
        {
            files.push(path);
        }
    }
    Ok(())
}

fn read_csv(path: &Path) -> Result<Vec<Sample>> {
    let broken = |e: csv::Error| match e.into_kind() {
        csv::ErrorKind::Io(e) => Error::io(path, "read", e),
        csv::ErrorKind::Deserialize { pos, err } => {
            let line = pos.map_or(0, |pos| pos.line());
            Error::format(path, format!("line {line}: {err}; a row needs at least `image`"))
        }
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.map_or(0, |pos| pos.line());
            Error::format(path, format!("line {line}: expected {expected_len} fields, got {len}"))
        }
        csv::ErrorKind::Utf8 { pos, .. } => {
            Error::format(path, format!("line {}: is not UTF-8", pos.map_or(0, |pos| pos.line())))
        }
        other => Error::format(path, format!("is no CSV: {other:?}")),
    };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(broken)?;
    let headers = reader.headers().map_err(broken)?;
    if !headers.iter().any(|name| name == "image") {
        return Err(Error::format(path, "has no column `image`: its first line must name the columns"));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut samples = Vec::new();
    for row in reader.deserialize::<Sample>() {
        let mut sample = row.map_err(broken)?;
        sample.image = folder.join(&sample.image);
        samples.push(sample);
    }
    if samples.is_empty() {
        return Err(Error::format(path, "lists no image"));
    }
    Ok(samples)
}
