// The ranks of a run side by side: one that goes its own way is seen at once, however many there are.

const RANKS_MIN = 3;

function rankName(rank) { return rank === null ? "log of all ranks" : `rank ${rank}`; }

/** The rank in which what is not finite was first: from there it came to the others. */
function rankOf(run, finding) {
  if (finding?.family !== "nonfinite" || finding.first_step === null) return null;
  const isBad = ({ lines, grids }) => lines.some((it) => it.quantity === finding.quantity && (it.bad?.[indexAt(it.first, finding.first_step)]?.[0] ?? 0) > 0)
    || grids.some((it) => it.quantity === finding.quantity && hasBadAt(it, indexAt(it.first, finding.first_step)));
  return run.sources.find((it) => it.rank !== null && isBad(it))?.rank ?? null;
}

/** Whether any layer of a column is not finite; the codes of `readQuads`. */
function hasBadAt({ first, cells: { shown: codes } }, column) {
  for (let at = 4 * column; at < codes.length; at += 4 * first.length) if (["AAAB", "AAAC", "AAAD"].includes(codes.slice(at, at + 4))) return true;
  return false;
}

/** The loss of every rank as a grid with a row for each; `null` for so few ranks that their curves say it. */
function rankGrid(run) {
  const ranks = run.sources.filter((it) => it.rank !== null)
    .map((it) => ({ rank: it.rank, line: it.lines.find((line) => line.quantity === "loss") })).filter((it) => it.line !== undefined);
  if (ranks.length < RANKS_MIN) return null;
  const longest = ranks.reduce((best, it) => (it.line.first.length > best.line.first.length ? it : best)).line;
  const { first } = longest, until = longest.until ?? first, nColumns = first.length;
  const kinds = new Uint8Array(ranks.length * nColumns), values = new Float64Array(kinds.length), logs = new Float64Array(kinds.length);
  ranks.forEach(({ line }, row) => line.first.forEach((step, i) => {
    const at = row * nColumns + indexAt(first, step);
    // What is not finite stays, whatever comes after it in the same column.
    if (step < first[0] || (kinds[at] >= IS_NAN && kinds[at] <= IS_NEG_INF)) return;
    const [kind, value] = pointOf(line, i);
    if (kind === MISSING) return;
    kinds[at] = kind;
    values[at] = value;
    logs[at] = kind === IS_FINITE ? Math.log(Math.abs(value)) : 0;
  }));
  const group = { name: `the same steps of ${ranks.length} ranks`, role: "ranks", order: "ranks", begin: 0, end: ranks.length, lines: [] };
  const rows = ranks.map(({ rank, line }) => ({ layer: rankName(rank), rank, tag: line.tag, estimated: false, group }));
  const logged = rows.map((_, row) => first.flatMap((_, column) => (kinds[row * nColumns + column] === MISSING ? [] : [column])));
  return {
    quantity: "loss", first, until, nColumns, cells: { kinds, values, logs }, low: null, high: null, rows, groups: [group], logged,
    usualGap: usualGapOf(first), usualGaps: logged.map((columns) => usualGapOf(columns.map((it) => first[it]))),
    isNegative: values.some((it) => it < 0), name: "Loss of every rank",
  };
}

/** Kind and value of a span of a curve. */
function pointOf(line, i) {
  const [count, kinds] = line.bad?.[i] ?? [0, 0], value = line.last[i];
  if (count > 0) return kinds & 1 ? [IS_NAN, NaN] : kinds & 2 ? [IS_INF, Infinity] : [IS_NEG_INF, -Infinity];
  if (value === null) return [MISSING, 0];
  return value === 0 ? [IS_ZERO, 0] : [IS_FINITE, value];
}

function rankSection({ view, rankGrid: grid }) {
  if (grid === null) return [];
  const heat = new HeatPicture(view, grid, () => {});
  heat.part = "ranks";
  view.pictures.push(heat);
  return [make("section", { className: "layers-section", id: "ranks" }, make("h2", { textContent: grid.name }), heat.element)];
}
