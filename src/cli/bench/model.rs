//! `nodal bench --device sim`: the model of the program's time on a card, layer by layer.

use indicatif::{ProgressBar, ProgressStyle};
use nodal::Device;
use nodal::device::{Modelled, ProgramModel, model};
use nodal::kernels::Card;
use nodal::program::{Input, Program, StepSummary};
use serde_json::{Value, json};

use super::Options;

/// A program, and what the model says of it.
struct Report<'a> {
    card: &'a Card,
    program: &'a Program,
    summary: Vec<StepSummary>,
    model: ProgramModel,
}

/// Said wherever a number of the model stands.
const CAVEAT: &str =
    "model, uncalibrated: what the busiest resource needs, counted on the simulator; no measurement";

pub fn run(options: &Options, device: &Device, card: &Card, threads: usize) -> anyhow::Result<()> {
    options.device.refuse("the model of a card", &["--checks"])?;
    if options.image.is_some() || options.seconds.is_some() {
        anyhow::bail!("--image and --seconds do not count for the model of a card: leave them out");
    }
    let (weights, preprocess) = super::weights(options)?;
    let program = match options.train {
        true => super::train::program(options, &weights, preprocess.size, device)?,
        false => {
            let network = super::network(&weights, preprocess.size)?;
            let input = Input::Crops(preprocess.normalize.normalization());
            let lowering = nodal::program::Options {
                input,
                ..nodal::program::Options::new(options.batch, device.target())
            };
            Program::lower(&network, &lowering)?
        }
    };
    let style = ProgressStyle::with_template("counting {bar:40} {pos}/{len} steps")?;
    let progress = ProgressBar::new(program.steps.len() as u64).with_style(style);
    let model = model(&program, &weights, card, threads, &mut |_| progress.inc(1))?;
    progress.finish_and_clear();
    let report = Report { card, summary: program.summary(), program: &program, model };
    if options.json {
        super::super::print_json(&report.json())
    } else {
        super::super::print(&report.tables())
    }
}

impl Report<'_> {
    fn steps(&self) -> impl Iterator<Item = (&StepSummary, &Modelled)> {
        self.summary.iter().zip(&self.model.steps)
    }

    fn gflops(summary: &StepSummary, us: f64) -> f64 {
        summary.flops as f64 / us / 1e3
    }

    fn json(&self) -> Value {
        let peak = self.card.peak_gflops();
        let layer = |(summary, step): (&StepSummary, &Modelled)| {
            let gflops = Self::gflops(summary, step.estimate.us);
            json!({
                "name": summary.name, "kind": summary.kind, "level": summary.level,
                "ms": step.estimate.us / 1e3, "bound": step.estimate.bound.to_string(),
                "gflops": gflops, "share_of_peak": gflops / peak, "blocks": step.work().blocks,
                "loop_fma_share": step.loop_fma_share, "loop_bank_conflicts": step.loop_bank_conflicts,
                "loop_extra_sectors": step.loop_extra_sectors, "sector_use": step.sector_use,
                "warp_instructions": step.work().instructions, "global_sectors": step.work().global_sectors, "dram_bytes": step.work().dram_bytes,
            })
        };
        let (h, w) = self.program.network.size;
        let batch = self.program.options.batch;
        json!({
            "device": "sim", "card": self.card.name, "kind": "model", "calibrated": false, "note": CAVEAT,
            "batch": batch, "size": [h, w], "peak_gflops": peak, "network_ms": {"model": self.model.us / 1e3},
            "images_per_s": batch as f64 * 1e6 / self.model.us, "layers": self.steps().map(layer).collect::<Vec<_>>(),
        })
    }

    fn tables(&self) -> String {
        let peak = self.card.peak_gflops();
        let header = ["level", "model µs", "bound by", "of peak", "blocks", "fma", "sectors", "layers"];
        let mut table = super::super::table(&header, 0);
        if let Some(column) = table.column_mut(header.len() - 1) {
            column.set_cell_alignment(comfy_table::CellAlignment::Left);
        }
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        for (summary, step) in self.steps() {
            table.add_row([
                summary.level.to_string(),
                format!("{:.1}", step.estimate.us),
                step.estimate.bound.to_string(),
                percent(Self::gflops(summary, step.estimate.us) / peak),
                format!("{:.0}", step.work().blocks),
                if step.loop_fma_share > 0.0 { percent(step.loop_fma_share) } else { "-".into() },
                percent(step.sector_use),
                summary.name.replace('+', " + "),
            ]);
        }
        let (h, w) = self.program.network.size;
        let (batch, ms) = (self.program.options.batch, self.model.us / 1e3);
        let reached = self.program.flops() as f64 / self.model.us / 1e3 / peak;
        format!(
            "{}\n{}, batch {batch}, {h}×{w}: {ms:.2} ms ({:.0} images/s), {} of the peak of {peak:.0} GFLOP/s\n{CAVEAT}\n\
             fma: multiply-adds in the hottest loop, of its PTX instructions, - where there is none; sectors: bytes asked for, of those touched\n",
            super::super::text(&table),
            self.card.title,
            batch as f64 * 1e3 / ms,
            percent(reached),
        )
    }
}
