//! Charts as SVG: axes, lines, markers, intervals, a legend. Text stays text, in the reader's sans-serif; the colours are Okabe and
//! Ito's, which people who confuse red and green tell apart. The same chart is the same bytes.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::Color as _;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::{Error, Result};

/// Okabe and Ito's colours, yellow left out, which is faint on white: blue, vermilion, green, purple, orange, sky blue, black.
pub const COLORS: [Color; 7] = [
    Color(0, 114, 178),
    Color(213, 94, 0),
    Color(0, 158, 115),
    Color(204, 121, 167),
    Color(230, 159, 0),
    Color(86, 180, 233),
    Color(0, 0, 0),
];
/// For what is there to compare with, such as a diagonal.
pub const GREY: Color = Color(150, 150, 150);

/// Height of lines of text in pixels, letters being four fifths of it: at the axes, and of the title.
const TEXT: i32 = 17;
const TITLE: i32 = 20;

/// Red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color(pub u8, pub u8, pub u8);

impl From<Color> for RGBColor {
    fn from(Color(r, g, b): Color) -> Self {
        RGBColor(r, g, b)
    }
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A line from point to point.
    Line,
    /// A dashed one.
    Dashes,
    /// A marker at each point.
    Circle,
    /// A square one.
    Square,
    /// One with three corners.
    Triangle,
    /// A square that stands on a corner.
    Diamond,
    /// A cross.
    Cross,
}

/// The markers in the order in which series should take them.
pub const MARKERS: [Mark; 5] = [Mark::Circle, Mark::Square, Mark::Triangle, Mark::Diamond, Mark::Cross];

/// A point, and the ends of its interval where it has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Along the x axis.
    pub x: f64,
    /// Along the y axis.
    pub y: f64,
    /// Along the y axis too: where the interval begins and ends.
    pub interval: Option<(f64, f64)>,
}

impl From<(f64, f64)> for Point {
    fn from((x, y): (f64, f64)) -> Self {
        Point { x, y, interval: None }
    }
}

/// Points that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What the legend calls them; empty for nothing.
    pub name: String,
    /// Their colour.
    pub color: Color,
    /// How they are drawn.
    pub mark: Mark,
    /// In the order of the line.
    pub points: Vec<Point>,
}

impl Series {
    /// Points without intervals.
    pub fn new(
        name: impl Into<String>,
        color: Color,
        mark: Mark,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        Series { name: name.into(), color, mark, points: points.into_iter().map(Point::from).collect() }
    }

    /// Its sign in a legend, as an SVG element of 20 × 16 pixels.
    pub fn sign(&self) -> String {
        let Color(r, g, b) = self.color;
        let corners = outline(self.mark).iter().map(|(right, down)| format!("{},{}", 10 + right, 8 + down));
        let corners: Vec<String> = corners.collect();
        format!(
            "<svg width=\"20\" height=\"16\" viewBox=\"0 0 20 16\" aria-hidden=\"true\"><polygon points=\"{}\" \
             fill=\"rgb({r},{g},{b})\"/></svg>",
            corners.join(" ")
        )
    }
}

/// One axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What is measured, with its unit.
    pub name: String,
    /// The first and the last value that is shown.
    pub range: (f64, f64),
    /// Names for the places 0, 1, 2 and so on, in place of numbers; only along x.
    pub places: Option<Vec<String>>,
    /// Whether it counts, so that only whole numbers are marked; only along x.
    pub counts: bool,
}

impl Axis {
    /// An axis of numbers.
    pub fn new(name: impl Into<String>, range: (f64, f64)) -> Self {
        Axis { name: name.into(), range, places: None, counts: false }
    }

    /// An axis from 1 to `last`, at least 2, of which only whole numbers are marked.
    pub fn counting(name: impl Into<String>, last: usize) -> Self {
        Axis { counts: true, ..Axis::new(name, (1.0, last.max(2) as f64)) }
    }
}

