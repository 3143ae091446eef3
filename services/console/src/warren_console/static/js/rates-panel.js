// The figures and the chart over the stream.

import { byId, el } from "./dom.js";
import { Chart } from "./chart.js";
import { duration, rate } from "./format.js";

const EVERY_MS = 250;

export class RatesPanel {
  #session;
  #chart = new Chart(byId("chart"));
  #tiles = new Map();

  constructor(session) {
    this.#session = session;
    this.#addTile("received", "Received", "per second, all channels");
    this.#addTile("latency", "Latency, median", "from sent_at to this page, over the last minute");
    this.#addTile("order", "In order", "offsets without gap or repetition, on durable channels");
    this.#addTile("recovered", "Recovered", "publications made up for after a reconnect");
    setInterval(() => document.hidden || this.#draw(), EVERY_MS);
    this.#draw();
  }

  #addTile(name, label, title) {
    const value = el("dd", { class: "figure" });
    const remark = el("dd", {});
    const root = el("div", { class: "tile", title }, el("dt", {}, label), value, remark);
    this.#tiles.set(name, { root, value, remark });
    byId("tiles").append(root);
  }

  #draw() {
    const { rates } = this.#session;
    const now = Date.now();
    const received = rates.series("received", now);
    this.#chart.draw({ received, published: rates.series("published", now), away: rates.away(now) });
    const total = [...this.#session.channels.values()].reduce((sum, channel) => sum + channel.received, 0);
    this.#set("received", `${rate(received.at(-1))}/s`, `${total.toLocaleString()} so far`);
    this.#drawLatency(rates.quantile(0.5, now), rates.quantile(0.99, now));
    this.#drawOrder();
    byId("chart").setAttribute("aria-label", `${rate(received.at(-1))} publications received per second; the last minute as a chart`);
  }

  #drawLatency(median, p99) {
    if (median === null) this.#set("latency", "\u2013", "");
    else this.#set("latency", duration(median), `p99 ${duration(p99)}`);
  }

  #drawOrder() {
    const channels = [...this.#session.channels.values()];
    const sum = (field) => channels.reduce((total, channel) => total + channel[field], 0);
    const [missing, repeated, recovered] = [sum("missing"), sum("repeated"), sum("recovered")];
    const numbered = channels.some((channel) => channel.position !== null);
    const flawless = missing + repeated === 0;
    if (!numbered) this.#set("order", "\u2013", "");
    else if (flawless) this.#set("order", "Yes", "no gap, no repeat", "good");
    else this.#set("order", "No", `${missing} missing, ${repeated} twice`, "bad");
    this.#set("recovered", recovered.toLocaleString(), recovered ? "after reconnects" : "", recovered ? "recovered" : "");
  }

  #set(name, figure, remark, tone = "") {
    const tile = this.#tiles.get(name);
    tile.root.className = `tile ${tone}`;
    if (tile.value.textContent !== figure) tile.value.textContent = figure;
    if (tile.remark.textContent !== remark) tile.remark.textContent = remark;
  }
}
