// The page of a report. All that a model wrote is put in as text, never as HTML.
import { h, render } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import htm from "htm";
import { barX, dot, lineY, link, plot, ruleX, ruleY, text, tickX } from "@observablehq/plot";
import { marked_source } from "./source.js";

const html = htm.bind(h);
const data = JSON.parse(document.getElementById("data").textContent);
const detail_lines = document.getElementById("details").textContent.split("\n");
const outputs = data.outputs; // columns of equal length
const count = outputs.id.length;
const rungs = ["outputs", "kernel", "manifest", "compiles", "clean", "right", "correct"];
const arms = { with: "with the skill", without: "without" };
const rows_a_page = 200;

const detail_of = (index) => JSON.parse(detail_lines[index]);
const outcome_of = (index) => data.outcomes[outputs.outcome[index]];
const word = (column, index) => data.words[column][outputs[column][index]];
const kind_of = (outcome) =>
  outcome === "correct" ? "correct" : outcome === "unjudged" ? "unjudged" : "failed";
const colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const numbers = (n) => n.toLocaleString("en");
const points = (x) => (x > 0 ? "+" : "") + Math.round(x * 100);

// ---- where the reader is, in the address ----------------------------------

const read_place = () => {
  const place = {};
  for (const [key, value] of new URLSearchParams(location.hash.slice(1))) place[key] = value;
  return place;
};
const link_to = (place) => {
  const said = new URLSearchParams();
  for (const [key, value] of Object.entries(place)) if (value) said.set(key, value);
  return "#" + said.toString();
};

function use_place() {
  const [place, set] = useState(read_place);
  useEffect(() => {
    const follow = () => set(read_place());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  const go = (change) => {
    const next = { ...read_place(), ...change };
    history.replaceState(null, "", link_to(next));
    set(next);
  };
  return [place, go];
}

// How wide a picture may be, so that its words keep their size.
const picture_width = () => Math.max(300, Math.min(720, document.documentElement.clientWidth - 48));
const is_narrow = () => picture_width() < 600;
// In the middle: names of one model differ at the end.
const cut = (words, most) => {
  const first = Math.ceil((most - 1) / 3);
  return words.length > most ? words.slice(0, first) + "\u2026" + words.slice(words.length - (most - 1 - first)) : words;
};

// Redrawn when the colours or the width change.
function use_looks() {
  const [turn, set] = useState(0);
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    let width = picture_width();
    const follow = () => set((n) => n + 1);
    const measure = () => {
      if (width !== picture_width()) follow();
      width = picture_width();
    };
    dark.addEventListener("change", follow);
    addEventListener("resize", measure);
    return () => {
      dark.removeEventListener("change", follow);
      removeEventListener("resize", measure);
    };
  }, []);
  return turn;
}

function Picture({ draw, label, inputs }) {
  const at = useRef();
  const turn = use_looks();
  useEffect(() => {
    const made = draw();
    made.setAttribute("role", "img");
    made.setAttribute("aria-label", label);
    at.current.replaceChildren(made);
  }, [turn, ...(inputs ?? [])]);
  return html`<div ref=${at}></div>`;
}

const Legend = () => html`<p class="faint">
  ${Object.entries(arms).map(
    ([arm, words]) => html`<span style="margin-right:1.2em"><span class="swatch" style=${"background:var(--" + arm + ")"}></span>${words}</span>`,
  )}</p>`;

// ---- the verdict and what it stands on ------------------------------------

const verdict_class = (said) => (said.startsWith("costs") ? "costs" : said);
const name_of = (cell) =>
  (cell.all_models ? "" : cell.model || "(no model)") +
  (cell.all_models || cell.all_tasks ? "" : ", ") +
  (cell.all_tasks ? (cell.all_models ? "over all" : "") : cell.task);

function Funnel({ cell }) {
  const rows = (narrow) => rungs.slice(1).flatMap((rung) =>
    ["with", "without"].map((arm) => ({
      rung, arm, share: cell[arm].outputs ? (100 * cell[arm][rung]) / cell[arm].outputs : 0,
      label: `${cell[arm][rung]} of ${cell[arm].outputs}` +
        (cell[arm].unjudged && !narrow && ["clean", "right", "correct"].includes(rung) ? ` + ${cell[arm].unjudged} unjudged` : ""),
    })),
  );
  const draw = () => plot({
    style: { fontSize: "12px" }, width: picture_width(), height: 40 + rungs.length * 46, marginLeft: is_narrow() ? 64 : 88, marginRight: is_narrow() ? 78 : 150, marginBottom: 40,
    x: { domain: [0, 100], label: "outputs that got this far (%)", grid: true, ticks: 5 },
    fy: { domain: rungs.slice(1), label: null, padding: 0.18 },
    y: { axis: null, domain: ["with", "without"] },
    marks: [
      barX(rows(is_narrow()), { x: "share", y: "arm", fy: "rung", fill: (d) => colour(d.arm) }),
      text(rows(is_narrow()), { x: "share", y: "arm", fy: "rung", text: "label", textAnchor: "start", dx: 5, fill: "currentColor" }),
    ],
  });
  return html`<figure>
    <${Legend} />
    <div class="scroll"><${Picture} draw=${draw} label="How many outputs of each arm reached each rung" inputs=${[cell]} /></div>
  </figure>`;
}

