//! One TOML file and a few flags to settings.
//!
//! In: the text of the file. Out: [`Settings`], or every problem at once with its place. Invariant: settings come
//! out only when their file had no problem.

mod settings;

pub use settings::{
    AlertSettings, AlertmanagerSettings, CommandSettings, ListenSettings, MailSettings, SecretSource,
    Settings, Tls, WatchSettings, WebhookSettings,
};
