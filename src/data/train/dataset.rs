//! Images with their classes, as training and evaluation need them.
//!
//! Three forms. A folder with one sub-folder for each class, whatever lies below it. A folder with `train/` and `val/` above such
//! class folders, already split; what else lies beside them is passed over. A CSV with the columns `image` and `label`, and any
//! of `node`, `patient` and `view`. Class names are sorted by bytes, the index is the position. Of two classes the second is the
//! positive one: where the first has a name such as `metastatic` or `LN+` and the other has none of them, they change places.
//!
//! Samples are sorted by the bytes of their paths: neither the file system nor the order of rows reaches what is drawn later.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::Split;
use crate::data::collect::{collect_noting, read_rows};
use crate::error::{Error, Result};

/// Folders that split a data set.
const PARTS: [&str; 2] = ["train", "val"];

/// Names, in lower case, that a class has which counts as positive.
const POSITIVE: [&str; 12] = [
    "positive",
    "pos",
    "metastatic",
    "metastasis",
    "malignant",
    "cancer",
    "carcinoma",
    "tumour",
    "tumor",
    "ln+",
    "n+",
    "yes",
];

/// One image with its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// The image file.
    pub image: PathBuf,
    /// The index of its class.
    pub label: usize,
    /// The lymph node it shows.
    pub node: Option<String>,
    /// Whose node it is.
    pub patient: Option<String>,
    /// The series it was cut from.
    pub view: Option<String>,
}

/// Images with their classes. At least two classes, each with an image; no image twice; all paths UTF-8.
#[derive(Clone, Debug)]
pub struct Dataset {
    root: PathBuf,
    classes: Vec<String>,
    samples: Vec<Labelled>,
    split: Option<Split>,
    left_out: Vec<PathBuf>,
}

impl Dataset {
    /// The data set at `path`: a folder of class folders, one above `train/` and `val/`, or a CSV. No image is opened.
    ///
    /// # Errors
    /// [`Error::Io`] for what cannot be read; [`Error::Format`] or [`Error::Image`] for fewer than two classes, a class without
    /// images, an image without class or listed twice, and parts that name different classes.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return Self::of_csv(path);
        }
        let parts = PARTS.map(|part| path.join(part));
        match [parts[0].is_dir(), parts[1].is_dir()] {
            [true, true] => Self::of_parts(path, &parts),
            [false, false] => {
                let mut left_out = Vec::new();
                let (classes, samples) = class_folders(path, &mut left_out)?;
                Ok(Dataset { left_out, ..Self::finish(path, path, classes, samples, None)? })
            }
            [train, _] => {
                let (is, lacks) = if train { ("train", "val") } else { ("val", "train") };
                let problem =
                    format!("has a folder `{is}` but no `{lacks}`: add it, or name the folder below");
                Err(Error::format(path, problem))
            }
        }
    }

    fn of_parts(path: &Path, parts: &[PathBuf; 2]) -> Result<Self> {
        let mut left_out = Vec::new();
        let [(classes, mut samples), (others, val)] =
            [class_folders(&parts[0], &mut left_out)?, class_folders(&parts[1], &mut left_out)?];
        if classes != others {
            let (train, val) = (classes.join(", "), others.join(", "));
            let problem = format!("train has the classes {train}, and val has {val}: both need the same");
            return Err(Error::format(path, problem));
        }
        samples.extend(val);
        Ok(Dataset { left_out, ..Self::finish(path, path, classes, samples, Some(&parts[1]))? })
    }

    fn of_csv(path: &Path) -> Result<Self> {
        if path.exists() && !path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")) {
            let problem = "is no data set: give a folder with a sub-folder for each class, or a .csv with the columns \
                           image and label";
            return Err(Error::format(path, problem));
        }
        let rows = read_rows(path)?;
        let empty = rows.iter().find(|(_, sample)| sample.label.is_none());
        if let Some((line, sample)) = empty {
            let image = sample.image.display();
            let problem = format!("line {line}: {image} has no label: fill in the column `label`");
            return Err(Error::format(path, problem));
        }
        let labels: BTreeSet<&String> = rows.iter().filter_map(|(_, sample)| sample.label.as_ref()).collect();
        let classes: Vec<String> = labels.into_iter().cloned().collect();
        let index: HashMap<&str, usize> = classes.iter().map(String::as_str).zip(0..).collect();
        let labelled = |(_, sample): &(u64, crate::data::Sample)| Labelled {
            image: sample.image.clone(),
            label: sample.label.as_deref().map_or(0, |label| index[label]),
            node: sample.node.clone(),
            patient: sample.patient.clone(),
            view: sample.view.clone(),
        };
        let samples = rows.iter().map(labelled).collect();
        let root = path.parent().unwrap_or(Path::new(""));
        Self::finish(path, root, classes, samples, None)
    }

    /// Checks and sorts; images below `val` are the validation part.
    fn finish(
        path: &Path,
        root: &Path,
        classes: Vec<String>,
        mut samples: Vec<Labelled>,
        val: Option<&Path>,
    ) -> Result<Self> {
        check_classes(path, &classes)?;
        let known = |class: &String| POSITIVE.contains(&class.to_lowercase().as_str());
        let swapped = classes.len() == 2 && known(&classes[0]) && !known(&classes[1]);
        if let Some(sample) = samples.iter().find(|sample| sample.image.to_str().is_none()) {
            return Err(Error::image(&sample.image, "has a name that is not UTF-8: rename it"));
        }
        samples.sort_by_cached_key(|sample| name_of(root, &sample.image).into_bytes());
        let mut data =
            Dataset { root: root.to_path_buf(), classes, samples, split: None, left_out: Vec::new() };
        data.check_once(path)?;
        if let Some(val) = val {
            let all = 0..data.samples.len();
            let (val, train) = all.partition(|&i| data.samples[i].image.starts_with(val));
            data.split = Some(Split { train, val });
        }
        Ok(if swapped { data.swapped() } else { data })
    }

    /// The same with `class`, one of two, as the positive one.
    ///
    /// # Errors
    /// [`Error::Argument`] when there is no such class, or when there are more than two.
    pub fn with_positive(self, class: &str) -> Result<Self> {
        match self.classes.iter().position(|own| own == class) {
            Some(index) if self.classes.len() == 2 => Ok(if index == 0 { self.swapped() } else { self }),
            Some(_) => Err(Error::Argument(format!(
                "{class}: none counts as positive of more than two classes: {}",
                self.classes.join(", ")
            ))),
            None => Err(Error::Argument(format!(
                "{class}: is none of the classes {}: name the positive one",
                self.classes.join(", ")
            ))),
        }
    }

    /// The same with its two classes in the other order.
    fn swapped(mut self) -> Self {
        self.classes.swap(0, 1);
        self.samples.iter_mut().for_each(|sample| sample.label = 1 - sample.label);
        self
    }

    /// # Errors
    /// [`Error::Format`] for an image that is listed twice, by whatever path.
    fn check_once(&self, path: &Path) -> Result<()> {
        let mut seen: HashMap<PathBuf, &Labelled> = HashMap::with_capacity(self.samples.len());
        for sample in &self.samples {
            // What is not there is told when it is opened.
            let real = sample.image.canonicalize().unwrap_or_else(|_| sample.image.clone());
            let Some(before) = seen.insert(real, sample) else { continue };
            let (a, b) = (&self.classes[before.label], &self.classes[sample.label]);
            let (image, other) = (before.image.display(), sample.image.display());
            let again = if before.image == sample.image { String::new() } else { format!(" (as {other})") };
            let problem = match a == b {
                true => format!("{image} stands there twice{again}: keep one"),
                false => format!("{image} stands there twice{again}, as `{a}` and as `{b}`: keep one"),
            };
            return Err(Error::format(path, problem));
        }
        Ok(())
    }

    /// What images' paths are told relative to.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Names of the classes, by index.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The images, sorted by [`Dataset::name`].
    pub fn samples(&self) -> &[Labelled] {
        &self.samples
    }

    /// Files in class folders that do not count as images.
    pub fn left_out(&self) -> &[PathBuf] {
        &self.left_out
    }

    /// The split that folders called `train` and `val` make.
    pub fn split(&self) -> Option<&Split> {
        self.split.as_ref()
    }

    /// The path of `sample` from the data set's root on, with `/` between its parts; all of it where it lies elsewhere.
    pub fn name(&self, sample: &Labelled) -> String {
        name_of(&self.root, &sample.image)
    }
}

