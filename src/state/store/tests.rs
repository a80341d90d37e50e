//! What is stored comes back after any end, and what was damaged is kept aside and said.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::{Beside, COPY, NAME, Opening, Store};
use crate::alert::{
    Alarm, Bulletin, Case, Fingerprint, Incident, Ledger, Life, Occasion, Over, RunKey, Stage, Standing,
};
use crate::model::{Family, Finding, Quantity, Severity};
use crate::state::{
    Attempt, Batch, Mood, NewParcel, RunRow, StateError, StoredAck, StoredParcel, StoredSilence,
    WaitingBulletin,
};

fn words(word: &str) -> Option<&'static str> {
    ["non-finite", "vanishing"].into_iter().find(|it| *it == word)
}

fn now() -> Timestamp {
    "2026-11-23T12:00:00.123456789Z".parse().unwrap()
}

fn finding() -> Finding {
    Finding {
        rule: "non-finite-loss".to_owned(),
        check: "non-finite",
        family: Family::Nonfinite,
        kind: "vanishing",
        severity: Severity::Critical,
        quantity: Quantity::Loss,
        tag: Some("loss".to_owned()),
        layers: vec!["h.0".to_owned()],
        rank: Some(3),
        first_step: Some(60),
        last_step: None,
        count: 7,
        value: Some(f64::NEG_INFINITY),
        bound: Some(0.1),
        forecast_step: None,
        message: "loss is \u{7}NaN".to_owned(),
        diagnosis: String::new(),
        remedy: vec!["lower it".to_owned()],
        caused_by: None,
        is_superseded: false,
        has_healed: true,
    }
}

fn key() -> RunKey {
    RunKey {
        root: "/data/runs".to_owned(),
        run: "a/b".to_owned(),
    }
}

fn case() -> Case {
    let life = |stage| Life {
        finding: finding(),
        is_consequence: true,
        since: now(),
        stage,
        told: Some(Severity::Warning),
        is_settled: false,
        n_flaps: 2,
    };
    let stages = [
        Stage::Firing,
        Stage::Ending {
            over: Over::Superseded,
            at: now(),
        },
        Stage::Over {
            over: Over::NotSeenAgain,
            at: now(),
        },
    ];
    let lives = (0_u64..).zip(stages);
    Case {
        lives: lives
            .map(|(number, stage)| {
                let fingerprint = Fingerprint::from_hex(&format!("{number:016x}")).unwrap();
                (fingerprint, life(stage))
            })
            .collect(),
        incident: Some(Incident {
            name: "abc-1".to_owned(),
            sequence: 3,
            told_at: now(),
            n_repeats: 1,
        }),
    }
}

fn parcel() -> StoredParcel {
    StoredParcel {
        id: 4,
        receiver: "mail".to_owned(),
        address: "me@example.org".to_owned(),
        name: "abc-1.0@host".to_owned(),
        mood: Mood::Pending,
        made: now(),
        next: now(),
        n_attempts: 0,
        last: String::new(),
    }
}

fn waiting() -> WaitingBulletin {
    WaitingBulletin {
        receiver: "mail".to_owned(),
        bulletin: Bulletin {
            occasion: Occasion::Worse,
            run: "a/b".to_owned(),
            root: "/data/runs".to_owned(),
            incident: "abc-1".to_owned(),
            sequence: 2,
            at: now(),
            roots: vec![Alarm {
                fingerprint: Fingerprint::from_hex("00000000000000ff").unwrap(),
                finding: finding(),
                since: now(),
                standing: Standing::Resolved(Over::Healed),
            }],
            consequences: Vec::new(),
        },
    }
}

