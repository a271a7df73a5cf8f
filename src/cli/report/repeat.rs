//! All that is needed to have the same figures again.

use maud::{Markup, html};
use nodal::train::Config;

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
    }
    for source in &content.sources.files {
        files.row([&source.what, &source.path.display().to_string(), &source.digest]);
    }
    let config = content.run.as_ref().map(|run| serde_json::to_string_pretty(&run.config)).transpose()?;
    Ok(html! {
        p { "The same files and commands give the same figures, and this page byte by byte. Made with nodal \
            " (env!("CARGO_PKG_VERSION")) "." }
        h3 { "Commands" }
        @if let Some(run) = &content.run {
            p { "The network was trained by " (run.config.engine) " on " (run.config.device) "; on another kind of device the \
                last bits may differ." }
            pre { (quoted(&command(&run.config))) }
        }
        pre { (content.sources.command) }
        @if let Some(bootstrap) = content.judged.as_ref().and_then(|judged| judged.study.bootstrap) {
            p { "Bootstrap: " (bootstrap.resamples) " draws, seed " (bootstrap.seed) "." }
        }
        @if !files.rows.is_empty() { h3 { "Files" } (table(&files, "")) }
        @if let Some(config) = config { h3 { "The run's config.json" } pre { (config) } }
    })
}

/// The call of `nodal train` that begins the run again.
fn command(config: &Config) -> Vec<String> {
    let hyper = &config.hyper;
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
    option("out", "run".into());
    option("epochs", hyper.epochs.to_string());
    option("batch", hyper.batch.to_string());
    option("freeze", hyper.freeze.to_string());
    option("lr", format!("{:?}", hyper.lr));
    option("schedule", hyper.schedule.clone());
    option("warmup", hyper.warmup.to_string());
    option("momentum", hyper.momentum.to_string());
    option("weight-decay", hyper.weight_decay.to_string());
    option("dropout", hyper.dropout.to_string());
    option("label-smoothing", format!("{:?}", hyper.label_smoothing));
    option("class-weights", hyper.class_weights.iter().map(f64::to_string).collect::<Vec<_>>().join(","));
    option("augment", hyper.augment.clone());
    option("seed", hyper.seed.to_string());
    option("size", format!("{}x{}", config.size.0, config.size.1));
    option("fit", config.fit.clone());
    option("normalize", config.normalize.clone());
    if let Some(clip) = hyper.clip_norm {
        option("clip-norm", clip.to_string());
    }
    if let Some(weight) = hyper.aux_weight {
        option("aux-weight", weight.to_string());
    }
    if hyper.checkpoint_every > 0 {
        option("checkpoint-every", hyper.checkpoint_every.to_string());
    }
    split(&config.split).into_iter().for_each(|(name, value)| option(name, value));
    if config.device.starts_with("cpu") || config.device.starts_with("sim") {
        option("device", config.device.clone());
    }
    let flags = [
        ("--drop-last", hyper.drop_last),
        ("--nesterov", hyper.nesterov),
        ("--softmax", config.outputs == 2 && config.classes.len() == 2),
        ("--standardize", config.standardize),
        ("--recompute", hyper.recompute),
        ("--reestimate-batch-norm", hyper.reestimate),
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
