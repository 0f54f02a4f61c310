//! `underpass-package`: makes what underpass is installed from.
//!
//! `cargo package-deb` and `cargo package-tarball` (aliases of this workspace) build the programs and start it.
//! A package of the same programs and the same commit is the same, byte for byte: files are in order, belong to
//! root, and have the time of the commit.
//!
//! # Layout
//!
//! - [`programs`]: builds the three programs, or takes them from a folder. [`time`]: the time that files have.
//! - [`manual`]: man pages, from the options and from the documents. [`completions`]: for bash, zsh and fish.
//! - [`options`], [`arguments`]: the command lines themselves, which the launcher and the agent compile, too.
//!   [`launcher`]: what is said of the launcher's options beyond `--help`.
//! - [`content`]: which files there are, and what is in them. [`layout`]: where each package has them.
//! - [`archive`]: tar and gzip. [`deb`]: a Debian package.

mod archive;
#[path = "../../../tunnel-agent/src/cli/arguments.rs"]
#[allow(dead_code, reason = "what counts here is the definition, not what is read by it")]
mod arguments;
mod completions;
mod content;
mod deb;
mod launcher;
mod layout;
mod manual;
#[path = "../../src/cli/options.rs"]
#[allow(dead_code, reason = "the rows of --help are for the launcher")]
mod options;
mod programs;
mod time;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use content::Content;

/// Makes the packages of underpass
#[derive(Parser)]
#[command(name = "underpass-package", version, max_term_width = 80)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// The project's folder
    #[arg(long, global = true, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))]
    source: PathBuf,
    /// Where the package is put
    #[arg(long, global = true, value_name = "DIR", default_value = "target/packages")]
    out: PathBuf,
    /// Take the programs from this folder instead of building them
    #[arg(long, global = true, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Build the launcher and the agent as static programs, with musl
    #[arg(long, global = true, conflicts_with = "programs")]
    musl: bool,
}

#[derive(Subcommand)]
enum Command {
    /// A Debian package, for the machine that it is made on
    Deb,
    /// A tarball, to be unpacked anywhere
    Tarball,
    /// The man pages and the completions alone
    Pages,
}

/// Why there is no package.
struct Failure(String);

impl Failure {
    fn of(path: &Path, error: &io::Error) -> Self {
        Self(format!("{}: {error}", path.display()))
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(made) => {
            // Whoever has closed our output does not want to know.
            let _ = writeln!(io::stdout(), "{}", made.display());
            ExitCode::SUCCESS
        }
        Err(Failure(why)) => {
            let _ = writeln!(io::stderr(), "underpass-package: {why}");
            ExitCode::from(125)
        }
    }
}

/// Makes what was asked for; gives its path.
fn run(cli: &Cli) -> Result<PathBuf, Failure> {
    let time = time::of_sources(&cli.source)?;
    std::fs::create_dir_all(&cli.out).map_err(|error| Failure::of(&cli.out, &error))?;
    let content = || {
        let programs = match &cli.programs {
            Some(folder) => folder.clone(),
            None => programs::build(&cli.source, cli.musl)?,
        };
        Content::gather(&cli.source, &programs, time)
    };
    match cli.command {
        Command::Deb => deb::make(&content()?, &cli.out),
        Command::Tarball => layout::tarball(&content()?, &cli.out, if cli.musl { "-musl" } else { "" }),
        Command::Pages => {
            for file in content::pages(&cli.source, time)? {
                let path = cli.out.join(&file.name);
                std::fs::write(&path, &file.bytes).map_err(|error| Failure::of(&path, &error))?;
            }
            Ok(cli.out.clone())
        }
    }
}
