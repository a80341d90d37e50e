//! Alerts for a Prometheus Alertmanager (`POST /api/v2/alerts`).
//!
//! In: bulletins. Out: parcels of a JSON list of alerts. Invariants: the labels name an alert and hold only what stays
//! the same while it lasts (but for the severity: when that rises, the alert of the lower one is ended with it);
//! what stands is renewed, because an Alertmanager ends what nobody renews: a watchdog that died does not leave
//! alerts standing for ever.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Parcel;
use super::message::{clean_line, headline};
use crate::alert::{Alarm, Bulletin, Digest, Occasion, Standing};
use crate::model::{Finding, Severity};
use crate::report::printable;

/// The receiver's name in a [`Parcel`].
pub const ALERTMANAGER: &str = "alertmanager";
/// Time between two renewals, as Prometheus has it (`--rules.alert.resend-delay`).
pub const RENEW_EVERY: Duration = Duration::from_secs(60);
/// An alert ends by itself after this many renewals that did not come, as in Prometheus (`rules/manager.go`).
const RENEWALS_MISSED: u32 = 4;
/// Layers, consequences and remedies that an annotation names.
const LISTED_MAX: usize = 24;
/// Alerts of one parcel.
const ALERTS_MAX: usize = 512;

/// The parcel of a bulletin; nothing when it has no root cause.
pub(super) fn bulletin_parcel(bulletin: &Bulletin, address: &str) -> Option<Parcel> {
    let name = format!("{}.{}", bulletin.incident, bulletin.sequence);
    parcel(alerts(bulletin, bulletin.at), address, name)
}

/// The parcel of a digest.
pub(super) fn digest_parcel(digest: &Digest, address: &str) -> Option<Parcel> {
    let all = digest.bulletins.iter().flat_map(|it| alerts(it, digest.at));
    parcel(all.collect(), address, digest.name.clone())
}

/// The parcel that renews what stands of the bulletins at this time; nothing when nothing does.
pub(super) fn renewal_parcel(bulletins: &[Bulletin], now: Timestamp, address: &str) -> Option<Parcel> {
    let standing = bulletins.iter().flat_map(|bulletin| {
        let firing = bulletin.roots.iter().filter(|it| it.standing == Standing::Firing);
        firing.map(move |it| alert(bulletin, it, now))
    });
    parcel(
        standing.collect(),
        address,
        format!("renewal-{}", now.as_second()),
    )
}

fn parcel(mut alerts: Vec<Value>, address: &str, name: String) -> Option<Parcel> {
    alerts.truncate(ALERTS_MAX);
    (!alerts.is_empty()).then(|| Parcel {
        receiver: ALERTMANAGER,
        address: address.to_owned(),
        name,
        body: Value::from(alerts).to_string().into_bytes(),
    })
}

fn alerts(bulletin: &Bulletin, now: Timestamp) -> Vec<Value> {
    let mut alerts: Vec<Value> = bulletin.roots.iter().map(|it| alert(bulletin, it, now)).collect();
    if bulletin.occasion == Occasion::Worse {
        let worse = bulletin
            .roots
            .iter()
            .filter(|it| it.finding.severity == Severity::Critical);
        alerts.extend(worse.map(|it| lower(bulletin, it, now)));
    }
    alerts
}

/// The end of the alert that bore a lower severity.
fn lower(bulletin: &Bulletin, alarm: &Alarm, now: Timestamp) -> Value {
    let mut before = alert(bulletin, alarm, now);
    before["labels"]["severity"] = json!(Severity::Warning.as_str());
    before["endsAt"] = json!(now.to_string());
    before
}

fn alert(bulletin: &Bulletin, alarm: &Alarm, now: Timestamp) -> Value {
    let ends = match alarm.standing {
        Standing::Resolved(_) => now,
        Standing::Firing => now
            .checked_add(RENEW_EVERY * RENEWALS_MISSED)
            .unwrap_or(Timestamp::MAX),
    };
    json!({
        "labels": labels(bulletin, &alarm.finding),
        "annotations": annotations(bulletin, alarm),
        "startsAt": alarm.since.min(ends).to_string(),
        "endsAt": ends.to_string(),
    })
}

