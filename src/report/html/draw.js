// Canvas, colours and axes that all pictures share.

/** Viridis in nine steps: even for the eye, readable without red-green sight and in grey. */
const VIRIDIS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];

function heatColor(share) {
  const place = Math.min(1, Math.max(0, share)) * (VIRIDIS.length - 1);
  const i = Math.min(VIRIDIS.length - 2, Math.floor(place));
  const mix = VIRIDIS[i].map((from, k) => Math.round(from + (VIRIDIS[i + 1][k] - from) * (place - i)));
  return `rgb(${mix})`;
}
const HEAT = Array.from({ length: 256 }, (_, i) => heatColor(i / 255));

let isPrinting = false;

/** The colours of the theme in force, from the style sheet. */
function theme() {
  const style = getComputedStyle(document.body);
  const get = (name) => style.getPropertyValue(name).trim();
  const paper = isPrinting;
  return {
    text: paper ? "#1d2430" : get("--text"), dim: paper ? "#5b6576" : get("--dim"), grid: paper ? "#e3e6eb" : get("--grid"),
    panel: paper ? "#ffffff" : get("--panel"), bad: get("--bad"), mark: get("--mark"), empty: paper ? "#eef0f3" : get("--empty"),
    lines: ["--line-1", "--line-2", "--line-3", "--line-4", "--line-5", "--line-6"].map(get),
    font: "11px system-ui, sans-serif",
  };
}

/** Fits the canvas to its box and gives a context in CSS pixels. Paper is laid out after the pictures are drawn: there they
 *  are as wide as `paper`, and twice as sharp. */
function prepare(canvas, height, paper) {
  const width = isPrinting ? paper : widthOf(canvas.parentElement);
  const ratio = isPrinting ? 2 : Math.min(3, window.devicePixelRatio || 1);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, ratio };
}

const widthOf = (box) => Math.max(120, box.clientWidth);

/** Round numbers between two bounds. */
function ticks(low, high, wanted) {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((it) => it * power).find((it) => it >= rough) ?? rough;
  const list = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i++) list.push(Number((i * step).toPrecision(12)));
  return list;
}

/** Powers of ten (given and taken as log10), thinned; within two decades also 2 and 5. */
function logTicks(low, high, wanted) {
  const span = high - low;
  if (span < 2) {
    const list = [];
    for (let power = Math.floor(low); power <= high; power++) {
      for (const digit of span < 0.6 ? [1, 1.5, 2, 3, 4, 5, 7] : [1, 2, 5]) {
        const at = power + Math.log10(digit);
        if (at >= low - 1e-9 && at <= high + 1e-9) list.push(at);
      }
    }
    return list.length > 1 ? list.slice(0, 12) : [low, high];
  }
  const step = Math.max(1, Math.ceil(span / Math.max(1, wanted)));
  const list = [];
  for (let power = Math.ceil(low / step) * step; power <= high; power += step) list.push(power);
  return list;
}

/** A number on a log axis. */
function powerText(log10) {
  return shown(Number((10 ** log10).toPrecision(3)));
}

/** A number on the step axis. */
function stepText(step) {
  const size = Math.abs(step);
  if (size >= 1e6) return `${Number((step / 1e6).toPrecision(4))}M`;
  if (size >= 1e4) return `${Number((step / 1e3).toPrecision(4))}k`;
  return thousands(step);
}

/** The axis of steps below a picture. */
function drawStepAxis(context, colors, range, toX, top, bottom, width) {
  context.font = colors.font;
  context.textBaseline = "top";
  context.textAlign = "right";
  context.fillStyle = colors.dim;
  context.fillText("step", toX(range[0]) - 14, bottom + 9);
  context.textAlign = "center";
  for (const step of ticks(range[0], range[1], Math.max(2, width / 90)).filter(Number.isInteger)) {
    const x = Math.round(toX(step)) + 0.5;
    context.strokeStyle = colors.grid;
    line(context, x, top, x, bottom);
    context.fillStyle = colors.dim;
    context.fillText(stepText(step), Math.min(x, width - 14), bottom + 5);
  }
}

