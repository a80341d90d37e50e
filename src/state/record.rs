//! Alarms as they are stored: JSON, with words for everything that is a word.
//!
//! In: the values of the desk. Out: text, and the values again. Invariants: what was written by this version reads back
//! equal (NaN included); what cannot be read is an error, never a guess.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::{Alarm, Bulletin, Case, Fingerprint, Incident, Life, Occasion, Over, Stage, Standing};
use crate::model::{Family, Finding, Quantity, Severity};

/// The names that findings borrow from the program: of checks and of their kinds.
pub type Words<'a> = &'a dyn Fn(&str) -> Option<&'static str>;

/// Why a text is not what was stored.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not JSON, or of another shape.
    #[error("not a record: {0}")]
    Shape(#[from] serde_json::Error),
    /// A word, time or number that is none.
    #[error("`{0}` is not a known word, time or number")]
    Word(String),
}

type Read<T> = Result<T, RecordError>;

#[derive(Serialize, Deserialize)]
struct CaseRecord {
    incident: Option<IncidentRecord>,
    alarms: Vec<LifeRecord>,
}

#[derive(Serialize, Deserialize)]
struct IncidentRecord {
    name: String,
    sequence: u32,
    told_at: String,
    n_repeats: u32,
}

#[derive(Serialize, Deserialize)]
struct LifeRecord {
    fingerprint: String,
    finding: FindingRecord,
    is_consequence: bool,
    since: String,
    stage: String,
    over: Option<String>,
    stage_since: Option<String>,
    told: Option<String>,
    is_settled: bool,
    n_flaps: u32,
}

#[derive(Serialize, Deserialize)]
struct FindingRecord {
    rule: String,
    check: String,
    family: String,
    kind: String,
    severity: String,
    quantity: String,
    tag: Option<String>,
    layers: Vec<String>,
    rank: Option<u32>,
    first_step: Option<i64>,
    last_step: Option<i64>,
    count: u64,
    /// A text, because JSON has no NaN.
    value: Option<String>,
    bound: Option<String>,
    forecast_step: Option<i64>,
    message: String,
    diagnosis: String,
    remedy: Vec<String>,
    caused_by: Option<String>,
    is_superseded: bool,
    has_healed: bool,
}

#[derive(Serialize, Deserialize)]
struct BulletinRecord {
    occasion: String,
    run: String,
    root: String,
    incident: String,
    sequence: u32,
    at: String,
    roots: Vec<AlarmRecord>,
    consequences: Vec<AlarmRecord>,
}

#[derive(Serialize, Deserialize)]
struct AlarmRecord {
    fingerprint: String,
    finding: FindingRecord,
    since: String,
    over: Option<String>,
}

/// The text of a run's alarms.
pub(super) fn case_text(case: &Case) -> Read<String> {
    let record = CaseRecord {
        incident: case.incident.as_ref().map(|it| IncidentRecord {
            name: it.name.clone(),
            sequence: it.sequence,
            told_at: it.told_at.to_string(),
            n_repeats: it.n_repeats,
        }),
        alarms: case
            .lives
            .iter()
            .map(|(fingerprint, it)| life_record(*fingerprint, it))
            .collect(),
    };
    Ok(serde_json::to_string(&record)?)
}

/// The alarms of a run again.
pub(super) fn case_of(text: &str, words: Words<'_>) -> Read<Case> {
    let record: CaseRecord = serde_json::from_str(text)?;
    let incident = record.incident.map(|it| -> Read<Incident> {
        Ok(Incident {
            name: it.name,
            sequence: it.sequence,
            told_at: time(&it.told_at)?,
            n_repeats: it.n_repeats,
        })
    });
    Ok(Case {
        incident: incident.transpose()?,
        lives: record
            .alarms
            .into_iter()
            .map(|it| life_of(it, words))
            .collect::<Read<_>>()?,
    })
}

