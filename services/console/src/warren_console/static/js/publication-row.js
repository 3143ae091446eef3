// One line of the stream: a publication that opens to show all of it, or a remark.

import { el } from "./dom.js";
import { duration, timeOfDay } from "./format.js";
import { appendLine, appendPretty } from "./json-text.js";

/** Make the list item of an entry; `me` is this client's id. */
export function entryRow(entry, me) {
  if (entry.kind === "remark") return el("li", { class: `remark ${entry.tone}` }, `${timeOfDay(entry.at)}  ${entry.text}`);
  const mine = entry.client !== undefined && entry.client === me;
  const data = el("span", { class: "pub-data" });
  appendLine(data, entry.data);
  const summary = el("summary", { tabindex: "-1" }, who(entry), data, meta(entry, mine));
  const details = el("details", {}, summary);
  details.addEventListener("toggle", () => details.childElementCount === 1 && details.append(body(entry)), { once: true });
  const classes = ["pub", mine && "mine", entry.recovered && "is-recovered"].filter(Boolean).join(" ");
  return el("li", { class: classes, "data-offset": entry.offset }, details);
}

function who({ offset, user }) {
  const name = user === undefined ? "backend" : user || "anonymous";
  return el(
    "span",
    { class: "pub-who" },
    el("span", { class: "pub-offset" }, offset === undefined ? "" : `#${offset}`),
    el("span", { class: user ? "pub-user" : "pub-user backend" }, name),
  );
}

function meta({ at, age, recovered }, mine) {
  const parts = [];
  if (mine) parts.push(el("span", { class: "badge you" }, "you"));
  if (recovered) parts.push(el("span", { class: "badge recovered" }, "recovered"));
  if (age !== null) {
    const title = recovered ? "Age when it was recovered" : "From sent_at to here; clocks of two machines may differ";
    parts.push(el("span", { class: "pub-latency", title }, duration(age)));
  }
  parts.push(el("time", { class: "pub-time" }, timeOfDay(at)));
  return el("span", { class: "pub-meta" }, ...parts);
}

function body(entry) {
  const text = el("pre", {});
  appendPretty(text, entry.data);
  const facts = [
    entry.client && `client ${entry.client}`,
    entry.tags && `tags ${Object.entries(entry.tags).map(([name, value]) => `${name}=${value}`).join(" ")}`,
  ].filter(Boolean);
  return el("div", { class: "pub-body" }, text, ...(facts.length ? [el("p", { class: "pub-facts" }, facts.join(", "))] : []));
}
