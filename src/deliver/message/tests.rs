//! What a message says, and what stays the same over a thread.

use super::{Place, Tone, bulletin_message, digest_message, shell_word};
use crate::alert::{Digest, Gathered, Occasion, Over, Standing};
use crate::deliver::fixture::{alarm, at, bulletin, finding, vanishing};
use crate::model::Severity;

fn place() -> Place {
    Place {
        host: "gpu1".to_owned(),
        state: None,
    }
}

#[test]
fn commands_name_the_state_where_it_has_to_be_named() {
    let commands = |place: &Place| -> Vec<String> {
        let message = bulletin_message(&bulletin(), place);
        message.commands.into_iter().map(|it| it.1).collect()
    };
    assert_eq!(
        commands(&place()),
        [
            "gradwatch ack a1b2c3-4",
            "gradwatch silence --for 1d gpt/run-7",
            "gradwatch rules show non-finite-loss"
        ]
    );
    let elsewhere = Place {
        state: Some("/var/lib/grad watch".into()),
        ..place()
    };
    assert_eq!(
        commands(&elsewhere)[0],
        "gradwatch ack a1b2c3-4 --state '/var/lib/grad watch'"
    );
}

#[test]
fn the_subject_changes_in_its_state_word_only() {
    let first = bulletin_message(&bulletin(), &place()).subject;
    assert_eq!(
        first,
        "[gradwatch] [CRITICAL] gpt/run-7: loss is NaN since step 12,345"
    );
    let mut over = bulletin();
    over.occasion = Occasion::Resolved;
    over.sequence = 3;
    over.roots[0].standing = Standing::Resolved(Over::Superseded);
    // Its numbers have moved since.
    over.roots[0].finding.count = 900;
    over.roots[0].finding.message = "loss is NaN at step 13,000".to_owned();
    over.roots[0].finding.last_step = Some(13_000);
    let last = bulletin_message(&over, &place());
    assert_eq!(last.subject, first.replace("CRITICAL", "RESOLVED"));
    assert_eq!(last.tone, Tone::Resolved);
    assert!(
        last.alarms[0].facts.iter().any(|it| it.1.contains("restart")),
        "says why"
    );
    assert!(
        !last.commands.iter().any(|it| it.1.contains("ack")),
        "nothing is left to be seen"
    );
}

#[test]
fn a_warning_that_got_worse_is_critical_under_the_same_words() {
    let mut first = bulletin();
    first.roots = vec![alarm(vanishing(12))];
    let before = bulletin_message(&first, &place()).subject;
    let mut worse = first.clone();
    worse.occasion = Occasion::Worse;
    worse.roots[0].finding.severity = Severity::Critical;
    let after = bulletin_message(&worse, &place()).subject;
    assert_eq!(
        before,
        "[gradwatch] [WARNING] gpt/run-7: vanishing gradients since step 12,345"
    );
    assert_eq!(after, before.replace("WARNING", "CRITICAL"));
}

#[test]
fn long_lists_are_cut_with_a_count() {
    let mut many = bulletin();
    many.roots = (0..40).map(|_| alarm(vanishing(500))).collect();
    many.consequences = (0..99).map(|_| alarm(finding())).collect();
    let message = bulletin_message(&many, &place());
    assert_eq!(message.alarms.len(), 5);
    assert_eq!(message.alarms[4].title, "and 36 more");
    assert_eq!(message.consequences.len(), 13);
    assert_eq!(message.consequences[12], "and 87 more");
    let layers = &message.alarms[0]
        .facts
        .iter()
        .find(|it| it.0 == "Layers")
        .unwrap()
        .1;
    assert!(layers.starts_with("500: h.0.mlp.fc, "), "{layers}");
    assert!(layers.ends_with(" and 484 more"), "{layers}");
}

#[test]
fn a_run_that_is_the_root_is_named_by_it() {
    let mut root = bulletin();
    root.run = ".".to_owned();
    let message = bulletin_message(&root, &place());
    assert!(
        message.subject.contains("] runs: loss is NaN"),
        "{}",
        message.subject
    );
}

#[test]
fn a_command_is_one_that_can_be_pasted() {
    assert_eq!(shell_word("gpt/run-7"), "gpt/run-7");
    assert_eq!(shell_word("a b; rm -rf ~"), "'a b; rm -rf ~'");
    assert_eq!(shell_word("it's"), "'it'\\''s'");
    assert_eq!(shell_word("--all"), "'--all'");
    assert_eq!(shell_word(""), "''");
    assert!(!shell_word("a\nb").contains('\n'));
}

#[test]
fn a_digest_tells_the_worst_first_and_counts() {
    let mut calm = bulletin();
    calm.run = "calm".to_owned();
    calm.roots = vec![alarm(vanishing(3))];
    let bulletins = vec![calm, bulletin()];
    let digest = Digest {
        gathered: Gathered::Capped,
        name: "d-1".to_owned(),
        at: at(60),
        bulletins,
    };
    let message = digest_message(&digest, &place());
    assert_eq!(message.subject, "[gradwatch] [CRITICAL] 2 runs with news");
    assert!(message.alarms[0].title.starts_with("gpt/run-7: loss is NaN"));
    assert!(message.alarms[1].title.starts_with("calm: vanishing"));
    assert!(message.facts.contains(&("Warning", "1".to_owned())));
}
