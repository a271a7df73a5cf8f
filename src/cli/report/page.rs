//! The page: its head, its parts in their order.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::content::Content;
use super::{data, errors, glance, readers, repeat, results, several, sweep, terms, training};

const STYLE: &str = include_str!("style.css");
/// Nothing is asked of anybody: styles and pictures stand in the file, and there is no script.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// The whole page.
///
/// # Errors
/// When a chart cannot be drawn.
pub fn page(content: &Content) -> anyhow::Result<Markup> {
    let mut parts: Vec<(&str, Markup)> = Vec::new();
    let mut add = |name, part: Option<Markup>| parts.extend(part.map(|part| (name, part)));
    add("At a glance", glance::part(content));
    add("Patients", data::cohort(content));
    add("Images and split", data::split(content));
    add("Training", training::part(content)?);
    add("Network and readers", readers::part(content)?);
    add("By class", several::part(content)?);
    add("Images, nodes, patients", results::levels(content));
    add("Calibration", results::calibration(content)?);
    add("Worst errors", errors::part(content));
    add("Comparison of settings", sweep::part(content)?);
    add("How to read the figures", Some(terms::part(content)));
    add("All figures", results::all(content));
    add("To repeat this", Some(repeat::part(content)?));
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                // A page without an icon of its own would ask for one.
                link rel="icon" href="data:,";
                title { (content.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (content.title) }
                    @if let Some(phantom) = &content.sources.phantom {
                        p.notice { strong { "Phantom data: " } (phantom) ". What follows shows how the tools work and says \
                            nothing of patients." }
                    }
                    p.notice { strong { "For research. " } "nodal is no medical device, and no figure here is a diagnosis." }
                }
                nav aria-label="Contents" { ol {
                    @for (k, (name, _)) in parts.iter().enumerate() { li { a href={ "#part-" (k + 1) } { (name) } } }
                } }
                main {
                    @for (k, (name, part)) in parts.iter().enumerate() {
                        section id={ "part-" (k + 1) } { h2 { (k + 1) ". " (name) } (part) }
                    }
                }
            }
        }
    })
}
