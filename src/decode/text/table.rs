//! The line formats that are known, each with lines as they are printed and their reading.
//!
//! In: nothing. Out: the entries. Invariant: every sample gives exactly the points that stand beside it, which
//! one test holds for all entries; an entry that is more special stands before the more general one.

use std::sync::LazyLock;

use super::template::{Must, PLAIN, StepFrom, Template};

/// For every first byte of a message the entries whose heads may begin so, as a set of bits.
///
/// A line that nobody knows is refused by one look-up; this is what keeps source code and sampled text cheap.
pub(super) static BY_FIRST_BYTE: LazyLock<[u64; 256]> = LazyLock::new(|| {
    let mut entries = [0; 256];
    for (at, entry) in TABLE.iter().enumerate() {
        for first in entry.heads.iter().filter_map(|head| head.bytes().next()) {
            // A head that begins with a hole begins with a digit in the line.
            let firsts = if first == b'<' { b'0'..=b'9' } else { first..=first };
            for byte in firsts {
                for case in [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()] {
                    entries[usize::from(case)] |= 1 << at;
                }
            }
        }
    }
    entries
});

/// All entries, at most 64; the first that matches reads the line.
pub(super) const TABLE: &[Template] = &[
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
    // nanochat, llm.c stdout: `step 100/21400 (0.47%) | loss: 5.1 | ..`.
    Template {
        name: "text-step-of",
        heads: &[
            "step <step>/<planned> (<*>) | <>loss",
            "step <step>/<planned> | <>loss",
        ],
        samples: &[
            (
                "step 00100/21400 (0.47%) | loss: 5.100000 | lrm: 1.00 | dt: 400.00ms | tok/sec: 1,234,567 | bf16_mfu: 47.1 | epoch: 1 | total time: 1.2m",
                &[
                    ("loss", 100, 5.1),
                    ("lrm", 100, 1.0),
                    ("dt", 100, 400.0),
                    ("tok/sec", 100, 1_234_567.0),
                    ("bf16_mfu", 100, 47.1),
                    ("total time", 100, 1.2),
                ],
            ),
            (
                "step  100/19560 | loss 6.123456 (+0.10z)| norm 0.9123 (-0.30z)| lr 1.00e-04 | 320.10 ms | 48.1% bf16 MFU | 163840 tok/s",
                &[("loss", 100, 6.123_456), ("norm", 100, 0.9123), ("lr", 100, 1e-4)],
            ),
        ],
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
    // mmengine.
    Template {
        name: "text-mmengine",
        heads: &["Epoch(train) [<epoch>][<batch>/<batches>] "],
        step: StepFrom::Batches { first: 1 },
        samples: &[(
            "2023/06/05 20:09:41 - mmengine - INFO - Epoch(train) [132][ 3/6]  lr: 4.0000e-03  eta: 0:01:00  time: 0.5420  data_time: 0.1020  memory: 2345  loss: 0.0815  grad_norm: 1.2500",
            &[
                ("lr", 789, 4e-3),
                ("time", 789, 0.542),
                ("data_time", 789, 0.102),
                ("memory", 789, 2345.0),
                ("loss", 789, 0.0815),
                ("grad_norm", 789, 1.25),
            ],
        )],
        ..PLAIN
    },
    Template {
        name: "text-mmengine",
        heads: &["Iter(train) [<step>/<planned>] "],
        samples: &[(
            "10/08 12:11:10 - mmengine - INFO - Iter(train) [  100/80000]  lr: 1.0e-02  loss: 1.5000",
            &[("lr", 100, 0.01), ("loss", 100, 1.5)],
        )],
        ..PLAIN
    },
    Template {
        name: "text-mmengine",
        heads: &[
            "Epoch(val) [<epoch>][<batch>/<batches>] ",
            "Epoch(val) [<epoch>] [<batch>/<batches>] ",
        ],
        step: StepFrom::Epoch { first: 0 },
        prefix: "val/",
        samples: &[(
            "2023/06/05 20:09:41 - mmengine - INFO - Epoch(val) [58][3/3]  coco/AP: 0.5000  loss: 0.7500",
            &[("val/coco/AP", 58, 0.5), ("val/loss", 58, 0.75)],
        )],
        ..PLAIN
    },
    // detectron2: medians over 20 iterations.
    Template {
        name: "text-detectron2",
        heads: &["eta: <*>iter: <step> <>total_loss:", "iter: <step> <>total_loss:"],
        samples: &[(
            "[06/05 20:09:41 d2.utils.events]:  eta: 0:10:00  iter: 19  total_loss: 2.13  loss_cls: 0.9  time: 0.4  data_time: 0.01  lr: 0.00025  max_mem: 2345M",
            &[
                ("total_loss", 19, 2.13),
                ("loss_cls", 19, 0.9),
                ("time", 19, 0.4),
                ("data_time", 19, 0.01),
                ("lr", 19, 0.00025),
                ("max_mem", 19, 2345e6),
            ],
        )],
        ..PLAIN
    },
    // StyleGAN2-ADA, StyleGAN3.
    Template {
        name: "text-stylegan",
        heads: &["tick <step> <>kimg "],
        skip: &["time"],
        samples: &[(
            "tick 1     kimg 4.0      time 14m 08s      sec/tick 151.7   sec/kimg 37.91   maintenance 554.1  cpumem 3.15   gpumem 10.21  augment 0.035",
            &[
                ("kimg", 1, 4.0),
                ("sec/tick", 1, 151.7),
                ("sec/kimg", 1, 37.91),
                ("maintenance", 1, 554.1),
                ("cpumem", 1, 3.15),
                ("gpumem", 1, 10.21),
                ("augment", 1, 0.035),
            ],
        )],
        ..PLAIN
    },
    // MLPerf training 0.5 and later (`:::MLLOG`).
    Template {
        name: "text-mlperf",
        heads: &[
            ":::MLP<*>eval_accuracy: {\"epoch\": <epoch>, \"value\": <=val/accuracy>",
            ":::MLP<*>eval_accuracy: {\"value\": <=val/accuracy>, \"epoch\": <epoch>",
            ":::MLLOG <*>\"key\": \"eval_accuracy\", \"value\": <=val/accuracy>, <*>\"epoch_num\": <epoch>",
        ],
        step: StepFrom::Epoch { first: 0 },
        prefix: "val/",
        skip: &["lineno"],
        samples: &[
            (
                ":::MLPv0.5.0 resnet 1541670492.138237715 (/workspace/log_utils.py:49) eval_accuracy: {\"value\": 0.2777, \"epoch\": 3}",
                &[("val/accuracy", 3, 0.2777)],
            ),
            (
                ":::MLLOG {\"namespace\": \"\", \"time_ms\": 1, \"event_type\": \"POINT_IN_TIME\", \"key\": \"eval_accuracy\", \"value\": 0.75, \"metadata\": {\"file\": \"a.py\", \"lineno\": 3, \"epoch_num\": 4}}",
                &[("val/accuracy", 4, 0.75)],
            ),
        ],
        ..PLAIN
    },
    // MXNet Module.fit: batches of an epoch are not counted in the line, so only the end of an epoch has a step.
    Template {
        name: "text-mxnet",
        heads: &["Epoch[<epoch>] Validation-"],
        step: StepFrom::Epoch { first: 0 },
        prefix: "val/",
        samples: &[(
            "INFO:root:Epoch[3] Validation-accuracy=0.277700",
            &[("val/accuracy", 3, 0.2777)],
        )],
        ..PLAIN
    },
    Template {
        name: "text-mxnet",
        heads: &["Epoch[<epoch>] Train-"],
        step: StepFrom::Epoch { first: 0 },
        samples: &[(
            "INFO:root:Epoch[3] Train-cross-entropy=0.5",
            &[("cross-entropy", 3, 0.5)],
        )],
        ..PLAIN
    },
    // The examples of PyTorch (mnist, imagenet), of its tutorials, and timm.
    Template {
        name: "text-pytorch-example",
        heads: &["Train Epoch: <epoch> [<batch>/<batches> (<*>)]"],
        step: StepFrom::Batches { first: 1 },
        samples: &[(
            "Train Epoch: 2 [640/60000 (1%)]\tLoss: 0.300039",
            &[("Loss", 60640, 0.300_039)],
        )],
        ..PLAIN
    },
    Template {
        name: "text-pytorch-example",
        heads: &["Test set: Average loss: <=val/loss>, Accuracy: "],
        step: StepFrom::Last,
        samples: &[(
            "Train Epoch: 1 [640/60000 (1%)]\tLoss: 0.5\nTest set: Average loss: 0.0587, Accuracy: 9808/10000 (98%)",
            &[("Loss", 640, 0.5), ("val/loss", 640, 0.0587)],
        )],
        ..PLAIN
    },
    Template {
        name: "text-pytorch-example",
        heads: &[
            "Epoch: [<epoch>][<batch>/<batches>]",
            "Epoch: [<epoch>] [<batch>/<batches>]",
        ],
        step: StepFrom::Batches { first: 0 },
        samples: &[(
            "Epoch: [1][  10/5005]\tTime  0.500 ( 0.610)\tData  0.001 ( 0.100)\tLoss 6.9012e+00 (7.0010e+00)\tAcc@1   0.39 (  0.21)",
            &[
                ("Time", 5015, 0.5),
                ("Data", 5015, 0.001),
                ("Loss", 5015, 6.9012),
                ("Acc@1", 5015, 0.39),
            ],
        )],
        ..PLAIN
    },
    Template {
        name: "text-pytorch-tutorial",
        heads: &["Epoch [<epoch>/<epochs>], Step [<batch>/<batches>], "],
        step: StepFrom::Batches { first: 1 },
        samples: &[(
            "Epoch [2/5], Step [100/600], Loss: 0.4512",
            &[("Loss", 700, 0.4512)],
        )],
        ..PLAIN
    },
    Template {
        name: "text-timm",
        heads: &["Train: <epoch> [<batch>/<batches> (<*>)]"],
        step: StepFrom::Batches { first: 0 },
        samples: &[(
            "Train: 1 [  50/1251 (  4%)]  Loss: 6.953 (6.942)  Time: 0.512s, 2000.00/s  (0.6s, 1700.00/s)  LR: 1.000e-05  Data: 0.010 (0.100)",
            &[
                ("Loss", 1301, 6.953),
                ("Time", 1301, 0.512),
                ("LR", 1301, 1e-5),
                ("Data", 1301, 0.01),
            ],
        )],
        ..PLAIN
    },
    // Hand-written loops that only print the place: `[10/100] loss: 0.3`, PyTorch-GAN's bracketed cells.
    Template {
        name: "text-keyvalue",
        heads: &["[Epoch <epoch>/<epochs>] [Batch <batch>/<batches>]"],
        step: StepFrom::Batches { first: 0 },
        is_guarded: true,
        samples: &[(
            "[Epoch 2/200] [Batch 5/938] [D loss: 0.250000] [G loss: 0.750000]",
            &[("D loss", 1881, 0.25), ("G loss", 1881, 0.75)],
        )],
        ..PLAIN
    },
    Template {
        name: "text-keyvalue",
        heads: &["[<step>/<planned>]"],
        is_guarded: true,
        samples: &[(
            "[ 10/100] loss: 0.5, acc: 0.25",
            &[("loss", 10, 0.5), ("acc", 10, 0.25)],
        )],
        ..PLAIN
    },
    // Headings of hand-written blocks.
    Template {
        name: "text-block",
        heads: &[
            "step <step>:<$>",
            "step <step><$>",
            "step: <step><$>",
            "[step <step>]<$>",
            "=== step <step> ===<$>",
            "--- step <step> ---<$>",
            "iter <step>:<$>",
            "iteration <step>:<$>",
            "iteration <step><$>",
        ],
        is_block: true,
        is_guarded: true,
        samples: &[(
            "Step 100:\n  loss: 0.5\n  fc1: w_norm 6.5 g_norm 0.25\n  wall clock: 5",
            &[
                ("loss", 100, 0.5),
                ("weight_norm/fc1", 100, 6.5),
                ("grad_norm/fc1", 100, 0.25),
            ],
        )],
        ..PLAIN
    },
];
