//! Bulletins for programs: schema `gradwatch.alert/1`, for webhooks and commands.
//!
//! In: a bulletin or a digest. Out: one JSON document. Invariants: fields may be added under the same schema number,
//! never changed or removed; findings are as in `gradwatch.audit/1`; the same bulletin gives the same bytes.
//!
//! A bulletin has `schema`, `occasion` (`firing`, `worse`, `reminder`, `resolved`), `severity` of the worst alarm that
//! stands (`null` when none does), `title` (one line), `run`, `root`, `incident`, `sequence`, `time` (RFC 3339),
//! `alarms` (root causes, worst first) and `consequences`. An alarm has `fingerprint`, `since`, `state` (`firing`,
//! `resolved`), `reason` (why it is over: `healed`, `superseded`, `not-seen-again`, `no-data`) and `finding`. A digest has
//! `schema`, `occasion` = `digest`, `gathered` (`capped`, `state-lost`, `unreachable`), `name`, `time`, `bulletins`.

use serde_json::{Value, json};

use super::Parcel;
use super::message::{headline, run_label};
use crate::alert::{Alarm, Bulletin, Digest, Gathered, Occasion, Standing};
use crate::model::Severity;
use crate::report::{finding_json, reason};

/// The schema's name.
const SCHEMA: &str = "gradwatch.alert/1";
/// Layers of a finding in the JSON.
const LAYERS_MAX: usize = 1_024;
/// Alarms in each list.
const ALARMS_MAX: usize = 256;

/// The parcel of a bulletin.
pub(super) fn bulletin_parcel(bulletin: &Bulletin, receiver: &'static str, address: &str) -> Parcel {
    parcel(
        &self::bulletin(bulletin),
        receiver,
        address,
        format!("{}.{}", bulletin.incident, bulletin.sequence),
    )
}

/// The parcel of a digest.
pub(super) fn digest_parcel(digest: &Digest, receiver: &'static str, address: &str) -> Parcel {
    parcel(&self::digest(digest), receiver, address, digest.name.clone())
}

fn parcel(value: &Value, receiver: &'static str, address: &str, name: String) -> Parcel {
    Parcel {
        receiver,
        address: address.to_owned(),
        name,
        body: format!("{value}\n").into_bytes(),
    }
}

fn bulletin(bulletin: &Bulletin) -> Value {
    let title = bulletin.roots.first().map(|it| headline(&it.finding));
    json!({
        "schema": SCHEMA,
        "occasion": match bulletin.occasion {
            Occasion::Firing => "firing",
            Occasion::Worse => "worse",
            Occasion::Reminder => "reminder",
            Occasion::Resolved => "resolved",
        },
        "severity": severity(bulletin).map(Severity::as_str),
        "title": format!("{}: {}", run_label(bulletin), title.unwrap_or_default()),
        "run": bulletin.run,
        "root": bulletin.root,
        "incident": bulletin.incident,
        "sequence": bulletin.sequence,
        "time": bulletin.at.to_string(),
        "alarms": alarms(&bulletin.roots),
        "consequences": alarms(&bulletin.consequences),
    })
}

fn digest(digest: &Digest) -> Value {
    json!({
        "schema": SCHEMA,
        "occasion": "digest",
        "gathered": match digest.gathered {
            Gathered::Capped => "capped",
            Gathered::StateLost => "state-lost",
            Gathered::Unreachable => "unreachable",
        },
        "name": digest.name,
        "time": digest.at.to_string(),
        "bulletins": digest.bulletins.iter().map(bulletin).collect::<Vec<_>>(),
    })
}

/// The worst of what stands.
fn severity(bulletin: &Bulletin) -> Option<Severity> {
    let standing = bulletin.roots.iter().filter(|it| it.standing == Standing::Firing);
    standing.map(|it| it.finding.severity).max()
}

fn alarms(alarms: &[Alarm]) -> Vec<Value> {
    alarms.iter().take(ALARMS_MAX).map(alarm).collect()
}

fn alarm(alarm: &Alarm) -> Value {
    let (state, why) = match alarm.standing {
        Standing::Firing => ("firing", None),
        Standing::Resolved(over) => ("resolved", Some(reason(over))),
    };
    let mut finding = alarm.finding.clone();
    let n_layers = finding.layers.len();
    finding.layers.truncate(LAYERS_MAX);
    json!({
        "fingerprint": alarm.fingerprint.to_string(),
        "since": alarm.since.to_string(),
        "state": state,
        "reason": why,
        "n_layers": n_layers,
        "finding": finding_json(&finding),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Over;
    use crate::deliver::fixture::{at, bulletin};

    fn read(parcel: &Parcel) -> Value {
        serde_json::from_slice(&parcel.body).unwrap()
    }

    #[test]
    fn a_bulletin_is_read_by_programs() {
        let parcel = bulletin_parcel(&bulletin(), "webhook", "https://example.org");
        assert_eq!(parcel.name, "a1b2c3-4.0");
        let value = read(&parcel);
        assert_eq!(value["schema"], "gradwatch.alert/1");
        assert_eq!(value["occasion"], "firing");
        assert_eq!(value["severity"], "critical");
        assert_eq!(value["title"], "gpt/run-7: loss is NaN since step 12,345");
        assert_eq!(value["time"], "2026-11-18T11:07:10Z");
        assert_eq!(value["alarms"][0]["finding"]["value"], "NaN");
        assert_eq!(value["alarms"][0]["state"], "firing");
        assert_eq!(value["consequences"][0]["finding"]["rule"], "vanishing-gradients");
        assert_eq!(value["consequences"][0]["n_layers"], 4);
    }

    #[test]
    fn what_is_over_says_why() {
        let mut over = bulletin();
        over.occasion = Occasion::Resolved;
        over.roots[0].standing = Standing::Resolved(Over::Superseded);
        let value = read(&bulletin_parcel(&over, "webhook", "x"));
        assert_eq!(value["severity"], Value::Null);
        assert_eq!(value["alarms"][0]["reason"], "superseded");
    }

    #[test]
    fn a_digest_holds_its_bulletins() {
        let digest = Digest {
            gathered: Gathered::StateLost,
            name: "d-7".to_owned(),
            at: at(0),
            bulletins: vec![bulletin(); 2],
        };
        let value = read(&digest_parcel(&digest, "command", "stop-run"));
        assert_eq!(value["occasion"], "digest");
        assert_eq!(value["gathered"], "state-lost");
        assert_eq!(value["bulletins"][1]["incident"], "a1b2c3-4");
    }
}
