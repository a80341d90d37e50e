//! One TOML file and a few flags to settings.
//!
//! In: the text of the file. Out: [`Settings`], or every problem at once with its place. Invariant: settings come
//! out only when their file had no problem.

mod mail;
mod read;
mod settings;
mod units;

pub use mail::{SmtpAddress, with_flags};
pub use read::read;
pub use settings::{
    AlertSettings, AlertmanagerSettings, CommandSettings, ListenSettings, MailSettings, SecretSource,
    Settings, Tls, WatchSettings, WebhookSettings,
};
pub use units::{bytes, duration};
