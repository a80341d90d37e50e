//! The receiver of mails: one attempt, bounded in time.
//!
//! In: a parcel. Out: what the server answered. Invariants: the conversation has a thread and a deadline of its own,
//! because lettre's time limit is one per read and name lookup has none; a conversation that does not end is left
//! behind and counted, and beyond [`LEFT_BEHIND_MAX`] no further one is begun.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use lettre::Address;
use lettre::message::Mailbox;

use super::dialogue::{Envelope, LEAVE, send};
use super::failure::{Cause, Failure, Step};
use crate::config::MailSettings;
use crate::deliver::{Answer, Parcel, Receiver};

/// Conversations that may hang at the same time.
const LEFT_BEHIND_MAX: usize = 4;
/// What a conversation may take beyond the deadline that it keeps itself.
const GRACE: Duration = Duration::from_millis(500);

/// Sends mails to one server.
#[derive(Debug)]
pub struct SmtpReceiver {
    settings: MailSettings,
    running: Arc<AtomicUsize>,
}

/// What is heard of a conversation while it goes on.
enum Heard {
    Step(Step, String),
    End(Result<String, Failure>),
}

/// Counts a conversation for as long as it lasts, however it ends.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn one_more(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl SmtpReceiver {
    /// A receiver for these settings.
    #[must_use]
    pub fn new(settings: MailSettings) -> Self {
        Self {
            settings,
            running: Arc::default(),
        }
    }

    /// Sends a letter and tells of each step that was taken.
    ///
    /// # Errors
    /// The first step that failed.
    pub fn send(&mut self, parcel: &Parcel, heard: &mut dyn FnMut(Step, &str)) -> Result<String, Failure> {
        let envelope = self.envelope(parcel)?;
        if self.running.load(Ordering::Relaxed) >= LEFT_BEHIND_MAX {
            let what = format!("{LEFT_BEHIND_MAX} earlier conversations still hang");
            return Err(Failure::new(Step::Connect, Cause::Network(what)));
        }
        let deadline = Instant::now() + self.settings.timeout;
        let settings = self.settings.clone();
        let (sender, receiver) = channel();
        let running = Running::one_more(&self.running);
        let conversation = move || {
            let steps = sender.clone();
            let mut tell = move |step, words: &str| {
                // Whoever asked may have gone.
                let _ = steps.send(Heard::Step(step, words.to_owned()));
            };
            let ended = send(&settings, &envelope, deadline, &mut tell);
            let _ = sender.send(Heard::End(ended));
            drop(running);
        };
        let spawned = thread::Builder::new().name("smtp".to_owned()).spawn(conversation);
        if let Err(error) = spawned {
            return Err(Failure::new(Step::Connect, Cause::Network(error.to_string())));
        }
        listen(&receiver, deadline + GRACE, heard)
    }

    fn envelope(&self, parcel: &Parcel) -> Result<Envelope, Failure> {
        let from: Result<Mailbox, _> = self.settings.from.parse();
        let from = from.map_err(|_| Failure::setup("the sender is not a mail address"))?;
        let to: Result<Address, _> = parcel.address.parse();
        let to = to.map_err(|_| Failure::setup("the recipient is not a mail address"))?;
        Ok(Envelope {
            from: from.email,
            to,
            body: parcel.body.clone(),
        })
    }
}

/// Hears a conversation to its end. What was taken is taken, even when the server does not answer to the leave.
fn listen(
    conversation: &mpsc::Receiver<Heard>,
    until: Instant,
    heard: &mut dyn FnMut(Step, &str),
) -> Result<String, Failure> {
    let mut last = Step::Setup;
    let mut taken = None;
    loop {
        let wait = match taken {
            None => until.saturating_duration_since(Instant::now()),
            Some(_) => LEAVE + GRACE,
        };
        let cause = match conversation.recv_timeout(wait) {
            Ok(Heard::Step(step, words)) => {
                heard(step, &words);
                last = step;
                taken = (step == Step::Body).then_some(words);
                continue;
            }
            Ok(Heard::End(ended)) => return ended,
            Err(RecvTimeoutError::Timeout) => Cause::TimeIsUp,
            Err(RecvTimeoutError::Disconnected) => Cause::Network("the conversation broke off".to_owned()),
        };
        return taken.ok_or(Failure::new(after(last), cause));
    }
}

/// The step that hangs when this one was the last to be heard of.
fn after(step: Step) -> Step {
    match step {
        Step::Setup => Step::Resolve,
        Step::Resolve => Step::Connect,
        Step::Connect => Step::StartTls,
        Step::StartTls => Step::Auth,
        Step::Auth => Step::Mail,
        Step::Mail => Step::Rcpt,
        Step::Rcpt => Step::Data,
        Step::Data | Step::Body => Step::Body,
    }
}

impl Receiver for SmtpReceiver {
    fn deliver(&mut self, parcel: &Parcel) -> Answer {
        match self.send(parcel, &mut |_, _| ()) {
            Ok(said) => Answer::Taken(said),
            Err(failure) => failure.answer(),
        }
    }
}
