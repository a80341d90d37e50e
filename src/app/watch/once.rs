//! `gradwatch watch --once`: what is there is read, told and sent.
//!
//! In: rules and settings. Out: alarms as a daemon tells them, the exit status of `audit`. Invariant: it ends:
//! what cannot be sent in time is kept for the next start.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::set_up::SetUp;
use super::{Heard, Voice};
use crate::app::audit::status;
use crate::cli::WatchArgs;
use crate::exit::ExitStatus;
use crate::source::Polled;

/// Time that messages may take to be sent.
const SENT_WITHIN: Duration = Duration::from_secs(60);

pub(super) fn once(mut set_up: SetUp, args: &WatchArgs, voice: &Voice) -> anyhow::Result<ExitStatus> {
    let telling = set_up.telling.take();
    let paths = &set_up.settings.watch.paths;
    let mut watch = set_up.watch();
    if set_up.settings.mail.is_some() {
        watch = watch.with_pictures_for_messages();
    }
    let mut courier = telling.map(|it| it.courier(&|| {})).transpose()?;
    if let Some(courier) = &mut courier {
        courier.set_roots(paths);
        watch = watch.with_journals(courier.journals());
    }
    voice.say(&watch.walk())?;
    loop {
        let (polled, heard) = watch.poll(&|| false);
        voice.say(&heard)?;
        if let Some(courier) = &mut courier {
            courier.hear(&watch, &heard);
        }
        if polled != Polled::More {
            break;
        }
    }
    let roots: BTreeMap<String, PathBuf> = watch
        .followed()
        .map(|(run, root, _)| (run.to_owned(), root.to_owned()))
        .collect();
    if let Some(courier) = &mut courier {
        courier.turn(Some(&watch));
    }
    let recorders = watch.recorders();
    let (report, notices) = watch.finish();
    let heard = Heard {
        notices,
        problems: Vec::new(),
    };
    voice.say(&heard)?;
    if let Some(mut courier) = courier {
        courier.hear_of(&heard.notices, &|run| roots.get(run).map(PathBuf::as_path));
        say_left(courier.finish(&|run| recorders.recordings(run), SENT_WITHIN));
    }
    Ok(status(&report, false, Some(args.fail_on.into())))
}

fn say_left(n_left: usize) {
    if n_left > 0 {
        // Nobody may be listening.
        let _ = writeln!(
            io::stderr(),
            "gradwatch: {n_left} messages could not be sent; the next start goes on with them"
        );
    }
}