function Lift({ effect }) {
  const cells = [effect.over_all, ...effect.by_model, ...effect.by_stratum].filter((c) => c.difference);
  const rows = cells.map((c) => ({ ...c, name: name_of(c), low: c.difference.low * 100, value: c.difference.value * 100, high: c.difference.high * 100 }));
  const longest = Math.max(10, ...rows.map((r) => r.name.length));
  const margin = () => Math.min(is_narrow() ? picture_width() * 0.42 : 320, 20 + longest * 7);
  const draw = () => plot({
    style: { fontSize: "12px" }, width: picture_width(), height: 76 + rows.length * 26, marginLeft: margin(), marginRight: is_narrow() ? 16 : 30, marginBottom: 40,
    x: { domain: [-100, 100], label: is_narrow() ? "points: with minus without" : "correct outputs: with the skill minus without (points of 100)", grid: true, ticks: is_narrow() ? 3 : 9 },
    y: { domain: rows.map((r) => r.name), label: null, tickFormat: (s) => cut(s, Math.floor((margin() - 18) / 7.4)) },
    marks: [
      ruleX([0], { stroke: "currentColor" }),
      ...rows.map((r) => ruleY_of(r)),
      dot(rows, { x: "value", y: "name", r: 5, fill: (r) => said_colour(r.verdict) }),
    ],
  });
  const said_colour = (said) => colour(said === "helps" ? "good" : said === "hurts" ? "bad" : "faint");
  const ruleY_of = (r) => tick_between(r, said_colour(r.verdict));
  return html`<figure>
    <div class="scroll"><${Picture} draw=${draw} label="Difference of the rates of correct outputs, with 95% intervals" inputs=${[effect]} /></div>
    <p class="faint">Dots are differences, lines their 95% intervals (unjudged outputs counted as failed). A line that crosses 0 says nothing yet.</p>
    <div class="scroll"><table>
      <caption>The same in numbers. p is corrected for the number of comparisons in its group.</caption>
      <thead><tr><th>where</th><th class="number">with</th><th class="number">without</th><th class="number">difference</th><th class="number">95%</th><th class="number">p</th><th>verdict</th></tr></thead>
      <tbody>${cells.map((c) => html`<tr>
        <td>${name_of(c)}</td>
        <td class="number">${c.with.correct} / ${c.with.outputs}</td>
        <td class="number">${c.without.correct} / ${c.without.outputs}</td>
        <td class="number">${points(c.difference.value)}</td>
        <td class="number">${points(c.difference.low)} to ${points(c.difference.high)}</td>
        <td class="number">${c.p < 0.001 ? "< 0.001" : c.p.toFixed(c.p < 0.1 ? 3 : 2)}</td>
        <td>${c.verdict}</td></tr>`)}</tbody>
    </table></div>
  </figure>`;
}
const tick_between = (r, stroke) =>
  barX([r], { x1: "low", x2: "high", y: "name", fill: stroke, fillOpacity: 0.75, insetTop: 9.5, insetBottom: 9.5 });

// Both arms in numbers, beside the verdict: none of it decides.
function Numbers({ cell }) {
  const percent = (x) => Math.round(100 * x) + "%";
  const rate = (r) => (r ? `${percent(r.value)} (${Math.round(100 * r.low)} to ${Math.round(100 * r.high)})` : "no output");
  const mean = (c) => (c ? numbers(Math.round(c.tokens / c.outputs)) : "not reported");
  const each = (c) => (!c ? "not reported" : c.tokens_per_correct === undefined ? "none is correct" : numbers(Math.round(c.tokens_per_correct)));
  const rows = [
    ["correct outputs (95% interval)", rate(cell.rate_with), rate(cell.rate_without)],
    ...cell.pass_at.filter((p) => p.k > 1).map((p) => [`at least one of ${p.k} correct`, percent(p.with), percent(p.without)]),
    ["tokens an output", mean(cell.cost_with), mean(cell.cost_without)],
    ["tokens for each correct output", each(cell.cost_with), each(cell.cost_without)],
  ];
  return html`<div class="scroll"><table class="compact"><caption>Unjudged outputs are counted as failed.</caption>
    <thead><tr><th></th><th class="number">with the skill</th><th class="number">without</th></tr></thead>
    <tbody>${rows.map((r) => html`<tr><th scope="row">${r[0]}</th><td class="number">${r[1]}</td><td class="number">${r[2]}</td></tr>`)}</tbody></table></div>
    ${cell.pairs && html`<p>Of ${cell.pairs.pairs} pairs only the skill solved ${cell.pairs.only_with}, only the baseline ${cell.pairs.only_without} (McNemar, p = ${cell.pairs.p.toPrecision(2)}).</p>`}`;
}