/// [`Dataset::name`] of an image under `root`.
fn name_of(root: &Path, image: &Path) -> String {
    match image.strip_prefix(root) {
        Ok(below) => {
            let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
            parts.join("/")
        }
        Err(_) => image.to_string_lossy().into_owned(),
    }
}

/// The class folders of `folder`: names sorted by bytes, and their images; other files are added to `left_out`.
fn class_folders(folder: &Path, left_out: &mut Vec<PathBuf>) -> Result<(Vec<String>, Vec<Labelled>)> {
    let unreadable = |e| Error::io(folder, "read", e);
    let mut classes = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default();
        if name.as_encoded_bytes().starts_with(b".") || !path.is_dir() {
            continue;
        }
        let Some(name) = name.to_str() else {
            return Err(Error::format(&path, "has a name that is not UTF-8: rename it"));
        };
        classes.push(name.to_string());
    }
    classes.sort();
    check_classes(folder, &classes)?;
    let mut samples = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let path = folder.join(class);
        let images = collect_noting(&path, left_out).map_err(|e| match e {
            Error::Image { path, problem } => {
                Error::image(&path, format!("{problem}; add some, or remove the folder of this class"))
            }
            other => other,
        })?;
        let labelled = |image| Labelled { image, label, node: None, patient: None, view: None };
        samples.extend(images.into_iter().map(|sample| labelled(sample.image)));
    }
    Ok((classes, samples))
}

/// # Errors
/// [`Error::Format`] for fewer than two classes, or names that differ in case alone.
fn check_classes(path: &Path, classes: &[String]) -> Result<()> {
    if classes.len() < 2 {
        let problem = match (classes.first(), path.is_dir()) {
            (None, _) => "has no sub-folders: put each class's images into one of its own, or give a CSV with the columns image and \
                          label"
                .to_string(),
            (Some(only), true) => {
                format!("has only `{only}` where a sub-folder for each of two or more classes must be: add the others")
            }
            (Some(only), false) => {
                format!("has only `{only}` where labels of two or more classes must be: add the others")
            }
        };
        return Err(Error::format(path, problem));
    }
    let mut seen: HashMap<String, &String> = HashMap::new();
    for class in classes {
        if let Some(other) = seen.insert(class.to_lowercase(), class) {
            let problem =
                format!("has the classes `{other}` and `{class}`, which differ in case alone: use one name");
            return Err(Error::format(path, problem));
        }
    }
    Ok(())
}
