//! The text of a configuration file to settings.
//!
//! In: a TOML text. Out: [`Settings`], or every problem with its place and, where a word is nearly a known one, what was
//! probably meant. Invariants: paths are relative to the directory of the file; no value of a key that could hold a
//! secret is ever shown.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::mail::read_mail;
use super::settings::{
    AlertSettings, AlertmanagerSettings, CommandSettings, ListenSettings, SecretSource, Settings,
    WatchSettings, WebhookSettings,
};
use super::units::{SIZE_ADVICE, TIME_ADVICE, bytes, duration};
use crate::model::Severity;
use crate::rules::{
    Node, Problems, RuleProblem, Source, Span, Table, Value, advice, flag, integer, parse_toml, text, texts,
    word, wrong_type,
};

/// Largest configuration file, in bytes.
const FILE_BYTES_MAX: usize = 1 << 20;

const SECTIONS: &[&str] = &[
    "watch",
    "alerts",
    "mail",
    "alertmanager",
    "webhook",
    "command",
    "listen",
];

/// Reads a configuration. `host` is the name of this machine, for the sender of mails that none is given for.
///
/// # Errors
/// Every problem, in the order of the text.
pub fn read(source: &Source, host: &str) -> Result<Settings, Vec<RuleProblem>> {
    let mut problems = Problems::new(source);
    let mut settings = Settings::default();
    if source.text.len() > FILE_BYTES_MAX {
        problems.add(
            &(0..0),
            format!("larger than {FILE_BYTES_MAX} bytes: not a configuration"),
        );
        return Err(problems.into_sorted());
    }
    match parse_toml(&source.text) {
        Ok(table) => read_sections(&table, source, host, &mut settings, &mut problems),
        Err(errors) => {
            for error in errors {
                problems.add(&error.span, format!("not TOML: {}", error.message));
            }
        }
    }
    if problems.len() == 0 {
        Ok(settings)
    } else {
        Err(problems.into_sorted())
    }
}

fn read_sections(
    table: &Table,
    source: &Source,
    host: &str,
    settings: &mut Settings,
    problems: &mut Problems<'_>,
) {
    let dir = Path::new(&source.name)
        .parent()
        .map_or_else(PathBuf::new, Path::to_owned);
    for entry in &table.entries {
        let Value::Table(inner) = &entry.node.value else {
            if SECTIONS.contains(&entry.key.as_str()) {
                let _: Option<()> = wrong_type(
                    &entry.key,
                    "a table",
                    &entry.node.value,
                    &entry.node.span,
                    problems,
                );
            } else {
                unknown(&entry.key, &entry.key_span, SECTIONS, problems);
            }
            continue;
        };
        let mut section = Section {
            name: &entry.key,
            table: inner,
            span: &entry.key_span,
            dir: &dir,
            problems,
        };
        match entry.key.as_str() {
            "watch" => settings.watch = read_watch(&mut section),
            "alerts" => settings.alerts = read_alerts(&mut section),
            "mail" => settings.mail = read_mail(&mut section, host),
            "alertmanager" => settings.alertmanager = read_alertmanager(&mut section),
            "webhook" => settings.webhook = read_webhook(&mut section),
            "command" => settings.command = read_command(&mut section),
            "listen" => settings.listen = read_listen(&mut section),
            other => unknown(other, &entry.key_span, SECTIONS, problems),
        }
    }
}

fn unknown(key: &str, span: &Span, known: &[&str], problems: &mut Problems<'_>) {
    problems.add_hinted(span, format!("unknown key `{key}`"), advice(key, known));
}

/// One table of the file.
pub(super) struct Section<'s, 'p> {
    pub(super) name: &'s str,
    pub(super) table: &'s Table,
    /// Its key, for what is missing in it.
    pub(super) span: &'s Span,
    dir: &'s Path,
    pub(super) problems: &'s mut Problems<'p>,
}

impl Section<'_, '_> {
    /// Notes keys that mean nothing here.
    pub(super) fn knows(&mut self, keys: &[&str]) {
        for entry in self
            .table
            .entries
            .iter()
            .filter(|it| !keys.contains(&it.key.as_str()))
        {
            unknown(&entry.key, &entry.key_span, keys, self.problems);
        }
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        text(key, self.table.get(key)?, self.problems)
    }

    pub(super) fn texts(&mut self, key: &str) -> Option<Vec<(String, Span)>> {
        texts(key, self.table.get(key)?, self.problems)
    }

    /// A text that has to be there.
    pub(super) fn needed_text(&mut self, key: &str) -> Option<String> {
        if self.table.get(key).is_none() {
            self.lacks(key);
        }
        self.text(key)
    }

