//! All that is needed to have the same figures again.

use std::path::Path;

use maud::{Markup, html};
use nodal::train::{Config, Hyper, MeanOrigin};

use super::super::grid::Grid;
use super::super::sweep::quoted;
use super::content::Content;
use super::html::table;

/// Commands, versions, files with their digests, and the run's own description.
///
/// # Errors
/// When the description is no JSON.
pub fn part(content: &Content) -> anyhow::Result<Markup> {
    let mut files = Grid::new(["what", "file", "digest (XXH3, 128 bits)"], 3);
    if let Some(run) = &content.run {
        files.row([
            "data, with names and labels",
            &run.config.data.display().to_string(),
            &run.config.data_digest,
        ]);
        files.row([
            "weights it began with",
            &run.config.weights.display().to_string(),
            &run.config.weights_digest,
        ]);
        if let Some(MeanOrigin::File { path, digest }) = &run.config.mean {
            files.row(["mean image", &path.display().to_string(), digest]);
        }
    }
    for source in &content.sources.files {
        files.row([&source.what, &source.path.display().to_string(), &source.digest]);
    }
    let config = content.run.as_ref().map(|run| serde_json::to_string_pretty(&run.config)).transpose()?;
    Ok(html! {
        p { "The same files and commands give the same figures, and on the same kind of device, with the files at the same places, \
            this page byte by byte. Made with nodal " (env!("CARGO_PKG_VERSION")) "." }
        h3 { "Commands" }
        @if let Some(run) = &content.run {
            p { "The network was trained by " (run.config.engine) " on " (run.config.device) "; on another kind of device the \
                last bits may differ." }
            pre { (quoted(&command(&run.config, &run.path))) }
            p.note { "Nothing may lie at " (run.path.display()) " before: move the run away, or name another folder here and below." }
            @if run.config.normalize == "mean" && run.config.mean.is_none() {
                p.note { "The run's config.json does not say where its mean image is from; this command takes the mean of the \
                    training images, which is another one if the run had it from elsewhere." }
            }
        }
        pre { (content.sources.command) }
        @if let Some(bootstrap) = content.judged.as_ref().and_then(|judged| judged.study.bootstrap) {
            p { "Bootstrap: " (bootstrap.resamples) " draws, seed " (bootstrap.seed) "." }
        }
        @if !files.rows.is_empty() { h3 { "Files" } (table(&files, "")) }
        @if let Some(config) = config { h3 { "The run's config.json" } pre { (config) } }
    })
}

/// The call of `nodal train` that begins the run again in the folder `out`.
fn command(config: &Config, out: &Path) -> Vec<String> {
    // In full, so that a new option cannot be forgotten here.
    let Hyper {
        epochs,
        batch,
        drop_last,
        freeze,
        dropout,
        lr,
        schedule,
        warmup,
        momentum,
        weight_decay,
        nesterov,
        clip_norm,
        aux_weight,
        label_smoothing,
        class_weights,
        augment,
        seed,
        checkpoint_every,
        reestimate,
        recompute,
    } = &config.hyper;
    let mut words: Vec<String> = [
        "nodal",
        "train",
        &config.data.display().to_string(),
        "--weights",
        &config.weights.display().to_string(),
    ]
    .map(String::from)
    .into();
    let mut option = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    option("out", out.display().to_string());
    option("epochs", epochs.to_string());
    option("batch", batch.to_string());
    option("freeze", freeze.to_string());
    option("lr", format!("{:?}", lr));
    option("schedule", schedule.clone());
    option("warmup", warmup.to_string());
    option("momentum", momentum.to_string());
    option("weight-decay", weight_decay.to_string());
    option("dropout", dropout.to_string());
    option("label-smoothing", format!("{:?}", label_smoothing));
    option("class-weights", class_weights.iter().map(f64::to_string).collect::<Vec<_>>().join(","));
    option("augment", augment.clone());
    option("seed", seed.to_string());
    option("size", format!("{}x{}", config.size.0, config.size.1));
    option("fit", config.fit.clone());
    match &config.mean {
        // Without the option it is taken from there.
        Some(MeanOrigin::Weights) => {}
        Some(MeanOrigin::File { path, .. }) => option("normalize", format!("mean:{}", path.display())),
        Some(MeanOrigin::Training) | None => option("normalize", config.normalize.clone()),
    }
    if let [_, positive] = &config.classes[..] {
        option("positive", positive.clone());
    }
    if let Some(clip) = clip_norm {
        option("clip-norm", clip.to_string());
    }
    if let Some(weight) = aux_weight {
        option("aux-weight", weight.to_string());
    }
    if *checkpoint_every > 0 {
        option("checkpoint-every", checkpoint_every.to_string());
    }
    split(&config.split).into_iter().for_each(|(name, value)| option(name, value));
    if config.device.starts_with("cpu") || config.device.starts_with("sim") {
        option("device", config.device.clone());
    }
    let flags = [
        ("--drop-last", *drop_last),
        ("--nesterov", *nesterov),
        ("--softmax", config.outputs == 2 && config.classes.len() == 2),
        ("--standardize", config.standardize),
        // The weights may say otherwise.
        ("--standardize=false", !config.standardize),
        ("--recompute", *recompute),
        ("--reestimate-batch-norm", *reestimate),
    ];
    words.extend(flags.iter().filter(|(_, set)| *set).map(|(flag, _)| flag.to_string()));
    words
}

/// The options of a split from its description: `by patient, 0.2 for validation`, `by image, fold 2 of 5`; none where it was given.
fn split(how: &str) -> Vec<(&'static str, String)> {
    let Some((by, rest)) = how.strip_prefix("by ").and_then(|how| how.split_once(", ")) else {
        return Vec::new();
    };
    let mut options = vec![("split-by", by.to_string())];
    match rest.strip_prefix("fold ").map(|fold| fold.replace(" of ", "/")) {
        Some(fold) => options.push(("fold", fold)),
        None => options
            .extend(rest.strip_suffix(" for validation").map(|share| ("val-fraction", share.to_string()))),
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_is_told_as_options() {
        let told = |how| {
            split(how)
                .into_iter()
                .map(|(name, value)| format!("--{name} {value}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(told("by patient, 0.25 for validation"), "--split-by patient --val-fraction 0.25");
        assert_eq!(told("by image, fold 2 of 5"), "--split-by image --fold 2/5");
        assert_eq!(told("given"), "");
    }
}