/// The text of a bulletin that waits.
pub(super) fn bulletin_text(bulletin: &Bulletin) -> Read<String> {
    let alarms = |list: &[Alarm]| list.iter().map(alarm_record).collect();
    let record = BulletinRecord {
        occasion: occasion_word(bulletin.occasion).to_owned(),
        run: bulletin.run.clone(),
        root: bulletin.root.clone(),
        incident: bulletin.incident.clone(),
        sequence: bulletin.sequence,
        at: bulletin.at.to_string(),
        roots: alarms(&bulletin.roots),
        consequences: alarms(&bulletin.consequences),
    };
    Ok(serde_json::to_string(&record)?)
}

/// The bulletin again.
pub(super) fn bulletin_of(text: &str, words: Words<'_>) -> Read<Bulletin> {
    let record: BulletinRecord = serde_json::from_str(text)?;
    let alarms = |list: Vec<AlarmRecord>| -> Read<Vec<Alarm>> {
        list.into_iter().map(|it| alarm_of(it, words)).collect()
    };
    Ok(Bulletin {
        occasion: occasion_of(&record.occasion)?,
        run: record.run,
        root: record.root,
        incident: record.incident,
        sequence: record.sequence,
        at: time(&record.at)?,
        roots: alarms(record.roots)?,
        consequences: alarms(record.consequences)?,
    })
}

fn alarm_record(alarm: &Alarm) -> AlarmRecord {
    AlarmRecord {
        fingerprint: alarm.fingerprint.to_string(),
        finding: finding_record(&alarm.finding),
        since: alarm.since.to_string(),
        over: match alarm.standing {
            Standing::Firing => None,
            Standing::Resolved(over) => Some(over_word(over).to_owned()),
        },
    }
}

fn alarm_of(record: AlarmRecord, words: Words<'_>) -> Read<Alarm> {
    Ok(Alarm {
        fingerprint: fingerprint_of(&record.fingerprint)?,
        finding: finding_of(record.finding, words)?,
        since: time(&record.since)?,
        standing: match record.over {
            None => Standing::Firing,
            Some(word) => Standing::Resolved(over_of(&word)?),
        },
    })
}

fn life_record(fingerprint: Fingerprint, life: &Life) -> LifeRecord {
    let (stage, end) = match life.stage {
        Stage::Firing => ("firing", None),
        Stage::Ending { over, at } => ("ending", Some((over, at))),
        Stage::Over { over, at } => ("over", Some((over, at))),
    };
    LifeRecord {
        fingerprint: fingerprint.to_string(),
        finding: finding_record(&life.finding),
        is_consequence: life.is_consequence,
        since: life.since.to_string(),
        stage: stage.to_owned(),
        over: end.map(|(over, _)| over_word(over).to_owned()),
        stage_since: end.map(|(_, at)| at.to_string()),
        told: life.told.map(|it| it.as_str().to_owned()),
        is_settled: life.is_settled,
        n_flaps: life.n_flaps,
    }
}

fn life_of(record: LifeRecord, words: Words<'_>) -> Read<(Fingerprint, Life)> {
    let end = record
        .over
        .as_deref()
        .zip(record.stage_since.as_deref())
        .map(|(over, at)| -> Read<_> { Ok((over_of(over)?, time(at)?)) })
        .transpose()?;
    let stage = match (record.stage.as_str(), end) {
        ("firing", None) => Stage::Firing,
        ("ending", Some((over, at))) => Stage::Ending { over, at },
        ("over", Some((over, at))) => Stage::Over { over, at },
        _ => return Err(RecordError::Word(record.stage)),
    };
    let life = Life {
        finding: finding_of(record.finding, words)?,
        is_consequence: record.is_consequence,
        since: time(&record.since)?,
        stage,
        told: record.told.map(|it| severity_of(&it)).transpose()?,
        is_settled: record.is_settled,
        n_flaps: record.n_flaps,
    };
    Ok((fingerprint_of(&record.fingerprint)?, life))
}

