//! The units of systemd, judged by its own tools.
//!
//! In: `systemd/`. Out: what `systemd-analyze` says. Invariant: where the tool is not there and cannot be installed, that
//! is said.

mod started;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::root;
use crate::watch::faults::{has_program, skip};

/// Exposure of 10 at most that a unit may have, times ten. Packages of daemons that only read are at 22 and more.
const EXPOSURE_MAX: u32 = 20;

/// The units with the program that was built here in place of the installed one.
fn units(dir: &Path) -> Vec<PathBuf> {
    let program = assert_cmd::cargo::cargo_bin("gradwatch");
    let readme = root().join("README.md");
    [
        ("gradwatch.service", "gradwatch.service"),
        ("gradwatch@.service", "gradwatch@root.service"),
    ]
    .iter()
    .map(|(name, instance)| {
        let text = fs::read_to_string(root().join("systemd").join(name)).unwrap();
        let here = text
            .replace("/usr/bin/gradwatch", &program.to_string_lossy())
            .replace("/usr/share/doc/gradwatch/README.md", &readme.to_string_lossy());
        assert_ne!(here, text);
        fs::write(dir.join(name), &here).unwrap();
        let path = dir.join(instance);
        fs::write(&path, here).unwrap();
        path
    })
    .collect()
}

fn analyze(args: &[&str], unit: &Path) -> (bool, String) {
    let output = Command::new("systemd-analyze")
        .args(args)
        .arg(unit)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn the_units_are_right_and_expose_little() {
    if !has_program("systemd-analyze", &["systemd"]) {
        assert!(std::env::var_os("CI").is_none(), "systemd-analyze is needed");
        return skip("18", "no systemd-analyze");
    }
    let dir = tempfile::tempdir().unwrap();
    for unit in units(dir.path()) {
        let (is_right, said) = analyze(&["verify", "--man=no"], &unit);
        assert!(
            is_right && !said.contains("gradwatch"),
            "{}: {said}",
            unit.display()
        );
        let threshold = format!("--threshold={EXPOSURE_MAX}");
        let (is_closed, said) = analyze(&["security", "--offline=true", "--no-pager", &threshold], &unit);
        let verdict = said.lines().last().unwrap_or_default().to_owned();
        assert!(is_closed, "{}: {said}", unit.display());
        println!("{}: {verdict}", unit.file_name().unwrap().to_string_lossy());
    }
}
