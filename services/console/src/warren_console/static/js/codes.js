// What the client protocol's codes mean to the person in front of the page.

const ADVICE = {
  0: "the client was closed",
  1: "no answer in time",
  2: "the connection is down",
  100: "the service behind did not answer; try again",
  101: "the connection has no identity",
  102: "no namespace of this name is configured",
  103: "the namespace, or the token, does not allow it",
  104: "no such method",
  105: "already subscribed",
  106: "a limit is reached",
  107: "the channel name or the data is not acceptable",
  108: "the namespace has this switched off",
  109: "the token has expired",
  110: "expired",
  111: "too many requests; slow down",
  112: "the position is outside the history",
  2000: "the server ended the subscription",
  2500: "publications could not be made up for; subscribing anew",
  2501: "the subscription expired",
  3000: "the connection was closed",
  3001: "the gateway is shutting down",
  3004: "the gateway could not reach a service",
  3005: "the connection expired",
  3008: "this client did not keep up",
  3012: "this client did not answer pings",
  3500: "the token is not valid",
  3501: "the gateway did not understand the client",
  3502: "the client did not introduce itself in time",
  3503: "the server disconnected this client",
};

/** One line for an error, disconnect or unsubscribe: its code, its reason, and what that means. */
export function explain({ code, message, reason }) {
  const said = message || reason || "";
  const advice = ADVICE[code];
  return [code, said, advice && advice !== said ? `(${advice})` : ""].filter((part) => part !== "" && part !== undefined).join(" ");
}
