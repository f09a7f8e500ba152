//! Plots as SVG.

use std::io;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

/// A plot cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw a plot")]
pub struct PlotError(#[from] DrawingAreaErrorKind<io::Error>);

/// Pixels of a plot; the page scales it.
const SIZE: (u32, u32) = (560, 360);

/// Text and axes. The page's style replaces this colour, so that plots follow its theme.
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
/// Lines of the grid; replaced as well.
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

/// Told apart by the colour-blind, and visible on light and dark (Okabe and Ito's).
const COLOURS: [RGBColor; 5] = [
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x8b, 0xce),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xb0, 0x8a, 0x00),
];

/// A named line, or a named row of bars.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// What a plot's axes are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axes {
    pub(super) x: &'static str,
    pub(super) y: &'static str,
    /// Whether the vertical axis is logarithmic.
    pub(super) log: bool,
}

/// Lines with a dot at each point.
pub(super) fn lines(axes: Axes, series: &[Series]) -> Result<String, PlotError> {
    let points = || series.iter().flat_map(|series| &series.points);
    let x_max = points().map(|(x, _)| *x).fold(0.0, f64::max);
    let y_max = points().map(|(_, y)| *y).fold(0.0, f64::max);
    let x = 0.0..headroom(x_max);
    svg(|area| match axes.log {
        true => {
            let positive = points().map(|(_, y)| *y).filter(|y| *y > 0.0);
            let low = positive.fold(headroom(y_max), f64::min) / 1.5;
            let y = (low..headroom(y_max) * 1.5).log_scale();
            draw_lines(area, axes, (x.clone(), y), series)
        }
        false => draw_lines(area, axes, (x.clone(), 0.0..headroom(y_max)), series),
    })
}

/// Bars side by side at whole numbers.
pub(super) fn bars(axes: Axes, series: &[Series]) -> Result<String, PlotError> {
    let points = || series.iter().flat_map(|series| &series.points);
    let low = points().map(|(x, _)| *x).fold(1.0, f64::min);
    let high = points().map(|(x, _)| *x).fold(1.0, f64::max);
    let y_max = points().map(|(_, y)| *y).fold(0.0, f64::max);
    let width = 0.8 / series.len().max(1) as f64;
    svg(|area| {
        let x = (low - 0.5)..(high + 0.5);
        let mut chart = builder(area).build_cartesian_2d(x, 0.0..headroom(y_max))?;
        mesh(&mut chart, axes, |x| match x.fract() == 0.0 {
            true => format!("{x:.0}"),
            false => String::new(),
        })?;
        for (place, series) in series.iter().enumerate() {
            let colour = COLOURS[place % COLOURS.len()];
            let left = place as f64 * width - 0.4;
            let bars = series.points.iter().map(|(x, y)| {
                let corners = [(x + left, 0.0), (x + left + width, *y)];
                Rectangle::new(corners, colour.filled())
            });
            let drawn = chart.draw_series(bars)?;
            drawn.label(&series.name).legend(move |at| swatch(at, colour));
        }
        legend(&mut chart)
    })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b, X, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, Y>>;
type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

fn svg(draw: impl Fn(&Area<'_>) -> Drawn) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw(&area)?;
        area.present()?;
    }
    Ok(svg)
}

fn builder<'a, 'b>(area: &'a Area<'b>) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder.margin(12).x_label_area_size(44).y_label_area_size(64);
    builder
}

fn draw_lines<Y>(
    area: &Area<'_>,
    axes: Axes,
    (x, y): (std::ops::Range<f64>, Y),
    series: &[Series],
) -> Drawn
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = builder(area).build_cartesian_2d(x, y)?;
    mesh(&mut chart, axes, tidy)?;
    for (place, series) in series.iter().enumerate() {
        let colour = COLOURS[place % COLOURS.len()];
        let line = LineSeries::new(series.points.iter().copied(), colour.stroke_width(2));
        let drawn = chart.draw_series(line.point_size(4))?;
        drawn.label(&series.name).legend(move |at| swatch(at, colour));
    }
    legend(&mut chart)
}

fn mesh<X, Y>(chart: &mut Chart<'_, '_, X, Y>, axes: Axes, x_label: impl Fn(f64) -> String) -> Drawn
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let text = ("sans-serif", 13).into_font().color(&INK);
    chart
        .configure_mesh()
        .x_desc(axes.x)
        .y_desc(axes.y)
        .axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .label_style(text.clone())
        .axis_desc_style(text)
        .x_label_formatter(&|x| x_label(*x))
        .y_label_formatter(&|y| tidy(*y))
        .draw()
}

fn legend<'a, 'b: 'a, X, Y>(chart: &mut Chart<'a, 'b, X, Y>) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(("sans-serif", 13).into_font().color(&INK))
        .draw()
}

fn swatch((x, y): (i32, i32), colour: RGBColor) -> Rectangle<(i32, i32)> {
    Rectangle::new([(x, y - 5), (x + 14, y + 5)], colour.filled())
}

/// A little more than the most there is.
fn headroom(max: f64) -> f64 {
    match max > 0.0 {
        true => max * 1.1,
        false => 1.0,
    }
}

/// A number without a tail of zeros.
fn tidy(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series() -> Vec<Series> {
        let of = |name: &str, points: &[(f64, f64)]| Series {
            name: name.to_owned(),
            points: points.to_vec(),
        };
        vec![of("off", &[(1.0, 20.0), (2.0, 400.0)]), of("auto", &[(1.0, 10.0), (2.0, 15.0)])]
    }

    const AXES: Axes = Axes { x: "answers per second", y: "ms", log: true };

    #[test]
    fn every_series_is_drawn_and_named() {
        for axes in [AXES, Axes { log: false, ..AXES }] {
            let svg = lines(axes, &series()).unwrap();
            assert!(svg.matches("<polyline").count() >= 2, "{svg}");
            assert_eq!(svg.matches("<circle").count(), 4, "{svg}");
            for words in ["off", "auto", "answers per second", "ms"] {
                assert!(svg.contains(words), "{words}: {svg}");
            }
        }
        let svg = bars(Axes { log: false, ..AXES }, &series()).unwrap();
        // Four bars and a swatch per series, in the series' colours.
        for colour in ["#D55E00", "#008BCE"] {
            let filled = format!("fill=\"{colour}\"");
            assert_eq!(svg.matches(&filled).count(), 3, "{svg}");
        }
    }

    #[test]
    fn nothing_to_show_is_an_empty_plot() {
        let empty = Series { name: "off".to_owned(), points: Vec::new() };
        assert!(lines(AXES, std::slice::from_ref(&empty)).unwrap().contains("<svg"));
        assert!(bars(AXES, &[empty]).unwrap().contains("<svg"));
    }

    #[test]
    fn numbers_have_no_tail() {
        assert_eq!([tidy(10.0), tidy(0.25), tidy(1000.0)], ["10", "0.25", "1000"]);
    }
}
