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

/// The page of the program, then one section per command.
fn page() -> Result<String> {
    let mut command = Cli::command();
    command.build();
    let mut text = Vec::new();
    let mut render = || -> std::io::Result<()> {
        clap_mangen::Man::new(command.clone()).render(&mut text)?;
        for sub in command.get_subcommands().filter(|c| c.get_name() != "help") {
            let man = clap_mangen::Man::new(sub.clone());
            text.extend(format!(".SH COMMAND {}\n", sub.get_name().to_uppercase()).bytes());
            man.render_synopsis_section(&mut text)?;
            man.render_description_section(&mut text)?;
            man.render_options_section(&mut text)?;
        }
        Ok(())
    };
    render().map_err(|e| {
        Error::failed(format!("cannot write the manual page: {e}"), "please report this defect")
    })?;
    Ok(String::from_utf8_lossy(&text).into_owned())
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
    }
}
