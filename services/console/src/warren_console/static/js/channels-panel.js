// The list of channels, the subscribe form and what the namespaces offer.

import { byId, el, oncePerFrame, showText } from "./dom.js";
import { rate } from "./format.js";

const RATE_EVERY_MS = 1_000;

export class ChannelsPanel {
  #session;
  #items = new Map();
  #rates = new Map();

  constructor(session, settings) {
    this.#session = session;
    byId("subscribe-form").addEventListener("submit", (event) => this.#submit(event));
    byId("channel").value = settings.suggestions[0] ?? "";
    this.#listNamespaces(settings);
    byId("namespaces").open = matchMedia("(min-width: 760px)").matches;
    session.channelsChanged.add(oncePerFrame(() => this.#draw()));
    setInterval(() => this.#countRates(), RATE_EVERY_MS);
  }

  #submit(event) {
    event.preventDefault();
    const input = byId("channel");
    const name = input.value.trim();
    if (!name) return;
    this.#session.subscribe(name);
    input.value = "";
  }

  #listNamespaces(settings) {
    byId("channel-hints").append(...settings.suggestions.map((name) => el("option", { value: name })));
    byId("namespace-list").append(
      ...settings.namespaces.map((namespace) => {
        const written = namespace.name ? `${namespace.name}:` : "(none)";
        const begin = () => {
          byId("channel").value = namespace.name ? written : "";
          byId("channel").focus();
        };
        const label = `Name a channel in namespace ${namespace.name || "without a name"}`;
        return el(
          "li",
          {},
          el("button", { type: "button", class: "namespace-name", "aria-label": label, on: { click: begin } }, written),
          el("span", { class: "namespace-flags" }, flagsOf(namespace).join(", ")),
        );
      }),
    );
  }

  #draw() {
    const list = byId("channel-list");
    for (const [name, item] of this.#items) {
      if (!this.#session.channels.has(name)) {
        item.root.remove();
        this.#items.delete(name);
      }
    }
    for (const [name, channel] of this.#session.channels) {
      let item = this.#items.get(name);
      if (!item) {
        item = this.#makeItem(name);
        this.#items.set(name, item);
        list.append(item.root);
      }
      this.#drawItem(item, channel);
    }
  }

  #makeItem(name) {
    const [namespace, rest] = splitName(name);
    const dot = el("span", { class: "channel-dot", "aria-hidden": "true" });
    const label = el("span", { class: "channel-name" }, el("span", {}, namespace), rest);
    const tail = el("span", {});
    const open = el("button", { type: "button", class: "channel-open", on: { click: () => this.#session.select(name) } }, dot, label, tail);
    const leave = el(
      "button",
      { type: "button", class: "channel-leave", "aria-label": `Unsubscribe from ${name}`, title: "Unsubscribe", on: { click: () => this.#session.unsubscribe(name) } },
      "\u00d7",
    );
    const row = el("div", { class: "channel-item" }, open, leave);
    const problem = el("p", { class: "channel-problem", hidden: true });
    return { root: el("li", { "data-channel": name }, row, problem), row, open, leave, tail, problem };
  }

  #drawItem({ row, open, leave, tail, problem }, channel) {
    const selected = this.#session.selected === channel;
    row.dataset.state = channel.state;
    row.classList.toggle("selected", selected);
    open.setAttribute("aria-current", String(selected));
    open.title = channel.state;
    leave.hidden = Boolean(channel.serverSide);
    const perSecond = this.#rates.get(channel.name)?.rate ?? 0;
    tail.className = channel.unread ? "channel-unread" : "channel-rate";
    if (channel.unread) tail.textContent = channel.unread > 999 ? "999+" : String(channel.unread);
    else tail.textContent = perSecond > 0 ? `${rate(perSecond)}/s` : "";
    tail.title = channel.unread ? "not looked at yet" : "publications per second";
    showText(problem, channel.problem);
  }

  #countRates() {
    for (const channel of this.#session.channels.values()) {
      const before = this.#rates.get(channel.name);
      const fresh = channel.received - (before?.received ?? 0);
      this.#rates.set(channel.name, { received: channel.received, rate: before ? 0.5 * before.rate + 0.5 * fresh : fresh });
    }
    this.#draw();
  }
}

export function flagsOf(namespace) {
  return [
    namespace.durable ? "durable" : "live",
    namespace.recovery && "recovery",
    namespace.presence && "presence",
    namespace.join_leave && "joins and leaves",
    namespace.user_limited && "name#user",
    !namespace.subscribe && !namespace.user_limited && "by token only",
    !namespace.publish && "read only",
  ].filter(Boolean);
}

export function splitName(name) {
  const colon = name.indexOf(":");
  return colon < 0 ? ["", name] : [name.slice(0, colon + 1), name.slice(colon + 1)];
}