fn finding_record(finding: &Finding) -> FindingRecord {
    FindingRecord {
        rule: finding.rule.clone(),
        check: finding.check.to_owned(),
        family: finding.family.as_str().to_owned(),
        kind: finding.kind.to_owned(),
        severity: finding.severity.as_str().to_owned(),
        quantity: finding.quantity.as_str().to_owned(),
        tag: finding.tag.clone(),
        layers: finding.layers.clone(),
        rank: finding.rank,
        first_step: finding.first_step,
        last_step: finding.last_step,
        count: finding.count,
        value: finding.value.map(|it| it.to_string()),
        bound: finding.bound.map(|it| it.to_string()),
        forecast_step: finding.forecast_step,
        message: finding.message.clone(),
        diagnosis: finding.diagnosis.clone(),
        remedy: finding.remedy.clone(),
        caused_by: finding.caused_by.clone(),
        is_superseded: finding.is_superseded,
        has_healed: finding.has_healed,
    }
}

fn finding_of(record: FindingRecord, words: Words<'_>) -> Read<Finding> {
    let number = |text: Option<String>| -> Read<Option<f64>> {
        text.map(|it| it.parse().map_err(|_| RecordError::Word(it)))
            .transpose()
    };
    Ok(Finding {
        // A check that another version had: the alarm is known by its fingerprint, the name is for people.
        check: words(&record.check).unwrap_or_default(),
        kind: words(&record.kind).unwrap_or_default(),
        family: Family::from_word(&record.family).ok_or(RecordError::Word(record.family))?,
        severity: severity_of(&record.severity)?,
        quantity: Quantity::from_word(&record.quantity).ok_or(RecordError::Word(record.quantity))?,
        value: number(record.value)?,
        bound: number(record.bound)?,
        rule: record.rule,
        tag: record.tag,
        layers: record.layers,
        rank: record.rank,
        first_step: record.first_step,
        last_step: record.last_step,
        count: record.count,
        forecast_step: record.forecast_step,
        message: record.message,
        diagnosis: record.diagnosis,
        remedy: record.remedy,
        caused_by: record.caused_by,
        is_superseded: record.is_superseded,
        has_healed: record.has_healed,
    })
}

pub(super) fn severity_of(word: &str) -> Read<Severity> {
    Severity::from_word(word).ok_or_else(|| RecordError::Word(word.to_owned()))
}

pub(super) fn fingerprint_of(text: &str) -> Read<Fingerprint> {
    Fingerprint::from_hex(text).ok_or_else(|| RecordError::Word(text.to_owned()))
}

pub(super) fn time(text: &str) -> Read<Timestamp> {
    text.parse().map_err(|_| RecordError::Word(text.to_owned()))
}

fn over_word(over: Over) -> &'static str {
    match over {
        Over::Healed => "healed",
        Over::Superseded => "superseded",
        Over::NotSeenAgain => "not-seen-again",
        Over::NoData => "no-data",
    }
}

fn over_of(word: &str) -> Read<Over> {
    [Over::Healed, Over::Superseded, Over::NotSeenAgain, Over::NoData]
        .into_iter()
        .find(|it| over_word(*it) == word)
        .ok_or_else(|| RecordError::Word(word.to_owned()))
}

fn occasion_word(occasion: Occasion) -> &'static str {
    match occasion {
        Occasion::Firing => "firing",
        Occasion::Worse => "worse",
        Occasion::Reminder => "reminder",
        Occasion::Resolved => "resolved",
    }
}

fn occasion_of(word: &str) -> Read<Occasion> {
    [
        Occasion::Firing,
        Occasion::Worse,
        Occasion::Reminder,
        Occasion::Resolved,
    ]
    .into_iter()
    .find(|it| occasion_word(*it) == word)
    .ok_or_else(|| RecordError::Word(word.to_owned()))
}
