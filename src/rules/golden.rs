//! Comparison with a file of the project; `UPDATE_GOLDEN=1` rewrites the file instead.

use std::path::Path;

/// Fails when the file differs from `got`.
pub(crate) fn assert_golden(path: &str, got: &str) {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&full, got).unwrap();
    }
    let wanted = std::fs::read_to_string(&full).unwrap_or_default();
    assert!(
        wanted == got,
        "{path} differs (UPDATE_GOLDEN=1 rewrites it); now it is:\n{got}"
    );
}
