//! The tables of the state database.
//!
//! In: batches of changes. Out: everything again. Invariants: this is the only file that names the database library; a
//! batch is stored as a whole or not at all, and is on the disk when its call returns; what is read is what was
//! written (checksums), or an error.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::ffi::ErrorCode;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};

use super::StateError;
use super::batch::{
    Attempt, Batch, Memory, Mood, NewParcel, RunRow, StoredAck, StoredParcel, StoredSilence, WaitingBulletin,
};
use super::record::{
    RecordError, Words, bulletin_of, bulletin_text, case_of, case_text, fingerprint_of, severity_of, time,
};
use crate::alert::{Case, Ledger, NamePattern, RunKey, Silence};

/// The version of the tables.
const FORMAT: i64 = 1;

/// How long another process that writes is waited for.
const BUSY: Duration = Duration::from_secs(5);

const TABLES: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE alerts (root TEXT, run TEXT, body TEXT NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (root, run));
CREATE TABLE acks (fingerprint TEXT PRIMARY KEY, severity TEXT NOT NULL, at TEXT NOT NULL, comment TEXT NOT NULL,
    crc INTEGER NOT NULL);
CREATE TABLE silences (id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, rule TEXT, until TEXT NOT NULL,
    comment TEXT NOT NULL, at TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE outbox (id INTEGER PRIMARY KEY, receiver TEXT NOT NULL, address TEXT NOT NULL, name TEXT NOT NULL,
    body BLOB, body_crc INTEGER NOT NULL, crc INTEGER NOT NULL, mood TEXT NOT NULL, made TEXT NOT NULL, next TEXT NOT NULL,
    attempts INTEGER NOT NULL, last TEXT NOT NULL, UNIQUE (receiver, address, name));
CREATE TABLE attempts (parcel INTEGER NOT NULL, at TEXT NOT NULL, answer TEXT NOT NULL);
CREATE INDEX attempts_of ON attempts (parcel);
CREATE TABLE waiting (receiver TEXT, root TEXT, run TEXT, body TEXT NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (receiver, root, run));
CREATE TABLE runs (root TEXT, run TEXT, body TEXT NOT NULL, PRIMARY KEY (root, run));
";

/// An open database.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
}

/// How a database is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By the daemon.
    Daemon,
    /// Beside the daemon.
    Beside,
    /// By the daemon, on a disk on which nothing can be made.
    Alone,
}

impl From<rusqlite::Error> for StateError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            // Unknown or none: a column or a table that is not there, a value of another type.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) | None => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<RecordError> for StateError {
    fn from(error: RecordError) -> Self {
        Self::Damaged(error.to_string())
    }
}

type Done<T> = Result<T, StateError>;

impl Database {
    /// Makes an empty database in a new file.
    pub(super) fn create(path: &Path) -> Done<()> {
        let mut connection = Connection::open(path)?;
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.commit()?;
        Ok(())
    }

