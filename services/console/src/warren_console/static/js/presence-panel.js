// Who is in the selected channel, and who came and went.

import { byId, el, hueOf, oncePerFrame, showText } from "./dom.js";
import { count, timeOfDay } from "./format.js";
import { visible } from "./visible-text.js";

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
    const stale = kept && !channel.membersKnown;
    byId("presence-count").textContent = kept ? counted(channel.members.size, users.size, stale) : "";
    const obstacle = channel ? this.#session.obstacle(channel) : "";
    showText(byId("presence-note"), noteFor(channel, kept, users.size, obstacle));
    byId("members").classList.toggle("stale", stale);
    byId("members").replaceChildren(...this.#members(users, stale));
    const feed = channel?.feed ?? [];
    byId("feed-title").hidden = feed.length === 0;
    byId("feed").replaceChildren(...feed.map(feedLine));
  }

  #members(users, stale) {
    const entries = [...users].sort(([a], [b]) => a.localeCompare(b));
    const chips = entries.slice(0, SHOWN).map(([user, clients]) => this.#chip(user, clients, stale));
    if (entries.length > SHOWN) chips.push(el("li", { class: "note" }, `and ${entries.length - SHOWN} more`));
    return chips;
  }

  #chip(user, clients, stale) {
    const name = user || "anonymous";
    const chip = el(
      "li",
      { class: "member", title: clients.join("\n") },
      el("span", { class: `avatar ${hueOf(name)}`, "aria-hidden": "true" }, [...visible(name)][0]),
      el("b", {}, name),
    );
    if (!stale && clients.includes(this.#session.client)) chip.append(el("span", { class: "badge you" }, "you"));
    if (clients.length > 1) chip.append(el("small", {}, `${clients.length} clients`));
    return chip;
  }
}

function noteFor(channel, kept, users, obstacle) {
  if (!channel) return "Who is in the selected channel appears here.";
  if (channel.namespace && !kept) return `Namespace ${channel.namespace.name || "without a name"} keeps no presence.`;
  if (!channel.membersKnown) return `${obstacle || "Waiting for presence to answer"}.${users ? " Here before:" : ""}`;
  return users ? "" : "Nobody is here yet.";
}

function counted(clients, users, stale) {
  if (stale && !clients) return "";
  return `${stale ? "was " : ""}${count(clients, "client")}, ${count(users, "user")}`;
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
