// What the server tells the page, and the tokens it hands out in development.

export class Settings {
  constructor(document) {
    this.gateways = document.gateways;
    this.namespaces = document.namespaces;
    this.devTokens = document.dev_tokens;
  }

  static async load() {
    return new Settings(await fetchJson("/config.json"));
  }

  /** The options of a channel's namespace; null if there is none of that name. */
  namespaceOf(channel) {
    const colon = channel.indexOf(":");
    const name = colon < 0 ? "" : channel.slice(0, colon);
    return this.namespaces.find((namespace) => namespace.name === name) ?? null;
  }

  /** Channels worth trying first: one durable, one live, if clients may subscribe to such. */
  get suggestions() {
    const open = this.namespaces.filter((namespace) => namespace.subscribe && namespace.name);
    const durable = open.find((namespace) => namespace.durable && namespace.presence) ?? open.find((n) => n.durable);
    const live = open.find((namespace) => !namespace.durable);
    return [durable && `${durable.name}:lobby`, live && `${live.name}:ticks`].filter(Boolean);
  }
}

/** Ask for a development token. Throws an Error with a line for the user. */
export async function devToken(user) {
  const answer = await fetchJson(`/dev/token?user=${encodeURIComponent(user)}`);
  return answer.token;
}

async function fetchJson(url) {
  const response = await fetch(url, { cache: "no-store" });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return response.json();
}