    /// Opens and checks a database that is there.
    pub(super) fn open(path: &Path, way: Way) -> Done<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        if way == Way::Alone {
            // Without this the index of the journal is a file, which a full disk has no room for.
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        }
        let database = Self { connection };
        database.check_format()?;
        database.connection.pragma_update(None, "journal_mode", "WAL")?;
        database.connection.pragma_update(None, "synchronous", "FULL")?;
        if way != Way::Beside {
            database.check_pages()?;
        }
        Ok(database)
    }

    /// Reads a database that nobody else has, and changes nothing.
    pub(super) fn open_copy(path: &Path) -> Done<Self> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let database = Self { connection };
        database.check_format()?;
        database.check_pages()?;
        Ok(database)
    }

    fn format(&self) -> Done<i64> {
        Ok(self
            .connection
            .pragma_query_value(None, "user_version", |row| row.get(0))?)
    }

    fn check_format(&self) -> Done<()> {
        match self.format()? {
            FORMAT => Ok(()),
            found if found > FORMAT => Err(StateError::Newer { found, known: FORMAT }),
            // A database comes into its place with its tables.
            _ => Err(StateError::Damaged("it holds no tables".to_owned())),
        }
    }

    fn check_pages(&self) -> Done<()> {
        let found: String = self
            .connection
            .pragma_query_value(None, "integrity_check", |row| row.get(0))?;
        if found == "ok" {
            Ok(())
        } else {
            Err(StateError::Damaged(
                found.lines().next().unwrap_or_default().to_owned(),
            ))
        }
    }

    /// Another number when another process has changed something.
    pub(super) fn version(&self) -> Done<i64> {
        Ok(self
            .connection
            .pragma_query_value(None, "data_version", |row| row.get(0))?)
    }

    /// Stores a batch.
    pub(super) fn commit(&mut self, batch: &Batch<'_>) -> Done<()> {
        let transaction = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        put_batch(&transaction, batch)?;
        transaction.commit()?;
        Ok(())
    }

    /// A copy of everything as it is now, in a new file.
    pub(super) fn copy_to(&self, path: &Path) -> Done<()> {
        let shown = path
            .to_str()
            .ok_or_else(|| StateError::Unavailable("the state directory has no UTF-8 name".to_owned()))?;
        self.connection.execute("VACUUM INTO ?1", [shown])?;
        Ok(())
    }

    /// Moves what was committed from the journal into the database file.
    pub(super) fn checkpoint(&self) -> Done<()> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// The bytes of a parcel, as long as they are kept.
    pub(super) fn body(&self, id: i64) -> Done<Option<Vec<u8>>> {
        let found: Option<(Option<Vec<u8>>, u32)> = self
            .connection
            .query_row("SELECT body, body_crc FROM outbox WHERE id = ?1", [id], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        match found {
            Some((Some(body), crc)) => checked(body, crc, "message").map(Some),
            _ => Ok(None),
        }
    }

    /// Everything that a daemon must know.
    pub(super) fn memory(&self, words: Words<'_>) -> Done<Memory> {
        Ok(Memory {
            ledger: self.ledger()?,
            cases: self.cases(words)?,
            parcels: self.parcels()?,
            waiting: self.waiting(words)?,
            acks: self.acks()?,
            silences: self.silences()?,
            runs: self.runs()?,
            notes: self.notes()?,
        })
    }

    fn ledger(&self) -> Done<Ledger> {
        let notes = self.notes()?;
        let text = |name: &str| notes.get(name).map(String::as_str).unwrap_or_default();
        let number = |name: &str| match text(name) {
            "" => Ok(0),
            digits => digits
                .parse()
                .map_err(|_| StateError::Damaged(format!("`{name}` is not a number"))),
        };
        let stamps = text("stamps").split_whitespace().map(time);
        Ok(Ledger {
            serial: number("serial")?,
            stamps: stamps.collect::<Result<_, _>>()?,
            is_recovering: number("recovering")? != 0,
        })
    }

    /// Short facts by name.
    pub(super) fn notes(&self) -> Done<BTreeMap<String, String>> {
        let mut rows = self.connection.prepare("SELECT name, value, crc FROM meta")?;
        let mut rows = rows.query([])?;
        let mut notes = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let (name, value): (String, String) = (row.get(0)?, row.get(1)?);
            unbroken(&[&name, &value], row.get(2)?, "note")?;
            notes.insert(name, value);
        }
        Ok(notes)
    }

    fn cases(&self, words: Words<'_>) -> Done<BTreeMap<RunKey, Case>> {
        let mut rows = self
            .connection
            .prepare("SELECT root, run, body, crc FROM alerts")?;
        let rows = rows.query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?, row.get(3)?))
        })?;
        let mut cases = BTreeMap::new();
        for row in rows {
            let (root, run, body, crc): (String, String, String, u32) = row?;
            unbroken(&[&root, &run, &body], crc, "alarm")?;
            cases.insert(RunKey { root, run }, case_of(&body, words)?);
        }
        Ok(cases)
    }

    pub(super) fn parcels(&self) -> Done<Vec<StoredParcel>> {
        let mut rows = self.connection.prepare(
            "SELECT id, receiver, address, name, mood, made, next, attempts, last, crc FROM outbox ORDER BY id",
        )?;
        let mut rows = rows.query([])?;
        let mut parcels = Vec::new();
        while let Some(row) = rows.next()? {
            let mood: String = row.get(4)?;
            let (made, next): (String, String) = (row.get(5)?, row.get(6)?);
            let (receiver, address, name): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
            unbroken(&[&receiver, &address, &name, &made], row.get(9)?, "message")?;
            parcels.push(StoredParcel {
                id: row.get(0)?,
                receiver,
                address,
                name,
                mood: Mood::from_word(&mood).ok_or(RecordError::Word(mood))?,
                made: time(&made)?,
                next: time(&next)?,
                n_attempts: row.get(7)?,
                last: row.get(8)?,
            });
        }
        Ok(parcels)
    }

    fn waiting(&self, words: Words<'_>) -> Done<Vec<WaitingBulletin>> {
        let mut rows = self
            .connection
            .prepare("SELECT receiver, body, crc FROM waiting")?;
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?)))?;
        let mut waiting = Vec::new();
        for row in rows {
            let (receiver, body, crc) = row?;
            let body = checked(body, crc, "bulletin")?;
            waiting.push(WaitingBulletin {
                receiver,
                bulletin: bulletin_of(&body, words)?,
            });
        }
        Ok(waiting)
    }

    pub(super) fn acks(&self) -> Done<Vec<StoredAck>> {
        let mut rows = self
            .connection
            .prepare("SELECT fingerprint, severity, at, comment, crc FROM acks")?;
        let mut rows = rows.query([])?;
        let mut acks = Vec::new();
        while let Some(row) = rows.next()? {
            let (fingerprint, severity, at): (String, String, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            let comment: String = row.get(3)?;
            unbroken(
                &[&fingerprint, &severity, &at, &comment],
                row.get(4)?,
                "acknowledgement",
            )?;
            acks.push(StoredAck {
                fingerprint: fingerprint_of(&fingerprint)?,
                severity: severity_of(&severity)?,
                at: time(&at)?,
                comment,
            });
        }
        Ok(acks)
    }

    pub(super) fn silences(&self) -> Done<Vec<Silence>> {
        let mut rows = self
            .connection
            .prepare("SELECT id, run, rule, until, comment, crc FROM silences ORDER BY id")?;
        let mut rows = rows.query([])?;
        let pattern = |text: &str| NamePattern::new(text).map_err(StateError::Damaged);
        let mut silences = Vec::new();
        while let Some(row) = rows.next()? {
            let (run, rule, until): (String, Option<String>, String) =
                (row.get(1)?, row.get(2)?, row.get(3)?);
            let comment: String = row.get(4)?;
            let seal_of = [&run, rule.as_deref().unwrap_or_default(), &until, &comment];
            unbroken(&seal_of, row.get(5)?, "silence")?;
            silences.push(Silence {
                id: row.get(0)?,
                run: pattern(&run)?,
                rule: rule.as_deref().map(pattern).transpose()?,
                until: time(&until)?,
                comment,
            });
        }
        Ok(silences)
    }

    fn runs(&self) -> Done<Vec<RunRow>> {
        let mut rows = self
            .connection
            .prepare("SELECT root, run, body FROM runs ORDER BY root, run")?;
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)))?;
        let mut runs = Vec::new();
        for row in rows {
            let (root, run, body) = row?;
            runs.push(RunRow::of(RunKey { root, run }, &body)?);
        }
        Ok(runs)
    }

    /// Acknowledges an alarm, or takes that back.
    pub(super) fn set_ack(&self, ack: &StoredAck, is_on: bool) -> Done<bool> {
        let fingerprint = ack.fingerprint.to_string();
        let n_changed = if is_on {
            let (severity, at) = (ack.severity.as_str(), ack.at.to_string());
            let crc = seal(&[&fingerprint, severity, &at, &ack.comment]);
            self.connection.execute(
                "INSERT OR REPLACE INTO acks VALUES (?1, ?2, ?3, ?4, ?5)",
                params![fingerprint, severity, at, ack.comment, crc],
            )?
        } else {
            self.connection
                .execute("DELETE FROM acks WHERE fingerprint = ?1", [fingerprint])?
        };
        Ok(n_changed > 0)
    }

    /// Adds a silence; gives its number.
    pub(super) fn add_silence(&self, silence: &StoredSilence<'_>, now: Timestamp) -> Done<i64> {
        let until = silence.until.to_string();
        let crc = seal(&[
            silence.run,
            silence.rule.unwrap_or_default(),
            &until,
            silence.comment,
        ]);
        self.connection.execute(
            "INSERT INTO silences (run, rule, until, comment, at, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                silence.run,
                silence.rule,
                until,
                silence.comment,
                now.to_string(),
                crc
            ],
        )?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Ends a silence; whether there was one.
    pub(super) fn remove_silence(&self, id: i64) -> Done<bool> {
        let n_changed = self
            .connection
            .execute("DELETE FROM silences WHERE id = ?1", [id])?;
        Ok(n_changed > 0)
    }
}

