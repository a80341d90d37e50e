//! Who is told of alarms, and where that is remembered.
//!
//! In: settings. Out: a courier, as often as one is wanted. Invariant: without a receiver and without a state directory
//! that was named, nothing is kept.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::courier::{Compose, Courier, Parts, policy};
use crate::alert::{Bulletin, Outgoing};
use crate::app::settings::{own_name, state_dir};
use crate::cli::WatchArgs;
use crate::config::Settings;
use crate::deliver::{Composer, MAIL, Parcel, receivers};

/// The set-up of a courier.
pub(super) struct Telling {
    dir: PathBuf,
    settings: Settings,
    composer: Composer,
}

impl Telling {
    /// What the settings ask for; `None` when nobody is to be told and nothing remembered.
    pub(super) fn new(args: &WatchArgs, settings: &Settings) -> anyhow::Result<Option<Self>> {
        if !settings.has_receiver() && args.state.state.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            dir: state_dir(&args.state)?,
            settings: settings.clone(),
            composer: Composer::new(settings, &own_name())?,
        }))
    }

    /// Takes up what was stored. `wake` is called when there is something to do.
    pub(super) fn courier(&self, wake: &(impl Fn() + Clone + Send + 'static)) -> anyhow::Result<Courier<'_>> {
        let parts = Parts {
            dir: &self.dir,
            policy: policy(&self.settings.alerts),
            receivers: receivers(&self.settings),
            capped: &[MAIL],
            composer: &self.composer,
        };
        Courier::new(parts, wake)
    }
}

impl Compose for Composer {
    fn compose(&self, _receiver: &str, message: &Outgoing) -> Vec<Parcel> {
        match message {
            Outgoing::One(bulletin) => self.bulletin(bulletin, None),
            Outgoing::Many(digest) => self.digest(digest),
        }
    }

    fn renew_every(&self) -> Option<Duration> {
        Composer::renew_every(self)
    }

    fn renewals(&self, standing: &[Bulletin], now: Timestamp) -> Vec<Parcel> {
        Composer::renewals(self, standing, now)
    }
}