/// Where the legend stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Legend {
    /// In the upper right corner.
    Above,
    /// In the lower right corner.
    Below,
    /// Outside: whoever shows the chart names its series, each with its [`Series::sign`].
    Beside,
}

/// A chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What stands above; empty for nothing.
    pub title: String,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// The axis to the right.
    pub x: Axis,
    /// The axis upwards.
    pub y: Axis,
    /// In the order in which they are drawn.
    pub series: Vec<Series>,
    /// Where their names stand.
    pub legend: Legend,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plane<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

impl Chart {
    /// A square with both axes from 0 to 1 and its diagonal.
    pub fn square(size: u32, x: &str, y: &str) -> Self {
        let diagonal = Series::new("", GREY, Mark::Dashes, [(0.0, 0.0), (1.0, 1.0)]);
        Chart {
            title: String::new(),
            size: (size, size),
            x: Axis::new(x, (0.0, 1.0)),
            y: Axis::new(y, (0.0, 1.0)),
            series: vec![diagonal],
            legend: Legend::Below,
        }
    }

    /// The chart as an SVG element.
    ///
    /// # Errors
    /// [`Error::Argument`] when it cannot be drawn.
    pub fn svg(&self) -> Result<String> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, self.size).into_drawing_area();
            area.fill(&WHITE).map_err(undrawn)?;
            let mut plane = self.plane(&area)?;
            for series in &self.series {
                draw(&mut plane, series)?;
            }
            let named = self.series.iter().any(|series| !series.name.is_empty());
            if named && self.legend != Legend::Beside {
                let place = match self.legend {
                    Legend::Above => SeriesLabelPosition::UpperRight,
                    _ => SeriesLabelPosition::LowerRight,
                };
                plane
                    .configure_series_labels()
                    .position(place)
                    .label_font(("sans-serif", TEXT))
                    .background_style(WHITE.mix(0.8))
                    .border_style(BLACK.mix(0.3))
                    .draw()
                    .map_err(undrawn)?;
            }
            area.present().map_err(undrawn)?;
        }
        Ok(svg)
    }

    /// Title, axes and grid.
    fn plane<'a, 'b>(&self, area: &'a Area<'b>) -> Result<Plane<'a, 'b>> {
        let mut builder = ChartBuilder::on(area);
        builder.margin(12).margin_right(20).x_label_area_size(44).y_label_area_size(56);
        if !self.title.is_empty() {
            builder.caption(&self.title, ("sans-serif", TITLE));
        }
        let ((left, right), (low, high)) = (self.x.range, self.y.range);
        let mut plane = builder.build_cartesian_2d(left..right, low..high).map_err(undrawn)?;
        let mut mesh = plane.configure_mesh();
        mesh.label_style(("sans-serif", TEXT)).axis_desc_style(("sans-serif", TEXT)).y_desc(&self.y.name);
        mesh.light_line_style(WHITE).bold_line_style(BLACK.mix(0.12));
        let whole = |x: &f64| format!("{x:.0}");
        if self.x.counts {
            // No more marks than numbers, so that none falls between two.
            mesh.x_labels(((right - left) as usize + 1).min(10)).x_label_formatter(&whole);
        }
        match &self.x.places {
            None => mesh.x_desc(&self.x.name).draw().map_err(undrawn)?,
            Some(places) => {
                mesh.disable_x_mesh().x_labels(0).draw().map_err(undrawn)?;
                let style =
                    ("sans-serif", TEXT).into_font().color(&BLACK).pos(Pos::new(HPos::Center, VPos::Top));
                let named = places.iter().enumerate().map(|(i, name)| (i as f64, 6, name.clone()));
                let name = ((left + right) / 2.0, 26, self.x.name.clone());
                let texts = named.chain([name]).map(|(x, down, text)| {
                    EmptyElement::at((x, low)) + Text::new(text, (0, down), style.clone())
                });
                plane.draw_series(texts).map_err(undrawn)?;
            }
        }
        Ok(plane)
    }
}

