//! `nodal tune`: how each launch is cut best on a device.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use nodal::Weights;
use nodal::device::tune;
use nodal::network::{AvgPoolPadding, Network};

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    device: super::DeviceOptions,
    /// Images a run takes
    #[arg(long, default_value_t = 1, value_name = "N")]
    batch: usize,
    /// Input size: 299 or HxW
    #[arg(long, default_value = "299", value_parser = super::parse_size, value_name = "SIZE")]
    size: (usize, usize),
    /// Outputs of the last layer
    #[arg(long, default_value_t = 1, value_name = "K")]
    classes: usize,
    /// File to write; give it to other commands as --tuning
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    options.device.refuse("tuning", &["--checks", "--tuning", "--no-graph"])?;
    super::check_output(&options.output)?;
    let device = options.device.open()?;
    let network = Network::inception_v3(options.size, options.classes, AvgPoolPadding::Include)?;
    let weights = Weights::random(0, &network.parameters())?;
    let progress = ProgressBar::new(0)
        .with_style(ProgressStyle::with_template("tuning {bar:40} {pos}/{len} cuts, {eta} left")?);
    let tuning = tune(&network, &weights, &device, options.batch, &mut |tried, all| {
        progress.set_length(all as u64);
        progress.set_position(tried as u64);
    })?;
    progress.finish_and_clear();
    tuning.save(&options.output)?;
    let mut table = super::table(&["µs", "tile", "steps", "layers"], 0);
    if let Some(column) = table.column_mut(3) {
        column.set_cell_alignment(comfy_table::CellAlignment::Left);
    }
    for (name, cut) in &tuning.launches {
        let tile = format!("{}×{}×{}", cut.tile.pixels, cut.tile.channels, cut.tile.groups);
        table.add_row([format!("{:.1}", cut.us), tile, cut.steps.to_string(), name.replace('+', " + ")]);
    }
    let sum: f64 = tuning.launches.values().map(|cut| cut.us).sum();
    super::print(&format!(
        "{}\n{}: {} launches of convolutions on {}, {:.2} ms together\n",
        super::text(&table),
        options.output.display(),
        tuning.launches.len(),
        tuning.card,
        sum / 1e3
    ))?;
    Ok(ExitCode::SUCCESS)
}
