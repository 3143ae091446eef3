// What the stream's place shows before there is a channel: what to do first.

import { byId, el, svg } from "./dom.js";

const TUNNELS = ["M34 62 C 70 20, 110 20, 150 56", "M150 56 C 190 92, 226 84, 262 40", "M150 56 C 150 96, 170 112, 214 112", "M34 62 C 60 104, 84 112, 112 112", "M112 112 C 150 120, 180 118, 214 112"];
const DENS = [[34, 62, 15], [150, 56, 20], [262, 40, 15], [112, 112, 12], [214, 112, 12]];

export class Welcome {
  #session;
  #settings;
  #panel;

  constructor(session, settings, panel) {
    this.#session = session;
    this.#settings = settings;
    this.#panel = panel;
    session.changed.add(() => this.#draw());
    session.channelsChanged.add(() => this.#session.selected || this.#draw());
    this.#draw();
  }

  #draw() {
    const place = byId("welcome");
    const step = this.#session.state === "connected" ? "subscribe" : "connect";
    const channels = this.#session.channels.size;
    if (place.dataset.step === `${step}${channels}`) return;
    place.dataset.step = `${step}${channels}`;
    place.replaceChildren(burrow(), ...(step === "connect" ? this.#connect() : this.#subscribe()));
  }

  #connect() {
    return [
      el("div", {}, el("h3", {}, "Enter the warren"), el("p", {}, "Connect as any user, open this page a second time as another, and watch messages, presence and recovery pass between them.")),
      el("div", { class: "welcome-actions" }, el("button", { type: "button", class: "primary", on: { click: () => this.#panel.connect() } }, "Connect")),
    ];
  }

  #subscribe() {
    const buttons = this.#settings.suggestions.map((name, index) =>
      el("button", { type: "button", class: index ? "" : "primary", on: { click: () => this.#session.subscribe(name) } }, `Subscribe to ${name}`),
    );
    return [
      el("div", {}, el("h3", {}, "Choose a channel"), el("p", {}, "A durable channel numbers and keeps its publications, and recovers what you miss. A live one is only fast.")),
      el("div", { class: "welcome-actions" }, ...buttons),
    ];
  }
}

function burrow() {
  return svg(
    "svg",
    { class: "burrow", viewBox: "0 0 296 140", "aria-hidden": "true" },
    ...TUNNELS.map((d) => svg("path", { class: "tunnel", d })),
    ...DENS.map(([cx, cy, r], index) => svg("circle", { class: index === 1 ? "den home" : "den", cx, cy, r })),
    ...[[150, 56, 6], [96, 26, 4], [206, 82, 4], [180, 104, 4]].map(([cx, cy, r]) => svg("circle", { class: "runner", cx, cy, r })),
  );
}
