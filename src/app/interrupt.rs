//! A polite end: a signal to stop is seen between two pieces of work, so that what is half-written can be taken away.
//!
//! In: SIGINT and SIGTERM. Out: the one that came. Invariants: a second signal ends the process at once; after the
//! first it ends by that signal too, as whoever waits for it expects.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

/// Hears signals to stop.
pub(super) struct Interrupt {
    signal: Arc<AtomicUsize>,
}

impl Interrupt {
    /// From now on signals are only noted.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn listen() -> io::Result<Self> {
        let signal = Arc::new(AtomicUsize::new(0));
        let is_second = Arc::new(AtomicBool::new(false));
        for number in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down, and raises it.
            flag::register_conditional_default(number, Arc::clone(&is_second))?;
            flag::register(number, Arc::clone(&is_second))?;
            flag::register_usize(number, Arc::clone(&signal), number.unsigned_abs() as usize)?;
        }
        Ok(Self { signal })
    }

    /// Whether to stop.
    pub(super) fn has_come(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
    }

    /// Ends the process by the signal that came; does nothing when none did.
    pub(super) fn obey(&self) {
        let signal = self.signal.load(Ordering::Relaxed);
        if let Some(number) = i32::try_from(signal).ok().filter(|it| *it != 0) {
            // A system that knows no default for it: the caller goes on to its own end.
            let _ = low_level::emulate_default_handler(number);
        }
    }
}
