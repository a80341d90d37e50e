//! Lines of vision toolkits and benchmarks: mmengine, detectron2, StyleGAN, MLPerf, MXNet.
//!
//! In: nothing. Out: entries of the table of line formats. Invariant: as for [the table](super).

use crate::decode::text::template::{PLAIN, StepFrom, Template};
use crate::model::Smoothing;

pub(super) const VISION: &[Template] = &[
    // mmengine: means over a window of 10 iterations (LogProcessor).
    Template {
        name: "text-mmengine",
        heads: &["Epoch(train) [<epoch>][<batch>/<batches>] "],
        smoothed: Some(Smoothing::MovingAverage),
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
        smoothed: Some(Smoothing::MovingAverage),
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
        smoothed: Some(Smoothing::Median),
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
];
