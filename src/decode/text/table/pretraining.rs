//! Lines of programs that pretrain language models: Megatron-LM, GPT-NeoX, the nanoGPT family, torchtitan, DeepSpeed, NeMo.
//!
//! In: nothing. Out: entries of the table of line formats. Invariant: as for [the table](super).

use crate::decode::text::template::{Must, PLAIN, StepFrom, Template};
use crate::model::Smoothing;

pub(super) const PRETRAINING: &[Template] = &[
    // Megatron-LM, Megatron-DeepSpeed: training_log() in megatron/training/training.py. A NaN loss is not
    // printed at all, and a skipped iteration neither.
    Template {
        name: "text-megatron",
        heads: &["iteration <step>/<planned> |"],
        must: Some(Must {
            word: "loss",
            witness: "number of skipped iterations",
        }),
        samples: &[
            (
                " [2026-11-23 18:28:57.702956] iteration        2/     300 | consumed samples:           64 | elapsed time per iteration (ms): 20.9 | learning rate: 2.000000E-04 | global batch size:    32 | lm loss: 4.535488E+00 | loss scale: 1.0 | grad norm: 3.466 | number of skipped iterations:   0 | number of nan iterations:   0 |",
                &[
                    ("consumed samples", 2, 64.0),
                    ("elapsed time per iteration (ms)", 2, 20.9),
                    ("learning rate", 2, 2e-4),
                    ("global batch size", 2, 32.0),
                    ("lm loss", 2, 4.535_488),
                    ("loss scale", 2, 1.0),
                    ("grad norm", 2, 3.466),
                    ("number of skipped iterations", 2, 0.0),
                    ("number of nan iterations", 2, 0.0),
                ],
            ),
            (
                "[default7]: iteration    12695/  115311 | elapsed time per iteration (s): 105.22 | lm-loss: 2.463556E+00 | grad norm: 0.174 | samples per second: 19.463 | TFLOPs: 149.02 |",
                &[
                    ("elapsed time per iteration (s)", 12695, 105.22),
                    ("lm-loss", 12695, 2.463_556),
                    ("grad norm", 12695, 0.174),
                    ("samples per second", 12695, 19.463),
                    ("TFLOPs", 12695, 149.02),
                ],
            ),
        ],
        ..PLAIN
    },
    Template {
        name: "text-megatron",
        heads: &["validation loss at iteration <step> <*>|"],
        prefix: "val/",
        rename: &[("lm loss value", "lm loss"), ("lm loss PPL", "lm loss PPL")],
        samples: &[(
            " validation loss at iteration 100 | lm loss value: 8.017406E+00 | lm loss PPL: 3.033300E+03 | ",
            &[("val/lm loss", 100, 8.017_406), ("val/lm loss PPL", 100, 3033.3)],
        )],
        ..PLAIN
    },
    // GPT-NeoX: megatron/logging.py.
    Template {
        name: "text-neox",
        heads: &["samples/sec: <=samples/sec> | iteration <step>/<planned> |"],
        samples: &[(
            " samples/sec: 27.128 | iteration       10/  320000 | elapsed time per iteration (ms): 1179.6 | learning rate: 1.875E-06 | approx flops per GPU: 62.1TFLOPS | lm_loss: 1.109E+01 | loss scale: 4096.0 | number of skipped iterations:   0 | number of nan iterations:   0 |",
            &[
                ("samples/sec", 10, 27.128),
                ("elapsed time per iteration (ms)", 10, 1179.6),
                ("learning rate", 10, 1.875e-6),
                ("approx flops per GPU", 10, 62.1),
                ("lm_loss", 10, 11.09),
                ("loss scale", 10, 4096.0),
                ("number of skipped iterations", 10, 0.0),
                ("number of nan iterations", 10, 0.0),
            ],
        )],
        ..PLAIN
    },
    // nanoGPT: train.py; often followed by hand-written lines per layer.
    Template {
        name: "text-nanogpt",
        heads: &["iter <step>: <>loss"],
        samples: &[
            (
                "iter 250: loss 2.4321, time 44.04ms, mfu 17.12%",
                &[("loss", 250, 2.4321), ("time", 250, 44.04), ("mfu", 250, 17.12)],
            ),
            (
                "iter 1: loss nan, time 5.78ms, mfu -100.00%, lr 1.000e-04",
                &[
                    ("loss", 1, f64::NAN),
                    ("time", 1, 5.78),
                    ("mfu", 1, -100.0),
                    ("lr", 1, 1e-4),
                ],
            ),
        ],
        ..PLAIN
    },
    Template {
        name: "text-nanogpt",
        heads: &["step <step>: <>train loss"],
        samples: &[(
            "step 250: train loss 1.9753, val loss 2.0769",
            &[("train loss", 250, 1.9753), ("val loss", 250, 2.0769)],
        )],
        ..PLAIN
    },
    // modded-nanogpt: `step_avg:nanms` is a timer that warms up.
    Template {
        name: "text-modded-nanogpt",
        heads: &[
            "step:<step>/<planned> <>train_loss",
            "step:<step>/<planned> <>val_loss",
        ],
        samples: &[
            (
                "step:1750/1750 train_loss:3.2751 train_time:279349ms step_avg:160.55ms",
                &[
                    ("train_loss", 1750, 3.2751),
                    ("train_time", 1750, 279_349.0),
                    ("step_avg", 1750, 160.55),
                ],
            ),
            (
                "step:0/6200 val_loss:10.9264 train_time:285ms step_avg:nanms",
                &[
                    ("val_loss", 0, 10.9264),
                    ("train_time", 0, 285.0),
                    ("step_avg", 0, f64::NAN),
                ],
            ),
        ],
        ..PLAIN
    },
    // llm.c main.log, the oldest modded-nanogpt: train loss, evaluation loss.
    Template {
        name: "text-llmc",
        heads: &["s:<step> <>trl:"],
        samples: &[(
            "s:19558 trl:3.3148 lr:0.000000 norm:0.22",
            &[("trl", 19558, 3.3148), ("lr", 19558, 0.0), ("norm", 19558, 0.22)],
        )],
        ..PLAIN
    },
    Template {
        name: "text-llmc",
        heads: &["s:<step> <>tel:", "s:<step> <>eval:"],
        prefix: "val/",
        samples: &[("s:19560 tel:3.2722", &[("val/tel", 19560, 3.2722)])],
        ..PLAIN
    },
    // build-nanogpt log.txt.
    Template {
        name: "text-build-nanogpt",
        heads: &[
            "<step> train <=train loss><$>",
            "<step> val <=val loss><$>",
            "<step> hella <=hella><$>",
        ],
        samples: &[
            ("19072 train 2.941178", &[("train loss", 19072, 2.941_178)]),
            ("19072 val 2.9150", &[("val loss", 19072, 2.915)]),
        ],
        ..PLAIN
    },
    // nanochat: scripts/base_train.py; its loss is a debiased moving average.
    Template {
        name: "text-step-of",
        heads: &["step <step>/<planned> (<*>) | <>loss"],
        smoothed: Some(Smoothing::MovingAverage),
        samples: &[(
            "step 00100/21400 (0.47%) | loss: 5.100000 | lrm: 1.00 | dt: 400.00ms | tok/sec: 1,234,567 | bf16_mfu: 47.1 | epoch: 1 | total time: 1.2m",
            &[
                ("loss", 100, 5.1),
                ("lrm", 100, 1.0),
                ("dt", 100, 400.0),
                ("tok/sec", 100, 1_234_567.0),
                ("bf16_mfu", 100, 47.1),
                ("total time", 100, 1.2),
            ],
        )],
        ..PLAIN
    },
    // llm.c stdout.
    Template {
        name: "text-step-of",
        heads: &["step <step>/<planned> | <>loss"],
        samples: &[(
            "step  100/19560 | loss 6.123456 (+0.10z)| norm 0.9123 (-0.30z)| lr 1.00e-04 | 320.10 ms | 48.1% bf16 MFU | 163840 tok/s",
            &[("loss", 100, 6.123_456), ("norm", 100, 0.9123), ("lr", 100, 1e-4)],
        )],
        ..PLAIN
    },
    // build-nanogpt stdout, torchtune's DiskLogger and StdoutLogger.
    Template {
        name: "text-step",
        heads: &["step <step> | <>loss"],
        samples: &[
            (
                "step 19072 | loss: 2.941178 | lr 6.0000e-05 | norm: 0.2707 | dt: 338.12ms | tok/sec: 1550620.05",
                &[
                    ("loss", 19072, 2.941_178),
                    ("lr", 19072, 6e-5),
                    ("norm", 19072, 0.2707),
                    ("dt", 19072, 338.12),
                    ("tok/sec", 19072, 1_550_620.05),
                ],
            ),
            (
                "Step 1 | loss:1.2345 lr:2e-05 tokens_per_second_per_gpu:812.5 grad_norm:tensor(1.5)",
                &[
                    ("loss", 1, 1.2345),
                    ("lr", 1, 2e-5),
                    ("tokens_per_second_per_gpu", 1, 812.5),
                    ("grad_norm", 1, 1.5),
                ],
            ),
        ],
        ..PLAIN
    },
    // torchtitan, with colours around every number.
    Template {
        name: "text-torchtitan",
        heads: &["step: <step> <>loss:"],
        samples: &[(
            "[rank0]:[titan] 2025-01-01 00:00:01,500 - root - INFO - \x1b[31mstep: 20  \x1b[32mloss: 11.83506  \x1b[38;2;180;60;0mgrad_norm:  9.6669  \x1b[33mmemory: 48.87GiB(51.44%)  \x1b[34mtps: 4,376  \x1b[36mtflops: 253.41  \x1b[35mmfu: N/A\x1b[39m",
            &[
                ("loss", 20, 11.83506),
                ("grad_norm", 20, 9.6669),
                ("memory", 20, 48.87),
                ("tps", 20, 4376.0),
                ("tflops", 20, 253.41),
            ],
        )],
        ..PLAIN
    },
    // DeepSpeed engine: lr and mom are lists, of which the first is read.
    Template {
        name: "text-deepspeed",
        heads: &["step=<step>, <>skipped="],
        samples: &[(
            "[2021-06-10 20:47:51,885] [INFO] [logging.py:60:log_dist] [Rank 0] step=10, skipped=1, lr=[0.001, 0.001], mom=[(0.9, 0.999), (0.9, 0.999)]",
            &[("skipped", 10, 1.0), ("lr", 10, 0.001)],
        )],
        skip: &["mom"],
        ..PLAIN
    },
    Template {
        name: "text-deepspeed",
        heads: &["epoch=<epoch>/micro_step=<batch>/global_step=<step>, "],
        samples: &[(
            "[2021-06-10 20:47:51,885] [INFO] [timer.py:197:stop] epoch=0/micro_step=80/global_step=10, RunningAvgSamplesPerSec=12.5, CurrSamplesPerSec=12.25, MemAllocated=5.4GB, MaxMemAllocated=9.1GB",
            &[
                ("RunningAvgSamplesPerSec", 10, 12.5),
                ("CurrSamplesPerSec", 10, 12.25),
                ("MemAllocated", 10, 5.4),
                ("MaxMemAllocated", 10, 9.1),
            ],
        )],
        ..PLAIN
    },
    Template {
        name: "text-deepspeed",
        heads: &["steps: <step> <>loss:"],
        samples: &[(
            "steps: 10 loss: 2.3456 iter time (s): 0.512 samples/sec: 62.500",
            &[
                ("loss", 10, 2.3456),
                ("iter time (s)", 10, 0.512),
                ("samples/sec", 10, 62.5),
            ],
        )],
        ..PLAIN
    },
    // NeMo 2 ProgressPrinter.
    Template {
        name: "text-nemo",
        heads: &["Training epoch <epoch>, iteration <batch>/<batches> | "],
        step: StepFrom::Field("global_step"),
        samples: &[(
            "Training epoch 0, iteration 99/1000 | lr: 0.0003 | global_batch_size: 512 | global_step: 99 | reduced_train_loss: 10.33 | train_step_timing in s: 1.2",
            &[
                ("lr", 99, 0.0003),
                ("global_batch_size", 99, 512.0),
                ("reduced_train_loss", 99, 10.33),
                ("train_step_timing in s", 99, 1.2),
            ],
        )],
        ..PLAIN
    },
];
