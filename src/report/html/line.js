// Curves over steps: the last value of each span as a line, its smallest and largest as a band, what is not finite as
// marks where it happened.

const LINE_HEIGHT = 170, MARGIN = { left: 58, right: 10, top: 16, bottom: 22 };
const CURVES_MAX = 6;

class LinePicture extends Picture {
  constructor(view, name, curves) {
    super(view, `${name} over steps. Arrow keys move through the steps.`);
    this.name = name;
    this.legend = make("span", { className: "legend" });
    this.more = make("span", { className: "dim" });
    this.take(curves);
    const positive = this.curves.flatMap((it) => it.values).filter((it) => it > 0);
    const [low, high] = extent(positive);
    const hasNegative = this.curves.some((it) => it.low < 0);
    this.isLog = !hasNegative && positive.length > 0 && high / low > 200;
    const scale = make("button", { type: "button", className: "small" });
    const label = () => { 
      scale.textContent = this.isLog ? "log scale" : "linear scale";
      scale.title = this.isLog ? "press for a linear scale" : "press for a log scale";
      scale.setAttribute("aria-pressed", String(this.isLog));
    };
    scale.addEventListener("click", () => { this.isLog = !this.isLog; label(); this.draw(); });
    label();
    this.element = make("figure", { className: "picture" },
      make("figcaption", {}, make("h3", { textContent: name }), this.legend, this.more, scale), this.box, this.readout);
  }

  /** Other numbers of the same curves. */
  take(curves) {
    this.curves = curves.slice(0, CURVES_MAX).map((it) => readCurve(it));
    this.legend.replaceChildren(...this.curves.map((it, i) => make("span", {},
      make("i", { className: `swatch line-${i + 1}` }), (it.isEstimate ? "~" : "") + it.tag)));
    this.more.textContent = curves.length > CURVES_MAX ? `${curves.length - CURVES_MAX} more are not drawn` : "";
  }

  draw() {
    const colors = theme();
    const isAlone = this.element.parentElement?.childElementCount === 1;
    const { context, width, ratio } = prepare(this.canvas, LINE_HEIGHT, isAlone ? 680 : 330);
    const range = this.view.range;
    this.width = width;
    this.toX = (step) => MARGIN.left + (width - MARGIN.left - MARGIN.right) * (range[1] > range[0] ? (step - range[0]) / (range[1] - range[0]) : 0.5);
    const bottom = LINE_HEIGHT - MARGIN.bottom;
    const [low, high] = this.bounds();
    const scaled = (value) => (this.isLog ? Math.log10(value) : value);
    const toY = (value) => {
      const at = this.isLog && value <= 0 ? low : scaled(value);
      return bottom - (bottom - MARGIN.top) * (high > low ? (at - low) / (high - low) : 0.5);
    };
    drawStepAxis(context, colors, range, this.toX, MARGIN.top, bottom, width);
    this.drawValueAxis(context, colors, low, high, toY, width);
    this.curves.forEach((curve, i) => this.drawCurve(context, colors, curve, colors.lines[i], toY));
    this.picture = document.createElement("canvas");
    this.picture.width = this.canvas.width;
    this.picture.height = this.canvas.height;
    this.picture.getContext("2d").drawImage(this.canvas, 0, 0);
    this.context = context;
    this.ratio = ratio;
    this.move();
  }

