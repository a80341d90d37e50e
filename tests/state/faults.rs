//! A state that is damaged, a disk that is full, and where secrets are not.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use gradwatch::state::Store;
use serde_json::Value;

use super::{Bench, append, bad_rows, rows};
use crate::support::smtp::{Reply, SmtpServer};
use crate::support::table::{seen, skip};
use crate::watch::faults::{has_program, works};

/// A bench of which three bad runs were told, and the daemon has ended.
fn told() -> Bench {
    let bench = Bench::new();
    for run in ["a", "b", "c"] {
        append(&bench.run(run), &(rows(0..60) + &bad_rows(60..70)));
    }
    let daemon = bench.start();
    for _ in 0..3 {
        assert_eq!(bench.next_message()["occasion"], "firing");
    }
    bench.status_until(|it| it["outbox"]["open"] == 0);
    daemon.stop();
    bench
}

fn spoil(path: &Path, how: &str) {
    let mut bytes = fs::read(path).unwrap();
    match how {
        "cut" => bytes.truncate(bytes.len() / 3),
        "zeroed" => bytes.fill(0),
        "newer" => bytes[60..64].copy_from_slice(&99_u32.to_be_bytes()),
        _ => bytes.iter_mut().skip(4096).step_by(64).for_each(|it| *it ^= 4),
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_state_is_kept_aside_and_its_copy_tells_nothing_twice() {
    for how in ["cut", "zeroed", "flipped", "newer"] {
        let bench = told();
        spoil(&bench.state.join("gradwatch.db"), how);
        assert_eq!(bench.ask(&["status"]).status.code(), Some(1), "{how}");
        let daemon = bench.start();
        daemon.said_until("gradwatch.db.corrupt-1");
        let is_back = |it: &Value| {
            it["alerts"].as_array().is_some_and(|it| it.len() == 3)
                && it["degraded"].as_array().is_some_and(|it| it.len() == 1)
        };
        let status = bench.status_until(is_back);
        assert!(
            status["degraded"][0].as_str().unwrap().contains("corrupt-1"),
            "{how}: {status:#}"
        );
        assert_eq!(
            bench.told_within(Duration::from_secs(1)),
            [] as [String; 0],
            "{how}"
        );
        daemon.stop();
    }
    seen(
        "13",
        "kept aside, previous generation used, loud, no alert storm",
        "cut, zeroed, bit-flipped, from a newer version: kept as corrupt-1, the copy stands in, in status and exit code, \
         nothing told twice",
    );
}

/// Words of findings as this test reads them back.
fn any_word(word: &str) -> Option<&'static str> {
    ["non-finite", "nan", "inf", "masked"]
        .into_iter()
        .find(|it| *it == word)
        .or_else(|| Some(Box::leak(word.to_owned().into_boxed_str())))
}

#[test]
fn any_bit_that_is_flipped_costs_nothing_that_was_told() {
    const N_FLIPS: usize = 400;
    let bench = told();
    let names = ["gradwatch.db", "gradwatch.db.previous"];
    let [whole, copy] = names.map(|it| fs::read(bench.state.join(it)).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let open = |database: &[u8]| {
        let state = tempfile::tempdir_in(dir.path()).unwrap();
        fs::write(state.path().join(names[0]), database).unwrap();
        fs::write(state.path().join(names[1]), &copy).unwrap();
        let (store, opening) = Store::open(state.path(), &any_word).unwrap();
        drop(store);
        let is_kept = state.path().join("gradwatch.db.corrupt-1").exists();
        assert_eq!(is_kept, !opening.losses.is_empty(), "{:?}", opening.losses);
        opening
    };
    let wanted = open(&whole).memory;
    assert_eq!(wanted.cases.len(), 3);
    let mut n_noticed = 0;
    for n in 0..N_FLIPS {
        // A step that meets every part of a page, and every bit of a byte.
        let at = (n * whole.len() / N_FLIPS + n % 61).min(whole.len() - 1);
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (n % 8);
        let found = open(&bytes);
        n_noticed += usize::from(!found.losses.is_empty());
        // NaN is what NaN is not.
        let cases = [&found.memory.cases, &wanted.cases].map(|it| format!("{it:?}"));
        assert_eq!(cases[0], cases[1], "bit {} of byte {at}", n % 8);
        assert_eq!(found.memory.parcels.len(), wanted.parcels.len(), "byte {at}");
    }
    assert!(n_noticed > 0 && n_noticed < N_FLIPS);
    seen(
        "13",
        "bit-flipped: previous generation used, loud",
        &format!(
            "{N_FLIPS} single bits: {n_noticed} in what counts, noticed and made up for; none of the others matters"
        ),
    );
}

#[test]
fn a_disk_that_fails_to_sync_stops_neither_watching_nor_telling_and_is_made_up_for() {
    if !has_program("strace", &["strace"]) || !works("strace", &["-o", "/dev/null", "true"]) {
        return skip("14", "no strace, or it may not trace");
    }
    let bench = told();
    // Not where the daemon looks: each line would be a change that leads to more lines.
    let elsewhere = tempfile::tempdir().unwrap();
    let trace = elsewhere.path().join("trace");
    let before = bench.status();
    // Each thread's calls are counted by themselves; only the loop's thread writes to the database.
    let inject = ["fsync", "fdatasync"].map(|it| format!("inject={it}:error=EIO:when=1..4"));
    let config = bench.dir.path().join("gradwatch.toml");
    let state = bench.state.to_string_lossy().into_owned();
    let program = assert_cmd::cargo::cargo_bin("gradwatch");
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-o"]).arg(&trace);
    command
        .args(["-e", "trace=fsync,fdatasync", "-e", &inject[0], "-e", &inject[1]])
        .arg(program);
    command
        .args(["watch", "--state", &state, "--config"])
        .arg(&config);
    let daemon = bench.start_as(command);
    daemon.said_until("nothing can be stored");
    append(&bench.run("d"), &(rows(0..60) + &bad_rows(60..70)));
    assert_eq!(bench.next_message()["run"], "d", "it watches and tells");
    daemon.said_until("state: works again");
    let status = bench.status_until(|it| it["alerts"].as_array().is_some_and(|it| it.len() == 4));
    let told_before = |run: &Value| run["run"] != "d";
    let old = |status: &Value| -> Vec<Value> {
        let alerts = status["alerts"].as_array().unwrap().iter();
        alerts
            .filter(|it| told_before(it))
            .map(|it| it["since"].clone())
            .collect()
    };
    assert_eq!(old(&status), old(&before), "the old state is intact");
    assert_eq!(bench.told_within(Duration::from_secs(1)), [] as [String; 0]);
    daemon.stop();
    let trace = fs::read_to_string(&trace).unwrap();
    let n_failed = trace.matches("(INJECTED)").count();
    assert!(n_failed > 0, "{trace}");
    // What was stored at the end is there for the next start.
    let daemon = bench.start();
    bench.status_until(|it| it["daemon"]["pid"] == daemon.pid());
    assert_eq!(bench.told_within(Duration::from_secs(1)), [] as [String; 0]);
    daemon.stop();
    seen(
        "14",
        "EIO from fsync: keeps watching, alerts still sent, old state intact, recovers",
        &format!(
            "{n_failed} syncs failed: a new alarm told meanwhile, stored when syncs worked again, nothing told twice"
        ),
    );
}

#[test]
fn a_state_that_is_lost_with_its_copy_leads_to_one_message_that_says_so() {
    let bench = told();
    spoil(&bench.state.join("gradwatch.db"), "zeroed");
    spoil(&bench.state.join("gradwatch.db.previous"), "cut");
    let daemon = bench.start();
    let digest = bench.next_message();
    assert_eq!(
        (&digest["occasion"], &digest["gathered"]),
        (&Value::from("digest"), &Value::from("state-lost"))
    );
    assert_eq!(digest["bulletins"].as_array().unwrap().len(), 3);
    assert_eq!(bench.told_within(Duration::from_secs(1)), [] as [String; 0]);
    daemon.stop();
}

/// A small disk of its own, as long as this lives.
struct SmallDisk<'p>(&'p Path);

impl<'p> SmallDisk<'p> {
    fn mount(path: &'p Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "gradwatch-test"])
            .arg(path)
            .output();
        let is_mounted = mounted.is_ok_and(|it| it.status.success());
        if !is_mounted {
            skip("14", "no small disk could be mounted");
        }
        is_mounted.then_some(Self(path))
    }

    /// Leaves no room.
    fn fill(&self) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.0.join("filler"))
            .unwrap();
        for size in [4096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Lazily, because a daemon of a failed test may still have files there.
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[test]
fn a_full_disk_stops_neither_watching_nor_telling_and_is_made_up_for() {
    let bench = Bench::new();
    let state = bench.state.clone();
    let Some(disk) = SmallDisk::mount(&state) else {
        return;
    };
    append(&bench.run("a"), &rows(0..60));
    let daemon = bench.start();
    bench.status_until(|it| it["runs"].as_array().is_some_and(|it| it.len() == 1));
    disk.fill();
    append(&bench.run("a"), &bad_rows(60..70));
    let told = bench.next_message();
    assert_eq!(
        (&told["run"], &told["occasion"]),
        (&Value::from("a"), &Value::from("firing"))
    );
    daemon.said_until("nothing can be stored");
    disk.empty();
    daemon.said_until("state: works again");
    let status = bench.status_until(|it| it["alerts"].as_array().is_some_and(|it| it.len() == 1));
    assert_eq!(status["alerts"][0]["told"], "critical");
    assert_eq!(bench.told_within(Duration::from_secs(1)), [] as [String; 0]);
    daemon.kill();
    let daemon = bench.start();
    bench.status_until(|it| it["daemon"]["pid"] == daemon.pid());
    assert_eq!(bench.told_within(Duration::from_secs(1)), [] as [String; 0]);
    daemon.stop();
    seen(
        "14",
        "ENOSPC: keeps watching, alerts still sent, old state intact, recovers",
        "no room: told by webhook, said in status, stored when there is room, nothing told twice after kill -9",
    );
}

#[test]
fn a_secret_is_in_no_argument_log_or_database() {
    const SECRET: &str = "hunter2-correct-horse";
    let server = SmtpServer::start(&[
        ("EHLO", "250-mail.test\r\n250 AUTH PLAIN LOGIN".into()),
        ("AUTH", Reply::Line("535 5.7.8 bad password".to_owned())),
    ]);
    let mail = format!(
        "[mail]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nusername = \"me\"\npassword_file = \"password\"\n\
         to = \"me@example.org\"\n",
        server.address.port()
    );
    let bench = Bench::with(&mail);
    let password = bench.dir.path().join("password");
    fs::write(&password, format!("{SECRET}\n")).unwrap();
    let guarded = Command::new("chmod").arg("600").arg(&password).status().unwrap();
    assert!(guarded.success());
    append(&bench.run("a"), &(rows(0..60) + &bad_rows(60..70)));
    let daemon = bench.start();
    assert_eq!(
        bench.next_message()["run"],
        "a",
        "the webhook does not wait for the mail server"
    );
    let status = bench.status_until(|it| it["outbox"]["messages"][0]["state"] == "stuck");
    assert!(status.to_string().contains("535"), "{status:#}");
    assert_eq!(bench.ask(&["status"]).status.code(), Some(1));
    let about = Path::new("/proc").join(daemon.pid());
    let mut places = vec![
        about.join("cmdline"),
        about.join("environ"),
        bench.dir.path().join("stderr"),
    ];
    places.extend(fs::read_dir(&bench.state).unwrap().map(|it| it.unwrap().path()));
    assert!(places.len() > 4);
    for place in places.iter().filter(|it| it.exists()) {
        let bytes = fs::read(place).unwrap();
        assert!(
            !String::from_utf8_lossy(&bytes).contains(SECRET),
            "{}",
            place.display()
        );
    }
    assert!(!status.to_string().contains(SECRET));
    daemon.stop();
}
