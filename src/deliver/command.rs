//! A program that is started with the alert on its standard input.
//!
//! In: a parcel. Out: an [`Answer`] by the exit status. Invariants: no shell, so that nothing from a log is ever a
//! command; a time limit, after which the whole process group is ended; output is read to its end and kept to
//! [`OUTPUT_BYTES_MAX`], so that a talkative program neither hangs nor fills the memory.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver as Signal, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal as Kill, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::{Answer, Parcel, Receiver};
use crate::config::CommandSettings;
use crate::report::printable;

/// Bytes of output and of errors that are kept, each.
const OUTPUT_BYTES_MAX: usize = 4_096;
/// Characters of them that are told.
const WORDS_MAX: usize = 200;
/// How long to wait for the end of the output of a program that is over: a child of its own may keep it open.
const OUTPUT_WAIT: Duration = Duration::from_millis(500);

/// Starts one program per parcel.
#[derive(Debug)]
pub struct CommandReceiver {
    settings: CommandSettings,
}

impl CommandReceiver {
    /// A receiver for these settings.
    #[must_use]
    pub fn new(settings: CommandSettings) -> Self {
        Self { settings }
    }

    fn run(&self, input: &[u8]) -> Result<Answer, Answer> {
        let Some((program, arguments)) = self.settings.argv.split_first() else {
            return Err(Answer::Misconfigured("the command is empty".to_owned()));
        };
        let deadline = Instant::now() + self.settings.timeout;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|it| Answer::Misconfigured(format!("failed to start `{}`: {it}", printable(program))))?;
        let later = |it: io::Error| Answer::Later(format!("`{}`: {it}", printable(program)));
        feed(&mut child, input.to_vec());
        let output = Output::of(&mut child);
        let ended = watch_end(&child).map_err(later)?;
        let is_over = ended
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .is_ok();
        if !is_over {
            end_group(&child);
        }
        // It is over, or was just killed: this does not wait for long.
        let status = child.wait().map_err(later)?;
        let words = output.words();
        if is_over {
            Ok(of_status(status, &words))
        } else {
            let limit = self.settings.timeout.as_secs_f64();
            Ok(Answer::Later(
                format!("ended after its time limit of {limit} s {words}")
                    .trim_end()
                    .to_owned(),
            ))
        }
    }
}

impl Receiver for CommandReceiver {
    fn deliver(&mut self, parcel: &Parcel) -> Answer {
        self.run(&parcel.body).unwrap_or_else(|it| it)
    }
}

/// As Postfix treats the programs that it delivers to (pipe(8), sysexits.h): 75 and a signal mean later, 78, 126 and
/// 127 that it cannot work as it is set up, anything else but 0 that it does not want this message.
fn of_status(status: ExitStatus, words: &str) -> Answer {
    const TEMPORARY: i32 = 75;
    const CONFIGURATION: i32 = 78;
    let text = format!("{status} {words}").trim_end().to_owned();
    match status.code() {
        Some(0) => Answer::Taken(text),
        None | Some(TEMPORARY) => Answer::Later(text),
        Some(CONFIGURATION | 126 | 127) => Answer::Misconfigured(text),
        Some(_) => Answer::Refused(text),
    }
}

/// Writes the input from a thread of its own: a program that does not read must not hang its starter.
fn feed(child: &mut Child, input: Vec<u8>) {
    if let Some(mut stdin) = child.stdin.take() {
        thread::spawn(move || {
            // A program may end without reading; that is its choice.
            let _ = stdin.write_all(&input);
        });
    }
}

/// A signal at the end of the child, which stays to be waited for: its number cannot be somebody else's yet.
fn watch_end(child: &Child) -> io::Result<Signal<()>> {
    let pid = Pid::from_child(child);
    let (sender, receiver) = channel();
    let wait = move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
        // Nobody may be waiting any more.
        let _ = sender.send(());
    };
    thread::Builder::new().name("command".to_owned()).spawn(wait)?;
    Ok(receiver)
}

fn end_group(child: &Child) {
    // It may be over by now.
    let _ = kill_process_group(Pid::from_child(child), Kill::KILL);
}

/// What a program says, bounded.
struct Output {
    parts: Vec<Part>,
}

/// One of its two voices: the bytes that are kept, and a signal at its end.
struct Part {
    kept: Arc<Mutex<Vec<u8>>>,
    end: Signal<()>,
}

