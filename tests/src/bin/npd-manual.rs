//! Writes the manual pages and shell completions of the shipped programs into a folder: called by `cargo xtask dist`.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use jiff::Timestamp;
use npd_agent::cli::{self, health_checker::HealthCheckerArgs, log_counter::LogCounterArgs};

fn main() -> Result<()> {
    let folder = PathBuf::from(env::args_os().nth(1).context("say into which folder")?);
    let date = env::var("SOURCE_DATE_EPOCH").context("say in SOURCE_DATE_EPOCH as of when")?;
    let date = Timestamp::from_second(date.parse().context("SOURCE_DATE_EPOCH is no number of seconds")?)?;
    let date = date.strftime("%Y-%m-%d").to_string();
    for (name, command) in [
        ("npd-agent", cli::Args::command()),
        ("health-checker", HealthCheckerArgs::command()),
        ("log-counter", LogCounterArgs::command()),
    ] {
        completions(name, &command, &folder.join("completions"))?;
        pages(&command.version(env!("CARGO_PKG_VERSION")), &folder.join("man"), &date)?;
    }
    Ok(())
}

/// One page for the program and one for each of its subcommands.
fn pages(command: &Command, folder: &Path, date: &str) -> Result<()> {
    make(folder)?;
    let mut command = command.clone().disable_help_subcommand(true);
    command.build();
    let name = command.get_name().to_owned();
    page(command.clone(), &name, folder, date)?;
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        let title = format!("{name}-{}", subcommand.get_name());
        page(subcommand.clone().display_name(&title), &title, folder, date)?;
    }
    Ok(())
}

fn page(command: Command, title: &str, folder: &Path, date: &str) -> Result<()> {
    let source = concat!("npd ", env!("CARGO_PKG_VERSION"));
    let path = folder.join(title).with_extension("1");
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(command).title(title.to_uppercase()).date(date).source(source).manual("npd");
    page.render(&mut text).with_context(|| format!("cannot write the manual page {title}"))?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn completions(name: &'static str, command: &Command, folder: &Path) -> Result<()> {
    make(folder)?;
    // Some shells would offer the hidden flags too.
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let mut shown = Command::new(name).disable_version_flag(true).args(shown.cloned());
    shown = shown.subcommands(command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()).cloned());
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        let cannot_write = || format!("cannot write completions for {name}");
        clap_complete::generate_to(shell, &mut shown, name, folder).with_context(cannot_write)?;
    }
    Ok(())
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}
