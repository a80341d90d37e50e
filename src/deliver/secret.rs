//! A secret from where it is kept.
//!
//! In: the name of a file or of a systemd credential. Out: the secret, which shows itself to nobody who does not ask.
//! Invariants: read anew for each use; no error text holds any of it.

use std::io::Read;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use thiserror::Error;

use crate::config::SecretSource;

/// Bytes of a secret file at most.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Why a secret cannot be had.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("failed to read the secret in {path}: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no secret.
    #[error("the secret in {path} {what}")]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There is no directory of credentials.
    #[error("no credential `{0}`: $CREDENTIALS_DIRECTORY is not set; is LoadCredential= in the unit?")]
    NoCredentials(String),
    /// The name of a credential would lead out of the directory.
    #[error("`{0}` is not the name of a credential")]
    BadName(String),
}

/// Reads a secret. One line end behind it does not belong to it.
///
/// # Errors
/// When it cannot be read, is empty, too long, or of more than one line.
pub fn read_secret(source: &SecretSource) -> Result<SecretString, SecretError> {
    let path = secret_path(source)?;
    let text = read(&path)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    let unusable = |what| {
        Err(SecretError::Unusable {
            path: path.clone(),
            what,
        })
    };
    if text.is_empty() {
        return unusable("is empty");
    }
    if text.contains(char::is_control) {
        return unusable("has more than one line, or control characters");
    }
    Ok(SecretString::from(text.to_owned()))
}

/// Where a secret is kept.
///
/// # Errors
/// When it is a credential, and the service manager has given none of this name.
pub fn secret_path(source: &SecretSource) -> Result<PathBuf, SecretError> {
    match source {
        SecretSource::File(path) => Ok(path.clone()),
        SecretSource::Credential(name) => credential_path(name),
    }
}

fn credential_path(name: &str) -> Result<PathBuf, SecretError> {
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        return Err(SecretError::BadName(name.to_owned()));
    }
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|it| !it.is_empty());
    let directory = directory.ok_or_else(|| SecretError::NoCredentials(name.to_owned()))?;
    Ok(Path::new(&directory).join(name))
}

fn read(path: &Path) -> Result<String, SecretError> {
    let unreadable = |source| SecretError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(SECRET_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let unusable = |what| SecretError::Unusable {
        path: path.to_owned(),
        what,
    };
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(unusable("is longer than 64 KiB"));
    }
    String::from_utf8(bytes).map_err(|_| unusable("is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn secret_of(bytes: &[u8]) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, bytes).unwrap();
        read_secret(&SecretSource::File(path))
            .map(|it| it.expose_secret().to_owned())
            .map_err(|it| it.to_string().rsplit_once("secret ").unwrap().1.to_owned())
    }

    #[test]
    fn one_line_end_does_not_belong_to_a_secret() {
        assert_eq!(secret_of(b"s3cret pass\n"), Ok("s3cret pass".to_owned()));
        assert_eq!(secret_of(b"s3cret\r\n"), Ok("s3cret".to_owned()));
        assert_eq!(secret_of(b"s3cret"), Ok("s3cret".to_owned()));
        assert_eq!(secret_of(b"\n"), Err("is empty".to_owned()));
        assert!(
            secret_of(b"one\ntwo\n").is_err(),
            "a second line would be a command"
        );
        assert!(secret_of(b"\xff").is_err());
        assert!(secret_of(&[b'x'; 70_000]).is_err());
    }

    #[test]
    fn a_credential_cannot_lead_out_of_its_directory() {
        for name in ["", "..", "a/b", "/etc/passwd"] {
            let error = read_secret(&SecretSource::Credential(name.to_owned())).unwrap_err();
            assert!(matches!(error, SecretError::BadName(_)), "{error}");
        }
    }
}
