//! Who is told of alarms, and where that is remembered.
//!
//! In: settings. Out: a courier, as often as one is wanted. Invariant: without a receiver and without a state directory
//! that was named, nothing is kept.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::courier::{Compose, Courier, Parts, Recorded, policy};
use crate::alert::{Bulletin, Outgoing};
use crate::app::settings::{own_name, state_dir};
use crate::cli::WatchArgs;
use crate::config::Settings;
use crate::deliver::{Composer, MAIL, Parcel, receivers};
use crate::report::LayerPicture;
use crate::state::default_dir;

/// The set-up of a courier.
pub(super) struct Telling {
    dir: PathBuf,
    settings: Settings,
    composer: Composer,
}

impl Telling {
    /// What the settings ask for; `None` when nobody is to be told and nothing remembered.
    pub(super) fn new(
        args: &WatchArgs,
        settings: &Settings,
        is_remembered: bool,
    ) -> anyhow::Result<Option<Self>> {
        if !settings.has_receiver() && !is_remembered {
            return Ok(None);
        }
        let dir = state_dir(&args.state)?;
        let mut composer = Composer::new(settings, &own_name())?;
        // Where a user's shell would look: the service manager's directory is not known there.
        let of_shell = default_dir(&|name| env::var_os(name).filter(|_| name != "STATE_DIRECTORY"));
        if of_shell.as_ref() != Some(&dir) {
            composer = composer.with_state(&dir);
        }
        Ok(Some(Self {
            dir,
            settings: settings.clone(),
            composer,
        }))
    }

    /// Takes up what was stored. `wake` is called when there is something to do.
    pub(super) fn courier(self, wake: &(impl Fn() + Clone + Send + 'static)) -> anyhow::Result<Courier> {
        let dir = self.dir.clone();
        Courier::new(&dir, self.parts(), wake)
    }

    /// A courier that has been at work goes on with these settings.
    pub(super) fn instruct(
        self,
        courier: &mut Courier,
        wake: &(impl Fn() + Clone + Send + 'static),
    ) -> anyhow::Result<()> {
        courier.change(self.parts(), wake)
    }

    fn parts(self) -> Parts {
        Parts {
            policy: policy(&self.settings.alerts),
            receivers: receivers(&self.settings),
            capped: &[MAIL],
            composer: Box::new(self.composer),
        }
    }
}

impl Compose for Composer {
    fn compose(&self, receiver: &str, message: &Outgoing, recorded: Recorded<'_>) -> Vec<Parcel> {
        match message {
            Outgoing::One(bulletin) => {
                let leading = bulletin.roots.first().filter(|_| receiver == MAIL);
                let picture = leading.and_then(|it| LayerPicture::of(&recorded(&bulletin.run), &it.finding));
                self.bulletin(receiver, bulletin, picture.as_ref())
            }
            Outgoing::Many(digest) => self.digest(receiver, digest),
        }
    }

    fn renew_every(&self) -> Option<Duration> {
        Composer::renew_every(self)
    }

    fn renewals(&self, standing: &[Bulletin], now: Timestamp) -> Vec<Parcel> {
        Composer::renewals(self, standing, now)
    }
}
