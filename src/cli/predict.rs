//! `nodal predict`: a probability per crop, and per node where a CSV says which crops belong together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use nodal::data::Sample;
use serde_json::{Map, Value, json};

use super::network::{NetworkOptions, Row, samples_of};

#[derive(Args)]
pub struct Options {
    /// Weights, .safetensors or .pth, or a run's folder for its best ones
    #[arg(long, value_name = "W")]
    weights: PathBuf,
    #[command(flatten)]
    network: NetworkOptions,
    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV
    #[arg(long)]
    csv: bool,
    /// Images, folders of images, CSV files with a column `image`, or runs for their validation parts
    #[arg(required = true, value_name = "IMAGE|DIR|CSV|RUN")]
    inputs: Vec<PathBuf>,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let mut samples = Vec::new();
    for input in &options.inputs {
        if !input.exists() {
            anyhow::bail!("{}: there is no such file or folder", input.display());
        }
        samples.extend(samples_of(input)?);
    }
    let mut model = options.network.open(&options.weights)?;
    let rows = options.network.classify(&mut model, samples)?;

    let output = if options.json {
        format!("{:#}\n", as_json(&rows, model.classes()))
    } else if options.csv {
        as_csv(&rows, model.classes())?
    } else {
        as_tables(&rows, model.classes())
    };
    super::print(&output)?;
    let failed = rows.iter().filter(|row| row.outcome.is_err()).count();
    if failed > 0 {
        anyhow::bail!("{failed} of {} images could not be read: see above", rows.len());
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(rows: &[Row], classes: &[String]) -> Value {
    let result = |row: &Row| {
        let mut about = Map::new();
        about.insert("image".into(), row.sample.image.display().to_string().into());
        for (key, value) in known(&row.sample) {
            about.extend(value.as_ref().map(|value| (key.to_string(), value.clone().into())));
        }
        match &row.outcome {
            Err(error) => _ = about.insert("error".into(), error.clone().into()),
            Ok(prediction) => {
                let named = classes.iter().zip(&prediction.probabilities);
                let probabilities: Map<String, Value> =
                    named.map(|(name, p)| (name.clone(), super::number(*p))).collect();
                about.insert("class".into(), classes[prediction.class].clone().into());
                about.insert("probabilities".into(), probabilities.into());
            }
        }
        Value::from(about)
    };
    json!({"results": rows.iter().map(result).collect::<Vec<_>>()})
}

/// What may be known of a crop beside its file, by the columns' names.
fn known(sample: &Sample) -> [(&'static str, &Option<String>); 3] {
    [("node", &sample.node), ("patient", &sample.patient), ("label", &sample.label)]
}

fn as_csv(rows: &[Row], classes: &[String]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Where the crops belong to and what they are, if a CSV or a run told.
    let any = |i: usize| rows.iter().any(|row| known(&row.sample)[i].1.is_some());
    let told: Vec<usize> = (0..3).filter(|&i| if i < 2 { any(0) || any(1) } else { any(i) }).collect();
    let about = told.iter().map(|&i| known(&rows[0].sample)[i].0);
    let names = classes.iter().map(String::as_str);
    writer.write_record(["image"].into_iter().chain(about).chain(["class"]).chain(names).chain(["error"]))?;
    for row in rows {
        let mut record = vec![row.sample.image.display().to_string()];
        record.extend(told.iter().map(|&i| known(&row.sample)[i].1.clone().unwrap_or_default()));
        match &row.outcome {
            Ok(prediction) => {
                record.push(classes[prediction.class].clone());
                record.extend(prediction.probabilities.iter().map(f32::to_string));
                record.push(String::new());
            }
            Err(error) => {
                record.resize(told.len() + 2 + classes.len(), String::new());
                record.push(error.clone());
            }
        }
        writer.write_record(&record)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn as_tables(rows: &[Row], classes: &[String]) -> String {
    // Of two classes the positive one's probability, of more the chosen one's.
    let (header, shown) = match classes {
        [_, positive] => (format!("P({positive})"), Some(1)),
        _ => ("probability".to_string(), None),
    };
    let mut table = super::table(&["image", "class", &header], 2);
    for row in rows {
        if let Ok(prediction) = &row.outcome {
            let p = format!("{:.4}", prediction.probabilities[shown.unwrap_or(prediction.class)]);
            table.add_row([row.sample.image.display().to_string(), classes[prediction.class].clone(), p]);
        }
    }
    let mut text = if table.is_empty() { String::new() } else { super::text(&table) };
    text += &summary(rows, classes);
    let nodes = nodes(rows);
    if !nodes.is_empty() {
        let mut table = super::table(&["node", "class", "crops", &format!("mean {header}")], 2);
        for (node, (sums, crops)) in nodes {
            let better = |best: usize, k: usize| if sums[k] > sums[best] { k } else { best };
            let class = (0..sums.len()).fold(0, better);
            let mean = format!("{:.4}", sums[shown.unwrap_or(class)] / crops as f64);
            table.add_row([node.to_string(), classes[class].clone(), crops.to_string(), mean]);
        }
        text += &format!("\n{}", super::text(&table));
    }
    text
}

/// How many crops went to each class.
fn summary(rows: &[Row], classes: &[String]) -> String {
    let predicted =
        |class: usize| rows.iter().filter(|row| row.outcome.as_ref().is_ok_and(|p| p.class == class)).count();
    let counts: Vec<String> = (0..classes.len())
        .map(|class| (predicted(class), &classes[class]))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    let done = rows.iter().filter(|row| row.outcome.is_ok()).count();
    match (done, rows.len()) {
        (0, _) => String::new(),
        (1, 1) => format!("1 crop: {}\n", counts.join(", ")),
        (done, all) if done == all => format!("{all} crops: {}\n", counts.join(", ")),
        (done, all) => format!("{done} of {all} crops: {}\n", counts.join(", ")),
    }
}

/// Sums of the probabilities and number of crops of each node that is named; two patients' nodes are two.
fn nodes(rows: &[Row]) -> BTreeMap<String, (Vec<f64>, usize)> {
    let mut nodes: BTreeMap<String, (Vec<f64>, usize)> = BTreeMap::new();
    for row in rows {
        if let (Some(node), Ok(prediction)) = (&row.sample.node, &row.outcome) {
            let (sums, crops) = nodes
                .entry(
                    row.sample.patient.as_ref().map_or(node.clone(), |patient| format!("{patient}, {node}")),
                )
                .or_insert_with(|| (vec![0.0; prediction.probabilities.len()], 0));
            sums.iter_mut().zip(&prediction.probabilities).for_each(|(sum, p)| *sum += f64::from(*p));
            *crops += 1;
        }
    }
    nodes
}
