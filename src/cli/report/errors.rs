//! The calls that are most surely wrong, with their crops.

use std::path::{Path, PathBuf};

use maud::{Markup, html};
use nodal::Image;
use nodal::explain::Explainer;

use super::super::evaluate::cases::Case;
use super::super::evaluate::pool::call;
use super::super::evaluate::study::Study;
use super::super::readers::calls::Reading;
use super::content::Content;
use super::html::count;
use super::picture;

/// A wrong call.
pub struct Wrong {
    pub case: Case,
    pub label: String,
    pub called: String,
    /// The probability of what was called.
    pub probability: f64,
    /// What readers called it: their names and calls.
    pub readers: Vec<(String, bool)>,
    /// Where the crop lies, if it was found.
    pub file: Option<PathBuf>,
    /// It as a picture, with its height and width, or why there is none.
    pub crop: Result<(String, usize, usize), String>,
    /// Where the network looked, as a picture.
    pub map: Option<String>,
    /// The number of the class that was called.
    class: usize,
}

impl Wrong {
    /// Adds what spoke for the class that was called.
    ///
    /// # Errors
    /// Those of [`Explainer::grad_cam`].
    pub fn explain(&mut self, explainer: &mut Explainer) -> anyhow::Result<()> {
        if let (Some(file), Ok(_)) = (&self.file, &self.crop) {
            let overlay = explainer.grad_cam(&Image::open(file)?, Some(self.class))?.overlay();
            let (width, height) = (overlay.width() as usize, overlay.height() as usize);
            self.map = Some(picture::png(height, width, overlay.as_raw())?);
        }
        Ok(())
    }
}

/// Folders in which a crop may lie by its name.
pub fn roots(data: Option<&Path>, from: &Path) -> Vec<PathBuf> {
    let folder = |path: &Path| match path.is_dir() {
        true => path.to_path_buf(),
        false => path.parent().unwrap_or(Path::new("")).to_path_buf(),
    };
    data.into_iter().map(folder).chain([PathBuf::new(), folder(from)]).collect()
}

/// The `most` wrong calls with the least probability for the truth, and how many there are in all.
pub fn worst(
    study: &Study,
    threshold: f64,
    most: usize,
    roots: &[PathBuf],
    readings: &[Reading],
) -> (Vec<Wrong>, usize) {
    let classes = &study.data.classes;
    let of = |case: &Case| call(&case.probabilities, study.positive, threshold);
    let mut wrong: Vec<&Case> =
        study.data.cases.iter().filter(|case| case.label.is_some_and(|label| label != of(case))).collect();
    let truth = |case: &Case| case.label.map_or(0.0, |label| case.probabilities[label]);
    wrong.sort_by(|a, b| truth(a).total_cmp(&truth(b)).then_with(|| a.name.cmp(&b.name)));
    let all = wrong.len();
    let shown = wrong.into_iter().take(most).map(|case| {
        let called = of(case);
        let file = case
            .name
            .as_deref()
            .and_then(|name| roots.iter().map(|root| root.join(name)).find(|path| path.is_file()));
        let crop = match (&file, &case.name) {
            (Some(file), _) => crop(file).map_err(|error| format!("{error:#}")),
            (None, Some(_)) => Err("the crop was not found: say with --data where it lies".into()),
            (None, None) => Err("the predictions name no image".into()),
        };
        Wrong {
            case: case.clone(),
            label: case.label.map_or(String::new(), |label| classes[label].clone()),
            called: classes[called].clone(),
            probability: case.probabilities[called],
            readers: case.name.as_deref().map_or(Vec::new(), |name| read(name, readings)),
            file,
            crop,
            map: None,
            class: called,
        }
    });
    (shown.collect(), all)
}

fn crop(file: &Path) -> anyhow::Result<(String, usize, usize)> {
    let image = Image::open(file)?;
    Ok((picture::of_image(&image)?, image.height(), image.width()))
}

/// What readers called the case of that name.
fn read(name: &str, readings: &[Reading]) -> Vec<(String, bool)> {
    let own = |reading: &Reading| {
        let found = reading.cases.get(name).or_else(|| {
            let ends = |(case, _): &(&String, _)| Path::new(name).ends_with(case.as_str());
            reading.cases.iter().find(ends).map(|(_, read)| read)
        });
        Some((reading.name(), found?.call))
    };
    readings.iter().filter_map(own).collect()
}

/// The last part of a path.
fn last(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}

/// Who called it positive, or not.
fn of(wrong: &Wrong, yes: bool) -> Option<String> {
    let own: Vec<&str> =
        wrong.readers.iter().filter(|(_, call)| *call == yes).map(|(name, _)| name.as_str()).collect();
    (!own.is_empty()).then(|| own.join("; "))
}

/// Which of `all` wrong calls stand on the page.
fn shown(here: usize, all: usize) -> String {
    let first = match here {
        0 => return "; none is shown".into(),
        1 if all == 1 => return String::new(),
        1 => "; the worst one is shown".into(),
        here if here < all => format!("; the {here} worst are shown"),
        _ => String::new(),
    };
    let order = if here == 1 { "that with" } else { "those with" };
    let end = if here == 1 { "" } else { " first" };
    format!("{first}, {order} the least probability for the truth{end}")
}

/// A card for each.
pub fn part(content: &Content) -> Option<Markup> {
    let judged = content.judged.as_ref()?;
    let names = &judged.study.data.classes;
    let (positive, maps) = (judged.study.positive, judged.wrong.iter().any(|wrong| wrong.map.is_some()));
    // Readers tell two classes apart.
    let called = |yes: bool| names[if yes { positive } else { 1 - positive }].as_str();
    Some(html! {
        @if judged.errors == 0 {
            p { "None: every image is called as it is labelled." }
        } @else {
            p {
                (count(judged.errors, "image")) " of " (judged.images().cases) " called \
                    wrong" (shown(judged.wrong.len(), judged.errors)) "."
                @if !judged.wrong.is_empty() { " Crops are enlarged." }
                @if maps { " Beside them Grad-CAM over what the network sees: the brighter the colour of a place, the more it \
                    spoke for what was called; grey did not." }
            }
        }
        div.cases {
            @for wrong in &judged.wrong {
                div.case {
                    div.crops { @match &wrong.crop {
                        Ok((picture, height, width)) => {
                            div { img src=(picture) alt={ "crop of " (wrong.case.name.as_deref().unwrap_or("a \
                                case")) }; (height) "×" (width) " pixels" }
                            @if let Some(map) = &wrong.map { div { img src=(map) alt="Grad-CAM over the network's \
                                input"; "Grad-CAM, as the network sees it" } }
                        }
                        Err(why) => p.note { (why) },
                    } }
                    p { strong { (wrong.label) } ", called " strong { (wrong.called) } " with " (format!("{:.1} \
                        %", 100.0 * wrong.probability)) }
                    @if let Some(name) = &wrong.case.name { p { (last(name)) } }
                    @if let Some(node) = &wrong.case.node { p { "node " (node) } }
                    @if let Some(patient) = &wrong.case.patient { p { "patient " (patient) } }
                    @for yes in [true, false] { @if let Some(readers) = of(wrong, yes) { p { "called " (called(yes)) " by \
                        " (readers) } } }
                }
            }
        }
    })
}