function Speed({ speed }) {
  if (speed.missing) return html`<p>${speed.missing[0].toUpperCase() + speed.missing.slice(1)}.</p>`;
  const kind = speed.predicted ? "predicted" : "measured"; // some or all of it
  const rows = ["with", "without"].flatMap((arm) => speed.steps.map((p, k) => ({ arm, p, share: 100 * speed[arm][k] })));
  const draw = () => plot({
    style: { fontSize: "12px" }, width: picture_width(), height: 260, marginLeft: 56, marginRight: 20, marginBottom: 44,
    x: { type: "sqrt", domain: [0, 10], ticks: is_narrow() ? [0, 1, 2, 5, 10] : [0, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10], tickFormat: (p) => p + "\u00d7", label: `faster than the baseline, ${kind}`, grid: true },
    y: { domain: [0, 100], ticks: 5, label: "correct and so fast (% of all outputs)", grid: true },
    marks: [ruleX([1], { stroke: "currentColor", strokeDasharray: "3,3" }),
      lineY(rows, { x: "p", y: "share", z: "arm", stroke: (d) => colour(d.arm), strokeWidth: 2, curve: "step-after" }),
      dot(rows, { x: "p", y: "share", fill: (d) => colour(d.arm), r: 3 })],
  });
  const ratio = speed.ratio;
  return html`<figure><p>Speed is ${kind}, against the baseline of each family.
    ${ratio && ` A correct kernel of the skill is ${ratio.value.toFixed(2)} times as fast as one without (95%: ${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)}, over ${speed.tasks} tasks).`}</p>
    <${Legend} /><div class="scroll"><${Picture} draw=${draw} label="Share of outputs that are correct and faster than a multiple of the baseline" inputs=${[speed]} /></div>
    <details><summary>In numbers</summary><div class="scroll"><table class="compact">
      <thead><tr><th>faster than</th><th class="number">with the skill</th><th class="number">without</th></tr></thead>
      <tbody>${speed.steps.map((p, k) => html`<tr><td>${p}\u00d7</td><td class="number">${Math.round(100 * speed.with[k])}%</td><td class="number">${Math.round(100 * speed.without[k])}%</td></tr>`)}</tbody></table></div></details></figure>`;
}

// Timed cases of all outputs under the roof of the device.
function Roofline() {
  const rows = data.roofs;
  if (!rows.length) return null;
  const names = { with_skill: "with", baseline: "without" };
  const of = (d) => names[word("arm", d.output)] ?? "faint";
  const roof_lines = [...new Map(rows.map((d) => [d.element_type + d.peak_operations + d.peak_bytes, d])).values()];
  const [low, high] = [Math.min(...rows.map((d) => d.intensity)) / 4, Math.max(...rows.map((d) => Math.max(d.intensity, d.peak_operations / d.peak_bytes))) * 4];
  const roofs = roof_lines.flatMap((d) => [low, d.peak_operations / d.peak_bytes, high].map((x) => ({ x, y: Math.min(x * d.peak_bytes, d.peak_operations), type: d.element_type + d.peak_operations })));
  const tera = (y) => (y >= 1e12 ? y / 1e12 + " T" : y >= 1e9 ? y / 1e9 + " G" : y / 1e6 + " M");
  const draw = () => plot({
    style: { fontSize: "12px" }, width: picture_width(), height: 320, marginLeft: 56, marginRight: 20, marginBottom: 44,
    x: { type: "log", domain: [low, high], label: "operations for each byte that must move", ticks: is_narrow() ? 3 : 6, tickFormat: (v) => (Math.log10(v) % 1 === 0 ? v.toLocaleString("en") : "") },
    y: { type: "log", label: "operations a second", grid: true, ticks: 5, tickFormat: (v) => (Math.log10(v) % 1 === 0 ? tera(v) : "") },
    marks: [lineY(roofs, { x: "x", y: "y", z: "type", stroke: "currentColor", strokeOpacity: 0.6 }),
      dot(rows, { x: "intensity", y: "reached", r: 3, fill: (d) => colour(of(d)), fillOpacity: 0.7 })],
  });
  return html`<h2>Roofline</h2><figure><${Legend} /><div class="scroll"><${Picture} draw=${draw} label="Operations a second that timed cases reach, under the rates on paper of the device" /></div>
    <p class="faint">A dot is a timed case of an output, a line what the device can do on paper: bytes of memory where it rises, arithmetic where it is level. ${data.roofs_in_all > rows.length && `Drawn are ${numbers(rows.length)} of ${numbers(data.roofs_in_all)} timed cases.`}</p></figure>`;
}

// ---- tuning ----------------------------------------------------------------

const clock_words = (time) => (time === "measured" ? "measured" : time === "predicted" ? "predicted" : "of a stand-in: no measurement");
const setting_words = (of) => Object.entries(of).map(([name, value]) => name + " = " + value).join(", ") || "no tunable";
const ratio_words = (r) => `${r.times.toPrecision(3)}\u00d7` + (r.exact ? " (exact for the model)" : ` (95%: ${r.low.toPrecision(3)} to ${r.high.toPrecision(3)})`);
const axis_words = (v) => (Math.abs(Math.log2(v) % 1) < 1e-9 ? v + "\u00d7" : "");

