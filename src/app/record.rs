//! Listeners for the streams of one run, and what they have recorded when it is read.
//!
//! In: streams as they are opened. Out: their recordings in the order of the report. Invariant: a recording exists
//! only once its stream was read to its end.

use std::sync::{Mutex, PoisonError};

use crate::report::html::RankRecording;
use crate::series::Tap;
use crate::series::record::{Recorder, RecordingSlot};
use crate::source::StreamFiles;

/// The recorders of one run.
#[derive(Debug, Default)]
pub struct Recorders {
    slots: Mutex<Vec<(Option<u32>, RecordingSlot)>>,
}

impl Recorders {
    /// A listener for this stream.
    pub fn listen(&self, stream: &StreamFiles) -> Box<dyn Tap> {
        let (recorder, slot) = Recorder::new();
        self.slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((stream.rank, slot));
        Box::new(recorder)
    }

    /// The recordings, by rank and then in the order in which the streams were read.
    #[must_use]
    pub fn finish(self) -> Vec<RankRecording> {
        let slots = self.slots.into_inner().unwrap_or_else(PoisonError::into_inner);
        let taken = slots
            .into_iter()
            .filter_map(|(rank, slot)| Some((rank, slot.take()?)));
        let mut recordings: Vec<RankRecording> = taken.collect();
        recordings.sort_by_key(|it| it.0);
        recordings
    }
}