fn draw(plane: &mut Plane, series: &Series) -> Result<()> {
    let color = RGBColor::from(series.color);
    let intervals = series.points.iter().filter_map(|point| Some((point.x, point.interval?)));
    let intervals =
        intervals.map(|(x, (low, high))| PathElement::new([(x, low), (x, high)], color.stroke_width(2)));
    plane.draw_series(intervals).map_err(undrawn)?;
    let points = series.points.iter().map(|point| (point.x, point.y));
    let shape = outline(series.mark);
    let drawn = match series.mark {
        Mark::Line => plane.draw_series(LineSeries::new(points, color.stroke_width(2))),
        Mark::Dashes => plane.draw_series(DashedLineSeries::new(points, 6, 4, color.stroke_width(1))),
        _ => plane.draw_series(
            points.map(|at| EmptyElement::at(at) + Polygon::new(shape.to_vec(), color.filled())),
        ),
    };
    let drawn = drawn.map_err(undrawn)?;
    if !series.name.is_empty() {
        drawn.label(&series.name).legend(move |(x, y)| {
            let moved = shape.iter().map(|(right, down)| (x + 9 + right, y + down));
            Polygon::new(moved.collect::<Vec<_>>(), color.filled())
        });
    }
    Ok(())
}

/// The corners of a marker around its place, in pixels; of a line, those of its sign in the legend.
fn outline(mark: Mark) -> &'static [(i32, i32)] {
    match mark {
        Mark::Line | Mark::Dashes => &[(-9, -1), (9, -1), (9, 1), (-9, 1)],
        // All at the distance 5.
        Mark::Circle => &[
            (5, 0),
            (4, 3),
            (3, 4),
            (0, 5),
            (-3, 4),
            (-4, 3),
            (-5, 0),
            (-4, -3),
            (-3, -4),
            (0, -5),
            (3, -4),
            (4, -3),
        ],
        Mark::Square => &[(-5, -5), (5, -5), (5, 5), (-5, 5)],
        Mark::Triangle => &[(0, -6), (6, 5), (-6, 5)],
        Mark::Diamond => &[(0, -7), (6, 0), (0, 7), (-6, 0)],
        Mark::Cross => &[
            (-6, -4),
            (-4, -6),
            (0, -2),
            (4, -6),
            (6, -4),
            (2, 0),
            (6, 4),
            (4, 6),
            (0, 2),
            (-4, 6),
            (-6, 4),
            (-2, 0),
        ],
    }
}

fn undrawn(problem: impl std::fmt::Display) -> Error {
    Error::Argument(format!("a chart cannot be drawn: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_text_and_shapes_and_the_same_twice() {
        let mut chart = Chart::square(400, "1 − specificity", "sensitivity");
        for (i, mark) in MARKERS.into_iter().enumerate() {
            let name = format!("reader <{i}> & \"co\"");
            chart.series.push(Series::new(name, COLORS[i], mark, [(0.2, 0.7)]));
        }
        let svg = chart.svg().unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("sensitivity") && svg.contains("reader &lt;3&gt; &amp;"), "{svg}");
        assert_eq!(svg, chart.svg().unwrap());
        chart.legend = Legend::Beside;
        assert!(!chart.svg().unwrap().contains("reader"));
        let sign = chart.series[1].sign();
        assert!(sign.starts_with("<svg") && sign.contains("rgb(0,114,178)"), "{sign}");
        chart.x.places = Some(vec!["3 frozen".into(), "5 frozen".into()]);
        chart.x.range = (-0.5, 1.5);
        chart.series[1].points[0].interval = Some((0.25, 0.75));
        let svg = chart.svg().unwrap();
        assert!(svg.contains("5 frozen") && svg.contains("1 − specificity"));
    }
}
