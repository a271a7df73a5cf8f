//! A network as a command line names it, and the crops that go through it.

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use nodal::data::train::Labelled;
use nodal::data::{Fit, Normalize, Preprocess, Sample, collect_noting, note_left_out};
use nodal::explain::{ExplainOptions, Explainer};
use nodal::network::AvgPoolPadding;
use nodal::train::RunFolder;
use nodal::{Image, Model, ModelOptions, Prediction, Weights};

/// How crops become inputs, and where they are classified.
#[derive(Args)]
pub struct NetworkOptions {
    #[command(flatten)]
    device: super::DeviceOptions,
    /// Images a run takes
    #[arg(long, default_value_t = 1, value_name = "N")]
    batch: usize,
    #[command(flatten)]
    input: InputOptions,
}

/// How crops become inputs, and what the network does at borders.
#[derive(Args)]
pub struct InputOptions {
    /// Input size, 299 or HxW [default: what the weights say, or 299]
    #[arg(long, value_parser = super::parse_size, value_name = "SIZE")]
    size: Option<(usize, usize)>,
    /// pad, resize or resize-pad [default: what the weights say, or pad]
    #[arg(long, value_name = "FIT")]
    fit: Option<Fit>,
    /// tf, imagenet, mean:FILE or none [default: what the weights say, or tf]
    #[arg(long, value_name = "HOW")]
    normalize: Option<String>,
    /// Take each crop's own brightness and contrast away; --standardize=false keeps them [default: what the weights say, or
    /// false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    standardize: Option<bool>,
    /// include or exclude [default: what the weights say, or include]
    #[arg(long, value_name = "HOW")]
    avg_pool_padding: Option<AvgPoolPadding>,
}

/// One crop and what became of it.
pub struct Row {
    pub sample: Sample,
    pub outcome: Result<Prediction, String>,
}

impl InputOptions {
    /// How crops become inputs: what was given, else what `weights` say.
    pub fn preprocess(&self, weights: &Weights) -> anyhow::Result<Preprocess> {
        let mut preprocess = Preprocess::of_weights(weights)?;
        preprocess.size = self.size.unwrap_or(preprocess.size);
        preprocess.fit = self.fit.unwrap_or(preprocess.fit);
        preprocess.standardize = self.standardize.unwrap_or(preprocess.standardize);
        if let Some(text) = &self.normalize {
            preprocess.normalize = Normalize::parse(text)?;
        }
        Ok(preprocess)
    }

    /// How average pools treat their padding, where that was given.
    pub fn avg_pool_padding(&self) -> Option<AvgPoolPadding> {
        self.avg_pool_padding
    }
}

impl NetworkOptions {
    /// The network with the weights of `path`, a file or a run's folder.
    pub fn open(&self, path: &Path) -> anyhow::Result<Model> {
        let weights = open_weights(path)?;
        let model = ModelOptions {
            batch: self.batch,
            preprocess: Some(self.input.preprocess(&weights)?),
            avg_pool_padding: self.input.avg_pool_padding,
        };
        Ok(Model::new(&weights, &self.device.open()?, &model)?)
    }

    /// What that network looked at, for one image at a time.
    pub fn explainer(&self, path: &Path) -> anyhow::Result<Explainer> {
        let weights = open_weights(path)?;
        let options = ExplainOptions {
            preprocess: Some(self.input.preprocess(&weights)?),
            avg_pool_padding: self.input.avg_pool_padding,
            batch: 1,
            ..ExplainOptions::default()
        };
        Ok(Explainer::new(&weights, &self.device.open()?, &options)?)
    }

    /// The first of these options that was given, where no network runs.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            ("--device", self.device.is_given()),
            ("--batch", self.batch != 1),
            ("--size", self.input.size.is_some()),
            ("--fit", self.input.fit.is_some()),
            ("--normalize", self.input.normalize.is_some()),
            ("--standardize", self.input.standardize.is_some()),
            ("--avg-pool-padding", self.input.avg_pool_padding.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(name, _)| name)
    }

    /// Classifies all samples; an unreadable one is named and the rest goes on.
    pub fn classify(&self, model: &mut Model, samples: Vec<Sample>) -> anyhow::Result<Vec<Row>> {
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} crops, {eta} left")?;
        // Hidden by itself when standard error is no terminal.
        let progress = ProgressBar::new(samples.len() as u64).with_style(style);
        let mut rows: Vec<Row> = Vec::with_capacity(samples.len());
        for turn in samples.chunks(self.batch) {
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
}

/// What `path` names: an image, a folder or CSV of images, or the validation part of a run.
pub fn samples_of(path: &Path) -> nodal::Result<Vec<Sample>> {
    if RunFolder::open(path).is_ok() {
        return validation_of(path);
    }
    collect_saying(path)
}

/// The images that `path` names; other files of a folder are told of.
pub fn collect_saying(path: &Path) -> nodal::Result<Vec<Sample>> {
    let mut left_out = Vec::new();
    let samples = collect_noting(path, &mut left_out)?;
    if let Some(note) = note_left_out(&left_out) {
        eprintln!("nodal: {note}");
    }
    Ok(samples)
}

/// The validation part of the run in `folder`.
pub fn validation_of(folder: &Path) -> nodal::Result<Vec<Sample>> {
    let (data, split) = RunFolder::open(folder)?.data()?;
    let sample = |&i: &usize| {
        let Labelled { image, label, node, patient, view } = data.samples()[i].clone();
        Sample { image, node, patient, view, label: Some(data.classes()[label].clone()) }
    };
    Ok(split.val.iter().map(sample).collect())
}

/// The weights of `path`, a file or a run's folder.
pub fn open_weights(path: &Path) -> nodal::Result<Weights> {
    Weights::open(&weight_file(path)?)
}

/// `path`, or the best weights of the run whose folder it is.
pub fn weight_file(path: &Path) -> nodal::Result<PathBuf> {
    RunFolder::open(path).map_or_else(|_| Ok(path.to_path_buf()), |run| run.best())
}