// 1, 2, 5, 10, 20, ... for a logarithmic axis.
function steps_within(low, high) {
  const made = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); ++power)
    for (const digit of [1, 2, 5]) made.push(Number(`${digit}e${power}`));
  return made.filter((v) => v >= low && v <= high);
}

const ended_words = {
  trials: "it ended after so many trials", exhausted: "every setting was tried", seconds: "its time was over",
  no_improvement: "nothing better came for long", target: "its target was reached",
};

// What each tuned output was as it came and is tuned, and what that says of a skill.
function Tunings() {
  const rows = data.tuned.map((d) => ({ ...d, arm: { with_skill: "with", baseline: "without" }[word("arm", d.output)] ?? "faint", task: word("task", d.output) }));
  if (!rows.length) return null;
  const tasks = [...new Set(rows.map((r) => r.task))].sort();
  rows.sort((a, b) => (a.task < b.task ? -1 : a.task > b.task ? 1 : a.arm < b.arm ? 1 : a.arm > b.arm ? -1 : b.tuned - a.tuned));
  const named = rows.length <= 40;
  const kinds = [...new Set(rows.map((r) => clock_words(r.time)))].join(", ");
  const step = named ? 20 : 4;
  const margin = () => (named ? (is_narrow() ? picture_width() * 0.42 : 220) : 20);
  const [low, high] = [Math.min(1, ...rows.map((r) => Math.min(r.as_it_came, r.tuned))) / 1.15, Math.max(1, ...rows.map((r) => Math.max(r.as_it_came, r.tuned))) * 1.15];
  const draw = () => plot({
    style: { fontSize: "12px" }, width: picture_width(), height: 70 + rows.length * step, marginLeft: margin(), marginRight: 24, marginBottom: 40,
    x: { type: "log", base: 2, domain: [low, high], label: `times as fast as the family's baseline, ${kinds}`, grid: true, tickFormat: axis_words, ticks: is_narrow() ? 3 : 6 },
    y: { type: "point", domain: rows.map((r) => r.output), label: null, axis: named ? "left" : null, tickFormat: (i) => cut(outputs.id[i], Math.floor((margin() - 14) / 7)), tickSize: 0 },
    marks: [ruleX([1], { stroke: "currentColor", strokeDasharray: "3,3" }),
      link(rows, { x1: "as_it_came", x2: "tuned", y1: "output", y2: "output", stroke: (r) => colour(r.arm), strokeWidth: named ? 2 : 1 }),
      dot(rows, { x: "as_it_came", y: "output", r: named ? 4 : 1.5, stroke: (r) => colour(r.arm), fill: () => colour("ground") }),
      dot(rows, { x: "tuned", y: "output", r: named ? 4 : 1.5, fill: (r) => colour(r.arm) })],
  });
  return html`<section><h2>Tuning</h2>
    ${data.attribution.map((a) => html`<p>${data.attribution.length > 1 && html`<strong>${a.skill || "The skill"}.</strong>`} ${a.words.join(" ")}</p>`)}
    <figure><${Legend} /><div class="scroll"><${Picture} draw=${draw} label="Speed of each tuned output as it came and tuned, in multiples of the baseline" /></div>
    <p class="faint">An open dot is an output as it came, a full one the same tuned. ${data.tuned_in_all > rows.length ? `${numbers(rows.length)} of ${numbers(data.tuned_in_all)}` : rows.length} outputs of ${tasks.length} ${tasks.length === 1 ? "task" : "tasks"}.</p></figure></section>`;
}

