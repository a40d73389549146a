//! Fetching, taking in and checking, in caches of their own.

use super::*;

fn packages() -> impl Iterator<Item = &'static Description> {
    SOURCES.iter().filter(|s| matches!(s.origin, Origin::Package(_)))
}

#[test]
fn every_description_is_complete_and_has_its_own_name() {
    for (i, s) in SOURCES.iter().enumerate() {
        assert!(SOURCES[..i].iter().all(|other| other.name != s.name), "{}", s.name);
        assert!([s.summary, s.licence, s.citation].iter().all(|t| !t.is_empty()), "{}", s.name);
        let hexadecimal = s.sha256.len() == 64 && s.sha256.bytes().all(|b| b.is_ascii_hexdigit());
        assert_eq!(hexadecimal, matches!(s.origin, Origin::Package(_)), "{}", s.name);
    }
}

#[test]
fn absent_and_corrupt_files_name_the_fix() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(dir.path());
    for source in packages() {
        let command = format!("thalweg data get {}", source.name);
        let absent = verify_in(&cache, source).unwrap_err();
        assert!(absent.problem().contains("not in the cache"), "{absent}");
        assert!(absent.fix().contains(&command), "{absent}");
        let mut other = Arrays::default();
        other.bytes("x", &[1], vec![1]);
        for content in [b"THWDATA1 an older file".to_vec(), other.to_bytes(), Vec::new()] {
            cache.write(&file_of(source), &content).unwrap();
            let corrupt = verify_in(&cache, source).unwrap_err();
            assert!(corrupt.problem().contains("damaged"), "{corrupt}");
            assert!(corrupt.fix().contains(&command), "{corrupt}");
        }
    }
    let treebank = find("penn-treebank").unwrap();
    assert!(get_in(&cache, treebank, None).unwrap_err().fix().contains("data add penn-treebank"));
}

#[test]
fn an_archive_of_something_else_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(dir.path().join("cache"));
    let archive = dir.path().join("a.tgz");
    let gzip = flate2::write::GzEncoder::new(
        std::fs::File::create(&archive).unwrap(),
        flate2::Compression::fast(),
    );
    tar::Builder::new(gzip).into_inner().unwrap().finish().unwrap();
    for source in packages() {
        let wrong = get_in(&cache, source, Some(&archive)).unwrap_err();
        assert!(wrong.problem().contains("not what was expected"), "{wrong}");
        assert!(!cache.path(&file_of(source)).exists());
    }
    std::fs::write(&archive, b"no archive at all").unwrap();
    let broken = get_in(&cache, find("mnist").unwrap(), Some(&archive)).unwrap_err();
    assert!(broken.problem().contains("cannot read the package archive"), "{broken}");
}

#[test]
fn own_texts_are_kept_under_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(dir.path().join("cache"));
    let file = dir.path().join("own.txt");
    std::fs::write(&file, "a line of my own\n".repeat(200)).unwrap();
    let kept = add_in(&cache, "mine", &file).unwrap();
    assert!(kept.exists() && cache.names("text-", ".data") == ["mine"]);
    let (arrays, sha256) = read(&cache, &own_file("mine")).unwrap();
    let text = Text::load("mine", arrays, sha256).unwrap();
    assert_eq!(text.train.len() + text.validation.len() + text.test.len(), 17 * 200);
    for name in ["mnist", "union", "", "../up", "a b"] {
        assert_eq!(add_in(&cache, name, &file).unwrap_err().exit_code(), 2, "{name}");
    }
    add_in(&cache, "penn-treebank", &file).unwrap();
    assert_eq!(verify_in(&cache, find("penn-treebank").unwrap()).unwrap().len(), 64);
}

#[test]
fn a_path_in_place_of_a_name_is_told_the_command_that_takes_it_in() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("My notes.txt");
    std::fs::write(&file, "a line of my own\n".repeat(200)).unwrap();
    let error = text(&file.to_string_lossy()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.fix().contains(&format!("data add my-notes '{}'", file.display())), "{error}");
    let absent = text(&dir.path().join("none.txt").to_string_lossy()).unwrap_err();
    assert!(absent.fix().contains("data add NAME PATH"), "{absent}");
}

#[test]
fn what_is_in_the_program_needs_nothing() {
    assert_eq!((needs(""), needs("digits"), needs("lincoln")), (None, None, None));
    assert_eq!(needs("no-such-text").unwrap(), "thalweg data add no-such-text PATH");
    let text = text("lincoln").unwrap();
    assert!(text.train.starts_with(b"Fellow-Citizens"));
    assert_eq!(cache::sha256(texts::LINCOLN), texts::LINCOLN_SHA256);
    assert!(load("lincoln").unwrap_err().fix().contains("mnist"));
}
