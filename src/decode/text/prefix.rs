//! What loggers, launchers and clusters put before the message of a line.
//!
//! In: a line. Out: the message and the wall time of the prefix, if it has a full date. Invariant: brackets
//! that hold the step (`[step=2/2500,epoch=0]`, `[10]`, `[batch=3/9]`) are part of the message.
//!
//! Times without a zone are read as UTC: only differences between them are used. glog and absl prefixes
//! (`I1123 18:34:55.8 7 file.py:48]`) have no year and so give no time.

use super::token::integer;

/// A line without its prefix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Message<'a> {
    /// The message, blanks before it removed.
    pub text: &'a str,
    /// Unix seconds.
    pub wall_time: Option<f64>,
    /// The rank that wrote the line.
    pub rank: Option<u32>,
    /// Whether the line began with a blank and had no prefix.
    pub is_indented: bool,
}

/// Farthest end of a glog prefix.
const GLOG_BYTES_MAX: usize = 100;

/// Longest name of a logger.
const NAME_BYTES_MAX: usize = 64;

/// Most words up to the level word: host, logger, module.
const N_TOKENS_MAX: usize = 9;

/// Most pieces of a prefix.
const N_PIECES_MAX: usize = 8;

/// Words at the start of a bracket that make it part of the message.
const STEP_WORDS: [&str; 11] = [
    "step", "iter", "epoch", "batch", "train", "metric", "global", "it ", "val", "eval", "test",
];

/// Takes the prefix off a line.
pub(super) fn strip(line: &str) -> Message<'_> {
    let is_indented = line.starts_with([' ', '\t']);
    let mut text = line.trim();
    let (mut wall_time, mut rank) = (None, None);
    let (mut has_prefix, mut has_level) = (false, false);
    for _ in 0..N_PIECES_MAX {
        let (rest, time) = if let Some(piece) = strip_piece(text, has_prefix) {
            // A letter before a date is glog's level.
            has_level |= text.starts_with(|c: char| c.is_ascii_uppercase() && c != 'R');
            piece
        } else if !has_level && let Some(rest) = strip_level(text, has_prefix) {
            has_level = true;
            (rest, None)
        } else {
            break;
        };
        has_prefix = true;
        wall_time = wall_time.or(time);
        rank = rank.or_else(|| rank_of(text.get(..text.len().saturating_sub(rest.len()))?));
        text = rest.trim_start();
    }
    Message {
        text,
        wall_time,
        rank,
        is_indented: is_indented && !has_prefix,
    }
}

/// Takes one piece off; `is_inside` is true behind a piece, where separators and logger names may stand.
fn strip_piece(text: &str, is_inside: bool) -> Option<(&str, Option<f64>)> {
    let first = *text.as_bytes().first()?;
    let by_its_own_shape = match first {
        b'[' | b'(' => bracket(text),
        b'I' | b'W' | b'E' | b'F' => glog(text).map(|rest| (rest, None)),
        b'r' | b'R' => rank_word(text).map(|rest| (rest, None)),
        _ => None,
    };
    if by_its_own_shape.is_some() {
        return by_its_own_shape;
    }
    match first {
        b'0'..=b'9' => {
            if let Some((time, used)) = timestamp(text.as_bytes()) {
                return Some((behind(text, used), Some(time)));
            }
            short_date(text)
                .or_else(|| clock(text))
                .or_else(|| rank_label(text))
                .map(|rest| (rest, None))
        }
        b'-' | b'|' | b':' if is_inside => {
            Some((text.get(1..)?, None)).filter(|(t, _)| !t.starts_with(|c: char| c.is_ascii_digit()))
        }
        _ => None,
    }
}

/// Takes off what leads to the level. Without a date before it only a line that begins with the level has one.
fn strip_level(text: &str, is_inside: bool) -> Option<&str> {
    match text.as_bytes().first()? {
        b'0'..=b'9' => None,
        b'-' | b'|' | b':' if is_inside => None,
        _ if is_inside => level(text, N_TOKENS_MAX),
        b'I' | b'W' | b'D' | b'E' | b'C' | b'i' | b'T' => level(text, 1),
        _ => None,
    }
}

/// `10/08 12:11:10`: a date without a year gives no time.
fn short_date(text: &str) -> Option<&str> {
    let at = |i: usize| text.as_bytes().get(i).copied();
    let is_date = at(2) == Some(b'/') && at(5) == Some(b' ') && at(8) == Some(b':') && at(11) == Some(b':');
    is_date.then(|| text.get(14..)).flatten()
}

