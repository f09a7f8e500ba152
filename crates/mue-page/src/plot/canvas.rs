//! What all plots share: the page's colours, axes, grid and legend.

use std::io;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;

use super::{Axes, PlotError};

/// Pixels of a plot; the page scales it.
const SIZE: (u32, u32) = (560, 360);

/// Text and axes. The page's style replaces this colour, so that plots follow its theme.
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
/// Lines of the grid; replaced as well.
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

/// Told apart by the colour-blind, and visible on light and dark (Okabe and Ito's).
pub(super) const COLOURS: [RGBColor; 10] = [
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x8b, 0xce),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xb0, 0x8a, 0x00),
    RGBColor(0x8a, 0x6f, 0xe8),
    RGBColor(0x7a, 0x7f, 0x86),
    RGBColor(0xd8, 0x43, 0x5e),
    RGBColor(0x4f, 0x9f, 0x9f),
    RGBColor(0x9a, 0x62, 0x3a),
];

/// What a plot is drawn on.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// A plot with its axes.
pub(super) type Chart<'a, 'b, X, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, Y>>;
/// Whether it could be drawn.
pub(super) type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

/// The SVG of what is drawn.
pub(super) fn svg(draw: impl Fn(&Area<'_>) -> Drawn) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw(&area)?;
        area.present()?;
    }
    Ok(svg)
}

/// A chart with room for its axes' words.
pub(super) fn builder<'a, 'b>(area: &'a Area<'b>) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder.margin(12).x_label_area_size(44).y_label_area_size(64);
    builder
}

/// Axes with their words, and the grid.
pub(super) fn mesh<X, Y>(
    chart: &mut Chart<'_, '_, X, Y>,
    axes: Axes,
    x_label: impl Fn(f64) -> String,
) -> Drawn
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

/// The names of all series.
pub(super) fn legend<'a, 'b: 'a, X, Y>(
    chart: &mut Chart<'a, 'b, X, Y>,
    position: SeriesLabelPosition,
) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    chart
        .configure_series_labels()
        .position(position)
        .label_font(("sans-serif", 13).into_font().color(&INK))
        .draw()
}

/// A legend's mark for lines and bars.
pub(super) fn swatch((x, y): (i32, i32), colour: RGBColor) -> Rectangle<(i32, i32)> {
    Rectangle::new([(x, y - 5), (x + 14, y + 5)], colour.filled())
}

/// Where a legend's marker is.
pub(super) fn right_of((x, y): (i32, i32)) -> (i32, i32) {
    (x + 7, y)
}

/// A number without a tail of zeros.
pub(super) fn tidy(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
