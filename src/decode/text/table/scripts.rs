//! Lines of examples, tutorials and hand-written loops.
//!
//! In: nothing. Out: entries of the table of line formats. Invariant: as for [the table](super).

use crate::decode::text::template::{PLAIN, StepFrom, Template};

pub(super) const SCRIPTS: &[Template] = &[
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