function Tuning({ told }) {
  if (!told) return null;
  if (!told.trials) return html`<h3>Tuning</h3><p>Not tuned: ${told.not_tuned}.</p>`;
  const least = (all) => all.reduce((a, b) => Math.min(a, b), Infinity), most = (all) => all.reduce((a, b) => Math.max(a, b), 0);
  const largest = Math.max(most(told.trials.filter((t) => typeof t === "number")), told.baseline_ns ?? 0);
  const [unit, of_unit] = largest >= 1e6 ? [1e6, "milliseconds"] : largest >= 1e3 ? [1e3, "microseconds"] : [1, "nanoseconds"];
  const right = [], wrong = [], best = [];
  let so_far = Infinity;
  told.trials.forEach((t, k) => {
    if (typeof t === "number") right.push({ trial: k + 1, time: t / unit });
    else wrong.push({ trial: k + 1 });
    if (typeof t === "number") so_far = Math.min(so_far, t / unit);
    if (so_far < Infinity) best.push({ trial: k + 1, time: so_far });
  });
  const lines = [told.baseline_ns && { time: told.baseline_ns / unit, words: "baseline" }, told.limit_ns && { time: told.limit_ns / unit, words: "limit" }].filter(Boolean);
  const all = [...right.map((r) => r.time), ...lines.map((l) => l.time)];
  const [low, high] = [least(all) / 1.3, most(all) * 1.15];
  const draw = () => plot({
    style: { fontSize: "12px" }, width: picture_width(), height: 260, marginLeft: 60, marginRight: is_narrow() ? 20 : 70, marginBottom: 40,
    x: { domain: [0.5, told.trials.length + 0.5], label: "trial", ticks: Math.min(told.trials.length, is_narrow() ? 5 : 10), tickFormat: (v) => (Number.isInteger(v) ? v : "") },
    y: { type: "log", domain: [low, high], label: of_unit, grid: true, ticks: steps_within(low, high), tickFormat: numbers },
    marks: [ruleY(lines, { y: "time", stroke: "currentColor", strokeDasharray: "3,3" }),
      is_narrow() ? null : text(lines, { x: told.trials.length + 0.5, y: "time", text: "words", textAnchor: "start", dx: 6, fill: "currentColor" }),
      lineY(best, { x: "trial", y: "time", stroke: colour("with"), strokeWidth: 2, curve: "step-after" }),
      dot(right, { x: "trial", y: "time", r: 3, fill: "currentColor", fillOpacity: 0.55 }),
      dot(wrong, { x: "trial", y: low, r: 4, symbol: "times", stroke: colour("bad"), dy: -6 })],
  });
  const shares = told.importance.filter((i) => i.share > 0.005);
  const bars = () => plot({
    style: { fontSize: "12px" }, width: Math.min(picture_width(), 480), height: 50 + shares.length * 24, marginLeft: 130, marginRight: 44, marginBottom: 36,
    x: { domain: [0, 100], label: "of the spread of times (%)", ticks: 5, grid: true }, y: { domain: shares.map((i) => i.name), label: null, tickFormat: (s) => cut(s, 17) },
    marks: [barX(shares, { x: (i) => 100 * i.share, y: "name", fill: colour("with") }),
      text(shares, { x: (i) => 100 * i.share, y: "name", text: (i) => Math.round(100 * i.share) + "", textAnchor: "start", dx: 4, fill: "currentColor" })],
  });
  return html`<h3>Tuning</h3>
    <p>${told.not_tuned ? `Not tuned: ${told.not_tuned}.` : told.best ? html`Best of ${numbers(told.trials.length)} of ${numbers(told.settings)} settings: <strong>${setting_words(told.best.setting)}</strong>${told.over_default && `, ${ratio_words(told.over_default)} the speed of what it came with (${setting_words(told.default.setting)})`}.` : `None of ${numbers(told.trials.length)} settings is right in every case.`}
      ${told.over_runner_up && ` The next best (${setting_words(told.over_runner_up.setting)}): ${ratio_words(told.over_runner_up)} as slow.`}
      <span class="faint"> Times are ${clock_words(told.time)}: case ${told.case}, ${told.element_types.join(", ")}. Search: ${told.strategy}, seed ${told.seed}${ended_words[told.ended] ? "; " + ended_words[told.ended] : ""}.</span></p>
    ${right.length > 0 && told.trials.length > 1 && html`<figure><div class="scroll"><${Picture} draw=${draw} label="Time of each trial and the best so far" inputs=${[told]} /></div>
      <p class="faint">Dots are settings that are right, the line the best so far${wrong.length > 0 && ", crosses at the bottom settings that failed"}${lines.length > 0 && `, dashed the ${lines.map((l) => (l.words === "limit" ? "limit of memory and arithmetic" : "family's baseline")).join(" and the ")}`}.</p></figure>`}
    ${shares.length > 0 && html`<figure><p>Which tunables matter:</p><div class="scroll"><${Picture} draw=${bars} label="Share of the spread of times that each tunable explains alone" inputs=${[told]} /></div></figure>`}
    ${told.failures.length > 0 && html`<ul>${told.failures.map((f) => html`<li><strong class="failed">${f.outcome.replaceAll("_", " ")}</strong>, ${f.count} of them, the first ${setting_words(f.setting)}: ${f.reason}</li>`)}</ul>`}`;
}

function Timings({ all }) {
  if (!all.length) return null;
  const library = all.some((t) => t.vendor);
  const micro = (c) => (c ? `${(c.median / 1000).toFixed(1)} (${(c.low / 1000).toFixed(1)} to ${(c.high / 1000).toFixed(1)})` : "");
  return html`<h3>Times</h3><div class="scroll"><table><caption>Median of a call in microseconds with its 95% interval; share of the rate on paper that binds.</caption>
    <thead><tr><th>case</th><th>type</th><th>caches</th><th>timer</th><th class="number">candidate</th><th class="number">baseline</th>${library && html`<th>vendor</th>`}<th class="number">share of the roof</th></tr></thead>
    <tbody>${all.map((t) => html`<tr><td>${t.case}</td><td>${t.element_type}</td><td>${t.caches}</td><td>${t.not_measured ?? (t.timer ?? "") + (t.stand_in ? ", of a stand-in: no measurement" : "")}</td>
      <td class="number">${micro(t.candidate)}</td><td class="number">${micro(t.baseline_time)}</td>${library && html`<td>${t.vendor ? `${micro(t.vendor.time)} ${t.vendor.name}${t.vendor.not_measured ? `: not measured: ${t.vendor.not_measured}` : ""}` : ""}</td>`}
      <td class="number">${t.roofline ? `${Math.round(100 * t.roofline.share)}% (${t.roofline.bound})` : ""}</td></tr>`)}</tbody></table></div>`;
}

