//! Many bulletins in one message.
//!
//! In: a digest. Out: a [`Message`]. Invariant: every run that was held is named or counted.

use super::{
    AlarmWords, LINE_CHARS_MAX, Message, NAME_CHARS_MAX, Place, Tone, clean, consequences, headline, moment,
    run_label, tone,
};
use crate::alert::{Bulletin, Digest, Gathered};

/// Runs that are listed.
const RUNS_MAX: usize = 30;

/// The message of a digest.
pub(in crate::deliver) fn digest_message(digest: &Digest, place: &Place) -> Message {
    let host = &place.host;
    let tones = digest.bulletins.iter().map(tone);
    let worst = tones.max().unwrap_or(Tone::Warning);
    let n = digest.bulletins.len();
    let runs = if n == 1 {
        "1 run".to_owned()
    } else {
        format!("{n} runs")
    };
    // The worst first; among equals the oldest.
    let mut order: Vec<&Bulletin> = digest.bulletins.iter().collect();
    order.sort_by_key(|it| std::cmp::Reverse(tone(it)));
    Message {
        subject: format!("[gradwatch] [{}] {runs} with news", worst.word()),
        tone: worst,
        headline: format!("{}: news of {runs}", worst.word()),
        occasion: why(digest.gathered).to_owned(),
        facts: counts(digest, host),
        alarms: order.iter().take(RUNS_MAX).map(|it| entry(it)).collect(),
        consequences: left(n),
        commands: vec![(
            "All that stands",
            format!("gradwatch status{}", place.state_flag()),
        )],
        footer: format!("gradwatch on {host} watches these runs and only reads their logs."),
    }
}

fn why(gathered: Gathered) -> &'static str {
    match gathered {
        Gathered::Capped => {
            "One message for each would have been more than the limit on messages per hour; this is the latest of \
             each run."
        }
        Gathered::StateLost => {
            "The state of gradwatch was lost, and with it what was told before: some of this may have been told \
             already."
        }
        Gathered::Unreachable => {
            "Messages could not be delivered for a while; this is the latest of each run since then."
        }
    }
}

fn counts(digest: &Digest, host: &str) -> Vec<(&'static str, String)> {
    let count = |wanted: Tone| digest.bulletins.iter().filter(|it| tone(it) == wanted).count();
    vec![
        ("Critical", count(Tone::Critical).to_string()),
        ("Warning", count(Tone::Warning).to_string()),
        ("Resolved", count(Tone::Resolved).to_string()),
        ("Log gone", count(Tone::Gone).to_string()),
        ("Written", format!("{} on {host}", moment(digest.at))),
    ]
}

fn left(n: usize) -> Vec<String> {
    match n.saturating_sub(RUNS_MAX) {
        0 => Vec::new(),
        more => vec![format!("{more} further runs are not listed here")],
    }
}

fn entry(bulletin: &Bulletin) -> AlarmWords {
    let run = clean(&run_label(bulletin), NAME_CHARS_MAX);
    let first = bulletin.roots.first().map(|it| &it.finding);
    let title = first.map_or_else(|| "alarm".to_owned(), headline);
    let mut facts = vec![("Found", moment(bulletin.at))];
    let others = bulletin.roots.len().saturating_sub(1);
    if others > 0 {
        facts.push(("Beside it", format!("{others} more alarms")));
    }
    let n_consequences = consequences(bulletin).len();
    if n_consequences > 0 {
        facts.push(("Leads to", format!("{} more", bulletin.consequences.len())));
    }
    let tone = tone(bulletin);
    let remedy = first
        .and_then(|it| it.remedy.first())
        .filter(|_| tone > Tone::Resolved);
    facts.extend(remedy.map(|it| ("Try first", clean(it, LINE_CHARS_MAX))));
    AlarmWords {
        tone,
        title: format!("{run}: {title}"),
        sentence: first
            .map(|it| clean(&it.message, LINE_CHARS_MAX))
            .unwrap_or_default(),
        facts,
        diagnosis: String::new(),
        remedies: Vec::new(),
    }
}