fn put_batch(transaction: &Transaction<'_>, batch: &Batch<'_>) -> Done<()> {
    put_notes(transaction, batch)?;
    for (key, case) in &batch.cases {
        put_case(transaction, key, *case)?;
    }
    for parcel in &batch.new_parcels {
        put_parcel(transaction, parcel)?;
    }
    for attempt in &batch.attempts {
        put_attempt(transaction, attempt)?;
    }
    put_waiting(transaction, batch)?;
    for fingerprint in &batch.acks_over {
        transaction.execute(
            "DELETE FROM acks WHERE fingerprint = ?1",
            [fingerprint.to_string()],
        )?;
    }
    for row in &batch.runs {
        transaction.execute(
            "INSERT OR REPLACE INTO runs VALUES (?1, ?2, ?3)",
            params![row.key.root, row.key.run, row.text()?],
        )?;
    }
    for key in &batch.runs_gone {
        transaction.execute(
            "DELETE FROM runs WHERE root = ?1 AND run = ?2",
            [&key.root, &key.run],
        )?;
    }
    if let Some(before) = batch.forget_before {
        forget(transaction, before)?;
    }
    Ok(())
}

fn put_notes(transaction: &Transaction<'_>, batch: &Batch<'_>) -> Done<()> {
    let stamps: Vec<String> = batch.ledger.stamps.iter().map(ToString::to_string).collect();
    let of_ledger = [
        ("serial", batch.ledger.serial.to_string()),
        ("stamps", stamps.join(" ")),
        ("recovering", i64::from(batch.ledger.is_recovering).to_string()),
    ];
    let notes = batch.notes.iter().map(|(name, value)| (*name, value.clone()));
    for (name, value) in of_ledger.into_iter().chain(notes) {
        transaction.execute(
            "INSERT OR REPLACE INTO meta VALUES (?1, ?2, ?3)",
            params![name, value, seal(&[name, &value])],
        )?;
    }
    Ok(())
}