fn fill(store: &mut Store) {
    let (case, parcel) = (case(), parcel());
    let batch = Batch {
        ledger: Ledger {
            serial: 9,
            stamps: vec![now(), now() + SignedDuration::from_secs(1)],
            is_recovering: false,
        },
        cases: vec![(key(), Some(&case))],
        new_parcels: vec![NewParcel {
            row: &parcel,
            body: b"the bytes",
        }],
        waiting: vec![waiting()],
        runs: vec![RunRow {
            key: key(),
            last_step: Some(70),
            heard: Some(now()),
            files: vec!["as it was".to_owned()],
        }],
        notes: vec![("degraded", "nothing".to_owned())],
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
}

fn open(dir: &Path) -> (Store, Opening) {
    Store::open(dir, &words).unwrap()
}

fn check(opening: &Opening) {
    let memory = &opening.memory;
    assert_eq!(memory.cases, BTreeMap::from([(key(), case())]));
    assert_eq!(memory.parcels, [parcel()]);
    assert_eq!(memory.waiting, [waiting()]);
    assert_eq!((memory.ledger.serial, memory.ledger.stamps.len()), (9, 2));
    assert_eq!(memory.runs[0].last_step, Some(70));
    assert_eq!(memory.notes["degraded"], "nothing");
}

#[test]
fn what_was_stored_comes_back_after_an_end_without_warning() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, opening) = open(dir.path());
    assert!(opening.losses.is_empty() && opening.memory.cases.is_empty());
    fill(&mut store);
    drop(store);
    let (mut store, opening) = open(dir.path());
    assert_eq!(opening.losses, [] as [String; 0]);
    check(&opening);
    assert_eq!(store.body(4).unwrap().as_deref(), Some(b"the bytes".as_slice()));
    let delivered = StoredParcel {
        mood: Mood::Delivered,
        n_attempts: 1,
        last: "taken".to_owned(),
        ..parcel()
    };
    let attempt = Attempt {
        row: delivered.clone(),
        at: now(),
    };
    let batch = Batch {
        ledger: opening.memory.ledger,
        attempts: vec![attempt],
        forget_before: Some(now() + SignedDuration::from_secs(1)),
        no_longer_waiting: vec!["mail".to_owned()],
        cases: vec![(key(), None)],
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    assert_eq!(store.body(4).unwrap(), None, "the bytes are forgotten");
    store.close().unwrap();
    let (_, opening) = open(dir.path());
    assert_eq!(opening.memory.parcels, [delivered]);
    assert!(opening.memory.waiting.is_empty() && opening.memory.cases.is_empty());
}

#[test]
fn a_message_is_stored_once_under_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    fill(&mut store);
    let again = StoredParcel { id: 5, ..parcel() };
    let batch = Batch {
        new_parcels: vec![NewParcel {
            row: &again,
            body: b"other bytes",
        }],
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    assert_eq!(store.body(4).unwrap().as_deref(), Some(b"the bytes".as_slice()));
    assert_eq!(store.body(5).unwrap(), None);
}

/// A way to damage a file.
type Spoil<'f> = &'f dyn Fn(&mut Vec<u8>);

/// A closed state directory with a database and its copy.
fn closed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    fill(&mut store);
    store.keep_copy().unwrap();
    store.close().unwrap();
    dir
}