function Assertions({ all }) {
  if (!all.length) return null;
  const said = (c) => {
    const judged = c.passed + c.failed;
    if (!judged) return c.not_judged ? "not judged" : "none";
    return `${c.passed} of ${judged}` + (c.not_judged ? `, ${c.not_judged} not judged` : "");
  };
  return html`<h2>Assertions</h2><div class="scroll"><table><caption>How often each held. No assertion decides an outcome.</caption>
    <thead><tr><th>assertion</th><th class="number">with the skill</th><th class="number">without</th></tr></thead>
    <tbody>${all.map((a) => html`<tr><td class="words">${a.what}</td><td class="number">${said(a.with)}</td><td class="number">${said(a.without)}</td></tr>`)}</tbody></table></div>`;
}

function Tokens() {
  const rows = [];
  for (let i = 0; i < count; ++i)
    if (outputs.tokens[i] !== null)
      rows.push({ tokens: outputs.tokens[i], arm: word("arm", i), task: word("task", i) });
  if (!rows.length) return html`<p class="faint">Not reported by these samples.</p>`;
  const shown = rows.length > 4000 ? rows.filter((_, i) => i % Math.ceil(rows.length / 4000) === 0) : rows;
  const tasks = [...new Set(rows.map((r) => r.task))].sort();
  const names = { with_skill: "with", baseline: "without" };
  const drawn = shown.filter((r) => names[r.arm]);
  const draw = () => plot({
    style: { fontSize: "12px" }, width: picture_width(), height: 56 + tasks.length * 56, marginLeft: 110, marginRight: 24, marginBottom: 40,
    x: { label: "tokens an output took (in and out)", grid: true, ticks: is_narrow() ? 3 : 6, tickFormat: numbers },
    fy: { domain: tasks, label: null, tickFormat: (s) => cut(s, 14) }, y: { axis: null, domain: ["with", "without"] },
    marks: [tickX(drawn, { x: "tokens", y: (r) => names[r.arm], fy: "task", stroke: (r) => colour(names[r.arm]), strokeOpacity: drawn.length > 400 ? 0.25 : 0.9, strokeWidth: 2 })],
  });
  return html`<figure><${Legend} /><div class="scroll"><${Picture} draw=${draw} label="Tokens of each output by task and arm" /></div>
    ${shown.length < rows.length && html`<p class="faint">${shown.length} of ${rows.length} outputs drawn.</p>`}</figure>`;
}

function Effect({ effect }) {
  const said = effect.over_all.verdict;
  const [head, ...rest] = effect.words.split(": ");
  return html`<section aria-label=${"Effect of " + (effect.skill || "the skill")}>
    <h1>${effect.skill ? `Skill ${effect.skill}` : "The skill"}: does it help a model to write CUDA kernels?</h1>
    <div class=${"verdict " + verdict_class(said)}><strong>${head[0].toUpperCase() + head.slice(1)}</strong><span>${rest.join(": ")}</span></div>
    <h2>How far outputs got</h2><${Funnel} cell=${effect.over_all} />
    <${Numbers} cell=${effect.over_all} />
    <h2>Difference, by model and task</h2><${Lift} effect=${effect} />
    <h2>Speed</h2><${Speed} speed=${effect.over_all.speed} />
    <${Assertions} all=${effect.assertions} />
  </section>`;
}

// ---- the outputs ----------------------------------------------------------

const columns = [
  ["id", "output"], ["model", "model"], ["task", "task"], ["arm", "arm"], ["outcome", "outcome"], ["tokens", "tokens"], ["reason", "why"],
];
const cell_text = (key, i) =>
  key === "id" ? outputs.id[i] : key === "reason" ? outputs.reason[i] : key === "outcome" ? outcome_of(i) : key === "tokens" ? outputs.tokens[i] : word(key, i);

