//! The book against the code: formulas, memory and hyper-parameter tables are printed from the
//! chains, so a page cannot say something else than what runs. `UPDATE_BOOK=1` rewrites the pages.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use thalweg::geometry::*;
use thalweg::registry::{self, Entry};
use thalweg::rules::*;
use thalweg::{Both, Chain, Denominator, Floor, Hat, HatBoth, Hyper, Inside, Outside};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn book() -> PathBuf {
    root().join("book/src")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every page, by its path below `book/src`.
fn pages() -> BTreeMap<String, String> {
    fn gather(folder: &Path, pages: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).expect("book/src") {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() {
                gather(&path, pages);
            } else if path.extension().is_some_and(|e| e == "md") {
                let name = path.strip_prefix(book()).expect("below book/src");
                let name = name.to_string_lossy().replace('\\', "/");
                pages.insert(name, read(&path));
            }
        }
    }
    let mut all = BTreeMap::new();
    gather(&book(), &mut all);
    all
}

/// Chains that a page shows but the registry does not list: geometries around gradient descent,
/// and building blocks in the company they are used in.
fn unlisted() -> BTreeMap<&'static str, Chain> {
    fn over(geometry: impl thalweg::Geometry) -> Chain {
        Chain::new(Scale::default()).over(geometry)
    }
    fn first(rule: impl thalweg::Rule) -> Chain {
        Chain::new(rule).then(Scale::default())
    }
    fn adam<E: Denominator>() -> Chain {
        Chain::new((Adam::<E>::default(), Scale::default()))
    }
    BTreeMap::from([
        ("euclidean", Chain::new(Scale::default())),
        ("negative entropy", over(NegativeEntropy::default())),
        ("simplex", over(Simplex::default())),
        ("burg", over(Burg::default())),
        ("p-norm", over(PNorm::default())),
        ("hypentropy", over(Hypentropy::default())),
        ("eg±", over(EgPm::default())),
        ("bounded eg±", over(BoundedEgPm::default())),
        ("L2", first(L2::default())),
        ("DecayWeights", first(DecayWeights::default())),
        ("IndependentDecay", first(IndependentDecay::default())),
        ("CorrectedDecay", first(CorrectedDecay::default())),
        ("ProximalDecay", first(ProximalDecay::default())),
        ("Maximize", first(Maximize::default())),
        ("SignOf", Chain::new((Momentum::default(), SignOf::default(), Scale::default()))),
        ("ClipValue", first(ClipValue::default())),
        ("TrustRatio", Chain::new(()).fold(<TrustRatio>::default()).then(Scale::default())),
        (
            "Cautious",
            Chain::new(Momentum::default()).fold(Cautious::default()).then(Scale::default()),
        ),
        ("AdaptiveClip", Chain::new(()).fold(AdaptiveClip::default()).then(Scale::default())),
        ("Centralize", Chain::new(()).fold(Centralize::default()).then(Scale::default())),
        ("GradientNoise", Chain::new(()).fold(GradientNoise::default()).then(Scale::default())),
        ("ClipNorm", Chain::new(()).fold(ClipNorm::default()).then(Scale::default())),
        ("Outside", adam::<Outside>()),
        ("Inside", adam::<Inside>()),
        ("Hat", adam::<Hat>()),
        ("Floor", adam::<Floor>()),
        ("Both", adam::<Both>()),
        ("HatBoth", adam::<HatBoth>()),
        ("Balance", first(MetaEgd::<Balance, Last>::default())),
        (
            "GroupGain",
            Chain::new(()).fold(GroupGain::<PerGroup, Inner>::default()).then(Scale::default()),
        ),
    ])
}

/// A number as a reader writes it.
fn number(value: f64) -> String {
    if value.is_infinite() {
        return "∞".to_owned();
    }
    if value == 0.0 || (1e-2..1e4).contains(&value.abs()) {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

/// A table row's cell: no line breaks, no bars.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn formulas(chain: &Chain) -> String {
    let latex = chain.formulas().latex().replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "```text\n{}```\n\n<div class=\"formula\">\n\\[\n{latex}\n\\]\n</div>\n",
        chain.formulas()
    )
}

fn hyper_table(hypers: &[Hyper]) -> String {
    let mut table = String::new();
    if !hypers.is_empty() {
        table +=
            "\n| hyper-parameter | symbol | default | range | meaning |\n|---|---|---|---|---|\n";
    }
    for hyper in hypers {
        let spec = hyper.spec();
        let (default, range, doc) = (number(hyper.value(0)), spec.range, cell(spec.doc));
        writeln!(table, "| `{}` | {} | {default} | {range} | {doc} |", spec.name, spec.symbol)
            .expect("a string");
    }
    table
}

