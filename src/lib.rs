//! gradwatch: a watchdog for training runs that already exist.
//!
//! ```text
//! files --source--> bytes --decode--> Sample --extract--> Meaning --series--> points, Profile
//!       --rules--> Finding --report--> text, JSON
//!                  Finding --alert--> Notice --report--> text, JSON   (a run that is followed)
//! ```
//!
//! Modules in reading order; each may use only those named behind the arrow (held by `tests/tidy.rs`):
//!
//! | module | job | may use |
//! | --- | --- | --- |
//! | [`model`] | the values that flow | |
//! | [`stats`] | functions on slices: Theil-Sen, Kendall, robust scale, CUSUM | |
//! | [`decode`] | bytes to samples; knows formats, not files | model |
//! | [`source`] | files to bytes; knows files, not formats | model |
//! | [`extract`] | tag to meaning: quantity, layer, depth | model |
//! | [`series`] | points to histories and profiles over depth | model, extract |
//! | [`compare`] | two runs to one judgement: does it train? | model, stats, series |
//! | [`rules`] | profiles and histories to findings; pure | model, stats, series, compare |
//! | [`alert`] | findings over time to alarms: what is news, what is over | model |
//! | [`config`] | one TOML file to the settings of the daemon | model, rules |
//! | [`state`] | what the daemon must not forget, in one database | model, alert |
//! | [`report`] | findings and alarms to text, JSON and a page | model, series, stats, rules, alert |
//! | [`deliver`] | bulletins to messages, and the messages to mail servers and other receivers | model, rules, alert, report, config |
//! | [`serve`] | what a running daemon shows over HTTP: live page, metrics, state for programs | model, alert, series, report |
//! | [`simulate`] | the linear chain: the reference for every threshold | model, stats |
//! | [`calibrate`] | thresholds for a stated false-alarm probability, from simulated networks | stats, simulate |
//! | [`app`] | the only place that joins parts; one file per command | all |
//! | [`cli`] | every flag, once | model, simulate, config |

pub mod alert;
pub mod app;
pub mod calibrate;
pub mod cli;
pub mod compare;
pub mod config;
pub mod decode;
pub mod deliver;
pub mod exit;
pub mod extract;
pub mod model;
pub mod report;
pub mod rules;
pub mod series;
pub mod serve;
pub mod simulate;
pub mod source;
pub mod state;
pub mod stats;
