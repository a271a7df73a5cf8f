//! What is judged and how: the options that `evaluate` and `report` share.

use clap::Args;
use nodal::metrics::{Bootstrap, Confidence, Cutoff};

use super::cases::Cases;
use super::pool::Pool;
use super::report::Section;
use super::{several, two};

/// How predictions are judged.
#[derive(Args)]
pub struct Judging {
    /// How the views of a node become one
    #[arg(long, value_enum, default_value = "mean", value_name = "HOW")]
    pool: Pool,
    /// The class that counts as positive, of two [default: the second; positive or 1 where `probability` is alone]
    #[arg(long, value_name = "CLASS")]
    positive: Option<String>,
    /// Call positive from this probability on, of two classes [default: 0.5]
    #[arg(long, value_name = "P")]
    threshold: Option<f64>,
    /// Choose the threshold on these data: youden, sensitivity=0.95 or specificity=0.95
    #[arg(long, conflicts_with = "threshold", value_name = "HOW")]
    cutoff: Option<Cutoff>,
    /// How sure intervals are
    #[arg(long, default_value_t = 0.95, value_name = "LEVEL")]
    confidence: f64,
    /// Resamples of the bootstrap, which draws whole patients, else nodes, else images; 0 leaves it out [default: 1000]
    #[arg(long, value_name = "N")]
    bootstrap: Option<usize>,
    /// Seed of the bootstrap [default: 1]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

/// What is judged, and how.
pub struct Study {
    pub data: Cases,
    /// The positive class, of two.
    pub positive: usize,
    pub pool: Pool,
    pub cutoff: Cutoff,
    pub confidence: Confidence,
    pub bootstrap: Option<Bootstrap>,
}

impl Judging {
    /// Resamples of the bootstrap, and their seed.
    pub fn resamples(&self) -> (usize, u64) {
        (self.bootstrap.unwrap_or(1000), self.seed.unwrap_or(1))
    }

    /// The positive class, where it was named.
    pub fn positive(&self) -> Option<&str> {
        self.positive.as_deref()
    }

    /// How sure intervals are.
    pub fn confidence(&self) -> nodal::Result<Confidence> {
        Confidence::new(self.confidence)
    }

    /// Whether the options make sense: asked before long work.
    pub fn check(&self) -> anyhow::Result<()> {
        if let Some(threshold) = self.threshold.filter(|threshold| !(0.0..=1.0).contains(threshold)) {
            anyhow::bail!("--threshold {threshold}: a probability lies between 0 and 1");
        }
        self.confidence()?;
        Ok(())
    }

    /// The first of these options that was given, where nothing is judged; `confident` leaves out the level of intervals, which
    /// readers have too.
    pub fn given(&self, confident: bool) -> Option<&'static str> {
        let given = [
            ("--pool", self.pool != Pool::Mean),
            ("--positive", self.positive.is_some()),
            ("--threshold", self.threshold.is_some()),
            ("--cutoff", self.cutoff.is_some()),
            ("--confidence", !confident && self.confidence != 0.95),
            ("--bootstrap", self.bootstrap.is_some()),
            ("--seed", self.seed.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(name, _)| name)
    }

    /// `data` judged so.
    pub fn study(&self, data: Cases) -> anyhow::Result<Study> {
        let (two, classes) = (data.classes.len() == 2, data.classes.join(", "));
        if !two && (self.cutoff.is_some() || self.positive.is_some()) {
            anyhow::bail!("--cutoff and --positive are for two classes, not for {classes}");
        }
        if !two && self.threshold.is_some() {
            anyhow::bail!("--threshold is for two classes, not for {classes}");
        }
        let positive = match &self.positive {
            None if two => 1,
            None => 0,
            Some(name) => data
                .classes
                .iter()
                .position(|class| class == name)
                .ok_or_else(|| anyhow::anyhow!("--positive {name}: is none of the classes {classes}"))?,
        };
        let (resamples, seed) = self.resamples();
        let confidence = self.confidence()?;
        Ok(Study {
            data,
            positive,
            pool: self.pool,
            cutoff: self.cutoff.unwrap_or(Cutoff::Threshold(self.threshold.unwrap_or(0.5))),
            confidence,
            bootstrap: (resamples > 0).then_some(Bootstrap { resamples, seed, confidence }),
        })
    }
}

impl Study {
    /// Whether two classes are told apart.
    pub fn is_two(&self) -> bool {
        self.data.classes.len() == 2
    }

    /// The metrics of each level that the data have names for: images, nodes, patients.
    pub fn sections(&self) -> anyhow::Result<Vec<Section>> {
        match self.is_two() {
            true => two::sections(self),
            false => several::sections(self),
        }
    }
}