/// What a step costs in memory.
fn memory(chain: &Chain) -> String {
    let (slots, scalars) = (chain.slots(), chain.scalars());
    let n = chain.memory_per_coordinate();
    assert_eq!(slots.len(), n);
    let listed =
        |names: &[String]| names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    let mut text = if n == 0 {
        "Remembers nothing per coordinate.".to_owned()
    } else {
        format!(
            "Remembers {n} per coordinate: {} ({} bytes in `f32`, {} in `f64`).",
            listed(&slots),
            4 * n,
            8 * n
        )
    };
    if !scalars.is_empty() {
        write!(text, " Besides, once per tensor or group in `f64`: {}.", listed(&scalars))
            .expect("a string");
    }
    write!(
        text,
        " A step reads {} streams (parameter, gradient{}) and writes {} (parameter{}): {} bytes \
         per coordinate in `f32`.",
        2 + n,
        if n > 0 { ", state" } else { "" },
        1 + n,
        if n > 0 { ", state" } else { "" },
        4 * (3 + 2 * n)
    )
    .expect("a string");
    match chain.reading_passes() {
        0 => {}
        1 => text += " One reading pass comes before it.",
        k => write!(text, " {k} reading passes come before it.").expect("a string"),
    }
    text + "\n"
}

/// Which golden trajectories pin an optimizer.
fn golden(name: &str) -> String {
    let folder = root().join("testdata/trajectories");
    let file = folder.join(format!("{}.toml", name.split('@').next().unwrap_or(name)));
    let cases: Vec<(String, String)> = match fs::read_to_string(&file) {
        Err(_) => vec![],
        Ok(text) => text.parse::<toml::Table>().expect("toml")["case"]
            .as_array()
            .expect("[[case]]")
            .iter()
            .map(|case| {
                let text = |key: &str| case[key].as_str().expect("a string").to_owned();
                (text("optimizer"), text("source"))
            })
            .filter(|(optimizer, _)| optimizer == name)
            .collect(),
    };
    let Some((_, source)) = cases.first() else {
        let by_hand = include_str!("learned_gains.rs");
        assert!(by_hand.contains(&format!("{name:?}")), "{name} has neither golden nor loop");
        return "No golden trajectory, since no library has it; `crates/thalweg/tests/learned_gains.rs` \
                computes it in a loop of its own.\n"
            .to_owned();
    };
    let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    format!(
        "Pinned by {} golden trajectories in `testdata/trajectories/{file}` (computed by {source}).\n",
        cases.len()
    )
}

fn entry_block(entry: &Entry) -> String {
    let chain = (entry.chain)();
    let mut block = format!("{} `registry::build(\"{}\", &[])`.\n\n", entry.summary, entry.name);
    let base = entry.name.split('@').next().unwrap_or(entry.name);
    let original = (registry::get(base).expect("a preset's original").chain)();
    let same = original.formulas().to_string() == chain.formulas().to_string();
    if base != entry.name && same {
        let changed: Vec<String> = original
            .hypers()
            .iter()
            .zip(chain.hypers())
            .filter(|(old, new)| old.value(0) != new.value(0))
            .map(|(_, new)| format!("`{}` {}", new.spec().name, number(new.value(0))))
            .collect();
        let defaults = if changed.is_empty() {
            "the same defaults".to_owned()
        } else {
            format!("other defaults: {}", changed.join(", "))
        };
        writeln!(block, "The formulas of `{base}` with {defaults}.\n").expect("a string");
    } else {
        block += &formulas(&chain);
        block += "\n";
        block += &memory(&chain);
        block += &hyper_table(&chain.hypers());
        block += "\n";
    }
    let tuned: Vec<String> = entry
        .tune
        .iter()
        .map(|t| format!("`{}` from {} to {}", t.hyper, number(t.low), number(t.high)))
        .collect();
    writeln!(block, "Tuned over {}. Source: {}.\n", tuned.join(", "), entry.source)
        .expect("a string");
    block + &golden(entry.name)
}

fn block(name: &str) -> String {
    if let Ok(entry) = registry::get(name) {
        return entry_block(entry);
    }
    let chains = unlisted();
    let chain = chains.get(name).unwrap_or_else(|| panic!("nothing is called {name:?}"));
    format!("{}\n{}{}", formulas(chain), memory(chain), hyper_table(&chain.hypers()))
}

const START: &str = "<!-- generated: ";