    fn lacks(&mut self, key: &str) {
        let what = format!("`[{}]` lacks `{key}`", self.name);
        self.problems.add(self.span, what);
    }

    fn paths(&mut self, key: &str) -> Option<Vec<PathBuf>> {
        let found = self.texts(key)?;
        Some(found.into_iter().map(|(it, _)| self.dir.join(it)).collect())
    }

    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.text(key).map(|it| self.dir.join(it))
    }

    pub(super) fn time(&mut self, key: &str) -> Option<Duration> {
        let node = self.table.get(key)?;
        self.time_of(key, node)
    }

    fn time_of(&mut self, key: &str, node: &Node) -> Option<Duration> {
        let Value::Text(written) = &node.value else {
            self.problems.add_hinted(
                &node.span,
                format!("`{key}` must be a time, not {}", node.value.type_name()),
                Some(TIME_ADVICE.to_owned()),
            );
            return None;
        };
        let found = duration(written);
        if found.is_none() {
            self.problems.add_hinted(
                &node.span,
                format!("`{key}`: `{written}` is not a time"),
                Some(TIME_ADVICE.to_owned()),
            );
        }
        found
    }

    /// A time between two bounds, both included.
    pub(super) fn time_within(&mut self, key: &str, least: Duration, most: Duration) -> Option<Duration> {
        let found = self.time(key)?;
        if found < least || found > most {
            let span = self.table.get(key).map_or(0..0, |it| it.span.clone());
            let what = format!("`{key}` must be between {least:?} and {most:?}");
            self.problems.add(&span, what);
            return None;
        }
        Some(found)
    }

    pub(super) fn whole(&mut self, key: &str, least: i64, most: i64) -> Option<i64> {
        let node = self.table.get(key)?;
        let found = integer(key, node, self.problems)?;
        if (least..=most).contains(&found) {
            return Some(found);
        }
        let what = format!("`{key}` must be between {least} and {most}");
        self.problems.add(&node.span, what);
        None
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        flag(key, self.table.get(key)?, self.problems)
    }

    /// A word of a few.
    pub(super) fn word<T: Copy>(&mut self, key: &str, known: &[(&str, T)]) -> Option<T> {
        let node = self.table.get(key)?;
        let written = text(key, node, self.problems)?;
        word(key, &written, &node.span, known, self.problems)
    }

    /// Where a secret is kept: in the file of one key, or under the credential of another.
    pub(super) fn secret(&mut self, file_key: &str, credential_key: &str) -> Option<SecretSource> {
        let file = self.path(file_key).map(SecretSource::File);
        let credential = self.text(credential_key).map(SecretSource::Credential);
        if file.is_some() && credential.is_some() {
            let what = format!("`[{}]` has both `{file_key}` and `{credential_key}`", self.name);
            self.problems.add(self.span, what);
        }
        file.or(credential)
    }

    /// A key under which people write secrets themselves, which are kept in files.
    pub(super) fn refuses(&mut self, key: &str, instead: &str) {
        if let Some(entry) = self.table.entries.iter().find(|it| it.key == key) {
            self.problems.add_hinted(
                &entry.key_span,
                format!("`{key}` must not stand in a configuration"),
                Some(format!(
                    "write it into a file of its own and name that by `{instead}`"
                )),
            );
        }
    }

    fn url(&mut self, key: &str) -> Option<String> {
        let url = self.needed_text(key)?;
        let span = self.table.get(key).map_or(0..0, |it| it.span.clone());
        let rest = url
            .strip_prefix("http://")
            .or_else(|| url.strip_prefix("https://"));
        let host = rest.map(|it| it.split('/').next().unwrap_or_default());
        let problem = match host {
            None | Some("") => "must be an address that begins with `http://` or `https://`",
            // A password in an address would be seen wherever the address is shown.
            Some(host) if host.contains('@') => "must not hold a name or password",
            Some(_) if url.chars().any(|it| it.is_whitespace() || it.is_control()) => "must not hold spaces",
            Some(_) => return Some(url),
        };
        self.problems.add(&span, format!("`{key}` {problem}"));
        None
    }
}

