//! Pieces of the page: tables, figures, lists of figures.

use maud::{Markup, PreEscaped, html};
use nodal::plot::{Chart, Legend};

use super::super::grid::Grid;

/// A table that scrolls inside its box where the page is narrow.
pub fn table(grid: &Grid, caption: &str) -> Markup {
    let class = |k: usize| (k >= grid.names).then_some("figure");
    html! {
        div.wide {
            table {
                @if !caption.is_empty() { caption { span { (caption) } } }
                thead { tr {
                    @for (k, name) in grid.header.iter().enumerate() { th class=[class(k)] scope="col" { (name) } }
                } }
                tbody {
                    @for row in &grid.rows { tr {
                        @for (k, cell) in row.iter().enumerate() {
                            @if k == 0 && grid.names > 0 { th scope="row" { (kept(cell)) } }
                            @else if k < grid.names { td { (cell) } }
                            @else { td.figure { (split(cell)) } }
                        }
                    } }
                }
            }
        }
    }
}

/// A figure, and below it the interval or the sum that stands in brackets behind it.
fn split(cell: &str) -> Markup {
    let bracket = cell.split_once(" (").filter(|(_, rest)| rest.ends_with(')'));
    match bracket.filter(|(_, rest)| rest.contains(" to ") || rest.contains(" + ")) {
        Some((value, rest)) => html! { (value) " " small { "(" (rest) } },
        None => html! { (cell) },
    }
}

/// Text whose leading blanks stay: categories stand below their feature.
fn kept(text: &str) -> String {
    let rest = text.trim_start_matches(' ');
    "\u{a0}".repeat(text.len() - rest.len()) + rest
}

/// A chart with what it shows. The SVG is the plotter's, which escapes its texts.
///
/// # Errors
/// When it cannot be drawn.
pub fn figure(chart: &Chart, shows: &str) -> nodal::Result<Markup> {
    let svg = chart.svg()?;
    let named =
        chart.series.iter().filter(|series| chart.legend == Legend::Beside && !series.name.is_empty());
    Ok(html! {
        figure {
            div.beside {
                div.wide { div.chart role="img" aria-label=(shows) { (PreEscaped(svg)) } }
                @if chart.legend == Legend::Beside {
                    ul.legend { @for series in named { li { (PreEscaped(series.sign())) " " (series.name) } } }
                }
            }
            figcaption { (shows) }
        }
    })
}

/// A count with the name of what is counted.
pub fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}