/// `12:11:10 `, `12:11:10.512 - `: a clock without a date gives no time.
fn clock(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        bytes
            .get(from..from + 2)
            .is_some_and(|it| it.iter().all(u8::is_ascii_digit))
    };
    let colon = |at: usize| bytes.get(at) == Some(&b':');
    if !(digits(0) && colon(2) && digits(3) && colon(5) && digits(6)) {
        return None;
    }
    let rest = text.get(8..)?;
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ','));
    rest.starts_with([' ', '\t']).then(|| rest.trim_start())
}

fn behind(text: &str, used: usize) -> &str {
    let rest = text.get(used..).unwrap_or_default();
    rest.trim_start_matches([' ', '\t'])
}

/// `[2021-06-10 20:47:51,885]`, `[default7]:`, `[INFO]`, `[logging.py:60:log_dist]`, `(Worker pid=1)`.
fn bracket(text: &str) -> Option<(&str, Option<f64>)> {
    let close = if text.starts_with('[') { b']' } else { b')' };
    let end = memchr::memchr(close, text.as_bytes())?;
    let inner = text.get(1..end)?.trim();
    let rest = text.get(end + 1..)?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    if let Some((time, _)) = timestamp(inner.as_bytes()) {
        return Some((rest, Some(time)));
    }
    // `[06/05 20:09:41 d2.utils.events]`: no year.
    let is_short_date = inner.as_bytes().get(2) == Some(&b'/') && inner.contains(':');
    let is_worker = close == b')' && inner.contains("pid=");
    let is_mpi = close == b']' && rest.starts_with("<std");
    if is_short_date || is_worker {
        return Some((rest, None));
    }
    if is_mpi {
        return Some((rest.split_once(">:").or(rest.split_once('>'))?.1, None));
    }
    let starts_as_name = inner.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_name = close == b']' && starts_as_name && memchr::memchr(b'=', inner.as_bytes()).is_none();
    let has_step_word = || STEP_WORDS.iter().any(|w| starts_with_word(inner, w));
    let is_step = || has_step_word() && !inner.contains("_inner") && !inner.contains(".py");
    (is_name && !is_step()).then_some((rest, None))
}

fn starts_with_word(text: &str, word: &str) -> bool {
    text.get(..word.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(word))
}

/// `srun --label` writes `3: `; a bare step before a colon looks the same, so a blank must follow and a
/// message that has its own words.
fn rank_label(text: &str) -> Option<&str> {
    let (_, used) = integer(text.as_bytes())?;
    let rest = text.get(used..)?.strip_prefix(": ")?;
    (used <= 4
        && rest
            .trim_start()
            .starts_with(|c: char| c.is_ascii_alphabetic() || c == '['))
    .then_some(rest)
    .filter(|rest| !rest.contains(['=', ':', '|']) || starts_with_record(rest))
}

/// Whether the text behind a label is a record of its own.
fn starts_with_record(rest: &str) -> bool {
    let rest = rest.trim_start();
    rest.starts_with('[')
        || ["step", "iter", "epoch", "training"]
            .iter()
            .any(|w| starts_with_word(rest, w))
}