fn read_watch(section: &mut Section<'_, '_>) -> WatchSettings {
    section.knows(&[
        "paths",
        "rules",
        "baseline",
        "poll",
        "active_within",
        "replay_max",
    ]);
    let default = WatchSettings::default();
    let size = section.text("replay_max");
    let replay_max = size.as_deref().and_then(bytes).filter(|it| *it > 0);
    if let (Some(_), None, Some(node)) = (&size, replay_max, section.table.get("replay_max")) {
        let advice = Some(SIZE_ADVICE.to_owned());
        section
            .problems
            .add_hinted(&node.span, "`replay_max` is not a size", advice);
    }
    WatchSettings {
        paths: section.paths("paths").unwrap_or(default.paths),
        rules: section.paths("rules").unwrap_or(default.rules),
        baseline: section.path("baseline"),
        poll: section
            .time_within("poll", Duration::from_millis(10), HOUR)
            .unwrap_or(default.poll),
        active_within: section.time("active_within").unwrap_or(default.active_within),
        replay_max: replay_max.unwrap_or(default.replay_max),
    }
}

const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

fn read_alerts(section: &mut Section<'_, '_>) -> AlertSettings {
    section.knows(&[
        "group_wait",
        "repeat",
        "mails_per_hour",
        "keep_firing_for",
        "send_resolved",
        "severity",
    ]);
    let default = AlertSettings::default();
    let severities = [("warning", Severity::Warning), ("critical", Severity::Critical)];
    let per_hour = section.whole("mails_per_hour", 1, 100_000);
    AlertSettings {
        group_wait: section
            .time_within("group_wait", Duration::ZERO, HOUR)
            .unwrap_or(default.group_wait),
        repeat: read_repeat(section).unwrap_or(default.repeat),
        mails_per_hour: per_hour
            .and_then(|it| u32::try_from(it).ok())
            .unwrap_or(default.mails_per_hour),
        keep_firing_for: section
            .time_within("keep_firing_for", Duration::ZERO, WEEK)
            .unwrap_or(default.keep_firing_for),
        send_resolved: section.flag("send_resolved").unwrap_or(default.send_resolved),
        severity: section.word("severity", &severities).unwrap_or(default.severity),
    }
}

/// A list of times, each at least a minute; an empty one means never.
fn read_repeat(section: &mut Section<'_, '_>) -> Option<Vec<Duration>> {
    let table = section.table;
    let node = table.get("repeat")?;
    let Value::Array(items) = &node.value else {
        return wrong_type(
            "repeat",
            "a list of times",
            &node.value,
            &node.span,
            section.problems,
        );
    };
    let mut repeat = Vec::new();
    for item in items {
        match section.time_of("repeat", item) {
            Some(time) if time < Duration::from_secs(60) => {
                section.problems.add(&item.span, "`repeat` must be at least `1m`");
            }
            time => repeat.extend(time),
        }
    }
    Some(repeat)
}

fn read_alertmanager(section: &mut Section<'_, '_>) -> Option<AlertmanagerSettings> {
    section.knows(&["url"]);
    let url = section.url("url")?;
    Some(AlertmanagerSettings { url })
}

fn read_webhook(section: &mut Section<'_, '_>) -> Option<WebhookSettings> {
    section.refuses("token", "token_file");
    section.knows(&["url", "token", "token_file", "token_credential"]);
    let token = section.secret("token_file", "token_credential");
    let url = section.url("url")?;
    Some(WebhookSettings { url, token })
}

fn read_command(section: &mut Section<'_, '_>) -> Option<CommandSettings> {
    section.knows(&["argv", "timeout"]);
    let timeout = section
        .time_within("timeout", Duration::from_secs(1), HOUR)
        .unwrap_or(Duration::from_secs(60));
    let Some(argv) = section.texts("argv") else {
        if section.table.get("argv").is_none() {
            section.lacks("argv");
        }
        return None;
    };
    let argv = argv.into_iter().map(|(it, _)| it).collect();
    Some(CommandSettings { argv, timeout })
}

fn read_listen(section: &mut Section<'_, '_>) -> Option<ListenSettings> {
    section.refuses("token", "token_file");
    section.knows(&["address", "token", "token_file", "token_credential"]);
    let token = section.secret("token_file", "token_credential");
    let written = section.needed_text("address")?;
    let address = written.parse::<SocketAddr>();
    let span = section.table.get("address").map_or(0..0, |it| it.span.clone());
    match address {
        Ok(address) if token.is_none() && !address.ip().is_loopback() => {
            section.problems.add_hinted(
                &span,
                "`address` is open to other machines",
                Some("name a token by `token_file`, or write `127.0.0.1`".to_owned()),
            );
            None
        }
        Ok(address) => Some(ListenSettings { address, token }),
        Err(_) => {
            let advice = Some("write `127.0.0.1:9464`".to_owned());
            section
                .problems
                .add_hinted(&span, "`address` is not an address with a port", advice);
            None
        }
    }
}

#[cfg(test)]
mod tests;
