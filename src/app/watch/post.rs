//! The threads that deliver: one for each receiver, so that one that hangs keeps nobody waiting.
//!
//! In: parcels. Out: answers. Invariants: nothing is decided here; a thread that is gone is an answer, too.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver as Inbox, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::deliver::{Answer, Parcel, Receiver};

/// What came of an attempt.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) receiver: &'static str,
    pub(super) id: i64,
    pub(super) answer: Answer,
}

/// The threads.
pub(super) struct Post {
    lines: BTreeMap<&'static str, Sender<(i64, Parcel)>>,
    answers: Inbox<Answered>,
    own: Sender<Answered>,
}

impl Post {
    /// Starts a thread for each receiver. `wake` is called when an answer has come.
    pub(super) fn start(
        receivers: Vec<(&'static str, Box<dyn Receiver>)>,
        wake: &(impl Fn() + Clone + Send + 'static),
    ) -> std::io::Result<Self> {
        let (own, answers) = channel();
        let mut post = Self {
            lines: BTreeMap::new(),
            answers,
            own,
        };
        post.replace(receivers, wake)?;
        Ok(post)
    }

    /// Other receivers from now on. What a thread of before is delivering is delivered, and answered.
    pub(super) fn replace(
        &mut self,
        receivers: Vec<(&'static str, Box<dyn Receiver>)>,
        wake: &(impl Fn() + Clone + Send + 'static),
    ) -> std::io::Result<()> {
        let mut lines = BTreeMap::new();
        for (name, receiver) in receivers {
            let (line, errands) = channel();
            let (own, wake) = (self.own.clone(), wake.clone());
            thread::Builder::new()
                .name(format!("deliver-{name}"))
                .spawn(move || serve(name, receiver, &errands, &own, &wake))?;
            lines.insert(name, line);
        }
        self.lines = lines;
        Ok(())
    }

    /// The names of the receivers.
    pub(super) fn receivers(&self) -> impl Iterator<Item = &'static str> {
        self.lines.keys().copied()
    }

    /// Hands a parcel to its thread.
    pub(super) fn send(&self, id: i64, parcel: Parcel) {
        let receiver = parcel.receiver;
        let is_sent = self
            .lines
            .get(receiver)
            .is_some_and(|it| it.send((id, parcel)).is_ok());
        if !is_sent {
            let answer = Answer::Later("the part that delivers has ended".to_owned());
            // We hold the other end ourselves.
            let _ = self.own.send(Answered { receiver, id, answer });
        }
    }

    /// Answers that have come.
    pub(super) fn answers(&self) -> impl Iterator<Item = Answered> {
        self.answers.try_iter()
    }

    /// Waits for an answer.
    pub(super) fn wait(&self, time: Duration) -> Option<Answered> {
        self.answers.recv_timeout(time).ok()
    }
}

fn serve(
    name: &'static str,
    mut receiver: Box<dyn Receiver>,
    errands: &Inbox<(i64, Parcel)>,
    answers: &Sender<Answered>,
    wake: &impl Fn(),
) {
    for (id, parcel) in errands {
        // A receiver promises not to panic; a mail library may not know.
        let tried = catch_unwind(AssertUnwindSafe(|| receiver.deliver(&parcel)));
        let answer = tried.unwrap_or_else(|_| Answer::Later("failed within the program".to_owned()));
        let answered = Answered {
            receiver: name,
            id,
            answer,
        };
        if answers.send(answered).is_err() {
            return;
        }
        wake();
    }
}
