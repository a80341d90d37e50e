//! Lines of training libraries: OLMo, Composer, MaxText, clu, litgpt, fairseq.
//!
//! In: nothing. Out: entries of the table of line formats. Invariant: as for [the table](super).

use crate::decode::text::template::{PLAIN, StepFrom, Template};

pub(super) const LIBRARIES: &[Template] = &[
    // OLMo, OLMo-core, Composer: the numbers stand on the indented lines below.
    Template {
        name: "text-olmo",
        heads: &["[step=<step>/<planned>,epoch="],
        is_block: true,
        samples: &[(
            "2025-12-11 00:27:23.511\thazy-fin-02:0\tolmo.train:979\tINFO\t[step=2/2500,epoch=0]\n    optim/total_grad_norm=59.18\n    train/CrossEntropyLoss=10.64\n    train/Perplexity=41,957\n    System/Peak GPU Memory (MB)=111,534\n    optim/LR (group 0)=0.0003\nother=3",
            &[
                ("optim/total_grad_norm", 2, 59.18),
                ("train/CrossEntropyLoss", 2, 10.64),
                ("train/Perplexity", 2, 41_957.0),
                ("System/Peak GPU Memory (MB)", 2, 111_534.0),
                ("optim/LR (group 0)", 2, 0.0003),
            ],
        )],
        ..PLAIN
    },
    Template {
        name: "text-composer",
        heads: &[
            "[batch=<step>/<planned>]:<$>",
            "[epoch=<*>][batch=<step>/<planned>]:<$>",
            "[epoch=<*>][batch=<step>]:<$>",
        ],
        is_block: true,
        samples: &[(
            "[batch=10/20]:\n\t Train loss/train/total: 6.9078\n\t Train l2_norm/grad/model.transformer.layers.0.attention.v: 0.0002",
            &[
                ("Train loss/train/total", 10, 6.9078),
                (
                    "Train l2_norm/grad/model.transformer.layers.0.attention.v",
                    10,
                    0.0002,
                ),
            ],
        )],
        ..PLAIN
    },
    Template {
        name: "text-composer",
        heads: &["[metric][batch=<step>]: "],
        samples: &[(
            "[metric][batch=10]: l2_norm/grad/global: 1.25",
            &[("l2_norm/grad/global", 10, 1.25)],
        )],
        ..PLAIN
    },
    // MaxText. `total_weights` counts tokens.
    Template {
        name: "text-maxtext",
        heads: &["completed step: <step>, "],
        samples: &[(
            "completed step: 10, seconds: 1.250, TFLOP/s/device: 200.500, Tokens/s/device: 1234.500, total_weights: 8192, loss: 10.125",
            &[
                ("seconds", 10, 1.25),
                ("TFLOP/s/device", 10, 200.5),
                ("Tokens/s/device", 10, 1234.5),
                ("total_weights", 10, 8192.0),
                ("loss", 10, 10.125),
            ],
        )],
        ..PLAIN
    },
    // clu.metric_writers.LoggingWriter.
    Template {
        name: "text-clu",
        heads: &["[<step>] "],
        is_guarded: true,
        samples: &[
            (
                "I1123 18:34:55.846173 140585252273024 logging_writer.py:48] [2] grad_norm/Dense_0=9.05257, train/loss=nan, train/lr=0.021218",
                &[
                    ("grad_norm/Dense_0", 2, 9.05257),
                    ("train/loss", 2, f64::NAN),
                    ("train/lr", 2, 0.021_218),
                ],
            ),
            ("[2] references=3", &[]),
        ],
        ..PLAIN
    },
    // litgpt.
    Template {
        name: "text-litgpt",
        heads: &["Epoch <epoch> | iter <step> step <batch> | "],
        rename: &[("val", "val loss")],
        skip: &["remaining time"],
        samples: &[(
            "Epoch 1 | iter 64 step 1 | loss train: 1.842, val: n/a | iter time: 350.11 ms (step) remaining time: 0:12:33",
            &[("loss train", 64, 1.842), ("iter time", 64, 350.11)],
        )],
        ..PLAIN
    },
    // fairseq: JSON in a line with numbers as strings, and the simple format.
    Template {
        name: "text-fairseq",
        heads: &["{\"epoch\": <><*>\"train_num_updates\":"],
        step: StepFrom::Field("train_num_updates"),
        samples: &[(
            "[2022-04-08 18:48:05,372][train][INFO] - {\"epoch\": 1, \"train_loss\": \"9.276\", \"train_num_updates\": \"200\", \"train_gnorm\": \"1.421\"}",
            &[("train_loss", 200, 9.276), ("train_gnorm", 200, 1.421)],
        )],
        ..PLAIN
    },
    Template {
        name: "text-fairseq",
        heads: &["{\"epoch\": <><*>\"valid_num_updates\":"],
        step: StepFrom::Field("valid_num_updates"),
        samples: &[(
            "{\"epoch\": 1, \"valid_loss\": \"5.284\", \"valid_num_updates\": \"967\"}",
            &[("valid_loss", 967, 5.284)],
        )],
        ..PLAIN
    },
    Template {
        name: "text-fairseq",
        heads: &["{\"epoch\": <><*>\"num_updates\":"],
        step: StepFrom::Field("num_updates"),
        samples: &[(
            "[2022-04-08 18:48:05,372][train_inner][INFO] - {\"epoch\": 1, \"update\": 0.416, \"loss\": \"9.276\", \"num_updates\": \"200\", \"lr\": \"3.125e-06\", \"gnorm\": \"inf\", \"loss_scale\": \"128\"}",
            &[
                ("loss", 200, 9.276),
                ("lr", 200, 3.125e-6),
                ("gnorm", 200, f64::INFINITY),
                ("loss_scale", 200, 128.0),
            ],
        )],
        ..PLAIN
    },
    Template {
        name: "text-fairseq",
        heads: &[
            "| epoch <epoch> | valid on <*>| <>",
            "epoch <epoch> | valid on <*>| <>",
        ],
        step: StepFrom::Field("num_updates"),
        prefix: "val/",
        samples: &[(
            "| epoch 001 | valid on 'valid' subset | valid_loss 5.28411 | valid_ppl 12.68 | num_updates 967",
            &[("val/valid_loss", 967, 5.28411), ("val/valid_ppl", 967, 12.68)],
        )],
        ..PLAIN
    },
    Template {
        name: "text-fairseq",
        heads: &[
            "| epoch <epoch> | <><*>| num_updates",
            "epoch <epoch> | <><*>| num_updates",
            "| epoch <epoch>: <><*>num_updates=",
        ],
        step: StepFrom::Field("num_updates"),
        samples: &[(
            "| epoch 001 | loss 8.274 | ppl 144.08 | num_updates 967 | lr 0.00108788 | gnorm 41698.661 | clip 100% | loss_scale 4.000 | wall 275",
            &[
                ("loss", 967, 8.274),
                ("ppl", 967, 144.08),
                ("lr", 967, 0.001_087_88),
                ("gnorm", 967, 41_698.661),
                ("clip", 967, 100.0),
                ("loss_scale", 967, 4.0),
                ("wall", 967, 275.0),
            ],
        )],
        ..PLAIN
    },
];
