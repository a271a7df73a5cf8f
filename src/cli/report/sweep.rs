//! What a sweep says of settings.

use maud::{Markup, html};

use super::super::sweep::report::{NOTE, grid};
use super::content::Content;
use super::html::table;

/// Its picture and its table.
///
/// # Errors
/// When the picture cannot be drawn.
pub fn part(content: &Content) -> anyhow::Result<Option<Markup>> {
    let Some(summary) = &content.sweep else { return Ok(None) };
    let runs: usize = summary.rows.iter().map(|row| row.runs.len()).sum();
    let shows = format!(
        "Validation AUC and accuracy of each configuration at each run's best epoch: mean over its runs and 95 % t interval; \
            {runs} runs of {} configurations.",
        summary.rows.len()
    );
    let chart = nodal::plot::Chart { title: String::new(), ..summary.chart() };
    Ok(Some(html! {
        (super::html::figure(&chart, &shows)?)
        (table(&grid(summary), ""))
        p.note { (NOTE) }
        @for left in &summary.left { p.note { (left.name) ": " (left.reason) ", does not count." } }
    }))
}
