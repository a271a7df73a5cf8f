//! `nodal explain`: heat maps of what decided, drawn over the crops.

mod paths;
mod sheet;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use nodal::Image;
use nodal::explain::{ExplainOptions, Explainer, Explanation, Method, save_png};
use serde_json::{Map, Value, json};

use super::network::{InputOptions, open_weights, samples_of};
use sheet::Panel;

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Options {
    /// Weights, .safetensors or .pth, or a run's folder for its best ones
    #[arg(long, value_name = "W")]
    weights: PathBuf,
    /// Folder for the pictures, made where there is none; no picture there is overwritten
    #[arg(short, long, value_name = "OUT")]
    out: PathBuf,
    /// How maps come about
    #[arg(long, value_enum, default_value = "grad-cam", value_name = "HOW")]
    method: Methods,
    /// The layer of Grad-CAM: a convolution, a block or a maximum pool [default: Mixed_7c, or the last block of more than one
    /// pixel]
    #[arg(long, value_name = "LAYER")]
    layer: Option<String>,
    /// The class that maps speak for, by name [default: each crop's predicted one]
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// Side of the square that occlusion hides, in pixels of the input [default: 32]
    #[arg(long, value_name = "N")]
    patch: Option<usize>,
    /// From one square to the next [default: 16]
    #[arg(long, value_name = "N")]
    stride: Option<usize>,
    #[command(flatten)]
    device: super::DeviceOptions,
    /// Occluded inputs that a run takes
    #[arg(long, default_value_t = 8, value_name = "N")]
    batch: usize,
    #[command(flatten)]
    input: InputOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Images, folders of images, CSV files with a column `image`, or runs for their validation parts
    #[arg(required = true, value_name = "IMAGE|DIR|CSV|RUN")]
    inputs: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Methods {
    /// By the gradient of the class's logit: quick
    GradCam,
    /// By hiding one square after the other: a run for each
    Occlusion,
    /// Both, side by side
    Both,
}

impl Methods {
    fn includes(self, method: Method) -> bool {
        match self {
            Methods::GradCam => method == Method::GradCam,
            Methods::Occlusion => method == Method::Occlusion,
            Methods::Both => true,
        }
    }
}

const HELP: &str = "\
A picture shows the crop as the network sees it, and beside it the crop in grey under each map: the brighter, the more speaks for the \
class; black and grey speak for nothing. Each map is scaled to its own largest value, which stands below it: of occlusion how much less \
probable the class becomes, of Grad-CAM a number without a unit.

Images keep their folders below OUT: of a/x.png and b/x.png come OUT/a/x.png and OUT/b/x.png. A map shows where the network looked, not \
that it was right to.";

/// One image and what became of it.
struct Row {
    image: PathBuf,
    outcome: Result<Drawn, String>,
}

/// The maps of an image, and the file that shows them.
struct Drawn {
    maps: Vec<Explanation>,
    picture: PathBuf,
}

impl Options {
    /// The square that occlusion hides, and the step to the next.
    fn square(&self) -> (usize, usize) {
        (self.patch.unwrap_or(32), self.stride.unwrap_or(16))
    }

    /// Refuses options of the method that was not asked for.
    fn check(&self) -> anyhow::Result<()> {
        let given = [
            ("--layer", self.layer.is_some(), Method::GradCam),
            ("--patch", self.patch.is_some(), Method::Occlusion),
            ("--stride", self.stride.is_some(), Method::Occlusion),
        ];
        match given.into_iter().find(|(_, given, method)| *given && !self.method.includes(*method)) {
            Some((name, _, method)) => {
                anyhow::bail!("{name} belongs to --method {method} or both: add that, or leave it out")
            }
            None => Ok(()),
        }
    }
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    options.check()?;
    let mut images = Vec::new();
    for input in &options.inputs {
        if !input.exists() {
            anyhow::bail!("{}: there is no such file or folder", input.display());
        }
        images.extend(samples_of(input)?.into_iter().map(|sample| sample.image));
    }
    let named = paths::pictures(images, &options.out)?;
    let weights = open_weights(&options.weights)?;
    let explain = ExplainOptions {
        layer: options.layer.clone(),
        preprocess: Some(options.input.preprocess(&weights)?),
        avg_pool_padding: options.input.avg_pool_padding(),
        batch: options.batch,
    };
    let mut explainer = Explainer::new(&weights, &options.device.open()?, &explain)?;
    let class = options.class.as_deref().map(|name| class(&explainer, name)).transpose()?;
    let rows = explain_all(options, &mut explainer, class, named)?;

    let output = match options.json {
        true => format!("{:#}\n", as_json(options, &rows, &explainer)),
        false => as_table(&rows, &explainer),
    };
    super::print(&output)?;
    let failed = rows.iter().filter(|row| row.outcome.is_err()).count();
    if failed > 0 {
        anyhow::bail!("{failed} of {} images could not be explained: see above", rows.len());
    }
    Ok(ExitCode::SUCCESS)
}

/// The number of the class called `name`.
fn class(explainer: &Explainer, name: &str) -> anyhow::Result<usize> {
    let found = explainer.classes().iter().position(|class| class == name);
    found.ok_or_else(|| {
        let classes = explainer.classes().join(", ");
        anyhow::anyhow!("--class {name}: the network has no such class; name one of {classes}")
    })
}

/// Explains every image and writes its picture; an unreadable image is named and the rest goes on.
fn explain_all(
    options: &Options,
    explainer: &mut Explainer,
    class: Option<usize>,
    named: Vec<(PathBuf, PathBuf)>,
) -> anyhow::Result<Vec<Row>> {
    let squares = match options.method.includes(Method::Occlusion) {
        true => {
            let (patch, stride) = options.square();
            explainer.squares(patch, stride)?
        }
        false => 0,
    };
    let style = ProgressStyle::with_template("{bar:40} {msg}, {eta} left")?;
    // Hidden by itself when standard error is no terminal. A gradient counts as one more square.
    let (count, each) = (named.len(), squares + 1);
    let progress = ProgressBar::new((count * each) as u64).with_style(style);
    let mut rows = Vec::with_capacity(count);
    for (done, (image, picture)) in named.into_iter().enumerate() {
        progress.set_position((done * each) as u64);
        progress.set_message(format!("{done}/{count} crops"));
        let outcome = match Image::open(&image) {
            Ok(opened) => {
                let maps = maps(options, explainer, class, &opened, &mut |squares| {
                    progress.set_position((done * each + squares) as u64);
                })?;
                let sheet = sheet::draw(&header(explainer, &image, &maps), &panels(explainer, &maps));
                paths::make_folder(&picture)?;
                save_png(&sheet, &picture)?;
                Ok(Drawn { maps, picture })
            }
            Err(error) => {
                progress.suspend(|| eprintln!("nodal: {error}"));
                Err(error.to_string())
            }
        };
        rows.push(Row { image, outcome });
    }
    progress.finish_and_clear();
    Ok(rows)
}

/// The maps of one image; `watch` hears how many squares are done.
fn maps(
    options: &Options,
    explainer: &mut Explainer,
    class: Option<usize>,
    image: &Image,
    watch: &mut dyn FnMut(usize),
) -> nodal::Result<Vec<Explanation>> {
    let mut maps = Vec::new();
    if options.method.includes(Method::GradCam) {
        maps.push(explainer.grad_cam(image, class)?);
    }
    if options.method.includes(Method::Occlusion) {
        maps.push(explainer.occlusion_watched(image, class, options.square(), &mut |done, _| watch(done))?);
    }
    Ok(maps)
}

/// What stands above the panels.
fn header(explainer: &Explainer, image: &Path, maps: &[Explanation]) -> Vec<String> {
    let mut lines =
        vec![image.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()];
    if let Some(Explanation { prediction, class, .. }) = maps.first() {
        let named =
            |class: usize| format!("{} ({:.4})", explainer.classes()[class], prediction.probabilities[class]);
        lines.push(format!("What speaks for {}", named(*class)));
        if *class != prediction.class {
            lines.push(format!("Predicted: {}", named(prediction.class)));
        }
    }
    lines
}

/// The crop, then each map over it.
fn panels(explainer: &Explainer, maps: &[Explanation]) -> Vec<Panel> {
    let crop = maps.first().map(|map| {
        let (width, height) = map.crop.dimensions();
        Panel { picture: map.crop.clone(), title: format!("Input, {height}x{width}"), scale: None }
    });
    let panel = |map: &Explanation| Panel {
        picture: map.overlay(),
        title: match map.method {
            Method::GradCam => format!("Grad-CAM, {}", explainer.layer()),
            Method::Occlusion => "Occlusion (drop in p)".to_string(),
        },
        scale: Some(map.map.maximum().map(|(.., value)| value)),
    };
    crop.into_iter().chain(maps.iter().map(panel)).collect()
}

fn as_json(options: &Options, rows: &[Row], explainer: &Explainer) -> Value {
    let classes = explainer.classes();
    let map = |map: &Explanation| {
        let maximum = map
            .map
            .maximum()
            .map(|(row, column, value)| json!({"row": row, "column": column, "value": super::number(value)}));
        match map.method {
            Method::GradCam => json!({"layer": explainer.layer(), "maximum": maximum}),
            Method::Occlusion => {
                let (patch, stride) = options.square();
                json!({"patch": patch, "stride": stride, "maximum": maximum})
            }
        }
    };
    let result = |row: &Row| {
        let mut about = Map::new();
        about.insert("image".into(), row.image.display().to_string().into());
        match &row.outcome {
            Err(error) => _ = about.insert("error".into(), error.clone().into()),
            Ok(drawn) => {
                if let Some(Explanation { prediction, class, .. }) = drawn.maps.first() {
                    about.insert("predicted".into(), classes[prediction.class].clone().into());
                    about.insert("class".into(), classes[*class].clone().into());
                    about.insert("probability".into(), super::number(prediction.probabilities[*class]));
                }
                about.extend(drawn.maps.iter().map(|own| (own.method.to_string(), map(own))));
                about.insert("picture".into(), drawn.picture.display().to_string().into());
            }
        }
        Value::from(about)
    };
    json!({"results": rows.iter().map(result).collect::<Vec<_>>()})
}

fn as_table(rows: &[Row], explainer: &Explainer) -> String {
    let mut table =
        super::table(&["image", "class", "probability", "method", "maximum", "at row, column"], 2);
    for (row, drawn) in rows.iter().filter_map(|row| Some((row, row.outcome.as_ref().ok()?))) {
        for map in &drawn.maps {
            let (value, place) = match map.map.maximum() {
                Some((row, column, value)) => (format!("{value:.4}"), format!("{row}, {column}")),
                None => ("nothing above 0".into(), String::new()),
            };
            table.add_row([
                row.image.display().to_string(),
                explainer.classes()[map.class].clone(),
                format!("{:.4}", map.prediction.probabilities[map.class]),
                map.method.to_string(),
                value,
                place,
            ]);
        }
    }
    let pictures: Vec<&Drawn> = rows.iter().filter_map(|row| row.outcome.as_ref().ok()).collect();
    let mut text = super::text(&table);
    match pictures.as_slice() {
        [] => {}
        [one] => text += &format!("\n{}\n", one.picture.display()),
        [first, .., last] => {
            text += &format!(
                "\n{} pictures, {} to {}\n",
                pictures.len(),
                first.picture.display(),
                last.picture.display()
            );
        }
    }
    text
}
