//! Where pictures go: below the output folder as their images lie below the folder that all have in common.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

/// Each of `images`, one that comes twice once, with its picture below `out`: its own name as .png; where two images of a folder
/// differ in their extensions alone, behind these; and where that is taken, once more.
///
/// # Errors
/// When a picture is there already, or the working folder cannot be had.
pub fn pictures(images: Vec<PathBuf>, out: &Path) -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
    let mut own: Vec<(PathBuf, PathBuf)> = Vec::with_capacity(images.len());
    let mut seen = HashSet::new();
    for image in images {
        let absolute = plain(&std::path::absolute(&image)?);
        if seen.insert(absolute.clone()) {
            own.push((image, absolute));
        }
    }
    let common = own.iter().map(|(_, absolute)| absolute.parent().unwrap_or(absolute).to_path_buf());
    let common = common.reduce(|a, b| {
        a.components().zip(b.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
    });
    let common = common.unwrap_or_default();
    let below = |absolute: &Path| absolute.strip_prefix(&common).unwrap_or(absolute).to_path_buf();
    let mut count: HashMap<PathBuf, usize> = HashMap::new();
    for (_, absolute) in &own {
        *count.entry(below(absolute).with_extension("png")).or_default() += 1;
    }
    let mut pictures = Vec::with_capacity(own.len());
    let mut taken = HashSet::new();
    for (image, absolute) in own {
        let mut name = below(&absolute).with_extension("png");
        if count[&name] > 1 {
            name = below(&absolute);
            name.as_mut_os_string().push(".png");
        }
        while !taken.insert(name.clone()) {
            name.as_mut_os_string().push(".png");
        }
        let picture = out.join(name);
        if std::fs::symlink_metadata(&picture).is_ok() {
            anyhow::bail!(
                "{}: is there already: remove it, or name another folder with --out",
                picture.display()
            );
        }
        pictures.push((image, picture));
    }
    Ok(pictures)
}

/// `path` without `.` and with each `..` taken back.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => _ = plain.pop(),
            other => plain.push(other),
        }
    }
    plain
}

/// Makes the folder of `picture`.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(picture: &Path) -> anyhow::Result<()> {
    let folder = picture.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .map_err(|e| anyhow::anyhow!("{}: cannot create the folder: {e}", folder.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may panic

    use super::*;

    fn named(images: &[&str]) -> Vec<String> {
        let all = pictures(images.iter().map(PathBuf::from).collect(), Path::new("out")).unwrap();
        all.iter().map(|(_, picture)| picture.display().to_string()).collect()
    }

    #[test]
    fn no_two_images_share_a_picture() {
        assert_eq!(named(&["data/a/x.jpg", "data/b/x.jpg"]), ["out/a/x.png", "out/b/x.png"]);
        assert_eq!(
            named(&["/d/a/x.jpg", "/d/a/x.png", "/d/a/y.png"]),
            ["out/x.jpg.png", "out/x.png.png", "out/y.png"]
        );
        assert_eq!(
            named(&["/d/x.jpg", "/d/x.png", "/d/x.jpg.png"]),
            ["out/x.jpg.png", "out/x.png.png", "out/x.jpg.png.png"]
        );
        assert_eq!(named(&["one/crop.tif"]), ["out/crop.png"]);
        assert_eq!(named(&["a/x.jpg", "./a/../a/x.jpg", "a/y.jpg"]), ["out/x.png", "out/y.png"]);
        assert_eq!(named(&["/d/../e/x.jpg", "/f/x.jpg"]), ["out/e/x.png", "out/f/x.png"]);
    }
}
