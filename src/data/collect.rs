//! The images that a path names: one file, a folder of them, or a `nodes.csv` that lists them with what is known of each.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};

/// Extensions of files in a folder that count as images, in any case.
const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "tif", "tiff", "bmp"];

/// Columns of a CSV that mean something here.
const COLUMNS: [&str; 5] = ["image", "node", "patient", "view", "label"];

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

/// The images that `path` names; whether an image can be read shows when it is opened.
///
/// A folder stands for the images in it and below, known by their extension and sorted by the bytes of their paths; hidden
/// files are passed over, links are followed, and no folder is read twice. A CSV has a line of column names, `image` and any
/// of `node`, `patient`, `view` and `label` in any order and among others; its paths start at its own folder, its rows
/// keep their order, and an empty field stands for nothing known.
///
/// # Errors
/// [`Error::Io`] when a folder or CSV cannot be read; [`Error::Image`] for a folder without images;
/// [`Error::Format`] for a CSV without an `image` column or with a broken row, by its line.
pub fn collect(path: &Path) -> Result<Vec<Sample>> {
    collect_noting(path, &mut Vec::new())
}

/// As [`collect`]; files of a folder that do not count as images are added to `left_out`, hidden ones apart.
///
/// # Errors
/// As [`collect`].
pub fn collect_noting(path: &Path, left_out: &mut Vec<PathBuf>) -> Result<Vec<Sample>> {
    if path.is_dir() {
        let mut files = Vec::new();
        walk(path, &mut HashSet::new(), &mut files, left_out)?;
        files.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
        if files.is_empty() {
            return Err(Error::image(path, "holds no image: no .jpg, .png, .tif or .bmp in it or below"));
        }
        return Ok(files.into_iter().map(|image| Sample { image, ..Sample::default() }).collect());
    }
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")) {
        return Ok(read_rows(path)?.into_iter().map(|(_, sample)| sample).collect());
    }
    Ok(vec![Sample { image: path.to_path_buf(), ..Sample::default() }])
}

/// Adds the images of `folder` and the folders below to `files`, and other files to `others`; `seen` holds the real paths of folders
/// that were read.
fn walk(
    folder: &Path,
    seen: &mut HashSet<PathBuf>,
    files: &mut Vec<PathBuf>,
    others: &mut Vec<PathBuf>,
) -> Result<()> {
    let unreadable = |e| Error::io(folder, "read", e);
    if !seen.insert(folder.canonicalize().map_err(unreadable)?) {
        return Ok(());
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    // Which of two links to one folder is followed does not depend on the file system.
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, seen, files, others)?;
        } else if path
            .extension()
            .is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)))
        {
            files.push(path);
        } else {
            others.push(path);
        }
    }
    Ok(())
}

/// A sentence about the files that were left out, if there are any: how many, and the first of them.
pub fn note_left_out(left_out: &[PathBuf]) -> Option<String> {
    let shown: Vec<String> = left_out.iter().take(3).map(|path| path.display().to_string()).collect();
    let more = if left_out.len() > shown.len() { ", …" } else { "" };
    let files = if left_out.len() == 1 { "file is" } else { "files are" };
    (!left_out.is_empty()).then(|| {
        format!(
            "{} {files} left out, no .jpg, .png, .tif or .bmp: {}{more}",
            left_out.len(),
            shown.join(", ")
        )
    })
}

/// The rows of a CSV, each with its line.
pub(super) fn read_rows(path: &Path) -> Result<Vec<(u64, Sample)>> {
    let about = std::fs::metadata(path).map_err(|e| Error::io(path, "read", e))?;
    if !about.is_file() {
        return Err(Error::format(path, "is no regular file: copy the table into one"));
    }
    let broken = |e| broken_row(path, e);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(broken)?;
    let columns: csv::StringRecord =
        reader.headers().map_err(broken)?.iter().map(str::to_ascii_lowercase).collect();
    for known in COLUMNS {
        let problem = match columns.iter().filter(|name| *name == known).count() {
            0 if known == "image" => {
                "has no column `image`: its first line must name the columns, with commas between them".into()
            }
            0 | 1 => continue,
            count => format!("has {count} columns `{known}`: keep one"),
        };
        return Err(Error::format(path, problem));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut samples = Vec::new();
    for row in reader.records() {
        let row = row.map_err(broken)?;
        let mut sample: Sample = row.deserialize(Some(&columns)).map_err(broken)?;
        let line = row.position().map_or(0, csv::Position::line);
        if sample.image.as_os_str().is_empty() {
            return Err(Error::format(path, format!("line {line}: names no image")));
        }
        sample.image = folder.join(&sample.image);
        samples.push((line, sample));
    }
    if samples.is_empty() {
        return Err(Error::format(path, "lists no image"));
    }
    Ok(samples)
}

/// What is wrong with `path`, by line.
pub(super) fn broken_row(path: &Path, error: csv::Error) -> Error {
    let at = |pos: Option<csv::Position>, problem: String| {
        Error::format(path, format!("line {}: {problem}", pos.map_or(0, |pos| pos.line())))
    };
    match error.into_kind() {
        csv::ErrorKind::Io(e) => Error::io(path, "read", e),
        csv::ErrorKind::Deserialize { pos, err } => at(pos, format!("{err}; a row needs at least `image`")),
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            at(pos, format!("expected {expected_len} fields, got {len}"))
        }
        csv::ErrorKind::Utf8 { pos, .. } => at(pos, "is not UTF-8".into()),
        other => Error::format(path, format!("is no CSV: {other:?}")),
    }
}
