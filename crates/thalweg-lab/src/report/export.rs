//! Figures as files of their own.

use super::page::sections;
use super::view::View;
use crate::Result;
use crate::store::Document;

/// A figure as a file.
#[derive(Debug, Clone)]
pub struct Picture {
    /// The file's name without its ending: letters, digits, `-` and `_`.
    pub name: String,
    /// The figure as an SVG document in light colours.
    pub svg: String,
}

/// Every figure of the report, in its order.
pub fn pictures(document: &Document) -> Result<Vec<Picture>> {
    let view = View::new(document, 2_000);
    let mut pictures = Vec::new();
    for section in sections(&view) {
        for figure in section.figures() {
            pictures.push(Picture { name: figure.id.clone(), svg: figure.standalone()? });
        }
    }
    Ok(pictures)
}

impl Picture {
    /// The figure as a PNG image of twice its size.
    ///
    /// Text is set in the fonts of this machine, sans-serif ones by preference.
    #[cfg(feature = "png")]
    pub fn png(&self) -> Result<Vec<u8>> {
        use resvg::{tiny_skia, usvg};
        const SCALE: f32 = 2.0;
        let failed = |what: String| {
            crate::Error::failed(
                format!("cannot draw {} as PNG: {what}", self.name),
                "use the SVG file, and report this defect",
            )
        };
        let mut options =
            usvg::Options { font_family: "sans-serif".to_owned(), ..Default::default() };
        options.fontdb_mut().load_system_fonts();
        let tree = usvg::Tree::from_str(&self.svg, &options).map_err(|e| failed(e.to_string()))?;
        let size = tree.size();
        let (width, height) = ((size.width() * SCALE).ceil(), (size.height() * SCALE).ceil());
        let mut image = tiny_skia::Pixmap::new(width as u32, height as u32)
            .ok_or_else(|| failed(format!("{width} by {height} pixels is no size")))?;
        resvg::render(&tree, tiny_skia::Transform::from_scale(SCALE, SCALE), &mut image.as_mut());
        image.encode_png().map_err(|e| failed(e.to_string()))
    }
}
