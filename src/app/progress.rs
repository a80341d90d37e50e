//! A progress bar on standard error, where that is a terminal.
//!
//! In: how much there is to do, and in what unit. Out: a bar; hidden where nobody could look at it. Invariant: nothing
//! of it remains on the screen, and nothing of it ever goes to standard output.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Pictures a second, and the pause after which one that stands still shows that it is alive.
const FRAMES_HZ: u8 = 8;
const TICK: Duration = Duration::from_millis(250);

/// A bar over `total` things with this name.
pub(super) fn bar(total: u64, what: &str) -> ProgressBar {
    styled(total, &format!("{{bar:40}} {{pos}}/{{len}} {what} eta {{eta}}"))
}

/// A bar over `total` bytes.
pub(super) fn bytes_bar(total: u64) -> ProgressBar {
    styled(total, "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}")
}

fn styled(total: u64, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(FRAMES_HZ));
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}
