// The connection form and the state shown in the bar.

import { byId, el, showText } from "./dom.js";
import { duration } from "./format.js";

const AWAY_SECONDS = 10;
const NAMES = ["alice", "bruno", "carla", "dinesh", "esther", "farid", "grace", "hana"];
const LABELS = { connected: "Connected", connecting: "Connecting", disconnected: "Disconnected" };

const shortened = (id) => (id.length > 18 ? `${id.slice(0, 13)}\u2026` : id);

export class ConnectionPanel {
  #session;
  #settings;
  #away = null;

  constructor(session, settings) {
    this.#session = session;
    this.#settings = settings;
    byId("user").value = NAMES[Math.floor(Math.random() * NAMES.length)];
    byId("gateway").append(...settings.gateways.map((url) => el("option", { value: url }, new URL(url).host)));
    byId("token-details").open = !settings.devTokens;
    byId("connect-form").addEventListener("submit", (event) => this.#submit(event));
    byId("disconnect").addEventListener("click", () => this.#leave());
    byId("away").addEventListener("click", () => this.#goAway());
    session.changed.add(() => this.#draw());
    this.#draw();
  }

  connect() {
    byId("connect-form").requestSubmit();
  }

  #submit(event) {
    event.preventDefault();
    this.#stay();
    const token = byId("token").value.trim();
    if (!token && !this.#settings.devTokens) {
      byId("token-details").open = true;
      byId("token").focus();
      showText(byId("connect-problem"), "This console hands out no tokens: paste one, as 'make token USER=alice' prints it.");
      return;
    }
    this.#session.connect({ user: byId("user").value.trim(), gateway: byId("gateway").value, token });
  }

  #leave() {
    this.#stay();
    this.#session.disconnect();
  }

  /** Leave and come back by itself: recovery, shown in ten seconds. */
  #goAway() {
    let left = AWAY_SECONDS;
    this.#session.disconnect();
    this.#away = setInterval(() => {
      left -= 1;
      byId("connect").textContent = `Back in ${left} s`;
      if (left <= 0) this.connect();
    }, 1_000);
    byId("connect").textContent = `Back in ${left} s`;
  }

  #stay() {
    clearInterval(this.#away);
    this.#away = null;
  }

  #draw() {
    const { state, user, client, gateway, transport, roundTrip, problem } = this.#session;
    const up = state !== "disconnected";
    byId("link").dataset.state = state;
    byId("link-state").textContent = LABELS[state];
    byId("link-transport").textContent = state === "connected" ? transport : "";
    this.#drawRoundTrip(state === "connected" ? roundTrip : null);
    byId("link-gateway").textContent = up && gateway ? new URL(gateway).host : "";
    byId("connect-fields").disabled = up;
    byId("connect").hidden = up;
    if (this.#away === null) byId("connect").textContent = client ? "Reconnect" : "Connect";
    byId("disconnect").hidden = !up;
    byId("away").hidden = state !== "connected";
    showText(byId("connect-problem"), state === "connected" ? "" : problem);
    this.#drawIdentity(state === "connected" ? [user, client] : null);
  }

  #drawRoundTrip(roundTrip) {
    const place = byId("link-rtt");
    place.textContent = roundTrip ? `rtt ${duration(roundTrip.ms)}` : "";
    place.title = roundTrip ? `Round trip of the last command, ${roundTrip.command}, with the services behind the gateway` : "";
  }

  #drawIdentity(identity) {
    const line = byId("identity");
    if (identity === null) {
      line.textContent = this.#settings.devTokens ? "Any name will do: this console signs tokens." : "A token says who you are.";
      return;
    }
    const [user, client] = identity;
    line.replaceChildren(el("b", {}, user), " is client ", el("code", { title: client }, shortened(client)));
  }
}
