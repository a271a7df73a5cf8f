//! Data sets: what folders and tables are taken for, and what is refused.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used)] // a test may panic

use std::fs;
use std::path::Path;

use nodal::data::train::{Dataset, Images};

/// Writes files below `root`, folders on the way.
fn write(root: &Path, files: &[&str]) {
    for file in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
}

fn names(data: &Dataset) -> Vec<(String, usize)> {
    data.samples().iter().map(|sample| (data.name(sample), sample.label)).collect()
}

fn refused(path: &Path) -> String {
    let message = Dataset::open(path).map(|data| names(&data)).unwrap_err().to_string();
    assert!(!message.contains('\n') && !message.ends_with('.'), "{message}");
    message
}

/// What is wrong with a table.
fn refused_table(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nodes.csv");
    fs::write(&path, text).unwrap();
    refused(&path).replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn the_positive_class_comes_second() {
    for (names, second) in [
        (["metastatic", "normal"], "metastatic"),
        (["LN+", "LN-"], "LN+"),
        (["benign", "malignant"], "malignant"),
        (["grass", "gravel"], "gravel"),
        (["n+", "positive"], "positive"),
    ] {
        let root = tempfile::tempdir().unwrap();
        for class in names {
            let folder = root.path().join(class);
            std::fs::create_dir(&folder).unwrap();
            std::fs::copy(
                Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/grey.png"),
                folder.join("a.png"),
            )
            .unwrap();
        }
        let data = Dataset::open(root.path()).unwrap();
        assert_eq!(data.classes()[1], second);
        let digest = data.digest().unwrap();
        let first = data.classes()[0].clone();
        let turned = data.with_positive(&first).unwrap();
        assert_eq!((&turned.classes()[1], turned.digest().unwrap()), (&first, digest));
        for sample in turned.samples() {
            assert!(turned.name(sample).starts_with(&turned.classes()[sample.label]));
        }
        let refused = turned.with_positive("other").unwrap_err().to_string();
        assert!(refused.contains("other: is none of the classes"), "{refused}");
    }
}

#[test]
fn class_folders_are_sorted_by_bytes() {
    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        &["b/1.png", "b/deep/0.png", "B2/1.jpg", "a/z.png", "a/notes.txt", ".cache/x.png", "read.me"],
    );
    let data = Dataset::open(root.path()).unwrap();
    assert_eq!(data.classes(), ["B2", "a", "b"]);
    let expected = [("B2/1.jpg", 0), ("a/z.png", 1), ("b/1.png", 2), ("b/deep/0.png", 2)];
    assert_eq!(names(&data), expected.map(|(name, label)| (name.to_string(), label)));
    assert!(data.split().is_none());
}

#[test]
fn train_and_val_are_a_split() {
    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        &["val/n/1.png", "val/p/1.png", "train/p/1.png", "train/n/2.png", "train/n/1.png", "test/x/1.png"],
    );
    let data = Dataset::open(root.path()).unwrap();
    assert_eq!(data.classes(), ["n", "p"]);
    let split = data.split().unwrap();
    assert_eq!((&split.train[..], &split.val[..]), (&[0, 1, 2][..], &[3, 4][..]));
    assert_eq!(data.name(&data.samples()[3]), "val/n/1.png");
    assert_eq!(split.leak(&data), None);

    write(root.path(), &["val/q/1.png"]);
    assert!(
        refused(root.path()).ends_with("train has the classes n, p, and val has n, p, q: both need the same")
    );
    fs::remove_dir_all(root.path().join("val")).unwrap();
    assert!(
        refused(root.path()).ends_with("has a folder `train` but no `val`: add it, or name the folder below")
    );
}

#[test]
fn the_shipped_crops_are_a_data_set() {
    let crops = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/crops");
    let data = Dataset::open(&crops).unwrap();
    let split = data.split().unwrap();
    assert_eq!((split.train.len(), split.val.len()), (240, 80));
    let images = Images::open(&data, usize::MAX, 2).unwrap();
    assert_eq!((images.count(), images.kept()), (320, 320));
}

#[test]
fn folders_that_are_no_data_set_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    assert!(refused(&root.join("missing")).contains("missing: cannot read"));
    assert!(refused(root).contains("has no sub-folders: put each class"));
    write(root, &["only/1.png"]);
    assert!(refused(root).contains("has only `only` where a sub-folder"));
    write(root, &["other/notes.txt"]);
    let message = refused(root);
    assert!(message.contains("other: holds no image"), "{message}");
    assert!(message.contains("add some, or remove the folder"), "{message}");
    write(root, &["other/1.png", "Only/1.png"]);
    assert!(refused(root).contains("has the classes `Only` and `only`, which differ in case alone"));
    assert!(refused(&root.join("only/1.png")).contains("1.png: is no data set"));
}

#[cfg(unix)]
#[test]
fn one_file_under_two_classes_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write(root, &["a/1.png", "b/2.png"]);
    std::os::unix::fs::symlink(root.join("a/1.png"), root.join("b/1.png")).unwrap();
    let message = refused(root);
    assert!(
        message.contains("a/1.png stands there twice (as ") && message.contains("as `a` and as `b`"),
        "{message}"
    );
}

