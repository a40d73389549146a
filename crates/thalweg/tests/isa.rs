//! `THALWEG_ISA`, which is read once per process: each case is a process of its own.

use std::process::Command;

use thalweg::recipes::adam;
use thalweg::{Isa, Optimizer};

/// What [`child`] says in a process with this choice.
fn chosen(name: &str) -> String {
    let child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env("THALWEG_ISA", name)
        .output()
        .expect("a process");
    let text = String::from_utf8_lossy(&child.stdout).into_owned();
    let said = text.lines().find_map(|line| line.split_once("chosen: "));
    said.unwrap_or_else(|| panic!("{text}")).1.to_owned()
}

/// Says which instruction set an optimizer takes.
#[test]
fn child() {
    match Optimizer::<f32>::new(adam()) {
        Ok(opt) => println!("chosen: {}", opt.isa()),
        Err(error) => println!("chosen: {error}"),
    }
}

#[test]
fn it_forces_an_instruction_set() {
    for isa in Isa::available() {
        assert_eq!(chosen(&isa.to_string()), isa.to_string());
    }
}

#[test]
fn a_name_that_is_none_is_an_error_that_lists_those_there_are() {
    for name in ["avx1024", "", "SSE2"] {
        let sentence = chosen(name);
        assert!(sentence.contains(&format!("THALWEG_ISA={name} ")), "{sentence}");
        assert!(sentence.contains(&Isa::Scalar.to_string()), "{sentence}");
    }
}
