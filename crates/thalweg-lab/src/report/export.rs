//! Figures as files of their own.

use std::path::Path;

use super::detail::Detail;
use super::page::sections;
use super::sections::stamp_of_all;
use super::view::View;
use crate::store::Document;
use crate::{Error, Result, files};

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
    let view = View::new(document, Detail::FULL);
    let (mut pictures, all) = (Vec::new(), stamp_of_all(&view));
    for section in sections(&view) {
        for (stamp, figure) in section.figures() {
            let svg = figure.standalone(stamp.unwrap_or(&all))?;
            pictures.push(Picture { name: figure.id.clone(), svg });
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
            Error::failed(
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

/// Makes the directory for [`save`], before hours are spent on what goes into it.
///
/// # Errors
/// If the directory cannot be made.
pub fn prepare(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).map_err(|e| unwritable(directory, &e, "--svg-dir"))
}

/// Writes every figure of the report to `directory`, as [`save_pictures`] does.
///
/// # Errors
/// If a file cannot be written or a figure cannot be drawn.
pub fn save(document: &Document, directory: &Path) -> Result<()> {
    prepare(directory)?;
    save_pictures(&pictures(document)?, directory, "--svg-dir")
}

/// Writes pictures to the directory that `option` names: as SVG, and as PNG where the program can.
///
/// # Errors
/// If a file cannot be written or a picture cannot be drawn.
pub fn save_pictures(pictures: &[Picture], directory: &Path, option: &str) -> Result<()> {
    for picture in pictures {
        let write = |ending: &str, bytes: &[u8]| {
            let path = directory.join(format!("{}.{ending}", picture.name));
            files::replace(&path, bytes).map_err(|e| unwritable(&path, &e, option))
        };
        write("svg", picture.svg.as_bytes())?;
        #[cfg(feature = "png")]
        write("png", &picture.png()?)?;
    }
    Ok(())
}

fn unwritable(path: &Path, error: &std::io::Error, option: &str) -> Error {
    let problem = format!("cannot write {}: {error}", path.display());
    Error::failed(problem, files::remedy(error, option))
}