impl Output {
    fn of(child: &mut Child) -> Self {
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        Self {
            parts: stdout.into_iter().chain(stderr).collect(),
        }
    }

    /// What was said until now, on one short line.
    fn words(&self) -> String {
        let deadline = Instant::now() + OUTPUT_WAIT;
        let mut words = Vec::new();
        for Part { kept, end } in &self.parts {
            // Either way the bytes that came are there.
            let _ = end.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let bytes = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let text = String::from_utf8_lossy(&bytes);
            words.extend(text.split_whitespace().map(str::to_owned));
        }
        let line = words.join(" ");
        let shown: String = printable(&line).chars().take(WORDS_MAX).collect();
        if shown.is_empty() {
            shown
        } else {
            format!("({shown})")
        }
    }
}

fn collect(mut from: impl Read + Send + 'static) -> Part {
    let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
    let (sender, receiver) = channel();
    let into = Arc::clone(&kept);
    thread::spawn(move || {
        let mut buffer = [0; 4_096];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            let mut kept = into.lock().unwrap_or_else(PoisonError::into_inner);
            let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len()).min(n);
            kept.extend(buffer.iter().take(room));
        }
        // Nobody may be waiting any more.
        let _ = sender.send(());
    });
    Part { kept, end: receiver }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(script: &str, timeout: Duration) -> Answer {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        CommandReceiver::new(CommandSettings { argv, timeout }).deliver(&Parcel {
            receiver: "command",
            address: "sh".to_owned(),
            name: "a.0".to_owned(),
            body: b"{\"run\": \"a\"}\n".repeat(20_000),
        })
    }

    fn quickly(script: &str) -> Answer {
        answer(script, Duration::from_secs(20))
    }

    #[test]
    fn the_exit_status_is_the_answer() {
        assert_eq!(
            quickly("wc -c; echo done >&2"),
            Answer::Taken("exit status: 0 (260000 done)".to_owned())
        );
        assert!(matches!(quickly("exit 75"), Answer::Later(_)));
        assert!(matches!(quickly("kill -9 $$"), Answer::Later(_)));
        assert!(matches!(quickly("exit 78"), Answer::Misconfigured(_)));
        assert!(matches!(
            quickly("no-such-program-here"),
            Answer::Misconfigured(_)
        ));
        assert_eq!(
            quickly("echo not today >&2; exit 3"),
            Answer::Refused("exit status: 3 (not today)".to_owned())
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_said() {
        let argv = vec!["/nowhere/stop-run".to_owned()];
        let timeout = Duration::from_secs(5);
        let mut receiver = CommandReceiver::new(CommandSettings { argv, timeout });
        let answer = receiver.run(b"").unwrap_err();
        assert!(
            matches!(&answer, Answer::Misconfigured(it) if it.contains("/nowhere/stop-run")),
            "{answer:?}"
        );
        receiver.settings.argv.clear();
        assert!(matches!(receiver.run(b""), Err(Answer::Misconfigured(_))));
    }

    #[test]
    fn a_program_that_does_not_end_is_ended_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", pid.display());
        let begun = Instant::now();
        let answer = answer(&script, Duration::from_secs(1));
        assert!(
            matches!(&answer, Answer::Later(it) if it.contains("time limit of 1 s")),
            "{answer:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(10));
        let child = std::fs::read_to_string(&pid).unwrap();
        let stat = format!("/proc/{}/stat", child.trim());
        // Killed is not gone at once.
        while is_running(&stat) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{stat} is still there");
            thread::yield_now();
        }
    }

    /// Whether there is such a process, and not only its entry in a table.
    fn is_running(stat: &str) -> bool {
        let state = std::fs::read_to_string(stat).unwrap_or_default();
        let after_name = state.rsplit(')').next().unwrap_or_default();
        !after_name.is_empty() && !after_name.trim_start().starts_with('Z')
    }

    #[test]
    fn a_child_that_is_left_on_purpose_does_not_hold_the_answer() {
        let begun = Instant::now();
        let answer = quickly("sleep 5 & echo checkpointing");
        assert!(
            matches!(&answer, Answer::Taken(it) if it.contains("checkpointing")),
            "{answer:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(4));
    }

    #[test]
    fn a_talkative_program_is_cut_not_hung() {
        let answer = quickly("yes nonsense | head -c 3000000");
        assert!(
            matches!(&answer, Answer::Taken(it) if it.len() < 300),
            "{answer:?}"
        );
    }
}