function Outputs({ place, go }) {
  const [shown, show] = useState(rows_a_page);
  const chosen = useMemo(() => {
    const sought = (place.q ?? "").toLowerCase();
    const kept = [];
    for (let i = 0; i < count; ++i) {
      if (place.model && word("model", i) !== place.model) continue;
      if (place.task && word("task", i) !== place.task) continue;
      if (place.arm && word("arm", i) !== place.arm) continue;
      if (place.outcome && outcome_of(i) !== place.outcome) continue;
      if (sought && !outputs.id[i].toLowerCase().includes(sought) && !outputs.reason[i].toLowerCase().includes(sought)) continue;
      kept.push(i);
    }
    const key = (place.sort ?? "").replace(/^-/, "");
    if (columns.some(([name]) => name === key)) {
      const sign = place.sort.startsWith("-") ? -1 : 1;
      const value = key === "outcome" ? (i) => outputs.outcome[i] : (i) => cell_text(key, i) ?? -1;
      kept.sort((a, b) => {
        const x = value(a), y = value(b);
        return sign * (x < y ? -1 : x > y ? 1 : a - b);
      });
    }
    return kept;
  }, [place.model, place.task, place.arm, place.outcome, place.q, place.sort]);
  useEffect(() => show(rows_a_page), [chosen]);

  const choice = (key, label, values) => html`<label>${label}<select value=${place[key] ?? ""} onChange=${(e) => go({ [key]: e.target.value })}>
    <option value="">all</option>${values.map((v) => html`<option value=${v}>${v || "(none)"}</option>`)}</select></label>`;
  const used = data.outcomes.filter((_, k) => outputs.outcome.includes(k));
  const head = ([key, label]) => {
    const now = place.sort === key ? "ascending" : place.sort === "-" + key ? "descending" : "none";
    return html`<th aria-sort=${now} class=${key === "tokens" ? "number" : ""}><button onClick=${() => go({ sort: now === "ascending" ? "-" + key : key })}>
      ${label}${now === "ascending" ? " \u2191" : now === "descending" ? " \u2193" : ""}</button></th>`;
  };
  const many = columns.filter(([key]) => key !== "model" || data.words.model.length > 1);
  return html`<section><h2 id="outputs">Outputs</h2>
    ${data.not_tried && html`<p>${data.not_tried}</p>`}
    <div class="choices" role="search">
      ${data.words.model.length > 1 && choice("model", "model", data.words.model)}
      ${choice("task", "task", data.words.task)} ${choice("arm", "arm", data.words.arm)} ${choice("outcome", "outcome", used)}
      <label>text in id or reason<input type="search" value=${place.q ?? ""} onInput=${(e) => go({ q: e.target.value })} /></label>
      <span role="status" aria-live="polite" class="faint">${chosen.length} of ${count}</span>
    </div>
    <div class="scroll"><table id="table"><thead><tr>${many.map(head)}</tr></thead>
      <tbody>${chosen.slice(0, shown).map((i) => html`<tr key=${i} class=${place.output === outputs.id[i] ? "shown" : ""}>
        ${many.map(([key]) => key === "id" ? html`<td><a href=${link_to({ ...place, output: outputs.id[i] })}>${outputs.id[i]}</a></td>`
          : key === "outcome" ? html`<td class=${kind_of(outcome_of(i))}>${outcome_of(i)}</td>`
          : html`<td class=${key === "tokens" ? "number" : ""}>${cell_text(key, i) ?? "not reported"}</td>`)}
      </tr>`)}</tbody></table></div>
    ${chosen.length > shown && html`<p><button class="plain" onClick=${() => show(shown + rows_a_page)}>Show ${Math.min(rows_a_page, chosen.length - shown)} more</button></p>`}
  </section>`;
}

// ---- one output -----------------------------------------------------------

function Source({ hash, findings }) {
  const source = data.sources[hash];
  if (source === undefined) return html`<p class="faint">The source is not kept beside these records.</p>`;
  const at = new Map();
  for (const f of findings) if (f.line) at.set(f.line, [...(at.get(f.line) ?? []), f]);
  return html`<pre tabindex="0" aria-label="source"><code>${marked_source(source).map((pieces, k) => html`
    <span class=${"row" + (at.has(k + 1) ? " hit" : "")} data-line=${k + 1}>${pieces.map(([kind, words]) => (kind ? html`<span class=${kind}>${words}</span>` : words))}</span>
    ${(at.get(k + 1) ?? []).map((f) => html`<span class=${"say " + f.severity}>${f.code}: ${f.what}</span>`)}`)}</code></pre>`;
}

// Counts by name, those inside an object after its own.
const flat_counts = (of, before = "") => Object.entries(of).flatMap(([key, it]) =>
  typeof it === "number" && key !== "launch" ? [[before + key.replaceAll("_", " "), it]]
    : it && typeof it === "object" && !Array.isArray(it) ? flat_counts(it, before + key.replaceAll("_", " ") + ": ") : []);

