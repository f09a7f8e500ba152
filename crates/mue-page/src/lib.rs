//! Reports as pages with plots: one file of HTML that refers to nothing outside it.
//!
//! [`Page`] is the file, [`lines`], [`bars`] and [`scatter`] draw what it shows. Plots take the
//! page's colours, so they follow its light or dark theme.

mod page;
mod plot;

pub use page::{Figure, Page};
pub use plot::{Axes, PlotError, Series, bars, lines, scatter};
