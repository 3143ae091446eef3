// The selected channel's publications, newest first: at most 500 rows, changed once per frame.

import { byId, el, oncePerFrame, setText } from "./dom.js";
import { MAX_ENTRIES } from "./channel.js";
import { entryRow } from "./publication-row.js";

export class StreamPanel {
  #session;
  #list = byId("publications");
  #channel = null;
  #drawn = 0;
  #generation = 0;
  #stop = null;
  #paused = false;

  constructor(session) {
    this.#session = session;
    const draw = oncePerFrame(() => this.#draw());
    session.channelsChanged.add((channel) => (!channel || channel === session.selected) && draw());
    byId("pause").addEventListener("click", () => this.#pause());
    byId("clear").addEventListener("click", () => session.selected?.clear());
    this.#list.addEventListener("keydown", (event) => this.#move(event));
    this.#list.addEventListener("focusin", (event) => this.#rove(event.target));
  }

  #pause() {
    this.#paused = !this.#paused;
    byId("pause").setAttribute("aria-pressed", String(this.#paused));
    byId("pause").textContent = this.#paused ? "Resume" : "Pause";
    this.#draw();
  }

  #draw() {
    const channel = this.#session.selected;
    setText(byId("stream-title"), channel ? channel.name : "Publications");
    this.#list.hidden = !channel;
    byId("welcome").hidden = Boolean(channel);
    for (const id of ["pause", "clear"]) byId(id).hidden = !channel;
    this.#drawFacts(channel);
    if (!channel || (this.#paused && channel === this.#channel)) return;
    this.#drawRows(channel);
  }

  #drawFacts(channel) {
    const position = channel?.position;
    byId("stream-position").textContent = position ? `${position.epoch.slice(0, 8)} #${position.offset}` : "";
    const namespace = channel?.namespace;
    const kind = namespace ? (namespace.durable ? "durable" : "live") : "";
    const flags = byId("stream-flags");
    if (flags.dataset.kind === kind) return;
    flags.dataset.kind = kind;
    flags.replaceChildren(...(kind ? [el("span", { class: `badge ${kind}` }, kind)] : []));
  }

  #drawRows(channel) {
    const fresh = channel.total - this.#drawn;
    const whole = channel !== this.#channel || channel.generation !== this.#generation || fresh >= MAX_ENTRIES;
    const entries = whole ? channel.entries.slice(-MAX_ENTRIES) : fresh > 0 ? channel.entries.slice(-fresh) : [];
    const rows = entries.reverse().map((entry) => entryRow(entry, this.#session.client));
    if (whole) this.#list.replaceChildren(...rows);
    else this.#list.prepend(...rows);
    while (this.#list.childElementCount > MAX_ENTRIES) this.#list.lastElementChild.remove();
    [this.#channel, this.#generation, this.#drawn] = [channel, channel.generation, channel.total];
    if (!this.#stop?.isConnected) this.#rove(this.#list.querySelector("summary"));
  }

  /** Up, down, home and end walk the rows; the whole list is one stop for Tab. */
  #move(event) {
    const summaries = [...this.#list.querySelectorAll("summary")];
    const at = summaries.indexOf(document.activeElement);
    const target = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: summaries.length - 1 }[event.key];
    if (target === undefined || !summaries[target]) return;
    event.preventDefault();
    summaries[target].focus();
  }

  #rove(target) {
    if (!target?.matches("summary")) return;
    if (this.#stop) this.#stop.tabIndex = -1;
    target.tabIndex = 0;
    this.#stop = target;
  }
}