/// The page with its blocks as they must be, and their names.
fn rendered(text: &str) -> (String, Vec<String>) {
    let (mut out, mut names, mut rest) = (String::new(), vec![], text);
    while let Some((before, after)) = rest.split_once(START) {
        let (name, after) = after.split_once(" -->").expect("a marker's end");
        let (_, after) = after.split_once("<!-- end -->").expect("the block's end");
        write!(out, "{before}{START}{name} -->\n\n{}\n<!-- end -->", block(name))
            .expect("a string");
        names.push(name.to_owned());
        rest = after;
    }
    (out + rest, names)
}

#[test]
fn pages_show_what_runs() {
    let (mut shown, mut stale) = (vec![], vec![]);
    for (name, text) in pages() {
        let (fresh, names) = rendered(&text);
        shown.extend(names);
        if fresh != text {
            if std::env::var_os("UPDATE_BOOK").is_some() {
                fs::write(book().join(&name), fresh).expect("a writable page");
            } else {
                stale.push(name);
            }
        }
    }
    assert!(
        stale.is_empty(),
        "{stale:?} differ from the code; run `UPDATE_BOOK=1 cargo test -p thalweg --test book` and \
         read what changed"
    );
    for entry in registry::all() {
        assert!(shown.iter().any(|n| n == entry.name), "no page shows {}", entry.name);
    }
    for name in unlisted().keys() {
        assert!(shown.iter().any(|n| n == name), "no page shows {name}");
    }
}

#[test]
fn every_file_of_the_catalogue_has_its_page() {
    for (folder, pages, without) in [
        ("rules", "optimizers", &["mod", "scale", "decay", "clip"][..]),
        ("geometry", "geometries", &["mod"][..]),
    ] {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder);
        for entry in fs::read_dir(source).expect("the source") {
            let path = entry.expect("a directory entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let page = book().join(pages).join(format!("{name}.md"));
            assert!(without.contains(&&*name) || page.exists(), "no page {}", page.display());
        }
    }
}

#[test]
fn the_summary_lists_every_page_and_no_other() {
    let summary = read(&book().join("SUMMARY.md"));
    let mut listed: Vec<String> = summary
        .split("](")
        .skip(1)
        .map(|s| s.split_once(')').expect("a link's end").0.to_owned())
        .collect();
    listed.sort();
    let pages: Vec<String> = pages().into_keys().filter(|n| n != "SUMMARY.md").collect();
    assert_eq!(listed, pages);
}

/// Links of a page: what stands in `](…)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|s| s.split_once(')')).map(|(link, _)| link)
}

#[test]
fn links_lead_somewhere() {
    let mut texts: Vec<(PathBuf, String)> =
        pages().into_iter().map(|(name, text)| (book().join(name), text)).collect();
    for name in ["README.md", "CONVENTIONS.md", "CHANGELOG.md"] {
        texts.push((root().join(name), read(&root().join(name))));
    }
    for (path, text) in texts {
        for link in links(&text).filter(|l| !l.contains("://") && !l.starts_with('#')) {
            let target =
                path.parent().expect("a folder").join(link.split('#').next().unwrap_or(""));
            assert!(target.exists(), "{}: {link} does not exist", path.display());
        }
    }
}

#[test]
fn every_code_block_of_the_book_is_compiled() {
    let tested = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/doctests.rs"));
    for (name, text) in pages() {
        if text.contains("```rust\n") {
            assert!(tested.contains(&format!("\"{name}\"")), "src/doctests.rs lacks {name}");
        }
        for fence in text.lines().filter(|l| l.starts_with("```") && l.len() > 3) {
            let known = ["```rust", "```rust,ignore", "```text", "```sh", "```toml", "```python"];
            assert!(known.contains(&fence), "{name}: {fence}");
        }
    }
}

#[test]
fn the_readme_names_every_optimizer() {
    let readme = read(&root().join("README.md"));
    for entry in registry::all() {
        let base = entry.name.split('@').next().unwrap_or(entry.name);
        assert!(readme.contains(&format!("`{base}`")), "README.md lacks {base}");
    }
}

#[test]
fn conventions_name_files_that_exist() {
    let text = read(&root().join("CONVENTIONS.md"));
    let mut count = 0;
    for word in text.split(|c: char| c.is_whitespace() || "`|(),".contains(c)) {
        if let Some(name) = word.strip_suffix(".toml") {
            let folder = if name.contains('/') { "" } else { "testdata/trajectories" };
            let path = root().join(folder).join(word);
            assert!(path.exists(), "CONVENTIONS.md names {name}.toml, which is not there");
            count += 1;
        }
    }
    assert!(count > 20, "only {count} golden files are named");
}
