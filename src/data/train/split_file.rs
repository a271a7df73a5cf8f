//! A split as a file: a CSV with the columns image, label, part (`train` or `val`), node, patient and view. Paths start at the
//! data set's root, so that it serves wherever the data lie.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use serde::Deserialize;

use super::{Dataset, Split};
use crate::data::collect::broken_row;
use crate::error::{Error, Result};
use crate::files::write_whole;

/// The columns, in order.
const COLUMNS: [&str; 6] = ["image", "label", "part", "node", "patient", "view"];

/// What is read back of a row.
#[derive(Deserialize)]
struct Row {
    image: String,
    label: String,
    part: String,
}

impl Split {
    /// Writes which image of `data` is on which side. The file appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written; [`Error::Argument`] when an image of `data` is on no side or on both.
    pub fn write(&self, data: &Dataset, path: &Path) -> Result<()> {
        let mut parts = vec![None; data.samples().len()];
        let sides = [(&self.train, "train"), (&self.val, "val")];
        for (i, part) in sides.iter().flat_map(|(side, part)| side.iter().map(move |&i| (i, *part))) {
            if parts.get(i).is_none_or(Option::is_some) {
                return Err(Error::Argument(format!(
                    "image {i} of the split is not in the data, or on both sides"
                )));
            }
            parts[i] = Some(part);
        }
        if let Some(missing) = parts.iter().position(Option::is_none) {
            let image = data.samples()[missing].image.display();
            return Err(Error::Argument(format!("{image} is on neither side of the split")));
        }
        write_whole(path, |file| {
            let mut writer = csv::Writer::from_writer(file);
            writer.write_record(COLUMNS).map_err(io::Error::from)?;
            for (sample, part) in data.samples().iter().zip(parts) {
                let known = [&sample.node, &sample.patient, &sample.view];
                let [node, patient, view] = known.map(|known| known.as_deref().unwrap_or_default());
                let (name, label) = (data.name(sample), data.classes()[sample.label].as_str());
                let row = [name.as_str(), label, part.unwrap_or_default(), node, patient, view];
                writer.write_record(row).map_err(io::Error::from)?;
            }
            writer.flush()
        })
    }

    /// Reads what [`Split::write`] wrote, or a table like it.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] for a file that cannot be read, names another part than `train` and `val`, an image
    /// that is not in `data` or has another label there, one twice, or not all, and for a side without images.
    pub fn read(data: &Dataset, path: &Path) -> Result<Self> {
        let about = std::fs::metadata(path).map_err(|e| Error::io(path, "read", e))?;
        if !about.is_file() {
            return Err(Error::format(path, "is no regular file: give the split.csv of a run"));
        }
        let index: HashMap<String, usize> =
            data.samples().iter().enumerate().map(|(i, sample)| (data.name(sample), i)).collect();
        let broken = |e| broken_row(path, e);
        let mut reader = csv::Reader::from_path(path).map_err(broken)?;
        let columns = reader.headers().map_err(broken)?.clone();
        if let Some(column) = COLUMNS[..3].iter().find(|name| !columns.iter().any(|c| c == **name)) {
            return Err(Error::format(
                path,
                format!("has no column `{column}`: give the split.csv of a run"),
            ));
        }
        let mut parts = vec![None; data.samples().len()];
        for row in reader.records() {
            let row = row.map_err(broken)?;
            let line = row.position().map_or(0, csv::Position::line);
            let wrong = |problem: String| Error::format(path, format!("line {line}: {problem}"));
            let row: Row = row.deserialize(Some(&columns)).map_err(broken)?;
            let (i, is_val) = placed(data, &index, &row).map_err(wrong)?;
            if parts[i].replace(is_val).is_some() {
                return Err(wrong(format!("{} stands here a second time", row.image)));
            }
        }
        if let Some(missing) = parts.iter().position(Option::is_none) {
            let image = data.samples()[missing].image.display();
            return Err(Error::format(path, format!("does not list {image}: split these data anew")));
        }
        let (val, train): (Vec<usize>, _) = (0..parts.len()).partition(|&i| parts[i] == Some(true));
        if train.is_empty() || val.is_empty() {
            return Err(Error::format(path, "puts all images on one side: both `train` and `val` need some"));
        }
        Ok(Split { train, val })
    }
}

/// The sample that `row` is about, and whether it validates.
fn placed(
    data: &Dataset,
    index: &HashMap<String, usize>,
    row: &Row,
) -> std::result::Result<(usize, bool), String> {
    let Some(&i) = index.get(&row.image) else {
        return Err(format!("{} is not in these data: split them anew", row.image));
    };
    let label = &data.classes()[data.samples()[i].label];
    if *label != row.label {
        return Err(format!(
            "{} is `{}` here and `{label}` in the data: split them anew",
            row.image, row.label
        ));
    }
    match row.part.as_str() {
        "train" => Ok((i, false)),
        "val" => Ok((i, true)),
        part => Err(format!("the part is `train` or `val`, not `{part}`")),
    }
}
