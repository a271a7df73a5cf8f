//! What a run shows: a bar within the epoch, a line for each epoch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use indicatif::{ProgressBar, ProgressStyle};
use nodal::Device;
use nodal::train::{EpochReport, Figures, Job, StepReport, Watch};

pub struct Screen {
    bar: ProgressBar,
    epochs: usize,
    stop: Arc<AtomicBool>,
}

impl Screen {
    /// Says what begins; the run ends after the step in which `stop` is set.
    pub fn new(job: &Job, device: &Device, stop: Arc<AtomicBool>) -> anyhow::Result<Self> {
        let config = job.config();
        let (train, val) = job.images();
        super::super::print(&format!(
            "{} on {}: {train} images teach, {val} validate, split {}; {} steps an epoch, {} convolutions frozen, {}\n",
            classes(&config.classes),
            device.identity(),
            if config.split == "given" { "as given" } else { &config.split },
            job.steps_per_epoch(),
            config.hyper.freeze,
            if config.new_head { "last layer made anew" } else { "last layer as given" }
        ))?;
        let style =
            ProgressStyle::with_template("epoch {prefix} {bar:40} {pos}/{len} steps, {msg}, {eta} left")?;
        // Hidden by itself when standard error is no terminal.
        let bar = ProgressBar::new(job.steps_per_epoch() as u64).with_style(style);
        Ok(Screen { bar, epochs: config.hyper.epochs, stop })
    }
}

/// The classes, and which of two is positive.
fn classes(classes: &[String]) -> String {
    match classes {
        [other, positive] if positive == "positive" => format!("{other} and positive"),
        [other, positive] => format!("{other} and {positive} (positive)"),
        _ => classes.join(", "),
    }
}

/// What Ctrl-C sets; asked for once in a process.
pub fn stop_on_ctrl_c() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        // The second time is meant at once.
        if flag.swap(true, SeqCst) {
            std::process::exit(i32::from(super::INTERRUPTED));
        }
        eprintln!("nodal: ending as soon as a step is done; once more to end at once");
    })?;
    Ok(stop)
}

impl Watch for Screen {
    fn step(&mut self, report: &StepReport) {
        self.bar.set_prefix((report.epoch + 1).to_string());
        self.bar.set_position(report.batch as u64 + 1);
        self.bar.set_message(format!("loss {:.4}, {:.1} images/s", report.loss, report.images_per_s));
    }

    fn epoch(&mut self, report: &EpochReport) {
        let figures = |f: &Figures| {
            let auc = f.auc.map_or("-".into(), |auc| format!("{auc:.3}"));
            format!("loss {:.4}, accuracy {:5.1} %, AUC {auc}", f.loss, 100.0 * f.accuracy)
        };
        let validation = format!("; validation {}", figures(&report.validation));
        let line = format!(
            "epoch {:>3}/{}: {}{validation}; {:.1} s, waited {:.1} s{}",
            report.epoch + 1,
            self.epochs,
            figures(&report.training),
            report.took.as_secs_f64(),
            report.waited.as_secs_f64(),
            if report.best { ", best" } else { "" }
        );
        self.bar.suspend(|| {
            let _ = super::super::print(&format!("{line}\n"));
        });
        self.bar.reset();
    }

    fn stop(&self) -> bool {
        self.stop.load(SeqCst)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
