//! Layer path to section, position, depth index, role and parameter.
//!
//! In: the layer part of a tag (`module.transformer.blocks.8.att_proj.weight`, `dense_1/kernel:0`). Out: a
//! [`Layer`]. Invariant: two paths that differ only in the numbers that make their depth have the same role.
//! The steps are those measured on the parameter names of some thirty frameworks: wrappers off, parameter off,
//! container indices out, and the digits of leaf names count as depth only where there is no container.

use crate::model::{Layer, Position, Section};

/// Wrappers that stand before the model's own names; stripped repeatedly from the front.
const WRAPPERS: &[&str] = &["module", "model", "base_model", "network", "net"];

/// Wrappers that frameworks insert anywhere in a path (`torch.compile`, FSDP, activation checkpointing).
const WRAPPERS_ANYWHERE: &[&str] = &[
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_forward_module",
    "_checkpoint_wrapped_module",
];

/// Last components that name a parameter of the layer before them.
const PARAMETERS: &[&str] = &[
    "weight",
    "bias",
    "kernel",
    "gamma",
    "beta",
    "scale",
    "embedding",
    "w",
    "b",
];

/// Words that hold a container index in the same component even when letters precede them (`encoderblock_3`).
const BLOCK_ENDINGS: &[&str] = &["block", "blocks", "layer", "layers", "stage", "stages"];

/// Words that hold a container index in the same component when they stand alone (`h3`, `level_2`).
const BLOCK_WORDS: &[&str] = &[
    "h", "group", "groups", "encoder", "decoder", "enc", "dec", "unit", "units", "cell", "cells", "level",
    "levels", "scale", "scales",
];

/// Names of Keras layers without their automatic suffix: the first `dense` is followed by `dense_1`.
const KERAS_LAYERS: &[&str] = &[
    "dense",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv2d_transpose",
    "separable_conv2d",
    "depthwise_conv2d",
    "lstm",
    "gru",
    "simple_rnn",
    "batch_normalization",
    "layer_normalization",
    "multi_head_attention",
];

const EMBED_WORDS: &[&str] = &[
    "wte",
    "wpe",
    "emb",
    "tok_embeddings",
    "word_embeddings",
    "patch_embed",
    "pos",
    "pos_emb",
    "pos_embed",
    "token_emb",
    "cls_token",
];

const HEAD_WORDS: &[&str] = &[
    "lm_head",
    "head",
    "output",
    "output_layer",
    "out",
    "classifier",
    "final_linear",
    "logits",
    "ff_out",
    "fc_out",
    "prediction",
    "predictions",
    "score",
    "readout",
    "ln_f",
    "norm_f",
    "final_norm",
    "final_layer_norm",
    "final_layernorm",
    "norm",
];

/// Understands a layer path.
#[must_use]
pub fn parse_layer(path: &str) -> Layer {
    let all: Vec<&str> = path.split(['.', '/']).filter(|it| !it.is_empty()).collect();
    let components = strip_wrappers(&all);
    let stripped_path = components
        .first()
        .map_or(path, |first| from_component(path, first));
    let (components, parameter) = split_parameter(components);
    let (role, depth) = role_and_depth(&components, is_keras(path));
    Layer {
        path: stripped_path.to_owned(),
        section: section_of(&components),
        position: position_of(&components, &depth),
        depth,
        role,
        parameter,
    }
}

/// Whether a path can be a layer's name: it has an index, a parameter, or a word that layers are called by.
#[must_use]
pub(super) fn looks_like_layer(path: &str) -> bool {
    const MODULE_WORDS: &[&str] = &[
        "layer",
        "block",
        "conv",
        "fc",
        "dense",
        "linear",
        "attn",
        "attention",
        "mlp",
        "ffn",
        "norm",
        "ln",
        "bn",
        "encoder",
        "decoder",
        "embed",
        "head",
        "lstm",
        "gru",
        "rnn",
        "kernel",
        "proj",
        "stem",
        "backbone",
        "neck",
        "hidden",
        "inp",
        "out",
        "router",
        "gate",
    ];
    let layer = parse_layer(path);
    let has_module_word = || {
        path.split(|c: char| !c.is_ascii_alphabetic()).any(|word| {
            let word = word.to_ascii_lowercase();
            MODULE_WORDS.contains(&word.as_str()) || MODULE_WORDS.contains(&word.trim_end_matches('s'))
        })
    };
    !layer.depth.is_empty() || layer.parameter.is_some() || has_module_word()
}

