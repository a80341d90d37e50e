//! A recorder that can be looked at while it listens.
//!
//! In: points, as a [`Tap`]. Out: copies of the recording, as often as somebody asks. Invariant: a copy holds all points
//! that the tap had heard, and none of an engine that came before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::recorder::{Limits, Recorder, Recording};
use crate::series::{SeriesInfo, Tap};

/// A recorder with two ends: one that listens, one that is asked.
#[derive(Debug, Clone)]
pub struct SharedRecorder {
    limits: Limits,
    recorder: Arc<Mutex<Recorder>>,
}

impl SharedRecorder {
    /// A recorder that has heard nothing and keeps no more than this.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            recorder: Arc::new(Mutex::new(Recorder::within(limits))),
        }
    }

    /// An end to listen with, for an engine that begins. What was heard before is forgotten.
    #[must_use]
    pub fn listen_anew(&self) -> Box<dyn Tap> {
        *self.lock() = Recorder::within(self.limits);
        Box::new(self.clone())
    }

    /// What was heard so far.
    #[must_use]
    pub fn copy(&self) -> Recording {
        self.lock().recording().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tap for SharedRecorder {
    fn point(&mut self, id: u32, series: &SeriesInfo, step: i64, wall_time: Option<f64>, value: f64) {
        self.lock().point(id, series, step, wall_time, value);
    }

    fn rewind(&mut self, id: u32, step: i64) {
        self.lock().rewind(id, step);
    }

    fn several_writers(&mut self) {
        self.lock().several_writers();
    }
}
