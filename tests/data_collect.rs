//! Which images a path names: files, folders, tables.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used)] // a test may panic

use std::fs;
use std::path::Path;

use nodal::data::{Sample, collect, collect_noting, note_left_out};

/// The collected paths below `root`.
fn names(root: &Path, path: &Path) -> Vec<String> {
    let name = |s: Sample| s.image.strip_prefix(root).unwrap().to_str().unwrap().to_string();
    collect(path).unwrap().into_iter().map(name).collect()
}

/// A table in a folder of its own, read.
fn table(bytes: &[u8]) -> Result<Vec<Sample>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nodes.csv");
    fs::write(&path, bytes).unwrap();
    let prefix = format!("{}/", folder.path().display());
    let mut samples = collect(&path).map_err(|e| e.to_string().replace(&prefix, ""))?;
    for sample in &mut samples {
        if let Ok(below) = sample.image.strip_prefix(folder.path()) {
            sample.image = below.to_path_buf();
        }
    }
    Ok(samples)
}

fn sample(image: &str, rest: [&str; 4]) -> Sample {
    let [node, patient, view, label] = rest.map(|s| (!s.is_empty()).then(|| s.to_string()));
    Sample { image: image.into(), node, patient, view, label }
}

#[test]
fn a_folder_stands_for_its_images_sorted_by_bytes() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    fs::create_dir_all(root.join("a/deep/.hidden")).unwrap();
    for name in [
        "b.JPG",
        "a.tiff",
        "B.png",
        "notes.txt",
        "jpg",
        ".c.png",
        "a-1.bmp",
        "a/z.jpeg",
        "a/deep/x.tif",
        "a/deep/.hidden/y.png",
        "nodes.csv",
        "ü.png",
    ] {
        fs::write(root.join(name), "").unwrap();
    }
    let expected = ["B.png", "a-1.bmp", "a.tiff", "a/deep/x.tif", "a/z.jpeg", "b.JPG", "ü.png"];
    assert_eq!(names(root, root), expected);
    assert_eq!(names(root, &root.join("notes.txt")), ["notes.txt"], "a file that is named is taken");
    assert_eq!(names(root, &root.join("missing.png")), ["missing.png"], "opening it will tell");
}

#[cfg(unix)]
#[test]
fn links_are_followed_once_and_loops_end() {
    use std::os::unix::fs::symlink;
    let root = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let root = root.path();
    fs::create_dir(root.join("inner")).unwrap();
    fs::write(root.join("inner/a.png"), "").unwrap();
    fs::write(elsewhere.path().join("b.png"), "").unwrap();
    symlink(root, root.join("inner/loop")).unwrap();
    symlink(root.join("inner"), root.join("same")).unwrap();
    symlink(elsewhere.path(), root.join("linked")).unwrap();
    symlink(root.join("self.png"), root.join("self.png")).unwrap();
    symlink("nowhere.png", root.join("dangling.png")).unwrap();
    // A link that leads nowhere is kept: it is an image that cannot be read, not one that is not there.
    assert_eq!(names(root, root), ["dangling.png", "inner/a.png", "linked/b.png", "self.png"]);
}

#[test]
fn a_table_gives_what_is_known_of_each_image() {
    let text = "\u{feff}label, Node,image,size_mm,patient,view\r\n\
                positive,n1,\"crops/a,b.png\",7,p1,axial\r\n\
                ,n1,c.png,,\"p \"\"x\"\"\",\r\n\
                \r\n\
                negative,,/absolute/d.png,8,,coronal";
    let expected = [
        sample("crops/a,b.png", ["n1", "p1", "axial", "positive"]),
        sample("c.png", ["n1", "p \"x\"", "", ""]),
        sample("/absolute/d.png", ["", "", "coronal", "negative"]),
    ];
    assert_eq!(table(text.as_bytes()).unwrap(), expected);
    assert_eq!(table(b"image\nz.png\na.png\n").unwrap().len(), 2);
}

#[test]
fn a_broken_table_is_refused_by_its_line() {
    for (bytes, says) in [
        (&b""[..], "nodes.csv: has no column `image`"),
        (b"file,node\na.png,1\n", "nodes.csv: has no column `image`"),
        (
            b"image;node\na.png;1\n",
            "has no column `image`: its first line must name the columns, with commas",
        ),
        (b"image,node,NODE\na.png,1,1\n", "has 2 columns `node`: keep one"),
        (b"image\n", "lists no image"),
        (b"image,node\na.png,1\n,2\n", "line 3: names no image"),
        (b"image,node\n\"a\nb.png\",1\n\" \",2\n", "line 4: names no image"),
        (b"image,node\na.png,1\nb.png\n", "line 3: expected 2 fields, got 1"),
        (b"image,node\na.png,1,2\n", "line 2: expected 2 fields, got 3"),
        (b"image,node\na.png,\xff\n", "line 2: is not UTF-8"),
    ] {
        let message = table(bytes).unwrap_err();
        assert!(message.contains(says) && !message.contains('\n'), "expected `{says}` in: {message}");
    }
}

#[test]
fn what_does_not_count_as_an_image_is_noted() {
    let root = tempfile::tempdir().unwrap();
    for name in ["a.png", "b.gif", "c.dcm", "d", "e.txt", ".hidden"] {
        fs::write(root.path().join(name), "").unwrap();
    }
    let mut left_out = Vec::new();
    assert_eq!(collect_noting(root.path(), &mut left_out).unwrap().len(), 1);
    let note = note_left_out(&left_out).unwrap();
    assert!(
        note.starts_with("4 files are left out, no .jpg, .png, .tif or .bmp: ") && note.ends_with("d, …"),
        "{note}"
    );
    assert_eq!(note_left_out(&[]), None);
}

#[test]
fn what_is_no_table_and_no_folder_of_images_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let refused = |path: &Path| collect(path).unwrap_err().to_string();
    assert!(refused(root.path()).contains("holds no image"));
    assert!(refused(&root.path().join("missing.csv")).contains("missing.csv: cannot read"));
    fs::create_dir(root.path().join("folder.csv")).unwrap();
    assert!(refused(&root.path().join("folder.csv")).contains("folder.csv: holds no image"));
}
