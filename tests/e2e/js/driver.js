// Drives clients of the official JS SDK for the tests: one JSON command a line on standard input,
// one JSON event or reply a line on standard output. Ends when its input does.

'use strict';

const path = require('node:path');
const readline = require('node:readline');

const modules = process.env.WARREN_NODE_MODULES;
const sdks = { json: path.join(modules, 'centrifuge'), protobuf: path.join(modules, 'centrifuge/build/protobuf') };
const WebSocket = require(path.join(modules, 'ws'));
const { EventSource } = require('./event_source.js');

const clients = new Map();
const inProtobuf = new Set();

// In Protobuf the SDK takes and gives bytes; the tests speak of JSON.
const pack = (client, data) => (inProtobuf.has(client) ? Buffer.from(JSON.stringify(data)) : data);

function unpack(client, data) {
  if (!inProtobuf.has(client)) return data;
  if (!(data instanceof Uint8Array)) throw new Error(`no bytes: ${data}`);
  try {
    return JSON.parse(Buffer.from(data).toString());
  } catch {
    return { bytes: [...data] };
  }
}

function tell(message) {
  process.stdout.write(JSON.stringify(message) + '\n');
}

function publication(ctx, client) {
  return { data: unpack(client, ctx.data), offset: ctx.offset || null, tags: ctx.tags || {}, user: ctx.info ? ctx.info.user : null };
}

function subscribed(ctx) {
  const position = ctx.streamPosition || {};
  return {
    recoverable: ctx.recoverable,
    recovered: ctx.recovered,
    was_recovering: ctx.wasRecovering,
    offset: position.offset === undefined ? null : position.offset,
    epoch: position.epoch === undefined ? null : position.epoch,
  };
}

const fieldsOf = {
  connecting: (ctx) => ({ code: ctx.code }),
  connected: (ctx) => ({ client: ctx.client }),
  disconnected: (ctx) => ({ code: ctx.code }),
  error: (ctx) => ({ code: ctx.error.code }),
  subscribing: (ctx) => ({ code: ctx.code }),
  subscribed,
  unsubscribed: (ctx) => ({ code: ctx.code }),
  publication,
  join: (ctx) => ({ user: ctx.info.user, client: ctx.info.client }),
  leave: (ctx) => ({ user: ctx.info.user, client: ctx.info.client }),
};

function report(client, emitter, names) {
  for (const name of names) {
    emitter.on(name, (ctx) => tell({ client, event: name, channel: ctx.channel || null, fields: fieldsOf[name](ctx, client) }));
  }
}

const subscriptionEvents = ['subscribing', 'subscribed', 'unsubscribed', 'publication', 'join', 'leave', 'error'];
const clientEvents = ['connecting', 'connected', 'disconnected', ...subscriptionEvents];

const tokenRequests = new Map();

function askForToken(client, channel = null) {
  return new Promise((resolve) => {
    tokenRequests.set(JSON.stringify([client, channel]), resolve);
    tell({ client, event: 'token_wanted', channel, fields: {} });
  });
}

const infoOf = (client, info) => (info === undefined || info.length === 0 ? null : unpack(client, info));
const member = (client, info) => ({ client: info.client, user: info.user, conn_info: infoOf(client, info.connInfo) });

const commands = {
  open: ({ client, transport, url, emulation, token, asks, encoding }) => {
    const { Centrifuge } = require(sdks[encoding]);
    if (encoding === 'protobuf') inProtobuf.add(client);
    const centrifuge = new Centrifuge([{ transport, endpoint: url }], {
      emulationEndpoint: emulation,
      eventsource: EventSource,
      fetch,
      readableStream: ReadableStream,
      token,
      getToken: asks ? () => askForToken(client) : null,
      websocket: WebSocket,
      timeout: 8000,
      minReconnectDelay: 50,
      maxReconnectDelay: 1000,
    });
    clients.set(client, centrifuge);
    report(client, centrifuge, clientEvents);
  },
  token: ({ client, channel, token }) => tokenRequests.get(JSON.stringify([client, channel]))(token),
  connect: ({ client }) => clients.get(client).connect(),
  disconnect: ({ client }) => clients.get(client).disconnect(),
  subscribe: ({ client, channel, recover, asks, delta, filter }) => {
    const centrifuge = clients.get(client);
    let subscription = centrifuge.getSubscription(channel);
    if (!subscription) {
      subscription = centrifuge.newSubscription(channel, {
        minResubscribeDelay: 50,
        maxResubscribeDelay: 1000,
        ...(recover ? { since: {} } : {}),
        ...(delta ? { delta: 'fossil' } : {}),
        ...(filter ? { tagsFilter: filter } : {}),
        ...(asks ? { getToken: () => askForToken(client, channel) } : {}),
      });
      report(client, subscription, subscriptionEvents);
    }
    subscription.subscribe();
  },
  unsubscribe: ({ client, channel }) => clients.get(client).getSubscription(channel).unsubscribe(),
  publish: async ({ client, channel, data }) => {
    await clients.get(client).publish(channel, pack(client, data));
  },
  presence: async ({ client, channel }) => {
    const result = await clients.get(client).presence(channel);
    return Object.values(result.clients).map((info) => member(client, info));
  },
  presence_stats: async ({ client, channel }) => {
    const result = await clients.get(client).presenceStats(channel);
    return [result.numClients, result.numUsers];
  },
  history: async ({ client, channel, limit, since, reverse }) => {
    const position = since ? { offset: since[0], epoch: since[1] } : undefined;
    const page = await clients.get(client).history(channel, { limit, since: position, reverse });
    const publications = page.publications.map((each) => [each.offset, unpack(client, each.data)]);
    return { epoch: page.epoch, offset: page.offset, publications };
  },
  send: ({ client, data }) => clients.get(client).send(pack(client, data)),
  rpc: async ({ client, method, data }) => unpack(client, (await clients.get(client).rpc(method, pack(client, data))).data),
};

async function obey(line) {
  const command = JSON.parse(line);
  try {
    const result = await commands[command.do](command);
    tell({ reply: command.id, result: result === undefined ? null : result });
  } catch (error) {
    tell({ reply: command.id, error: { code: error.code === undefined ? -1 : error.code, message: String(error.message) } });
  }
}

readline.createInterface({ input: process.stdin }).on('line', obey).on('close', () => process.exit(0));