#[test]
fn a_database_that_is_cut_zeroed_newer_or_gone_is_kept_aside_and_its_copy_stands_in() {
    let newer = |bytes: &mut Vec<u8>| bytes[60..64].copy_from_slice(&2_u32.to_be_bytes());
    let spoil: [Spoil<'_>; 5] = [
        &|bytes| bytes.truncate(bytes.len() / 2),
        &|bytes| bytes.truncate(0),
        &|bytes| bytes.fill(0),
        &|bytes| bytes.iter_mut().take(4096).for_each(|it| *it = 0),
        &newer,
    ];
    for (number, spoil) in spoil.iter().enumerate() {
        let dir = closed();
        let path = dir.path().join(NAME);
        let mut bytes = fs::read(&path).unwrap();
        spoil(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        let (mut store, opening) = open(dir.path());
        assert_eq!(opening.losses.len(), 1, "{number}");
        assert!(
            opening.losses[0].contains("gradwatch.db.corrupt-1"),
            "{number}: {:?}",
            opening.losses
        );
        check(&opening);
        assert!(opening.memory.ledger.is_recovering);
        assert_eq!(
            fs::read(dir.path().join("gradwatch.db.corrupt-1")).unwrap(),
            bytes
        );
        assert!(matches!(store.commit(&Batch::default()), Err(StateError::Blank)));
        assert!(store.take_blank());
        store.commit(&Batch::default()).unwrap();
        drop(store);
        assert!(open(dir.path()).1.losses.is_empty());
    }
    let dir = closed();
    fs::remove_file(dir.path().join(NAME)).unwrap();
    let (_, opening) = open(dir.path());
    assert!(opening.losses[0].contains("gone"), "{:?}", opening.losses);
    check(&opening);
}

#[test]
fn without_a_copy_the_loss_is_said_and_the_daemon_begins_anew() {
    let dir = closed();
    fs::write(dir.path().join(NAME), b"not a database").unwrap();
    fs::write(dir.path().join(COPY), b"nor this").unwrap();
    let (_, opening) = open(dir.path());
    assert!(
        opening.losses[0].contains("no earlier copy"),
        "{:?}",
        opening.losses
    );
    assert!(opening.memory.cases.is_empty() && opening.memory.ledger.is_recovering);
}

#[test]
fn a_flipped_bit_is_noticed_or_does_not_matter() {
    let whole = closed();
    let bytes = fs::read(whole.path().join(NAME)).unwrap();
    let (mut n_noticed, mut n_tried) = (0, 0);
    for at in (0..bytes.len()).step_by(397) {
        let dir = tempfile::tempdir().unwrap();
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(dir.path().join(NAME), &flipped).unwrap();
        fs::copy(whole.path().join(COPY), dir.path().join(COPY)).unwrap();
        let (store, opening) = open(dir.path());
        check(&opening);
        n_tried += 1;
        if opening.losses.is_empty() {
            match store.body(4) {
                Ok(body) => assert_eq!(body.as_deref(), Some(b"the bytes".as_slice()), "byte {at}"),
                Err(error) => assert!(error.is_loss()),
            }
        } else {
            n_noticed += 1;
        }
    }
    assert!(n_tried > 50 && n_noticed > 0, "{n_noticed} of {n_tried}");
}

#[test]
fn others_acknowledge_and_silence_beside_the_daemon_and_without_it() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Beside::open(dir.path(), false).unwrap().is_none());
    let beside = Beside::open(dir.path(), true).unwrap().unwrap();
    let silence = StoredSilence {
        run: "sweep/*",
        rule: Some("non-*"),
        until: now(),
        comment: "being moved",
    };
    let id = beside.add_silence(&silence, now()).unwrap();
    let (store, opening) = open(dir.path());
    assert!(opening.losses.is_empty());
    assert_eq!(opening.memory.silences[0].id, id);
    let before = store.version().unwrap();
    let ack = StoredAck {
        fingerprint: Fingerprint::from_hex("00000000000000ff").unwrap(),
        severity: Severity::Critical,
        at: now(),
        comment: "on it".to_owned(),
    };
    assert!(beside.set_ack(&ack, true).unwrap());
    assert_ne!(
        store.version().unwrap(),
        before,
        "the daemon sees that something changed"
    );
    assert_eq!(store.wishes().unwrap().unwrap().0, std::slice::from_ref(&ack));
    assert!(beside.set_ack(&ack, false).unwrap() && !beside.set_ack(&ack, false).unwrap());
    assert!(beside.remove_silence(id).unwrap() && !beside.remove_silence(id).unwrap());
}

#[test]
fn a_database_that_is_taken_away_while_it_is_used_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    fill(&mut store);
    assert!(!store.is_replaced());
    for end in ["", "-wal", "-shm"] {
        fs::remove_file(dir.path().join(format!("{NAME}{end}"))).unwrap();
    }
    assert!(store.is_replaced());
    assert!(matches!(store.commit(&Batch::default()), Err(StateError::Blank)));
    assert!(store.take_blank());
    fill(&mut store);
    drop(store);
    check(&open(dir.path()).1);
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_the_directory() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("state/gradwatch");
    let (mut store, _) = open(&inner);
    fill(&mut store);
    let mode = fs::metadata(&inner).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
