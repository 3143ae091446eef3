// The composer: data for the selected channel, checked before it is sent.

import { byId, oncePerFrame, setText } from "./dom.js";
import { explain } from "./codes.js";
import { duration } from "./format.js";
import { parseTyped } from "./json-text.js";

const BURST = 20;

export class Composer {
  #session;
  #payload = byId("payload");
  #touched = false;
  #channel = null;
  #obstacle = "";

  constructor(session) {
    this.#session = session;
    byId("composer").addEventListener("submit", (event) => this.#submit(event, 1));
    byId("burst").addEventListener("click", (event) => this.#submit(event, BURST));
    this.#payload.addEventListener("input", () => this.#check());
    this.#payload.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#submit(event, 1);
    });
    const draw = oncePerFrame(() => this.#draw());
    session.channelsChanged.add((channel) => (!channel || channel === session.selected) && draw());
    session.changed.add(draw);
  }

  #draw() {
    const { selected, user } = this.#session;
    byId("composer").hidden = !selected;
    if (!selected) return;
    const obstacle = this.#session.obstacle(selected);
    for (const id of ["publish", "burst"]) byId(id).disabled = Boolean(obstacle);
    if (!this.#touched) this.#payload.value = JSON.stringify({ text: `Hello from ${user || "the console"}` });
    if (selected === this.#channel && obstacle === this.#obstacle) return;
    [this.#channel, this.#obstacle] = [selected, obstacle];
    const readOnly = selected.namespace?.publish === false;
    const advice = readOnly ? `Namespace ${selected.namespace.name} does not let subscribers publish.` : "";
    this.#say(obstacle ? `${obstacle}.` : advice);
  }

  #check() {
    this.#touched = true;
    const { problem } = parseTyped(this.#payload.value);
    this.#payload.setAttribute("aria-invalid", String(Boolean(problem)));
    this.#say(problem ?? "", problem ? "bad" : "");
  }

  async #submit(event, copies) {
    event.preventDefault();
    const channel = this.#session.selected;
    const { value, problem } = parseTyped(this.#payload.value);
    const refusal = channel ? this.#session.obstacle(channel) || problem : "Choose a channel first.";
    if (refusal) {
      this.#say(refusal, "bad");
      this.#payload.focus();
      return;
    }
    const sends = Array.from({ length: copies }, (_, i) => this.#session.publish(channel.name, this.#stamped(value, i, copies)));
    const outcomes = await Promise.allSettled(sends);
    this.#report(outcomes, channel.name);
  }

  #stamped(value, index, copies) {
    if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
    return {
      ...value,
      ...(copies > 1 ? { n: index + 1 } : {}),
      ...(byId("stamp").checked ? { sent_at: Date.now() } : {}),
    };
  }

  #report(outcomes, name) {
    const refused = outcomes.filter(({ status }) => status === "rejected");
    if (refused.length) {
      const some = refused.length < outcomes.length ? `${refused.length} of ${outcomes.length}: ` : "";
      this.#say(`Not published to ${name}: ${some}${explain(refused[0].reason)}`, "bad");
      return;
    }
    const slowest = Math.max(...outcomes.map(({ value }) => value));
    const what = outcomes.length > 1 ? `All ${outcomes.length} confirmed` : "Confirmed";
    this.#say(`${what} in ${duration(slowest)}`, "good");
  }

  #say(text, tone = "") {
    const status = byId("composer-status");
    setText(status, text);
    status.className = `composer-status ${tone}`;
  }
}
