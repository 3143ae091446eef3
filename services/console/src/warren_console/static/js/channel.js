// One channel: what arrived on it, who is in it, and where in its stream this client is.

import { Listeners } from "./listeners.js";
import { explain } from "./codes.js";

export const MAX_ENTRIES = 500;
const MAX_FEED = 60;

export class Channel {
  /** The newest entries, oldest first; `total` counts all there ever were. */
  entries = [];
  total = 0;
  /** Changes when the entries are thrown away. */
  generation = 0;
  received = 0;
  unread = 0;
  state = "subscribing";
  problem = "";
  /** Where in the stream this client is: {epoch, offset}, null on channels without positions. */
  position = null;
  /** Publications that should have come in between, and ones that came twice. */
  missing = 0;
  repeated = 0;
  recovered = 0;
  members = new Map();
  /** Whether the members are those of now, not those of before an interruption. */
  membersKnown = false;
  feed = [];
  changed = new Listeners();

  #recovering = 0;
  #inRecovery = false;
  #pendingPresence = null;

  constructor(name, namespace) {
    this.name = name;
    this.namespace = namespace;
  }

  clear() {
    this.entries = [];
    this.generation += 1;
    this.changed.notify(this);
  }

  subscribing({ code, reason }) {
    this.state = "subscribing";
    this.membersKnown = false;
    if (code > 1) this.remark(`Subscribing again: ${explain({ code, reason })}`, "bad");
    this.changed.notify(this);
  }

  /** `context` is the SDK's; recovered publications follow it before the current task ends. */
  subscribed(context) {
    const resumed = this.position;
    this.state = "subscribed";
    this.problem = "";
    this.position = context.streamPosition ? { ...context.streamPosition } : null;
    if (context.wasRecovering && context.recovered) {
      this.#beginRecovery();
    } else if (context.wasRecovering) {
      const from = resumed ? ` after offset ${resumed.offset}` : "";
      this.remark(`Position lost: what came${from} was not recovered`, "bad");
    } else {
      this.remark(this.position ? `Subscribed at offset ${this.position.offset}` : "Subscribed");
    }
    this.changed.notify(this);
  }

  unsubscribed({ code, reason }) {
    this.state = code === 0 ? "unsubscribed" : "refused";
    this.membersKnown = false;
    if (code !== 0) this.fail({ code, reason });
    this.changed.notify(this);
  }

  fail(error) {
    this.problem = explain(error);
    this.remark(this.problem, "bad");
  }

  /** Take a publication; return its latency in milliseconds, null where that cannot be told. */
  publication(context, now) {
    const { data, tags, info, offset } = context;
    const age = ageOf(data, tags, now);
    this.received += 1;
    if (offset !== undefined) this.#follow(offset);
    if (this.#inRecovery) this.#recovering += 1;
    this.#append({
      kind: "publication",
      at: now,
      data,
      tags,
      offset,
      age,
      user: info?.user,
      client: info?.client,
      recovered: this.#inRecovery,
    });
    return this.#inRecovery ? null : age;
  }

  remark(text, tone = "") {
    this.#append({ kind: "remark", at: Date.now(), text, tone });
  }

  joined(info, now) {
    this.members.set(info.client, info.user);
    this.#feed("join", info, now);
  }

  left(info, now) {
    this.members.delete(info.client);
    this.#feed("leave", info, now);
  }

  /** Ask who is here. Joins and leaves that come while the answer is on its way are kept. */
  async refreshPresence(ask) {
    if (this.#pendingPresence) return;
    this.#pendingPresence = [];
    try {
      const { clients } = await ask();
      this.members = new Map(Object.values(clients).map((info) => [info.client, info.user]));
      for (const [kind, info] of this.#pendingPresence) {
        if (kind === "join") this.members.set(info.client, info.user);
        else this.members.delete(info.client);
      }
      this.membersKnown = true;
    } catch (error) {
      this.membersKnown = false;
      throw error;
    } finally {
      this.#pendingPresence = null;
      this.changed.notify(this);
    }
  }

  #beginRecovery() {
    this.#recovering = 0;
    this.#inRecovery = true;
    queueMicrotask(() => {
      this.#inRecovery = false;
      this.recovered += this.#recovering;
      const noun = this.#recovering === 1 ? "publication" : "publications";
      this.remark(`Recovered ${this.#recovering} ${noun}, nothing lost`, "good");
      this.changed.notify(this, { recovered: this.#recovering });
    });
  }

  #follow(offset) {
    if (this.position === null) return;
    if (offset <= this.position.offset) this.repeated += 1;
    else this.missing += offset - this.position.offset - 1;
    this.position.offset = Math.max(offset, this.position.offset);
  }

  #append(entry) {
    this.entries.push(entry);
    this.total += 1;
    if (this.entries.length >= 2 * MAX_ENTRIES) this.entries = this.entries.slice(-MAX_ENTRIES);
    if (entry.kind === "publication") this.unread += 1;
    this.changed.notify(this);
  }

  #feed(kind, info, at) {
    this.#pendingPresence?.push([kind, info]);
    this.feed.unshift({ kind, user: info.user, client: info.client, at });
    this.feed.length = Math.min(this.feed.length, MAX_FEED);
    this.changed.notify(this);
  }
}

/** How old a publication is that says when it was sent, in its data or in a tag, in Unix milliseconds. */
function ageOf(data, tags, now) {
  const sent = Number(data?.sent_at ?? tags?.sent_at ?? NaN);
  return Number.isFinite(sent) && Math.abs(now - sent) < 7 * 86_400_000 ? Math.max(0, now - sent) : null;
}
