//! What stands on the page, gathered from the inputs.

use std::path::{Path, PathBuf};

use nodal::data::train::SplitBy;
use nodal::metrics::Confidence;
use nodal::train::sweep::{Summary, SweepFolder};
use nodal::train::{Config, Epoch, RunFolder};

use super::super::cohort::features::{self, Cohort};
use super::super::evaluate::report::Section;
use super::super::evaluate::study::Study;
use super::super::evaluate::{cases, need_two};
use super::super::network::NetworkOptions;
use super::super::readers::calls::{self, Network, Reading};
use super::super::readers::pairs::{self, Pair};
use super::super::sheet::Sheet;
use super::Options;
use super::errors::{self, Wrong};
use super::seen::Seen;
use super::sources::{Sources, command};

/// How many errors are shown unless another number is asked for.
pub const ERRORS: usize = 12;

/// All of it; a part is `None` where its input was not given.
pub struct Content {
    pub title: String,
    pub sources: Sources,
    pub confidence: Confidence,
    pub run: Option<Run>,
    pub judged: Option<Judged>,
    pub readers: Option<Readers>,
    pub cohort: Option<Cohort>,
    pub sweep: Option<Summary>,
    /// Which predicted images the run knows, where predictions stand beside it.
    pub seen: Option<Seen>,
    /// Whether the network was judged on the run's own validation part.
    validation: bool,
}

/// A training run.
pub struct Run {
    pub config: Config,
    pub epochs: Vec<Epoch>,
    /// Its folder, as it was named.
    pub path: PathBuf,
    /// The rows of its split: part, label, node, patient, image.
    pub split: Vec<[String; 5]>,
}

/// Predictions and what they come to.
pub struct Judged {
    pub study: Study,
    pub sections: Vec<Section>,
    pub wrong: Vec<Wrong>,
    /// How many calls of images are wrong, shown or not.
    pub errors: usize,
}

/// Readers, and the network as one of them.
pub struct Readers {
    /// As the file has them.
    pub all: Vec<Reading>,
    /// On the cases that the network has predictions of, itself the last; empty without those.
    pub shared: Vec<Reading>,
    pub pairs: Vec<Pair>,
}

impl Readers {
    /// The readings that are set side by side.
    pub fn compared(&self) -> &[Reading] {
        if self.shared.is_empty() { &self.all } else { &self.shared }
    }

    /// Whether the file has counts in place of cases.
    pub fn are_counts(&self) -> bool {
        self.all.iter().all(|reading| reading.cases.is_empty())
    }
}

impl Content {
    /// Whether the network was judged on the run's own validation part.
    pub fn judged_on_validation(&self) -> bool {
        self.validation
    }

    pub fn of(options: &Options) -> anyhow::Result<Self> {
        let Options { run, predictions, readers, cohort, sweep, data, .. } = options;
        if [run, predictions, readers, cohort, sweep].iter().all(|given| given.is_none()) {
            anyhow::bail!(
                "nodal report needs RUN, --predictions, --readers, --cohort or --sweep: give one at least"
            );
        }
        if let (true, Some(name)) = (run.is_none() || predictions.is_some(), options.network.given()) {
            anyhow::bail!(
                "{name} counts only where a network runs: give RUN without --predictions, or leave it out"
            );
        }
        let mut sources = Sources::new(command(&options.out));
        let confidence = options.judging.confidence()?;
        if let (None, None, Some(name)) = (run, predictions, options.of_judging()) {
            anyhow::bail!(
                "{name} counts only where a network is judged: give RUN or --predictions, or leave it out"
            );
        }
        // What is quickly read is refused before a network runs.
        let readings =
            readers.as_deref().map(|path| sources.add("readers", path).and_then(|()| calls::open(path)));
        let readings = readings.transpose()?;
        let open = |path: &PathBuf| features::open(path, &options.group, &[], &[]);
        let cohort = match cohort {
            Some(path) => sources.add("cohort", path).and_then(|()| open(path).map(Some))?,
            None => None,
        };
        let summary = sweep.as_deref().map(|path| SweepFolder::open(path)?.summary()).transpose()?;
        sweep.iter().for_each(|path| sources.look_at_sweep(path));
        let known = run.as_deref().map(|path| Run::open(path, &mut sources)).transpose()?;
        if let Some(path) = data {
            sources.look(path);
        }
        let judged = match (predictions, run) {
            (Some(path), _) => {
                sources.add("predictions", path)?;
                Some((cases::of_predictions(path, options.judging.positive(), true)?, path))
            }
            (None, Some(path)) => Some((cases::of_run(path, &options.network)?, path)),
            (None, None) => None,
        };
        // A network that runs can also be asked what it looked at.
        let explained = run.as_deref().filter(|_| predictions.is_none());
        let judged = match judged {
            Some((cases, from)) => {
                need_two(&cases, from)?;
                let study = options.judging.study(cases)?;
                let (errors, sections) = ((options.errors, data.as_deref()), study.sections()?);
                let mut judged =
                    Judged::new(study, sections, errors, from, readings.as_deref(), &mut sources)?;
                judged.explain(explained, &options.network)?;
                Some((judged, from))
            }
            None => None,
        };
        let readers =
            readings.map(|all| Readers::new(all, judged.as_ref().map(|(own, from)| (own, from.as_path()))));
        let readers = readers.transpose()?;
        let judged = judged.map(|(judged, _)| judged);
        let seen = match (&known, &judged, predictions) {
            (Some(run), Some(judged), Some(_)) => Some(Seen::of(run, &judged.study.data.cases)),
            _ => None,
        };
        if let Some(warning) = seen.as_ref().and_then(Seen::warning) {
            eprintln!("nodal: {warning}");
        }
        Ok(Content {
            title: options.title.clone(),
            sources,
            confidence,
            run: known,
            judged,
            readers,
            cohort,
            sweep: summary,
            seen,
            validation: run.is_some() && predictions.is_none(),
        })
    }

