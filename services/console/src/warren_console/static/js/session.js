// The session: one SDK client at a time, and the channels, which outlive it.

import { Channel } from "./channel.js";
import { Listeners } from "./listeners.js";
import { Rates } from "./rates.js";
import { explain } from "./codes.js";
import { devToken } from "./settings.js";

const PRESENCE_EVERY_MS = 15_000;
const CODES_OF_THE_SDK = 100;

export class Session {
  state = "disconnected";
  user = "";
  gateway = "";
  client = "";
  transport = "";
  /** The last command that succeeded, and how long its reply took: {command, ms}. */
  roundTrip = null;
  problem = "";
  channels = new Map();
  selected = null;
  rates = new Rates();
  /** Connection facts changed. */
  changed = new Listeners();
  /** A channel came, went, was selected or has news. */
  channelsChanged = new Listeners();
  /** Something worth saying aloud. */
  announced = new Listeners();

  #settings;
  #sdk = null;
  #token = "";

  constructor(settings) {
    this.#settings = settings;
    setInterval(() => document.hidden || this.#refreshPresence(), PRESENCE_EVERY_MS);
    document.addEventListener("visibilitychange", () => document.hidden || this.#refreshPresence());
  }

  /** Connect, anew or again. As the same user, every channel goes on from where it was, on any gateway. */
  connect({ user, gateway, token }) {
    if (this.#sdk && user === this.user && gateway === this.gateway && token === this.#token) {
      this.#sdk.connect();
      return;
    }
    const resume = user === this.user;
    this.#abandon();
    Object.assign(this, { user, gateway, problem: "", client: "", transport: "", roundTrip: null });
    this.#token = token;
    this.#sdk = this.#newClient();
    for (const channel of this.channels.values()) this.#attach(channel, resume ? channel.position : null);
    this.#sdk.connect();
  }

  disconnect() {
    this.#sdk?.disconnect();
  }

  subscribe(name) {
    const known = this.channels.get(name);
    if (known) {
      this.#sdk?.getSubscription(name)?.subscribe();
      this.select(name);
      return;
    }
    const channel = new Channel(name, this.#settings.namespaceOf(name));
    channel.changed.add((it, news) => this.#news(it, news));
    this.channels.set(name, channel);
    if (this.#sdk) this.#attach(channel, null);
    this.select(name);
  }

  unsubscribe(name) {
    const subscription = this.#sdk?.getSubscription(name);
    if (subscription) {
      subscription.removeAllListeners();
      this.#sdk.removeSubscription(subscription);
    }
    this.channels.delete(name);
    if (this.selected?.name === name) this.select([...this.channels.keys()].at(-1));
    this.channelsChanged.notify();
  }

  select(name) {
    this.selected = this.channels.get(name) ?? null;
    if (this.selected) this.selected.unread = 0;
    this.channelsChanged.notify(this.selected);
  }

  /** Publish to a channel; return how long the confirm took, in milliseconds. Rejects with {code, message}. */
  async publish(name, data) {
    if (!this.#sdk) throw { code: 2, message: "not connected" };
    const began = performance.now();
    this.rates.count("published");
    await this.#sdk.publish(name, data);
    return this.#answered("publish", began);
  }

  /** Why nothing passes between a channel and this page now, in one line; empty if something does. */
  obstacle(channel) {
    if (this.state === "disconnected") return "Not connected";
    if (this.state === "connecting") return "Connecting";
    if (channel.state === "subscribed") return "";
    const doing = channel.state === "subscribing" ? "Subscribing" : "Not subscribed";
    return channel.problem ? `${doing}: ${channel.problem}` : doing;
  }

  #newClient() {
    const own = this.#token;
    const user = this.user;
    const sdk = new globalThis.Centrifuge(this.gateway, {
      name: "warren-console",
      minReconnectDelay: 300,
      maxReconnectDelay: 5_000,
      ...(own ? { token: own } : {}),
      ...(!own && this.#settings.devTokens ? { getToken: () => devToken(user) } : {}),
    });
    const set = (state, facts) => this.#setState(sdk, state, facts);
    sdk.on("connecting", ({ code, reason }) => set("connecting", { problem: code > 0 ? explain({ code, reason }) : "" }));
    sdk.on("connected", ({ client, transport }) => set("connected", { client, transport, problem: "" }));
    sdk.on("disconnected", ({ code, reason }) => set("disconnected", { roundTrip: null, problem: code > 0 ? explain({ code, reason }) : "" }));
    sdk.on("error", ({ error }) => set(this.state, { problem: explain(error) }));
    this.#followServerSide(sdk);
    return sdk;
  }

  /** Channels a token, or the server, subscribes this client to. */
  #followServerSide(sdk) {
    const ensure = (name) => {
      if (!this.channels.has(name)) {
        const channel = new Channel(name, this.#settings.namespaceOf(name));
        channel.serverSide = true;
        channel.changed.add((it, news) => this.#news(it, news));
        this.channels.set(name, channel);
        if (!this.selected) this.select(name);
      }
      return this.channels.get(name);
    };
    sdk.on("subscribed", (context) => ensure(context.channel).subscribed(context));
    sdk.on("subscribing", ({ channel }) => ensure(channel).subscribing({ code: 0 }));
    sdk.on("unsubscribed", ({ channel }) => ensure(channel).unsubscribed({ code: 2000, reason: "server unsubscribe" }));
    sdk.on("publication", (context) => this.#take(ensure(context.channel), context));
    sdk.on("join", ({ channel, info }) => ensure(channel).joined(info, Date.now()));
    sdk.on("leave", ({ channel, info }) => ensure(channel).left(info, Date.now()));
  }

  #attach(channel, position) {
    if (channel.serverSide) return;
    const { namespace } = channel;
    const subscription = this.#sdk.newSubscription(channel.name, {
      joinLeave: Boolean(namespace?.join_leave),
      recoverable: Boolean(namespace?.recovery),
      ...(position ? { since: { ...position } } : {}),
    });
    subscription.on("subscribing", (context) => channel.subscribing(context));
    subscription.on("subscribed", (context) => {
      channel.subscribed(context);
      this.#askPresence(channel);
    });
    subscription.on("unsubscribed", (context) => channel.unsubscribed(context));
    subscription.on("error", ({ error }) => error.code >= CODES_OF_THE_SDK && channel.fail(error));
    subscription.on("publication", (context) => this.#take(channel, context));
    subscription.on("join", ({ info }) => channel.joined(info, Date.now()));
    subscription.on("leave", ({ info }) => channel.left(info, Date.now()));
    subscription.subscribe();
  }

  #take(channel, context) {
    const latency = channel.publication(context, Date.now());
    this.rates.count("received");
    if (latency !== null) this.rates.latency(latency);
  }

  #news(channel, news) {
    if (this.selected === channel) channel.unread = 0;
    if (news?.recovered !== undefined) {
      const noun = news.recovered === 1 ? "publication" : "publications";
      this.announced.notify(`Recovered ${news.recovered} ${noun} on ${channel.name}`);
    }
    this.channelsChanged.notify(channel);
  }

  #setState(sdk, state, facts) {
    if (sdk !== this.#sdk) return;
    const before = this.state;
    Object.assign(this, facts, { state });
    if (state === "connected") this.rates.cameBack();
    else if (before === "connected") this.rates.wentAway();
    if (state !== before) this.announced.notify(state === "connected" ? `Connected as ${this.user}` : state);
    this.changed.notify();
  }

  #abandon() {
    const sdk = this.#sdk;
    this.#sdk = null;
    if (!sdk) return;
    for (const subscription of Object.values(sdk.subscriptions())) subscription.removeAllListeners();
    sdk.removeAllListeners();
    sdk.disconnect();
  }

  /** Note the round trip of a command that was sent anyway: nothing is sent only to be timed. */
  #answered(command, began) {
    const ms = performance.now() - began;
    this.roundTrip = { command, ms };
    this.changed.notify();
    return ms;
  }

  #refreshPresence() {
    if (this.state === "connected" && this.selected) this.#askPresence(this.selected);
  }

  #askPresence(channel) {
    if (!channel.namespace?.presence || channel.state !== "subscribed") return;
    const ask = async () => {
      const began = performance.now();
      const reply = await this.#sdk.presence(channel.name);
      this.#answered("presence", began);
      return reply;
    };
    channel.refreshPresence(ask).catch((error) => {
      if (error.code >= CODES_OF_THE_SDK) channel.remark(`Presence: ${explain(error)}`, "bad");
    });
  }
}
