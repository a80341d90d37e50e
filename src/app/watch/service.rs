//! The service manager (systemd): told how the daemon is, and that it lives.
//!
//! In: what the loop does. Out: messages to `$NOTIFY_SOCKET`; nothing where there is none. Invariant: a sign of life
//! is only given by the thread that does the work, after it has done some; a thread that hangs gives none, and the
//! manager starts the daemon anew.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use sd_notify::{NotifyState, notify, watchdog_enabled};

/// The time between two answers of a loop that nobody watches over.
const REST_MAX: Duration = Duration::from_secs(60);

/// What the service manager was told.
#[derive(Debug)]
pub(super) struct Service {
    /// Time between two signs of life: a quarter of what the manager waits for.
    sign_every: Option<Duration>,
    last_sign: Cell<Option<Instant>>,
    is_ready: Cell<bool>,
    status: RefCell<String>,
}

impl Service {
    pub(super) fn new() -> Self {
        Self {
            sign_every: watchdog_enabled().map(|it| it / 4),
            last_sign: Cell::new(None),
            is_ready: Cell::new(false),
            status: RefCell::new(String::new()),
        }
    }

    /// The loop has to come by after this time.
    pub(super) fn rest_max(&self) -> Duration {
        self.sign_every.unwrap_or(REST_MAX)
    }

    /// Some work was done.
    pub(super) fn is_alive(&self) {
        let Some(every) = self.sign_every else {
            return;
        };
        if self.last_sign.get().is_none_or(|it| it.elapsed() >= every) {
            self.last_sign.set(Some(Instant::now()));
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// It follows; said again after a reload.
    pub(super) fn is_ready(&self) {
        if !self.is_ready.replace(true) {
            tell(&[NotifyState::Ready]);
        }
    }

    /// It reads its rules anew.
    pub(super) fn is_reloading(&self) {
        self.is_ready.set(false);
        // Since version 253 systemd asks for the time of the reload.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    /// It ends: no more signs of life are to be expected.
    pub(super) fn is_stopping(&self) {
        self.is_ready.set(false);
        tell(&[NotifyState::Stopping]);
    }

    /// What it does now, for people; told when it has changed.
    pub(super) fn status(&self, text: String) {
        if *self.status.borrow() != text {
            tell(&[NotifyState::Status(&text)]);
            *self.status.borrow_mut() = text;
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    // A manager that does not listen does not keep a run from being followed.
    let _ = notify(state);
}