fn put_case(transaction: &Transaction<'_>, key: &RunKey, case: Option<&Case>) -> Done<()> {
    let Some(case) = case else {
        transaction.execute(
            "DELETE FROM alerts WHERE root = ?1 AND run = ?2",
            [&key.root, &key.run],
        )?;
        return Ok(());
    };
    let body = case_text(case)?;
    transaction.execute(
        "INSERT OR REPLACE INTO alerts VALUES (?1, ?2, ?3, ?4)",
        params![key.root, key.run, body, seal(&[&key.root, &key.run, &body])],
    )?;
    Ok(())
}

/// The same message under the same name is stored once, whatever is asked.
fn put_parcel(transaction: &Transaction<'_>, parcel: &NewParcel<'_>) -> Done<()> {
    let row = parcel.row;
    transaction.execute(
        "INSERT OR IGNORE INTO outbox VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            row.id,
            row.receiver,
            row.address,
            row.name,
            parcel.body,
            crc32c::crc32c(parcel.body),
            seal(&[&row.receiver, &row.address, &row.name, &row.made.to_string()]),
            row.mood.as_str(),
            row.made.to_string(),
            row.next.to_string(),
            row.n_attempts,
            row.last,
        ],
    )?;
    Ok(())
}

/// Attempts that are kept of a parcel: the first says when it began, the later ones how it goes on.
const ATTEMPTS_MAX: i64 = 50;

