// Drives clients of the official JS SDK for the tests: one JSON command a line on standard input,
// one JSON event or reply a line on standard output. Ends when its input does.

'use strict';

const path = require('node:path');
const readline = require('node:readline');

const modules = process.env.WARREN_NODE_MODULES;
const { Centrifuge } = require(path.join(modules, 'centrifuge'));
const WebSocket = require(path.join(modules, 'ws'));

const clients = new Map();

function tell(message) {
  process.stdout.write(JSON.stringify(message) + '\n');
}

function publication(ctx) {
  return { data: ctx.data, offset: ctx.offset || null, tags: ctx.tags || {}, user: ctx.info ? ctx.info.user : null };
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
    emitter.on(name, (ctx) => tell({ client, event: name, channel: ctx.channel || null, fields: fieldsOf[name](ctx) }));
  }
}

const subscriptionEvents = ['subscribing', 'subscribed', 'unsubscribed', 'publication', 'join', 'leave', 'error'];
const clientEvents = ['connecting', 'connected', 'disconnected', ...subscriptionEvents];

const tokenRequests = new Map();

function askForToken(client) {
  return new Promise((resolve) => {
    tokenRequests.set(client, resolve);
    tell({ client, event: 'token_wanted', channel: null, fields: {} });
  });
}

const member = (info) => ({ client: info.client, user: info.user, conn_info: info.connInfo === undefined ? null : info.connInfo });

const commands = {
  open: ({ client, url, token, asks }) => {
    const centrifuge = new Centrifuge(url, {
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
  token: ({ client, token }) => tokenRequests.get(client)(token),
  connect: ({ client }) => clients.get(client).connect(),
  disconnect: ({ client }) => clients.get(client).disconnect(),
  subscribe: ({ client, channel, recover }) => {
    const centrifuge = clients.get(client);
    let subscription = centrifuge.getSubscription(channel);
    if (!subscription) {
      subscription = centrifuge.newSubscription(channel, {
        minResubscribeDelay: 50,
        maxResubscribeDelay: 1000,
        ...(recover ? { since: {} } : {}),
      });
      report(client, subscription, subscriptionEvents);
    }
    subscription.subscribe();
  },
  unsubscribe: ({ client, channel }) => clients.get(client).getSubscription(channel).unsubscribe(),
  publish: async ({ client, channel, data }) => {
    await clients.get(client).publish(channel, data);
  },
  presence: async ({ client, channel }) => {
    const result = await clients.get(client).presence(channel);
    return Object.values(result.clients).map(member);
  },
  presence_stats: async ({ client, channel }) => {
    const result = await clients.get(client).presenceStats(channel);
    return [result.numClients, result.numUsers];
  },
  history: async ({ client, channel, limit, since, reverse }) => {
    const position = since ? { offset: since[0], epoch: since[1] } : undefined;
    const page = await clients.get(client).history(channel, { limit, since: position, reverse });
    const publications = page.publications.map((each) => [each.offset, each.data]);
    return { epoch: page.epoch, offset: page.offset, publications };
  },
  rpc: async ({ client, method, data }) => (await clients.get(client).rpc(method, data)).data,
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