/// Whether a path ends in a parameter word, so that a tensor of this name is a weight.
#[must_use]
pub(super) fn ends_in_parameter(path: &str) -> bool {
    let last = path.rsplit(['.', '/']).next().unwrap_or(path);
    parameter_word(last).is_some()
        || last.starts_with("weight_hh_l")
        || last.starts_with("weight_ih_l")
        || last.starts_with("bias_hh_l")
        || last.starts_with("bias_ih_l")
}

/// The tail of `path` that begins with `component`, which is a slice of it.
fn from_component<'a>(path: &'a str, component: &str) -> &'a str {
    let offset = (component.as_ptr() as usize).saturating_sub(path.as_ptr() as usize);
    path.get(offset..).unwrap_or(path)
}

fn strip_wrappers<'a>(components: &[&'a str]) -> Vec<&'a str> {
    let is_wrapper = |it: &str| WRAPPERS.contains(&it) || WRAPPERS_ANYWHERE.contains(&it);
    let n_wrappers = components.iter().take_while(|it| is_wrapper(it)).count();
    // A path that is nothing but wrappers keeps its last one as its name.
    let start = n_wrappers.min(components.len().saturating_sub(1));
    components
        .iter()
        .skip(start)
        .copied()
        .filter(|it| !WRAPPERS_ANYWHERE.contains(it) || components.len() == 1)
        .collect()
}

/// Takes the parameter off the end: `weight`, `kernel:0`, `kernel_0`, `lora_A.default.weight`, `in_proj_weight`.
fn split_parameter(mut components: Vec<&str>) -> (Vec<&str>, Option<String>) {
    let n = components.len();
    if let Some(lora) = (0..n).rev().find(|at| is_lora(components[*at]))
        && lora > 0
        && n - lora <= 3
    {
        let tail: Vec<&str> = components.drain(lora..).filter(|it| *it != "default").collect();
        return (components, Some(tail.join(".")));
    }
    let Some(last) = components.last().copied() else {
        return (components, None);
    };
    if n > 1
        && let Some(word) = parameter_word(last)
    {
        components.pop();
        return (components, Some(word.to_owned()));
    }
    if let Some((stem, word)) = last.rsplit_once('_')
        && matches!(word, "weight" | "bias" | "kernel")
        && !stem.is_empty()
    {
        components.pop();
        components.push(stem);
        return (components, Some(word.to_owned()));
    }
    (components, None)
}

fn is_lora(component: &str) -> bool {
    matches!(component, "lora_A" | "lora_B" | "lora_a" | "lora_b")
}

/// The parameter word of a component, without TensorFlow's `:0` and Keras's `_0`.
fn parameter_word(component: &str) -> Option<&'static str> {
    let bare = component.strip_suffix(":0").unwrap_or(component);
    let bare = bare
        .rsplit_once('_')
        .filter(|(_, digits)| is_number(digits))
        .map_or(bare, |(stem, _)| stem);
    PARAMETERS
        .iter()
        .find(|it| bare.eq_ignore_ascii_case(it))
        .copied()
}

fn is_keras(path: &str) -> bool {
    !path.contains('.')
}

/// One number in a component, with its place.
struct Digits {
    start: usize,
    end: usize,
    /// `None` when it does not fit: then it is not an index.
    value: Option<u32>,
}

/// A component with the numbers in it that can be indices.
struct Component<'a> {
    text: &'a str,
    digits: Vec<Digits>,
    /// How many of `digits`, from the front, count layers of a container; the rest belongs to the leaf's name.
    n_container: usize,
    /// The number is an index of width (an expert), part of the role only.
    is_width: bool,
}

fn role_and_depth(components: &[&str], is_keras: bool) -> (String, Vec<u32>) {
    let parsed: Vec<Component<'_>> = components
        .iter()
        .enumerate()
        .map(|(at, text)| parse_component(text, at.checked_sub(1).and_then(|before| components.get(before))))
        .collect();
    let has_container = parsed.iter().any(|it| it.n_container > 0 || it.is_width);
    let mut depth = Vec::new();
    let mut role = Vec::with_capacity(parsed.len());
    for component in &parsed {
        let n_indices = if has_container {
            component.n_container
        } else {
            component.digits.len()
        };
        let indices = component.digits.iter().take(n_indices);
        if component.is_width {
            role.push("#".to_owned());
            continue;
        }
        depth.extend(indices.filter_map(|it| it.value));
        role.push(without_numbers(component, n_indices));
    }
    if depth.is_empty() && is_keras {
        number_first_of_keras(&mut role, &mut depth);
    }
    (role.join("."), depth)
}