fn put_attempt(transaction: &Transaction<'_>, attempt: &Attempt) -> Done<()> {
    let row = &attempt.row;
    transaction.execute(
        "UPDATE outbox SET mood = ?2, next = ?3, attempts = ?4, last = ?5 WHERE id = ?1",
        params![
            row.id,
            row.mood.as_str(),
            row.next.to_string(),
            row.n_attempts,
            row.last
        ],
    )?;
    transaction.execute(
        "INSERT INTO attempts VALUES (?1, ?2, ?3)",
        params![row.id, attempt.at.to_string(), row.last],
    )?;
    transaction.execute(
        "DELETE FROM attempts WHERE parcel = ?1 AND rowid NOT IN
            (SELECT rowid FROM attempts WHERE parcel = ?1 ORDER BY rowid DESC LIMIT ?2)",
        params![row.id, ATTEMPTS_MAX],
    )?;
    Ok(())
}

fn put_waiting(transaction: &Transaction<'_>, batch: &Batch<'_>) -> Done<()> {
    for receiver in &batch.no_longer_waiting {
        transaction.execute("DELETE FROM waiting WHERE receiver = ?1", [receiver])?;
    }
    for it in &batch.waiting {
        let body = bulletin_text(&it.bulletin)?;
        transaction.execute(
            "INSERT OR REPLACE INTO waiting VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                it.receiver,
                it.bulletin.root,
                it.bulletin.run,
                body,
                crc32c::crc32c(body.as_bytes())
            ],
        )?;
    }
    Ok(())
}

/// Forgets the bytes of what was delivered before a time, and later that it was.
fn forget(transaction: &Transaction<'_>, before: Timestamp) -> Done<()> {
    let before = before.to_string();
    let delivered = Mood::Delivered.as_str();
    transaction.execute(
        "UPDATE outbox SET body = NULL WHERE mood = ?1 AND made < ?2 AND body IS NOT NULL",
        [delivered, &before],
    )?;
    transaction.execute(
        "DELETE FROM attempts WHERE parcel IN (SELECT id FROM outbox WHERE mood = ?1 AND made < ?2)",
        [delivered, &before],
    )?;
    transaction.execute(
        "DELETE FROM outbox WHERE mood = ?1 AND id NOT IN
            (SELECT id FROM outbox WHERE mood = ?1 ORDER BY id DESC LIMIT ?2)",
        params![delivered, DELIVERED_MAX],
    )?;
    transaction.execute("DELETE FROM silences WHERE until < ?1", [&before])?;
    Ok(())
}

/// Delivered messages of which the names are kept.
const DELIVERED_MAX: i64 = 10_000;

/// The checksum of some texts.
fn seal(parts: &[&str]) -> u32 {
    parts.iter().fold(0, |crc, part| {
        crc32c::crc32c_append(crc32c::crc32c_append(crc, part.as_bytes()), &[0])
    })
}

fn unbroken(parts: &[&str], crc: u32, what: &str) -> Done<()> {
    if seal(parts) == crc {
        Ok(())
    } else {
        Err(StateError::Damaged(format!("a stored {what} has a bad checksum")))
    }
}

/// What was read, when it is what was written.
fn checked<T: AsRef<[u8]>>(body: T, crc: u32, what: &str) -> Done<T> {
    if crc32c::crc32c(body.as_ref()) == crc {
        Ok(body)
    } else {
        Err(StateError::Damaged(format!("a stored {what} has a bad checksum")))
    }
}