function line(context, x1, y1, x2, y2) {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

/** A cross for NaN, a triangle for infinity. */
function drawBadMark(context, colors, x, y, isNan, size = 4) {
  context.strokeStyle = context.fillStyle = colors.bad;
  context.lineWidth = 2;
  if (isNan) {
    line(context, x - size, y - size, x + size, y + size);
    line(context, x - size, y + size, x + size, y - size);
  } else {
    context.beginPath();
    context.moveTo(x, y - size);
    context.lineTo(x + size, y + size);
    context.lineTo(x - size, y + size);
    context.fill();
  }
  context.lineWidth = 1;
}

/** Restarts, the steps of the finding and the cursor: over every picture that has steps. */
function drawOverlay(context, colors, view, toX, top, bottom, ratioWidth) {
  const { finding } = view;
  if (finding && finding.first_step !== null) {
    const from = toX(finding.first_step), to = Math.max(from + 2, toX(finding.last_step ?? finding.first_step));
    context.globalAlpha = 0.13;
    context.fillStyle = colors.mark;
    context.fillRect(from, top, Math.min(to, ratioWidth) - from, bottom - top);
    context.globalAlpha = 1;
    context.strokeStyle = colors.mark;
    context.setLineDash([2, 2]);
    line(context, Math.round(from) + 0.5, top, Math.round(from) + 0.5, bottom);
  }
  context.strokeStyle = colors.dim;
  context.setLineDash([6, 4]);
  context.font = colors.font;
  for (const [, to] of view.restarts) {
    const x = Math.round(toX(to)) + 0.5;
    line(context, x, top, x, bottom);
  }
  context.setLineDash([]);
  context.strokeStyle = colors.text;
  const x = Math.round(toX(view.step)) + 0.5;
  line(context, x, top, x, bottom);
}

const tooltip = make("div", { className: "tooltip", hidden: true, role: "presentation" });

function showTooltip(event, rows) {
  tooltip.replaceChildren(...rows.map((row) => make("div", { textContent: row })));
  tooltip.hidden = false;
  const box = tooltip.getBoundingClientRect();
  const left = Math.min(event.clientX + 14, window.innerWidth - box.width - 8);
  const above = event.clientY + 18 + box.height > window.innerHeight;
  tooltip.style.left = `${Math.max(4, left)}px`;
  tooltip.style.top = `${above ? event.clientY - box.height - 12 : event.clientY + 18}px`;
}

function hideTooltip() { tooltip.hidden = true; }

/** A picture that can be drawn, hovered, dragged and moved through by keyboard. `at(x, y)` says what is there. */
class Picture {
  constructor(view, label) {
    this.view = view;
    this.canvas = make("canvas", { tabIndex: 0, role: "img", "aria-label": label });
    this.readout = make("output", { className: "readout", "aria-live": "polite" });
    this.box = make("div", { className: "canvas-box" }, this.canvas);
    this.canvas.addEventListener("pointermove", (event) => this.hover(event));
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.isDragged = true;
      this.pick(event);
    });
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, () => { this.isDragged = false; });
    this.canvas.addEventListener("pointerleave", hideTooltip);
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("focus", () => this.say());
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  hover(event) {
    if (this.isDragged) this.pick(event);
    const rows = this.at(...this.place(event));
    if (rows === null) hideTooltip(); else showTooltip(event, rows);
  }

  pick(event) {
    const step = this.stepAt(this.place(event)[0]);
    if (step !== null) this.view.moveTo(step);
  }

  key(event) {
    const far = event.shiftKey ? 10 : 1;
    const moves = { ArrowLeft: -far, ArrowRight: far, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
    if (event.key in moves) {
      this.view.moveBy(moves[event.key]);
      this.say();
    } else if (!this.moveRow || !["ArrowUp", "ArrowDown"].includes(event.key)) {
      return;
    } else {
      this.moveRow(event.key === "ArrowUp" ? -1 : 1);
      this.say();
    }
    event.preventDefault();
  }

  say() { this.readout.textContent = plain(this.describe()); }
  stepAt() { return null; }
}