/// The rank that a piece of a prefix names: `[rank0]:`, `[Rank 3]`, `[default7]:` (torchrun's local rank), `rank1: `,
/// `3: ` (`srun --label`), `[1,3]<stdout>:` (Open MPI: job and rank).
fn rank_of(piece: &str) -> Option<u32> {
    let piece = piece.trim();
    if piece.as_bytes().first()?.is_ascii_digit() {
        return piece.strip_suffix(':')?.parse().ok();
    }
    let inner = piece.strip_prefix('[').unwrap_or(piece);
    let digits = match inner.as_bytes().first()? {
        b'0'..=b'9' => inner.split_once(',').filter(|_| piece.contains("]<std"))?.1,
        _ => ["rank", "default"]
            .iter()
            .find_map(|word| inner.get(word.len()..).filter(|_| starts_with_word(inner, word)))?
            .trim_start_matches([' ', '_', '-', '=']),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

/// `rank0: `, `Rank 3: `.
fn rank_word(text: &str) -> Option<&str> {
    if !starts_with_word(text, "rank") {
        return None;
    }
    let rest = text.get(4..)?.trim_start_matches([' ', '_', '-']);
    let (_, used) = integer(rest.as_bytes())?;
    let rest = rest.get(used..)?;
    rest.strip_prefix(':').or_else(|| rest.strip_prefix(" |"))
}

/// `I1123 18:34:55.846173 140585252273024 logging_writer.py:48] `.
fn glog(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let is_glog = bytes.get(1..5)?.iter().all(u8::is_ascii_digit) && bytes.get(5) == Some(&b' ');
    if !is_glog {
        return None;
    }
    let end = text
        .get(..text.len().min(GLOG_BYTES_MAX))
        .unwrap_or(text)
        .find("] ")?;
    text.get(end + 2..)
}

/// The message behind the level word of a logger: `trainer - INFO - `, `| INFO | name | `, `INFO:root:`. The
/// level is one of the first `n_tokens` words.
fn level(text: &str, n_tokens: usize) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut at = 0;
    for _ in 0..n_tokens {
        let start = at + bytes.get(at..)?.iter().position(|b| !is_token_end(*b))?;
        let rest = bytes.get(start..)?;
        let len = rest
            .iter()
            .position(|b| is_token_end(*b) || *b == b'=')
            .unwrap_or(rest.len());
        let token = rest.get(..len).filter(|_| rest.get(len) != Some(&b'='))?;
        at = start + len;
        match token {
            b"step" | b"iter" | b"iteration" | b"epoch" | b"loss" => return None,
            b"INFO" | b"WARNING" | b"DEBUG" | b"ERROR" | b"CRITICAL" | b"WARN" | b"info" | b"Info"
            | b"TRACE" => {
                let rest = text.get(at..)?;
                return Some(logger_name(rest.trim_start_matches([']', ')', ' ', '\t'])));
            }
            _ => {}
        }
    }
    None
}

/// Bytes that end a token; most bytes of a log pass here.
const TOKEN_ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let mut at = 0;
    while at < 9 {
        ends[b" \t:[]()|,"[at] as usize] = true;
        at += 1;
    }
    ends
};

fn is_token_end(byte: u8) -> bool {
    TOKEN_ENDS.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Takes off what stands between level and message: `- `, `: `, `:root:`, `| module:line - `.
fn logger_name(text: &str) -> &str {
    let separator = text.starts_with(['-', '|', ':', '>']);
    let rest = if separator {
        text.get(1..).unwrap_or_default()
    } else {
        text
    };
    if let Some(name) = rest.strip_prefix(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.starts_with(':')
        && let Some((name, message)) = name.split_once(':')
        && !name.contains([' ', '='])
    {
        return message;
    }
    let rest = rest.trim_start();
    if !separator {
        return rest;
    }
    let head = rest.as_bytes().get(..NAME_BYTES_MAX).unwrap_or(rest.as_bytes());
    let at = head.windows(3).position(|w| w == b" - " || w == b" | ");
    match at.and_then(|at| Some((rest.get(..at)?, rest.get(at + 3..)?))) {
        Some((name, message)) if is_name(name) => message,
        _ => rest,
    }
}

/// A logger or module name, never a key with a value. (`train_inner`, `__main__:train:45`)
fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '/' | '[' | ']');
    text.trim().chars().all(is_part)
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '['))
}

/// Unix seconds of a date with time at the start of `bytes` and its length: `2026-11-23 18:28:57.702956`,
/// `2026-11-23T18:28:57Z`, `2023/06/05 20:09:41`, `2025-09-28 20:44:33,525`.
pub(super) fn timestamp(bytes: &[u8]) -> Option<(f64, usize)> {
    let separator = bytes.get(4).filter(|b| matches!(**b, b'-' | b'/'))?;
    if bytes.get(7) != Some(separator) || !matches!(bytes.get(10)?, b' ' | b'T' | b'_') {
        return None;
    }
    if bytes.get(13) != Some(&b':') || bytes.get(16) != Some(&b':') {
        return None;
    }
    let (year, month, day) = (digits(bytes, 0, 4)?, digits(bytes, 5, 2)?, digits(bytes, 8, 2)?);
    let (hour, minute, second) = (
        digits(bytes, 11, 2)?,
        digits(bytes, 14, 2)?,
        digits(bytes, 17, 2)?,
    );
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, fraction_bytes) = fraction(bytes.get(19..)?);
    let used = 19 + fraction_bytes;
    let used = used + usize::from(bytes.get(used) == Some(&b'Z'));
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some((seconds as f64 + fraction, used))
}

fn digits(bytes: &[u8], at: usize, len: usize) -> Option<i64> {
    bytes.get(at..at + len)?.iter().try_fold(0, |sum, b| {
        b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0'))
    })
}

