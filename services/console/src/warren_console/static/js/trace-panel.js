// The way of a publication through the services, as a waterfall.

import { byId, el, showText } from "./dom.js";
import { count, duration, timeOfDay } from "./format.js";

const POLL_MS = 2_000;
const MAX_ROWS = 200;

export class TracePanel {
  #choice = byId("trace-choice");
  #revision = -1;
  #last = null;
  #shown = "";

  constructor() {
    this.#choice.addEventListener("change", () => this.#show());
    setInterval(() => document.hidden || this.#poll(), POLL_MS);
    this.#poll();
  }

  async #poll() {
    const list = await ask("/api/traces");
    if (!list || list.revision === this.#revision) return;
    this.#revision = list.revision;
    if (document.activeElement !== this.#choice) this.#listChoices(list.traces);
    this.#last = list.last_publication;
    await this.#show();
  }

  #listChoices(traces) {
    const chosen = this.#choice.value;
    const options = [el("option", { value: "" }, "Last publication")];
    if (chosen && !traces.some((trace) => trace.trace_id === chosen)) {
      options.push(el("option", { value: chosen }, `${chosen.slice(0, 8)}\u2026`));
    }
    const publications = traces.filter((trace) => trace.publication);
    const others = traces.filter((trace) => !trace.publication);
    this.#choice.replaceChildren(...options, ...choices("Publications", publications), ...choices("Other traces", others));
    this.#choice.value = chosen;
  }

  async #show() {
    const wanted = this.#choice.value || this.#last;
    const trace = wanted && (await ask(`/api/traces/${wanted}`));
    if (!trace) return;
    const version = `${trace.trace_id} ${trace.spans}`;
    if (version === this.#shown) return;
    this.#shown = version;
    showText(byId("trace-note"), "");
    this.#drawFacts(trace);
    byId("waterfall").replaceChildren(...trace.rows.slice(0, MAX_ROWS).map((row) => this.#row(row, trace)));
  }

  #drawFacts(trace) {
    byId("trace-facts").replaceChildren(
      el("b", {}, duration(trace.duration_ms)),
      el("span", {}, count(trace.spans, "span")),
      el("span", {}, trace.services.map(short).join(", ")),
      el("code", { title: trace.trace_id }, `${trace.trace_id.slice(0, 16)}\u2026`),
    );
  }

  #row(row, trace) {
    if (row.relation === "missing") {
      return indented(row, el("li", { class: "span missing" }, `parent ${row.span_id}, not received`));
    }
    const label = el(
      "span",
      { class: "span-label" },
      el("span", { class: "span-service" }, short(row.service)),
      el("span", { class: "span-name", title: row.name }, row.name),
      ...(row.relation === "linked" ? [el("span", { class: "badge", title: "Of another trace, linked to this one" }, "linked")] : []),
      ...(row.failed ? [el("span", { class: "badge" }, "failed")] : []),
      el("span", { class: "span-time", title: `starts ${duration(row.offset_ms)} into the trace` }, duration(row.duration_ms)),
    );
    const summary = el("summary", {}, indented(row, label), el("span", { class: "span-track", "aria-hidden": "true" }, bar(row, trace)));
    const details = el("details", {}, summary);
    details.addEventListener("toggle", () => this.#opened(details, row, trace));
    const classes = ["span", row.relation, row.failed && "failed"].filter(Boolean).join(" ");
    return el("li", { class: classes, "data-service": short(row.service) }, details);
  }

  /** Show a span's attributes; and stay with its trace, or the next publication would sweep it away. */
  #opened(details, row, trace) {
    if (details.childElementCount === 1) details.append(facts(row));
    if (!details.open || this.#choice.value) return;
    if (![...this.#choice.options].some((option) => option.value === trace.trace_id)) {
      this.#choice.append(el("option", { value: trace.trace_id }, `${timeOfDay(trace.start_unix_ms)}  this one`));
    }
    this.#choice.value = trace.trace_id;
  }
}

function choices(label, traces) {
  const options = traces.map((trace) => {
    const text = `${timeOfDay(trace.start_unix_ms)}  ${trace.name}  ${count(trace.spans, "span")}`;
    return el("option", { value: trace.trace_id }, text);
  });
  return options.length ? [el("optgroup", { label }, ...options)] : [];
}

function bar(row, trace) {
  const total = trace.duration_ms || 1;
  const begin = Math.min(99, (row.offset_ms / total) * 100);
  const element = el("span", { class: "span-bar" });
  element.style.left = `${begin}%`;
  element.style.width = `${Math.min(100 - begin, (row.duration_ms / total) * 100)}%`;
  return element;
}

function facts(row) {
  const pairs = [
    ["starts after", row.offset_ms > 0 ? duration(row.offset_ms) : "0 ms"],
    ["kind", row.kind],
    ...Object.entries(row.attributes),
    ...row.links.map((link) => ["links to", `${link.trace_id.slice(0, 8)}\u2026 / ${link.span_id}`]),
  ];
  return el("dl", {}, ...pairs.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, String(value)))));
}

function indented(row, element) {
  element.style.paddingLeft = `${Math.min(row.depth, 8) * 12 + (row.relation === "missing" ? 16 : 0)}px`;
  return element;
}

const short = (service) => service.replace(/^warren-/, "");

async function ask(url) {
  try {
    const response = await fetch(url, { cache: "no-store" });
    return response.ok ? await response.json() : null;
  } catch {
    return null; // the console is restarting; the next poll asks again
  }
}
