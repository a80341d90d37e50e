// What is wrong with a run, root causes first: symptom, diagnosis, remedy, and what it leads to.

const LAYERS_SHOWN = 8;

function findingsSection(run, key, chosen) {
  const findings = run.findings.map((finding, index) => ({ finding, index, beganIn: run.ranks > 1 ? rankOf(run, finding) : null }));
  const rules = new Set(run.findings.map((it) => it.rule));
  const isRoot = ({ finding }) => finding.caused_by === null || !rules.has(finding.caused_by);
  const roots = findings.filter(isRoot);
  const serious = roots.filter((it) => it.finding.severity !== "info"), notes = roots.filter((it) => it.finding.severity === "info");
  const card = (it) => findingCard(it, findings, key, chosen);
  const section = make("section", { className: "findings" });
  if (serious.length === 0) {
    section.append(make("p", { className: "calm", textContent: run.verdict === "no-data" ? "No number could be read in this run." : "No rule found anything that a person should look at." }));
  }
  section.append(...serious.map(card));
  if (notes.length > 0) {
    section.append(make("details", { open: notes.some((it) => it.index === chosen) }, make("summary", { textContent: `Notes (${notes.length})` }), ...notes.map(card)));
  }
  return section;
}

function findingCard({ finding, index, beganIn }, all, key, chosen, depth = 0) {
  const since = finding.first_step === null ? "" : `since step ${thousands(finding.first_step)}`;
  const where = finding.rank !== null ? `, rank ${finding.rank} only` : beganIn !== null ? `, first in rank ${beganIn}` : "";
  const link = make("a", { href: hashOf({ run: key, finding: index }), className: "show", textContent: "show in the pictures" });
  const parts = [
    make("div", { className: "finding-head" }, badge(finding.severity), make("h3", { textContent: finding.rule }),
      make("span", { className: "since", textContent: since + where + (finding.superseded ? " (in steps that a restart replaced)" : "") }), link),
    make("p", { className: "symptom", textContent: finding.message }),
  ];
  if (finding.layers.length > 0) parts.push(layerList(finding.layers));
  if (finding.forecast_step !== null) parts.push(make("p", { textContent: `The number format is forecast to overflow at step ${thousands(finding.forecast_step)}.` }));
  if (finding.severity !== "info") {
    const words = make("dl", {});
    if (finding.diagnosis) words.append(make("dt", { textContent: "look at" }), make("dd", { textContent: finding.diagnosis }));
    if (finding.remedy.length > 0) words.append(make("dt", { textContent: "do" }), make("dd", {}, make("ol", {}, ...finding.remedy.map((it) => make("li", { textContent: it })))));
    parts.push(depth === 0 ? words : make("details", {}, make("summary", { textContent: "diagnosis and remedy" }), words));
  }
  const effects = depth > 8 ? [] : all.filter((it) => it.finding.caused_by === finding.rule && it.index !== index);
  if (effects.length > 0) {
    parts.push(make("div", { className: "effects" }, make("h4", { textContent: "leads to" }),
      ...effects.map((it) => findingCard(it, all, key, chosen, depth + 1))));
  }
  return make("article", { className: `finding ${finding.severity}${index === chosen ? " chosen" : ""}`, id: `finding-${index}` }, ...parts);
}

function layerList(layers) {
  const chip = (it) => make("code", { textContent: it });
  const shownOnes = layers.slice(0, LAYERS_SHOWN).map(chip);
  const rest = layers.slice(LAYERS_SHOWN);
  const more = rest.length === 0 ? null : make("details", {}, make("summary", { textContent: `and ${rest.length} more layers` }), ...rest.map(chip));
  return make("div", { className: "layers" }, ...shownOnes, more);
}