fn fraction(bytes: &[u8]) -> (f64, usize) {
    if !matches!(bytes.first(), Some(b'.' | b',')) {
        return (0.0, 0);
    }
    let n_digits = bytes.iter().skip(1).take_while(|b| b.is_ascii_digit()).count();
    let digits = n_digits.min(9);
    let value = self::digits(bytes, 1, digits).unwrap_or(0);
    (value as f64 / 10_f64.powi(digits as i32), 1 + n_digits)
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (H. Hinnant, `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn prefixes_of_loggers_and_launchers_go_away() {
        for line in [
            "step=0 loss=1",
            " step=0 loss=1",
            "2026-11-23 18:29:35,294 - trainer - INFO - step=0 loss=1",
            "[2026-11-23 18:28:57.702956] step=0 loss=1",
            "[default7]: step=0 loss=1",
            "[rank0]:[titan] 2024-05-03 13:15:05,123 - root - INFO - step=0 loss=1",
            "[2021-06-10 20:47:51,885] [INFO] [logging.py:60:log_dist] [Rank 0] step=0 loss=1",
            "I1123 18:34:55.846173 140585252273024 logging_writer.py:48] step=0 loss=1",
            "12:00:01 step=0 loss=1",
            "12:00:01.512 - INFO - step=0 loss=1",
            "INFO:root:step=0 loss=1",
            "INFO:tensorflow:step=0 loss=1",
            "2024-01-01 10:00:00.123 | INFO     | __main__:train:45 - step=0 loss=1",
            "2022-04-08 18:48:05 | INFO | train_inner | step=0 loss=1",
            "[2022-04-08 18:48:05,372][train_inner][INFO] - step=0 loss=1",
            "2023/06/05 20:09:41 - mmengine - INFO - step=0 loss=1",
            "[06/05 20:09:41 d2.utils.events]: step=0 loss=1",
            "0: step=0 loss=1",
            "[1,0]<stdout>: step=0 loss=1",
            "rank0: step=0 loss=1",
            "(RayTrainWorker pid=123, ip=10.0.0.1) step=0 loss=1",
        ] {
            assert_eq!(strip(line).text, "step=0 loss=1", "{line}");
        }
    }

    #[test]
    fn the_rank_that_a_prefix_names_is_told() {
        for (line, rank) in [
            (
                "[rank3]:[titan] 2024-05-03 13:15:05,123 - root - INFO - step=0 loss=1",
                Some(3),
            ),
            ("[default7]: step=0 loss=1", Some(7)),
            (
                "[2021-06-10 20:47:51,885] [INFO] [logging.py:60:log_dist] [Rank 2] step=0 loss=1",
                Some(2),
            ),
            ("12: step=0 loss=1", Some(12)),
            ("[1,5]<stdout>: step=0 loss=1", Some(5)),
            ("Rank 4: step=0 loss=1", Some(4)),
            ("[rank1] [rank2] step=0 loss=1", Some(1)),
            ("12:00:01 step=0 loss=1", None),
            ("[2021-06-10 20:47:51,885] [INFO] step=0 loss=1", None),
            ("[ranking] step=0 loss=1", None),
            ("[rank99999999999] step=0 loss=1", None),
            ("step=0 loss=1", None),
        ] {
            assert_eq!(strip(line).rank, rank, "{line}");
        }
    }

    #[test]
    fn brackets_with_a_step_stay() {
        for line in [
            "[step=2/2500,epoch=0]",
            "[batch=3/9]:",
            "[10] loss=1",
            "[step 00000] loss: 1",
            "[Epoch 3] loss: 1",
            "(a) b",
        ] {
            assert_eq!(strip(line).text, line);
        }
        let olmo = "2025-12-27 22:12:56.867\thost-03:0\tolmo.train:990\tINFO\t[step=10/10000,epoch=0]";
        assert_eq!(strip(olmo).text, "[step=10/10000,epoch=0]");
    }

    #[test]
    fn the_wall_time_is_that_of_the_calendar() {
        let time = |line| strip(line).wall_time;
        assert_eq!(time("[1970-01-01 00:00:01.5] x"), Some(1.5));
        assert_eq!(time("2026-11-23T18:28:57Z x"), Some(1_795_458_537.0));
        assert_eq!(time("2024-02-29 00:00:00,250 - x"), Some(1_709_164_800.25));
        assert_eq!(time("2024-13-01 00:00:00 x"), None);
        assert_eq!(time("I1123 18:34:55.846173 1402 file.py:48] x"), None);
        assert!(!strip("  [default7]: x").is_indented);
        assert!(strip("  x").is_indented);
    }
}
