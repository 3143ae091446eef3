// Who is in the selected channel, and who came and went.

import { byId, el, hueOf, oncePerFrame, showText } from "./dom.js";
import { count, timeOfDay } from "./format.js";

const SHOWN = 100;

export class PresencePanel {
  #session;

  constructor(session) {
    this.#session = session;
    const draw = oncePerFrame(() => this.#draw());
    session.channelsChanged.add((channel) => (!channel || channel === session.selected) && draw());
    session.changed.add(draw);
  }

  #draw() {
    const channel = this.#session.selected;
    const kept = Boolean(channel?.namespace?.presence);
    const users = kept ? byUser(channel.members) : new Map();
    byId("presence-count").textContent = kept ? `${count(channel.members.size, "client")}, ${count(users.size, "user")}` : "";
    showText(byId("presence-note"), noteFor(channel, kept, users.size));
    byId("members").replaceChildren(...this.#members(users));
    const feed = channel?.feed ?? [];
    byId("feed-title").hidden = feed.length === 0;
    byId("feed").replaceChildren(...feed.map(feedLine));
  }

  #members(users) {
    const entries = [...users].sort(([a], [b]) => a.localeCompare(b));
    const chips = entries.slice(0, SHOWN).map(([user, clients]) => this.#chip(user, clients));
    if (entries.length > SHOWN) chips.push(el("li", { class: "note" }, `and ${entries.length - SHOWN} more`));
    return chips;
  }

  #chip(user, clients) {
    const name = user || "anonymous";
    const chip = el(
      "li",
      { class: "member", title: clients.join("\n") },
      el("span", { class: `avatar ${hueOf(name)}`, "aria-hidden": "true" }, [...name][0]),
      el("b", {}, name),
    );
    if (clients.includes(this.#session.client)) chip.append(el("span", { class: "badge you" }, "you"));
    if (clients.length > 1) chip.append(el("small", {}, `${clients.length} clients`));
    return chip;
  }
}

function noteFor(channel, kept, users) {
  if (!channel) return "Who is in the selected channel appears here.";
  if (!channel.namespace) return "";
  if (!kept) return `Namespace ${channel.namespace.name || "without a name"} keeps no presence.`;
  return users ? "" : "Nobody is here yet.";
}

function byUser(members) {
  const users = new Map();
  for (const [client, user] of members) users.set(user, [...(users.get(user) ?? []), client]);
  return users;
}

function feedLine({ kind, user, at }) {
  const verb = kind === "join" ? " joined" : " left";
  const line = el("span", {}, el("b", {}, user || "anonymous"), verb);
  return el("li", { class: kind }, line, el("time", {}, timeOfDay(at)));
}