    /// Of what `nodal evaluate` judged.
    pub fn of_study(out: &Path, of: Evaluated, study: Study, sections: Vec<Section>) -> anyhow::Result<Self> {
        let Evaluated { data, weights, network } = of;
        let mut sources = Sources::new(command(out));
        let is_run = RunFolder::open(data).is_ok();
        let run = if is_run { Some(Run::open(data, &mut sources)?) } else { None };
        if !is_run {
            sources.add("data", data)?;
        }
        if let Some(weights) = weights {
            sources.add("weights", weights)?;
        }
        let confidence = study.confidence;
        let mut judged = Judged::new(study, sections, (ERRORS, None), data, None, &mut sources)?;
        judged.explain(weights.or(is_run.then_some(data)), network)?;
        Ok(Content {
            title: "Evaluation".into(),
            sources,
            confidence,
            run,
            judged: Some(judged),
            readers: None,
            cohort: None,
            sweep: None,
            seen: None,
            validation: is_run,
        })
    }
}

/// What `nodal evaluate` was given.
pub struct Evaluated<'a> {
    pub data: &'a Path,
    pub weights: Option<&'a Path>,
    pub network: &'a NetworkOptions,
}

impl Run {
    fn open(path: &Path, sources: &mut Sources) -> anyhow::Result<Self> {
        let folder = RunFolder::open(path)?;
        let config: Config = folder.config()?;
        sources.look(&config.data);
        for (what, file) in
            [("weights of the best epoch", folder.best()?), ("split", folder.file("split.csv"))]
        {
            sources.add(what, &file)?;
        }
        let sheet = Sheet::open(&folder.file("split.csv"))?;
        let mut columns = [0; 3];
        for (column, name) in columns.iter_mut().zip(["part", "label", "image"]) {
            *column = sheet.need(name)?;
        }
        let [node, patient] = ["node", "patient"].map(|name| sheet.column(name));
        let mut split = Vec::with_capacity(sheet.rows().len());
        for row in sheet.rows() {
            let text = |column| row.get(column).unwrap_or_default().to_string();
            let mut own = [""; 3];
            for (own, column) in own.iter_mut().zip(columns) {
                *own = sheet.field(row, column)?;
            }
            let [part, label, image] = own.map(str::to_string);
            split.push([part, label, text(node), text(patient), image]);
        }
        Ok(Run { config, epochs: folder.epochs()?, path: path.to_path_buf(), split })
    }

    /// The different nodes or patients, `by`, of a part; rows that name none are left out.
    pub fn groups<'a>(&'a self, by: SplitBy, part: &str) -> std::collections::BTreeSet<(&'a str, &'a str)> {
        let own = self.split.iter().filter(|row| row[0] == part);
        let key = |row: &'a [String; 5]| match by {
            SplitBy::Node => (!row[2].is_empty()).then_some((row[3].as_str(), row[2].as_str())),
            _ => (!row[3].is_empty()).then_some((row[3].as_str(), "")),
        };
        own.filter_map(key).collect()
    }
}

impl Judged {
    fn new(
        study: Study,
        sections: Vec<Section>,
        (most, data): (usize, Option<&Path>),
        from: &Path,
        readings: Option<&[Reading]>,
        sources: &mut Sources,
    ) -> anyhow::Result<Self> {
        let threshold = sections.first().and_then(|section| section.threshold).unwrap_or(0.5);
        let roots = errors::roots(data, from);
        let (wrong, errors) = errors::worst(&study, threshold, most, &roots, readings.unwrap_or_default());
        for shown in &wrong {
            shown.file.iter().for_each(|file| sources.look_above(file));
        }
        Ok(Judged { study, sections, wrong, errors })
    }

    /// Adds what the network of `weights`, if there is one, looked at where it was wrong.
    fn explain(&mut self, weights: Option<&Path>, network: &NetworkOptions) -> anyhow::Result<()> {
        let Some(weights) = weights.filter(|_| self.wrong.iter().any(|wrong| wrong.crop.is_ok())) else {
            return Ok(());
        };
        let mut explainer = network.explainer(weights)?;
        self.wrong.iter_mut().try_for_each(|wrong| wrong.explain(&mut explainer))
    }

    /// The images' figures; of several classes those of all together.
    pub fn images(&self) -> &Section {
        &self.sections[0]
    }
}

impl Readers {
    fn new(all: Vec<Reading>, judged: Option<(&Judged, &Path)>) -> anyhow::Result<Self> {
        let mut shared = Vec::new();
        let counts = all.iter().all(|reading| reading.cases.is_empty());
        if let Some((Judged { study, sections, .. }, from)) = judged {
            let from = from.display().to_string();
            if !study.is_two() {
                anyhow::bail!(
                    "{from}: readers tell two classes apart, not {}",
                    study.data.classes.join(", ")
                );
            }
            let threshold = sections.first().and_then(|section| section.threshold).unwrap_or(0.5);
            let predicted = study.data.cases.as_slice().into();
            let network = Network { from, predicted, positive: study.positive, threshold };
            if !counts {
                shared = all.clone();
                let own = network.beside(&mut shared, true)?;
                shared.push(own);
            }
        }
        let pairs = pairs::all(if shared.is_empty() { &all } else { &shared })?;
        Ok(Readers { all, shared, pairs })
    }
}
