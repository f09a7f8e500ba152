//! The file: headings, text, figures and tables.

use std::fmt::Write;

const STYLE: &str = include_str!("page.css");

/// A page in the making; all text is escaped.
#[derive(Clone, Debug)]
pub struct Page {
    html: String,
}

/// A plot with its caption.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What it shows, for readers and for screen readers.
    pub caption: String,
    /// As the plots are drawn.
    pub svg: String,
}

impl Figure {
    /// The plot as a file of its own, on white.
    pub fn alone(&self) -> String {
        let (tag, drawn) = self.svg.split_once('>').expect("it is SVG");
        format!("{tag}>\n<rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>{drawn}")
    }
}

impl Page {
    /// A page with a title and a first heading.
    pub fn new(title: &str, heading: &str) -> Self {
        let (title, heading) = (escaped(title), escaped(heading));
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             <h1>{heading}</h1>\n"
        );
        Self { html }
    }

    /// A section begins.
    pub fn heading(&mut self, text: &str) {
        self.push(format_args!("<h2>{}</h2>\n", escaped(text)));
    }

    /// Some text.
    pub fn paragraph(&mut self, text: &str) {
        self.push(format_args!("<p>{}</p>\n", escaped(text)));
    }

    /// Points one below the other.
    pub fn list(&mut self, points: &[String]) {
        self.html.push_str("<ul>\n");
        for point in points {
            self.push(format_args!("<li>{}</li>\n", escaped(point)));
        }
        self.html.push_str("</ul>\n");
    }

    /// Plots side by side.
    pub fn figures(&mut self, figures: Vec<Figure>) {
        self.html.push_str("<div class=\"plots\">\n");
        for Figure { caption, svg } in figures {
            let caption = escaped(&caption);
            let named = format!("<svg role=\"img\" aria-label=\"{caption}\" ");
            let svg = svg.replacen("<svg ", &named, 1);
            let caption = format_args!("<figcaption>{caption}</figcaption>");
            self.push(format_args!("<figure>{caption}\n{svg}</figure>\n"));
        }
        self.html.push_str("</div>\n");
    }

    /// A table whose rows are named by their first cells.
    pub fn table(&mut self, caption: &str, heads: &[&str], rows: &[Vec<String>]) {
        self.html.push_str("<div class=\"table\"><table>\n");
        self.push(format_args!("<caption>{}</caption>\n<tr>", escaped(caption)));
        for head in heads {
            self.push(format_args!("<th scope=\"col\">{}</th>", escaped(head)));
        }
        self.html.push_str("</tr>\n");
        for row in rows {
            self.html.push_str("<tr>");
            for (place, cell) in row.iter().enumerate() {
                let cell = escaped(cell);
                match place {
                    0 => self.push(format_args!("<th scope=\"row\">{cell}</th>")),
                    _ => self.push(format_args!("<td>{cell}</td>")),
                }
            }
            self.html.push_str("</tr>\n");
        }
        self.html.push_str("</table></div>\n");
    }

    /// The whole file.
    pub fn finish(mut self) -> String {
        self.html.push_str("</body>\n</html>\n");
        self.html
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.html.write_fmt(text).expect("a string can be written to");
    }
}

/// Text as HTML has it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Axes, Series, lines};

    fn page() -> String {
        let series = Series { name: "<made> & up".into(), points: vec![(1.0, 2.0), (2.0, 3.0)] };
        let svg = lines(Axes { x: "x", y: "y", log: false }, &[series]).unwrap();
        let mut page = Page::new("<title>", "a & b");
        page.heading("<h>");
        page.paragraph("1 < 2");
        page.list(&["\"quoted\"".into()]);
        page.figures(vec![Figure { caption: "<caption>".into(), svg }]);
        page.table("<figures>", &["<head>"], &[vec!["<row>".into(), "<cell>".into()]]);
        page.finish()
    }

    #[test]
    fn a_plot_alone_is_drawn_on_white() {
        let series = Series { name: "made".into(), points: vec![(1.0, 2.0)] };
        let svg = lines(Axes { x: "x", y: "y", log: false }, &[series]).unwrap();
        let alone = Figure { caption: "c".into(), svg: svg.clone() }.alone();
        let mut lines = alone.lines();
        assert_eq!(lines.next(), svg.lines().next());
        assert!(lines.next().unwrap().starts_with("<rect") && alone.ends_with("</svg>\n"));
        assert_eq!(lines.collect::<Vec<_>>(), svg.lines().skip(1).collect::<Vec<_>>());
    }

    #[test]
    fn text_is_text_and_not_markup() {
        let page = page();
        for word in ["title", "h", "caption", "figures", "head", "row", "cell", "made"] {
            assert!(page.contains(&format!("&lt;{word}&gt;")), "{word}: {page}");
        }
        assert!(!page.contains("<made>") && !page.contains("<cell>"));
    }

    #[test]
    fn it_refers_to_nothing_outside_it() {
        let page = page().replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        for reference in ["http:", "https:", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!page.contains(reference), "{reference}");
        }
    }

    #[test]
    fn figures_and_tables_can_be_read_aloud() {
        let page = page();
        assert!(page.contains("<svg role=\"img\" aria-label=\"&lt;caption&gt;\""));
        assert!(page.contains("scope=\"col\"") && page.contains("scope=\"row\""));
    }

    #[test]
    fn colours_of_the_plots_are_those_that_the_style_replaces() {
        let page = page();
        for colour in ["fill=\"#333333\"", "stroke=\"#333333\"", "stroke=\"#DDDDDD\""] {
            let drawn = page.replace(STYLE, "");
            assert!(drawn.contains(colour) && STYLE.contains(colour), "{colour}");
        }
    }
}