#[test]
fn a_table_gives_labels_nodes_and_patients_whatever_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nodes.csv");
    let rows = ["b.png,n1,p1,axial,positive", "a.png,n1,p2,,negative", "sub/c.png,,p2,coronal,positive"];
    let open = |rows: &[&str]| {
        fs::write(&path, format!("image,node,patient,view,label\n{}\n", rows.join("\n"))).unwrap();
        Dataset::open(&path).unwrap()
    };
    let data = open(&rows);
    assert_eq!(data.classes(), ["negative", "positive"]);
    let expected = [("a.png", 0), ("b.png", 1), ("sub/c.png", 1)];
    assert_eq!(names(&data), expected.map(|(name, label)| (name.to_string(), label)));
    let sample = &data.samples()[1];
    assert_eq!((sample.node.as_deref(), sample.view.as_deref()), (Some("n1"), Some("axial")));
    assert_eq!(data.samples()[2].node, None);
    let turned = open(&[rows[2], rows[0], rows[1]]);
    assert_eq!(turned.samples(), data.samples());
}

#[test]
fn tables_that_are_no_data_set_are_refused() {
    for (text, says) in [
        ("image,label\na.png,x\nb.png,\nc.png,y\n", "nodes.csv: line 3: b.png has no label"),
        ("image,node\na.png,x\n", "nodes.csv: line 2: a.png has no label: fill in the column `label`"),
        ("image,label\na.png,x\nb.png,x\n", "has only `x` where labels of two or more classes must be"),
        ("image,label\na.png,x\nb.png,X\n", "differ in case alone"),
        ("image,label\na.png,x\na.png,y\n", "a.png stands there twice, as `x` and as `y`: keep one"),
        ("image,label\na.png,x\nb.png,y\na.png,x\n", "a.png stands there twice: keep one"),
        ("image,label\na.png\n", "line 2: expected 2 fields, got 1"),
        ("label\nx\n", "has no column `image`"),
    ] {
        let message = refused_table(text);
        assert!(message.contains(says), "{message}");
    }
    // The same file by another path.
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &["a.png"]);
    let path = folder.path().join("nodes.csv");
    fs::write(&path, "image,label\na.png,x\n./sub/../a.png,y\n").unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    assert!(refused(&path).contains("stands there twice"));
}

#[test]
fn images_that_cannot_be_read_are_named_before_training() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &["a/1.png", "b/1.png"]);
    let crop = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/grey.png");
    fs::copy(&crop, root.path().join("a/1.png")).unwrap();
    let data = Dataset::open(root.path()).unwrap();
    for threads in [1, 2, 5] {
        let message = Images::open(&data, 0, threads).unwrap_err().to_string();
        assert!(message.ends_with("b/1.png: is no JPEG, PNG, TIFF or BMP image"), "{message}");
    }
    fs::remove_file(root.path().join("a/1.png")).unwrap();
    let message = Images::open(&data, 0, 2).unwrap_err().to_string();
    assert!(message.contains("2 of 2 images cannot be read, the first: "), "{message}");
    assert!(message.contains("a/1.png: cannot read"), "{message}");
}

#[test]
fn the_bound_says_how_many_images_are_kept() {
    let crops = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/crops");
    let data = Dataset::open(&crops).unwrap();
    for threads in [1, 3] {
        let images = Images::open(&data, 300_000, threads).unwrap();
        let kept = images.kept();
        // 20×21 to 102×111 bytes each.
        assert!((26..320).contains(&kept), "{kept}");
        assert_eq!(Images::open(&data, 0, threads).unwrap().kept(), 0);
        for sample in [0, 150, 319] {
            assert_eq!(
                *images.get(sample).unwrap(),
                nodal::Image::open(&data.samples()[sample].image).unwrap()
            );
        }
        assert!(images.get(320).is_err());
    }
}

#[test]
fn the_digest_sees_every_change_and_not_the_place() {
    let digest = |files: &[(&str, &str)], classes: [&str; 2], node: &str| {
        let root = tempfile::tempdir().unwrap();
        let mut rows = "image,label,node\n".to_string();
        for ((name, content), class) in files.iter().zip(classes) {
            fs::write(root.path().join(name), content).unwrap();
            rows += &format!("{name},{class},{node}\n");
        }
        let path = root.path().join("nodes.csv");
        fs::write(&path, rows).unwrap();
        Dataset::open(&path).unwrap().digest().unwrap()
    };
    let first = digest(&[("a.png", "xy"), ("b.png", "z")], ["n", "p"], "");
    assert!(first.starts_with("xxh3-128:") && first.len() == 9 + 32, "{first}");
    assert_eq!(digest(&[("a.png", "xy"), ("b.png", "z")], ["n", "p"], ""), first);
    for other in [
        digest(&[("a.png", "xz"), ("b.png", "z")], ["n", "p"], ""),
        digest(&[("a.png", "x"), ("b.png", "yz")], ["n", "p"], ""),
        digest(&[("a.png", "xy"), ("c.png", "z")], ["n", "p"], ""),
        digest(&[("a.png", "xy"), ("b.png", "z")], ["p", "n"], ""),
        digest(&[("a.png", "xy"), ("b.png", "z")], ["n", "p"], "1"),
    ] {
        assert_ne!(other, first);
    }
    // The same letters, divided otherwise.
    let [a, b] = [("a.png", "xn"), ("a.pngx", "n")]
        .map(|(name, class)| digest(&[(name, ""), ("b.png", "")], [class, "p"], ""));
    assert_ne!(a, b);

    let root = tempfile::tempdir().unwrap();
    write(root.path(), &["a/1.png", "b/1.png"]);
    let data = Dataset::open(root.path()).unwrap();
    fs::remove_file(root.path().join("b/1.png")).unwrap();
    assert!(data.digest().unwrap_err().to_string().contains("b/1.png: cannot read"));
}
