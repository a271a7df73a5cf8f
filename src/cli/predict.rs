//! `nodal predict`: a probability per crop, and per node where a CSV says which crops belong together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use nodal::data::{Fit, Normalize, Preprocess, Sample, collect};
use nodal::network::AvgPoolPadding;
use nodal::{Image, Model, ModelOptions, Prediction, Weights};
use serde_json::{Map, Value, json};

#[derive(Args)]
pub struct Options {
    /// Weights, .safetensors or .pth
    #[arg(long, value_name = "W")]
    weights: PathBuf,
    #[command(flatten)]
    device: super::DeviceOptions,
    /// Images a run takes
    #[arg(long, default_value_t = 1, value_name = "N")]
    batch: usize,
    /// Input size, 299 or HxW [default: what the weights say, or 299]
    #[arg(long, value_parser = super::parse_size, value_name = "SIZE")]
    size: Option<(usize, usize)>,
    /// pad, resize or resize-pad [default: what the weights say, or pad]
    #[arg(long, value_name = "FIT")]
    fit: Option<Fit>,
    /// tf, imagenet, mean:FILE or none [default: what the weights say, or tf]
    #[arg(long, value_name = "HOW")]
    normalize: Option<String>,
    /// include or exclude [default: what the weights say, or include]
    #[arg(long, value_name = "HOW")]
    avg_pool_padding: Option<AvgPoolPadding>,
    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV
    #[arg(long)]
    csv: bool,
    /// Images, folders of images, or CSV files with a column `image`
    #[arg(required = true, value_name = "IMAGE|DIR|CSV")]
    inputs: Vec<PathBuf>,
}

/// One crop and what became of it.
struct Row {
    sample: Sample,
    outcome: Result<Prediction, String>,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let mut samples = Vec::new();
    for input in &options.inputs {
        samples.extend(collect(input)?);
    }
    let mut model = load(options)?;
    let rows = classify(&mut model, options.batch, samples)?;

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

fn load(options: &Options) -> anyhow::Result<Model> {
    let weights = Weights::open(&options.weights)?;
    let mut preprocess = Preprocess::of_weights(&weights)?;
    preprocess.size = options.size.unwrap_or(preprocess.size);
    preprocess.fit = options.fit.unwrap_or(preprocess.fit);
    if let Some(text) = &options.normalize {
        preprocess.normalize = Normalize::parse(text)?;
    }
    let model = ModelOptions {
        batch: options.batch,
        preprocess: Some(preprocess),
        avg_pool_padding: options.avg_pool_padding,
    };
    Ok(Model::new(&weights, &options.device.open()?, &model)?)
}

/// Classifies all samples; an unreadable one is named and the rest goes on.
fn classify(model: &mut Model, batch: usize, samples: Vec<Sample>) -> anyhow::Result<Vec<Row>> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} crops, {eta} left")?;
    // Hidden by itself when standard error is no terminal.
    let progress = ProgressBar::new(samples.len() as u64).with_style(style);
    let mut rows: Vec<Row> = Vec::with_capacity(samples.len());
    for turn in samples.chunks(batch) {
        let opened: Vec<nodal::Result<Image>> =
            turn.iter().map(|sample| Image::open(&sample.image)).collect();
        let mut images = Vec::with_capacity(turn.len());
        let errors: Vec<Option<String>> = opened
            .into_iter()
            .map(|opened| opened.map(|image| images.push(image)).err().map(|e| e.to_string()))
            .collect();
        let mut predictions = model.classify_batch(&images)?.into_iter();
        for (sample, error) in turn.iter().zip(errors) {
            let outcome = match error {
                Some(error) => {
                    progress.suspend(|| eprintln!("nodal: {error}"));
                    Err(error)
                }
                None => predictions.next().ok_or_else(|| "was not classified".to_string()),
            };
            rows.push(Row { sample: sample.clone(), outcome });
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    Ok(rows)
}

fn as_json(rows: &[Row], classes: &[String]) -> Value {
    let result = |row: &Row| {
        let image = row.sample.image.display().to_string();
        match &row.outcome {
            Err(error) => json!({"image": image, "error": error}),
            Ok(prediction) => {
                let named = classes.iter().zip(&prediction.probabilities);
                let probabilities: Map<String, Value> =
                    named.map(|(name, p)| (name.clone(), number(*p))).collect();
                json!({"image": image, "class": classes[prediction.class], "probabilities": probabilities})
            }
        }
    };
    json!({"results": rows.iter().map(result).collect::<Vec<_>>()})
}

/// A float32 in as few digits as tell it from its neighbours.
fn number(p: f32) -> Value {
    p.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

fn as_csv(rows: &[Row], classes: &[String]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = ["image", "class"].into_iter().chain(classes.iter().map(String::as_str)).chain(["error"]);
    writer.write_record(header)?;
    for row in rows {
        let image = row.sample.image.display().to_string();
        let mut record = vec![image];
        match &row.outcome {
            Ok(prediction) => {
                record.push(classes[prediction.class].clone());
                record.extend(prediction.probabilities.iter().map(f32::to_string));
                record.push(String::new());
            }
            Err(error) => {
                record.resize(2 + classes.len(), String::new());
                record.push(error.clone());
            }
        }
        writer.write_record(&record)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn as_tables(rows: &[Row], classes: &[String]) -> String {
    let mut table = super::table(&["image", "class", "probability"], 2);
    for row in rows {
        if let Ok(prediction) = &row.outcome {
            let p = format!("{:.4}", prediction.probabilities[prediction.class]);
            table.add_row([row.sample.image.display().to_string(), classes[prediction.class].clone(), p]);
        }
    }
    let mut text = super::text(&table);
    text += &summary(rows, classes);
    let nodes = nodes(rows);
    if !nodes.is_empty() {
        let mut table = super::table(&["node", "class", "crops", "mean probability"], 2);
        for (node, (sums, crops)) in nodes {
            let better = |best: usize, k: usize| if sums[k] > sums[best] { k } else { best };
            let class = (0..sums.len()).fold(0, better);
            let mean = format!("{:.4}", sums[class] / crops as f64);
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
    let crops = if rows.len() == 1 { "crop" } else { "crops" };
    format!("{} {crops}: {}\n", rows.len(), counts.join(", "))
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