/// Keras calls its layers `dense`, `dense_1`, `dense_2`: the first has index 0.
fn number_first_of_keras(role: &mut [String], depth: &mut Vec<u32>) {
    for name in role.iter_mut().rev() {
        if KERAS_LAYERS.contains(&name.as_str()) {
            name.push('#');
            depth.push(0);
            return;
        }
    }
}

/// `experts`, `local_experts` (Megatron), `deepspeed_experts`, `routed_experts`: the number behind it is width.
fn holds_experts(component: &str) -> bool {
    component == "expert" || component == "experts" || component.ends_with("_experts")
}

fn parse_component<'a>(text: &'a str, before: Option<&&str>) -> Component<'a> {
    let digits = find_digits(text);
    let is_bare = is_number(text) && digits.iter().all(|it| it.value.is_some());
    let is_width = is_bare && before.is_some_and(|it| holds_experts(it));
    let n_container = if is_bare {
        1
    } else {
        // `conv2_block1_1_conv`: numbers up to the block's own count layers, those after it are the leaf's.
        digits
            .iter()
            .rposition(|it| is_block_word(&text[..it.start]))
            .map_or(0, |last| last + 1)
    };
    Component {
        text,
        digits,
        n_container,
        is_width,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit())
}

/// Numbers that stand at the end of the component or before a `_` or `-`: `fc1`, `block_4_expand`, not `conv1d`.
fn find_digits(text: &str) -> Vec<Digits> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && bytes[at].is_ascii_digit() {
            at += 1;
        }
        if matches!(bytes.get(at), None | Some(b'_' | b'-')) {
            let value = text[start..at].parse().ok();
            found.push(Digits {
                start,
                end: at,
                value,
            });
        }
    }
    found.retain(|it| it.value.is_some());
    found
}

/// Whether the text before a number ends in a word that counts blocks.
fn is_block_word(before: &str) -> bool {
    let word = before.trim_end_matches(['_', '-']).to_ascii_lowercase();
    let last = word.rsplit(['_', '-']).next().unwrap_or("");
    BLOCK_ENDINGS.iter().any(|it| word.ends_with(it)) || BLOCK_WORDS.contains(&last)
}

/// The component with its first `n` numbers replaced: `dense_1` -> `dense#`, `block_4_expand` -> `block_#_expand`.
fn without_numbers(component: &Component<'_>, n: usize) -> String {
    let mut out = String::with_capacity(component.text.len());
    let mut from = 0;
    for digits in component.digits.iter().take(n) {
        let mut before = &component.text[from..digits.start];
        if digits.end == component.text.len() {
            before = before.strip_suffix(['_', '-']).unwrap_or(before);
        }
        out.push_str(before);
        out.push('#');
        from = digits.end;
    }
    out.push_str(&component.text[from..]);
    out
}

fn section_of(components: &[&str]) -> Section {
    for component in components {
        let word = component.to_ascii_lowercase();
        let stem = word.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
        if stem == "enc" || word.starts_with("encoder") {
            return Section::Encoder;
        }
        if stem == "dec" || word.starts_with("decoder") {
            return Section::Decoder;
        }
    }
    Section::None
}

/// Embeddings and heads, told by their words, and only where the path has no index.
fn position_of(components: &[&str], depth: &[u32]) -> Position {
    if !depth.is_empty() || components.iter().any(|it| holds_experts(it)) {
        return Position::Body;
    }
    let is_embed = |it: &&str| {
        let word = it.to_ascii_lowercase();
        EMBED_WORDS.contains(&word.as_str())
            || word.starts_with("embed")
            || word.ends_with("_embeddings")
            || word.ends_with("_embedding")
    };
    if components.iter().any(is_embed) {
        return Position::Embed;
    }
    let is_head = |it: &&str| HEAD_WORDS.contains(&it.to_ascii_lowercase().as_str());
    if components.last().is_some_and(is_head) {
        Position::Head
    } else {
        Position::Body
    }
}

#[cfg(test)]
#[path = "layer/tests.rs"]
mod tests;
