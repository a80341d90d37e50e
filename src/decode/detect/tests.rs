//! Which format is recognised.
//!
//! In: heads of files. Out: test results. Invariant: event and text decoders are stand-ins that only have a name.

use super::{Opened, open_with};
use crate::decode::text::own::OwnPatterns;
use crate::decode::{Decode, Sink, Tally};

struct Named(&'static str);

impl Decode for Named {
    fn feed(&mut self, _: &[u8], _: &mut dyn Sink) {}
    fn finish(&mut self, _: &mut dyn Sink) {}
    fn tally(&self) -> Tally {
        Tally::default()
    }
    fn format(&self) -> &'static str {
        self.0
    }
}

fn kind(head: &[u8], path: &str) -> String {
    let opened = open_with(
        head,
        path,
        &OwnPatterns::default(),
        &|| Box::new(Named("tfevents")),
        &|| Box::new(Named("text")),
    );
    match opened {
        Opened::Decoder(decoder) => decoder.format().to_owned(),
        Opened::Compressed(name) => format!("compressed {name}"),
        Opened::NotALog(reason) => format!("no log: {reason}"),
        Opened::Empty => "empty".to_owned(),
    }
}

#[test]
fn event_files_are_known_by_checksum_or_name() {
    let record = b"\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22\t";
    assert_eq!(kind(record, "log.bin"), "tfevents");
    assert_eq!(
        kind(b"\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x23\t", "log.bin"),
        "no log: binary data"
    );
    assert_eq!(
        kind(b"\x01garbage", "runs/events.out.tfevents.1.host"),
        "tfevents"
    );
    assert_eq!(kind(b"loss 1", "tfevents/log.txt"), "text");
}

#[test]
fn compressed_files_are_known() {
    assert_eq!(kind(b"\x1f\x8b\x08\0", "events.out.tfevents.1"), "gzip");
    assert_eq!(kind(b"\x78\x9c\xed\xc1\x01", "events.out.tfevents.1"), "zlib");
    assert_eq!(kind(b"\x28\xb5\x2f\xfd\0", "log.zst"), "zstd");
    assert_eq!(kind(b"BZh91AY&SY", "log.bz2"), "compressed bzip2");
    assert_eq!(kind(b"\xfd7zXZ\0", "log.xz"), "compressed xz");
    assert_eq!(kind(b"x^2 + 1 = loss", "log.txt"), "text");
    assert_eq!(kind(b"BZh is a name", "log.txt"), "text");
}

#[test]
fn json_in_its_forms() {
    assert_eq!(
        kind(b"{\"step\":1,\"loss\":NaN}\n{\"step\":2,\"l", "metrics.json"),
        "jsonl"
    );
    assert_eq!(kind(b"{\"step\":1,\"loss\":2}\n", "log"), "jsonl");
    assert_eq!(kind(b"{\"step\":1,\"loss\":2}\n", "wandb-summary.json"), "json");
    assert_eq!(kind(b"{\"st", "log.jsonl"), "jsonl");
    assert_eq!(kind(b"damaged\n{\"step\":1}\n{\"step\":2}\n", "log"), "jsonl");
    assert_eq!(
        kind(
            b"{\n  \"epoch\": 1,\n  \"log_history\": [\n {\"step\": 1, \"loss\": 2}",
            "trainer_state.json"
        ),
        "json"
    );
    assert_eq!(kind(b"[{\"step\":1,\"loss\":2},", "log.txt"), "json");
    assert_eq!(kind(b"[[1,2]]\n[[3]]\n", "metrics.jsonl"), "clearml");
    assert_eq!(
        kind(
            b"{'loss': 1.1, 'epoch': 0.1}\n{'loss': 1.0, 'epoch': 0.2}\n",
            "out.log"
        ),
        "text"
    );
    assert_eq!(
        kind(
            b"[2026-08-22 15:22:22] iteration 1/ 10 | lm loss: 3.0\n",
            "out.log"
        ),
        "text"
    );
    assert_eq!(kind(b"[10/20] loss 1\n[11/20] loss 2\n", "out.log"), "text");
}

#[test]
fn tables_need_a_header_and_numbers() {
    assert_eq!(kind(b"step,loss\n1,2\n2,1\n", "log.txt"), "csv");
    assert_eq!(kind(b"#{\"t_start\": 1}\nr,l,t\n1,2,3\n", "monitor.csv"), "csv");
    assert_eq!(kind(b"step\tloss\n1\t2\n", "loss.tsv"), "csv");
    assert_eq!(kind(b"epoch,step,train_loss\n", "metrics.csv"), "csv");
    assert_eq!(kind(b"loss\n0.5\n0.4\n", "loss.csv"), "csv");
    assert_eq!(kind(b"step,loss\n1,2", "log.txt"), "csv");
    assert_eq!(kind(b"step,loss\n1,2\n2", "log.txt"), "csv");
    assert_eq!(kind(b"step,loss\n1", "log.csv"), "csv");
    assert_eq!(kind(b"loss\n0.5\n0.4\n", "notes.txt"), "text");
    assert_eq!(
        kind(b"step 1, loss 2.0, lr 0.1\nstep 2, loss 1.9, lr 0.1\n", "log.csv"),
        "text"
    );
    assert_eq!(
        kind(b"| step | loss |\n|---|---|\n| 1 | 2 |\n", "README.md"),
        "text"
    );
    assert_eq!(kind(b"lr: 0.1\nlayers: [1, 2]\n", "hparams.yaml"), "text");
    assert_eq!(kind(b"numpy==2.0\ntorch>=2.1,<3\n", "requirements.txt"), "text");
}

#[test]
fn other_logs_and_no_logs_are_told() {
    assert_eq!(kind(b":W&B\xe1\xbe\0", "run-1.wandb"), "wandb");
    assert_eq!(
        kind(b"1664364007310 3.2727866172790527 0\n", "mlruns/0/1/metrics/loss"),
        "mlflow"
    );
    assert_eq!(kind(b"\x89PNG\r\n\x1a\n", "plot.png"), "no log: image");
    assert_eq!(
        kind(b"PK\x03\x04data.pkl", "model.pt"),
        "no log: zip archive or checkpoint"
    );
    assert_eq!(
        kind(b"\x58\x01\0\0\0\0\0\0{\"__metadata__\"", "m.safetensors"),
        "no log: checkpoint"
    );
    let noise: Vec<u8> = (0..2000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    assert_eq!(kind(&noise, "weights"), "no log: binary data");
}

#[test]
fn nothing_yet_is_empty() {
    assert_eq!(kind(b"", "log.txt"), "empty");
    assert_eq!(kind(&[0; 4096], "log.txt"), "empty");
    assert_eq!(kind(b"\n\n  \n", "log.txt"), "empty");
    assert_eq!(
        kind(b"\xff\xfes\0t\0e\0p\0,\0l\0\n\x001\0,\x002\0\n\0", "log.csv"),
        "csv"
    );
}

/// A header of 5,000 columns is longer than the head that is looked at.
#[test]
fn a_table_is_known_by_a_header_that_is_cut() {
    let columns: Vec<String> = (0..5_000)
        .map(|k| format!("weight_norm/layers.{k}.weight"))
        .collect();
    let header = format!("step,loss,{}\n", columns.join(","));
    assert!(header.len() > super::HEAD_BYTES_MAX);
    assert_eq!(kind(header.as_bytes(), "metrics.csv"), "csv");
    assert_eq!(kind(header.as_bytes(), "metrics.log"), "text");
    let prose = "no header, ".repeat(10_000);
    assert_eq!(kind(prose.as_bytes(), "notes.csv"), "text");
}
