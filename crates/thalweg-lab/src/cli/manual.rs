//! `thalweg completions` and `thalweg man`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::Cli;
use crate::{Error, Result};

/// Prints the completion script of a shell.
pub(super) fn completions(shell: Shell) -> Result<()> {
    super::print(&script(shell))
}

fn script(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "thalweg", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Prints the manual page, in the format of man(1).
pub(super) fn man() -> Result<()> {
    super::print(&page()?)
}

/// The page of the program, then sections of every command.
fn page() -> Result<String> {
    let mut command = Cli::command();
    command.build();
    let mut text = Vec::new();
    let mut render = || -> std::io::Result<()> {
        clap_mangen::Man::new(command.clone()).render(&mut text)?;
        commands(&command, "COMMAND", &mut text)
    };
    render().map_err(|e| {
        Error::failed(format!("cannot write the manual page: {e}"), "please report this defect")
    })?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The sections of the commands in `parent`, whose heading is `title`, each followed by those of the commands in it.
fn commands(parent: &clap::Command, title: &str, text: &mut Vec<u8>) -> std::io::Result<()> {
    for command in parent.get_subcommands().filter(|c| c.get_name() != "help") {
        let man = clap_mangen::Man::new(command.clone());
        let title = format!("{title} {}", command.get_name().to_uppercase());
        text.extend(format!(".SH {title}\n").bytes());
        man.render_synopsis_section(text)?;
        man.render_description_section(text)?;
        man.render_options_section(text)?;
        if command.get_after_help().is_some() {
            man.render_extra_section(text)?;
        }
        commands(command, &title, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_page_know_every_command() {
        let page = page().unwrap();
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
                assert!(script(shell).contains(name), "{shell} {name}");
            }
            assert!(page.contains(&name.to_uppercase()), "{name}");
        }
        assert!(page.contains(".TH"));
        for part in
            ["COMMAND DATA VERIFY", "thalweg data add letters letters.txt", "diff results\\-before"]
        {
            assert!(page.contains(part), "{part}");
        }
    }
}