  /** Only the cursor has moved. */
  move() {
    if (!this.picture) return;
    const { context } = this;
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.picture, 0, 0);
    context.restore();
    drawOverlay(context, theme(), this.view, this.toX, MARGIN.top, LINE_HEIGHT - MARGIN.bottom, this.width - MARGIN.right);
  }

  bounds() {
    const values = this.curves.flatMap((it) => [it.lows, it.highs]).flatMap((it) => Array.from(it)).filter((it) => Number.isFinite(it) && (!this.isLog || it > 0));
    if (values.length === 0) return [0, 1];
    let [low, high] = extent(values);
    if (this.isLog) [low, high] = [Math.log10(low), Math.log10(high)];
    const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
    return [low - room, high + room];
  }

  drawValueAxis(context, colors, low, high, toY, width) {
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const tick of this.isLog ? logTicks(low, high, 4) : ticks(low, high, 4)) {
      const y = Math.round(toY(this.isLog ? 10 ** tick : tick)) + 0.5;
      context.strokeStyle = colors.grid;
      line(context, MARGIN.left, y, width - MARGIN.right, y);
      context.fillStyle = colors.dim;
      context.fillText(this.isLog ? powerText(tick) : shown(tick), MARGIN.left - 6, y);
    }
  }

  drawCurve(context, colors, curve, color, toY) {
    context.fillStyle = context.strokeStyle = color;
    const runs = unbroken(curve);
    if (curve.isBaseline) context.setLineDash([5, 3]);
    if (curve.isBanded) {
      context.globalAlpha = 0.25;
      for (const run of runs) {
        context.beginPath();
        run.forEach((i) => context.lineTo(this.toX(curve.steps[i]), toY(curve.highs[i])));
        [...run].reverse().forEach((i) => context.lineTo(this.toX(curve.steps[i]), toY(curve.lows[i])));
        context.fill();
      }
      context.globalAlpha = 1;
    }
    context.lineWidth = 1.5;
    for (const run of runs) {
      context.beginPath();
      run.forEach((i) => context.lineTo(this.toX(curve.steps[i]), toY(curve.values[i])));
      context.stroke();
      if (run.length === 1) context.fillRect(this.toX(curve.steps[run[0]]) - 1.5, toY(curve.values[run[0]]) - 1.5, 3, 3);
    }
    context.lineWidth = 1;
    context.setLineDash([]);
    let last = -Infinity;
    curve.bad.forEach(([count, kinds], i) => {
      const x = this.toX(curve.steps[i]);
      if (count === 0) return;
      context.globalAlpha = 0.25;
      context.strokeStyle = colors.bad;
      line(context, x, MARGIN.top, x, LINE_HEIGHT - MARGIN.bottom);
      context.globalAlpha = 1;
      // Marks that would lie on each other say no more than the lines below them.
      if (x - last > 7) { drawBadMark(context, colors, x, MARGIN.top - 7, (kinds & 1) !== 0); last = x; }
    });
  }

  stepAt(x) {
    const inner = this.width - MARGIN.left - MARGIN.right;
    const share = Math.min(1, Math.max(0, (x - MARGIN.left) / inner));
    return this.view.range[0] + share * (this.view.range[1] - this.view.range[0]);
  }

  rowsAt(step) {
    return this.curves.map((it) => `${this.curves.length > 1 ? `${it.tag}: ` : ""}${it.textAt(step)}`);
  }

  at(x) {
    const step = Math.round(this.stepAt(x));
    return [`step ${thousands(step)}`, ...this.rowsAt(step)];
  }

  describe() {
    return `${this.name}, step ${thousands(this.view.step)}: ${this.rowsAt(this.view.step).join("; ")}`;
  }
}

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function readCurve(raw) {
  const values = raw.last.map((it) => it ?? NaN);
  const lows = raw.min?.map((it) => it ?? NaN) ?? values, highs = raw.max?.map((it) => it ?? NaN) ?? values;
  const until = raw.until ?? raw.first;
  const bad = raw.bad ?? [];
  const textAt = (step) => {
    const i = indexAt(raw.first, step);
    const [count, kinds] = bad[i] ?? [0, 0];
    const word = count > 0 ? `${kinds & 1 ? "NaN" : kinds & 2 ? "∞" : "−∞"}${raw.n ? ` at ${count} of ${raw.n[i]} points` : ""}` : "";
    if (Number.isNaN(values[i])) return word || "–";
    if (raw.isBaseline && (step < raw.first[0] || step > raw.first[raw.first.length - 1])) return "–";
    const band = raw.min ? ` (${shown(lows[i])} to ${shown(highs[i])}, steps ${thousands(raw.first[i])} to ${thousands(until[i])})` : "";
    return (raw.estimated ? "~" : "") + shown(values[i]) + band + (word && `, ${word}`);
  };
  return { tag: raw.tag, steps: raw.first, values, lows, highs, bad, textAt, isBanded: raw.min !== null, isEstimate: raw.estimated, isBaseline: raw.isBaseline === true, low: extent(lows)[0] };
}

/** Indices of neighbours that are drawn as one line: it breaks where nothing finite was logged for long. */
function unbroken(curve) {
  const steps = curve.steps;
  const gaps = steps.slice(1).map((it, i) => it - steps[i]).sort((a, b) => a - b);
  // The steps of a baseline are an uneven choice of those that it logged.
  const widest = curve.isBaseline ? Infinity : 4 * (gaps[gaps.length >> 1] ?? 1);
  const runs = [];
  let run = [];
  curve.values.forEach((value, i) => {
    const isFar = run.length > 0 && steps[i] - steps[run[run.length - 1]] > widest;
    if (Number.isNaN(value) || isFar) { if (run.length > 0) runs.push(run); run = []; }
    if (!Number.isNaN(value)) run.push(i);
  });
  if (run.length > 0) runs.push(run);
  return runs;
}
