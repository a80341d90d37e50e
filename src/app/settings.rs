//! The settings of a daemon: a configuration file and the flags over it.
//!
//! In: the command line. Out: validated settings. Invariants: a file that was named must be there; one that was found
//! belongs to the user or to root, because it may name a program to be started.

use std::env;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use super::wants_color;
use crate::cli::{StateArgs, WatchArgs};
use crate::config::{ListenSettings, SecretSource, Settings, read, with_flags};
use crate::deliver::host_name;
use crate::report::printable;
use crate::rules::{Source, render};
use crate::state::default_dir;

const FILE: &str = "gradwatch.toml";

/// The settings that a daemon is started with.
///
/// # Errors
/// When the file cannot be read or has a problem (all are named), or flags do not fit together.
pub fn of_watch(args: &WatchArgs) -> anyhow::Result<Settings> {
    let mut settings = of_file(args.config.as_deref())?;
    let watch = &mut settings.watch;
    if !args.paths.is_empty() {
        watch.paths.clone_from(&args.paths);
    }
    if !args.rules.is_empty() {
        watch.rules.clone_from(&args.rules);
    }
    watch.baseline = args.baseline.clone().or(watch.baseline.take());
    watch.poll = args.poll_every.unwrap_or(watch.poll);
    watch.active_within = args.active_within.unwrap_or(watch.active_within);
    watch.replay_max = args.replay_max.unwrap_or(watch.replay_max);
    if watch.paths.is_empty() {
        bail!(
            "no paths are given, neither as arguments nor as `paths` in the `[watch]` section of a configuration"
        );
    }
    if let Some(address) = args.listen {
        settings.listen = Some(ListenSettings {
            address,
            token: args.listen_token_file.clone().map(SecretSource::File),
        });
    }
    settings.mail = with_flags(
        settings.mail.take(),
        &args.mail_to,
        args.smtp.as_ref(),
        args.smtp_password_file.clone(),
        &own_name(),
    )
    .map_err(|error| anyhow!(error))?;
    Ok(settings)
}

/// The settings of a file; without one the defaults.
///
/// # Errors
/// When the file cannot be read or has a problem.
pub fn of_file(named: Option<&Path>) -> anyhow::Result<Settings> {
    let Some(path) = named.map(Path::to_owned).or_else(found) else {
        return Ok(Settings::default());
    };
    let shown = path.display().to_string();
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {shown}"))?;
    if named.is_none() {
        // Nobody may be listening; it is said for those who wonder.
        let _ = writeln!(io::stderr(), "gradwatch: configured by {}", printable(&shown));
    }
    let source = Source::new(shown, text);
    read(&source, &own_name()).map_err(|problems| {
        let styled = wants_color(io::stderr().is_terminal());
        anyhow!("{}", render(&problems, &[source], styled).trim_end())
    })
}

/// The name of this machine, as mails have it.
#[must_use]
pub fn own_name() -> String {
    Some(host_name())
        .filter(|it| !it.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// The first configuration file of the places where one may be.
fn found() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let of_user = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    let places = [
        Some(PathBuf::from(FILE)),
        of_user.map(|it| it.join("gradwatch").join(FILE)),
        Some(Path::new("/etc/gradwatch").join(FILE)),
    ];
    places.into_iter().flatten().find(|it| is_trusted(it))
}

/// Whether a file is there and nobody else has written it.
fn is_trusted(path: &Path) -> bool {
    const OTHERS_WRITE: u32 = 0o002;
    let Ok(about) = fs::metadata(path) else {
        return false;
    };
    let owner = about.uid();
    let is_own = owner == 0 || owner == rustix::process::geteuid().as_raw();
    let is_trusted = about.is_file() && is_own && about.mode() & OTHERS_WRITE == 0;
    if !is_trusted {
        let shown = path.display().to_string();
        let shown = printable(&shown);
        let _ = writeln!(
            io::stderr(),
            "gradwatch: {shown} is not used: others could have written it; name it by --config to use it"
        );
    }
    is_trusted
}

/// The state directory.
///
/// # Errors
/// When none is given and the environment names none.
pub fn state_dir(args: &StateArgs) -> anyhow::Result<PathBuf> {
    let given = args.state.clone();
    given
        .or_else(|| default_dir(&|name| env::var_os(name)))
        .context("no state directory: name one by --state")
}