/// Empty labels are as good as none in the data model of Prometheus.
fn labels(bulletin: &Bulletin, finding: &Finding) -> Value {
    json!({
        "alertname": finding.rule,
        "run": printable(&bulletin.run),
        "root": printable(&bulletin.root),
        "severity": finding.severity.as_str(),
        "family": finding.family.as_str(),
        "kind": finding.kind,
        "quantity": finding.quantity.as_str(),
        "tag": finding.tag.as_deref().map(printable).unwrap_or_default(),
    })
}

fn annotations(bulletin: &Bulletin, alarm: &Alarm) -> Value {
    let finding = &alarm.finding;
    let effects = bulletin
        .consequences
        .iter()
        .filter(|it| it.finding.caused_by.as_deref() == Some(&finding.rule));
    let effects: Vec<String> = effects.map(|it| headline(&it.finding)).collect();
    json!({
        "summary": headline(finding),
        "description": clean_line(&finding.message),
        "layers": listed(&finding.layers),
        "diagnosis": clean_line(&finding.diagnosis),
        "remedy": listed(&finding.remedy),
        "consequences": listed(&effects),
        "incident": bulletin.incident,
        "fingerprint": alarm.fingerprint.to_string(),
    })
}

fn listed(items: &[String]) -> String {
    let shown: Vec<String> = items.iter().take(LISTED_MAX).map(|it| clean_line(it)).collect();
    match items.len().saturating_sub(LISTED_MAX) {
        0 => shown.join("; "),
        more => format!("{} and {more} more", shown.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Over;
    use crate::deliver::fixture::{at, bulletin};

    fn read(parcel: Option<Parcel>) -> Value {
        serde_json::from_slice(&parcel.unwrap().body).unwrap()
    }

    #[test]
    fn an_alert_has_the_labels_that_people_route_by_and_ends_unless_renewed() {
        let value = read(bulletin_parcel(&bulletin(), "http://am"));
        assert_eq!(
            value.as_array().unwrap().len(),
            1,
            "consequences are not alerts of their own"
        );
        let labels = &value[0]["labels"];
        assert_eq!(labels["alertname"], "non-finite-loss");
        assert_eq!(labels["run"], "gpt/run-7");
        assert_eq!(labels["severity"], "critical");
        assert_eq!(labels["family"], "nonfinite");
        assert_eq!(value[0]["startsAt"], "2026-11-18T11:06:40Z");
        assert_eq!(value[0]["endsAt"], "2026-11-18T11:11:10Z");
        let renewed = read(renewal_parcel(&[bulletin()], at(90), "http://am"));
        assert_eq!(renewed[0]["labels"], *labels, "the same alert");
        assert_eq!(renewed[0]["endsAt"], "2026-11-18T11:12:10Z");
    }

    #[test]
    fn what_is_over_ends_now_and_is_not_renewed() {
        let mut over = bulletin();
        over.occasion = Occasion::Resolved;
        over.roots[0].standing = Standing::Resolved(Over::Healed);
        let value = read(bulletin_parcel(&over, "http://am"));
        assert_eq!(value[0]["endsAt"], over.at.to_string());
        assert_eq!(renewal_parcel(&[over], at(90), "http://am"), None);
    }

    #[test]
    fn a_higher_severity_ends_the_alert_of_the_lower_one() {
        let mut worse = bulletin();
        worse.occasion = Occasion::Worse;
        let value = read(bulletin_parcel(&worse, "http://am"));
        assert_eq!(value[1]["labels"]["severity"], "warning");
        assert_eq!(value[1]["endsAt"], worse.at.to_string());
        assert_eq!(value[0]["labels"]["severity"], "critical");
    }
}
