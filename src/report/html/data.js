// What the page is given, and how its numbers are read. Text from logs only ever becomes textContent, and what would turn
// the direction of the text around it is shown as its number.

/** Parses the data element with this id; `null` when it is not there. */
function readData(id) {
  const element = document.getElementById(id);
  return element === null ? null : JSON.parse(element.textContent);
}

/** Bidi_Control of Unicode: one of them in a name would turn what stands beside it. */
const TURNING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const plain = (text) => String(text).replace(TURNING, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

/** An element with properties, attributes (`aria-*`, `data-*`, `for`, `role`, `href`) and children. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || ["for", "role", "href", "colspan"].includes(name)) element.setAttribute(name, value);
    else element[name] = name === "textContent" || name === "title" ? plain(value) : value;
  }
  element.append(...children.filter((it) => it !== null && it !== undefined).map((it) => (typeof it === "string" ? plain(it) : it)));
  return element;
}

/** JSON has no word for them, the report spells them out. */
function numberOf(value) {
  if (typeof value === "number") return value;
  return { NaN: NaN, Infinity: Infinity, "-Infinity": -Infinity }[value] ?? null;
}

// The kinds of values in a grid.
const MISSING = 0, IS_NAN = 1, IS_INF = 2, IS_NEG_INF = 3, IS_ZERO = 4, IS_FINITE = 5;
const POSITIVE = 16, NEGATIVE = 2 ** 23, PARTS = 2 ** 22 - 1;
const DIGIT_OF = new Uint8Array(128);
[..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"].forEach((c, i) => { DIGIT_OF[c.charCodeAt(0)] = i; });

/** Reads four-character codes: kinds, values (0 where there is none) and ln|value| (for colours). */
function readQuads(text, [low, high]) {
  const n = text.length / 4;
  const kinds = new Uint8Array(n), values = new Float64Array(n), logs = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let code = 0;
    for (let j = 4 * i; j < 4 * i + 4; j++) code = code * 64 + DIGIT_OF[text.charCodeAt(j)];
    if (code <= IS_ZERO) {
      kinds[i] = code;
      values[i] = [0, NaN, Infinity, -Infinity, 0][code];
    } else {
      const sign = code >= NEGATIVE ? -1 : 1;
      const part = code - (sign < 0 ? NEGATIVE : POSITIVE);
      kinds[i] = IS_FINITE;
      logs[i] = low + (high - low) * part / PARTS;
      values[i] = sign * Math.exp(logs[i]);
    }
  }
  return { kinds, values, logs };
}

/** A number for people: four digits, powers of ten where that is shorter. */
function shown(value) {
  if (value === null || value === undefined) return "–";
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return Number(value.toPrecision(3)).toExponential().replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}

/** A whole number with narrow spaces between thousands. */
function thousands(n) {
  return n === null || n === undefined ? "–" : String(n).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

const QUANTITY_NAMES = {
  loss: "Loss", eval_loss: "Evaluation loss", grad_norm: "Gradient norm per layer", grad_norm_total: "Total gradient norm",
  weight_norm: "Weight norm per layer", weight_norm_total: "Total weight norm", update_norm: "Update norm per layer",
  activation_norm: "Activation norm per layer", update_ratio: "Update ratio per layer", learning_rate: "Learning rate",
  loss_scale: "Loss scale", skipped_steps: "Skipped steps", nan_steps: "NaN steps", throughput: "Throughput",
  step_time: "Time per step", zero_fraction: "Share of zeros", other: "Other",
};

/** The index of the last of sorted `starts` that is at or before `step`; 0 before the first. */
function indexAt(starts, step) {
  let low = 0, high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle] <= step) low = middle + 1; else high = middle;
  }
  return Math.max(0, low - 1);
}

/** Parameters after the `#`. */
function readHash() {
  return new URLSearchParams(location.hash.slice(1));
}

function hashOf(parameters) {
  return "#" + new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined));
}
