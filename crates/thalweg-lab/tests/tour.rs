//! The pictures of the book's tour against what the program draws. `UPDATE_BOOK=1` writes them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A picture without clocks or matrix products in it: the same on every machine.
const PICTURE: &str = "rosenbrock-paths.svg";

fn page() -> (PathBuf, String) {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book/src");
    let text = std::fs::read_to_string(book.join("tour.md")).unwrap();
    (book.join("tour"), text)
}

/// The words of the page's commands after `compare`, up to where they say where results go.
fn commands(text: &str) -> Vec<Vec<&str>> {
    text.split("-- compare ")
        .skip(1)
        .map(|rest| rest.split("--out").next().unwrap_or(rest))
        .map(|command| command.split_whitespace().filter(|word| *word != "\\").collect())
        .collect()
}

#[test]
fn the_commands_of_the_tour_draw_its_pictures() {
    let (pictures, text) = page();
    let update = std::env::var_os("UPDATE_BOOK").is_some();
    let out = tempfile::tempdir().unwrap();
    let drawn = out.path().join("pictures");
    for words in commands(&text) {
        // The network's pictures hold products whose last digits depend on the machine.
        if !update && words[0] != "rosenbrock" {
            continue;
        }
        let status = Command::new(env!("CARGO_BIN_EXE_thalweg"))
            .arg("compare")
            .args(&words)
            .arg("--quiet")
            .arg("--out")
            .arg(out.path().join(words[0]))
            .arg("--svg-dir")
            .arg(&drawn)
            .status()
            .unwrap();
        assert!(status.success());
    }
    let names = text.split("(tour/").skip(1).filter_map(|rest| rest.split(')').next());
    let names: Vec<&str> = names.collect();
    assert!(names.contains(&PICTURE), "{names:?}");
    if update {
        for name in &names {
            std::fs::copy(drawn.join(name), pictures.join(name)).unwrap();
        }
        return;
    }
    let read = |folder: &Path| std::fs::read_to_string(folder.join(PICTURE)).unwrap();
    let same = read(&drawn) == read(&pictures);
    assert!(same, "{PICTURE} is drawn differently now; look at it, then set UPDATE_BOOK=1");
}