function One({ id }) {
  const title = useRef();
  const index = outputs.id.indexOf(id);
  useEffect(() => {
    title.current?.focus({ preventScroll: true });
    title.current?.scrollIntoView({ block: "start" });
  }, [id]);
  if (index < 0) return html`<section class="one"><h2 tabindex="-1" ref=${title}>There is no output ${id}</h2></section>`;
  const told = detail_of(index);
  const counted = Array.isArray(told.counters) ? told.counters : [];
  return html`<section class="one" aria-label=${"Output " + id}>
    <h2 tabindex="-1" ref=${title} id="one">${id}: <span class=${kind_of(outcome_of(index))}>${outcome_of(index)}</span></h2>
    <p>${told.reason || "Correct in every case."}</p>
    <p class="faint">${[word("model", index), word("task", index), word("arm", index)].filter(Boolean).join(", ")}; judged on ${told.device}, seed ${told.seed}; speed ${told.speedup ? `${told.speedup.times.toPrecision(3)}\u00d7 the baseline, ${told.speedup.predicted ? "predicted" : "measured"}` : told.speed}.
      ${Object.keys(told.setting).length > 0 && " Tunables: " + Object.entries(told.setting).map(([k, v]) => k + " = " + v).join(", ") + "."}</p>
    ${told.findings.length > 0 && html`<h3>Findings</h3><ul>${told.findings.map((f) => html`<li><strong class=${f.severity === "note" ? "faint" : "failed"}>${f.severity} ${f.code}</strong>${f.count > 1 && `, ${numbers(f.count)} times`}${f.line && `, line ${f.line}`}: ${f.what}
      ${(f.element_type || f.case) && html` <span class="faint">(${[f.element_type, f.case && "case " + f.case].filter(Boolean).join(", ")})</span>`}</li>`)}</ul>`}
    ${told.findings_left > 0 && html`<p class="faint">${told.findings_left} more in the record.</p>`}
    ${told.log && html`<details class="log"><summary>The compiler's log</summary><pre tabindex="0" aria-label="the compiler's log">${told.log}</pre></details>`}
    ${told.cases.length > 0 && html`<h3>Cases</h3><div class="scroll"><table>
      <caption>Share of the bound: the largest error of any element, as a share of what is allowed for it. Counts are exact.</caption>
      <thead><tr><th>type</th><th class="number">correct</th><th class="number">cases</th><th class="number">share of the bound</th><th class="number">warp instructions</th><th class="number">sectors read</th><th class="number">sectors written</th></tr></thead>
      <tbody>${told.cases.map((c) => html`<tr><td>${c.element_type}</td><td class="number">${c.correct}</td><td class="number">${c.cases}</td><td class="number">${c.worst_share === null ? "not finite" : c.worst_share.toPrecision(2)}</td>
        <td class="number">${numbers(c.warp_instructions)}</td><td class="number">${numbers(c.load_sectors)}</td><td class="number">${numbers(c.store_sectors)}</td></tr>`)}</tbody></table></div>`}
    ${told.kernels.length > 0 && html`<h3>Kernels</h3><div class="scroll"><table><caption>As ptxas tells.</caption>
      <thead><tr><th>entry</th><th>type</th><th class="number">registers</th><th class="number">spilled bytes</th><th class="number">static shared</th></tr></thead>
      <tbody>${told.kernels.map((k) => html`<tr><td><code>${k.entry}</code></td><td>${k.element_type}</td><td class="number">${k.registers ?? "not told"}</td><td class="number">${k.spill_stores ?? "not told"}</td><td class="number">${k.static_shared ?? "not told"}</td></tr>`)}</tbody></table></div>`}
    <${Timings} all=${told.timings} />
    <${Tuning} told=${told.tuning} />
    ${told.assertions.length > 0 && html`<h3>Assertions</h3><ul>${told.assertions.map((a) => html`<li><strong class=${a.verdict === "passed" ? "correct" : a.verdict === "failed" ? "failed" : "faint"}>${a.verdict.replace("_", " ")}</strong>: ${a.what}${a.why && html` <span class="faint">(${a.why})</span>`}</li>`)}</ul>`}
    ${counted.length > 0 ? html`<h3>Counters</h3>${counted.map((c) => html`<details><summary>${c.kernel}, ${c.element_type}, case ${c.case}, launch ${c.launch}</summary>
      <div class="scroll"><table class="compact"><tbody>${flat_counts(c).map(([what, n]) => html`<tr><th scope="row">${what}</th><td class="number">${numbers(n)}</td></tr>`)}</tbody></table></div></details>`)}`
      : html`<p class="faint">Counters: ${told.counters}.</p>`}
    ${Object.keys(told.seconds).length > 0 && html`<p class="faint">Judged in ${Object.entries(told.seconds).map(([stage, s]) => `${s.toFixed(2)} s (${stage})`).join(", ")}.</p>`}
    <h3>Source</h3><${Source} hash=${told.source_hash} findings=${told.findings} />
    <p><a href=${link_to({ ...read_place(), output: "" })}>Close</a></p>
  </section>`;
}

function Page() {
  const [place, go] = use_place();
  return html`<main>
    ${data.effects.map((e) => html`<${Effect} effect=${e} />`)}
    ${data.effects.length === 0 && html`<h1>${count} outputs judged</h1><p>There is no output with a skill among them, so nothing is compared.</p>`}
    ${data.effects.length === 0 && html`<h2>Speed</h2>${data.speed.map((s) => html`<p>${s.outputs} outputs: ${s.words}.</p>`)}`}
    <${Tunings} />
    <${Roofline} />
    <h2>Tokens</h2><${Tokens} />
    <${Outputs} place=${place} go=${go} />
    ${place.output && html`<${One} id=${place.output} />`}
    <footer class="faint"><p>skillbench ${data.version}; ${count} records, judged on ${data.devices.join("; ")}. Primary endpoint: the rate of correct outputs.</p></footer>
  </main>`;
}

render(html`<${Page} />`, document.getElementById("page"));
document.documentElement.dataset.ready = "yes";
